// KLD over position, a line per policy, by logarithm. The script adds the reading under the pointer and lets the
// legend switch lines; what it needs for that stands in the data-* attributes of the <svg>.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/report/charts.h"
#include "core/report/format.h"
#include "core/report/svg.h"

namespace sluice {
namespace {

constexpr double kWidth = 960, kHeight = 420, kText = 11.5;
constexpr Box kFrame{64, 16, 812, 364};
constexpr double kSmallest =
    1e-7;  // bins below are drawn at the bottom: lines that dip to nothing would rule the scale

bool has_line(const PolicyResult& row) {
  return !row.reference && std::any_of(row.kld_curve.begin(), row.kld_curve.end(),
                                       [](const CurveBin& bin) { return std::isfinite(bin.kld) && bin.kld > 0; });
}

struct Axes {
  Scale position, kld;
  bool zero = false;  // some bin lies on the bottom line
};

Axes axes_of(const Comparison& comparison) {
  double low = INFINITY, high = 0;
  uint32_t last = 1;
  bool zero = false;
  for (const PolicyResult& row : comparison.policies) {
    if (!has_line(row)) continue;
    for (const CurveBin& bin : row.kld_curve) {
      last = std::max(last, bin.last);
      zero = zero || bin.kld < kSmallest;
      if (!std::isfinite(bin.kld) || bin.kld <= 0) continue;
      low = std::min(low, std::max(bin.kld, kSmallest));
      high = std::max(high, bin.kld);
    }
  }
  if (high == 0) low = 1e-3, high = 1;
  high = std::max(high, kSmallest * 10) * 1.3;
  low = std::min(low / 1.3, high / 10);
  return {{0, double(last), kFrame.left, kFrame.right}, {low, high, kFrame.bottom, kFrame.top, true}, zero};
}

std::string grid(const Axes& axes) {
  std::string out = R"(<g class="axis">)";
  for (const double tick : decades(axes.kld.low, axes.kld.high))
    out += fmt::format(R"(<line x1="{}" x2="{}" y1="{y}" y2="{y}"/><text x="{}" y="{}" text-anchor="end">{}</text>)",
                       px(kFrame.left), px(kFrame.right), px(kFrame.left - 8), px(axes.kld.at(tick) + 4),
                       decade_text(tick), fmt::arg("y", px(axes.kld.at(tick))));
  if (axes.zero)
    out += fmt::format(R"(<text x="{}" y="{}" text-anchor="end">0</text>)", px(kFrame.left - 8), px(kFrame.bottom + 4));
  for (const double tick : linear_ticks(axes.position.low, axes.position.high, 8))
    out += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">{}</text>)", px(axes.position.at(tick)),
                       px(kFrame.bottom + 19), count_text(uint64_t(std::lround(tick))));
  out += fmt::format(R"(<line class="base" x1="{}" x2="{}" y1="{b}" y2="{b}"/>)", px(kFrame.left), px(kFrame.right),
                     fmt::arg("b", px(kFrame.bottom)));
  out += fmt::format(
      R"svg(<text class="title" x="{}" y="{}" text-anchor="end">scored position</text><text class="title" transform="translate(14 {}) rotate(-90)" text-anchor="end">KLD in nats, mean of a bin</text></g>)svg",
      px(kFrame.right), px(kFrame.bottom + 40), px(kFrame.top));
  return out;
}

std::string line_path(const PolicyResult& row, const Axes& axes) {
  std::string path;
  bool pen_down = false;
  for (const CurveBin& bin : row.kld_curve) {
    if (!std::isfinite(bin.kld)) {
      pen_down = false;
      continue;
    }
    const double middle = (double(bin.first) + double(bin.last)) / 2;
    path += fmt::format("{}{} {}", pen_down ? "L" : "M", px(axes.position.at(middle)),
                        px(axes.kld.at(std::max(bin.kld, axes.kld.low))));
    pen_down = true;
  }
  return path;
}

}  // namespace

std::string position_chart(const Comparison& comparison) {
  const auto& rows = comparison.policies;
  const Axes axes = axes_of(comparison);
  const auto looks = looks_of(comparison);
  std::vector<size_t> shown;
  std::vector<double> ends;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!has_line(rows[i])) continue;
    const CurveBin& last = rows[i].kld_curve.back();
    shown.push_back(i);
    ends.push_back(axes.kld.at(std::max(std::isfinite(last.kld) ? last.kld : axes.kld.low, axes.kld.low)));
  }
  const auto label_y = spread(ends, kText + 2, kFrame.top + 6, kFrame.bottom);

  std::string out = fmt::format(
      R"(<svg id="positions" class="chart" viewBox="0 0 {} {}" role="group" aria-label="KLD over position, a line per policy" data-left="{}" data-right="{}" data-top="{}" data-bottom="{}" data-last="{}">)",
      px(kWidth), px(kHeight), px(kFrame.left), px(kFrame.right), px(kFrame.top), px(kFrame.bottom),
      px(axes.position.high));
  out += grid(axes);
  std::string legend = R"(<ul class="legend toggles" aria-label="lines shown">)";
  for (size_t s = 0; s < shown.size(); ++s) {
    const PolicyResult& row = rows[shown[s]];
    const std::string name = html_text(row.policy), look = look_classes(looks[shown[s]]);
    out += fmt::format(
        R"(<g class="series {}" data-index="{}" data-policy="{}" data-bins="{}"><path class="line" d="{}"/><path class="leader" d="M{} {}L{} {}"/><text class="label" x="{}" y="{}">{}</text></g>)",
        look, shown[s], name, row.kld_curve.size(), line_path(row, axes), px(kFrame.right + 2), px(ends[s]),
        px(kFrame.right + 14), px(label_y[s]), px(kFrame.right + 18), px(label_y[s] + 4),
        html_text(shortened(row.policy, 20)));
    legend += fmt::format(
        R"(<li><button type="button" class="toggle {}" aria-pressed="true" data-index="{}"><svg class="sample wide" viewBox="0 0 24 14" aria-hidden="true"><path class="line" d="M1 7H23"/></svg>{}</button></li>)",
        look, shown[s], name);
  }
  if (shown.empty())
    return out +
           fmt::format(
               R"(<text class="empty" x="{}" y="{}" text-anchor="middle">no divergence was measured</text></svg>)",
               px(kWidth / 2), px(kHeight / 2));
  out += fmt::format(R"(<line class="cursor" y1="{}" y2="{}" x1="0" x2="0" visibility="hidden"/></svg>)",
                     px(kFrame.top), px(kFrame.bottom));
  legend += R"(<li><button type="button" class="toggle all" data-all="true">all</button></li></ul>)";
  return out + legend;
}

}  // namespace sluice
