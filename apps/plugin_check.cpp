// `sluice plugin check`: runs the checks of core/check on libraries and prints how they ended. `sluice plugin try` is
// one check in this process: what each child runs, and whoever wants to see a failure again or debug it.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <regex>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/setup.h"
#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/check/checks.h"
#include "core/check/report.h"
#include "core/check/runner.h"

namespace sluice {
namespace {

constexpr int64_t kLargestSeed = int64_t(1) << 62;

auto* text(const char* name) { return po::value<std::string>()->value_name(name); }
auto* texts(const char* name) { return po::value<std::vector<std::string>>()->composing()->value_name(name); }

void add_subject_options(po::options_description& options) {
  options.add_options()("set", texts("K=V"), "set a parameter of the modules that have it; may be repeated")(
      "seed", text("N"), "what everything random follows from (default: 1)");
}

check::RunOptions run_options(const Words& words) {
  check::RunOptions options;
  options.settings = words.list("set");
  options.seed = uint64_t(words.integer("seed", 1, 0, kLargestSeed));
  options.fuzz_seconds = words.number("fuzz", 0, 0, 1e6);
  options.limit_seconds = words.number("limit", 0, 0.01, 1e6);
  options.include = words.text("include");
  options.in_process = words.has("in-process");
  options.first_failure = words.has("first");
  options.stop = &interrupt_flag();
  for (const std::string& setting : options.settings)
    if (setting.find('=') == std::string::npos)
      throw Error(fmt::format("sluice plugin check: --set {} is not of the form K=V", printable(setting)));
  try {
    const std::regex pattern(options.include);
    const auto names = check::check_names();
    if (std::none_of(names.begin(), names.end(),
                     [&](const std::string& name) { return std::regex_search(name, pattern); }))
      throw Error(fmt::format("sluice plugin check: --include {} matches no check{}; --list names them",
                              printable(options.include), did_you_mean(options.include, names)));
  } catch (const std::regex_error& error) {
    throw Error(fmt::format("sluice plugin check: --include {} is no regular expression: {}",
                            printable(options.include), error.what()));
  }
  return options;
}

}  // namespace

int run_plugin_check(std::span<const std::string> args) {
  po::options_description options;
  add_subject_options(options);
  options.add_options()("json", "the result as JSON")("only-failed", "print what failed and the counts")(
      "first", "stop at the first failure")("include", text("REGEX"), "run checks whose names match")(
      "fuzz", text("SECONDS"), "repeat the checks of each module with new seeds for so long")(
      "limit", text("SECONDS"), "end every check after so long (default: its own limit)")(
      "in-process", "no children: for debuggers; a crash ends the program")("list", "list the checks there are")(
      "markdown", "with --list: as Markdown")("path", texts("FOLDER"),
                                              "look here first for modules by NAME; may be repeated");
  const auto words = parse_words("plugin", args, options, {.names = {"FILE or NAME"}, .least = 0, .repeat = true});
  if (!words) return kExitOk;
  if (words->has("list")) {
    write_stdout(words->has("markdown") ? check::list_markdown() : check::list_text());
    return kExitOk;
  }
  if (words->positional.empty())
    throw Error("sluice plugin check needs FILEs (my.sluice.so) or NAMEs of plugins (see `sluice help plugin`)");
  check::RunOptions run = run_options(*words);
  note_missing_plugin_folders();
  std::vector<std::filesystem::path> folders, libraries;
  for (const std::string& folder : words->list("path")) folders.push_back(std::filesystem::absolute(folder));
  run.folders = folders;
  folders = Registry::search_path(folders);
  for (const std::string& name : words->positional) libraries.push_back(check::find_library(name, folders, run.stop));

  const auto start = std::chrono::steady_clock::now();
  Progress progress(0, "checks");
  const std::vector<check::Row> rows =
      check::check_libraries(libraries, run, [&](const check::Row& row) { progress.advance(1, row.task.check); });
  progress.clear();
  if (rows.empty() && !interrupted())
    throw Error(fmt::format("sluice plugin check: --include {} matches no check of what these libraries offer",
                            printable(run.include)));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_stdout(words->has("json") ? check::report_json(rows, seconds, words->has("only-failed"), !interrupted())
                                  : check::report_text(rows, seconds, words->has("only-failed")));
  const bool any =
      std::any_of(rows.begin(), rows.end(), [](const check::Row& row) { return check::failed(row.result.verdict); });
  if (interrupted()) return partial_result();
  return any ? kExitFailed : kExitOk;
}

int run_plugin_try(std::span<const std::string> args) {
  po::options_description options;
  add_subject_options(options);
  options.add_options()("module", text("NAME"), "which of the library's modules")(
      "path", texts("FOLDER"), "look here first for other modules; may be repeated")(
      "answer", "write the result to file descriptor 3, for the program that started this one");
  const auto words = parse_words("plugin", args, options, {.names = {"a CHECK (or list)", "a FILE"}, .least = 2});
  if (!words) return kExitOk;
  const bool child = words->has("answer");
  if (child) enter_child();
  check::Task task;
  task.check = words->positional[0];
  task.library = std::filesystem::weakly_canonical(words->positional[1]);
  if (task.check == "list") {
    const std::string list = check::to_json(check::list_offers(task.library, words->list("set")));
    if (child)
      answer(list);
    else
      write_stdout(list + "\n");
    return kExitOk;
  }
  task.module = words->text("module");
  task.settings = words->list("set");
  for (const std::string& folder : words->list("path")) task.folders.emplace_back(folder);
  task.seed = uint64_t(words->integer("seed", 1, 0, kLargestSeed));
  if (check::is_for_modules(task.check) && task.module.empty())
    throw Error(fmt::format("sluice plugin try {} needs --module NAME", task.check));
  const Prober prober = child_prober();
  const check::Result result = check::run_task(task, &prober);
  if (child)
    answer(fmt::format("{} {}", int(result.verdict), result.why));
  else
    write_stdout(
        fmt::format("{} {} {}\n", task.check, check::verdict_text(result.verdict), printable(result.why, 4096)));
  return check::failed(result.verdict) ? kExitFailed : kExitOk;
}

}  // namespace sluice
