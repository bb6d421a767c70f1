// See schema.h.
#include "core/store/schema.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "sluice/plugin.h"

namespace sluice {
namespace {

// Texts that many samples share (prompts of several policies, records) stand once, under their SHA-256.
constexpr const char* kTables = R"sql(
CREATE TABLE made(
  sluice TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT;
CREATE TABLE runs(
  run INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  policy TEXT NOT NULL,
  task TEXT NOT NULL,
  task_version TEXT NOT NULL,
  protocol TEXT NOT NULL,
  identity TEXT NOT NULL,
  config TEXT NOT NULL,
  details TEXT NOT NULL,
  began TEXT NOT NULL
) STRICT;
CREATE TABLE texts(
  sha256 TEXT PRIMARY KEY,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE samples(
  sample INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES runs(run),
  doc_id INTEGER NOT NULL,
  prompt_key TEXT NOT NULL,
  doc TEXT NOT NULL REFERENCES texts(sha256),
  prompt TEXT NOT NULL REFERENCES texts(sha256),
  target TEXT NOT NULL,
  arguments TEXT NOT NULL,
  responses TEXT NOT NULL,
  tokens BLOB NOT NULL,
  generated INTEGER NOT NULL,
  ended_by TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  prefix_tokens INTEGER NOT NULL,
  compressed_before_scoring INTEGER NOT NULL,
  too_short INTEGER NOT NULL,
  kept_after_prompt REAL NOT NULL,
  kept REAL NOT NULL,
  stored_bytes INTEGER NOT NULL,
  f16_bytes INTEGER NOT NULL,
  peak_bytes INTEGER NOT NULL,
  seconds REAL NOT NULL,
  prompt_seconds REAL NOT NULL,
  ended TEXT NOT NULL,
  UNIQUE(run, doc_id, prompt_key)
) STRICT;
CREATE TABLE filtered(
  sample INTEGER NOT NULL REFERENCES samples(sample),
  place INTEGER NOT NULL,
  filter TEXT NOT NULL,
  responses TEXT NOT NULL,
  PRIMARY KEY(sample, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE metrics(
  sample INTEGER NOT NULL REFERENCES samples(sample),
  filter TEXT NOT NULL,
  place INTEGER NOT NULL,
  metric TEXT NOT NULL,
  value REAL,
  weight REAL,
  PRIMARY KEY(sample, filter, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE bytes(
  sample INTEGER NOT NULL REFERENCES samples(sample),
  kind TEXT NOT NULL,
  stored INTEGER NOT NULL,
  peak INTEGER NOT NULL,
  PRIMARY KEY(sample, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE fidelity(
  sample INTEGER PRIMARY KEY REFERENCES samples(sample),
  answer TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  nll REAL,
  reference_nll REAL,
  kld REAL,
  same_top REAL,
  scores BLOB NOT NULL
) STRICT;
CREATE TABLE files(
  path TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace

bool empty_store(Database& database) {
  return database.number("PRAGMA application_id") == 0 && database.number("PRAGMA user_version") == 0 &&
         database.number("SELECT count(*) FROM sqlite_master") == 0;
}

void create_schema(Database& database) {
  Transaction transaction(database);
  database.execute(kTables);
  database.execute(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kStoreApplication, kStoreVersion).c_str());
  Statement(database, "INSERT INTO made VALUES(?, strftime('%Y-%m-%dT%H:%M:%SZ'))").bind(SLUICE_VERSION).run();
  transaction.commit();
}

void check_store(Database& database, bool thoroughly) {
  const std::string name = database.file().string();
  if (database.number("PRAGMA application_id") != kStoreApplication)
    throw Error(fmt::format("{}: is an SQLite file, but no store of Sluice; use another output folder", name));
  const int64_t version = database.number("PRAGMA user_version");
  if (version != kStoreVersion)
    throw Error(
        fmt::format("{}: is a store of version {}, made by Sluice {}; this is Sluice {}, which knows version {}. "
                    "Use the program that made it, or another output folder",
                    name, version, database.text("SELECT sluice FROM made"), SLUICE_VERSION, kStoreVersion));
  if (!thoroughly) return;
  if (const std::string verdict = database.text("PRAGMA quick_check(1)"); verdict != "ok")
    throw Error(fmt::format("{}: is damaged: {}; move it away, or use another output folder", name, verdict));
}

}  // namespace sluice
