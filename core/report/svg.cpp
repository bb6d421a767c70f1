// See svg.h.
#include "core/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/report/format.h"

namespace sluice {
namespace {

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

double outside(const Box& a, const Box& frame) {
  return std::max(0.0, frame.left - a.left) + std::max(0.0, a.right - frame.right) + std::max(0.0, frame.top - a.top) +
         std::max(0.0, a.bottom - frame.bottom);
}

}  // namespace

double Scale::at(double value) const {
  const double share =
      logarithmic ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low)) : (value - low) / (high - low);
  return from + share * (to - from);
}

std::vector<double> linear_ticks(double low, double high, int count) {
  std::vector<double> ticks;
  if (!(high > low)) return ticks;
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double digit = rough / power;
  const double step = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
  for (double k = std::ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12); ++k) ticks.push_back(k * step);
  return ticks;
}

std::vector<double> decades(double low, double high) {
  std::vector<double> ticks;
  for (int e = int(std::ceil(std::log10(low) - 1e-9)); e <= int(std::floor(std::log10(high) + 1e-9)); ++e)
    ticks.push_back(std::pow(10.0, e));
  return ticks;
}

std::string decade_text(double power_of_ten) {
  const int exponent = int(std::lround(std::log10(power_of_ten)));
  if (exponent >= -4 && exponent <= 4) return fmt::format("{:.{}f}", power_of_ten, std::max(0, -exponent));
  constexpr std::string_view kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = "10";
  if (exponent < 0) text += "⁻";
  for (const char c : fmt::format("{}", std::abs(exponent))) text += kDigits[c - '0'];
  return text;
}

std::string px(double x) {
  std::string text = fmt::format("{:.2f}", x);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

double label_width(std::string_view text, double size) { return 0.58 * size * double(text_width(text)); }

std::string shortened(std::string_view text, size_t limit) {
  const std::string clean = clean_utf8(text);
  if (text_width(clean) <= limit) return clean;
  size_t end = 0;
  for (size_t seen = 0; end < clean.size(); ++end)
    if ((uint8_t(clean[end]) & 0xC0) != 0x80 && seen++ == limit - 1) break;
  return clean.substr(0, end) + "…";
}

std::vector<PlacedLabel> place_labels(const std::vector<LabelRequest>& points, const Box& frame, double size) {
  constexpr double kAway = 9;
  std::vector<Box> taken;
  for (const auto& p : points) taken.push_back({p.x - 6, p.y - 6, p.x + 6, p.y + 6});
  std::vector<PlacedLabel> placed(points.size());
  // Crowded points choose first: they have fewer places to go.
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<int> neighbours(points.size());
  for (size_t i = 0; i < points.size(); ++i)
    for (const auto& q : points)
      neighbours[i] += std::abs(q.x - points[i].x) < 90 && std::abs(q.y - points[i].y) < 2 * size;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return neighbours[a] > neighbours[b]; });

  for (const size_t i : order) {
    const auto& p = points[i];
    const double middle = p.y + 0.35 * size, w = p.width;
    std::vector<PlacedLabel> candidates = {{p.x + kAway, middle, "start"},
                                           {p.x - kAway, middle, "end"},
                                           {p.x, p.y - kAway, "middle"},
                                           {p.x, p.y + kAway + 0.75 * size, "middle"},
                                           {p.x + kAway, p.y - 0.7 * size, "start"},
                                           {p.x + kAway, p.y + 1.4 * size, "start"},
                                           {p.x - kAway, p.y - 0.7 * size, "end"},
                                           {p.x - kAway, p.y + 1.4 * size, "end"}};
    // In a crowd, farther out and joined by a line.
    for (const double ring : {24.0, 38.0, 54.0, 72.0}) {
      for (const double rise : {0.0, -0.6, 0.6, -1.0, 1.0}) {
        const double aside = ring * (1 - 0.45 * std::abs(rise));
        candidates.push_back({p.x + aside, middle + ring * rise, "start", true});
        candidates.push_back({p.x - aside, middle + ring * rise, "end", true});
      }
    }
    double least = INFINITY;
    Box best_box;
    double preference = 0;
    for (const auto& c : candidates) {
      const double left = c.anchor == "start" ? c.x : c.anchor == "end" ? c.x - w : c.x - w / 2;
      const Box box{left, c.y - 0.8 * size, left + w, c.y + 0.25 * size};
      double cost =
          preference + (c.away ? 25 + 0.6 * std::hypot(c.x - p.x, c.y - middle) : 0) + 1000 * outside(box, frame);
      for (const auto& other : taken) cost += overlap(box, other);
      preference += 0.1;
      if (cost < least) least = cost, placed[i] = c, best_box = box;
    }
    taken.push_back(best_box);
  }
  return placed;
}

std::vector<double> spread(const std::vector<double>& wanted, double gap, double low, double high) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return wanted[a] < wanted[b]; });
  if (wanted.size() > 1) gap = std::min(gap, (high - low) / double(wanted.size() - 1));

  // Labels that touch form a cluster centred on the mean of their wishes; a cluster that meets the one before joins it.
  struct Cluster {
    double first = 0, sum = 0;  // place of the first member; sum of wishes, each less its offset in the cluster
    size_t count = 0;
  };
  std::vector<Cluster> clusters;
  const auto settle = [&](Cluster& c) {
    const double highest = std::max(low, high - gap * double(c.count - 1));
    c.first = std::clamp(c.sum / double(c.count), low, highest);
  };
  for (const size_t i : order) {
    clusters.push_back({0, wanted[i], 1});
    settle(clusters.back());
    while (clusters.size() > 1) {
      Cluster &before = clusters[clusters.size() - 2], &after = clusters.back();
      if (before.first + gap * double(before.count) <= after.first) break;
      before.sum += after.sum - gap * double(before.count) * double(after.count);
      before.count += after.count;
      clusters.pop_back();
      settle(before);
    }
  }
  std::vector<double> placed(wanted.size());
  size_t next = 0;
  for (const Cluster& c : clusters)
    for (size_t k = 0; k < c.count; ++k) placed[order[next++]] = c.first + gap * double(k);
  return placed;
}

}  // namespace sluice
