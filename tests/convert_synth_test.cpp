// Synthetic models: they open, have the shape that was asked for, ordinary numbers, and the same ones every time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/convert/random_weights.h"
#include "core/convert/shapes.h"
#include "core/convert/synth.h"
#include "core/convert/tokenizer_files.h"
#include "core/model/gguf.h"
#include "core/quant/quantize.h"
#include "core/tokenizer/tokenizer.h"
#include "support/scratch_folder.h"
#include "support/shared_data.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

namespace fs = std::filesystem;

// A shape's kind with small numbers.
SynthOptions small(std::string_view shape, uint32_t type) {
  SynthOptions options;
  options.hyper = model_shape(shape);
  Hyperparameters& hyper = options.hyper;
  hyper.layers = 2, hyper.width = 256, hyper.ffn_width = 512, hyper.heads = 4, hyper.head_dim = 64;
  hyper.kv_heads = hyper.kv_heads == model_shape(shape).heads ? 4 : 2;
  hyper.vocab = 512;
  hyper.rope_frequency.resize(32);
  options.type = type;
  return options;
}

SynthReport make(const fs::path& out, const SynthOptions& options, unsigned threads = 2) {
  ThreadPool pool(threads);
  return synthesize_gguf(out, options, pool);
}

struct Spread {
  double mean = 0, deviation = 0;
};

Spread spread_of(const Tensor& tensor) {
  std::vector<float> values(tensor.rows * tensor.cols);
  sluice_gguf_dequantize(tensor.type, tensor.data, values.size(), values.data());
  double sum = 0, squares = 0;
  for (const float v : values) {
    EXPECT_TRUE(std::isfinite(v));
    sum += v, squares += double(v) * v;
  }
  const double n = double(values.size()), mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean)};
}

TEST(Synth, ShapesAreThoseOfTheModels) {
  // Parameters as published (embedding and output counted once where tied).
  const std::pair<const char*, uint64_t> known[] = {{"llama2-7b", 6738415616},      {"llama2-13b", 13015864320},
                                                    {"llama3-8b", 8030261248},      {"mistral-7b", 7241732096},
                                                    {"tinyllama-1.1b", 1100048384}, {"smollm2-135m", 134515008},
                                                    {"qwen2-0.5b", 494032768}};
  EXPECT_EQ(model_shape_names().size(), std::size(known));
  for (const auto& [name, parameters] : known) {
    uint64_t sum = 0;
    for (const TensorShape& tensor : tensor_shapes(model_shape(name))) sum += tensor.rows * tensor.cols;
    EXPECT_EQ(sum, parameters) << name;
  }
  EXPECT_THAT(error_of([] { model_shape("lama2-7b"); }).what(), HasSubstr("did you mean \"llama2-7b\"?"));
}

TEST(Synth, EveryTypeOpensWithOrdinaryNumbers) {
  const ScratchFolder folder;
  for (const uint32_t type : quantizable_types()) {
    const SynthReport report = make(folder / "out.gguf", [&] {
      SynthOptions options = small("llama2-7b", type);
      options.force = true;
      return options;
    }());
    const auto model = ModelFile::open(folder / "out.gguf");
    EXPECT_EQ(model->tensor("blk.1.ffn_up.weight").type, type);
    EXPECT_THAT(report.fallbacks, SizeIs(0));
    uint64_t parameters = 0, bytes = 0;
    for (const Tensor& tensor : model->tensors()) {
      parameters += tensor.rows * tensor.cols, bytes += tensor.bytes;
      const Spread spread = spread_of(tensor);
      if (tensor.name.ends_with("norm.weight")) {
        EXPECT_EQ(spread.mean, 1);
        EXPECT_EQ(spread.deviation, 0);
        continue;
      }
      const bool residual =
          tensor.name.find("attn_output") != std::string::npos || tensor.name.find("ffn_down") != std::string::npos;
      const double want = residual ? 0.01 : 0.02;  // 0.02 / sqrt(2 * 2 layers)
      // The pool's own spread (thousands of units), the draw's, and what the type rounds off: at 2 bits
      // the codes' spread is smaller by the lost 7 % of the power.
      EXPECT_NEAR(spread.deviation, want, 0.05 * want) << tensor.name;
      EXPECT_NEAR(spread.mean, 0, 0.02 * want) << tensor.name;
    }
    EXPECT_EQ(report.parameters, parameters);
    EXPECT_EQ(report.bytes, bytes);
  }
}

TEST(Synth, RepeatsItselfForASeedWhateverTheThreads) {
  const ScratchFolder folder;
  SynthOptions options = small("llama3-8b", SLUICE_GGUF_Q4_K);
  make(folder / "a.gguf", options, 1);
  make(folder / "b.gguf", options, 4);
  EXPECT_EQ(read_file(folder / "a.gguf"), read_file(folder / "b.gguf"));
  options.seed = 1;
  make(folder / "c.gguf", options);
  EXPECT_NE(read_file(folder / "a.gguf"), read_file(folder / "c.gguf"));
}

TEST(Synth, RowsDiffer) {
  const RandomBlocks random(SLUICE_GGUF_F16, 0.02f, 0);
  std::vector<std::byte> a(200), b(200);
  random.fill_row(100, 1, a.data());  // 100 is no multiple of the eight that are drawn together
  random.fill_row(100, 2, b.data());
  EXPECT_NE(a, b);
}

TEST(Synth, BiasedAndTiedShapes) {
  const ScratchFolder folder;
  make(folder / "out.gguf", small("qwen2-0.5b", SLUICE_GGUF_Q8_0));
  const auto model = ModelFile::open(folder / "out.gguf");
  EXPECT_TRUE(model->hyper().qkv_bias);
  EXPECT_TRUE(model->hyper().tied_embeddings);
  EXPECT_EQ(model->hyper().architecture, "qwen2");
}

TEST(Synth, FallbacksAreListedOnce) {
  const ScratchFolder folder;
  SynthOptions options = small("llama2-7b", SLUICE_GGUF_Q4_K);
  options.hyper.ffn_width = 416;
  const SynthReport report = make(folder / "out.gguf", options);
  ASSERT_THAT(report.fallbacks, SizeIs(1));
  EXPECT_THAT(report.fallbacks[0], AllOf(HasSubstr("blk.*.ffn_down.weight is Q4_1"), HasSubstr("rows of 416")));
}

TEST(Synth, HuggingFaceFoldersOpen) {
  for (const char* shape : {"llama2-7b", "qwen2-0.5b"}) {
    for (const uint32_t type : {SLUICE_GGUF_F32, SLUICE_GGUF_F16, SLUICE_GGUF_BF16}) {
      const ScratchFolder folder;
      ThreadPool pool(2);
      const SynthReport report = synthesize_huggingface(folder / "hf", small(shape, type), pool);
      EXPECT_GE(report.files, 2u);
      const auto model = ModelFile::open(folder / "hf");
      EXPECT_EQ(model->format(), "Hugging Face, " + std::to_string(report.files) + " shards");
      EXPECT_EQ(model->hyper().layers, 2u);
      EXPECT_EQ(model->hyper().context, model_shape(shape).context);
      EXPECT_EQ(model->hyper().rope_theta, model_shape(shape).rope_theta);
      EXPECT_EQ(model->hyper().rms_epsilon, model_shape(shape).rms_epsilon);
      EXPECT_EQ(model->tensor("blk.0.attn_q.weight").type, type);
      const Spread spread = spread_of(model->tensor("blk.1.ffn_gate.weight"));
      EXPECT_NEAR(spread.deviation, 0.02, 0.001);
      EXPECT_EQ(model->vocabulary().tokens.size(), 512u);
      const nlohmann::json index = nlohmann::json::parse(read_file(folder / "hf" / "model.safetensors.index.json"));
      EXPECT_EQ(index["metadata"]["total_size"], report.bytes);
      EXPECT_EQ(index["weight_map"].size(), model->tensors().size());
    }
  }
}

TEST(Synth, FoldersAreGuarded) {
  const ScratchFolder folder;
  ThreadPool pool(1);
  SynthOptions options = small("llama2-7b", SLUICE_GGUF_F16);
  fs::create_directory(folder / "hf");
  EXPECT_NO_THROW(synthesize_huggingface(folder / "hf", options, pool));  // an empty folder is filled
  EXPECT_THAT(error_of([&] { synthesize_huggingface(folder / "hf", options, pool); }).what(),
              AllOf(HasSubstr("exists already"), HasSubstr("--force")));
  options.force = true;
  EXPECT_NO_THROW(synthesize_huggingface(folder / "hf", options, pool));
  fs::create_directory(folder / "home");
  write_file(folder / "home" / "letter.txt", "dear");
  EXPECT_THAT(error_of([&] { synthesize_huggingface(folder / "home", options, pool); }).what(),
              HasSubstr("not a model's folder"));
  EXPECT_EQ(read_file(folder / "home" / "letter.txt"), "dear");
  EXPECT_THAT(error_of([&] {
                options.type = SLUICE_GGUF_Q4_0;
                synthesize_huggingface(folder / "q", options, pool);
              }).what(),
              HasSubstr("not Q4_0"));
  EXPECT_FALSE(fs::exists(folder / "q"));
  // An interrupted run leaves neither the folder nor its unfinished form.
  const std::atomic<bool> stop{true};
  options.type = SLUICE_GGUF_F16;
  options.stop = &stop;
  EXPECT_EQ(error_of([&] { synthesize_huggingface(folder / "late", options, pool); }).code(), kExitFailed);
  EXPECT_FALSE(fs::exists(folder / "late"));
  EXPECT_FALSE(fs::exists(folder / "late.partial"));
}

TEST(Synth, MadeUpWordsTokenizeAnything) {
  const Tokenizer tokenizer(made_up_vocabulary(2000));
  for (const std::string text : {"the cat sat",
                                 "Gr\xC3\xBC\xC3\x9F"
                                 "e 42!",
                                 "\n\t", ""}) {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    for (const int32_t id : ids) EXPECT_LT(id, 2000);
  }
  EXPECT_LT(tokenizer.encode("there").size(), 5u);
}

TEST(Synth, VocabulariesComeFromAnyFile) {
  const ScratchFolder folder;
  ThreadPool pool(2);
  TinyModel tiny;  // 320 tokens
  write_tiny_gguf(folder / "vocab.gguf", tiny);
  write_tiny_huggingface(folder / "tiny", tiny);
  const Vocabulary want = tiny_vocabulary(320);
  for (const fs::path& source : {folder / "vocab.gguf", folder / "tiny", folder / "tiny/tokenizer.model"}) {
    SynthOptions options = small("llama2-7b", SLUICE_GGUF_Q4_0);
    options.tokenizer = source;
    options.force = true;
    make(folder / "out.gguf", options);
    const Vocabulary got = ModelFile::open(folder / "out.gguf")->vocabulary();
    ASSERT_EQ(got.tokens.size(), 512u) << source;  // the rest is unused
    EXPECT_TRUE(std::equal(want.tokens.begin(), want.tokens.end(), got.tokens.begin()));
    EXPECT_TRUE(std::equal(want.scores.begin(), want.scores.end(), got.scores.begin()));
    EXPECT_EQ(got.bos, want.bos);
    options.type = SLUICE_GGUF_F16;
    synthesize_huggingface(folder / "hf", options, pool);
    const Tokenizer tokenizer(ModelFile::open(folder / "hf")->vocabulary());
    EXPECT_EQ(tokenizer.encode("the heron ate"), Tokenizer(want).encode("the heron ate")) << source;
  }
  SynthOptions options = small("llama2-7b", SLUICE_GGUF_Q4_0);
  options.hyper.vocab = 310;
  options.tokenizer = folder / "vocab.gguf";
  EXPECT_THAT(error_of([&] { make(folder / "few.gguf", options); }).what(),
              AllOf(HasSubstr("320 tokens"), HasSubstr("310 rows")));
}

TEST(Synth, TheTrueVocabularyIsKept) {
  SLUICE_NEED_SHARED(source, "data/tokenizers/ggml-vocab-llama-spm.gguf");
  const ScratchFolder folder;
  SynthOptions options = small("llama2-7b", SLUICE_GGUF_Q4_0);
  options.hyper.vocab = 32000;
  options.tokenizer = source;
  make(folder / "out.gguf", options);
  const GgufFile in(source), out(folder / "out.gguf");
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
    EXPECT_TRUE(std::ranges::equal(in.find(key)->encoded, out.find(key)->encoded)) << key;
  }
}

}  // namespace
}  // namespace sluice
