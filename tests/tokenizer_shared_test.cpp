// The real vocabularies against every vector there is for them: Llama-2 and GPT-2 from the shared folder, SmolLM2 from
// the real model, TinyStories-656K. What is not there is skipped by name.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/model/gguf_vocabulary.h"
#include "core/tokenizer/chat_template.h"
#include "core/tokenizer/readers.h"
#include "core/tokenizer/tokenizer.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

using nlohmann::json;

std::string hash_of(const std::vector<int32_t>& ids) {
  return sha256_hex({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
}

// NAME.inp holds texts, NAME.out a line of ids for each.
void check_inp_out(const Tokenizer& tokenizer, const std::filesystem::path& stem) {
  const std::string texts = read_file(stem.string() + ".inp");
  std::istringstream lines(read_file(stem.string() + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  size_t at = 0, count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const size_t end = std::min(texts.find(separator, at), texts.size());
    const std::string text = texts.substr(at, end - at);
    std::istringstream numbers(line);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(text), expected) << json(text);
    EXPECT_EQ(tokenizer.decode(expected), text);
    at = end + separator.size();
  }
  EXPECT_EQ(count, 46u);
}

TEST(Llama2, GivesEveryVector) {
  SLUICE_NEED_SHARED(folder, "data/tokenizers");
  const Tokenizer model(read_sentencepiece(folder / "llama2-tokenizer.model"));
  const Tokenizer gguf(read_gguf_vocabulary(folder / "ggml-vocab-llama-spm.gguf"));
  check_inp_out(model, folder / "ggml-vocab-llama-spm.gguf");
  check_inp_out(gguf, folder / "ggml-vocab-llama-spm.gguf");
  EXPECT_EQ(model.vocabulary().bos, 1);
  EXPECT_EQ(model.vocabulary().eos, 2);
  EXPECT_EQ(model.vocabulary().tokens, gguf.vocabulary().tokens);
  EXPECT_EQ(model.vocabulary().scores, gguf.vocabulary().scores);

  std::ifstream file(folder / "llama2_spm_golden.jsonl");
  size_t count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    const json vector = json::parse(line);
    const std::string text = vector["text"];
    const std::vector<int32_t> ids = vector["ids"];
    ASSERT_EQ(model.encode(text), ids) << vector["src"];
    if (text.find("\u2581") != text.npos) continue;  // it stands for a space
    ASSERT_EQ(model.decode(ids), text) << vector["src"];
  }
  EXPECT_EQ(count, 532u);
}

TEST(Llama2, GivesEveryWholeFile) {
  SLUICE_NEED_SHARED(folder, "data");
  const Tokenizer tokenizer(read_sentencepiece(folder / "tokenizers/llama2-tokenizer.model"));
  const json golden = json::parse(read_file(folder / "tokenizers/llama2_spm_golden_files.json"));
  size_t count = 0;
  for (const json& entry : golden["files"]) {
    const std::string name = entry["name"];
    std::string text;
    if (name.find(',') == name.npos) {
      text = read_file(folder / name);
    } else {
      // The form in which evaluation suites join WikiText's rows.
      std::istringstream rows(read_file(folder / name.substr(0, name.find(','))));
      bool first = true;
      for (std::string line; std::getline(rows, line); first = false) {
        if (!first) text += "\n\n";
        if (line.find_first_not_of(' ') != line.npos) text += line + "\n";
      }
    }
    ASSERT_EQ(text.size(), entry["bytes"].get<size_t>()) << name;
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids.size(), entry["n_ids"].get<size_t>()) << name;
    EXPECT_EQ(hash_of(ids), entry["sha256_int32le"]) << name;
    EXPECT_EQ(tokenizer.decode(ids), text) << name;
    ++count;
  }
  EXPECT_EQ(count, 32u);
}

TEST(Gpt2, GivesEveryVector) {
  SLUICE_NEED_SHARED(folder, "data/tokenizers");
  check_inp_out(Tokenizer(read_gguf_vocabulary(folder / "ggml-vocab-gpt-2.gguf")), folder / "ggml-vocab-gpt-2.gguf");
}

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(SmolLm2, GivesEveryVector) {
  SLUICE_NEED_REAL_MODEL(model);
  SLUICE_NEED_SHARED(folder, "data");
  const Tokenizer tokenizer(read_gguf_vocabulary(model));
  const json golden = json::parse(read_file(folder / "models/smollm2-135m-instruct-q4_1/tokenizer_vectors.json"));
  size_t lossy = 0;
  for (const json& vector : golden["vectors"]) {
    const std::string text = vector["text"];
    const std::vector<int32_t> ids = vector["ids"];
    EXPECT_EQ(tokenizer.encode(text, vector["parse_special"]), ids) << vector["text"];
    const bool is_lossy = vector.value("lossy", false);
    lossy += is_lossy;
    EXPECT_EQ(tokenizer.decode(ids, true), is_lossy ? bytes_of_hex(vector["decoded_bytes_hex"]) : text)
        << vector["text"];
  }
  EXPECT_EQ(golden["vectors"].size(), 279u);
  EXPECT_GT(lossy, 0u);
  for (const auto& [name, entry] : golden["files"].items()) {
    const std::vector<int32_t> ids = tokenizer.encode(read_file(folder / name));
    EXPECT_EQ(ids.size(), entry["tokens"].get<size_t>()) << name;
    EXPECT_EQ(hash_of(ids), entry["sha256_int32le"]) << name;
  }
  EXPECT_EQ(golden["files"].size(), 7u);
  EXPECT_TRUE(tokenizer.ends_generation(2));
  EXPECT_TRUE(tokenizer.ends_generation(0));
  EXPECT_FALSE(tokenizer.ends_generation(1));
}

TEST(SmolLm2, GivesTheIdsOfAChat) {
  SLUICE_NEED_REAL_MODEL(model);
  SLUICE_NEED_SHARED(path, "data/models/smollm2-135m-instruct-q4_1/chat_template.json");
  const Tokenizer tokenizer(read_gguf_vocabulary(model));
  const json golden = json::parse(read_file(path));
  EXPECT_EQ(tokenizer.vocabulary().chat_template, golden["template"]);
  ASSERT_EQ(golden["conversations"].size(), 4u);
  for (const json& conversation : golden["conversations"]) {
    std::vector<ChatMessage> messages;
    for (const json& message : conversation["messages"]) messages.push_back({message["role"], message["content"]});
    const bool generation = conversation["add_generation_prompt"];
    const std::string text =
        render_chat(tokenizer.vocabulary().chat_template, messages, tokenizer.vocabulary(), generation);
    EXPECT_EQ(text, conversation["rendered"].get<std::string>());
    EXPECT_EQ(json(tokenizer.encode(text, true)), conversation["ids_parse_special"]) << conversation["name"];
    EXPECT_EQ(json(encode_chat(tokenizer, messages, {generation, std::nullopt})), conversation["ids_content_as_text"])
        << conversation["name"];
  }
}

TEST(TinyStories656K, GivesEveryVector) {
  SLUICE_NEED_SHARED(folder, "data/models/tinystories-656K");
  const Tokenizer tokenizer(read_tokenizer_json(folder));
  const json golden = json::parse(read_file(SLUICE_TEST_DATA "/tokenizer/tinystories_656k.json"));
  ASSERT_GT(golden["vectors"].size(), 50u);
  for (const json& vector : golden["vectors"])
    EXPECT_EQ(json(tokenizer.encode(vector["text"].get<std::string>())), vector["ids"]) << vector["text"];
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  EXPECT_EQ(vocabulary.tokens.size(), 2048u);
  EXPECT_EQ(vocabulary.bos, 1);
  EXPECT_EQ(vocabulary.eos, 2);
  EXPECT_EQ(vocabulary.pad, 0);
  EXPECT_EQ(vocabulary.unknown, 0);
  EXPECT_TRUE(vocabulary.add_bos);
  EXPECT_FALSE(vocabulary.add_eos);
  EXPECT_EQ(tokenizer.encode_prompt("Once")[0], 1);
  const std::string story = "Once upon a time, there was a little girl.";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(story)), story);
}

}  // namespace
}  // namespace sluice
