// Stored bytes of every policy as a stacked bar, a segment per kind. Kinds without bytes are segments without width,
// so that a page always holds policies x kinds of them.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/report/charts.h"
#include "core/report/format.h"
#include "core/report/svg.h"

namespace sluice {
namespace {

constexpr double kWidth = 960, kRow = 26, kBar = 15, kTop = 24, kLeft = 142, kRight = 770;

uint64_t bytes_of(const KvBytes& kv, std::string_view kind) {
  for (const auto& [name, bytes] : kv.by_kind)
    if (name == kind) return bytes;
  return 0;
}

uint64_t most_bytes(const Comparison& comparison) {
  uint64_t most = 1;
  for (const PolicyResult& row : comparison.policies)
    if (row.kv.stored) most = std::max(most, row.kv.bytes);
  return most;
}

std::string segments(const PolicyResult& row, size_t index, const Scale& scale, double y) {
  std::string out;
  uint64_t before = 0;
  for (size_t k = 0; k < kKindNames.size(); ++k) {
    const uint64_t bytes = row.kv.stored ? bytes_of(row.kv, kKindNames[k]) : 0;
    const double from = scale.at(double(before)), to = scale.at(double(before + bytes));
    before += bytes;
    const std::string name = html_text(row.policy);
    out += fmt::format(
        R"(<rect class="segment kind-{}" x="{}" y="{}" width="{}" height="{}" data-index="{}" data-policy="{}" data-kind="{}" data-bytes="{}")",
        k, px(from), px(y), px(to - from), px(kBar), index, name, kKindNames[k],
        row.kv.stored ? fmt::format("{}", bytes) : "");
    if (bytes > 0)
      out += fmt::format(R"( data-tip="{}&#10;{}&#10;{}&#10;{} of {}")", name, kKindNames[k], human_bytes(bytes),
                         percent_text(double(bytes) / double(std::max<uint64_t>(1, row.kv.bytes))),
                         human_bytes(row.kv.bytes));
    out += "/>";
  }
  return out;
}

std::string legend(const Comparison& comparison) {
  std::string out = R"(<ul class="legend kinds" aria-label="kinds of bytes">)";
  for (size_t k = 0; k < kKindNames.size(); ++k) {
    const bool used = std::any_of(comparison.policies.begin(), comparison.policies.end(), [&](const PolicyResult& row) {
      return row.kv.stored && bytes_of(row.kv, kKindNames[k]) > 0;
    });
    if (!used) continue;
    std::string words(kKindNames[k]);
    std::replace(words.begin(), words.end(), '_', ' ');
    out += fmt::format(R"(<li data-kind="{}"><i class="swatch kind-{}"></i>{}</li>)", kKindNames[k], k, words);
  }
  return out + "</ul>";
}

}  // namespace

std::string bytes_chart(const Comparison& comparison) {
  const auto& rows = comparison.policies;
  const double height = kTop + kRow * double(rows.size()) + 4;
  const Scale scale{0, double(most_bytes(comparison)), kLeft, kRight};
  std::string out = fmt::format(
      R"(<svg id="bytes" class="chart" viewBox="0 0 {} {}" role="img" aria-label="Stored KV bytes of each policy, stacked by kind">)",
      px(kWidth), px(height));
  const uint64_t f16 = [&] {
    for (const auto& row : rows)
      if (row.kv.stored && row.kv.bytes_f16 > 0) return row.kv.bytes_f16;
    return uint64_t{0};
  }();
  out += R"(<g class="axis">)";
  for (int quarter = 0; quarter <= 4 && f16 > 0; ++quarter) {
    const double bytes = double(f16) * quarter / 4;
    if (bytes > scale.high) break;
    const double x = scale.at(bytes);
    out +=
        fmt::format(R"(<line x1="{x}" x2="{x}" y1="{}" y2="{}"/><text x="{x}" y="{}" text-anchor="middle">{} %</text>)",
                    px(kTop - 6), px(height), px(kTop - 11), 25 * quarter, fmt::arg("x", px(x)));
  }
  out += fmt::format(
      R"(<text x="{}" y="{}" text-anchor="end">stored</text><text x="{}" y="{}" text-anchor="end">of F16</text></g>)",
      px(kWidth - 66), px(kTop - 11), px(kWidth), px(kTop - 11));
  for (size_t i = 0; i < rows.size(); ++i) {
    const PolicyResult& row = rows[i];
    const double y = kTop + kRow * double(i) + (kRow - kBar) / 2, base = y + kBar - 3.5;
    // --fill is what the composition view stretches to the full width.
    out += fmt::format(
        R"(<g class="bar-row" data-index="{}"><rect class="row-hit" x="0" y="{}" width="{}" height="{}"/><text class="name" x="{}" y="{}" text-anchor="end">{}</text><g class="segments" style="--fill:{:.6g};transform-origin:{}px 0">{}</g>)",
        i, px(y - (kRow - kBar) / 2), px(kWidth), px(kRow), px(kLeft - 10), px(base),
        html_text(shortened(row.policy, 20)),
        row.kv.stored ? scale.high / double(std::max<uint64_t>(1, row.kv.bytes)) : 1.0, px(kLeft),
        segments(row, i, scale, y));
    out +=
        row.kv.stored
            ? fmt::format(
                  R"(<text class="figure" x="{}" y="{b}" text-anchor="end">{}</text><text class="figure quiet" x="{}" y="{b}" text-anchor="end">{}</text></g>)",
                  px(kWidth - 66), human_bytes(row.kv.bytes), px(kWidth), percent_text(row.kv.ratio),
                  fmt::arg("b", px(base)))
            : fmt::format(
                  R"(<text class="figure quiet" x="{}" y="{}">simulated: stores nothing that could be counted</text></g>)",
                  px(kLeft), px(base));
  }
  return out + "</svg>" + legend(comparison);
}

}  // namespace sluice
