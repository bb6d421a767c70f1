// Which hue, marker and dashes a policy gets. Reports show them; they mean nothing elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/report/charts.h"
#include "core/report/svg.h"

namespace sluice {
namespace {

// The place of `name` among the names met so far; the empty one (F16, keep all) is always the first.
size_t rank_of(std::vector<std::string>& names, const std::string& name) {
  if (names.empty()) names.emplace_back();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return size_t(found - names.begin());
  names.push_back(name);
  return names.size() - 1;
}

}  // namespace

std::vector<Look> looks_of(const Comparison& comparison) {
  std::vector<std::string> codecs, evictors;
  std::map<std::pair<size_t, size_t>, size_t> seen;
  std::vector<Look> looks;
  for (const PolicyResult& row : comparison.policies) {
    const size_t hue = rank_of(codecs, row.codec) % kHues, shape = rank_of(evictors, row.evictor) % kShapes;
    looks.push_back({hue, shape, seen[{hue, shape}]++ % kTints});
  }
  return looks;
}

std::string look_classes(const Look& look) {
  return fmt::format("hue-{} tint-{} dash-{}", look.hue, look.tint, look.shape);
}

std::string marker(const Look& look, double x, double y, double radius, std::string_view extra) {
  // Corners in units of the radius, sized so that all shapes weigh about the same.
  constexpr std::pair<double, double> kSquare[] = {{-.88, -.88}, {.88, -.88}, {.88, .88}, {-.88, .88}};
  constexpr std::pair<double, double> kDiamond[] = {{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}};
  constexpr std::pair<double, double> kUp[] = {{0, -1.25}, {1.2, .9}, {-1.2, .9}};
  constexpr std::pair<double, double> kDown[] = {{0, 1.25}, {1.2, -.9}, {-1.2, -.9}};
  constexpr std::pair<double, double> kPlus[] = {{-.4, -1.2}, {.4, -1.2}, {.4, -.4},   {1.2, -.4},
                                                 {1.2, .4},   {.4, .4},   {.4, 1.2},   {-.4, 1.2},
                                                 {-.4, .4},   {-1.2, .4}, {-1.2, -.4}, {-.4, -.4}};
  constexpr std::pair<double, double> kBar[] = {{-1.3, -.55}, {1.3, -.55}, {1.3, .55}, {-1.3, .55}};
  const auto polygon = [&](const auto& corners) {
    std::string path;
    for (const auto& [dx, dy] : corners)
      path += fmt::format("{}{} {}", path.empty() ? "M" : "L", px(x + radius * dx), px(y + radius * dy));
    return path + "Z";
  };
  std::string path;
  switch (look.shape) {
    case 1:
      path = polygon(kUp);
      break;
    case 2:
      path = polygon(kPlus);
      break;
    case 3:
      path = polygon(kSquare);
      break;
    case 4:
      path = polygon(kDiamond);
      break;
    case 5:
      path = polygon(kDown);
      break;
    case 6:
      path = polygon(kBar);
      break;
    default:
      path = fmt::format("M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z", px(x - radius), px(y),
                         fmt::arg("r", px(radius)), fmt::arg("d", px(2 * radius)));
  }
  return fmt::format(R"(<path class="marker {}" d="{}"{}/>)", look_classes(look), path, extra);
}

}  // namespace sluice
