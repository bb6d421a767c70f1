// Parts of a subtask: its questions by what some fields of their records say (a passkey's length and depth). Results
// are shown for each, and a draw takes its share of each.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice {

// "words=600, depth=0.25"; empty without fields, or where the record lacks one.
std::string part_name(const nlohmann::ordered_json& record, const std::vector<std::string>& fields);

}  // namespace sluice
