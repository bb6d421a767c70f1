// Models as the rest of the product sees them: one form whatever the file, and everything that is no such model
// refused by name.
#include "core/model/model_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/model/gguf_vocabulary.h"
#include "core/model/gguf_writer.h"
#include "support/scratch_folder.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::ScratchFolder;
using testing::TinyModel;
using testing::TinyTensor;

std::vector<float> values(const Tensor& tensor) {
  std::vector<float> result(tensor.rows * tensor.cols);
  sluice_gguf_dequantize(tensor.type, tensor.data, result.size(), result.data());
  return result;
}

void expect_tensors(const ModelFile& file, const TinyModel& model) {
  const std::vector<TinyTensor> expected = testing::tiny_tensors(model);
  ASSERT_EQ(file.tensors().size(), expected.size());
  for (const TinyTensor& tensor : expected) {
    const Tensor& found = file.tensor(tensor.name);
    EXPECT_EQ(found.rows, tensor.rows) << tensor.name;
    EXPECT_EQ(found.cols, tensor.cols) << tensor.name;
    EXPECT_EQ(values(found), tensor.values) << tensor.name;
  }
}

TEST(ModelFile, TinyGgufIsReadWhole) {
  const ScratchFolder folder;
  const TinyModel model;
  testing::write_tiny_gguf(folder / "tiny.gguf", model);
  const auto file = ModelFile::open(folder / "tiny.gguf");
  EXPECT_EQ(file->format(), "GGUF v3");
  const Hyperparameters& hyper = file->hyper();
  EXPECT_EQ(hyper.architecture, "llama");
  EXPECT_EQ(hyper.name, "tiny");
  EXPECT_EQ(hyper.layers, 2u);
  EXPECT_EQ(hyper.width, 64u);
  EXPECT_EQ(hyper.ffn_width, 128u);
  EXPECT_EQ(hyper.heads, 4u);
  EXPECT_EQ(hyper.kv_heads, 2u);
  EXPECT_EQ(hyper.head_dim, 16u);
  EXPECT_EQ(hyper.vocab, 320u);
  EXPECT_EQ(hyper.context, 512u);
  EXPECT_EQ(hyper.sliding_window, 0u);
  EXPECT_EQ(hyper.rms_epsilon, 1e-5f);
  EXPECT_EQ(hyper.rope_theta, 10000.0f);
  EXPECT_EQ(hyper.rope_frequency.size(), 8u);
  EXPECT_EQ(hyper.rope_scaling, "none");
  EXPECT_FALSE(hyper.tied_embeddings);
  EXPECT_FALSE(hyper.qkv_bias);
  expect_tensors(*file, model);
}

TEST(ModelFile, VocabularyOfTheTinyGguf) {
  const ScratchFolder folder;
  TinyModel model;
  model.chat_template = "{{ messages }}";
  testing::write_tiny_gguf(folder / "tiny.gguf", model);
  const Vocabulary expected = testing::tiny_vocabulary(model.vocab);
  const Vocabulary found = read_gguf_vocabulary(folder / "tiny.gguf");
  EXPECT_EQ(found.model, Vocabulary::Model::kSentencePiece);
  EXPECT_EQ(found.tokens, expected.tokens);
  EXPECT_EQ(found.scores, expected.scores);
  EXPECT_EQ(found.kinds, expected.kinds);
  EXPECT_EQ(found.bos, 1);
  EXPECT_EQ(found.eos, 2);
  EXPECT_EQ(found.unknown, 0);
  EXPECT_EQ(found.pad, -1);
  EXPECT_THAT(found.end_of_generation, ElementsAre(2));
  EXPECT_TRUE(found.add_bos);
  EXPECT_FALSE(found.add_eos);
  EXPECT_TRUE(found.add_space_prefix);
  EXPECT_EQ(found.chat_template, "{{ messages }}");
}

TEST(ModelFile, EveryShapeAndFormatGivesTheSameModel) {
  TinyModel base, wide_heads, biased, tied, mistral;
  wide_heads.head_dim = 32;
  biased.qkv_bias = true;
  biased.architecture = "qwen2";
  tied.tied = true;
  tied.kv_heads = 4;
  tied.rope_theta = 500000;
  mistral.sliding_window = 64;
  const ScratchFolder folder;
  for (const TinyModel& model : {base, wide_heads, biased, tied, mistral}) {
    testing::write_tiny_gguf(folder / "a.gguf", model);
    std::filesystem::remove_all(folder / "hf");
    testing::write_tiny_huggingface(folder / "hf", model, model.tied ? 3 : 1);
    const auto gguf = ModelFile::open(folder / "a.gguf"), hf = ModelFile::open(folder / "hf");
    EXPECT_EQ(hf->format(), model.tied ? "Hugging Face, 3 shards" : "Hugging Face, 1 file");
    expect_tensors(*gguf, model);
    expect_tensors(*hf, model);
    const Hyperparameters &a = gguf->hyper(), &b = hf->hyper();
    EXPECT_EQ(a.architecture, b.architecture);
    EXPECT_EQ(a.head_dim, model.head_size());
    EXPECT_EQ(b.head_dim, model.head_size());
    EXPECT_EQ(a.rope_frequency, b.rope_frequency);
    EXPECT_EQ(a.rms_epsilon, b.rms_epsilon);
    EXPECT_EQ(a.context, b.context);
    EXPECT_EQ(a.vocab, b.vocab);
    EXPECT_EQ(a.sliding_window, model.sliding_window);
    EXPECT_EQ(b.sliding_window, model.sliding_window);
    EXPECT_EQ(a.tied_embeddings, model.tied);
    EXPECT_EQ(b.tied_embeddings, model.tied);
    EXPECT_EQ(a.qkv_bias, model.qkv_bias);
    EXPECT_EQ(b.qkv_bias, model.qkv_bias);
    EXPECT_EQ(gguf->vocabulary().tokens, hf->vocabulary().tokens);
    EXPECT_EQ(gguf->vocabulary().scores, hf->vocabulary().scores);
    EXPECT_EQ(gguf->vocabulary().kinds, hf->vocabulary().kinds);
    EXPECT_EQ(gguf->vocabulary().end_of_generation, hf->vocabulary().end_of_generation);
    expect_tensors(*hf, model);
    // A copy that was made (rows of q in RoPE's order) goes without taking another along.
    const Tensor& dropped = hf->tensor("blk.0.attn_q.weight");
    hf->drop_data(dropped);
    for (const Tensor& tensor : hf->tensors()) {
      if (&tensor == &dropped) continue;
      const Tensor& same = gguf->tensor(tensor.name);
      ASSERT_EQ(tensor.bytes, same.bytes) << tensor.name;
      EXPECT_EQ(std::memcmp(tensor.data, same.data, tensor.bytes), 0) << tensor.name;
    }
  }
}

TEST(ModelFile, HalfPrecisionWeightsKeepTheirBits) {
  const ScratchFolder folder;
  for (const uint32_t type : {uint32_t(SLUICE_GGUF_F16), uint32_t(SLUICE_GGUF_BF16)}) {
    TinyModel model;
    model.type = type;
    testing::write_tiny_gguf(folder / "a.gguf", model);
    std::filesystem::remove_all(folder / "hf");
    testing::write_tiny_huggingface(folder / "hf", model);
    const auto gguf = ModelFile::open(folder / "a.gguf"), hf = ModelFile::open(folder / "hf");
    for (const Tensor& tensor : gguf->tensors()) {
      const Tensor& other = hf->tensor(tensor.name);
      EXPECT_EQ(tensor.type, other.type) << tensor.name;
      if (tensor.rows == 1) {
        EXPECT_EQ(other.type, uint32_t(SLUICE_GGUF_F32)) << tensor.name;  // vectors are always floats
        EXPECT_EQ(other.stored_as, sluice_gguf_type_info(type)->name) << tensor.name;
        continue;
      }
      EXPECT_EQ(tensor.type, type);
      ASSERT_EQ(tensor.bytes, other.bytes);
      EXPECT_EQ(std::memcmp(tensor.data, other.data, tensor.bytes), 0) << tensor.name;
    }
  }
}

TEST(ModelFile, QuantizedRowsOfQwen2AreReordered) {
  // The same weights under both orders of rows: whole rows of blocks have moved.
  const ScratchFolder folder;
  TinyModel model;
  model.type = SLUICE_GGUF_Q4_0;
  testing::write_tiny_gguf(folder / "llama.gguf", model);
  model.architecture = "qwen2";
  testing::write_tiny_gguf(folder / "qwen2.gguf", model);
  const auto llama = ModelFile::open(folder / "llama.gguf"), qwen = ModelFile::open(folder / "qwen2.gguf");
  EXPECT_EQ(qwen->hyper().architecture, "qwen2");
  for (const Tensor& tensor : llama->tensors())
    EXPECT_EQ(values(tensor), values(qwen->tensor(tensor.name))) << tensor.name;
}

TEST(ModelFile, MetadataIsThereForPeople) {
  const ScratchFolder folder;
  testing::write_tiny_gguf(folder / "a.gguf", TinyModel());
  const auto file = ModelFile::open(folder / "a.gguf");
  const auto& metadata = file->metadata();
  ASSERT_GT(metadata.size(), 10u);
  EXPECT_EQ(metadata[0].key, "general.architecture");
  EXPECT_EQ(metadata[0].type, "STRING");
  EXPECT_EQ(metadata[0].value, "llama");
  const auto tokens = std::find_if(metadata.begin(), metadata.end(),
                                   [](const Metadata& m) { return m.key == "tokenizer.ggml.tokens"; });
  ASSERT_NE(tokens, metadata.end());
  EXPECT_EQ(tokens->value, "[\"<unk>\", \"<s>\", \"</s>\", \"<0x00>\", ... 320 in all]");
}

// ---- what is refused ------------------------------------------------------------------------------

// The tiny model with some of its keys and tensors changed.
struct Changes {
  std::vector<std::string> without;                            // keys and tensors left out
  std::function<void(GgufWriter&)> keys = [](GgufWriter&) {};  // keys added
  std::function<void(std::vector<TinyTensor>&)> tensors = [](std::vector<TinyTensor>&) {};
};

std::string refusal(const TinyModel& model, const Changes& changes) {
  const ScratchFolder folder;
  testing::write_tiny_gguf(folder / "from.gguf", model);
  const GgufFile from(folder / "from.gguf");
  const auto left_out = [&](std::string_view name) {
    return std::find(changes.without.begin(), changes.without.end(), name) != changes.without.end();
  };
  GgufWriter writer(folder / "tiny.gguf");
  for (const GgufEntry& entry : from.entries())
    if (!left_out(entry.key)) writer.copy(entry);
  changes.keys(writer);
  std::vector<TinyTensor> tensors = testing::tiny_tensors(model);
  changes.tensors(tensors);
  std::erase_if(tensors, [&](const TinyTensor& tensor) { return left_out(tensor.name); });
  for (const TinyTensor& tensor : tensors) {
    const uint64_t matrix[] = {tensor.cols, tensor.rows}, vector[] = {tensor.cols};
    writer.add_tensor(tensor.name, SLUICE_GGUF_F32, tensor.rows == 1 ? std::span<const uint64_t>(vector) : matrix);
  }
  for (const TinyTensor& tensor : tensors) writer.write(std::as_bytes(std::span(tensor.values)));
  writer.finish();
  const Error error = error_of([&] { ModelFile::open(folder / "tiny.gguf"); });
  if (error.code() == kExitOk) return "";
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_THAT(error.what(), HasSubstr("tiny.gguf"));
  return error.what();
}

template <class T>
std::string with_key(const std::string& key, const T& value, const TinyModel& model = {}) {
  return refusal(model, {{key}, [&](GgufWriter& writer) { writer.set(key, value); }});
}

TEST(ModelRefusals, UnchangedModelIsNotRefused) { EXPECT_EQ(refusal({}, {}), ""); }

TEST(ModelRefusals, OtherArchitectures) {
  EXPECT_THAT(with_key("general.architecture", "gemma"),
              HasSubstr("is \"gemma\", which is not supported; supported: llama, qwen2"));
  EXPECT_THAT(with_key("general.architecture", "lama"), HasSubstr("did you mean \"llama\"?"));
  EXPECT_THAT(with_key("general.architecture", uint32_t(1)), HasSubstr("is UINT32, expected STRING"));
  EXPECT_THAT(refusal({}, {{"general.architecture"}}), HasSubstr("has no key \"general.architecture\""));
  EXPECT_THAT(with_key("llama.expert_count", uint32_t(8)), HasSubstr("mixture of experts"));
  EXPECT_EQ(with_key("llama.expert_count", uint32_t(0)), "");
  EXPECT_THAT(with_key("split.count", uint32_t(2)), HasSubstr("merge them first"));
  EXPECT_THAT(with_key("llama.logit_scale", 0.5f), HasSubstr("llama.logit_scale"));
}

TEST(ModelRefusals, MissingOrSenselessHyperparameters) {
  for (const char* key :
       {"llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
        "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon"})
    EXPECT_THAT(refusal({}, {{key}}), HasSubstr(fmt::format("has no key \"{}\"", key)));
  EXPECT_THAT(with_key("llama.block_count", uint32_t(0)), HasSubstr("number of layers is 0"));
  EXPECT_THAT(with_key("llama.block_count", "two"), HasSubstr("is STRING two, expected an integer"));
  EXPECT_THAT(with_key("llama.block_count", int32_t(-2)), HasSubstr("is INT32 -2, expected an integer from 0"));
  EXPECT_THAT(with_key("llama.attention.head_count", uint32_t(0)), HasSubstr("number of heads is 0"));
  EXPECT_THAT(with_key("llama.attention.head_count", uint32_t(7)), HasSubstr("does not divide the width 64"));
  EXPECT_THAT(with_key("llama.attention.head_count_kv", uint32_t(3)), HasSubstr("4 heads cannot share 3 KV heads"));
  EXPECT_THAT(with_key("llama.attention.key_length", uint32_t(15)),
              HasSubstr("the head size is 15, expected an even number"));
  EXPECT_THAT(with_key("llama.attention.value_length", uint32_t(8)), HasSubstr("is 8, but the head size is 16"));
  EXPECT_THAT(with_key("llama.rope.dimension_count", uint32_t(8)), HasSubstr("is 8, but the head size is 16"));
  EXPECT_THAT(with_key("llama.attention.layer_norm_rms_epsilon", 0.0f), HasSubstr("epsilon"));
  EXPECT_THAT(with_key("llama.rope.freq_base", -1.0f), HasSubstr("RoPE's base is -1"));
  EXPECT_THAT(with_key("llama.rope.freq_base", std::numeric_limits<float>::infinity()),
              HasSubstr("expected a finite number"));
}

TEST(ModelRefusals, TensorsThatDoNotMakeTheModel) {
  EXPECT_THAT(with_key("llama.block_count", uint32_t(3)), HasSubstr("tensor \"blk.2.attn_norm.weight\": is missing"));
  EXPECT_THAT(with_key("llama.block_count", uint32_t(4000000000)),
              HasSubstr("tensor \"blk.2.attn_norm.weight\": is missing"));
  EXPECT_THAT(with_key("llama.block_count", uint32_t(1)),
              HasSubstr("belongs to layer 1, but the model says it has 1 layers"));
  EXPECT_THAT(with_key("llama.feed_forward_length", uint32_t(96)),
              HasSubstr("is [128 x 64] (rows x columns), expected [96 x 64]"));
  EXPECT_THAT(with_key("llama.attention.head_count_kv", uint32_t(4)),
              HasSubstr("\"blk.0.attn_k.weight\": is [32 x 64]"));
  EXPECT_THAT(with_key("llama.embedding_length", uint32_t(4000000000)), HasSubstr("the head size is 1000000000"));
  for (const char* name : {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.1.ffn_down.weight"})
    EXPECT_THAT(refusal({}, {{name}}), HasSubstr(fmt::format("tensor \"{}\": is missing", name)));
  const auto rename = [](const char* from, const char* to) {
    return refusal({}, {{},
                        [](GgufWriter&) {},
                        [=](std::vector<TinyTensor>& tensors) {
                          for (TinyTensor& tensor : tensors)
                            if (tensor.name == from) tensor.name = to;
                        }});
  };
  EXPECT_THAT(rename("blk.0.attn_q.weight", "blk.0.attn_q_norm.weight"),
              HasSubstr("\"blk.0.attn_q_norm.weight\": is not part of a llama model"));
  EXPECT_THAT(rename("blk.0.attn_q.weight", "blk.00.attn_q.weight"), HasSubstr("is not part of"));
  EXPECT_THAT(rename("blk.0.attn_q.weight", "blk.99999999999999999999.attn_q.weight"), HasSubstr("is not part of"));
  EXPECT_THAT(rename("blk.0.attn_q.weight", "blk.0.attn_q.weight\n"), HasSubstr("attn_q.weight\\x0A"));
  TinyModel biased;
  biased.qkv_bias = true;
  EXPECT_THAT(refusal(biased, {{"blk.1.attn_v.bias"}}), HasSubstr("\"blk.1.attn_v.bias\": is missing"));
  EXPECT_THAT(refusal(biased, {{"blk.0.attn_q.bias"}}),
              HasSubstr("is a bias, but tensor blk.0.attn_q.bias is missing"));
  EXPECT_THAT(refusal({}, {{}, [](GgufWriter&) {}, [](std::vector<TinyTensor>& tensors) { tensors.clear(); }}),
              HasSubstr("holds a vocabulary only"));
}

TEST(ModelRefusals, RopeScaling) {
  const auto scaled = [](const char* type, float factor) {
    return refusal({}, {{}, [&](GgufWriter& writer) {
                          writer.set("llama.rope.scaling.type", type);
                          writer.set("llama.rope.scaling.factor", factor);
                        }});
  };
  EXPECT_EQ(scaled("linear", 4), "");
  EXPECT_EQ(scaled("none", 1), "");
  EXPECT_THAT(scaled("yarn", 4), HasSubstr("is \"yarn\", which is not supported; supported: none, linear"));
  EXPECT_THAT(scaled("longrope", 4), HasSubstr("is \"longrope\""));
  EXPECT_THAT(scaled("linear", -1), HasSubstr("is -1, expected a positive number"));
  const auto factors = [](std::vector<float> values) {
    return refusal({}, {{},
                        [](GgufWriter&) {},
                        [&](std::vector<TinyTensor>& tensors) {
                          tensors.push_back({"rope_freqs.weight", 1, uint32_t(values.size()), values});
                        }});
  };
  EXPECT_EQ(factors({1, 1, 2, 4, 8, 8, 8, 8}), "");
  EXPECT_THAT(factors({1, 1, 2}), HasSubstr("rows of 3, expected one row of 8"));
  EXPECT_THAT(factors({1, 1, 2, 4, 8, 8, 8, 0}), HasSubstr("holds the factor 0"));
}

TEST(ModelRefusals, Tokenizers) {
  EXPECT_THAT(with_key("tokenizer.ggml.model", "rwkv"),
              HasSubstr("is \"rwkv\", which is not supported; supported: \"llama\""));
  EXPECT_THAT(refusal({}, {{"tokenizer.ggml.model"}}), HasSubstr("the file holds no tokenizer"));
  EXPECT_THAT(refusal({}, {{"tokenizer.ggml.tokens"}}), HasSubstr("has no key \"tokenizer.ggml.tokens\""));
  EXPECT_THAT(refusal({}, {{"tokenizer.ggml.scores"}}), HasSubstr("has no key \"tokenizer.ggml.scores\""));
  EXPECT_THAT(with_key("tokenizer.ggml.model", "gpt2"), HasSubstr("has no key \"tokenizer.ggml.merges\""));
  EXPECT_THAT(with_key("tokenizer.ggml.bos_token_id", uint32_t(320)),
              HasSubstr("is 320, but the vocabulary has 320 tokens"));
  EXPECT_EQ(with_key("tokenizer.ggml.padding_token_id", uint32_t(0xFFFFFFFF)), "");
  const std::vector<float> scores(5);
  EXPECT_THAT(with_key("tokenizer.ggml.scores", std::span<const float>(scores)),
              HasSubstr("has 5 entries for 320 tokens"));
  std::vector<int32_t> kinds(320, 1);
  kinds[7] = 9;
  EXPECT_THAT(with_key("tokenizer.ggml.token_type", std::span<const int32_t>(kinds)),
              HasSubstr("entry 7 is 9, expected 0 to 6"));
  TinyModel more;
  more.vocab = 330;
  const Vocabulary vocabulary = testing::tiny_vocabulary(330);
  const auto longer = [&](std::vector<TinyTensor>& tensors) {
    for (TinyTensor& tensor : tensors)
      if (tensor.rows == 330) tensor.rows = 329, tensor.values.resize(size_t(329) * tensor.cols);
  };
  EXPECT_THAT(refusal(more, {{}, [](GgufWriter&) {}, longer}),
              HasSubstr("330 tokens, but the embedding only 329 rows"));
}

TEST(ModelFile, VocabularyIsFilledUpToTheEmbedding) {
  const ScratchFolder folder;
  TinyModel model;
  testing::write_tiny_gguf(folder / "from.gguf", model);
  const GgufFile from(folder / "from.gguf");
  model.vocab = 330;
  const std::vector<TinyTensor> tensors = testing::tiny_tensors(model);
  GgufWriter writer(folder / "a.gguf");
  for (const GgufEntry& entry : from.entries()) writer.copy(entry);
  for (const TinyTensor& tensor : tensors) {
    const uint64_t shape[] = {tensor.cols, tensor.rows};
    writer.add_tensor(tensor.name, SLUICE_GGUF_F32, shape);
  }
  for (const TinyTensor& tensor : tensors) writer.write(std::as_bytes(std::span(tensor.values)));
  writer.finish();
  const auto file = ModelFile::open(folder / "a.gguf");
  EXPECT_EQ(file->hyper().vocab, 330u);
  ASSERT_EQ(file->vocabulary().tokens.size(), 330u);
  EXPECT_EQ(file->vocabulary().tokens[329], "[PAD329]");
  EXPECT_EQ(file->vocabulary().kinds[329], TokenKind::kUnused);
}

TEST(ModelRefusals, PathsThatAreNoModel) {
  const ScratchFolder folder;
  const auto message = [&](const std::filesystem::path& path) {
    return std::string(error_of([&] { ModelFile::open(path); }).what());
  };
  EXPECT_THAT(message(folder / "none.gguf"), HasSubstr("none.gguf: cannot be opened: No such file"));
  EXPECT_THAT(message(folder.path()), HasSubstr("holds no config.json"));
  write_file(folder / "a.safetensors", "x");
  EXPECT_THAT(message(folder / "a.safetensors"), HasSubstr("name the folder"));
  write_file(folder / "a.txt", "some text");
  EXPECT_THAT(message(folder / "a.txt"), HasSubstr("starts with \"some\", expected \"GGUF\""));
  write_file(folder / "empty", "");
  EXPECT_THAT(message(folder / "empty"), HasSubstr("truncated"));
}

}  // namespace
}  // namespace sluice
