// See fidelity.h.
#include "core/eval/fidelity.h"

#include "core/base/error.h"
#include "core/eval/row.h"
#include "core/eval/snapshots.h"

namespace sluice {
namespace {

// An answer on its way through several caches, the baseline's first.
class ForcedRows {
 public:
  ForcedRows(Engine& engine, std::span<const EvalPolicy> policies, const EvalRequest& request,
             const ForcedAnswer& answer, const EvalOptions& options)
      : engine_(engine), policies_(policies), request_(request), options_(options), tokens_(request.prompt) {
    tokens_.insert(tokens_.end(), answer.tokens.begin(), answer.tokens.end());
    const auto* rolling = std::get_if<Rolling>(&request.want);
    first_ = rolling ? rolling->given : uint32_t(request.prompt.size());
  }

  void prompt(uint32_t policy, const SequenceCache* prefix) {
    const auto most = uint32_t(most_tokens(request_));
    const EvalPolicy& p = policies_[policy];
    caches_.push_back(engine_.create_cache(*p.policy, budget_tokens(*p.config, *p.policy, most), most));
    scores_.emplace_back();
    const auto row = uint32_t(caches_.size() - 1);
    at_ = prompt_part(request_, options_.score_window);
    feed_prompt_part(engine_, *caches_.back(), request_, prefix,
                     at_ == first_ && first_ < tokens_.size() ? Want::kLast : Want::kNothing, options_,
                     [&](std::span<const LogitRow> rows) {
                       const LogitRow last{row, 0, rows.back().logits};
                       score({&last, 1});
                     });
  }

  bool ended() const { return at_ + 1 >= tokens_.size(); }

  void step() {
    const Want want = ++at_ >= first_ ? Want::kLast : Want::kNothing;
    feeds_.clear();
    for (const auto& cache : caches_) feeds_.push_back({cache.get(), {&tokens_[at_ - 1], 1}, want});
    engine_.step(feeds_, options_.exact, [&](std::span<const LogitRow> rows) { score(rows); });
  }

  std::span<const PositionScore> scores(size_t row) const { return scores_[row]; }

 private:
  // What the caches make of the token at at_.
  void score(std::span<const LogitRow> rows) {
    for (const LogitRow& row : rows)
      if (row.feed == 0) truth_.set(row.logits);
    engine_.registry().pool().each(uint32_t(rows.size()), [&](uint32_t i) {
      scores_[rows[i].feed].push_back(score_position(truth_, rows[i].logits, uint32_t(tokens_[at_])));
    });
  }

  Engine& engine_;
  std::span<const EvalPolicy> policies_;
  const EvalRequest& request_;
  const EvalOptions& options_;
  std::vector<int32_t> tokens_;  // of prompt and answer
  uint32_t first_ = 0, at_ = 0;  // the first that is scored; the next to be scored
  std::vector<std::unique_ptr<SequenceCache>> caches_;
  std::vector<std::vector<PositionScore>> scores_;  // [caches]
  std::vector<Feed> feeds_;
  LogProbs truth_;
};

}  // namespace

std::vector<EvalJob> forced_jobs(std::span<const ForcedAnswer> answers, uint32_t baseline) {
  std::vector<EvalJob> jobs;
  for (const ForcedAnswer& answer : answers) {
    jobs.push_back({baseline, answer.request});
    for (const uint32_t policy : answer.policies) jobs.push_back({policy, answer.request});
  }
  return jobs;
}

bool force_answers(Engine& engine, std::span<const EvalPolicy> policies, uint32_t baseline,
                   std::span<const EvalRequest> requests, std::span<const ForcedAnswer> answers,
                   const EvalOptions& options, const ForcedSink& sink) {
  const auto stopped = [&] { return options.stop && *options.stop; };
  const std::vector<EvalJob> jobs = forced_jobs(answers, baseline);
  Snapshots snapshots(engine, policies, requests, jobs, options);
  try {
    for (const ForcedAnswer& answer : answers) {
      if (stopped()) return false;
      std::vector<EvalJob> own{{baseline, answer.request}};
      for (const uint32_t policy : answer.policies) own.push_back({policy, answer.request});
      {
        ForcedRows rows(engine, policies, requests[answer.request], answer, options);
        for (const EvalJob& job : own) rows.prompt(job.policy, snapshots.find(job));
        while (!rows.ended()) {
          if (stopped()) return false;
          rows.step();
        }
        for (size_t i = 1; i < own.size(); i++) sink(own[i].policy, answer, rows.scores(i));
      }
      for (const EvalJob& job : own) snapshots.ended(job);
    }
  } catch (const Interrupted&) {
    return false;
  }
  return true;
}

}  // namespace sluice
