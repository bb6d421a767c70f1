// See work.h.
#include "core/harness/work.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "core/base/error.h"
#include "core/base/sha256.h"
#include "core/eval/identity.h"
#include "core/harness/progress_line.h"
#include "core/tasks/task_file.h"

namespace sluice {
namespace {

constexpr uint32_t kMostRows = 16;  // unless --batch says more; chosen, not measured

std::string where_to_go_on(const StoredRun& found, const std::filesystem::path& store) {
  return fmt::format(
      "{} holds {} sample{} of {} under {} already, from the same model and settings: --resume keeps them and makes "
      "those that are missing, another --out begins anew",
      store.string(), found.samples, found.samples == 1 ? "" : "s", found.record.task, found.record.policy);
}

}  // namespace

EvalWork::EvalWork(Engine& engine, Store& store, std::span<const EvalEntry> policies, std::vector<TaskRequests> asked,
                   const How& how)
    : engine_(engine), store_(store), entries_(policies), asked_(std::move(asked)), options_(how.options) {
  for (size_t t = 0; t < asked_.size(); t++) {
    first_.push_back(requests_.size());
    for (EvalRequest& request : asked_[t].requests) {
      request.family = uint32_t(t);
      requests_.push_back(std::move(request));
    }
    asked_[t].requests = {};
  }
  const FileHash hash = [&](const std::filesystem::path& file) { return store_.file_sha256(file); };
  std::vector<Identity> identities;
  for (const EvalEntry& entry : entries_) {
    policies_.push_back({entry.from, entry.policy.get()});
    Identity identity = run_identity(engine_, *entry.from, options_, hash);
    identity.emplace_back("context", std::to_string(engine_.context()));
    identity.emplace_back("fast_stop", how.fast_stop ? "yes" : "no");
    identities.push_back(std::move(identity));
  }
  const std::vector<StoredRun> stored = store_.runs();
  std::map<std::string, const StoredRun*> known;
  for (const StoredRun& run : stored) known[run.record.key()] = &run;
  const sluice_geometry g = engine_.geometry();
  for (const TaskRequests& a : asked_) {
    const Task& task = *a.task;
    std::vector<EvalCell>& row = cells_.emplace_back();
    for (size_t p = 0; p < entries_.size(); p++) {
      EvalCell& cell = row.emplace_back();
      cell.record.policy = entries_[p].name, cell.record.task = a.subtask->name;
      cell.record.task_version = task.version, cell.record.protocol = task.protocol;
      cell.record.identity = identities[p];
      cell.record.identity.emplace_back("task file", sha256_hex(task.file->text));
      cell.record.identity.emplace_back("shots", std::to_string(task.shots));
      cell.record.config = entries_[p].config;
      RunInfo info = run_info(task, *a.subtask);
      info.changes = changes_of(task);
      info.reference = entries_[p].reference, info.model = engine_.hyper().name, info.settings = entries_[p].settings;
      info.token_bytes = uint64_t(4) * g.layers * g.kv_heads * g.head_dim;
      cell.record.details = to_json(info);
      const auto found = known.find(cell.record.key());
      if (found != known.end() && found->second->samples > 0 && !how.resume)
        throw Error(where_to_go_on(*found->second, Store::file_in(how.folder)));
      for (const StoredRun& run : stored) {
        if (run.samples == 0 || run.record.policy != cell.record.policy || run.record.task != cell.record.task)
          continue;
        if (found != known.end() && found->second == &run) continue;
        others_.samples += run.samples;
        add_differences(run.record, cell.record, others_.differ_in);
      }
    }
  }
  for (size_t t = 0; t < asked_.size(); t++)
    for (EvalCell& cell : cells_[t]) {
      cell.run = store_.begin_run(cell.record);
      const auto there = store_.done(cell.run);
      for (size_t d = 0; d < asked_[t].keys.size(); d++) {
        const uint64_t id = asked_[t].subtask->documents[d].id;
        cell.done.push_back(there.count({id, asked_[t].keys[d]}) > 0);
        (cell.done.back() ? done_ : left_)++;
      }
    }
}

std::vector<EvalJob> EvalWork::jobs(bool also_done) const {
  std::vector<uint32_t> order;
  for (uint32_t p = 0; p < entries_.size(); p++) order.push_back(p);
  std::stable_partition(order.begin(), order.end(), [&](uint32_t p) { return entries_[p].reference; });
  std::vector<EvalJob> jobs;
  for (size_t t = 0; t < asked_.size(); t++)
    for (const uint32_t p : order)
      for (uint32_t r = 0; r < asked_[t].document.size(); r++)
        if (also_done || !cells_[t][p].done[asked_[t].document[r]]) jobs.push_back({p, uint32_t(first_[t] + r)});
  return jobs;
}

MemoryPlan EvalWork::plan(uint32_t batch) {
  const std::vector<EvalJob> left = jobs(false), whole = jobs(true);
  EvalOptions options = options_;
  options.batch = batch, options.whole = whole;
  MemoryPlan plan = plan_evaluation(engine_, policies_, requests_, left, options);
  plan.weights = engine_.weight_bytes(), plan.activations = engine_.activation_bytes();
  return plan;
}

uint32_t EvalWork::most_rows(uint64_t bytes) {
  uint32_t rows = kMostRows;
  while (rows > 1 && plan(rows).total() > bytes) rows /= 2;
  return rows;
}

void EvalWork::run(uint32_t batch, Result& result) {
  const std::vector<EvalJob> left = jobs(false), whole = jobs(true);
  if (left.empty()) return;
  EvalProgressLine line(left_);
  std::vector<std::vector<EvalProgressLine::Tally>> tallies(asked_.size());  // [subtasks][policies]
  for (size_t t = 0; t < asked_.size(); t++)
    for (size_t p = 0; p < entries_.size(); p++) {
      EvalProgressLine::Tally& tally = tallies[t].emplace_back();
      tally.name = asked_[t].subtask->name + " " + entries_[p].name, tally.total = asked_[t].keys.size();
      if (std::find(cells_[t][p].done.begin(), cells_[t][p].done.end(), true) == cells_[t][p].done.end()) continue;
      for (const SampleRecord& s : samples(p, t)) tally.add(s);
    }
  answer_keys_.clear();
  // Answers of a document in several requests wait for the others.
  std::map<std::tuple<size_t, uint32_t, uint32_t>, std::vector<Answer>> waiting;  // by subtask, policy and document
  EvalOptions options = options_;
  options.batch = batch, options.whole = whole;
  options.answer = [&](const Answer& answer) {
    const size_t t = requests_[answer.request].family;
    const TaskRequests& asked = asked_[t];
    const uint32_t d = asked.document[answer.request - first_[t]];
    std::vector<Answer>& parts = waiting[{t, answer.policy, d}];
    parts.push_back(answer);
    if (parts.size() < asked.first[d + 1] - asked.first[d]) return;
    std::sort(parts.begin(), parts.end(), [](const Answer& a, const Answer& b) { return a.request < b.request; });
    const SampleRecord sample = answered(asked, d, parts);
    store_.add(cells_[t][answer.policy].run, sample);
    waiting.erase({t, answer.policy, d});
    result.answered++;
    tallies[t][answer.policy].add(sample);
    line.answered(tallies[t][answer.policy]);
  };
  options.progress = [&](const EvalProgress& progress) {
    result.generated = progress.generated;
    line.stepped(progress.generated);
  };
  const EvalRun run = run_evaluation(engine_, policies_, requests_, left, options);
  result.generated = run.generated, result.seconds = run.seconds;
  result.cache_peak = run.arena_peak, result.interrupted = run.interrupted;
}

std::vector<SampleRecord> EvalWork::samples(size_t policy, size_t subtask) {
  std::map<uint64_t, std::string> wanted;
  const TaskRequests& asked = asked_[subtask];
  for (size_t d = 0; d < asked.keys.size(); d++) wanted[asked.subtask->documents[d].id] = asked.keys[d];
  std::vector<SampleRecord> samples = store_.samples(cells_[subtask][policy].run);
  std::erase_if(samples, [&](const SampleRecord& s) {
    const auto found = wanted.find(s.doc_id);
    return found == wanted.end() || found->second != s.prompt_key();
  });
  return samples;
}

std::vector<ScoredRun> EvalWork::scored(size_t policy) {
  std::vector<ScoredRun> runs;
  for (size_t t = 0; t < asked_.size(); t++) {
    const RunRecord& record = cells_[t][policy].record;
    ScoredRun& run = runs.emplace_back();
    run.policy = record.policy, run.name = record.task;
    run.version = record.task_version, run.protocol = record.protocol;
    run.info = read_run_info(record);
    std::map<std::pair<uint64_t, std::string>, FidelityRecord> forced;
    for (FidelityRecord& r : store_.fidelity(cells_[t][policy].run)) forced[{r.doc_id, r.prompt_key}] = std::move(r);
    for (const SampleRecord& s : samples(policy, t)) {
      ScoredSample& scored = run.samples.emplace_back(scored_sample(s, run.info));
      const auto found = forced.find({scored.doc_id, scored.key});
      if (found != forced.end() && found->second.answer == answer_keys(t)[s.doc_id])
        scored.forced = found->second.tokens;
    }
  }
  return runs;
}

}  // namespace sluice
