// `sluice plugin trace`: writes down what a plugin's modules do on fixed inputs, for `plugin check` to compare with
// later. What a trace holds is core/check/trace.h's business.
#include <fmt/format.h>

#include <set>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/setup.h"
#include "core/base/child_process.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/check/checks.h"
#include "core/check/runner.h"
#include "core/check/task.h"
#include "core/check/trace.h"

namespace sluice {
namespace {

constexpr const char* kCheck = "trace-same";
constexpr double kTraceSeconds = 120;  // for all of a library's modules

// The plugin's code runs in a child, as when it is checked.
int trace_in_child(std::span<const std::string> args) {
  std::vector<std::string> command = {kThisProgram, "plugin", "trace"};
  command.insert(command.end(), args.begin(), args.end());
  command.emplace_back("--answer");
  const ChildEnd end = run_child(command, kTraceSeconds, &interrupt_flag());
  if (interrupted()) throw Error("plugin trace: interrupted", kExitFailed);
  write_stdout(end.answer);
  fmt::print(stderr, "{}", end.output);
  const auto fail = [](const std::string& why) { throw Error("plugin trace: the plugin " + why, kExitFailed); };
  if (end.how == ChildEnd::How::kTimeout) fail(fmt::format("did not come to an end within {:g} s", kTraceSeconds));
  if (end.how == ChildEnd::How::kSignal) fail("crashed: " + signal_text(end.code));
  if (end.code == kExitOk && end.answer.empty()) fail("ended the process");
  return end.code;
}

}  // namespace

int run_plugin_trace(std::span<const std::string> args) {
  po::options_description options;
  options.add_options()("set", po::value<std::vector<std::string>>()->composing()->value_name("K=V"),
                        "set a parameter of the modules that have it; may be repeated")(
      "out", po::value<std::string>()->value_name("FILE"),
      "the file that gets the traces (default: NAME.trace.json beside NAME.sluice.so)")(
      "answer", "the program's own: carry it out in this process");
  const auto words = parse_words("plugin", args, options, {.names = {"FILE or NAME"}, .least = 1});
  if (!words) return kExitOk;
  if (!words->has("answer")) return trace_in_child(args);
  enter_child();
  const std::filesystem::path library = check::find_library(words->positional[0], Registry::search_path({}));
  const std::filesystem::path file =
      words->has("out") ? std::filesystem::path(words->text("out")) : check::trace_file(library);
  const std::vector<std::string> settings = words->list("set");
  const Prober prober = child_prober();
  if (const std::string reason = probe_library(prober, library); !reason.empty())
    throw Error(fmt::format("{} {}", library.string(), reason));
  const std::vector<check::Offer> offers = check::list_offers(library, settings);
  std::set<std::string> parameters;
  for (const check::Offer& offer : offers) parameters.insert(offer.parameters.begin(), offer.parameters.end());
  check::refuse_unknown(settings, parameters);
  size_t traces = 0;
  for (const check::Offer& offer : offers) {
    if (!offer.mistake.empty()) throw Error(offer.mistake);
    if (!check::is_for(kCheck, offer.interface_id)) continue;
    if (!offer.reason.empty()) throw Error(fmt::format("\"{}\" is unavailable: {}", offer.name, offer.reason));
    const check::Task task{kCheck, library, offer.interface_id, offer.name, offer.settings};
    try {
      check::with_module(task, &prober, [&](const check::Subject& subject) { check::keep_trace(subject, file); });
    } catch (const check::Outcome& outcome) {
      throw Error(fmt::format("\"{}\" gives no trace: {}", offer.name, outcome.what()), kExitFailed);
    }
    answer(fmt::format("{}: a trace of {}\n", file.string(), offer.name));
    traces++;
  }
  if (traces == 0) throw Error(fmt::format("{} offers neither an evictor nor a codec", library.string()));
  return kExitOk;
}

}  // namespace sluice
