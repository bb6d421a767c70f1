// Small JSON files read whole, with limits on size and depth so that a hostile one costs little.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace sluice {

// Error naming the file and line and column when it is not JSON, larger than `limit` bytes, or nested deeper than
// `depth` levels.
nlohmann::json read_json_file(const std::filesystem::path& path, uint64_t limit, int depth);
// The same with members in the file's order.
nlohmann::ordered_json read_ordered_json_file(const std::filesystem::path& path, uint64_t limit, int depth);

}  // namespace sluice
