// `sluice diff`: two evaluations on the same questions, from two stores or two policies of one: what changed, each way,
// and how likely that is by chance.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/commands.h"
#include "apps/eval_gates.h"
#include "apps/options.h"
#include "apps/output.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/harness/tables.h"
#include "core/store/store.h"

namespace sluice {
namespace {

// One side: a store, and which policy of it.
struct Side {
  std::string place, policy;  // policy: empty if none was named
  std::unique_ptr<Store> store;
  std::vector<StoredRun> runs;

  std::vector<std::string> policies() const {
    std::vector<std::string> names;
    for (const StoredRun& run : runs)
      if (run.samples > 0 && std::find(names.begin(), names.end(), run.record.policy) == names.end())
        names.push_back(run.record.policy);
    return names;
  }
  bool has(const std::string& name) const {
    const std::vector<std::string> names = policies();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
};

// DIR, or DIR:POLICY where there is no file of that whole name.
Side open_side(const std::string& word) {
  Side side;
  side.place = word;
  std::error_code none;
  const size_t colon = word.rfind(':');
  if (colon != std::string::npos && !std::filesystem::exists(word, none))
    side.place = word.substr(0, colon), side.policy = word.substr(colon + 1);
  side.store = std::make_unique<Store>(Store::to_read(side.place));
  side.runs = side.store->runs();
  const std::vector<std::string> names = side.policies();
  if (names.empty()) throw Error(fmt::format("{}: this store has no samples yet", side.place));
  if (!side.policy.empty() && !side.has(side.policy))
    throw Error(fmt::format("{}: has no policy \"{}\"{}; policies: {}", side.place, printable(side.policy),
                            did_you_mean(side.policy, names), join(names)));
  return side;
}

// The policy of a side that was not told which, beside one that was.
std::string counterpart(const Side& side, const std::string& other) {
  if (side.has(other)) return other;
  const std::vector<std::string> names = side.policies();
  if (names.size() == 1) return names[0];
  throw Error(
      fmt::format("diff: which policy of {}? Write {}:POLICY with one of {}", side.place, side.place, join(names)));
}

std::vector<std::pair<std::string, std::string>> choose_pairs(const Side& a, const Side& b) {
  if (!a.policy.empty() && !b.policy.empty()) return {{a.policy, b.policy}};
  std::error_code none;
  const bool same = std::filesystem::equivalent(a.place, b.place, none);
  if (same)
    throw Error(fmt::format("diff: A and B are one store: name a policy of each, as in {}:{} {}:{}; policies: {}",
                            a.place, a.policies().front(), b.place, a.policies().back(), join(a.policies())));
  if (!a.policy.empty()) return {{a.policy, counterpart(b, a.policy)}};
  if (!b.policy.empty()) return {{counterpart(a, b.policy), b.policy}};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& name : a.policies())
    if (b.has(name)) pairs.push_back({name, name});
  if (!pairs.empty()) return pairs;
  if (a.policies().size() == 1 && b.policies().size() == 1) return {{a.policies()[0], b.policies()[0]}};
  throw Error(fmt::format("diff: no policy is in both: {} has {}, {} has {}; write DIR:POLICY", a.place,
                          join(a.policies()), b.place, join(b.policies())));
}

// The runs of a policy, by task: the newest where settings changed in between.
std::map<std::string, const StoredRun*> runs_of(const Side& side, const std::string& policy) {
  std::map<std::string, const StoredRun*> runs;
  for (const StoredRun& run : side.runs) {
    if (run.record.policy != policy || run.samples == 0) continue;
    const StoredRun*& at = runs[run.record.task];
    const StoredRun* newest = at && at->ended > run.ended ? at : &run;
    if (at)
      fmt::print(stderr,
                 "sluice: {} has {} under {} with different settings; that of the newest sample, {}, is taken\n",
                 side.place, run.record.task, policy, newest->ended);
    at = newest;
  }
  return runs;
}

ScoredRun read_run(Side& side, const StoredRun& stored) {
  ScoredRun run;
  run.policy = stored.record.policy, run.name = stored.record.task;
  run.version = stored.record.task_version, run.protocol = stored.record.protocol;
  run.info = read_run_info(stored.record);
  for (const SampleRecord& s : side.store->samples(stored.run)) run.samples.push_back(scored_sample(s, run.info));
  return run;
}

PolicyDifference compare(Side& a, Side& b, const std::pair<std::string, std::string>& policies) {
  PolicyDifference result;
  result.a = policies.first, result.b = policies.second;
  const auto runs_a = runs_of(a, policies.first), runs_b = runs_of(b, policies.second);
  std::vector<ScoredRun> scored_a, scored_b;
  std::vector<std::string> only;
  // In the order of B's store.
  for (const StoredRun& run : b.runs) {
    const auto at = runs_b.find(run.record.task);
    if (at == runs_b.end() || at->second != &run) continue;
    const auto other = runs_a.find(run.record.task);
    if (other == runs_a.end()) {
      only.push_back(run.record.task + " only in B");
      continue;
    }
    scored_b.push_back(read_run(b, run)), scored_a.push_back(read_run(a, *other->second));
    add_differences(other->second->record, run.record, result.identity);
  }
  for (const auto& [task, run] : runs_a)
    if (!runs_b.count(task)) only.push_back(task + " only in A");
  if (!only.empty()) fmt::print(stderr, "sluice: not compared: {}\n", join(only));
  if (scored_b.empty())
    throw Error(fmt::format("diff: {} of {} and {} of {} have no task in common", policies.first, a.place,
                            policies.second, b.place));
  result.rows = eval_rows(scored_b, scored_a);
  const bool any =
      std::any_of(result.rows.begin(), result.rows.end(), [](const EvalRow& row) { return row.paired > 0; });
  if (!any)
    throw Error(fmt::format(
        "diff: {} of {} and {} of {} have no question in common with the same prompt: {}", policies.first, a.place,
        policies.second, b.place,
        result.identity.empty() ? "other questions were asked" : "they differ in " + join(result.identity)));
  return result;
}

}  // namespace

int run_diff(std::span<const std::string> args) {
  po::options_description options = output_options();
  options.add_options()("fail-if", po::value<std::vector<std::string>>()->composing()->value_name("GATE"),
                        "exit 3 if a figure of B against A is beyond, as in 'flips_lost>5'; may repeat");
  const auto words = parse_words("diff", args, options, {{"A", "B"}, 2, false});
  if (!words) return kExitOk;
  const Format format = parse_format(output_format(*words));
  const std::vector<Gate> gates = parse_eval_gates(words->list("fail-if"));
  for (const Gate& gate : gates)
    if (needs_fidelity(gate))
      throw Error(
          fmt::format("diff: --fail-if '{}': {} is held against the baseline of one evaluation; "
                      "`sluice eval --fidelity` judges it",
                      gate.text, gate.field));
  Side a = open_side(words->positional[0]), b = open_side(words->positional[1]);
  std::vector<PolicyDifference> differences;
  for (const auto& pair : choose_pairs(a, b)) differences.push_back(compare(a, b, pair));
  const auto can_fail = [&](const Gate& gate) {
    return std::any_of(differences.begin(), differences.end(),
                       [&](const PolicyDifference& pair) { return any_row_has(gate, pair.rows); });
  };
  for (const Gate& gate : gates)
    if (!can_fail(gate))
      throw Error(fmt::format("diff: no row can fail --fail-if '{}': no task here has {}", gate.text, gate.field));
  write_stdout(difference_table(differences, format));
  int code = kExitOk;
  for (const PolicyDifference& pair : differences) code = std::max(code, judge(gates, pair.b, pair.rows));
  return code;
}

}  // namespace sluice
