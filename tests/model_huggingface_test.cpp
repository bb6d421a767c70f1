// Hugging Face folders: damaged safetensors files, indexes and configurations are refused with the place named, and
// what config.json asks for is honoured or refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/model/model_file.h"
#include "core/model/safetensors.h"
#include "support/allocation_watch.h"
#include "support/fuzz.h"
#include "support/scratch_folder.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllocationWatch;
using ::testing::AllOf;
using testing::error_of;
using testing::FuzzRandom;
using ::testing::HasSubstr;
using testing::put_bytes;
using testing::ScratchFolder;
using testing::TinyModel;

std::string safetensors(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

// Opens a file of these bytes; what the Error says, or nothing.
std::string refusal(const std::string& bytes) {
  const ScratchFolder folder;
  const fs::path path = folder / "a.safetensors";
  put_bytes(path, bytes);
  const AllocationWatch watch;
  const Error error = error_of([&] { SafetensorsFile file(path); });
  EXPECT_LT(watch.peak(), 16 * bytes.size() + 65536);
  if (error.code() == kExitOk) return "";
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_THAT(error.what(), HasSubstr("a.safetensors: "));
  return error.what();
}

std::string refusal(const std::string& header, size_t data) {
  return refusal(safetensors(header, std::string(data, 'x')));
}

TEST(Safetensors, SoundFilesAreRead) {
  EXPECT_EQ(refusal("{}", 0), "");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}   )", 24), "");
  EXPECT_EQ(
      refusal(
          R"({"__metadata__":{"format":"pt"},"b":{"data_offsets":[4,6],"dtype":"BF16","shape":[1]},)"
          R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"empty":{"dtype":"F16","shape":[0,5],"data_offsets":[4,4]}})",
          6),
      "");
}

TEST(Safetensors, LyingLengths) {
  EXPECT_THAT(refusal(std::string("abc")), HasSubstr("is 3 bytes long, too short"));
  const std::string good = safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  for (const uint64_t length : {UINT64_MAX, uint64_t(1) << 40, uint64_t(100'000'001)}) {
    std::string bytes = good;
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_THAT(refusal(bytes),
                HasSubstr(fmt::format("at byte 0: the header claims {} bytes, expected at most", length)));
  }
  std::string bytes = good;
  const uint64_t length = good.size() - 7;
  std::memcpy(bytes.data(), &length, 8);
  EXPECT_THAT(refusal(bytes), HasSubstr("bytes, but only"));
  for (size_t size = 0; size < good.size(); size++) EXPECT_NE(refusal(good.substr(0, size)), "") << size;
  EXPECT_THAT(refusal(good + "more"), HasSubstr("4 bytes behind the last tensor belong to no tensor"));
}

TEST(Safetensors, HeadersOfAnotherShape) {
  const auto tensor = [](const std::string& body) { return refusal("{\"a\":" + body + "}", 8); };
  EXPECT_THAT(refusal("", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("[]", 0), HasSubstr("holds an array where none belongs (before the first tensor)"));
  EXPECT_THAT(refusal("{\"a\":", 0), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(refusal("{} {}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"\xFF\":1}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(std::string("{\0}", 3), 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(tensor("[1]"), HasSubstr("holds an array where none belongs (at tensor \"a\")"));
  EXPECT_THAT(tensor("{}"), HasSubstr("tensor \"a\": has no \"dtype\""));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[2]})"), HasSubstr("has no \"data_offsets\""));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"extra":1})"),
              HasSubstr("has a field \"extra\""));
  EXPECT_THAT(tensor(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
              HasSubstr("has \"dtype\" twice"));
  EXPECT_THAT(tensor(R"({"dtype":5,"shape":[2],"data_offsets":[0,8]})"),
              HasSubstr("holds a number where none belongs"));
  EXPECT_THAT(tensor(R"({"dtype":null,"shape":[2],"data_offsets":[0,8]})"), HasSubstr("holds null"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), HasSubstr("holds the number -2"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), HasSubstr("holds the number 2.0"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})"), HasSubstr("holds an array"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]})"),
              HasSubstr("more than 8 dimensions"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8]})"), HasSubstr("has 1 data_offsets, expected 2"));
  EXPECT_THAT(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,9]})"),
              HasSubstr("holds a number where none belongs"));
  EXPECT_THAT(
      refusal(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
          8),
      HasSubstr("tensor \"a\" occurs twice"));
  std::string deep;
  for (int i = 0; i < 1000000; i++) deep += "{\"a\":";
  EXPECT_THAT(refusal(deep, 0), HasSubstr("has a field \"a\""));
}

TEST(Safetensors, TensorsThatDoNotFit) {
  const auto tensor = [](const char* dtype, const char* shape, const char* offsets, size_t data) {
    return refusal(
        fmt::format("{{\"a\":{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":{}}}}}", dtype, shape, offsets), data);
  };
  EXPECT_EQ(tensor("F32", "[2]", "[0,8]", 8), "");
  EXPECT_THAT(tensor("F4", "[2]", "[0,8]", 8),
              HasSubstr("has dtype \"F4\", which is not supported; supported: F32, F16, BF16"));
  EXPECT_THAT(tensor("F32", "[3]", "[0,8]", 8),
              HasSubstr("is [3] of F32, which takes 12 bytes, but its data_offsets span 8"));
  EXPECT_THAT(tensor("F32", "[2,2]", "[0,8]", 8), HasSubstr("is [2 x 2] of F32"));
  EXPECT_THAT(tensor("F32", "[1]", "[0,8]", 8), HasSubstr("which takes 4 bytes, but its data_offsets span 8"));
  EXPECT_THAT(tensor("F32", "[4611686018427387906]", "[0,8]", 8),
              HasSubstr("more bytes than any file can hold"));  // times 4 is 8
  EXPECT_THAT(tensor("F32", "[4294967296,4294967296]", "[0,0]", 0), HasSubstr("more bytes than any file can hold"));
  EXPECT_THAT(tensor("F32", "[2]", "[8,0]", 8), HasSubstr("data_offsets [8, 0] run backwards"));
  EXPECT_THAT(tensor("F32", "[2]", "[0,8]", 7), HasSubstr("end beyond the file, which holds 7 bytes of data"));
  EXPECT_THAT(tensor("F32", "[2]", "[18446744073709551608,18446744073709551615]", 8), HasSubstr("span 7"));
  EXPECT_THAT(tensor("F32", "[2]", "[4,12]", 12), HasSubstr("bytes between belong to no tensor"));
  const auto two = [](const char* second, size_t data) {
    return refusal(
        fmt::format(
            R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},"b":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})",
            second),
        data);
  };
  EXPECT_EQ(two("[8,16]", 16), "");
  EXPECT_THAT(two("[4,12]", 12),
              HasSubstr("tensor \"b\": its data from 4 on overlap the tensor before, which ends at 8"));
  EXPECT_THAT(two("[12,20]", 20), HasSubstr("tensor \"b\": its data start at 12"));
}

// ---- whole folders --------------------------------------------------------------------------------

TinyModel smallest() {
  TinyModel model;
  model.layers = 1;
  model.width = 8;
  model.heads = 2;
  model.kv_heads = 1;
  model.ffn = 8;
  model.vocab = 300;
  return model;
}

// What opening says after `change` was made to the folder; nothing if it opens.
std::string folder_refusal(const std::function<void(const fs::path&)>& change, uint32_t shards = 1,
                           const TinyModel& model = smallest()) {
  const ScratchFolder folder;
  testing::write_tiny_huggingface(folder / "hf", model, shards);
  change(folder / "hf");
  const Error error = error_of([&] { ModelFile::open(folder / "hf"); });
  if (error.code() == kExitOk) return "";
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_THAT(error.what(), HasSubstr("hf"));
  return error.what();
}

std::string config_refusal(const std::string& key, const json& value) {
  return folder_refusal([&](const fs::path& folder) {
    json config = json::parse(read_file(folder / "config.json"));
    if (value.is_discarded())
      config.erase(key);
    else
      config[key] = value;
    put_bytes(folder / "config.json", config.dump());
  });
}

const json kAbsent = json(json::value_t::discarded);

TEST(HuggingFace, Configurations) {
  EXPECT_EQ(folder_refusal([](const fs::path&) {}), "");
  EXPECT_THAT(
      config_refusal("architectures", {"GemmaForCausalLM"}),
      HasSubstr("config.json: \"architectures\": \"GemmaForCausalLM\" is not supported; supported: LlamaForCausalLM"));
  EXPECT_THAT(config_refusal("architectures", {"LLamaForCausalLM"}), HasSubstr("did you mean \"LlamaForCausalLM\"?"));
  EXPECT_THAT(config_refusal("architectures", kAbsent), HasSubstr("is missing, expected a list of one name"));
  EXPECT_THAT(config_refusal("architectures", json::array()), HasSubstr("is [], expected a list of one name"));
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "max_position_embeddings"}) {
    EXPECT_THAT(config_refusal(key, kAbsent), HasSubstr(fmt::format("\"{}\": is missing", key)));
    EXPECT_THAT(config_refusal(key, "x"), HasSubstr(fmt::format("\"{}\": is \"x\", expected an integer", key)));
    EXPECT_THAT(config_refusal(key, -1), HasSubstr("is -1, expected an integer"));
    EXPECT_THAT(config_refusal(key, 1e10), HasSubstr("expected an integer from 0 to 4294967295"));
    EXPECT_NE(config_refusal(key, 0), "");
  }
  EXPECT_THAT(config_refusal("hidden_act", "gelu"), HasSubstr("is \"gelu\", expected \"silu\""));
  EXPECT_THAT(config_refusal("mlp_bias", true), HasSubstr("mlp_bias"));
  EXPECT_THAT(config_refusal("partial_rotary_factor", 0.5), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(config_refusal("quantization_config", {{"quant_method", "gptq"}}), HasSubstr("are quantized (gptq)"));
  EXPECT_THAT(config_refusal("num_key_value_heads", 3), HasSubstr("cannot share 3 KV heads"));
  EXPECT_THAT(config_refusal("num_attention_heads", 3), HasSubstr("does not divide hidden_size 8"));
  EXPECT_THAT(config_refusal("head_dim", 3), HasSubstr("the head size is 3, expected an even number"));
  EXPECT_THAT(config_refusal("rms_norm_eps", "small"), HasSubstr("expected a number"));
  EXPECT_THAT(config_refusal("vocab_size", 299), HasSubstr("\"vocab_size\" is 299, but the embedding has 300 rows"));
  EXPECT_THAT(config_refusal("num_hidden_layers", 2),
              HasSubstr("tensor \"model.layers.1.input_layernorm.weight\": is missing"));
  EXPECT_THAT(config_refusal("num_hidden_layers", 4000000000u),
              HasSubstr("\"model.layers.1.input_layernorm.weight\": is missing"));
  EXPECT_THAT(config_refusal("intermediate_size", 16),
              HasSubstr("gate_proj.weight\": is [8 x 8] (rows x columns), expected [16 x 8]"));
  EXPECT_THAT(folder_refusal([](const fs::path& folder) { put_bytes(folder / "config.json", "{\"a\":\n 1,}"); }),
              HasSubstr("config.json: is not valid JSON: parse error at line 2, column 4"));
  EXPECT_THAT(
      folder_refusal([](const fs::path& folder) { put_bytes(folder / "config.json", std::string(100000, '[')); }),
      HasSubstr("nests deeper than 16"));
  EXPECT_THAT(folder_refusal([](const fs::path& folder) { put_bytes(folder / "config.json", "[1]"); }),
              HasSubstr("holds no object"));
  EXPECT_THAT(
      folder_refusal([](const fs::path& folder) { put_bytes(folder / "config.json", std::string(2 << 20, ' ')); }),
      HasSubstr("larger than"));
}

TEST(HuggingFace, RopeOfAConfiguration) {
  const auto hyper = [](const std::string& key, const json& value) {
    const ScratchFolder folder;
    testing::write_tiny_huggingface(folder / "hf", smallest());
    json config = json::parse(read_file(folder / "hf/config.json"));
    config[key] = value;
    put_bytes(folder / "hf/config.json", config.dump());
    return ModelFile::open(folder / "hf")->hyper();
  };
  EXPECT_EQ(hyper("rope_scaling", nullptr).rope_scaling, "none");
  EXPECT_EQ(hyper("rope_scaling", {{"rope_type", "default"}}).rope_scaling, "none");
  const Hyperparameters linear = hyper("rope_scaling", {{"type", "linear"}, {"factor", 4.0}});
  EXPECT_EQ(linear.rope_scaling, "linear x4");
  EXPECT_FLOAT_EQ(linear.rope_frequency[0], 0.25f);
  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8}};
  const Hyperparameters scaled = hyper("rope_scaling", llama3);
  EXPECT_EQ(scaled.rope_scaling, "llama3 x8");
  EXPECT_FLOAT_EQ(scaled.rope_frequency[1], 0.01f / 8);  // a wavelength of 628 in an original context of 8
  const Hyperparameters newer = hyper("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}});
  EXPECT_EQ(newer.rope_theta, 1e6f);
  EXPECT_THAT(
      config_refusal("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}}),
      HasSubstr("\"rope_scaling.type\": is \"yarn\", which is not supported; supported: default, linear, llama3"));
  EXPECT_THAT(config_refusal("rope_scaling", {{"type", "linear"}}), HasSubstr("\"rope_scaling.factor\": is missing"));
  EXPECT_THAT(config_refusal("rope_scaling", "linear"), HasSubstr("expected an object"));
  json upside_down = llama3;
  upside_down["high_freq_factor"] = 1.0;
  EXPECT_THAT(config_refusal("rope_scaling", upside_down), HasSubstr("expected more than low_freq_factor"));
}

TEST(HuggingFace, MissingFiles) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.model"})
    EXPECT_THAT(folder_refusal([&](const fs::path& folder) { fs::remove(folder / name); }), HasSubstr(name));
}

TEST(HuggingFace, Indexes) {
  const auto index = [](const std::function<void(json&)>& change) {
    return folder_refusal(
        [&](const fs::path& folder) {
          json root = json::parse(read_file(folder / "model.safetensors.index.json"));
          change(root);
          put_bytes(folder / "model.safetensors.index.json", root.dump());
        },
        2);
  };
  EXPECT_EQ(index([](json&) {}), "");
  EXPECT_THAT(index([](json& root) { root.erase("weight_map"); }), HasSubstr("\"weight_map\" is missing"));
  EXPECT_THAT(index([](json& root) { root["weight_map"] = json::object(); }), HasSubstr("\"weight_map\" is empty"));
  for (const json& name : {json("../a"), json("/etc/passwd"), json(".."), json(""), json(5)})
    EXPECT_THAT(index([&](json& root) { root["weight_map"]["lm_head.weight"] = name; }),
                HasSubstr("expected the name of a file in this folder"));
  EXPECT_THAT(index([](json& root) { root["weight_map"]["lm_head.weight"] = "none.safetensors"; }),
              HasSubstr("none.safetensors: cannot be opened"));
  EXPECT_THAT(index([](json& root) { root["weight_map"]["more"] = root["weight_map"]["lm_head.weight"]; }),
              HasSubstr("tensor \"more\" is not in"));
  EXPECT_THAT(index([](json& root) { root["weight_map"].erase("lm_head.weight"); }),
              HasSubstr("but the index says nothing about it"));
  EXPECT_THAT(
      index([](json& root) { root["weight_map"]["lm_head.weight"] = root["weight_map"]["model.embed_tokens.weight"]; }),
      HasSubstr("but the index says"));
}

// The single weight file with its header changed.
std::string header_refusal(const std::function<void(json&, std::string&)>& change,
                           const TinyModel& model = smallest()) {
  return folder_refusal(
      [&](const fs::path& folder) {
        const std::string bytes = read_file(folder / "model.safetensors");
        uint64_t length = 0;
        std::memcpy(&length, bytes.data(), 8);
        json header = json::parse(bytes.substr(8, length));
        std::string data = bytes.substr(8 + length);
        change(header, data);
        put_bytes(folder / "model.safetensors", safetensors(header.dump(), data));
      },
      1, model);
}

TEST(HuggingFace, Tensors) {
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  const auto rename = [](const std::string& from, const std::string& to) {
    return header_refusal([&](json& header, std::string&) {
      header[to] = header[from];
      header.erase(from);
    });
  };
  EXPECT_EQ(header_refusal([](json&, std::string&) {}), "");
  EXPECT_THAT(rename(query, "model.layers.0.self_attn.q_norm.weight"),
              HasSubstr("q_norm.weight\": is not part of a Llama-family model"));
  EXPECT_THAT(rename(query, "model.layers.1.self_attn.q_proj.weight"),
              HasSubstr("belongs to layer 1, but the model says it has 1 layers"));
  EXPECT_THAT(rename(query, "model.layers.00.self_attn.q_proj.weight"), HasSubstr("is not part of"));
  EXPECT_THAT(rename("model.norm.weight", "model.rotary_emb.inv_freq"),
              HasSubstr("tensor \"model.norm.weight\": is missing"));
  EXPECT_THAT(rename("lm_head.weight", "model.rotary_emb.inv_freq"), HasSubstr("does not say tie_word_embeddings"));
  EXPECT_THAT(header_refusal([&](json& header, std::string&) {
                header[query]["shape"] = {4, 16};
              }),
              HasSubstr("tensor \"" + query + "\": is [4 x 16] (rows x columns), expected [8 x 8]"));
  EXPECT_THAT(header_refusal([&](json& header, std::string&) {
                header[query]["shape"] = {2, 4, 8};
              }),
              HasSubstr("has 3 dimensions"));
  EXPECT_THAT(header_refusal([&](json& header, std::string&) { header[query]["dtype"] = "I32"; }),
              HasSubstr("has dtype I32, which is not supported"));
}

TEST(HuggingFace, TiedOutputIsStoredInAnyOfThreeWays) {
  TinyModel model = smallest();
  model.tied = true;
  EXPECT_EQ(header_refusal([](json&, std::string&) {}, model), "");
  EXPECT_EQ(header_refusal(
                [](json& header, std::string&) {
                  header["lm_head.weight"] = header["model.embed_tokens.weight"];
                  header.erase("model.embed_tokens.weight");
                },
                model),
            "");
  EXPECT_EQ(header_refusal(
                [](json& header, std::string& data) {
                  header["lm_head.weight"] = header["model.embed_tokens.weight"];
                  header["lm_head.weight"]["data_offsets"] = {data.size(), data.size() + 300 * 8 * 4};
                  data += std::string(300 * 8 * 4, '\0');
                },
                model),
            "");
}

TEST(HuggingFace, NumbersAtOddAddressesAreMoved) {
  const ScratchFolder folder;
  const TinyModel model = smallest();
  testing::write_tiny_huggingface(folder / "hf", model);
  const std::string bytes = read_file(folder / "hf/model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  std::string header = bytes.substr(8, length);
  header.erase(header.find_last_not_of(' ') + 1);
  while (header.size() % 8 != 1) header += ' ';
  put_bytes(folder / "hf/model.safetensors", safetensors(header, bytes.substr(8 + length)));
  const auto file = ModelFile::open(folder / "hf");
  for (const testing::TinyTensor& expected : testing::tiny_tensors(model)) {
    const Tensor& tensor = file->tensor(expected.name);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 4, 0u);
    EXPECT_EQ(std::memcmp(tensor.data, expected.values.data(), tensor.bytes), 0) << expected.name;
  }
}

TEST(HuggingFace, FlippedBitsAreLoadedOrRefused) {
  const ScratchFolder folder;
  testing::write_tiny_huggingface(folder / "hf", smallest(), 2);
  FuzzRandom random(3);
  int opened = 0, refused = 0;
  const std::vector<std::string> names = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                          "config.json", "model.safetensors.index.json"};
  for (int round = 0; round < FuzzRandom::rounds(2000); round++) {
    const fs::path path = folder.path() / "hf" / names[round % names.size()];
    const std::string good = read_file(path);
    std::string bytes = good;
    const size_t range = std::min<size_t>(bytes.size(), 1200);
    for (uint64_t flips = 1 + random.next() % 2; flips > 0; flips--)
      bytes[random.next() % range] ^= char(1 << random.next() % 8);
    if (round % 16 == 15) bytes.resize(random.next() % bytes.size());
    put_bytes(path, bytes);
    const AllocationWatch watch;
    try {
      ModelFile::open(folder / "hf");
      opened++;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kExitUsage) << error.what();
      EXPECT_LT(std::strlen(error.what()), 1200u);
      refused++;
    }
    EXPECT_LT(watch.peak(), size_t(4) << 20);  // the whole folder is less than 40 KB
    put_bytes(path, good);
    if (HasFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(opened, 50);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace sluice
