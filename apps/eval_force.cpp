// EvalWork::force_answers() of eval_run.h: the baseline's answers from the store, through every policy's cache, and
// what that shows back into the store.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/eval_run.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/eval/fidelity.h"

namespace sluice {
namespace {

std::string answer_key(std::span<const std::vector<int32_t>> texts) {
  std::string bytes;
  for (const std::vector<int32_t>& text : texts) {
    bytes += std::to_string(text.size()) + ":";
    bytes.append(reinterpret_cast<const char*>(text.data()), text.size() * sizeof(int32_t));
  }
  return sha256_hex(bytes);
}

TokenScore token_score(const PositionScore& s) {
  return {float(s.nll), float(s.reference_nll), float(s.kld), s.same_top ? 1.0f : 0.0f};
}

}  // namespace

uint32_t EvalWork::baseline() const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [](const EvalEntry& e) { return e.reference; });
  return uint32_t(found - entries_.begin());
}

std::vector<std::optional<EvalWork::Spoken>> EvalWork::spoken(size_t subtask) {
  const TaskRequests& asked = asked_[subtask];
  std::map<uint64_t, uint32_t> by_id;
  for (uint32_t d = 0; d < asked.keys.size(); d++) by_id[asked.subtask->documents[d].id] = d;
  std::vector<std::optional<Spoken>> all(asked.keys.size());
  for (const SampleRecord& s : samples(baseline(), subtask)) {
    const uint32_t d = by_id.at(s.doc_id);
    all[d] = Spoken{forced_tokens(asked, d, s), ""};
    all[d]->key = answer_key(all[d]->texts);
  }
  return all;
}

// What answers will be is not known before; how long they may get is.
MemoryPlan EvalWork::forced_plan(size_t subtask) {
  std::vector<ForcedAnswer> answers;
  for (uint32_t r = 0; r < asked_[subtask].requests.size(); r++) {
    ForcedAnswer& answer = answers.emplace_back();
    answer.request = r;
    for (uint32_t p = 0; p < entries_.size(); p++)
      if (p != baseline()) answer.policies.push_back(p);
  }
  EvalOptions options = options_;
  options.batch = uint32_t(entries_.size());
  const std::vector<EvalJob> jobs = forced_jobs(answers, baseline());
  return plan_evaluation(engine_, policies_, asked_[subtask].requests, jobs, options);
}

bool EvalWork::force_answers() {
  struct Part {
    std::vector<ForcedAnswer> answers;
    std::vector<std::optional<Spoken>> spoken;
  };
  std::vector<Part> parts;
  uint64_t tokens = 0;
  for (size_t t = 0; t < asked_.size(); t++) {
    const TaskRequests& asked = asked_[t];
    Part& part = parts.emplace_back();
    part.spoken = spoken(t);
    std::vector<std::map<std::pair<uint64_t, std::string>, std::string>> known(entries_.size());
    for (size_t p = 0; p < entries_.size(); p++)
      for (const FidelityRecord& r : store_.fidelity(cells_[t][p].run)) known[p][{r.doc_id, r.prompt_key}] = r.answer;
    for (uint32_t d = 0; d < part.spoken.size(); d++) {
      if (!part.spoken[d]) continue;
      std::vector<uint32_t> policies;
      const std::pair<uint64_t, std::string> sample{asked.subtask->documents[d].id, asked.keys[d]};
      for (uint32_t p = 0; p < entries_.size(); p++) {
        const auto found = known[p].find(sample);
        if (p != baseline() && (found == known[p].end() || found->second != part.spoken[d]->key)) policies.push_back(p);
      }
      if (policies.empty()) continue;
      for (uint32_t r = asked.first[d]; r < asked.first[d + 1]; r++) {
        part.answers.push_back({r, part.spoken[d]->texts[r - asked.first[d]], policies});
        tokens += policies.size();
      }
    }
  }
  Progress progress(tokens, "fidelity");
  for (size_t t = 0; t < parts.size(); t++) {
    const TaskRequests& asked = asked_[t];
    // Scores of a document in several requests wait for the others.
    std::map<std::pair<uint32_t, uint32_t>, FidelityRecord> waiting;  // by policy and document
    const ForcedSink sink = [&](uint32_t policy, const ForcedAnswer& answer, std::span<const PositionScore> scores) {
      const uint32_t d = asked.document[answer.request];
      FidelityRecord& record = waiting[{policy, d}];
      for (const PositionScore& s : scores) record.tokens.push_back(token_score(s));
      progress.advance(1, asked.subtask->name + " " + entries_[policy].name);
      if (answer.request + 1 < asked.first[d + 1]) return;
      record.doc_id = asked.subtask->documents[d].id, record.prompt_key = asked.keys[d];
      record.answer = parts[t].spoken[d]->key;
      store_.add_fidelity(cells_[t][policy].run, record);
      waiting.erase({policy, d});
    };
    if (!sluice::force_answers(engine_, policies_, baseline(), asked.requests, parts[t].answers, options_, sink))
      return false;
  }
  return true;
}

}  // namespace sluice
