// See huggingface.h.
#include "core/model/huggingface.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/json_file.h"
#include "core/base/text.h"
#include "core/model/huggingface_config.h"
#include "core/model/huggingface_names.h"
#include "core/model/tensor_layout.h"
#include "core/model/vocabulary_size.h"
#include "core/tokenizer/readers.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingle = "model.safetensors", kIndex = "model.safetensors.index.json";

// Tensor to file, from the index of a sharded model.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const nlohmann::json root = read_json_file(path, uint64_t(4) << 20, 4);
  const auto fail = [&](const std::string& message) { throw Error(fmt::format("{}: {}", path.string(), message)); };
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object())
    fail("\"weight_map\" is missing, expected an object of tensors and their files");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : root["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A name with a path in it could lead anywhere.
    if (name.empty() || name.find('/') != name.npos || name == "." || name == "..")
      fail(fmt::format("tensor \"{}\" is in {}, expected the name of a file in this folder", printable(tensor),
                       printable(file.dump())));
    files.emplace(tensor, name);
  }
  if (files.empty()) fail("\"weight_map\" is empty");
  return files;
}

std::vector<SafetensorsFile> open_files(const fs::path& folder) {
  std::vector<SafetensorsFile> files;
  if (fs::exists(folder / kSingle)) {
    files.emplace_back(folder / kSingle);
    return files;
  }
  if (!fs::exists(folder / kIndex))
    throw Error(fmt::format("{}: holds neither {} nor {}: weights must be in safetensors files", folder.string(),
                            kSingle, kIndex));
  const std::map<std::string, std::string> index = read_index(folder / kIndex);
  std::set<std::string> names;
  for (const auto& [tensor, file] : index) names.insert(file);
  for (const std::string& name : names) files.emplace_back(folder / name);
  size_t found = 0;
  for (const SafetensorsFile& file : files) {
    const std::string name = file.file().path().filename().string();
    for (const SafetensorsTensor& tensor : file.tensors()) {
      const auto listed = index.find(tensor.name);
      if (listed == index.end() || listed->second != name)
        throw Error(fmt::format("{}: tensor \"{}\" is in {}, but the index says {}", (folder / kIndex).string(),
                                printable(tensor.name), name,
                                listed == index.end() ? "nothing about it" : printable(listed->second)));
      found++;
    }
  }
  if (found == index.size()) return files;
  for (const auto& [tensor, file] : index) {
    const auto& tensors = files[size_t(std::distance(names.begin(), names.find(file)))].tensors();
    const auto is_listed = [&listed = tensor](const SafetensorsTensor& t) { return t.name == listed; };
    if (std::none_of(tensors.begin(), tensors.end(), is_listed))
      throw Error(fmt::format("{}: tensor \"{}\" is not in {}, where the index says it is", (folder / kIndex).string(),
                              printable(tensor), file));
  }
  return files;
}

Tensor make_tensor(const SafetensorsFile& file, const SafetensorsTensor& stored, std::string name) {
  const auto fail = [&](const std::string& message) {
    throw Error(fmt::format("{}: tensor \"{}\": {}", file.file().path().string(), printable(stored.name), message));
  };
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.stored_as = stored.dtype;
  if (stored.dtype == "F32")
    tensor.type = SLUICE_GGUF_F32;
  else if (stored.dtype == "F16")
    tensor.type = SLUICE_GGUF_F16;
  else if (stored.dtype == "BF16")
    tensor.type = SLUICE_GGUF_BF16;
  else
    fail(fmt::format("has dtype {}, which is not supported; supported: F32, F16, BF16", stored.dtype));
  if (stored.shape.size() != 1 && stored.shape.size() != 2)
    fail(fmt::format("has {} dimensions, expected a matrix or a vector", stored.shape.size()));
  tensor.cols = stored.shape.back();
  tensor.rows = stored.shape.size() == 2 ? stored.shape.front() : 1;
  tensor.bytes = stored.bytes;
  tensor.offset = stored.offset;
  tensor.data = file.file().bytes().data() + stored.offset;
  return tensor;
}

// All tensors under GGUF's names. Where embedding and output are tied, one of the two is kept, as the embedding:
// exports hold the first, the second, or both.
std::vector<Tensor> collect_tensors(const std::vector<SafetensorsFile>& files, bool tied) {
  std::vector<Tensor> tensors;
  const auto stored = [&](std::string_view name) {
    return std::any_of(files.begin(), files.end(), [&](const SafetensorsFile& file) {
      return std::any_of(file.tensors().begin(), file.tensors().end(), [&](const auto& t) { return t.name == name; });
    });
  };
  const bool embedding = stored("model.embed_tokens.weight");
  for (const SafetensorsFile& file : files) {
    for (const SafetensorsTensor& tensor : file.tensors()) {
      if (is_ignored(tensor.name)) continue;
      std::string name = gguf_name(tensor.name);
      if (name.empty())
        throw Error(fmt::format("{}: tensor \"{}\": is not part of a Llama-family model: this variant is not supported",
                                file.file().path().string(), printable(tensor.name)));
      if (tied && name == "output.weight") {
        if (embedding) continue;
        name = "token_embd.weight";
      }
      tensors.push_back(make_tensor(file, tensor, std::move(name)));
    }
  }
  return tensors;
}

Vocabulary read_tokenizer(const fs::path& folder) {
  if (fs::exists(folder / "tokenizer.json")) return read_tokenizer_json(folder);
  if (fs::exists(folder / "tokenizer.model")) return read_sentencepiece(folder / "tokenizer.model");
  throw Error(fmt::format("{}: holds neither tokenizer.json nor tokenizer.model", folder.string()));
}

}  // namespace

HuggingFaceModel::HuggingFaceModel(const fs::path& folder) {
  path_ = folder;
  const std::string where = folder.string();
  if (!fs::exists(folder / "config.json"))
    throw Error(fmt::format("{}: holds no config.json: expected a Hugging Face folder or a .gguf file", where));
  HuggingFaceConfig config = read_huggingface_config(folder / "config.json");
  files_ = open_files(folder);
  format_ = files_.size() == 1 ? "Hugging Face, 1 file" : fmt::format("Hugging Face, {} shards", files_.size());
  hyper_ = std::move(config.hyper);
  if (hyper_.name.empty())
    hyper_.name = fs::absolute(folder / ".").lexically_normal().parent_path().filename().string();
  metadata_ = std::move(config.metadata);

  const uint32_t claimed_vocab = hyper_.vocab;
  tensors_ = collect_tensors(files_, config.tied);
  check_layout(where, tensors_, huggingface_name, hyper_);
  if (hyper_.vocab != claimed_vocab)
    throw Error(fmt::format("{}: \"vocab_size\" is {}, but the embedding has {} rows",
                            (folder / "config.json").string(), claimed_vocab, hyper_.vocab));
  if (hyper_.tied_embeddings && !config.tied)
    throw Error(fmt::format(
        "{}: tensor \"lm_head.weight\": is missing, and config.json does not say tie_word_embeddings", where));
  vocabulary_ = read_tokenizer(folder);
  add_known_end_tokens(vocabulary_);
  fit_vocabulary(vocabulary_, hyper_.vocab, where);
  hyper_.rope_frequency = rope_frequencies(hyper_.rope_theta, hyper_.head_dim, config.scaling);

  for (Tensor& tensor : tensors_) {
    const Tensor stored = tensor;
    vector_to_f32(tensor, owned_);
    const bool query = tensor.name.ends_with(".attn_q.weight") || tensor.name.ends_with(".attn_q.bias");
    const bool key = tensor.name.ends_with(".attn_k.weight") || tensor.name.ends_with(".attn_k.bias");
    if (query || key)
      pair_neighbours(tensor, query ? hyper_.heads : hyper_.kv_heads, hyper_.head_dim, owned_);
    else
      align_numbers(tensor, owned_);
    if (tensor.data != stored.data) drop_data(stored);  // the copy is what will be read
  }
}

void HuggingFaceModel::drop_data(const Tensor& tensor) {
  owned_.drop(tensor.data);
  const auto* const data = static_cast<const std::byte*>(tensor.data);
  for (const SafetensorsFile& file : files_) {
    const auto bytes = file.file().bytes();
    if (std::less_equal<>()(bytes.data(), data) && std::less<>()(data, bytes.data() + bytes.size()))
      file.file().drop_range(tensor.offset, tensor.bytes);
  }
}

}  // namespace sluice
