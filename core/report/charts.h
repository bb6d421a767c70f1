// The pictures of the comparison page as inline SVG: bytes by kind, quality against bytes, divergence over position
// and attention over layers.
// Colours come from the style sheet by class; what belongs to policy i carries data-index="i".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/report/result.h"

namespace sluice {

// How a policy looks everywhere on the page: the hue says its codec, marker and dashes say its evictor, and a tint
// tells apart policies that share both.
struct Look {
  size_t hue = 0, shape = 0, tint = 0;
};
inline constexpr size_t kHues = 7, kShapes = 7, kTints = 3;
std::vector<Look> looks_of(const Comparison& comparison);
std::string look_classes(const Look& look);  // "hue-0 tint-1"

// A marker of about `radius` around (x, y) as <path>.
std::string marker(const Look& look, double x, double y, double radius, std::string_view extra_attributes = {});

std::string bytes_chart(const Comparison& comparison);
std::string quality_chart(const Comparison& comparison);
std::string position_chart(const Comparison& comparison);
std::string attention_chart(const Comparison& comparison);  // empty: nobody looked

}  // namespace sluice
