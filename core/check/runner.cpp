// See runner.h.
#include "core/check/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <regex>
#include <set>

#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/check/checks.h"

namespace sluice::check {
namespace {

namespace fs = std::filesystem;
constexpr double kListSeconds = 10;
constexpr char kForeignAnswer[] = "wrote to the file descriptor that the checker listens to";
constexpr std::string_view kSuffix = ".sluice.so";

// What a child says of itself, from the way it ended.
Result judge(const ChildEnd& end, double limit) {
  Result result;
  result.output = end.output, result.seconds = end.seconds;
  if (end.how == ChildEnd::How::kTimeout) {
    result.verdict = Verdict::kTimeout, result.why = fmt::format("did not end within {:g} s", limit);
  } else if (end.how == ChildEnd::How::kSignal) {
    result.verdict = Verdict::kCrash, result.why = signal_text(end.code);
  } else if (end.answer.empty()) {
    result.verdict = Verdict::kCrash, result.why = fmt::format("ended the process with exit code {}", end.code);
  } else if (end.answer.size() >= 2 && end.answer[0] >= '0' && end.answer[0] <= '0' + int(Verdict::kSkip) &&
             end.answer[1] == ' ') {
    result.verdict = Verdict(end.answer[0] - '0'), result.why = end.answer.substr(2);
  } else {
    result.verdict = Verdict::kCrash, result.why = kForeignAnswer;
  }
  return result;
}

bool stopped(const RunOptions& options) { return options.stop && *options.stop; }

// In a child but for --in-process: the library is loaded for it. Where that fails, `mishap` says how.
std::vector<Offer> offers_of(const fs::path& library, const RunOptions& options, Result& mishap) {
  if (options.in_process) return list_offers(library, options.settings);
  std::vector<std::string> words = {kThisProgram, "plugin", "try", "list", library.string(), "--answer"};
  for (const std::string& setting : options.settings) words.insert(words.end(), {"--set", setting});
  const ChildEnd end = run_child(words, kListSeconds, options.stop);
  if (end.how == ChildEnd::How::kExit && !end.answer.empty()) try {
      return offers_from_json(end.answer);
    } catch (const std::exception&) {  // judged below
    }
  mishap = judge(end, kListSeconds);
  if (!failed(mishap.verdict)) mishap.verdict = Verdict::kCrash, mishap.why = kForeignAnswer;
  return {};
}

struct Library {
  fs::path path;
  std::vector<Offer> offers;
  Result mishap;  // failed: why it offers nothing
};

// Settings are for whichever module has the parameter, so all are asked before one is called a mistake.
std::vector<Library> ask(std::span<const fs::path> paths, const RunOptions& options) {
  std::vector<Library> libraries;
  std::set<std::string> parameters;
  bool any = false;
  for (const fs::path& path : paths) {
    if (stopped(options)) return {};
    Library library{path, {}, {}};
    library.offers = offers_of(path, options, library.mishap);
    for (const Offer& offer : library.offers) {
      if (!offer.mistake.empty()) throw Error(offer.mistake);
      parameters.insert(offer.parameters.begin(), offer.parameters.end());
    }
    any = any || !library.offers.empty();
    libraries.push_back(std::move(library));
  }
  if (any) refuse_unknown(options.settings, parameters);
  return libraries;
}

class Runner {
 public:
  Runner(const RunOptions& options, const std::function<void(const Row&)>& on_row)
      : options_(options), on_row_(on_row), include_(options.include) {}

  void run(const Library& library) {
    for (const Area& area : areas())
      if (area.interface_ids.empty()) run_list(area, {"", library.path, "", "", {}, options_.seed}, "");
    // A library that is unfit as a whole offers nothing; what is wrong with one module leaves the others.
    for (const Offer& offer : library.offers) run_module(library.path, offer);
    const bool told = std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
      return row.task.library == library.path && failed(row.result.verdict);
    });
    if (failed(library.mishap.verdict) && !told && !stopped(options_))
      rows.push_back({{"list", library.path, "", "", {}, options_.seed}, library.mishap});
  }

  std::vector<Row> rows;

 private:
  bool wanted(const Check& check) const {
    return options_.include.empty() || std::regex_search(std::string(check.name), include_);
  }

  Result carry_out(const Task& task, const Check& check) const {
    if (options_.in_process) return run_task(task);
    const double limit = options_.limit_seconds > 0 ? options_.limit_seconds : check.seconds;
    std::vector<std::string> command = task.words();
    command.insert(command.begin(), kThisProgram);
    command.push_back("--answer");
    return judge(run_child(command, limit, options_.stop), limit);
  }

  // Once, then again with new seeds until time is up or one fails.
  Result repeat(Task& task, const Check& check, double seconds) const {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    Result result = carry_out(task, check);
    while (result.verdict == Verdict::kPass && !stopped(options_) &&
           std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
      task.seed++;
      result = carry_out(task, check);
    }
    return result;
  }

  // Returns why checks that rest on these must be skipped, or `broken` if that says it already.
  std::string run_list(const Area& area, Task task, std::string broken, double fuzz_seconds = 0) {
    for (const Check& check : area.checks()) {
      if (!wanted(check)) continue;
      if (over_ || stopped(options_)) break;
      Row row{task, {Verdict::kSkip, broken, "", 0}};
      row.task.check = check.name;
      if (broken.empty()) row.result = repeat(row.task, check, fuzz_seconds);
      if (stopped(options_)) break;  // the child was ended with this program
      over_ = options_.first_failure && failed(row.result.verdict);
      const bool unusable =
          failed(row.result.verdict) || (row.result.verdict == Verdict::kSkip && check.ground && !task.module.empty());
      if (broken.empty() && check.ground && unusable)
        broken = failed(row.result.verdict) ? fmt::format("{} failed", check.name) : row.result.why;
      if (on_row_) on_row_(row);
      rows.push_back(std::move(row));
    }
    return broken;
  }

  void run_module(const fs::path& library, const Offer& offer) {
    Task task{"", library, offer.interface_id, offer.name, {}, options_.seed, options_.folders};
    task.settings = offer.settings;
    std::vector<const Area*> lists;
    size_t count = 0;
    for (const Area& area : areas()) {
      if (area.interface_ids.empty() || !is_of(area, offer.interface_id)) continue;
      if (area.extended_only && !offer.extended) continue;
      lists.push_back(&area);
      for (const Check& check : area.checks()) count += wanted(check);
    }
    std::string broken = offer.reason;
    const size_t first = rows.size();
    for (const Area* area : lists) {
      const auto bad = std::find_if(rows.begin() + ptrdiff_t(first), rows.end(),
                                    [](const Row& row) { return failed(row.result.verdict); });
      if (area->whole_only && broken.empty() && bad != rows.end()) broken = bad->task.check + " failed";
      broken = run_list(*area, task, broken, options_.fuzz_seconds / double(count));
    }
  }

  const RunOptions& options_;
  const std::function<void(const Row&)>& on_row_;
  std::regex include_;
  bool over_ = false;  // no further check is to begin
};

}  // namespace

std::vector<Row> check_libraries(std::span<const fs::path> libraries, const RunOptions& options,
                                 const std::function<void(const Row&)>& on_row) {
  Runner runner(options, on_row);
  for (const Library& library : ask(libraries, options)) runner.run(library);
  return std::move(runner.rows);
}

bool failed(Verdict verdict) {
  return verdict == Verdict::kFail || verdict == Verdict::kCrash || verdict == Verdict::kTimeout;
}

fs::path find_library(const std::string& name, std::span<const fs::path> folders, const std::atomic<bool>* stop) {
  std::error_code error;
  if (fs::is_regular_file(name, error)) return fs::canonical(name);
  if (name.find('/') != std::string::npos)
    throw Error(fs::exists(name, error) ? fmt::format("{} is no regular file", printable(name))
                                        : fmt::format("there is no file {}", printable(name)));
  std::vector<fs::path> libraries;
  for (const fs::path& folder : folders) {
    const auto first = ptrdiff_t(libraries.size());
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
      if (entry->path().filename().string().ends_with(kSuffix)) libraries.push_back(entry->path());
    std::sort(libraries.begin() + first, libraries.end());
  }
  std::vector<std::string> names;
  for (const fs::path& library : libraries) {
    names.push_back(library.filename().string());
    names.back().resize(names.back().size() - kSuffix.size());
  }
  // The file that is called so, else one that has it among others.
  for (size_t i = 0; i < libraries.size(); i++)
    if (names[i] == name || libraries[i].filename() == name) return fs::canonical(libraries[i]);
  RunOptions options;
  options.stop = stop;
  Result mishap;  // whoever does not load has no such module
  for (const fs::path& library : libraries) {
    for (const Offer& offer : offers_of(library, options, mishap))
      if (offer.name == name) return fs::canonical(library);
    if (stopped(options))
      throw Error(fmt::format("interrupted while looking for the plugin \"{}\"", printable(name)), kExitFailed);
  }
  throw Error(fmt::format("there is neither a file nor a plugin \"{}\"{}; plugins were looked for in {}", name,
                          did_you_mean(name, names), join(folders)));
}

}  // namespace sluice::check
