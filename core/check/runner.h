// Runs all checks that apply to some libraries, each in a child, and says how each ended. What is printed is report.h's
// business.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/check/task.h"

namespace sluice::check {

struct RunOptions {
  std::vector<std::string> settings;           // K=V, for every module that has a parameter K
  std::vector<std::filesystem::path> folders;  // see Task
  uint64_t seed = 1;
  double fuzz_seconds = 0;   // per module, in which its checks are repeated with new seeds
  double limit_seconds = 0;  // of every check; 0: its own
  std::string include;       // a regular expression that names of checks must match in part; empty: all
  bool in_process = false;
  bool first_failure = false;               // no further check begins once one failed
  const std::atomic<bool>* stop = nullptr;  // set: what runs is ended, and no further check begins
};

struct Row {
  Task task;
  Result result;
};

// One row per check and module, in order; `on_row` hears of each when it is done. A fuzzed check's row is its first
// that failed. Throws Error, before anything is checked, for settings that no module knows or takes.
std::vector<Row> check_libraries(std::span<const std::filesystem::path> libraries, const RunOptions& options,
                                 const std::function<void(const Row&)>& on_row);

bool failed(Verdict verdict);  // FAIL, CRASH or TIMEOUT

// The library that a file or a module's name means, and where it was looked for if there is none. Loads nothing here.
std::filesystem::path find_library(const std::string& name, std::span<const std::filesystem::path> folders,
                                   const std::atomic<bool>* stop = nullptr);

}  // namespace sluice::check
