// Results of an evaluation in the harness's files, one set per policy (core/store/export.h).
#pragma once

#include <filesystem>

#include "core/harness/tables.h"
#include "core/harness/work.h"

namespace sluice {

struct ExportOrder {
  std::filesystem::path folder, model;
  std::string time;  // of all files
  bool samples = false;
  double began = 0;  // seconds since 1970
};
// Returns the files, in the order in which they were written.
std::vector<std::filesystem::path> export_results(EvalWork& work, const EvalResult& result, const ExportOrder& order);

}  // namespace sluice
