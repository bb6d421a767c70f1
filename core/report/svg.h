// What the charts share: scales, ticks and the placing of labels.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Maps [low, high] to [from, to] in pixels, by value or by logarithm.
struct Scale {
  double low = 0, high = 1, from = 0, to = 1;
  bool logarithmic = false;
  double at(double value) const;
};

// 1, 2 or 5 times a power of ten apart, about `count` of them within [low, high].
std::vector<double> linear_ticks(double low, double high, int count);
// Powers of ten within [low, high], which must be positive.
std::vector<double> decades(double low, double high);
std::string decade_text(double power_of_ten);  // "0.001", "10⁻⁶"

// A length in pixels, short: "12", "12.35".
std::string px(double x);
// About how wide a label is at `size` pixels.
double label_width(std::string_view text, double size);
// At most `limit` characters; longer ones end in an ellipsis.
std::string shortened(std::string_view text, size_t limit);

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

// Where labels of points go: beside, above or below, wherever least is covered.
struct PlacedLabel {
  double x = 0, y = 0;      // of the text, baseline
  std::string_view anchor;  // SVG text-anchor
  bool away = false;        // so far from its point that a line should join them
};
struct LabelRequest {
  double x = 0, y = 0, width = 0;
};
std::vector<PlacedLabel> place_labels(const std::vector<LabelRequest>& points, const Box& frame, double size);

// Moves values apart to at least `gap` with as little movement as needed, keeping them in [low, high]. Order is kept.
std::vector<double> spread(const std::vector<double>& wanted, double gap, double low, double high);

}  // namespace sluice
