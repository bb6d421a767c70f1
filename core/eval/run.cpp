// See run.h.
#include "core/eval/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/eval/row.h"
#include "core/eval/snapshots.h"

namespace sluice {
namespace {

class Evaluation {
 public:
  Evaluation(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
             std::span<const EvalJob> jobs, const EvalOptions& options)
      : engine_(engine),
        policies_(policies),
        requests_(requests),
        jobs_(jobs),
        options_(options),
        snapshots_(engine, policies, requests, jobs, options) {
    run_.prefix_tokens = snapshots_.tokens();
  }

  void go() {
    while (!stopped()) {
      while (rows_.size() < options_.batch && next_ < jobs_.size()) {
        if (stopped()) return;
        admit(jobs_[next_++]);
      }
      if (rows_.empty()) return;
      step();
    }
  }
  EvalRun run_;

 private:
  bool stopped() { return run_.interrupted = options_.stop && *options_.stop; }

  // A row may end with its first token: then its place is free at once.
  void admit(const EvalJob& job) {
    const EvalRequest& request = requests_[job.request];
    auto row = std::make_unique<Row>(engine_, policies_[job.policy], job, request, options_);
    const SequenceCache* prefix = snapshots_.find(job);
    row->prompt(prefix);
    run_.prompt_tokens += request.prompt.size();
    if (row->ended())
      finish(*row);
    else
      rows_.push_back(std::move(row));
    tell();
  }

  void tell() const {
    if (!options_.progress) return;
    EvalProgress progress{run_.answered, run_.generated, engine_.arena().live()};
    for (const auto& row : rows_) progress.generated += row->generated();
    options_.progress(progress);
  }

  void step() {
    feeds_.clear(), logits_.resize(rows_.size());
    for (size_t i = 0; i < rows_.size(); i++) feeds_.push_back(rows_[i]->feed()), logits_[i].clear();
    engine_.step(feeds_, options_.exact, [&](std::span<const LogitRow> rows) {
      for (const LogitRow& row : rows) logits_[row.feed].assign(row.logits.begin(), row.logits.end());
    });
    for (size_t i = 0; i < rows_.size(); i++) rows_[i]->take(logits_[i]);
    for (auto& row : rows_)
      if (row->ended()) finish(*row), row.reset();
    std::erase(rows_, nullptr);
    tell();
  }

  void finish(Row& row) {
    const Answer answer = row.finish();
    snapshots_.ended(row.job());
    run_.answered++, run_.generated += answer.tokens.size();
    if (options_.answer) options_.answer(answer);
  }

  Engine& engine_;
  std::span<const EvalPolicy> policies_;
  std::span<const EvalRequest> requests_;
  std::span<const EvalJob> jobs_;
  const EvalOptions& options_;
  Snapshots snapshots_;                     // outlive the rows
  std::vector<std::unique_ptr<Row>> rows_;  // under way
  std::vector<Feed> feeds_;
  std::vector<std::vector<float>> logits_;  // [rows][vocab]
  size_t next_ = 0;                         // job
};

}  // namespace

EvalRun run_evaluation(Engine& engine, std::span<const EvalPolicy> policies, std::span<const EvalRequest> requests,
                       std::span<const EvalJob> jobs, const EvalOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  const MemoryPlan plan = plan_evaluation(engine, policies, requests, jobs, options);
  engine.arena().reset_peak();
  Evaluation evaluation(engine, policies, requests, jobs, options);
  try {
    evaluation.go();
  } catch (const Interrupted&) {
    evaluation.run_.interrupted = true;
  }
  EvalRun& run = evaluation.run_;
  run.plan = plan, run.arena_peak = engine.arena().peak();
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return run;
}

}  // namespace sluice
