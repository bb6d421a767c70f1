// Results as JSON, in the field names and units of docs/output.md. Unknown figures are null, integers are integers,
// doubles are written so that they read back bit for bit.
#pragma once

#include <nlohmann/json.hpp>

#include "core/report/table.h"

namespace sluice {

// null for NaN and infinities, which JSON has no numbers for.
nlohmann::ordered_json number_or_null(double x);
nlohmann::ordered_json to_json(const Value& cell);
nlohmann::ordered_json to_json(const KvBytes& kv);
// Adds the figures as members, all but the number of tokens.
void add_fidelity(nlohmann::ordered_json& out, const FidelityFigures& figures);
nlohmann::ordered_json to_json(const PolicyResult& row);
nlohmann::ordered_json to_json(const Comparison& comparison);

}  // namespace sluice
