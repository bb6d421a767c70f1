// KLD against stored bytes, both by logarithm: the lower left is better. A KLD of zero stands on a line of its own
// below the scale.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/text.h"
#include "core/report/charts.h"
#include "core/report/format.h"
#include "core/report/svg.h"
#include "core/report/verdict.h"

namespace sluice {
namespace {

constexpr double kWidth = 960, kHeight = 470, kText = 12;
constexpr Box kFrame{64, 16, 944, 400};
constexpr double kZero = 26;        // height of the line for zero, with the break above it
constexpr double kSmallest = 1e-9;  // nothing below is worth a decade: arithmetic noise

struct Axes {
  Scale bytes, kld;
  double f16 = 0;
  bool zero = false;  // some row has no divergence at all

  double y(double kld_mean) const { return kld_mean > kSmallest ? kld.at(kld_mean) : kFrame.bottom - 8; }
};

Axes axes_of(const Comparison& comparison) {
  double least = INFINITY, most = 0, low = INFINITY, high = 0;
  Axes axes;
  for (const PolicyResult& row : comparison.policies) {
    if (!is_ranked(row)) continue;
    least = std::min(least, double(std::max<uint64_t>(1, row.kv.bytes)));
    most = std::max(most, double(row.kv.bytes));
    axes.f16 = std::max(axes.f16, double(row.kv.bytes_f16));
    if (row.kld_mean > kSmallest) low = std::min(low, row.kld_mean), high = std::max(high, row.kld_mean);
    if (row.kld_mean <= kSmallest) axes.zero = true;
  }
  if (high == 0) low = 1e-3, high = 1;
  if (axes.f16 == 0) axes.f16 = std::max(1.0, most);
  const double bottom = kFrame.bottom - (axes.zero ? kZero : 0);
  axes.bytes = {std::min(least, axes.f16) / 1.12, std::max({most, axes.f16, 2.0}) * 1.12, kFrame.left, kFrame.right,
                true};
  // At least a decade and a little air, so that one row does not make a scale without ticks.
  low /= 1.6, high *= 2;
  if (high / low < 10) low = high / 10;
  axes.kld = {low, high, bottom, kFrame.top, true};
  return axes;
}

std::string grid(const Axes& axes) {
  std::string out = R"(<g class="axis">)";
  const double bottom = axes.kld.from;
  for (const double tick : decades(axes.kld.low, axes.kld.high))
    out += fmt::format(R"(<line x1="{}" x2="{}" y1="{y}" y2="{y}"/><text x="{}" y="{}" text-anchor="end">{}</text>)",
                       px(kFrame.left), px(kFrame.right), px(kFrame.left - 8), px(axes.kld.at(tick) + 4),
                       decade_text(tick), fmt::arg("y", px(axes.kld.at(tick))));
  if (axes.zero)
    out += fmt::format(
        R"(<line class="break" x1="{l}" x2="{r}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">0</text>)",
        px(bottom + 4), px(bottom + 4), px(kFrame.left - 8), px(kFrame.bottom - 4), fmt::arg("l", px(kFrame.left)),
        fmt::arg("r", px(kFrame.right)));
  for (double share = 1; axes.f16 * share >= axes.bytes.low; share /= 2) {
    const double x = axes.bytes.at(axes.f16 * share);
    out += fmt::format(
        R"(<line x1="{x}" x2="{x}" y1="{}" y2="{}"/><text x="{x}" y="{}" text-anchor="middle">{}</text><text class="quiet" x="{x}" y="{}" text-anchor="middle">{:.3g} %</text>)",
        px(kFrame.top), px(kFrame.bottom), px(kFrame.bottom + 19), human_bytes(uint64_t(std::lround(axes.f16 * share))),
        px(kFrame.bottom + 34), 100 * share, fmt::arg("x", px(x)));
  }
  out += fmt::format(R"(<line class="base" x1="{l}" x2="{}" y1="{b}" y2="{b}"/>)", px(kFrame.right),
                     fmt::arg("l", px(kFrame.left)), fmt::arg("b", px(kFrame.bottom)));
  out += fmt::format(
      R"svg(<text class="title" x="{}" y="{}" text-anchor="end">stored KV bytes, and their share of F16 · fewer to the left</text><text class="title" transform="translate(14 {}) rotate(-90)" text-anchor="end">mean KLD in nats · closer at the bottom</text></g>)svg",
      px(kFrame.right), px(kHeight - 12), px(kFrame.top));
  return out;
}

// A staircase: between two rows of the front the one with fewer bytes is all that can be had.
std::string front_line(const Comparison& comparison, const Axes& axes, const std::vector<size_t>& front) {
  std::string path;
  double last_y = 0;
  for (const size_t i : front) {
    const PolicyResult& row = comparison.policies[i];
    const double x = axes.bytes.at(double(row.kv.bytes)), y = axes.y(row.kld_mean);
    path += path.empty() ? fmt::format("M{} {}", px(x), px(y))
                         : fmt::format("L{} {}L{} {}", px(x), px(last_y), px(x), px(y));
    last_y = y;
  }
  return front.size() > 1 ? fmt::format(R"(<path class="front" d="{}"/>)", path) : "";
}

std::string legend(const Comparison& comparison, const std::vector<Look>& looks) {
  std::string codecs, evictors;
  std::vector<bool> hue_seen(kHues), shape_seen(kShapes);
  const auto sample = [](const Look& look) {
    return fmt::format(R"(<svg class="sample" viewBox="0 0 14 14" aria-hidden="true">{}</svg>)",
                       marker(look, 7, 7, 4.6));
  };
  for (size_t i = 0; i < looks.size(); ++i) {
    const PolicyResult& row = comparison.policies[i];
    if (!hue_seen[looks[i].hue])
      codecs +=
          fmt::format("<li>{}{}</li>", sample({looks[i].hue, 0, 0}), row.codec.empty() ? "F16" : html_text(row.codec));
    if (!shape_seen[looks[i].shape])
      evictors += fmt::format(R"(<li class="plain">{}{}</li>)", sample({0, looks[i].shape, 0}),
                              row.evictor.empty() ? "keeps all" : html_text(row.evictor));
    hue_seen[looks[i].hue] = shape_seen[looks[i].shape] = true;
  }
  return fmt::format(
      R"(<div class="keys"><ul class="legend"><li class="lead">Codec</li>{}</ul><ul class="legend"><li class="lead">Evictor</li>{}</ul><ul class="legend"><li><svg class="sample wide" viewBox="0 0 24 14" aria-hidden="true"><path class="front" d="M1 3H12V11H23"/></svg>fewest bytes for the quality; rows off it are hollow</li></ul></div>)",
      codecs, evictors);
}

}  // namespace

std::string quality_chart(const Comparison& comparison) {
  const auto& rows = comparison.policies;
  const Axes axes = axes_of(comparison);
  const auto looks = looks_of(comparison);
  const auto front = pareto_front(comparison);
  std::vector<size_t> shown;
  std::vector<LabelRequest> requests;
  std::vector<std::string> names;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!is_ranked(rows[i])) continue;
    shown.push_back(i);
    names.push_back(shortened(rows[i].policy, 24));
    requests.push_back({axes.bytes.at(double(std::max<uint64_t>(1, rows[i].kv.bytes))), axes.y(rows[i].kld_mean),
                        label_width(names.back(), kText)});
  }
  const auto labels = place_labels(requests, {kFrame.left + 2, kFrame.top, kWidth, kFrame.bottom - 1}, kText);

  std::string out = fmt::format(
      R"(<svg id="quality" class="chart" viewBox="0 0 {} {}" role="group" aria-label="Mean KLD against stored bytes">)",
      px(kWidth), px(kHeight));
  out += grid(axes) + front_line(comparison, axes, front);
  for (size_t s = 0; s < shown.size(); ++s) {
    const PolicyResult& row = rows[shown[s]];
    const bool on_front = std::find(front.begin(), front.end(), shown[s]) != front.end();
    const double x = requests[s].x, y = requests[s].y;
    std::string whisker;
    if (row.kld_se > 0 && row.kld_mean > kSmallest) {
      const double low = std::max(row.kld_mean - row.kld_se, axes.kld.low);
      const double high = std::min(row.kld_mean + row.kld_se, axes.kld.high);
      whisker = fmt::format(R"(<line class="whisker" x1="{x}" x2="{x}" y1="{}" y2="{}"/>)", px(axes.kld.at(low)),
                            px(axes.kld.at(high)), fmt::arg("x", px(x)));
    }
    std::string leader;
    if (labels[s].away) {
      const double end = labels[s].x + (labels[s].anchor == "start" ? -3 : 3);
      leader = fmt::format(R"(<path class="leader" d="M{} {}L{} {}"/>)", px(x), px(y), px(end),
                           px(labels[s].y - 0.35 * kText));
    }
    const std::string name = html_text(row.policy);
    const std::string said =
        fmt::format("{}: {} stored, KLD {}", name, human_bytes(row.kv.bytes), divergence_text(row.kld_mean));
    out += fmt::format(
        R"(<g class="point {} {}" tabindex="0" role="img" aria-label="{}" data-index="{}" data-policy="{}" data-bytes="{}" data-kld-mean="{}" data-tip="{}&#10;KLD {}{}&#10;{} stored · {} of F16&#10;same top token {}">{}{}<text class="label" x="{}" y="{}" text-anchor="{}">{}</text></g>)",
        look_classes(looks[shown[s]]), on_front ? "on-front" : "off-front", said, shown[s], name, row.kv.bytes,
        exact_text(row.kld_mean), name, divergence_text(row.kld_mean),
        row.kld_se > 0 ? " ± " + divergence_error_text(row.kld_mean, row.kld_se) : "", human_bytes(row.kv.bytes),
        percent_text(row.kv.ratio), percent_text(row.same_top), leader + whisker, marker(looks[shown[s]], x, y, 5),
        px(labels[s].x), px(labels[s].y), labels[s].anchor, html_text(names[s]));
  }
  if (shown.empty())
    out += fmt::format(
        R"(<text class="empty" x="{}" y="{}" text-anchor="middle">no row has both stored bytes and a KLD</text>)",
        px(kWidth / 2), px(kHeight / 2));
  return out + "</svg>" + legend(comparison, looks);
}

}  // namespace sluice
