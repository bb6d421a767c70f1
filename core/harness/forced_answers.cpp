// EvalWork's fidelity (work.h): the baseline's answers from the store, through every policy's cache, and
// what that shows back into the store.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/eval/fidelity.h"
#include "core/harness/work.h"

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
    all[d] = Spoken{forced_tokens(asked, requests_of(subtask), d, s), ""};
    all[d]->key = answer_key(all[d]->texts);
  }
  return all;
}

std::map<uint64_t, std::string>& EvalWork::answer_keys(size_t subtask) {
  const auto [at, is_new] = answer_keys_.try_emplace(subtask);
  if (is_new) {
    const auto said = spoken(subtask);
    for (size_t d = 0; d < said.size(); d++)
      if (said[d]) at->second[asked_[subtask].subtask->documents[d].id] = said[d]->key;
  }
  return at->second;
}

// What answers will be is not known before; how long they may get is.
MemoryPlan EvalWork::forced_plan(size_t subtask, uint32_t policies) {
  std::vector<EvalJob> jobs;
  for (uint32_t r = 0; r < requests_of(subtask).size(); r++)
    for (uint32_t p = 0; p < entries_.size(); p++) jobs.push_back({p, r});
  EvalOptions options = options_;
  options.batch = policies + 1;
  return plan_evaluation(engine_, policies_, requests_of(subtask), jobs, options);
}

bool EvalWork::force_answers(uint64_t bytes) {
  struct Part {
    std::vector<ForcedAnswer> answers;
    std::vector<std::optional<Spoken>> spoken;
  };
  std::vector<Part> parts;
  uint64_t texts = 0;
  for (size_t t = 0; t < asked_.size(); t++) {
    const TaskRequests& asked = asked_[t];
    Part& part = parts.emplace_back();
    part.spoken = spoken(t);
    size_t together = std::max<size_t>(entries_.size() - 1, 1);
    while (together > 1 && forced_plan(t, uint32_t(together)).total() > bytes) together = (together + 1) / 2;
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
      // All requests of a document go through some policies before the next come.
      for (size_t first = 0; first < policies.size(); first += together) {
        const size_t end = std::min(first + together, policies.size());
        for (uint32_t r = asked.first[d]; r < asked.first[d + 1]; r++)
          part.answers.push_back({r,
                                  part.spoken[d]->texts[r - asked.first[d]],
                                  {policies.begin() + ptrdiff_t(first), policies.begin() + ptrdiff_t(end)}});
      }
      texts += policies.size() * (asked.first[d + 1] - asked.first[d]);
    }
  }
  Progress progress(texts, "fidelity");
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
    if (!sluice::force_answers(engine_, policies_, baseline(), requests_of(t), parts[t].answers, options_, sink))
      return false;
  }
  return true;
}

}  // namespace sluice
