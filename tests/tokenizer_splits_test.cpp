// Pre-tokenizers: the cuts that the published regular expressions make (by Python's regex package, stored), and
// ICU's regex engine as an oracle over random text.
#include <gtest/gtest.h>
#include <unicode/regex.h>
#include <unicode/unistr.h>

#include <nlohmann/json.hpp>
#include <random>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/pretokenizer.h"
#include "core/tokenizer/unicode.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr const char* kNames[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};

std::vector<size_t> cuts(PreTokenizer kind, std::string_view text) {
  std::vector<size_t> ends;
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(kind, text, at);
    if (end <= at || end > text.size()) throw std::logic_error("a word must have a length");
    ends.push_back(at = end);
  }
  return ends;
}

TEST(PreTokenizer, CutsAsThePublishedExpressionsDo) {
  const json data = json::parse(read_file(SLUICE_TEST_DATA "/tokenizer/splits.json"));
  ASSERT_GT(data["splits"].size(), 50u);
  for (const json& entry : data["splits"])
    for (const char* name : kNames)
      EXPECT_EQ(json(cuts(pre_tokenizer_of(name), entry["text"].get<std::string>())), entry["cuts"][name])
          << name << ' ' << entry["text"];
}

TEST(PreTokenizer, CutsTheSharedTexts) {
  SLUICE_NEED_SHARED(path, "data/tokenizers/ggml-vocab-llama-bpe.gguf.inp");
  const std::string all = read_file(path);
  const std::string separator = "\n__ggml_vocab_test__\n";
  const json stored = json::parse(read_file(SLUICE_TEST_DATA "/tokenizer/shared_splits.json"))["cuts"];
  ASSERT_EQ(stored.size(), 46u);
  size_t at = 0;
  for (const json& expected : stored) {
    const size_t end = std::min(all.find(separator, at), all.size());
    const std::string text = all.substr(at, end - at);
    for (const char* name : kNames)
      EXPECT_EQ(json(cuts(pre_tokenizer_of(name), text)), expected[name]) << name << ' ' << text;
    at = end + separator.size();
  }
}

TEST(PreTokenizer, HasTheNamesThatFilesUse) {
  EXPECT_EQ(pre_tokenizer_of("llama3"), PreTokenizer::kLlama3);
  EXPECT_EQ(pre_tokenizer_of("llama-v3"), PreTokenizer::kLlama3);
  EXPECT_EQ(pre_tokenizer_of("deepseek-r1-qwen"), PreTokenizer::kQwen2);
  EXPECT_THROW(pre_tokenizer_of(""), Error);
  EXPECT_THROW(pre_tokenizer_of("tekken"), Error);
}

TEST(PreTokenizer, InvalidBytesAreCharactersOfTheirOwn) {
  EXPECT_EQ(cuts(PreTokenizer::kGpt2, "ab\xFF\xC3 x"), (std::vector<size_t>{2, 4, 6}));
  EXPECT_EQ(cuts(PreTokenizer::kLlama3,
                 "\xFF"
                 "ab 12\xE4\xBD"),
            (std::vector<size_t>{3, 4, 6, 8}));
}

class Oracle {
 public:
  Oracle(const char* name, const char* expression) : kind_(pre_tokenizer_of(name)) {
    UErrorCode status = U_ZERO_ERROR;
    matcher_ = std::make_unique<icu::RegexMatcher>(icu::UnicodeString::fromUTF8(expression), 0, status);
    if (U_FAILURE(status)) throw std::runtime_error(u_errorName(status));
  }

  void compare(const std::string& text) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::UnicodeString wide = icu::UnicodeString::fromUTF8(text);
    matcher_->reset(wide);
    std::vector<size_t> expected;
    size_t at = 0;
    while (matcher_->find(status) && U_SUCCESS(status)) {
      std::string word;
      matcher_->group(status).toUTF8String(word);
      expected.push_back(at += word.size());
    }
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(cuts(kind_, text), expected) << json(text).dump(-1, ' ', true);
  }

 private:
  PreTokenizer kind_;
  std::unique_ptr<icu::RegexMatcher> matcher_;
};

// Characters of all classes, the special ones often.
std::string random_text(std::mt19937& random) {
  static const std::vector<uint32_t> kOften = {
      ' ',    ' ',    ' ',   '\n', '\r',   '\t',  '\'', '\'',   's',     'S',    't',    'r',   'e',  'E',  'v',
      'l',    'L',    'm',   'd',  'a',    '1',   '2',  '9',    '!',     '.',    '-',    0x17F, 0xA0, 0x85, 0x2028,
      0x3000, 0x1680, 0x661, 0xBD, 0x2160, 0x301, 0xE9, 0x4E00, 0x1F600, 0x200B, 0xFEFF, 0x1C,  0xB,  0xC,  0x180E};
  std::string text;
  for (int n = 1 + int(random() % 24); n > 0; --n) {
    uint32_t c = kOften[random() % kOften.size()];
    if (random() % 6 == 0) c = random() % 0x3000;
    if (random() % 20 == 0) c = random() % 0x110000;
    if (c >= 0xD800 && c < 0xE000) c = 'x';
    append_utf8(text, c);
  }
  return text;
}

TEST(PreTokenizer, AgreesWithARegexEngineOnRandomText) {
  const char* kTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string llama = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})";
  const std::string qwen = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
  Oracle oracles[] = {
      {"gpt-2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
      // In one expression: a number alone, and before a number the text is at its end.
      {"smollm", R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+)"},
      {"llama-bpe", (llama + kTail).c_str()},
      {"qwen2", (qwen + kTail).c_str()},
  };
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random_text(random);
    for (Oracle& oracle : oracles) oracle.compare(text);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace sluice
