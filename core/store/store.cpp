// See store.h.
#include "core/store/store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/sha256.h"

namespace sluice {
namespace {

constexpr const char* kNow = "strftime('%Y-%m-%dT%H:%M:%SZ')";

std::string identity_json(const RunRecord& record) {
  nlohmann::ordered_json pairs = nlohmann::ordered_json::array();
  for (const auto& [name, value] : record.identity) pairs.push_back({name, value});
  return pairs.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Store::Store(std::unique_ptr<StoreLock> lock, std::unique_ptr<Database> database)
    : lock_(std::move(lock)), database_(std::move(database)) {}

Store Store::to_write(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(fmt::format("{}: cannot make this output folder: {}", folder.string(), error.message()));
  auto lock = std::make_unique<StoreLock>(folder / "samples.lock");
  auto database = std::make_unique<Database>(file_in(folder), Database::Open::kCreate);
  if (!empty_store(*database)) check_store(*database, true);
  // A commit is on the disk when it returns, and readers are in nobody's way.
  if (database->text("PRAGMA journal_mode = WAL") != "wal")
    throw Error(fmt::format("{}: this file system does not allow SQLite's write-ahead log; use a local folder",
                            database->file().string()));
  database->execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
  if (empty_store(*database)) create_schema(*database);
  return Store(std::move(lock), std::move(database));
}

Store Store::to_read(const std::filesystem::path& place) {
  std::error_code none;
  const std::filesystem::path file = std::filesystem::is_directory(place, none) ? file_in(place) : place;
  if (!std::filesystem::exists(file, none))
    throw Error(fmt::format("{}: there is no store here; `sluice eval --out` makes one", file.string()));
  auto database = std::make_unique<Database>(file, Database::Open::kRead);
  try {
    check_store(*database, false);
  } catch (const Error&) {
    // Where nothing may be written even a reader's own files cannot be; without a log there is nobody to follow.
    std::filesystem::path log = file;
    log += "-wal";
    if (std::filesystem::exists(log, none)) throw;
    database = std::make_unique<Database>(file, Database::Open::kReadAlone);
    check_store(*database, false);
  }
  return Store(nullptr, std::move(database));
}

int64_t Store::begin_run(const RunRecord& record) {
  const std::string key = record.key(), identity = identity_json(record);
  Transaction transaction(*database_);
  Statement(*database_,
            fmt::format("INSERT INTO runs(key, policy, task, task_version, protocol, identity, config, details, began) "
                        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, {}) ON CONFLICT(key) DO UPDATE SET config = excluded.config, "
                        "details = excluded.details",
                        kNow)
                .c_str())
      .bind(key)
      .bind(record.policy)
      .bind(record.task)
      .bind(record.task_version)
      .bind(record.protocol)
      .bind(identity)
      .bind(record.config)
      .bind(record.details)
      .run();
  Statement find(*database_, "SELECT run FROM runs WHERE key = ?");
  find.bind(key).step();
  const int64_t run = find.number(0);
  find.reset();
  transaction.commit();
  return run;
}

void Store::set_details(int64_t run, std::string_view json) {
  Statement(*database_, "UPDATE runs SET details = ? WHERE run = ?").bind(json).bind(run).run();
}

std::string Store::keep_text(std::string_view text) {
  const std::string sha = sha256_hex(text);
  Statement(*database_, "INSERT OR IGNORE INTO texts VALUES(?, ?)").bind(sha).bind(text).run();
  return sha;
}

void Store::add(int64_t run, const SampleRecord& s) {
  const std::string key = s.prompt_key();
  Transaction transaction(*database_);
  Statement old(*database_, "SELECT sample FROM samples WHERE run = ? AND doc_id = ? AND prompt_key = ?");
  if (old.bind(run).bind(int64_t(s.doc_id)).bind(key).step()) {
    const int64_t sample = old.number(0);
    for (const char* sql : {"DELETE FROM filtered WHERE sample = ?", "DELETE FROM metrics WHERE sample = ?",
                            "DELETE FROM bytes WHERE sample = ?", "DELETE FROM fidelity WHERE sample = ?",
                            "DELETE FROM samples WHERE sample = ?"})
      Statement(*database_, sql).bind(sample).run();
  }
  old.reset();
  const std::string doc = keep_text(s.doc), prompt = keep_text(s.prompt);
  Statement(*database_,
            fmt::format("INSERT INTO samples VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                        "?, ?, ?, ?, ?, {})",
                        kNow)
                .c_str())
      .bind(run)
      .bind(int64_t(s.doc_id))
      .bind(key)
      .bind(doc)
      .bind(prompt)
      .bind(s.target)
      .bind(s.arguments)
      .bind(s.responses)
      .bind_bytes(std::as_bytes(std::span(s.tokens)))
      .bind(int64_t(s.tokens.size()))
      .bind(s.ended_by)
      .bind(int64_t(s.prompt_tokens))
      .bind(int64_t(s.prefix_tokens))
      .bind(int64_t(s.compressed_before_scoring))
      .bind(int64_t(s.too_short))
      .bind(s.kept_after_prompt)
      .bind(s.kept)
      .bind(int64_t(s.stored_bytes))
      .bind(int64_t(s.f16_bytes))
      .bind(int64_t(s.peak_bytes))
      .bind(s.seconds)
      .bind(s.prompt_seconds)
      .run();
  const int64_t sample = database_->last_id();
  int64_t place = 0;
  for (const Filtered& f : s.filtered) {
    Statement(*database_, "INSERT INTO filtered VALUES(?, ?, ?, ?)")
        .bind(sample)
        .bind(place++)
        .bind(f.filter)
        .bind(f.responses)
        .run();
    int64_t metric = 0;
    for (const Metric& m : f.metrics)
      Statement(*database_, "INSERT INTO metrics VALUES(?, ?, ?, ?, ?, ?)")
          .bind(sample)
          .bind(f.filter)
          .bind(metric++)
          .bind(m.name)
          .bind(m.value)
          .bind(m.weight)
          .run();
  }
  for (const KindBytes& b : s.bytes)
    Statement(*database_, "INSERT INTO bytes VALUES(?, ?, ?, ?)")
        .bind(sample)
        .bind(b.kind)
        .bind(int64_t(b.stored))
        .bind(int64_t(b.peak))
        .run();
  transaction.commit();
}

void Store::add_fidelity(int64_t run, const FidelityRecord& record) {
  double nll = 0, reference_nll = 0, kld = 0, same_top = 0;
  for (const TokenScore& t : record.tokens)
    nll += t.nll, reference_nll += t.reference_nll, kld += t.kld, same_top += t.same_top;
  const auto n = double(record.tokens.size());  // 0: the means are NaN, which SQLite keeps as NULL
  Statement(*database_,
            "INSERT OR REPLACE INTO fidelity SELECT sample, ?, ?, ?, ?, ?, ?, ? FROM samples WHERE run = ? AND "
            "doc_id = ? AND prompt_key = ?")
      .bind(record.answer)
      .bind(int64_t(record.tokens.size()))
      .bind(nll / n)
      .bind(reference_nll / n)
      .bind(kld / n)
      .bind(same_top / n)
      .bind_bytes(std::as_bytes(std::span(record.tokens)))
      .bind(run)
      .bind(int64_t(record.doc_id))
      .bind(record.prompt_key)
      .run();
}

std::string Store::file_sha256(const std::filesystem::path& file) {
  struct stat now {};
  const std::string path = std::filesystem::weakly_canonical(file).string();
  if (stat(path.c_str(), &now) != 0) throw Error(fmt::format("{}: {}", file.string(), std::strerror(errno)));
  const std::string state = fmt::format("{} {} {}.{:09} {}.{:09}", now.st_size, now.st_ino, int64_t(now.st_mtim.tv_sec),
                                        now.st_mtim.tv_nsec, int64_t(now.st_ctim.tv_sec), now.st_ctim.tv_nsec);
  Statement known(*database_, "SELECT sha256 FROM files WHERE path = ? AND state = ?");
  if (known.bind(path).bind(state).step()) return known.text(0);
  known.reset();
  const std::string sha = sha256_of_file(path);
  Statement(*database_, "INSERT OR REPLACE INTO files VALUES(?, ?, ?)").bind(path).bind(state).bind(sha).run();
  return sha;
}

std::vector<StoredRun> Store::runs() {
  std::vector<StoredRun> runs;
  Statement rows(*database_,
                 "SELECT run, policy, task, task_version, protocol, identity, config, details, began, (SELECT count(*) "
                 "FROM samples WHERE samples.run = runs.run), (SELECT coalesce(max(ended), '') FROM samples WHERE "
                 "samples.run = runs.run) FROM runs ORDER BY run");
  while (rows.step()) {
    StoredRun& r = runs.emplace_back();
    r.run = rows.number(0);
    r.record.policy = rows.text(1), r.record.task = rows.text(2), r.record.task_version = rows.text(3);
    r.record.protocol = rows.text(4);
    const auto identity = nlohmann::json::parse(rows.text(5), nullptr, false);
    for (const auto& pair : identity)
      if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string())
        r.record.identity.emplace_back(pair[0], pair[1]);
    r.record.config = rows.text(6), r.record.details = rows.text(7), r.began = rows.text(8);
    r.samples = uint64_t(rows.number(9)), r.ended = rows.text(10);
  }
  return runs;
}

std::set<std::pair<uint64_t, std::string>> Store::done(int64_t run) {
  std::set<std::pair<uint64_t, std::string>> keys;
  Statement rows(*database_, "SELECT doc_id, prompt_key FROM samples WHERE run = ?");
  rows.bind(run);
  while (rows.step()) keys.emplace(uint64_t(rows.number(0)), rows.text(1));
  return keys;
}

std::vector<FidelityRecord> Store::fidelity(int64_t run) {
  std::vector<FidelityRecord> records;
  Statement rows(*database_,
                 "SELECT doc_id, prompt_key, answer, scores FROM fidelity JOIN samples USING(sample) WHERE run = ? "
                 "ORDER BY doc_id, sample");
  rows.bind(run);
  while (rows.step()) {
    FidelityRecord& r = records.emplace_back();
    r.doc_id = uint64_t(rows.number(0)), r.prompt_key = rows.text(1), r.answer = rows.text(2);
    const std::span<const std::byte> scores = rows.bytes(3);
    r.tokens.resize(scores.size() / sizeof(TokenScore));
    if (!r.tokens.empty()) std::memcpy(r.tokens.data(), scores.data(), r.tokens.size() * sizeof(TokenScore));
  }
  return records;
}

std::vector<SampleRecord> Store::samples(int64_t run) {
  std::vector<SampleRecord> samples;
  Statement rows(
      *database_,
      "SELECT sample, doc_id, d.text, p.text, target, arguments, responses, tokens, ended_by, prompt_tokens, "
      "prefix_tokens, compressed_before_scoring, too_short, kept_after_prompt, kept, stored_bytes, f16_bytes, "
      "peak_bytes, seconds, prompt_seconds FROM samples JOIN texts d ON d.sha256 = doc JOIN texts p ON "
      "p.sha256 = prompt WHERE run = ? ORDER BY doc_id, sample");
  Statement filtered(*database_, "SELECT filter, responses FROM filtered WHERE sample = ? ORDER BY place");
  Statement metrics(*database_,
                    "SELECT metric, value, weight FROM metrics WHERE sample = ? AND filter = ? ORDER BY place");
  Statement bytes(*database_, "SELECT kind, stored, peak FROM bytes WHERE sample = ? ORDER BY kind");
  rows.bind(run);
  while (rows.step()) {
    SampleRecord& s = samples.emplace_back();
    const int64_t sample = rows.number(0);
    s.doc_id = uint64_t(rows.number(1)), s.doc = rows.text(2), s.prompt = rows.text(3), s.target = rows.text(4);
    s.arguments = rows.text(5), s.responses = rows.text(6);
    const std::span<const std::byte> tokens = rows.bytes(7);
    s.tokens.resize(tokens.size() / sizeof(int32_t));
    if (!s.tokens.empty()) std::memcpy(s.tokens.data(), tokens.data(), s.tokens.size() * sizeof(int32_t));
    s.ended_by = rows.text(8), s.prompt_tokens = uint32_t(rows.number(9)), s.prefix_tokens = uint32_t(rows.number(10));
    s.compressed_before_scoring = uint64_t(rows.number(11)), s.too_short = rows.number(12) != 0;
    s.kept_after_prompt = rows.real(13), s.kept = rows.real(14);
    s.stored_bytes = uint64_t(rows.number(15)), s.f16_bytes = uint64_t(rows.number(16));
    s.peak_bytes = uint64_t(rows.number(17)), s.seconds = rows.real(18), s.prompt_seconds = rows.real(19);
    for (filtered.bind(sample); filtered.step();) {
      Filtered& f = s.filtered.emplace_back();
      f.filter = filtered.text(0), f.responses = filtered.text(1);
      for (metrics.bind(sample).bind(f.filter); metrics.step();) {
        Metric& m = f.metrics.emplace_back();
        m.name = metrics.text(0);
        m.value = metrics.null(1) ? std::numeric_limits<double>::quiet_NaN() : metrics.real(1);
        if (!metrics.null(2)) m.weight = metrics.real(2);
      }
      metrics.reset();
    }
    filtered.reset();
    for (bytes.bind(sample); bytes.step();)
      s.bytes.push_back({bytes.text(0), uint64_t(bytes.number(1)), uint64_t(bytes.number(2))});
    bytes.reset();
  }
  return samples;
}

}  // namespace sluice
