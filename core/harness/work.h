// The work of `sluice eval`: what the store has already is left out, all policies answer what is left, each answer is
// in the store when the next begins. What to ask is decided before, what it says is printed afterwards.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/eval/run.h"
#include "core/harness/questions.h"
#include "core/harness/rows.h"
#include "core/store/store.h"

namespace sluice {

struct EvalEntry {
  std::string name, settings, config;  // config: resolved, as TOML
  const Config* from = nullptr;
  std::unique_ptr<Policy> policy;
  bool reference = false;
};

// A subtask under a policy, as the store knows it.
struct EvalCell {
  RunRecord record;
  int64_t run = 0;
  std::vector<bool> done;  // [documents]
};

class EvalWork {
 public:
  struct How {
    EvalOptions options;  // answer, progress and batch are set by run()
    bool fast_stop = false, resume = false;
    std::filesystem::path folder;  // of the store, for messages
  };
  // Throws Error if the store holds samples of these runs and `resume` is not set.
  EvalWork(Engine& engine, Store& store, std::span<const EvalEntry> policies, std::vector<TaskRequests> asked,
           const How& how);

  uint64_t left() const { return left_; }  // samples to be made
  uint64_t done() const { return done_; }  // that were there
  // Samples of the same tasks and policies that the store has from other settings, and what differs; none: 0.
  struct Others {
    uint64_t samples = 0;
    std::vector<std::string> differ_in;
  };
  const Others& others() const { return others_; }
  // The most that any part of the run takes, at `batch` rows.
  MemoryPlan plan(uint32_t batch);
  // The largest of 16, 8, ... rows whose plan fits.
  uint32_t most_rows(uint64_t bytes);

  struct Result {
    uint64_t answered = 0, generated = 0, cache_peak = 0;
    double seconds = 0;
    bool interrupted = false;
  };
  // What is thrown leaves all finished samples in the store.
  void run(uint32_t batch, Result& result);

  // Once all is answered: leads every policy through the baseline's answers, those of samples that were not led through
  // the same answer yet, as many policies at a time as memory allows. False if it was interrupted; what was measured is
  // in the store.
  bool force_answers(uint64_t bytes);

  // A policy's samples as they are in the store now, those of this run's questions.
  std::vector<ScoredRun> scored(size_t policy);
  // The same with their texts.
  std::vector<SampleRecord> samples(size_t policy, size_t subtask);
  std::span<const TaskRequests> asked() const { return asked_; }

 private:
  // Subtask by subtask and in each policy by policy, the baseline's first, so that the others can be held against it
  // from the start. A row that ends is followed by the next job, whichever subtask that is of.
  std::vector<EvalJob> jobs(bool also_done) const;
  std::span<const EvalRequest> requests_of(size_t subtask) const {
    return std::span(requests_).subspan(first_[subtask], asked_[subtask].document.size());
  }
  // Of the baseline and so many policies beside it.
  MemoryPlan forced_plan(size_t subtask, uint32_t policies);
  uint32_t baseline() const;  // its index
  // What the baseline said to each document of a subtask, and its SHA-256.
  struct Spoken {
    std::vector<std::vector<int32_t>> texts;  // by request
    std::string key;
  };
  std::vector<std::optional<Spoken>> spoken(size_t subtask);
  // Their keys by document, read once for all policies.
  std::map<uint64_t, std::string>& answer_keys(size_t subtask);

  Engine& engine_;
  Store& store_;
  std::span<const EvalEntry> entries_;
  std::vector<EvalPolicy> policies_;
  std::vector<TaskRequests> asked_;
  std::vector<EvalRequest> requests_;         // of all subtasks, whose numbers are their families
  std::vector<size_t> first_;                 // [subtasks] in requests_
  std::vector<std::vector<EvalCell>> cells_;  // [subtasks][policies]
  std::map<size_t, std::map<uint64_t, std::string>> answer_keys_;
  EvalOptions options_;
  Others others_;
  uint64_t left_ = 0, done_ = 0;
};

}  // namespace sluice
