// Suggestions, readable sizes, and untrusted text made printable.
#include <gtest/gtest.h>

#include <array>

#include "core/base/text.h"

namespace sluice {
namespace {

TEST(Text, EditDistanceCountsSwapsOnce) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("recent", "recents"), 1u);
  EXPECT_EQ(edit_distance("recent", "recnet"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(Text, DidYouMeanFindsTheNearest) {
  const std::vector<std::string> names = {"h2o", "recent", "random", "sieve"};
  EXPECT_EQ(did_you_mean("recents", names), " (did you mean \"recent\"?)");
  EXPECT_EQ(did_you_mean("RANDOM", names), " (did you mean \"random\"?)");
  EXPECT_EQ(did_you_mean("seive", names), " (did you mean \"sieve\"?)");
  EXPECT_EQ(did_you_mean("h20", names), " (did you mean \"h2o\"?)");
  EXPECT_EQ(did_you_mean("banana", names), "");
  EXPECT_EQ(did_you_mean("x", std::array<std::string_view, 1>{"y"}), "");
  EXPECT_EQ(did_you_mean("", names), "");
  EXPECT_EQ(did_you_mean("recent", std::vector<std::string>{}), "");
}

TEST(Text, HumanBytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "0.98 KiB");
  EXPECT_EQ(human_bytes(1536), "1.50 KiB");
  EXPECT_EQ(human_bytes(5879808), "5.61 MiB");
  EXPECT_EQ(human_bytes(98362432), "93.8 MiB");
  EXPECT_EQ(human_bytes(10480000), "9.99 MiB");
  EXPECT_EQ(human_bytes(10485759), "10.0 MiB");
  EXPECT_EQ(human_bytes(104857599), "100 MiB");
  EXPECT_EQ(human_bytes((uint64_t(1) << 30) - 1), "1.00 GiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(Text, Split) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split("a|b||c", '|'), (Parts{"a", "b", "", "c"}));
  EXPECT_EQ(split("a|", '|'), (Parts{"a", ""}));
  EXPECT_EQ(split("alone", '|'), (Parts{"alone"}));
  EXPECT_EQ(split("", '|'), (Parts{""}));
}

TEST(Text, WholeCharactersAreNotCut) {
  const std::string_view text = "a\xC3\xA9\xE2\x96\x81\xF0\x90\x80\x80z";  // of 1, 2, 3, 4 and 1 bytes
  const size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (size_t limit = 0; limit < std::size(ends); ++limit)
    EXPECT_EQ(whole_characters(text, limit), text.substr(0, ends[limit])) << limit;
  // Broken text is cut anywhere.
  EXPECT_EQ(whole_characters("\x80\x80\x80\x80\x80\x80", 5).size(), 5u);
}

TEST(Text, Join) {
  EXPECT_EQ(join(std::vector<std::string>{"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(join(std::array<std::string_view, 2>{"a", "b"}, " | "), "a | b");
  EXPECT_EQ(join(std::vector<std::string>{}), "");
}

TEST(Text, Utf8IsCheckedAsTheStandardSays) {
  for (const std::string_view good : {"", "plain", "caf\xC3\xA9", "\xE2\x96\x81", "\xED\x9F\xBF", "\xEE\x80\x80",
                                      "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(valid_utf8(good)) << printable(good);
  EXPECT_TRUE(valid_utf8(std::string_view("\0", 1)));
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE2\x96", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xC3(", "\xF0\x90\x80"})
    EXPECT_FALSE(valid_utf8(bad)) << printable(bad);
}

TEST(Text, PrintableEscapesAndShortens) {
  EXPECT_EQ(printable("a\n\x7F\xFF\xC3\xA9"), "a\\x0A\\x7F\\xFF\xC3\xA9");
  EXPECT_EQ(printable(std::string(100, 'x'), 5), "xxxxx...");
  EXPECT_EQ(printable("xxxxx", 5), "xxxxx");
}

TEST(Text, EachPartOfACharacterThatIsNoneBecomesOneReplacement) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(replace_invalid_utf8("plain \xC3\xA9 \xF0\x9F\x98\x80"), "plain \xC3\xA9 \xF0\x9F\x98\x80");
  // As Python's decode(errors="replace") has it.
  EXPECT_EQ(replace_invalid_utf8("a\x80z"), "a" + r + "z");
  EXPECT_EQ(replace_invalid_utf8("a\xF0\x9F\x98"), "a" + r);  // three of four bytes
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98"
                                 "b"),
            r + "b");
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82\xE2\x82\xAC"), r + "\xE2\x82\xAC");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), r + r);                  // too long a form
  EXPECT_EQ(replace_invalid_utf8("\xF4\x90\x80\x80"), r + r + r + r);  // beyond the last code point
  EXPECT_EQ(replace_invalid_utf8("\xFF\xC3"), r + r);
}

TEST(Text, StopStringsCutOneAfterTheOther) {
  const auto cut = [](std::string text, std::vector<std::string> stops) {
    const bool shorter = cut_at_stops(text, stops);
    return text + (shorter ? "|" : "");
  };
  EXPECT_EQ(cut("A: 5\n\nQ: 7", {"Q:", "\n\n"}), "A: 5|");
  EXPECT_EQ(cut("no stop in it", {"Q:", ""}), "no stop in it");
  EXPECT_EQ(cut("Q: at once", {"Q:"}), "|");
  // The second is no longer whole once the first has cut.
  EXPECT_EQ(cut("say stop now", {"op n", "stop"}), "say st|");
  EXPECT_EQ(cut("say stop now", {"stop", "op n"}), "say |");
  EXPECT_EQ(cut("caf\xC3\xA9!", {"\xC3\xA9"}), "caf|");
}

}  // namespace
}  // namespace sluice
