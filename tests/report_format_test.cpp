// Numbers for people and text made safe.
#include <gtest/gtest.h>

#include "core/report/format.h"
#include "core/report/result.h"
#include "core/report/svg.h"

namespace sluice {
namespace {

TEST(Format, Figures) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(percent_text(0.28714), "28.7 %");
  EXPECT_EQ(percent_text(kUnknown), "-");
  EXPECT_EQ(fixed_text(4.4951, 2), "4.50");
  EXPECT_EQ(divergence_text(0), "0");
  EXPECT_EQ(divergence_text(0.11893), "0.1189");
  EXPECT_EQ(divergence_text(0.000389), "0.00039");
  EXPECT_EQ(divergence_text(0.0000123), "1.2e-05");
  EXPECT_EQ(divergence_text(kUnknown), "-");
  EXPECT_EQ(divergence_error_text(0.000389, 0.0000401), "0.00004");
  EXPECT_EQ(plus_minus_text(17.918, 1.207), "17.92 ± 1.21");
  EXPECT_EQ(plus_minus_text(17.918, kUnknown), "17.92");
  EXPECT_EQ(exact_text(0.1), "0.1");
  EXPECT_EQ(exact_text(kUnknown), "");
}

TEST(Format, HtmlText) {
  EXPECT_EQ(html_text("</script> & \"x\" 'y'"), "&lt;/script&gt; &amp; &quot;x&quot; &#39;y&#39;");
  EXPECT_EQ(html_text("a\r\n\tb"), "a&#13;\n\tb");
  EXPECT_EQ(html_text(std::string("\0\x1b", 2)), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Format, BrokenUtf8BecomesReplacements) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(clean_utf8("größe 漢字 🙂"), "größe 漢字 🙂");
  EXPECT_EQ(clean_utf8("\xFF\xFE"), r + r);
  EXPECT_EQ(clean_utf8("\xC0\x80"), r + r);          // overlong
  EXPECT_EQ(clean_utf8("\xED\xA0\x80"), r + r + r);  // surrogate
  EXPECT_EQ(clean_utf8("a\xE6\xBC"), "a" + r + r);   // cut short
  EXPECT_EQ(clean_utf8("\xF4\x90\x80\x80"), r + r + r + r);
  EXPECT_EQ(text_width("größe"), 5u);
}

TEST(Svg, ScalesAndTicks) {
  const Scale linear{0, 10, 100, 200}, logarithmic{0.01, 100, 0, 4, true};
  EXPECT_DOUBLE_EQ(linear.at(2.5), 125);
  EXPECT_NEAR(logarithmic.at(1), 2, 1e-12);
  EXPECT_EQ(linear_ticks(0, 512, 8), (std::vector<double>{0, 100, 200, 300, 400, 500}));
  EXPECT_TRUE(linear_ticks(1, 1, 5).empty());
  EXPECT_EQ(decades(0.005, 20).size(), 4u);  // 0.01, 0.1, 1, 10
  EXPECT_EQ(decade_text(0.001), "0.001");
  EXPECT_EQ(decade_text(1e-7), "10⁻⁷");
  EXPECT_EQ(px(12.50), "12.5");
  EXPECT_EQ(px(-0.0001), "0");
  EXPECT_EQ(shortened("größe", 4), "grö…");
  EXPECT_EQ(shortened("abcd", 4), "abcd");
}

TEST(Svg, SpreadKeepsOrderGapAndBounds) {
  const std::vector<double> wanted = {50, 51, 52, 10, 99, 99.5};
  const auto placed = spread(wanted, 10, 0, 100);
  EXPECT_DOUBLE_EQ(placed[3], 10);  // far from all: stays
  EXPECT_DOUBLE_EQ(placed[1], 51);  // a cluster centres on its wishes
  EXPECT_DOUBLE_EQ(placed[0], 41);
  EXPECT_DOUBLE_EQ(placed[2], 61);
  EXPECT_DOUBLE_EQ(placed[5], 100);
  EXPECT_DOUBLE_EQ(placed[4], 90);
  const auto crowded = spread({5, 5, 5, 5, 5}, 10, 0, 20);  // the gap gives way
  for (size_t i = 0; i < 5; ++i) EXPECT_DOUBLE_EQ(crowded[i], 5.0 * double(i));
  EXPECT_TRUE(spread({}, 10, 0, 1).empty());
}

TEST(Svg, LabelsOfTwoPointsDoNotCover) {
  const auto placed = place_labels({{100, 100, 60}, {110, 100, 60}}, {0, 0, 400, 200}, 12);
  const auto left = [&](size_t i) {
    return placed[i].anchor == "start" ? placed[i].x : placed[i].anchor == "end" ? placed[i].x - 60 : placed[i].x - 30;
  };
  const bool apart = left(0) + 60 <= left(1) || left(1) + 60 <= left(0) || std::abs(placed[0].y - placed[1].y) >= 12;
  EXPECT_TRUE(apart);
}

}  // namespace
}  // namespace sluice
