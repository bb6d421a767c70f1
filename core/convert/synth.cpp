// See synth.h. Weights are drawn with deviation 0.02, those that add to the residual stream with 0.02 / sqrt(2 layers),
// norms are 1: activations keep their size through any number of layers.
#include "core/convert/synth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/convert/gguf_metadata.h"
#include "core/convert/output.h"
#include "core/convert/random_weights.h"
#include "core/convert/shapes.h"
#include "core/convert/tokenizer_files.h"
#include "core/convert/weight_choice.h"
#include "core/model/gguf_writer.h"
#include "core/model/huggingface_names.h"
#include "core/model/vocabulary_size.h"
#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr float kDeviation = 0.02f;

Vocabulary vocabulary_for(const SynthOptions& options) {
  if (options.tokenizer.empty()) return made_up_vocabulary(options.hyper.vocab);
  Vocabulary vocabulary = read_any_vocabulary(options.tokenizer);
  add_known_end_tokens(vocabulary);
  fit_vocabulary(vocabulary, options.hyper.vocab, options.tokenizer.string());
  return vocabulary;
}

// A tensor with its type, and how to make its bytes.
struct Piece {
  TensorShape shape;
  uint32_t type = 0;
  uint64_t bytes() const { return shape.rows * sluice_gguf_row_bytes(type, shape.cols); }
};

class Generator {
 public:
  Generator(const SynthOptions& options, ThreadPool& pool, const fs::path& out)
      : options_(options), pool_(pool), out_(out) {}

  void set_total(uint64_t bytes) { total_ = bytes; }
  void make(const Piece& piece, const std::function<void(std::span<const std::byte>)>& write);

 private:
  const RandomBlocks& blocks(uint32_t type, float deviation);

  const SynthOptions& options_;
  ThreadPool& pool_;
  const fs::path& out_;
  std::map<std::pair<uint32_t, float>, RandomBlocks> blocks_;
  uint64_t done_ = 0, total_ = 0, tensors_ = 0;
};

const RandomBlocks& Generator::blocks(uint32_t type, float deviation) {
  const auto found = blocks_.find({type, deviation});
  if (found != blocks_.end()) return found->second;
  return blocks_.emplace(std::pair{type, deviation}, RandomBlocks(type, deviation, options_.seed)).first->second;
}

void Generator::make(const Piece& piece, const std::function<void(std::span<const std::byte>)>& write) {
  const TensorShape& shape = piece.shape;
  const uint64_t bytes = sluice_gguf_row_bytes(piece.type, shape.cols),
                 tensor_seed = mix_seed(options_.seed, ++tensors_);
  const auto written = [&](std::span<const std::byte> made) {
    check_interrupt(options_.stop, out_);
    write(made);
    done_ += made.size();
    if (options_.progress) options_.progress(done_, total_, shape.name);
  };
  if (shape.role == TensorRole::kNorm) {
    const std::vector<float> ones(shape.cols, 1.0f);
    std::vector<std::byte> row(bytes);
    quantize(piece.type, ones.data(), ones.size(), row.data());
    return written(row);
  }
  const float deviation =
      shape.role == TensorRole::kResidual ? kDeviation / std::sqrt(2.0f * float(options_.hyper.layers)) : kDeviation;
  const RandomBlocks& random = blocks(piece.type, deviation);
  stream_rows(
      shape.rows, bytes, pool_,
      [&](uint64_t first, uint64_t count, std::byte* out) {
        for (uint64_t i = 0; i < count; ++i)
          random.fill_row(shape.cols, mix_seed(tensor_seed, first + i), out + i * bytes);
      },
      written);
}

// ---- Hugging Face ---------------------------------------------------------------------------------------------------

// The number that people wrote: 1e-05, not the double nearest to its float.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

nlohmann::ordered_json config_json(const Hyperparameters& hyper, const Vocabulary& vocabulary, std::string_view dtype) {
  const bool qwen = hyper.architecture == "qwen2";
  nlohmann::ordered_json config = {
      {"architectures", nlohmann::ordered_json::array({qwen ? "Qwen2ForCausalLM" : "LlamaForCausalLM"})},
      {"model_type", hyper.architecture},
      {"_name_or_path", hyper.name},
      {"hidden_act", "silu"},
      {"hidden_size", hyper.width},
      {"intermediate_size", hyper.ffn_width},
      {"num_hidden_layers", hyper.layers},
      {"num_attention_heads", hyper.heads},
      {"num_key_value_heads", hyper.kv_heads},
      {"max_position_embeddings", hyper.context},
      {"rms_norm_eps", shortest(hyper.rms_epsilon)},
      {"rope_theta", shortest(hyper.rope_theta)},
      {"tie_word_embeddings", hyper.tied_embeddings},
      {"vocab_size", hyper.vocab},
      {"initializer_range", shortest(kDeviation)},
      {"torch_dtype", dtype}};
  if (hyper.head_dim * hyper.heads != hyper.width) config["head_dim"] = hyper.head_dim;
  if (vocabulary.bos >= 0) config["bos_token_id"] = vocabulary.bos;
  if (vocabulary.eos >= 0) config["eos_token_id"] = vocabulary.eos;
  if (qwen) config["use_sliding_window"] = false;
  return config;
}

struct Dtype {
  const char *safetensors, *torch;
};

Dtype dtype_of(uint32_t type) {
  switch (type) {
    case SLUICE_GGUF_F32:
      return {"F32", "float32"};
    case SLUICE_GGUF_F16:
      return {"F16", "float16"};
    case SLUICE_GGUF_BF16:
      return {"BF16", "bfloat16"};
    default:
      throw Error(fmt::format("a Hugging Face folder holds F32, F16 or BF16 weights, not {}; --format gguf can hold it",
                              sluice_gguf_type_info(type)->name));
  }
}

// Little-endian length, the header padded to 8 bytes, then the data.
std::string safetensors_head(std::span<const Piece> pieces, const char* dtype) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const Piece& piece : pieces) {
    nlohmann::ordered_json shape = nlohmann::ordered_json::array({piece.shape.cols});
    if (piece.shape.rows != 1) shape = nlohmann::ordered_json::array({piece.shape.rows, piece.shape.cols});
    header[huggingface_name(piece.shape.name)] = {
        {"dtype", dtype},
        {"shape", shape},
        {"data_offsets", nlohmann::ordered_json::array({offset, offset + piece.bytes()})}};
    offset += piece.bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length;
  for (int shift = 0; shift < 64; shift += 8) length += char(uint8_t(uint64_t(text.size()) >> shift));
  return length + text;
}

// Consecutive tensors by file: at least two files, none above 5 GB unless a single tensor is.
std::vector<std::vector<Piece>> split_into_files(const std::vector<Piece>& pieces, uint64_t total) {
  constexpr uint64_t kLimit = 5'000'000'000;
  const uint64_t count = std::max<uint64_t>(2, (total + kLimit - 1) / kLimit), share = (total + count - 1) / count;
  std::vector<std::vector<Piece>> files(1);
  uint64_t filled = 0;
  for (const Piece& piece : pieces) {
    const bool last_chance = files.size() == 1 && !files[0].empty() && &piece == &pieces.back();
    if ((filled > 0 && filled + piece.bytes() > share) || last_chance) {
      files.emplace_back();
      filled = 0;
    }
    files.back().push_back(piece);
    filled += piece.bytes();
  }
  return files;
}

// A folder that is being made under another name; gone unless it was finished.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& target) : target_(target), path_(target) {
    path_ += ".partial";
    if (fs::exists(path_))
      throw Error(
          fmt::format("{}: is left from an interrupted run or being written now; remove it first", path_.string()));
    std::error_code failed;
    fs::create_directory(path_, failed);
    if (failed) throw Error(fmt::format("{}: cannot be created: {}", path_.string(), failed.message()), kExitFailed);
  }
  NewFolder(const NewFolder&) = delete;
  ~NewFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  void finish() {
    std::error_code failed;
    fs::remove_all(target_, failed);
    if (!failed) fs::rename(path_, target_, failed);
    if (failed) throw Error(fmt::format("{}: cannot be created: {}", target_.string(), failed.message()), kExitFailed);
    path_.clear();
  }

 private:
  fs::path target_, path_;
};

// Only folders that hold what such a folder holds are replaced.
void check_folder(const fs::path& out, bool force) {
  std::error_code ignored;
  if (!fs::exists(out, ignored)) return;
  if (!fs::is_directory(out, ignored)) throw Error(fmt::format("{}: exists and is no folder", out.string()));
  if (fs::is_empty(out, ignored)) return;
  if (!force) throw Error(fmt::format("{}: exists already; --force replaces it", out.string()));
  if (!fs::exists(out / "config.json", ignored))
    throw Error(fmt::format(
        "{}: is not empty and holds no config.json: not a model's folder, so --force leaves it alone", out.string()));
}

}  // namespace

SynthReport synthesize_gguf(const fs::path& out, const SynthOptions& options, ThreadPool& pool) {
  const Hyperparameters& hyper = options.hyper;
  SynthReport report;
  std::vector<Piece> pieces;
  std::map<std::string, std::string> fallbacks;  // by the tensor's name without its layer
  for (TensorShape& shape : tensor_shapes(hyper)) {
    const bool vector = shape.rows == 1;
    const WeightChoice choice =
        choose_weight_type(shape.name, vector, shape.cols, options.type, hyper.tied_embeddings, options.pure);
    if (choice.fallback) {
      std::string name = shape.name;
      if (name.starts_with("blk.")) name = "blk.*" + name.substr(name.find('.', 4));
      fallbacks[name] = fmt::format("{} is {}: {}", name, sluice_gguf_type_info(choice.type)->name, choice.reason);
    }
    report.parameters += shape.rows * shape.cols;
    pieces.push_back({std::move(shape), choice.type});
    report.bytes += pieces.back().bytes();
  }
  for (const auto& [name, text] : fallbacks) report.fallbacks.push_back(text);
  check_output({}, out, options.force, report.bytes);

  const Vocabulary vocabulary = vocabulary_for(options);
  GgufWriter writer(out);
  set_metadata(writer, hyper, vocabulary);
  writer.set("general.file_type", gguf_file_type(options.type));
  writer.set("general.quantization_version", uint32_t(2));
  writer.set("sluice.synthetic_seed", options.seed);
  for (const Piece& piece : pieces) {
    std::vector<uint64_t> shape = {piece.shape.cols};
    if (piece.shape.rows != 1) shape.push_back(piece.shape.rows);
    writer.add_tensor(piece.shape.name, piece.type, shape);
  }
  Generator generator(options, pool, out);
  generator.set_total(report.bytes);
  for (const Piece& piece : pieces) {
    generator.make(piece, [&](std::span<const std::byte> bytes) { writer.write(bytes); });
  }
  writer.finish();
  return report;
}

SynthReport synthesize_huggingface(const fs::path& target, const SynthOptions& options, ThreadPool& pool) {
  const Hyperparameters& hyper = options.hyper;
  const Dtype dtype = dtype_of(options.type);
  const fs::path out = target.has_filename() ? target : target.parent_path();  // "name/" is "name"
  check_folder(out, options.force);
  SynthReport report;
  std::vector<Piece> pieces;
  for (TensorShape& shape : tensor_shapes(hyper)) {
    report.parameters += shape.rows * shape.cols;
    pieces.push_back({std::move(shape), options.type});
    report.bytes += pieces.back().bytes();
  }
  check_room(out.has_parent_path() ? out.parent_path() : fs::path("."), out, report.bytes);
  const Vocabulary vocabulary = vocabulary_for(options);
  const std::vector<std::vector<Piece>> files = split_into_files(pieces, report.bytes);
  report.files = files.size();

  NewFolder folder(out);
  write_tokenizer(folder.path(), vocabulary, options.tokenizer);
  Generator generator(options, pool, out);
  generator.set_total(report.bytes);
  nlohmann::ordered_json index = {{"metadata", {{"total_size", report.bytes}}},
                                  {"weight_map", nlohmann::ordered_json::object()}};
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size());
    AtomicFile file(folder.path() / name);
    file.write(safetensors_head(files[i], dtype.safetensors));
    for (const Piece& piece : files[i]) {
      index["weight_map"][huggingface_name(piece.shape.name)] = name;
      generator.make(piece, [&](std::span<const std::byte> bytes) { file.write(bytes); });
    }
    file.commit();
  }
  write_file(folder.path() / "model.safetensors.index.json", index.dump(2) + "\n");
  write_file(folder.path() / "config.json", config_json(hyper, vocabulary, dtype.torch).dump(2) + "\n");
  folder.finish();
  return report;
}

}  // namespace sluice
