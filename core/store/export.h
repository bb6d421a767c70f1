// Results in the layout that lm-eval 0.4.13 writes and that tools read: results_<time>.json,
// samples_<task>_<time>.jsonl and, beside them, samples_<task>_<time>.csv. Takes plain values; what scores are is up to
// who made them.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/store/records.h"

namespace sluice {

struct ExportMetric {
  std::string name, filter;
  double value = 0;
  std::optional<double> stderr_value;  // "N/A" without
};

// A task, or a group of tasks.
struct ExportTask {
  std::string name, alias;
  std::vector<ExportMetric> metrics;
  std::vector<std::pair<std::string, bool>> higher_is_better;  // by metric
  std::string version = "null";                                // JSON, as the task file has it: 3, "1.0"
  std::optional<uint32_t> shots;                               // none: a group whose tasks differ
  uint64_t original = 0, effective = 0;                        // documents: all there are, those evaluated
  std::string config = "{}";                                   // JSON; "" for a group
  bool group = false;
  std::vector<std::string> children;  // of a group
};

struct Export {
  std::string model_name, model_source = "sluice";
  std::string config = "{}";  // JSON: model, settings of the run
  double date = 0;            // when it began, seconds since 1970
  double seconds = 0;         // that it took
  std::string git_hash, machine;
  std::optional<std::string> chat_template, system_instruction;
  std::vector<ExportTask> tasks;  // as the harness has them: tasks, then groups
  std::string extra = "{}";       // JSON under "sluice": what the harness has no name for
};

// The samples of a task, in order of doc_id.
struct ExportSamples {
  std::string task;
  std::span<const SampleRecord> samples;
};

std::string results_json(const Export& run, std::span<const ExportSamples> samples);
// A line per filter and sample, filter by filter.
std::string samples_jsonl(std::span<const SampleRecord> samples);
// A row per sample, with a column per metric and filter.
std::string samples_csv(std::span<const SampleRecord> samples);

// Each file appears complete or not at all, in folder/<model name>/; `time` is as in "2026-01-31T17-05-09.123456".
// Returns the files, that of results last.
std::vector<std::filesystem::path> write_export(const std::filesystem::path& folder, const std::string& time,
                                                const Export& run, std::span<const ExportSamples> samples);
std::string export_time();  // now, local

}  // namespace sluice
