// What bytes of a cache may be for: the kinds that the ledger counts and that reports name, in one order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

enum class Kind : uint32_t {
  kCodes,
  kScales,
  kLowRank,
  kOutlierValues,
  kOutlierIndices,
  kRowPointers,
  kPadding,
  kTail,
  kSideList,
  kPositions,
  kIndex,
  kSignal,
  kEvictorState,
  kSnapshot,
  kPlugin,
  kRotatedKeys,
  kSlack
};
inline constexpr uint32_t kKinds = 17;
inline constexpr std::array<std::string_view, kKinds> kKindNames = {
    "codes",  "scales",       "low_rank",  "outlier_values", "outlier_indices", "row_pointers",  "padding",
    "tail",   "side_list",    "positions", "index",          "signal",          "evictor_state", "snapshot",
    "plugin", "rotated_keys", "slack"};

}  // namespace sluice
