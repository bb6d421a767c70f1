// Strict UTF-8, the classes of characters, and normal form C that leaves bad bytes alone.
#include <gtest/gtest.h>

#include "core/tokenizer/template_text.h"
#include "core/tokenizer/unicode.h"

namespace sluice {
namespace {

TEST(Utf8, EveryCodePointComesBack) {
  for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 97) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "x";
    append_utf8(text, c);
    const Character found = character_at(text, 1);
    ASSERT_TRUE(found.valid) << c;
    ASSERT_EQ(found.value, c);
    ASSERT_EQ(found.length, text.size() - 1);
  }
  EXPECT_EQ(character_at("", 0).length, 0u);
  EXPECT_EQ(character_at("a", 1).length, 0u);
}

TEST(Utf8, WhatIsNotValidIsOneByte) {
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xC3x",
        "\xE4\xBD", "\xE4\xBDx", "\xF0\x9F\x9A", "\xF0\x9F\x9Ax"}) {
    const Character c = character_at(text, 0);
    EXPECT_FALSE(c.valid) << text;
    EXPECT_EQ(c.length, 1u);
    EXPECT_EQ(c.kind, CharClass::kOther);
  }
}

TEST(Unicode, TellsTheFourClassesApart) {
  for (const uint32_t c : std::initializer_list<uint32_t>{'a', 'Z', 0xAA, 0xE9, 0x430, 0x4E00, 0xAC00, 0x1D400})
    EXPECT_EQ(char_class(c), CharClass::kLetter) << c;
  for (const uint32_t c : std::initializer_list<uint32_t>{'0', '9', 0xB2, 0xBD, 0x663, 0x216B, 0x1D7D8})
    EXPECT_EQ(char_class(c), CharClass::kNumber) << c;
  for (const uint32_t c : std::initializer_list<uint32_t>{' ', '\t', '\n', 0xB, 0xC, '\r', 0x85, 0xA0, 0x1680, 0x2003,
                                                          0x2028, 0x202F, 0x3000})
    EXPECT_EQ(char_class(c), CharClass::kSpace) << c;
  for (const uint32_t c :
       std::initializer_list<uint32_t>{'!', '_', '\'', 0x0, 0x1C, 0x7F, 0x301, 0x200B, 0x180E, 0xFEFF, 0x1F600, 0xFFFD})
    EXPECT_EQ(char_class(c), CharClass::kOther) << c;
}

TEST(Unicode, NormalFormCLeavesBadBytesAlone) {
  EXPECT_EQ(normalize_nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(normalize_nfc("\u1100\u1161 \u212b"), "\uac00 \u00c5");
  EXPECT_EQ(normalize_nfc("a\xFF"
                          "e\u0301\xC3"),
            "a\xFF\u00e9\xC3");
  EXPECT_EQ(normalize_nfc("e\xFF\u0301"), "e\xFF\u0301");
  EXPECT_EQ(normalize_nfc(""), "");
}

TEST(MarkedText, MarksFollowTheBytes) {
  jinja::MarkedText text("<", false);
  text.append("  user \u00e4 ", true);
  text.append(">", false);
  ASSERT_EQ(text.data_ranges().size(), 1u);
  EXPECT_EQ(text.data_ranges()[0].begin, 1u);
  EXPECT_EQ(text.data_ranges()[0].end, text.size() - 1);
  const jinja::MarkedText part = jinja::strip(text.substr(1, text.size() - 2), nullptr, true, true);
  EXPECT_EQ(part.bytes(), "user \u00e4");
  ASSERT_EQ(part.data_ranges().size(), 1u);
  EXPECT_EQ(part.data_ranges()[0].end, part.size());
  EXPECT_TRUE(jinja::MarkedText("plain").data_ranges().empty());
}

}  // namespace
}  // namespace sluice
