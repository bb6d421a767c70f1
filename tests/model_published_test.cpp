// Model files that others published, against what independent programs say about them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/model/gguf.h"
#include "core/model/gguf_vocabulary.h"
#include "core/model/model_file.h"
#include "core/model/safetensors.h"
#include "sluice/gguf_types.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

// Keys, and sums over the dequantized elements of every tensor, as the Python package `gguf` 0.19.0 gives them.
constexpr const char* kSmolLm2 = SLUICE_TEST_DATA "/model/smollm2-135m-instruct-q4_1.json";

// Elements of a value as JSON, at most `count`.
json as_json(const GgufEntry& entry, uint64_t count) {
  json values = json::array();
  GgufStrings strings(entry);
  const GgufType type = entry.type == GgufType::kArray ? entry.element : entry.type;
  for (uint64_t i = 0; i < std::min(entry.count, count); i++) {
    if (type == GgufType::kString)
      values.push_back(*strings.next());
    else if (const auto boolean = boolean_at(entry, i))
      values.push_back(*boolean);
    else if (const auto integer = integer_at(entry, i))
      values.push_back(*integer);
    else
      values.push_back(*number_at(entry, i));
  }
  return entry.type == GgufType::kArray ? values : values[0];
}

TEST(Published, EveryKeyOfSmolLm2) {
  SLUICE_NEED_REAL_MODEL(path);
  const json expected = json::parse(read_file(kSmolLm2));
  const GgufFile file(path);
  EXPECT_EQ(file.alignment(), expected["alignment"]);
  EXPECT_EQ(file.data_offset(), expected["data_offset"]);
  EXPECT_EQ(file.version(), expected["keys"]["GGUF.version"]["value"]);
  EXPECT_EQ(file.tensors().size(), expected["keys"]["GGUF.tensor_count"]["value"]);
  EXPECT_EQ(file.entries().size(), expected["keys"]["GGUF.kv_count"]["value"]);
  uint64_t compared = 0;
  for (const auto& [key, value] : expected["keys"].items()) {
    if (key.starts_with("GGUF.")) continue;
    const GgufEntry* const entry = file.find(key);
    ASSERT_NE(entry, nullptr) << key;
    EXPECT_EQ(entry->type_name(), value["type"]) << key;
    if (value["value"].is_object()) {
      EXPECT_EQ(entry->count, value["value"]["array_length"]) << key;
      EXPECT_EQ(as_json(*entry, value["value"]["first"].size()), value["value"]["first"]) << key;
    } else {
      EXPECT_EQ(as_json(*entry, UINT64_MAX), value["value"]) << key;
    }
    compared++;
  }
  EXPECT_EQ(compared, file.entries().size());
}

TEST(Published, EveryTensorOfSmolLm2) {
  SLUICE_NEED_REAL_MODEL(path);
  const json expected = json::parse(read_file(kSmolLm2));
  const auto file = ModelFile::open(path);
  const Hyperparameters& hyper = file->hyper();
  EXPECT_EQ(hyper.layers, 30u);
  EXPECT_EQ(hyper.width, 576u);
  EXPECT_EQ(hyper.ffn_width, 1536u);
  EXPECT_EQ(hyper.heads, 9u);
  EXPECT_EQ(hyper.kv_heads, 3u);
  EXPECT_EQ(hyper.head_dim, 64u);
  EXPECT_EQ(hyper.vocab, 49152u);
  EXPECT_EQ(hyper.context, 8192u);
  EXPECT_EQ(hyper.rope_theta, 100000.0f);
  EXPECT_EQ(hyper.rms_epsilon, 1e-5f);
  EXPECT_TRUE(hyper.tied_embeddings);
  EXPECT_FALSE(hyper.qkv_bias);
  ASSERT_EQ(file->tensors().size(), expected["tensors"].size());
  for (size_t i = 0; i < file->tensors().size(); i++) {
    const Tensor& tensor = file->tensors()[i];
    const json& wanted = expected["tensors"][i];
    ASSERT_EQ(tensor.name, wanted["name"]);
    EXPECT_EQ(tensor.stored_as, wanted["type"]) << tensor.name;
    EXPECT_EQ(tensor.bytes, wanted["bytes"]) << tensor.name;
    EXPECT_EQ(tensor.offset, wanted["offset_in_file"]) << tensor.name;
    // Elementwise sums in double: below 2^25 terms of rounding 2^-53 each stay far within 1e-9 of abs_sum.
    std::vector<float> row(tensor.cols);
    double sum = 0, absolute = 0;
    for (uint64_t r = 0; r < tensor.rows; r++) {
      const auto* const bytes = static_cast<const std::byte*>(tensor.data) + r * (tensor.bytes / tensor.rows);
      sluice_gguf_dequantize(tensor.type, bytes, row.size(), row.data());
      for (const float x : row) sum += x, absolute += std::fabs(x);
    }
    EXPECT_NEAR(sum, double(wanted["sum"]), 1e-9 * double(wanted["abs_sum"])) << tensor.name;
    EXPECT_NEAR(absolute, double(wanted["abs_sum"]), 1e-9 * double(wanted["abs_sum"])) << tensor.name;
  }
}

TEST(Published, VocabularyOfSmolLm2) {
  SLUICE_NEED_REAL_MODEL(path);
  const Vocabulary vocabulary = read_gguf_vocabulary(path);
  EXPECT_EQ(vocabulary.model, Vocabulary::Model::kByteBpe);
  EXPECT_EQ(vocabulary.pre, "smollm");
  EXPECT_EQ(vocabulary.tokens.size(), 49152u);
  EXPECT_EQ(vocabulary.merges.size(), 48900u);
  EXPECT_EQ(vocabulary.bos, 1);
  EXPECT_EQ(vocabulary.eos, 2);
  EXPECT_EQ(vocabulary.unknown, 0);
  EXPECT_EQ(vocabulary.pad, 2);
  EXPECT_FALSE(vocabulary.add_bos);
  EXPECT_FALSE(vocabulary.add_space_prefix);
  EXPECT_THAT(vocabulary.end_of_generation, ElementsAre(2, 0));  // <|im_end|> by key, <|endoftext|> by name
  EXPECT_EQ(vocabulary.chat_template.substr(0, 12), "{% for messa");
}

// The weights of stories260K as llama2.c stores them: seven integers, then floats by kind of tensor, layer by layer.
TEST(Published, Stories260KHasTheWeightsOfItsOriginal) {
  SLUICE_NEED_SHARED(path, "data/models/stories260K/stories260K.gguf");
  SLUICE_NEED_SHARED(original, "data/models/stories260K/stories260K.bin");
  const auto file = ModelFile::open(path);
  const Hyperparameters& hyper = file->hyper();
  EXPECT_EQ(hyper.layers, 5u);
  EXPECT_EQ(hyper.width, 64u);
  EXPECT_EQ(hyper.ffn_width, 172u);
  EXPECT_EQ(hyper.heads, 8u);
  EXPECT_EQ(hyper.kv_heads, 4u);
  EXPECT_EQ(hyper.head_dim, 8u);
  EXPECT_EQ(hyper.vocab, 512u);
  EXPECT_EQ(file->vocabulary().pad, -1);  // stored as 4294967295
  EXPECT_TRUE(file->vocabulary().add_bos);
  const std::string bytes = read_file(original);
  size_t at = 7 * sizeof(int32_t);
  const auto expect = [&](const std::string& name) {
    const Tensor& tensor = file->tensor(name);
    ASSERT_LE(at + tensor.bytes, bytes.size());
    EXPECT_EQ(std::memcmp(tensor.data, bytes.data() + at, tensor.bytes), 0) << name;
    at += tensor.bytes;
  };
  expect("token_embd.weight");
  for (const char* part :
       {"attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_down", "ffn_up"})
    for (int layer = 0; layer < 5; layer++) expect("blk." + std::to_string(layer) + "." + part + ".weight");
  expect("output_norm.weight");
}

TEST(Published, VocabularyOnlyFiles) {
  SLUICE_NEED_SHARED(llama, "data/tokenizers/ggml-vocab-llama-spm.gguf");
  SLUICE_NEED_SHARED(gpt2, "data/tokenizers/ggml-vocab-gpt-2.gguf");
  const Vocabulary a = read_gguf_vocabulary(llama), b = read_gguf_vocabulary(gpt2);
  EXPECT_EQ(a.model, Vocabulary::Model::kSentencePiece);
  EXPECT_EQ(a.tokens.size(), 32000u);
  EXPECT_EQ(a.tokens[15043], "\xE2\x96\x81Hello");
  EXPECT_EQ(a.kinds[3], TokenKind::kByte);
  EXPECT_TRUE(a.add_bos);
  EXPECT_TRUE(a.add_space_prefix);
  EXPECT_EQ(a.pre, "");
  EXPECT_EQ(b.model, Vocabulary::Model::kByteBpe);
  EXPECT_EQ(b.tokens.size(), 50257u);
  EXPECT_EQ(b.merges.size(), 50000u);
  EXPECT_EQ(b.pre, "gpt-2");
  EXPECT_EQ(b.bos, 50256);
  EXPECT_FALSE(b.add_bos);
  EXPECT_THAT(b.end_of_generation, ElementsAre(50256));
}

TEST(Published, TinyStories656KOfHuggingFace) {
  SLUICE_NEED_SHARED(folder, "data/models/tinystories-656K");
  const auto file = ModelFile::open(folder);
  const Hyperparameters& hyper = file->hyper();
  EXPECT_EQ(hyper.architecture, "llama");
  EXPECT_EQ(hyper.name, "tinystories-656K");
  EXPECT_EQ(hyper.layers, 2u);
  EXPECT_EQ(hyper.width, 128u);
  EXPECT_EQ(hyper.ffn_width, 384u);
  EXPECT_EQ(hyper.heads, 8u);
  EXPECT_EQ(hyper.kv_heads, 4u);
  EXPECT_EQ(hyper.head_dim, 16u);
  EXPECT_EQ(hyper.vocab, 2048u);
  EXPECT_EQ(hyper.context, 512u);
  EXPECT_EQ(hyper.rms_epsilon, 1e-6f);
  EXPECT_TRUE(hyper.tied_embeddings);
  EXPECT_EQ(file->vocabulary().tokens.size(), 2048u);
  EXPECT_EQ(file->vocabulary().eos, 2);
  ASSERT_EQ(file->tensors().size(), 20u);

  const SafetensorsFile raw(folder / "model.safetensors");
  const auto stored = [&](std::string_view name) {
    for (const SafetensorsTensor& tensor : raw.tensors())
      if (tensor.name == name) return reinterpret_cast<const float*>(raw.file().bytes().data() + tensor.offset);
    return static_cast<const float*>(nullptr);
  };
  // The export keeps the tied matrix as the output's.
  EXPECT_EQ(std::memcmp(file->tensor("token_embd.weight").data, stored("lm_head.weight"), 2048 * 128 * 4), 0);
  // Row 3 of head 5 turns with row 3 + 8: they become rows 6 and 7 of the head.
  const auto* const query = static_cast<const float*>(file->tensor("blk.1.attn_q.weight").data);
  const float* const half = stored("model.layers.1.self_attn.q_proj.weight");
  EXPECT_EQ(std::memcmp(query + (5 * 16 + 6) * 128, half + (5 * 16 + 3) * 128, 128 * 4), 0);
  EXPECT_EQ(std::memcmp(query + (5 * 16 + 7) * 128, half + (5 * 16 + 11) * 128, 128 * 4), 0);
  EXPECT_EQ(std::memcmp(file->tensor("blk.1.attn_v.weight").data, stored("model.layers.1.self_attn.v_proj.weight"),
                        64 * 128 * 4),
            0);
}

}  // namespace
}  // namespace sluice
