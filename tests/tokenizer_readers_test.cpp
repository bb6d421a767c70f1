// The readers of tokenizer.json, tokenizer.model and the files beside them: what they take from a file, what they
// refuse by name, and that no damaged file does more than end in an Error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/readers.h"
#include "core/tokenizer/tokenizer.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::put_bytes;
using testing::ScratchFolder;

const std::filesystem::path kData = SLUICE_TEST_DATA "/tokenizer";

// The Error of `run`, or a note that there is none.
std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

json small() { return json::parse(read_file(kData / "gpt2" / "tokenizer.json")); }
json small_merge() { return json::parse(read_file(kData / "merge_bytes" / "tokenizer.json")); }

Vocabulary read(const json& tokenizer, const std::map<std::string, std::string>& beside = {}) {
  const ScratchFolder folder;
  put_bytes(folder / "tokenizer.json", tokenizer.dump());
  for (const auto& [name, text] : beside) put_bytes(folder / name, text);
  return read_tokenizer_json(folder.path());
}

TEST(TokenizerJson, TakesKindsAndNames) {
  const Vocabulary v = read_tokenizer_json(kData / "merge_bytes");
  EXPECT_EQ(v.model, Vocabulary::Model::kMergeBpe);
  EXPECT_EQ(v.kinds[0], TokenKind::kUnknown);
  EXPECT_EQ(v.kinds[1], TokenKind::kControl);
  EXPECT_EQ(v.kinds[3], TokenKind::kByte);
  EXPECT_EQ(v.bos, 1);
  EXPECT_EQ(v.eos, 2);
  EXPECT_EQ(v.unknown, 0);
  EXPECT_EQ(v.pad, -1);
  EXPECT_TRUE(v.add_bos);
  EXPECT_TRUE(v.add_space_prefix);
  EXPECT_EQ(read_tokenizer_json(kData / "gpt2").pre, "gpt-2");
  EXPECT_EQ(read_tokenizer_json(kData / "smollm").pre, "smollm");
  EXPECT_EQ(read_tokenizer_json(kData / "qwen2").pre, "qwen2");
  EXPECT_TRUE(read_tokenizer_json(kData / "qwen2").normalize_nfc);
  const Vocabulary llama = read_tokenizer_json(kData / "llama3");
  EXPECT_EQ(llama.pre, "llama-bpe");
  EXPECT_TRUE(llama.ignore_merges);
  EXPECT_TRUE(llama.add_bos);  // by the post-processor
  EXPECT_FALSE(llama.add_eos);
  EXPECT_EQ(llama.tokens[size_t(llama.bos)], "<|start|>");
  EXPECT_EQ(llama.kinds.back(), TokenKind::kUserDefined);
  EXPECT_EQ(llama.strip_left, llama.strip_right);
  EXPECT_EQ(llama.strip_left.size(), 1u);
}

TEST(TokenizerJson, TakesMergesInBothSpellings) {
  json pairs = small(), texts = small();
  texts["model"]["merges"] = json::array();
  for (const json& merge : pairs["model"]["merges"])
    texts["model"]["merges"].push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  EXPECT_EQ(read(pairs).merges, read(texts).merges);
  EXPECT_FALSE(read(texts).merges.empty());
}

TEST(TokenizerJson, FilesBesideItOverrideOneAnother) {
  EXPECT_EQ(read(small()).bos, -1);
  EXPECT_EQ(read(small()).eos, -1);
  const Vocabulary mapped =
      read(small(), {{"special_tokens_map.json", R"({"bos_token": {"content": "<|start|>"}, "pad_token": "<none>"})"}});
  EXPECT_EQ(mapped.tokens[size_t(mapped.bos)], "<|start|>");
  EXPECT_EQ(mapped.pad, -1);  // named, but in no vocabulary
  EXPECT_FALSE(mapped.add_bos);
  const Vocabulary configured = read(
      small(), {{"special_tokens_map.json", R"({"bos_token": "<|start|>"})"},
                {"tokenizer_config.json", R"({"bos_token": "<|end|>", "add_bos_token": true, "chat_template": "x"})"},
                {"generation_config.json", R"({"eos_token_id": [3, 4], "bos_token_id": 5, "pad_token_id": 6})"}});
  EXPECT_EQ(configured.tokens[size_t(configured.bos)], "<|end|>");
  EXPECT_TRUE(configured.add_bos);
  EXPECT_EQ(configured.eos, 3);
  EXPECT_EQ(configured.pad, 6);
  EXPECT_EQ(configured.end_of_generation, (std::vector<int32_t>{3, 4, configured.bos}));  // "<|end|>" is known to end
  EXPECT_EQ(configured.chat_template, "x");
  const auto templates =
      R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})";
  EXPECT_EQ(read(small(), {{"tokenizer_config.json", templates}}).chat_template, "d");
  EXPECT_EQ(read(small(), {{"tokenizer_config.json", templates}, {"chat_template.jinja", "own"}}).chat_template, "own");
}

TEST(TokenizerJson, RefusesFilesBesideItByKey) {
  const auto error = [&](const char* name, const char* text) {
    return error_of([&] { read(small(), {{name, text}}); });
  };
  EXPECT_THAT(error("tokenizer_config.json", R"({"bos_token": "<none>"})"),
              AllOf(HasSubstr("tokenizer_config.json: bos_token"), HasSubstr("<none>")));
  EXPECT_THAT(error("tokenizer_config.json", R"({"bos_token": 7})"), HasSubstr("bos_token: must be a text"));
  EXPECT_THAT(error("tokenizer_config.json", R"({"add_bos_token": 1})"),
              HasSubstr("add_bos_token: must be true or false"));
  EXPECT_THAT(error("tokenizer_config.json", R"({"chat_template": 1})"), HasSubstr("chat_template"));
  EXPECT_THAT(error("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "x"}]})"),
              HasSubstr("only: rag"));
  EXPECT_THAT(error("tokenizer_config.json", "{\n\"a\": }"), HasSubstr("line 2"));
  EXPECT_THAT(error("tokenizer_config.json", "[]"), HasSubstr("must hold a JSON object"));
  EXPECT_THAT(error("generation_config.json", R"({"eos_token_id": 99999})"),
              HasSubstr("99999 is outside the vocabulary"));
  EXPECT_THAT(error("generation_config.json", R"({"eos_token_id": [-1]})"), HasSubstr("outside the vocabulary"));
  EXPECT_THAT(error("generation_config.json", R"({"eos_token_id": 18446744073709551615})"),
              HasSubstr("outside the vocabulary"));
  EXPECT_THAT(error("generation_config.json", R"({"eos_token_id": "x"})"), HasSubstr("must be a token id"));
}

TEST(TokenizerJson, RefusesByName) {
  const auto error = [](json tokenizer, const std::function<void(json&)>& change) {
    change(tokenizer);
    return error_of([&] { read(tokenizer); });
  };
  const auto byte_level = [&](const std::function<void(json&)>& change) { return error(small(), change); };
  const auto merge = [&](const std::function<void(json&)>& change) { return error(small_merge(), change); };

  EXPECT_THAT(byte_level([](json& t) { t["model"]["type"] = "Unigram"; }), HasSubstr("\"Unigram\" is not supported"));
  EXPECT_THAT(byte_level([](json& t) { t["model"]["dropout"] = 0.1; }), HasSubstr("model.dropout"));
  EXPECT_THAT(byte_level([](json& t) { t["model"]["end_of_word_suffix"] = "</w>"; }), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(byte_level([](json& t) {
                t["normalizer"] = {{"type", "Lowercase"}};
              }),
              HasSubstr("normalizer \"Lowercase\""));
  EXPECT_THAT(byte_level([](json& t) { t["pre_tokenizer"]["add_prefix_space"] = true; }),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(byte_level([](json& t) { t["pre_tokenizer"]["use_regex"] = false; }), HasSubstr("use_regex"));
  EXPECT_THAT(byte_level([](json& t) { t["pre_tokenizer"] = {{"type", "Whitespace"}}; }), HasSubstr("\"Whitespace\""));
  EXPECT_THAT(byte_level([](json& t) { t["pre_tokenizer"] = nullptr; }),
              HasSubstr("nothing says how spaces are written"));
  EXPECT_THAT(byte_level([](json& t) {
                t["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [
                  {"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Isolated", "invert": false},
                  {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
              }),
              AllOf(HasSubstr("pattern.Regex"), HasSubstr("w+")));
  EXPECT_THAT(byte_level([](json& t) {
                t["post_processor"] = {{"type", "BertProcessing"}};
              }),
              HasSubstr("\"BertProcessing\""));
  EXPECT_THAT(byte_level([](json& t) { t["added_tokens"][0]["single_word"] = true; }),
              HasSubstr("added_tokens[0]: single_word"));
  EXPECT_THAT(merge([](json& t) {
                t["normalizer"] = nullptr;
                t["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"split", true}};
              }),
              HasSubstr("split = true"));
  EXPECT_THAT(merge([](json& t) { t["normalizer"]["normalizers"][1]["content"] = "_"; }), HasSubstr("\"Replace\""));
}

TEST(TokenizerJson, RefusesWhatCannotBeTrue) {
  const auto error = [](const std::function<void(json&)>& change) {
    json tokenizer = small();
    change(tokenizer);
    return error_of([&] { read(tokenizer); });
  };
  EXPECT_THAT(error([](json& t) { t.erase("model"); }), HasSubstr("tokenizer.json: has no \"model\""));
  EXPECT_THAT(error([](json& t) { t["model"].erase("vocab"); }), HasSubstr("model: has no \"vocab\""));
  EXPECT_THAT(error([](json& t) { t["model"].erase("merges"); }), HasSubstr("model: has no \"merges\""));
  EXPECT_THAT(error([](json& t) { t["model"]["vocab"] = json::array(); }), HasSubstr("model.vocab: must be an object"));
  EXPECT_THAT(error([](json& t) { t["model"]["vocab"]["zz"] = -1; }), HasSubstr("the id of \"zz\""));
  EXPECT_THAT(error([](json& t) { t["model"]["vocab"]["zz"] = 4000000000u; }), HasSubstr("the id of \"zz\""));
  EXPECT_THAT(error([](json& t) { t["model"]["vocab"]["zz"] = 1.5; }), HasSubstr("the id of \"zz\""));
  EXPECT_THAT(error([](json& t) { t["model"]["vocab"]["zz"] = 0; }), HasSubstr("the same id 0"));
  EXPECT_THAT(error([](json& t) { t["model"]["merges"][3] = 1; }), HasSubstr("merge 3 must be"));
  EXPECT_THAT(error([](json& t) { t["model"]["merges"][3] = json::array({"a b", "c"}); }), HasSubstr("merge 3"));
  EXPECT_THAT(error([](json& t) { t["model"]["unk_token"] = "<none>"; }), HasSubstr("model.unk_token"));
  EXPECT_THAT(error([](json& t) { t["added_tokens"][0]["id"] = 123456789; }), HasSubstr("added_tokens[0].id"));
  EXPECT_THAT(error([](json& t) { t["added_tokens"][0].erase("content"); }),
              HasSubstr("added_tokens[0]: has no \"content\""));
  EXPECT_THAT(error([](json& t) { t = json::array(); }), HasSubstr("must be an object"));
  // A merge of tokens that are not there is found when a tokenizer is made of it.
  json tokenizer = small();
  tokenizer["model"]["merges"][0] = "zz zz";
  EXPECT_THAT(error_of([&] { Tokenizer{read(tokenizer)}; }), HasSubstr("merge 0"));
}

TEST(TokenizerJson, SyntaxErrorsHaveAPlace) {
  const ScratchFolder folder;
  EXPECT_THAT(error_of([&] { read_tokenizer_json(folder.path()); }), HasSubstr("tokenizer.json"));
  put_bytes(folder / "tokenizer.json", "{\"model\": {\n  \"vocab\": {\"a\": 1,}\n}}");
  EXPECT_THAT(error_of([&] { read_tokenizer_json(folder.path()); }),
              AllOf(HasSubstr("tokenizer.json"), HasSubstr("line 2")));
}

TEST(TokenizerJson, DamageEndsInAnErrorAtMost) {
  const std::string good = read_file(kData / "merge_bytes" / "tokenizer.json");
  std::mt19937 random(11);
  size_t refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bad = good;
    if (i % 4 == 0) bad.resize(random() % bad.size());
    for (int n = int(random() % 4); n >= 0 && !bad.empty(); --n) {
      const size_t at = random() % bad.size();
      if (random() % 2)
        bad[at] = char(random() % 256);
      else
        bad[at] = "{}[]\",:0123456789-"[random() % 18];
    }
    const ScratchFolder folder;
    put_bytes(folder / "tokenizer.json", bad);
    try {
      const Tokenizer tokenizer(read_tokenizer_json(folder.path()));
      tokenizer.decode(tokenizer.encode("The gate \xFF opens\n<|end|>", true), true);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 200u);
}

TEST(SentencePieceModel, TakesWhatTheFileSays) {
  const Vocabulary v = read_sentencepiece(kData / "spm_bytes" / "tokenizer.model");
  EXPECT_EQ(v.model, Vocabulary::Model::kSentencePiece);
  EXPECT_EQ(v.tokens.size(), 480u);
  EXPECT_EQ(v.tokens[0], "<unk>");
  EXPECT_EQ(v.kinds[0], TokenKind::kUnknown);
  EXPECT_EQ(v.kinds[1], TokenKind::kControl);
  EXPECT_EQ(v.kinds[3], TokenKind::kUserDefined);
  EXPECT_EQ(v.kinds[5], TokenKind::kByte);
  EXPECT_EQ(v.unknown, 0);
  EXPECT_EQ(v.bos, 1);
  EXPECT_EQ(v.eos, 2);
  EXPECT_EQ(v.pad, -1);
  EXPECT_TRUE(v.add_bos);
  EXPECT_FALSE(v.add_eos);
  EXPECT_TRUE(v.add_space_prefix);
  EXPECT_EQ(v.end_of_generation, std::vector<int32_t>{2});
  EXPECT_FALSE(read_sentencepiece(kData / "spm_unknown" / "tokenizer.model").add_space_prefix);
}

TEST(SentencePieceModel, HonoursTheConfigurationBesideIt) {
  const ScratchFolder folder;
  put_bytes(folder / "tokenizer.model", read_file(kData / "spm_bytes" / "tokenizer.model"));
  put_bytes(folder / "tokenizer_config.json",
            R"({"add_bos_token": false, "add_eos_token": true, "chat_template": "t"})");
  const Vocabulary v = read_sentencepiece(folder / "tokenizer.model");
  EXPECT_FALSE(v.add_bos);
  EXPECT_TRUE(v.add_eos);
  EXPECT_EQ(v.chat_template, "t");
}

// A field of a protocol buffer: number, wire type, payload.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += char(value | 0x80);
  return bytes + char(value);
}
std::string number(uint32_t field, uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(uint32_t field, std::string_view payload) {
  return varint(field << 3 | 2) + varint(payload.size()) + std::string(payload);
}

TEST(SentencePieceModel, RefusesByName) {
  const std::string piece = bytes(1, bytes(1, "a"));
  const std::string bpe = bytes(2, number(3, 2)), plain = bytes(3, number(4, 0));
  const auto error = [](const std::string& model) {
    const ScratchFolder folder;
    put_bytes(folder / "x.model", model);
    return error_of([&] { read_sentencepiece(folder / "x.model"); });
  };
  EXPECT_EQ(error(piece + bpe + plain), "no error");
  EXPECT_EQ(error(piece + bpe + plain + bytes(900, "later") + number(901, 1) + varint(902 << 3 | 5) + "1234" +
                  varint(903 << 3 | 1) + "12345678"),
            "no error");
  EXPECT_THAT(error(piece + plain), HasSubstr("unigram"));
  EXPECT_THAT(error(piece + bytes(2, number(3, 4)) + plain), HasSubstr("character"));
  EXPECT_THAT(error(piece + bytes(2, number(3, 77)) + plain), HasSubstr("of unknown type"));
  EXPECT_THAT(error(piece + bpe), HasSubstr("remove_extra_whitespaces"));
  EXPECT_THAT(error(piece + bpe + bytes(3, bytes(1, "nmt_nfkc") + bytes(2, "map") + number(4, 0))),
              HasSubstr("\"nmt_nfkc\""));
  EXPECT_THAT(error(piece + bpe + bytes(3, number(4, 0) + number(5, 0))), HasSubstr("escape_whitespaces"));
  EXPECT_THAT(error(piece + bytes(2, number(3, 2) + number(24, 1)) + plain), HasSubstr("treat_whitespace_as_suffix"));
  EXPECT_THAT(error(""), HasSubstr("no pieces"));
  EXPECT_THAT(error(bpe + plain), HasSubstr("no pieces"));
  EXPECT_THAT(error(bytes(1, bytes(1, "a") + number(3, 9)) + bpe + plain), HasSubstr("type 9"));
  EXPECT_THAT(error(bytes(1, bytes(1, "a") + number(3, 0)) + bpe + plain), HasSubstr("type 0"));
  // NaN as a score.
  EXPECT_THAT(error(bytes(1, bytes(1, "a") + varint(2 << 3 | 5) + std::string("\0\0\xC0\x7F", 4)) + bpe + plain),
              HasSubstr("score of token 0"));
  // Lengths that lie, a number without an end, groups, field 0.
  EXPECT_THAT(error(piece + varint(2 << 3 | 2) + varint(1000) + "x"),
              AllOf(HasSubstr("offset 5"), HasSubstr("1000 bytes, but only 1 are left")));
  EXPECT_THAT(error(piece + varint(2 << 3 | 2) + varint(~uint64_t(0))), HasSubstr("are left"));
  EXPECT_THAT(error(piece + std::string(11, '\xFF')), HasSubstr("longer than 10 bytes"));
  EXPECT_THAT(error(piece + "\xFF"), HasSubstr("ends within a number"));
  EXPECT_THAT(error(piece + varint(2 << 3 | 3)), HasSubstr("wire type 3"));
  EXPECT_THAT(error(piece + std::string(1, '\0')), HasSubstr("field number"));
  EXPECT_THAT(error(piece + varint(2 << 3 | 5) + "12"), HasSubstr("ends within a number"));
}

TEST(SentencePieceModel, DamageEndsInAnErrorAtMost) {
  const std::string good = read_file(kData / "spm_bytes" / "tokenizer.model");
  const ScratchFolder folder;
  std::mt19937 random(5);
  size_t refused = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string bad = good;
    if (i < 300) bad.resize(random() % bad.size());
    for (int n = int(random() % 5); n >= (i < 300 ? 1 : 0) && !bad.empty(); --n)
      bad[random() % bad.size()] = char(random() % 256);
    const std::filesystem::path path = folder / ("m" + std::to_string(i));
    put_bytes(path, bad);
    try {
      const Tokenizer tokenizer(read_sentencepiece(path));
      tokenizer.decode(tokenizer.encode("The gate \xFF opens\n<sep>", true), true);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100u);
}

TEST(SentencePieceModel, AHugePieceIsRefusedByNumber) {
  const ScratchFolder folder;
  put_bytes(folder / "x.model",
            bytes(1, bytes(1, std::string(100000, 'a'))) + bytes(2, number(3, 2)) + bytes(3, number(4, 0)));
  EXPECT_THAT(error_of([&] { Tokenizer{read_sentencepiece(folder / "x.model")}; }),
              HasSubstr("piece 0 has 100000 bytes"));
}

}  // namespace
}  // namespace sluice
