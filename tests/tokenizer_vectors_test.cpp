// Small vocabularies of every kind against the ids that Hugging Face tokenizers and SentencePiece give
// (tests/data/tokenizer, made by scripts/make_tokenizer_data.py), and what must hold for any text.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/readers.h"
#include "core/tokenizer/tokenizer.h"

namespace sluice {
namespace {

using nlohmann::json;

const std::filesystem::path kData = SLUICE_TEST_DATA "/tokenizer";

Tokenizer open(const std::string& name) {
  const std::filesystem::path model = kData / name / "tokenizer.model";
  return Tokenizer(std::filesystem::exists(model) ? read_sentencepiece(model) : read_tokenizer_json(kData / name));
}

class SmallVocabulary : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallVocabulary, GivesTheReferenceIds) {
  const Tokenizer tokenizer = open(GetParam());
  const json all = json::parse(read_file(kData / "vectors.json"));
  const json& vectors = all["vectors"][GetParam()];
  ASSERT_GT(vectors.size(), 50u);
  // The Hugging Face library always looks for special tokens, SentencePiece never does.
  const bool special = !std::string_view(GetParam()).starts_with("spm");
  for (const json& vector : vectors) {
    const std::string text = vector["text"];
    EXPECT_EQ(json(tokenizer.encode(text, special)), vector["ids"]) << vector["text"];
  }
}

std::vector<std::string> odd_texts() {
  std::vector<std::string> texts = {
      "\xFF",     "a\x80z",  "\xC0\x80",     "\xED\xA0\x80",   "\xF4\x90\x80\x80",
      "\xE4\xBD", "caf\xC3", "\xF0\x9F\x9A", "gate \xFE gate", "\xE2\x96",
  };
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int n = int(random() % 40); n > 0; --n)
      text += random() % 3 ? char(random() % 256) : "gate water  "[random() % 12];
    texts.push_back(text);
  }
  return texts;
}

TEST_P(SmallVocabulary, BytesSurviveWhereTheVocabularyHasThem) {
  const Tokenizer tokenizer = open(GetParam());
  const std::string_view name = GetParam();
  for (const std::string& text : odd_texts()) {
    std::vector<int32_t> ids;
    ASSERT_NO_THROW(ids = tokenizer.encode(text)) << json(text).dump(-1, ' ', true, json::error_handler_t::replace);
    std::string pieces;
    for (const int32_t id : ids) pieces += tokenizer.piece(id);
    if (name == "gpt2" || name == "llama3") {
      EXPECT_EQ(tokenizer.decode(ids), text);
      EXPECT_EQ(pieces, text);
    }
    // U+2581 is how these write a space: it cannot come back as itself.
    if ((name == "spm_bytes" || name == "merge_bytes") && text.find("\u2581") == text.npos) {
      EXPECT_EQ(tokenizer.decode(ids), text);
      EXPECT_EQ(pieces, text.empty() ? "" : " " + text);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SmallVocabulary,
                         ::testing::Values("gpt2", "smollm", "qwen2", "llama3", "merge_bytes", "merge_metaspace",
                                           "merge_unknown", "spm_bytes", "spm_unknown"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Tokenizer, TextDecodesToItself) {
  for (const char* name : {"gpt2", "llama3", "merge_bytes", "spm_bytes"}) {
    const Tokenizer tokenizer = open(name);
    const json splits = json::parse(read_file(kData / "splits.json"));
    for (const json& entry : splits["splits"]) {
      const std::string text = entry["text"];
      if (tokenizer.vocabulary().model != Vocabulary::Model::kByteBpe && text.find("\u2581") != text.npos) continue;
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name;
      // With special tokens the text comes back too, if they are asked for and take no white space with them.
      if (text.find("<mask>") != text.npos || text.find('<') == text.npos) continue;
      if (tokenizer.vocabulary().model == Vocabulary::Model::kByteBpe) {
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, true), true), text) << name;
      }
    }
  }
}

TEST(Tokenizer, PiecesOfACharacterAreItsBytes) {
  const Tokenizer tokenizer = open("spm_bytes");
  std::string streamed;
  for (const int32_t id : tokenizer.encode("\U0001f680")) {
    const std::string piece = tokenizer.piece(id);
    EXPECT_EQ(piece.size(), 1u);
    streamed += piece;
  }
  EXPECT_EQ(streamed, " \U0001f680");
}

TEST(Tokenizer, ControlTokensAreTextUnlessAskedFor) {
  for (const char* name : {"gpt2", "merge_bytes"}) {
    const Tokenizer tokenizer = open(name);
    const auto& tokens = tokenizer.vocabulary().tokens;
    const int32_t end = int32_t(std::find(tokens.begin(), tokens.end(), "<|end|>") - tokens.begin());
    EXPECT_EQ(tokenizer.encode("<|end|>", true), std::vector<int32_t>{end});
    const std::vector<int32_t> plain = tokenizer.encode("<|end|>");
    EXPECT_EQ(std::count(plain.begin(), plain.end(), end), 0);
    EXPECT_EQ(tokenizer.decode(plain), "<|end|>");
    EXPECT_EQ(tokenizer.piece(end), "");
    EXPECT_EQ(tokenizer.piece(end, true), "<|end|>");
    EXPECT_EQ(tokenizer.decode({end}), "");
    EXPECT_EQ(tokenizer.decode({end}, true), "<|end|>");
  }
}

TEST(Tokenizer, DataWithinATemplateIsNeverAControlToken) {
  const Tokenizer tokenizer = open("gpt2");
  const auto& tokens = tokenizer.vocabulary().tokens;
  const int32_t end = int32_t(std::find(tokens.begin(), tokens.end(), "<|end|>") - tokens.begin());
  const std::string text = "x<|end|>y<|end|>z";
  const auto count = [&](std::vector<TextRange> data) {
    const std::vector<int32_t> ids = tokenizer.encode_template(text, data);
    EXPECT_EQ(tokenizer.decode(ids, true), text);
    return std::count(ids.begin(), ids.end(), end);
  };
  EXPECT_EQ(count({}), 2);
  EXPECT_EQ(count({{1, 8}}), 1);
  EXPECT_EQ(count({{0, 17}}), 0);
  EXPECT_EQ(count({{7, 8}}), 1);            // one byte of the first one
  EXPECT_EQ(count({{1, 2}, {15, 16}}), 0);  // one byte of each
  EXPECT_EQ(count({{0, 1}, {8, 9}, {16, 17}}), 2);
}

TEST(Tokenizer, PromptsGetBosOnce) {
  const Tokenizer llama = open("llama3");
  const int32_t bos = llama.vocabulary().bos;
  EXPECT_TRUE(llama.vocabulary().add_bos);
  const std::vector<int32_t> ids = llama.encode_prompt("gate");
  ASSERT_FALSE(ids.empty());
  EXPECT_EQ(ids.front(), bos);
  EXPECT_EQ(llama.encode_prompt("<|start|>gate", true), ids);
  EXPECT_EQ(llama.encode_prompt(""), std::vector<int32_t>{bos});
  const Tokenizer gpt2 = open("gpt2");
  EXPECT_EQ(gpt2.encode_prompt("gate"), gpt2.encode("gate"));
}

TEST(Tokenizer, AWordThatIsATokenNeedsNoMerges) {
  // "Ġsluice" is a token that no merge makes; only Llama-3 takes it whole.
  EXPECT_EQ(open("llama3").encode(" sluice").size(), 1u);
  EXPECT_GT(open("gpt2").encode(" sluice").size(), 1u);
}

TEST(Tokenizer, KnowsWhatEndsAnAnswer) {
  const Tokenizer tokenizer = open("gpt2");
  EXPECT_TRUE(tokenizer.ends_generation(tokenizer.vocabulary().eos));
  EXPECT_FALSE(tokenizer.ends_generation(0));
  EXPECT_FALSE(tokenizer.ends_generation(-1));
}

TEST(Tokenizer, RefusesAnIdOutsideTheVocabulary) {
  const Tokenizer tokenizer = open("gpt2");
  EXPECT_THROW(tokenizer.piece(-1), Error);
  EXPECT_THROW(tokenizer.piece(100000), Error);
  EXPECT_THROW(tokenizer.decode({0, 100000}), Error);
}

TEST(Tokenizer, LongRunsAreNotQuadratic) {
  for (const char* name : {"gpt2", "llama3", "merge_bytes", "spm_bytes", "spm_unknown"}) {
    const Tokenizer tokenizer = open(name);
    for (const char c : {'a', ' ', '\n', '9', '\xFF'}) {
      const bool all =
          (c == 'a' || c == ' ') && (name == std::string_view("gpt2") || name == std::string_view("spm_bytes"));
      const std::string text(size_t(1) << (all ? 20 : 16), c);
      const std::vector<int32_t> ids = tokenizer.encode(text);
      if (std::string_view(name) == "spm_unknown") continue;
      EXPECT_EQ(tokenizer.decode(ids), text) << name << ' ' << int(c);
    }
  }
}

TEST(Tokenizer, UnusedPiecesAreTakenApart) {
  Vocabulary vocabulary;
  vocabulary.tokens = {"<unk>", "a", "b", "ab", "c", "abc"};
  vocabulary.kinds = {TokenKind::kUnknown, TokenKind::kNormal, TokenKind::kNormal,
                      TokenKind::kUnused,  TokenKind::kNormal, TokenKind::kNormal};
  vocabulary.scores = {0, -9, -9, -1, -9, -2};
  vocabulary.unknown = 0;
  vocabulary.add_space_prefix = false;
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("ab"), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(tokenizer.encode("abc"), std::vector<int32_t>{5});
  EXPECT_EQ(tokenizer.encode("abab"), (std::vector<int32_t>{1, 2, 1, 2}));
}

TEST(Tokenizer, CharactersThatAreNoPiecesStillJoin) {
  Vocabulary vocabulary;  // "x" and "y" occur only together
  vocabulary.tokens = {"<unk>", "xy", "<0x78>", "z"};
  vocabulary.kinds = {TokenKind::kUnknown, TokenKind::kNormal, TokenKind::kByte, TokenKind::kNormal};
  vocabulary.scores = {0, -1, 0, -2};
  vocabulary.unknown = 0;
  vocabulary.add_space_prefix = false;
  const Tokenizer tokenizer(vocabulary);
  EXPECT_EQ(tokenizer.encode("xyz"), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(tokenizer.encode("xz"), (std::vector<int32_t>{2, 3}));       // x has a byte token
  EXPECT_EQ(tokenizer.encode("zyyz"), (std::vector<int32_t>{3, 0, 3}));  // y has none; two unknowns are one
}

TEST(Tokenizer, RefusesAVocabularyThatDoesNotFitTogether) {
  Vocabulary good;
  good.model = Vocabulary::Model::kByteBpe;
  good.pre = "gpt-2";
  good.tokens = {"a", "b", "ab"};
  good.kinds.assign(3, TokenKind::kNormal);
  good.merges = {"a b"};
  EXPECT_EQ(Tokenizer(good).encode("abba"), (std::vector<int32_t>{2, 1, 0}));
  const auto refused = [&](auto change) {
    Vocabulary bad = good;
    change(bad);
    EXPECT_THROW(Tokenizer{bad}, Error);
  };
  refused([](Vocabulary& v) { v.tokens.clear(), v.kinds.clear(); });
  refused([](Vocabulary& v) { v.kinds.pop_back(); });
  refused([](Vocabulary& v) { v.kinds[0] = TokenKind(9); });
  refused([](Vocabulary& v) { v.merges = {"a c"}; });
  refused([](Vocabulary& v) { v.merges = {"b a"}; });
  refused([](Vocabulary& v) { v.merges = {"ab"}; });
  refused([](Vocabulary& v) { v.merges = {""}; });
  refused([](Vocabulary& v) { v.bos = 3; });
  refused([](Vocabulary& v) { v.eos = -2; });
  refused([](Vocabulary& v) { v.end_of_generation = {7}; });
  refused([](Vocabulary& v) { v.model = Vocabulary::Model::kSentencePiece; });  // no scores
  refused([](Vocabulary& v) {
    v.model = Vocabulary::Model::kSentencePiece;
    v.scores = {0, 0, std::numeric_limits<float>::quiet_NaN()};
  });
  refused([](Vocabulary& v) {
    v.model = Vocabulary::Model::kMergeBpe;
    v.kinds[0] = TokenKind::kByte;  // not written as <0x..>
  });
  refused([](Vocabulary& v) { v.pre = "default"; });
  try {
    good.pre = "command-r";
    Tokenizer{good};
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("\"command-r\""), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("llama-bpe"), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice
