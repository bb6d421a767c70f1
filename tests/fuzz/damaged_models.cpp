// Models: GGUF files cut, flipped and lying, and Hugging Face folders whose weights, index or config.json are.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "fuzz/damage.h"
#include "fuzz/seeds.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {
namespace {

using nlohmann::ordered_json;
using testing::FuzzRandom;

constexpr uint64_t kLies[] = {UINT64_MAX, uint64_t(1) << 63, uint64_t(1) << 61, uint64_t(1) << 40, 0xFFFFFFFF};
const char kInGguf[] = "at byte [0-9]+|key \"[^\"]+\"|tensor \"[^\"]+\"";
const char kInWeights[] = "at byte [0-9]+|tensor \"[^\"]+\"|bytes long|behind the last tensor|before the first tensor";

// A file of weights around its header, which is edited as JSON.
struct Weights {
  ordered_json header;
  std::string data;

  explicit Weights(const std::string& file) {
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    header = ordered_json::parse(file.substr(8, length));
    data = file.substr(8 + length);
  }
  std::string file() const { return file(header.dump()); }
  std::string file(const std::string& text) const {
    const uint64_t length = text.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
  }
};

}  // namespace

std::string sound_gguf() {
  const testing::ScratchFolder folder;
  testing::write_tiny_gguf(folder / "a.gguf", smallest_model());
  return read_file(folder / "a.gguf");
}

std::map<std::string, std::string> sound_folder(uint32_t shards) {
  const testing::ScratchFolder folder;
  testing::write_tiny_huggingface(folder.path(), smallest_model(), shards);
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    files[entry.path().filename().string()] = read_file(entry.path());
  return files;
}

std::vector<Damage> undamaged() {
  std::map<std::string, std::string> tokenizer = sound_folder();
  tokenizer["tokenizer.json"] = sound_tokenizer();
  return {{"GGUF", "", {{"a.gguf", sound_gguf()}}, "a.gguf", "", ""},
          {"one file of weights", "", sound_folder(), "", "", ""},
          {"two files of weights", "", sound_folder(2), "", "", ""},
          {"tokenizer.json", "", std::move(tokenizer), "", "", ""},
          {"TOML", "", {{"x.toml", sound_config()}}, "x.toml", "", ""}};
}

std::vector<Damage> damaged_gguf() {
  const std::string good = sound_gguf();
  FuzzRandom random(101);
  std::vector<Damage> list;
  const auto add = [&](const std::string& what, std::string bytes) {
    list.push_back({"GGUF", what, {{"a.gguf", std::move(bytes)}}, "a.gguf", "a.gguf", kInGguf});
  };
  const auto behind = [&](std::string_view name) { return good.find(name) + name.size(); };

  // The writer fills the last tensor up to the alignment, which nobody misses.
  for (const size_t length : lengths_below(good.size() - 32, 24, random))
    add(fmt::format("cut to {} bytes", length), good.substr(0, length));
  for (const size_t bit : lengths_below(32, 8, random))
    add(fmt::format("bit {} of the magic number flipped", bit),
        with(good, bit / 8, char(good[bit / 8] ^ 1 << bit % 8)));
  for (uint32_t bit = 1; bit < 32; bit += 5)
    add(fmt::format("bit {} of the version flipped", bit), with(good, 4, 3u ^ 1u << bit));
  for (const uint64_t lie : kLies) {
    add(fmt::format("{} tensors", lie), with(good, 8, lie));
    add(fmt::format("{} keys", lie), with(good, 16, lie));
    add(fmt::format("a key of {} bytes", lie), with(good, 24, lie));
    add(fmt::format("{} tokens", lie), with(good, behind("tokenizer.ggml.tokens") + 8, lie));
    add(fmt::format("a token of {} bytes", lie), with(good, behind("tokenizer.ggml.tokens") + 16, lie));
    add(fmt::format("a tensor with {} columns", lie), with(good, behind("token_embd.weight") + 4, lie));
    add(fmt::format("a tensor's data at {}", lie), with(good, behind("token_embd.weight") + 24, lie));
  }
  for (const uint32_t dims : {0u, 3u, 5u, 0xFFFFFFFFu})
    add(fmt::format("a tensor of {} dimensions", dims), with(good, behind("token_embd.weight"), dims));
  for (const uint32_t type : {4u, 8u, 16u, 999u, 0xFFFFFFFFu})
    add(fmt::format("a tensor of type {}", type), with(good, behind("token_embd.weight") + 20, type));
  for (const uint32_t type : {13u, 0xFFFFFFFFu})
    add(fmt::format("a value of type {}", type), with(good, behind("general.name"), type));
  add("a tensor of no columns", with(good, behind("token_embd.weight") + 4, uint64_t(0)));
  add("two tensors at one place", with(good, behind("output_norm.weight") + 16, uint64_t(0)));
  add("data between the places of the alignment", with(good, behind("output_norm.weight") + 16, uint64_t(8)));
  for (const char* key : {"llama.block_count", "llama.context_length", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.attention.head_count"}) {
    list.push_back({"GGUF",
                    fmt::format("{} of 0", key),
                    {{"a.gguf", with(good, behind(key) + 4, 0u)}},
                    "a.gguf",
                    "a.gguf",
                    "the (number|width|context|feed)[^:]* is 0|tensor \"|key \""});
    add(fmt::format("no {}", key), replaced(good, key, std::string(std::strlen(key), 'x')));
  }
  for (const char* name :
       {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight",
        "blk.0.attn_output.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "blk.0.ffn_down.weight"}) {
    add(fmt::format("no tensor {}", name), replaced(good, name, std::string(std::strlen(name), 'x')));
    add(fmt::format("the name {} not in UTF-8", name), with(good, good.find(name) + 2, '\xC0'));
  }
  for (const char* text : {"general.architecture", "llama.block_count", "tokenizer.ggml.model", "tiny", "<unk>"})
    add(fmt::format("\"{}\" not in UTF-8", text), with(good, good.find(text) + 1, '\xFF'));
  return list;
}

std::vector<Damage> damaged_safetensors() {
  const std::map<std::string, std::string> sound = sound_folder();
  const std::string good = sound.at("model.safetensors");
  const Weights weights(good);
  FuzzRandom random(102);
  std::vector<Damage> list;
  const auto add = [&](const std::string& what, const std::string& bytes, const std::string& place = kInWeights) {
    std::map<std::string, std::string> files = sound;
    files["model.safetensors"] = bytes;
    list.push_back({"safetensors", what, std::move(files), "", "model.safetensors", place});
  };
  const auto edit = [&](const std::string& what, const std::function<void(ordered_json&)>& change) {
    Weights changed = weights;
    change(changed.header);
    add(what, changed.file());
  };

  for (const size_t length : lengths_below(good.size(), 20, random))
    add(fmt::format("cut to {} bytes", length), good.substr(0, length));
  for (const uint64_t lie : kLies) add(fmt::format("a header of {} bytes", lie), with(good, 0, lie));
  // Structure, not names: every one of these characters is needed where it is.
  const std::string text = weights.header.dump();
  for (const size_t pick : lengths_below(text.size(), 60, random))
    if (std::string_view("{}[]:,").find(text[pick]) != std::string_view::npos)
      add(fmt::format("byte {} of the header is '#'", pick), weights.file(with(text, pick, '#')));
  for (const size_t pick : lengths_below(text.size(), 6, random))
    add(fmt::format("byte {} of the header is no UTF-8", pick), weights.file(with(text, pick, '\xFF')));
  for (const auto& [name, unused] : weights.header.items()) {
    if (name == "__metadata__") continue;
    const std::string tensor = name;
    switch (random.next() % 6) {
      case 0:
        edit(tensor + " is gone", [&](ordered_json& h) { h.erase(tensor); });
        break;
      case 1:
        edit(tensor + " has a lying shape", [&](ordered_json& h) { h[tensor]["shape"][0] = 1u << 31; });
        break;
      case 2:
        edit(tensor + " has another type", [&](ordered_json& h) { h[tensor]["dtype"] = "F16"; });
        break;
      case 3:
        edit(tensor + " has a type that is not known", [&](ordered_json& h) { h[tensor]["dtype"] = "F33"; });
        break;
      case 4:
        edit(tensor + " lies behind the end", [&](ordered_json& h) {
          for (auto& offset : h[tensor]["data_offsets"]) offset = offset.get<uint64_t>() + (uint64_t(1) << 40);
        });
        break;
      default:
        edit(tensor + " has offsets that run backwards",
             [&](ordered_json& h) { std::swap(h[tensor]["data_offsets"][0], h[tensor]["data_offsets"][1]); });
    }
    edit(tensor + " has a negative size", [&](ordered_json& h) { h[tensor]["shape"][0] = -2; });
  }
  return list;
}

std::vector<Damage> damaged_folders() {
  const std::map<std::string, std::string> sound = sound_folder(2);
  FuzzRandom random(103);
  std::vector<Damage> list;
  const auto add = [&](const char* file, const std::string& what, const std::string& bytes, const char* place) {
    std::map<std::string, std::string> files = sound;
    files[file] = bytes;
    list.push_back({file, what, std::move(files), "", file, place});
  };
  const char kIndex[] = "model.safetensors.index.json", kConfig[] = "config.json";
  const char kInJson[] = "line [0-9]+, column [0-9]+|\"[a-z_.]+\"|nests deeper|holds no object|the [a-z ]+ is 0";

  for (const char* file : {kConfig, kIndex}) {
    const std::string good = sound.at(file);
    for (const size_t length : lengths_below(good.size(), 8, random))
      add(file, fmt::format("cut to {} bytes", length), good.substr(0, length), kInJson);
    for (const size_t pick : lengths_below(good.size(), 5, random))
      add(file, fmt::format("byte {} is no UTF-8", pick), with(good, pick, '\xFF'), kInJson);
    add(file, "lists in lists", std::string(100000, '['), kInJson);
    add(file, "a list", "[]", kInJson);
  }
  const ordered_json config = ordered_json::parse(sound.at(kConfig));
  const auto edit = [&](const std::string& key, const ordered_json& value) {
    ordered_json changed = config;
    changed[key] = value;
    add(kConfig, fmt::format("\"{}\" is {}", key, value.dump()), changed.dump(), kInJson);
  };
  for (const char* key : {"hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads",
                          "num_hidden_layers", "vocab_size"}) {
    const ordered_json values[] = {nullptr, -1, 1.5, "2", uint64_t(1) << 40, ordered_json::array({2})};
    edit(key, values[random.next() % std::size(values)]);
    edit(key, values[random.next() % std::size(values)]);
  }
  edit("architectures", ordered_json::array({"MixtralForCausalLM"}));
  edit("architectures", "LlamaForCausalLM");
  edit("hidden_act", "gelu");
  edit("rope_scaling", {{"rope_type", "yarn"}, {"factor", 2}});
  edit("rope_scaling", {{"rope_type", "linear"}, {"factor", 0}});
  edit("quantization_config", {{"quant_method", "gptq"}});
  edit("tie_word_embeddings", "no");

  ordered_json index = ordered_json::parse(sound.at(kIndex));
  const auto place_tensor = [&](const char* what, const ordered_json& file) {
    ordered_json changed = index;
    changed["weight_map"]["model.norm.weight"] = file;
    add(kIndex, what, changed.dump(), "tensor \"[^\"]+\"");
  };
  place_tensor("a tensor in another folder", "../a.safetensors");
  place_tensor("a tensor in no file", "");
  place_tensor("a tensor in a number", 7);
  place_tensor("a tensor in the wrong file", "model-00001-of-00002.safetensors");
  index["weight_map"]["model.layers.0.extra"] = "model-00001-of-00002.safetensors";
  add(kIndex, "a tensor that no file has", index.dump(), "tensor \"model.layers.0.extra\"");
  return list;
}

}  // namespace sluice::fuzz
