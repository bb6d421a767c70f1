// Whole models through quantize_model: types, metadata, both formats, refusals, and files that stay as they were when
// something fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/convert/quantize_model.h"
#include "core/convert/weight_choice.h"
#include "core/model/gguf.h"
#include "core/model/gguf_writer.h"
#include "core/model/model_file.h"
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
using ::testing::IsEmpty;

namespace fs = std::filesystem;

QuantizeOptions options_with(bool requantize, bool force) {
  QuantizeOptions options;
  options.requantize = requantize, options.force = force;
  return options;
}
const QuantizeOptions kRequantize = options_with(true, false), kForce = options_with(false, true),
                      kRequantizeForce = options_with(true, true);

QuantizeReport quantize_to(const fs::path& in, const fs::path& out, uint32_t type, QuantizeOptions options = {},
                           unsigned threads = 2) {
  options.type = type;
  ThreadPool pool(threads);
  return quantize_model(in, out, options, pool);
}

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(tensor.rows * tensor.cols);
  sluice_gguf_dequantize(tensor.type, tensor.data, values.size(), values.data());
  return values;
}

const QuantizedTensor& tensor_of(const QuantizeReport& report, std::string_view name) {
  for (const QuantizedTensor& tensor : report.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + std::string(name));
}

size_t files_in(const fs::path& folder) {
  return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// Width 256, so that K types fit all matrices but ffn_down, whose rows are of 128.
TinyModel wide_model() {
  TinyModel model;
  model.width = 256;
  return model;
}

TEST(QuantizeModel, WritesTheTypeAndKeepsVectors) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", {});
  const QuantizeReport report = quantize_to(folder / "in.gguf", folder / "out.gguf", SLUICE_GGUF_Q8_0);
  const auto before = ModelFile::open(folder / "in.gguf"), after = ModelFile::open(folder / "out.gguf");
  ASSERT_EQ(after->tensors().size(), before->tensors().size());
  uint64_t bytes = 0;
  for (size_t i = 0; i < before->tensors().size(); ++i) {
    const Tensor &x = before->tensors()[i], &y = after->tensors()[i];
    ASSERT_EQ(y.name, x.name);
    bytes += y.bytes;
    const std::vector<float> a = values_of(x), b = values_of(y);
    if (x.rows == 1) {
      EXPECT_EQ(y.type, uint32_t(SLUICE_GGUF_F32));
      EXPECT_EQ(a, b) << x.name;
      continue;
    }
    EXPECT_EQ(y.type, uint32_t(SLUICE_GGUF_Q8_0)) << x.name;
    double error = 0, norm = 0;
    for (size_t k = 0; k < a.size(); ++k) {
      error += (double(a[k]) - b[k]) * (double(a[k]) - b[k]);
      norm += double(a[k]) * a[k];
    }
    // Uniform numbers: the largest of a block is at most sqrt(3) of their RMS, a step is a 127th of it.
    EXPECT_LE(std::sqrt(error / norm), std::sqrt(3.0) / 127 / std::sqrt(12.0) * 1.02) << x.name;
    const QuantizedTensor& told = tensor_of(report, x.name);
    EXPECT_NEAR(told.squared_error, error, 1e-9 * norm);
    EXPECT_NEAR(told.squared_norm, norm, 1e-9 * norm);
    EXPECT_EQ(told.bytes, y.bytes);
    EXPECT_FALSE(told.fallback);
  }
  EXPECT_EQ(report.bytes_out, bytes);
  EXPECT_THAT(report.requantized_from, IsEmpty());
  EXPECT_EQ(GgufFile(folder / "out.gguf").unsigned_value("general.file_type"), 7u);
  EXPECT_EQ(GgufFile(folder / "out.gguf").find("sluice.requantized_from"), nullptr);
}

TEST(QuantizeModel, KeepsAllMetadataBitForBit) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "plain.gguf", {});
  const GgufFile plain(folder / "plain.gguf");
  {
    GgufWriter writer(folder / "in.gguf");
    for (const GgufEntry& entry : plain.entries()) writer.copy(entry);
    writer.set("general.file_type", uint32_t(0));
    writer.set("someone.else.text", "kept \xE2\x96\x81");
    writer.set("someone.else.number", 0.1);
    const std::vector<std::string> texts = {"a", "", "b"};
    writer.set("someone.else.texts", std::span<const std::string>(texts));
    for (const GgufTensor& tensor : plain.tensors()) {
      writer.add_tensor(tensor.name, tensor.type, std::span(tensor.shape).first(tensor.dims));
    }
    for (const GgufTensor& tensor : plain.tensors()) writer.write(plain.data(tensor));
    writer.finish();
  }
  quantize_to(folder / "in.gguf", folder / "out.gguf", SLUICE_GGUF_Q4_0);
  const GgufFile in(folder / "in.gguf"), out(folder / "out.gguf");
  for (const GgufEntry& entry : in.entries()) {
    if (entry.key == "general.file_type") continue;
    const GgufEntry* kept = out.find(entry.key);
    ASSERT_NE(kept, nullptr) << entry.key;
    EXPECT_EQ(kept->type, entry.type) << entry.key;
    EXPECT_TRUE(std::ranges::equal(kept->encoded, entry.encoded)) << entry.key;
  }
  EXPECT_EQ(out.unsigned_value("general.file_type"), 2u);
  EXPECT_EQ(out.unsigned_value("general.quantization_version"), 2u);
  EXPECT_EQ(out.entries().size(), in.entries().size() + 1);
}

TEST(QuantizeModel, FallsBackWhereRowsDoNotDivideAndListsIt) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", wide_model());
  const std::map<uint32_t, uint32_t> fallbacks = {{SLUICE_GGUF_Q2_K, SLUICE_GGUF_Q4_0},
                                                  {SLUICE_GGUF_Q3_K, SLUICE_GGUF_Q4_0},
                                                  {SLUICE_GGUF_Q4_K, SLUICE_GGUF_Q4_1},
                                                  {SLUICE_GGUF_Q5_K, SLUICE_GGUF_Q5_1},
                                                  {SLUICE_GGUF_Q6_K, SLUICE_GGUF_Q8_0}};
  for (const auto& [type, other] : fallbacks) {
    const QuantizeReport report = quantize_to(folder / "in.gguf", folder / "out.gguf", type, kForce);
    const QuantizedTensor& down = tensor_of(report, "blk.1.ffn_down.weight");
    EXPECT_EQ(down.to, other);
    EXPECT_TRUE(down.fallback);
    EXPECT_THAT(down.reason, HasSubstr("rows of 128 do not divide by"));
    const QuantizedTensor& up = tensor_of(report, "blk.1.ffn_up.weight");
    EXPECT_EQ(up.to, type);
    EXPECT_THAT(up.reason, IsEmpty());
    EXPECT_FALSE(up.fallback);
    EXPECT_EQ(tensor_of(report, "token_embd.weight").to, type);
    const auto model = ModelFile::open(folder / "out.gguf");
    EXPECT_EQ(model->tensor("blk.1.ffn_down.weight").type, other);
    EXPECT_EQ(model->tensor("blk.1.ffn_up.weight").type, type);
  }
}

TEST(QuantizeModel, TheOutputMatrixIsKeptFinerUnlessPure) {
  EXPECT_EQ(choose_weight_type("output.weight", false, 512, SLUICE_GGUF_Q4_0, false, false).type,
            uint32_t(SLUICE_GGUF_Q6_K));
  EXPECT_EQ(choose_weight_type("output.weight", false, 512, SLUICE_GGUF_Q4_0, false, true).type,
            uint32_t(SLUICE_GGUF_Q4_0));
  EXPECT_EQ(choose_weight_type("output.weight", false, 576, SLUICE_GGUF_Q2_K, false, false).type,
            uint32_t(SLUICE_GGUF_Q8_0));
  EXPECT_EQ(choose_weight_type("output.weight", false, 512, SLUICE_GGUF_F16, false, false).type,
            uint32_t(SLUICE_GGUF_F16));
  EXPECT_EQ(choose_weight_type("output.weight", false, 512, SLUICE_GGUF_Q8_0, false, false).type,
            uint32_t(SLUICE_GGUF_Q8_0));
  EXPECT_EQ(choose_weight_type("token_embd.weight", false, 512, SLUICE_GGUF_Q4_0, true, false).type,
            uint32_t(SLUICE_GGUF_Q6_K));
  EXPECT_EQ(choose_weight_type("token_embd.weight", false, 512, SLUICE_GGUF_Q4_0, false, false).type,
            uint32_t(SLUICE_GGUF_Q4_0));
  EXPECT_EQ(choose_weight_type("blk.0.ffn_down.weight", false, 172, SLUICE_GGUF_Q4_K, false, false).type,
            uint32_t(SLUICE_GGUF_F16));
  EXPECT_EQ(choose_weight_type("blk.0.attn_norm.weight", true, 512, SLUICE_GGUF_Q4_0, false, false).type,
            uint32_t(SLUICE_GGUF_F32));
}

TEST(QuantizeModel, QuantizedWeightsNeedConsentAndAreLabelled) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", wide_model());
  quantize_to(folder / "in.gguf", folder / "q8.gguf", SLUICE_GGUF_Q8_0);
  const Error error = error_of([&] { quantize_to(folder / "q8.gguf", folder / "out.gguf", SLUICE_GGUF_Q4_0); });
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("q8.gguf"), HasSubstr("quantized already (Q8_0)"), HasSubstr("--requantize")));
  EXPECT_FALSE(fs::exists(folder / "out.gguf"));

  const QuantizeReport first = quantize_to(folder / "q8.gguf", folder / "q4.gguf", SLUICE_GGUF_Q4_0, kRequantize);
  EXPECT_EQ(first.requantized_from, "Q8_0");
  EXPECT_EQ(GgufFile(folder / "q4.gguf").text("sluice.requantized_from"), "Q8_0");
  EXPECT_EQ(tensor_of(first, "output.weight").to, uint32_t(SLUICE_GGUF_Q6_K));
  const QuantizeReport second = quantize_to(folder / "q4.gguf", folder / "f16.gguf", SLUICE_GGUF_F16, kRequantize);
  EXPECT_EQ(second.requantized_from, "Q4_0, Q6_K");
  EXPECT_EQ(GgufFile(folder / "f16.gguf").text("sluice.requantized_from"), "Q8_0, then Q4_0, Q6_K");
  // From floats nothing is lost twice, but the label of what was lost before stays.
  quantize_to(folder / "f16.gguf", folder / "q5.gguf", SLUICE_GGUF_Q5_0);
  EXPECT_EQ(GgufFile(folder / "q5.gguf").text("sluice.requantized_from"), "Q8_0, then Q4_0, Q6_K");
}

TEST(QuantizeModel, EveryReadableTypeCanBeRequantized) {
  const ScratchFolder folder;
  for (const uint32_t type : quantizable_types()) {
    TinyModel tiny = wide_model();
    tiny.ffn = 256;
    tiny.type = type;
    write_tiny_gguf(folder / "in.gguf", tiny);
    const QuantizeReport report =
        quantize_to(folder / "in.gguf", folder / "out.gguf", SLUICE_GGUF_Q8_0, kRequantizeForce);
    const QuantizedTensor& up = tensor_of(report, "blk.0.ffn_up.weight");
    EXPECT_EQ(up.from, type);
    EXPECT_EQ(up.to, uint32_t(SLUICE_GGUF_Q8_0));
    EXPECT_LT(std::sqrt(up.squared_error / up.squared_norm), 0.01);
    EXPECT_NO_THROW(ModelFile::open(folder / "out.gguf"));
  }
}

TEST(QuantizeModel, TensorsOfTheRightTypeAreCopied) {
  const ScratchFolder folder;
  TinyModel tiny;
  tiny.type = SLUICE_GGUF_Q8_0;
  write_tiny_gguf(folder / "in.gguf", tiny);
  const QuantizeReport report =
      quantize_to(folder / "in.gguf", folder / "out.gguf", SLUICE_GGUF_Q8_0);  // needs no consent
  EXPECT_THAT(report.requantized_from, IsEmpty());
  const GgufFile in(folder / "in.gguf"), out(folder / "out.gguf");
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(in.data(in.tensors()[i]), out.data(out.tensors()[i])));
  }
}

// The same weights in the other format, whose rows of q and k lie in another order, give the same file of tensors.
TEST(QuantizeModel, AHuggingFaceFolderGivesTheSameTensors) {
  for (const char* architecture : {"llama", "qwen2"}) {
    const ScratchFolder folder;
    TinyModel tiny;
    tiny.architecture = architecture;
    tiny.qkv_bias = tiny.architecture == "qwen2";
    tiny.head_dim = 32;  // not width / heads
    write_tiny_gguf(folder / "in.gguf", tiny);
    write_tiny_huggingface(folder / "hf", tiny, 2);
    quantize_to(folder / "in.gguf", folder / "a.gguf", SLUICE_GGUF_Q4_1);
    quantize_to(folder / "hf", folder / "b.gguf", SLUICE_GGUF_Q4_1);
    const GgufFile a(folder / "a.gguf"), b(folder / "b.gguf");
    std::map<std::string_view, std::span<const std::byte>> of_b;
    for (const GgufTensor& tensor : b.tensors()) of_b[tensor.name] = b.data(tensor);
    ASSERT_EQ(of_b.size(), a.tensors().size());
    for (const GgufTensor& tensor : a.tensors()) {
      EXPECT_TRUE(std::ranges::equal(a.data(tensor), of_b[tensor.name])) << architecture << " " << tensor.name;
    }
    const auto model = ModelFile::open(folder / "b.gguf"), want = ModelFile::open(folder / "a.gguf");
    EXPECT_EQ(model->hyper().architecture, architecture);
    EXPECT_EQ(model->hyper().layers, want->hyper().layers);
    EXPECT_EQ(model->hyper().context, want->hyper().context);
    EXPECT_EQ(model->hyper().head_dim, 32u);
    EXPECT_EQ(model->hyper().kv_heads, want->hyper().kv_heads);
    EXPECT_EQ(model->hyper().rms_epsilon, want->hyper().rms_epsilon);
    EXPECT_EQ(model->hyper().rope_frequency, want->hyper().rope_frequency);
    EXPECT_EQ(model->vocabulary().tokens, want->vocabulary().tokens);
    EXPECT_EQ(model->vocabulary().scores, want->vocabulary().scores);
    EXPECT_EQ(model->vocabulary().kinds, want->vocabulary().kinds);
    EXPECT_EQ(model->vocabulary().bos, want->vocabulary().bos);
    EXPECT_EQ(model->vocabulary().eos, want->vocabulary().eos);
    EXPECT_EQ(model->vocabulary().add_bos, want->vocabulary().add_bos);
  }
}

TEST(QuantizeModel, RopeScalingOfAFolderSurvives) {
  const ScratchFolder folder;
  TinyModel tiny;
  tiny.head_dim = 64;
  const char* scalings[] = {R"({"rope_type": "linear", "factor": 4.0})",
                            R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64})"};
  for (const char* scaling : scalings) {
    write_tiny_huggingface(folder / "hf", tiny);
    nlohmann::json config = nlohmann::json::parse(read_file(folder / "hf" / "config.json"));
    config["rope_scaling"] = nlohmann::json::parse(scaling);
    write_file(folder / "hf" / "config.json", config.dump());
    quantize_to(folder / "hf", folder / "out.gguf", SLUICE_GGUF_F16, kForce);
    const auto want = ModelFile::open(folder / "hf"), got = ModelFile::open(folder / "out.gguf");
    ASSERT_EQ(got->hyper().rope_frequency.size(), want->hyper().rope_frequency.size());
    EXPECT_NE(want->hyper().rope_frequency.back(), float(std::pow(1e4, -62.0 / 64)));
    for (size_t i = 0; i < want->hyper().rope_frequency.size(); ++i) {
      // One rounding of the divisor to F32 and one of the quotient.
      EXPECT_NEAR(got->hyper().rope_frequency[i] / want->hyper().rope_frequency[i], 1, 0x1p-22) << scaling << " " << i;
    }
  }
}

TEST(QuantizeModel, ATokenizerOfMergesTokenizesAlikeAfterwards) {
  SLUICE_NEED_SHARED(source, "data/models/tinystories-656K");
  const ScratchFolder folder;
  const QuantizeReport report = quantize_to(source, folder / "out.gguf", SLUICE_GGUF_Q8_0);
  EXPECT_TRUE(report.vocabulary_converted);
  const Tokenizer before(ModelFile::open(source)->vocabulary()),
      after(ModelFile::open(folder / "out.gguf")->vocabulary());
  SLUICE_NEED_SHARED(text, "data/tinystories/tinystories_sample.txt");
  std::ifstream lines(text);
  size_t count = 0, same = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    ++count;
    same += before.encode(line) == after.encode(line);
  }
  EXPECT_GT(count, 10u);
  EXPECT_EQ(same, count);
}

TEST(QuantizeModel, TheFileDoesNotDependOnThreads) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", wide_model());
  const QuantizeReport a = quantize_to(folder / "in.gguf", folder / "a.gguf", SLUICE_GGUF_Q3_K, {}, 1);
  const QuantizeReport b = quantize_to(folder / "in.gguf", folder / "b.gguf", SLUICE_GGUF_Q3_K, {}, 5);
  EXPECT_EQ(read_file(folder / "a.gguf"), read_file(folder / "b.gguf"));
  for (size_t i = 0; i < a.tensors.size(); ++i) EXPECT_EQ(a.tensors[i].squared_error, b.tensors[i].squared_error);
}

TEST(QuantizeModel, OutputsAreGuarded) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", {});
  const std::string original = read_file(folder / "in.gguf");
  fs::create_symlink(folder / "in.gguf", folder / "link.gguf");
  for (const char* same : {"in.gguf", "link.gguf"}) {
    const Error error = error_of([&] { quantize_to(folder / "in.gguf", folder / same, SLUICE_GGUF_Q4_0, kForce); });
    EXPECT_THAT(error.what(), HasSubstr("is the input itself"));
  }
  EXPECT_EQ(read_file(folder / "in.gguf"), original);

  write_file(folder / "old.gguf", "old");
  const Error exists = error_of([&] { quantize_to(folder / "in.gguf", folder / "old.gguf", SLUICE_GGUF_Q4_0); });
  EXPECT_EQ(exists.code(), kExitUsage);
  EXPECT_THAT(exists.what(), AllOf(HasSubstr("exists already"), HasSubstr("--force")));
  EXPECT_EQ(read_file(folder / "old.gguf"), "old");
  quantize_to(folder / "in.gguf", folder / "old.gguf", SLUICE_GGUF_Q4_0, kForce);
  EXPECT_NO_THROW(ModelFile::open(folder / "old.gguf"));

  EXPECT_THAT(error_of([&] { quantize_to(folder / "in.gguf", folder.path(), SLUICE_GGUF_Q4_0); }).what(),
              HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { quantize_to(folder / "in.gguf", folder / "no/out.gguf", SLUICE_GGUF_Q4_0); }).what(),
              HasSubstr("there is no folder"));
  EXPECT_THAT(error_of([&] { quantize_to(folder / "none.gguf", folder / "out.gguf", SLUICE_GGUF_Q4_0); }).what(),
              HasSubstr("none.gguf"));
}

TEST(QuantizeModel, AFullDiskIsAFailure) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full on this system";
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", {});
  const Error error = error_of([&] { quantize_to(folder / "in.gguf", "/dev/full", SLUICE_GGUF_Q4_0); });
  EXPECT_EQ(error.code(), kExitFailed);
  EXPECT_THAT(error.what(), HasSubstr("/dev/full"));
}

TEST(QuantizeModel, AnInterruptLeavesNothingBehind) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", {});
  std::atomic<bool> stop{false};
  QuantizeOptions options;
  options.stop = &stop;
  options.progress = [&](uint64_t done, uint64_t total, const std::string&) { stop = done > total / 2; };
  const Error error =
      error_of([&] { quantize_to(folder / "in.gguf", folder / "out.gguf", SLUICE_GGUF_Q4_0, options); });
  EXPECT_EQ(error.code(), kExitFailed);
  EXPECT_THAT(error.what(), HasSubstr("interrupted"));
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(QuantizeModel, ProgressEndsAtAllBytes) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", {});
  uint64_t last = 0, all = 0;
  QuantizeOptions options;
  options.progress = [&](uint64_t done, uint64_t total, const std::string&) {
    EXPECT_GE(done, last);
    last = done, all = total;
  };
  const QuantizeReport report = quantize_to(folder / "in.gguf", folder / "out.gguf", SLUICE_GGUF_Q4_0, options);
  EXPECT_EQ(last, all);
  EXPECT_EQ(all, report.bytes_in);
}

// A copy of the tiny model with one number of a tensor replaced.
void write_with_value(const fs::path& from, const fs::path& to, std::string_view tensor, float value) {
  std::string bytes = read_file(from);
  uint64_t offset = 0;
  {
    const GgufFile file(from);
    for (const GgufTensor& t : file.tensors()) {
      if (t.name == tensor) offset = t.offset + t.shape[0] * sizeof(float) * 3 + 20;  // row 3
    }
  }
  ASSERT_NE(offset, 0u);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  write_file(to, bytes);
}

TEST(QuantizeModel, DamagedNumbersAreNamed) {
  const ScratchFolder folder;
  write_tiny_gguf(folder / "in.gguf", {});
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    write_with_value(folder / "in.gguf", folder / "bad.gguf", "blk.1.ffn_up.weight", bad);
    const Error error = error_of([&] { quantize_to(folder / "bad.gguf", folder / "out.gguf", SLUICE_GGUF_Q4_0); });
    EXPECT_EQ(error.code(), kExitUsage);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("bad.gguf"), HasSubstr("blk.1.ffn_up.weight"), HasSubstr("row 3"),
                                    HasSubstr("not a finite number")));
    EXPECT_FALSE(fs::exists(folder / "out.gguf"));
  }
  write_with_value(folder / "in.gguf", folder / "big.gguf", "blk.1.ffn_up.weight", 1e6f);
  EXPECT_THAT(error_of([&] { quantize_to(folder / "big.gguf", folder / "out.gguf", SLUICE_GGUF_F16); }).what(),
              AllOf(HasSubstr("1e+06"), HasSubstr("65504"), HasSubstr("BF16")));
  EXPECT_NO_THROW(quantize_to(folder / "big.gguf", folder / "out.gguf", SLUICE_GGUF_BF16));
}

}  // namespace
}  // namespace sluice
