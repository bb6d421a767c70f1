// Results of evaluations as JSON, with the harness's metric keys and ours beside them (docs/output.md).
#pragma once

#include <nlohmann/json.hpp>

#include "core/harness/tables.h"

namespace sluice {

nlohmann::ordered_json to_json(const EvalRow& row);
nlohmann::ordered_json eval_json(const EvalResult& result);
nlohmann::ordered_json difference_json(std::span<const PolicyDifference> differences);

}  // namespace sluice
