// The error of attention's output over the layers, by logarithm, a line per policy.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/report/charts.h"
#include "core/report/format.h"
#include "core/report/svg.h"

namespace sluice {
namespace {

constexpr double kWidth = 960, kHeight = 380, kText = 11.5;
constexpr Box kFrame{64, 16, 812, 324};
constexpr double kSmallest = 1e-6;  // nothing below is worth a decade

bool has_line(const PolicyResult& row) {
  return !row.reference && row.attention &&
         std::any_of(row.attention->output_error.begin(), row.attention->output_error.end(),
                     [](double e) { return std::isfinite(e) && e > 0; });
}

struct Axes {
  Scale layer, error;
  double y(double e) const { return error.at(std::max(e, error.low)); }
};

Axes axes_of(const Comparison& comparison) {
  double low = INFINITY, high = 0;
  size_t layers = 2;
  for (const PolicyResult& row : comparison.policies) {
    if (!has_line(row)) continue;
    layers = std::max(layers, row.attention->output_error.size());
    for (const double e : row.attention->output_error)
      if (std::isfinite(e)) low = std::min(low, std::max(e, kSmallest)), high = std::max(high, e);
  }
  high = std::max(high, kSmallest * 10) * 1.3;
  return {{0, double(layers - 1), kFrame.left, kFrame.right},
          {std::min(low / 1.3, high / 10), high, kFrame.bottom, kFrame.top, true}};
}

std::string grid(const Axes& axes) {
  std::string out = R"(<g class="axis">)";
  for (const double tick : decades(axes.error.low, axes.error.high))
    out += fmt::format(R"(<line x1="{}" x2="{}" y1="{y}" y2="{y}"/><text x="{}" y="{}" text-anchor="end">{}</text>)",
                       px(kFrame.left), px(kFrame.right), px(kFrame.left - 8), px(axes.error.at(tick) + 4),
                       decade_text(tick), fmt::arg("y", px(axes.error.at(tick))));
  for (const double tick : linear_ticks(axes.layer.low, axes.layer.high, 8))
    out += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">{}</text>)", px(axes.layer.at(tick)),
                       px(kFrame.bottom + 19), count_text(uint64_t(std::lround(tick))));
  return out +
         fmt::format(
             R"svg(<line class="base" x1="{}" x2="{r}" y1="{b}" y2="{b}"/><text class="title" x="{r}" y="{}" text-anchor="end">layer</text><text class="title" transform="translate(14 {}) rotate(-90)" text-anchor="end">error over norm</text></g>)svg",
             px(kFrame.left), px(kFrame.bottom + 40), px(kFrame.top), fmt::arg("r", px(kFrame.right)),
             fmt::arg("b", px(kFrame.bottom)));
}

}  // namespace

std::string attention_chart(const Comparison& comparison) {
  const auto& rows = comparison.policies;
  const Axes axes = axes_of(comparison);
  const auto looks = looks_of(comparison);
  std::vector<size_t> shown;
  std::vector<double> ends;
  for (size_t i = 0; i < rows.size(); i++) {
    if (!has_line(rows[i])) continue;
    const double last = rows[i].attention->output_error.back();
    shown.push_back(i), ends.push_back(axes.y(std::isfinite(last) ? last : axes.error.low));
  }
  if (shown.empty()) return "";
  const auto label_y = spread(ends, kText + 2, kFrame.top + 6, kFrame.bottom);
  std::string out = fmt::format(
      R"(<svg id="attention" class="chart" viewBox="0 0 {} {}" role="group" aria-label="error of attention over the layers, a line per policy">)",
      px(kWidth), px(kHeight));
  out += grid(axes);
  for (size_t s = 0; s < shown.size(); s++) {
    const PolicyResult& row = rows[shown[s]];
    std::string path;
    const std::vector<double>& errors = row.attention->output_error;
    for (size_t l = 0; l < errors.size(); l++)
      if (std::isfinite(errors[l]))
        path += fmt::format("{}{} {}", path.empty() ? "M" : "L", px(axes.layer.at(double(l))), px(axes.y(errors[l])));
    out += fmt::format(
        R"(<g class="series {}" data-index="{}" data-policy="{}"><path class="line" d="{}"/><path class="leader" d="M{} {}L{} {}"/><text class="label" x="{}" y="{}">{}</text></g>)",
        look_classes(looks[shown[s]]), shown[s], html_text(row.policy), path, px(kFrame.right + 2), px(ends[s]),
        px(kFrame.right + 14), px(label_y[s]), px(kFrame.right + 18), px(label_y[s] + 4),
        html_text(shortened(row.policy, 20)));
  }
  return out + "</svg>";
}

}  // namespace sluice
