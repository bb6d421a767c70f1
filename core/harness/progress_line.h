// The line that says how far an evaluation is: "gsm8k_cot gear2 412/1319 acc 14.8±1.7", the whole run's share and time
// of arrival, speed and the bytes of a cache.
#pragma once

#include <chrono>
#include <string>

#include "core/base/progress.h"
#include "core/report/statistics.h"
#include "core/store/records.h"

namespace sluice {

class EvalProgressLine {
 public:
  explicit EvalProgressLine(uint64_t samples) : line_(samples, "eval") {}

  // The subtask under a policy that is being answered; `known` are its samples so far.
  struct Tally {
    std::string name;
    uint64_t samples = 0, total = 0;
    RunningMean score;
    double stored = 0, f16 = 0;
    void add(const SampleRecord& sample);
  };
  void answered(const Tally& tally);
  void stepped(uint64_t generated);  // of the whole run

 private:
  std::string note() const;

  Progress line_;
  uint64_t generated_ = 0, samples_ = 0;
  double stored_ = 0, f16_ = 0;  // means of the tally
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace sluice
