// What a run's samples are to be read with: the task's metrics, its place in a group, what was changed about it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/store/records.h"
#include "core/tasks/task.h"

namespace sluice {

struct MetricInfo {
  std::string name, filter, fallback;  // fallback: what the filter says where it finds nothing
  bool added = false;                  // not one of the protocol's
  std::string key() const { return name + "," + filter; }
  bool higher_is_better() const;
  bool counts() const;  // 0 or 1 for each question
};

// What figures need to know of a run beside its samples; kept in the store as the run's details.
struct RunInfo {
  std::string task;   // that was asked for: "mmlu" of mmlu_anatomy
  std::string group;  // "mmlu_stem", or empty
  std::string alias;  // of the subtask: "anatomy"
  std::string unverified;
  uint32_t shots = 0;
  double chance = 0;
  std::string group_version;                    // of the task as a whole
  std::vector<std::string> parts;               // fields of a record by which results are also shown
  std::map<std::string, uint64_t> part_totals;  // documents there are of each part, by its name
  std::vector<std::string> changes;             // options that make this something else than the protocol
  bool weight_by_size = true, generates = false;
  bool reference = false;    // keeps all, as F16
  uint64_t total = 0;        // documents there are
  uint64_t token_bytes = 0;  // of a token's rows in F16
  std::string model;         // its name
  std::string settings;      // of the policy, for people
  std::vector<MetricInfo> metrics;
};
// Options that make a task something else than its protocol, as typed: "--shots 3".
std::vector<std::string> changes_of(const Task& task);
RunInfo run_info(const Task& task, const Subtask& subtask);
std::string to_json(const RunInfo& info);
// What two runs of a task differ in, by the names of their identities; those that are known already are not repeated.
void add_differences(const RunRecord& a, const RunRecord& b, std::vector<std::string>& names);
// Error if it is not what to_json() wrote.
RunInfo read_run_info(const RunRecord& record);

}  // namespace sluice
