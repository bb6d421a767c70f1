// Two things that are timed in turns, A B B A A B B A, so that a machine that changes changes for both. What they are,
// and where their figures come from, is the callers' business.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "core/report/result.h"

namespace sluice {

class Trial;

// A turn of one of the two.
struct Slice {
  double tokens = 0, seconds = 0;
  double foreign = kUnknown;  // share of the machine that others used meanwhile
};
inline constexpr double kSliceSeconds = 0.25;  // the least that a turn lasts

using Turn = std::function<Slice()>;
// Whole runs of a trial until the turn is long enough.
Slice trial_slice(Trial& trial);

struct PairFigures {
  std::vector<double> ratios;     // of each pair: tokens a second of the first over those of the second
  std::vector<double> speeds[2];  // of each pair's two
  uint32_t dropped = 0;           // pairs in which others used too much of the machine
};

// Pairs of neighbouring turns until `pairs` of them count, or three times as many were tried. Both are warmed up by a
// turn that does not count. `pair_done(count)` may be empty.
PairFigures alternate(const Turn& first, const Turn& second, uint32_t pairs,
                      const std::function<void(uint32_t)>& pair_done = {});

struct Spread {
  double median = kUnknown, low = kUnknown, high = kUnknown;
};
Spread spread(std::vector<double> values);

// Of equal things, six pairs fall to one side once in 32 runs, seven once in 64.
inline constexpr size_t kFewestPairs = 7;
// "faster" or "slower" where all ratios lie on one side of 1 and are enough, else "not told apart".
std::string_view verdict_of(const std::vector<double>& ratios);

}  // namespace sluice
