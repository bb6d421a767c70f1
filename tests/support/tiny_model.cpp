// See tiny_model.h. Numbers come from a counter-based generator of our own, so that no standard library decides them.
#include "support/tiny_model.h"

#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/model/gguf_writer.h"
#include "core/model/huggingface_names.h"
#include "core/quant/quantize.h"

namespace sluice::testing {
namespace {

uint64_t mix(uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// Uniform with mean 0 and the given standard deviation.
std::vector<float> random_values(uint64_t seed, const std::string& name, size_t count, double deviation,
                                 double mean = 0) {
  uint64_t key = mix(seed);
  for (const char c : name) key = mix(key ^ uint8_t(c));
  std::vector<float> values(count);
  const double width = deviation * std::sqrt(12.0);
  for (size_t i = 0; i < count; i++) {
    const double unit = double(mix(key + i) >> 11) * 0x1p-53;  // [0, 1)
    values[i] = float(mean + (unit - 0.5) * width);
  }
  return values;
}

std::vector<std::byte> encode(const TinyTensor& tensor, uint32_t type) {
  const sluice_gguf_type& info = *sluice_gguf_type_info(type);
  std::vector<std::byte> bytes(tensor.values.size() / info.block * info.bytes);
  quantize(type, tensor.values.data(), tensor.values.size(), bytes.data());
  return bytes;
}

bool is_query(const std::string& name) { return name.find(".attn_q.") != name.npos; }
bool is_key(const std::string& name) { return name.find(".attn_k.") != name.npos; }

// From neighbouring pairs to two halves per head, the order of Hugging Face.
void split_halves(TinyTensor& tensor, const TinyModel& model) {
  const bool query = is_query(tensor.name);
  if (!query && !is_key(tensor.name)) return;
  const uint32_t dim = model.head_size(), units = (query ? model.heads : model.kv_heads) * dim;
  const size_t length = tensor.values.size() / units;  // numbers of a row, or 1
  const std::vector<float> from = tensor.values;
  for (uint32_t unit = 0; unit < units; unit++) {
    const uint32_t head = unit / dim, i = unit % dim;
    const uint32_t to = head * dim + i / 2 + (i % 2) * (dim / 2);
    std::copy_n(from.begin() + unit * length, length, tensor.values.begin() + to * length);
  }
}

// ---- a SentencePiece model file: protocol buffer fields

void put_varint(std::string& to, uint64_t value) {
  for (; value >= 128; value >>= 7) to += char(value | 128);
  to += char(value);
}
void put_number(std::string& to, uint32_t field, uint64_t value) {
  put_varint(to, field << 3);
  put_varint(to, value);
}
void put_bytes(std::string& to, uint32_t field, std::string_view bytes) {
  put_varint(to, field << 3 | 2);
  put_varint(to, bytes.size());
  to += bytes;
}

std::string sentencepiece_model(const Vocabulary& vocabulary) {
  std::string model;
  for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
    std::string piece;
    put_bytes(piece, 1, vocabulary.tokens[id]);
    put_varint(piece, 2 << 3 | 5);
    piece.append(reinterpret_cast<const char*>(&vocabulary.scores[id]), sizeof(float));
    if (vocabulary.kinds[id] != TokenKind::kNormal) put_number(piece, 3, uint64_t(vocabulary.kinds[id]));
    put_bytes(model, 1, piece);
  }
  std::string trainer, normalizer;
  put_number(trainer, 3, 2);   // model_type: BPE
  put_number(trainer, 35, 1);  // byte_fallback
  put_number(trainer, 40, uint64_t(vocabulary.unknown));
  put_number(trainer, 41, uint64_t(vocabulary.bos));
  put_number(trainer, 42, uint64_t(vocabulary.eos));
  put_number(trainer, 43, uint64_t(int64_t(-1)));  // pad_id
  put_bytes(normalizer, 1, "identity");
  put_number(normalizer, 3, 1);  // add_dummy_prefix
  put_number(normalizer, 4, 0);  // remove_extra_whitespaces
  put_number(normalizer, 5, 1);  // escape_whitespaces
  put_bytes(model, 2, trainer);
  put_bytes(model, 3, normalizer);
  return model;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TinyTensor>& tensors,
                       const TinyModel& model) {
  const std::string dtype = sluice_gguf_type_info(model.type)->name;
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const TinyTensor& tensor : tensors) {
    const std::vector<std::byte> bytes = encode(tensor, model.type);
    nlohmann::ordered_json entry = {{"dtype", dtype}, {"shape", {tensor.rows, tensor.cols}}};
    if (tensor.rows == 1) entry["shape"] = {tensor.cols};
    entry["data_offsets"] = {data.size(), data.size() + bytes.size()};
    header[huggingface_name(tensor.name)] = entry;
    data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  write_file(path, std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data);
}

nlohmann::json config_json(const TinyModel& model) {
  const bool qwen = model.architecture == "qwen2";
  nlohmann::json config = {{"architectures",
                            {qwen                   ? "Qwen2ForCausalLM"
                             : model.sliding_window ? "MistralForCausalLM"
                                                    : "LlamaForCausalLM"}},
                           {"hidden_act", "silu"},
                           {"hidden_size", model.width},
                           {"intermediate_size", model.ffn},
                           {"max_position_embeddings", model.context},
                           {"num_attention_heads", model.heads},
                           {"num_hidden_layers", model.layers},
                           {"num_key_value_heads", model.kv_heads},
                           {"rms_norm_eps", 1e-5},
                           {"rope_theta", model.rope_theta},
                           {"rope_scaling", nullptr},
                           {"tie_word_embeddings", model.tied},
                           {"vocab_size", model.vocab},
                           {"use_sliding_window", model.sliding_window > 0},
                           {"sliding_window", nullptr}};
  if (model.sliding_window) config["sliding_window"] = model.sliding_window;
  if (model.head_dim) config["head_dim"] = model.head_dim;
  return config;
}

}  // namespace

Vocabulary tiny_vocabulary(uint32_t tokens) {
  assert(tokens >= 300 || (tokens >= 4 && tokens <= 50));
  Vocabulary vocabulary;
  const auto add = [&](std::string text, TokenKind kind, float score) {
    vocabulary.tokens.push_back(std::move(text));
    vocabulary.kinds.push_back(kind);
    vocabulary.scores.push_back(score);
  };
  add("<unk>", TokenKind::kUnknown, 0);
  add("<s>", TokenKind::kControl, 0);
  add("</s>", TokenKind::kControl, 0);
  for (int byte = 0; byte < 256 && tokens >= 300; byte++) add(fmt::format("<0x{:02X}>", byte), TokenKind::kByte, 0);
  const std::string space = "\xE2\x96\x81";
  // The commonest first: a better score is merged earlier. Every longer piece is made of shorter ones.
  std::vector<std::string> pieces = {space + "t", "he", space + "a", "in", space + "the", "er", "on", space + "s"};
  pieces.push_back(space);
  for (const char c : std::string_view("etaoinshrdlucmfwypvbgkqjxz,.'\"-!?;:0123456789ETAOINSHRDLUCMFWYPVBGKQJXZ()"))
    pieces.push_back(std::string(1, c));
  for (char first = 'a'; first <= 'z'; first++)
    for (char second = 'a'; second <= 'z'; second++) pieces.push_back({first, second});
  for (size_t i = 0; vocabulary.tokens.size() < tokens; i++) {
    std::string text = i < pieces.size() ? pieces[i] : fmt::format("{}extra{}", space, i);
    if (std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), text) != vocabulary.tokens.end())
      text += fmt::format("_{}", i);
    add(std::move(text), TokenKind::kNormal, -float(i));
  }
  vocabulary.model = Vocabulary::Model::kSentencePiece;
  vocabulary.unknown = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  vocabulary.end_of_generation = {2};
  vocabulary.add_bos = true;
  return vocabulary;
}

std::vector<TinyTensor> tiny_tensors(const TinyModel& model) {
  std::vector<TinyTensor> tensors;
  const auto add = [&](std::string name, uint32_t rows, uint32_t cols, double deviation, double mean = 0) {
    std::vector<float> values = random_values(model.seed, name, size_t(rows) * cols, deviation, mean);
    tensors.push_back({std::move(name), rows, cols, std::move(values)});
  };
  const uint32_t q = model.heads * model.head_size(), kv = model.kv_heads * model.head_size();
  // Matrices keep the size of what they multiply; q and k are larger, so that attention is not flat.
  const double wide = 1 / std::sqrt(double(model.width));
  add("token_embd.weight", model.vocab, model.width, 1);
  for (uint32_t layer = 0; layer < model.layers; layer++) {
    const std::string block = fmt::format("blk.{}.", layer);
    add(block + "attn_norm.weight", 1, model.width, 0.1, 1);
    add(block + "attn_q.weight", q, model.width, 1.5 * wide);
    add(block + "attn_k.weight", kv, model.width, 1.5 * wide);
    add(block + "attn_v.weight", kv, model.width, wide);
    if (model.qkv_bias) {
      add(block + "attn_q.bias", 1, q, 0.5);
      add(block + "attn_k.bias", 1, kv, 0.5);
      add(block + "attn_v.bias", 1, kv, 0.5);
    }
    add(block + "attn_output.weight", model.width, q, 1 / std::sqrt(double(q)));
    add(block + "ffn_norm.weight", 1, model.width, 0.1, 1);
    add(block + "ffn_gate.weight", model.ffn, model.width, wide);
    add(block + "ffn_up.weight", model.ffn, model.width, wide);
    add(block + "ffn_down.weight", model.width, model.ffn, 1 / std::sqrt(double(model.ffn)));
  }
  add("output_norm.weight", 1, model.width, 0.1, 1);
  if (!model.tied) add("output.weight", model.vocab, model.width, 2 * wide);
  return tensors;
}

void write_tiny_gguf(const std::filesystem::path& file, const TinyModel& model) {
  GgufWriter writer(file);
  const std::string& prefix = model.architecture;
  writer.set("general.architecture", model.architecture);
  writer.set("general.name", "tiny");
  writer.set(prefix + ".block_count", model.layers);
  writer.set(prefix + ".context_length", model.context);
  writer.set(prefix + ".embedding_length", model.width);
  writer.set(prefix + ".feed_forward_length", model.ffn);
  writer.set(prefix + ".attention.head_count", model.heads);
  writer.set(prefix + ".attention.head_count_kv", model.kv_heads);
  writer.set(prefix + ".attention.layer_norm_rms_epsilon", 1e-5f);
  writer.set(prefix + ".rope.freq_base", model.rope_theta);
  writer.set(prefix + ".rope.dimension_count", model.head_size());
  if (model.head_dim) {
    writer.set(prefix + ".attention.key_length", model.head_dim);
    writer.set(prefix + ".attention.value_length", model.head_dim);
  }
  if (model.sliding_window) writer.set(prefix + ".attention.sliding_window", model.sliding_window);

  const Vocabulary vocabulary = tiny_vocabulary(model.vocab);
  std::vector<int32_t> kinds;
  for (const TokenKind kind : vocabulary.kinds) kinds.push_back(int32_t(kind));
  writer.set("tokenizer.ggml.model", "llama");
  writer.set("tokenizer.ggml.tokens", std::span<const std::string>(vocabulary.tokens));
  writer.set("tokenizer.ggml.scores", std::span<const float>(vocabulary.scores));
  writer.set("tokenizer.ggml.token_type", std::span<const int32_t>(kinds));
  writer.set("tokenizer.ggml.unknown_token_id", uint32_t(vocabulary.unknown));
  writer.set("tokenizer.ggml.bos_token_id", uint32_t(vocabulary.bos));
  writer.set("tokenizer.ggml.eos_token_id", uint32_t(vocabulary.eos));
  writer.set("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  if (!model.chat_template.empty()) writer.set("tokenizer.chat_template", model.chat_template);

  std::vector<TinyTensor> tensors = tiny_tensors(model);
  for (TinyTensor& tensor : tensors) {
    if (model.architecture == "qwen2") split_halves(tensor, model);  // these files keep Hugging Face's order
    const std::vector<uint64_t> shape =
        tensor.rows == 1 ? std::vector<uint64_t>{tensor.cols} : std::vector<uint64_t>{tensor.cols, tensor.rows};
    writer.add_tensor(tensor.name, tensor.rows == 1 ? uint32_t(SLUICE_GGUF_F32) : model.type, shape);
  }
  for (const TinyTensor& tensor : tensors)
    writer.write(encode(tensor, tensor.rows == 1 ? uint32_t(SLUICE_GGUF_F32) : model.type));
  writer.finish();
}

void write_tiny_huggingface(const std::filesystem::path& folder, const TinyModel& model, uint32_t shards) {
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", config_json(model).dump(2));
  write_file(folder / "tokenizer.model", sentencepiece_model(tiny_vocabulary(model.vocab)));
  std::vector<TinyTensor> tensors = tiny_tensors(model);
  for (TinyTensor& tensor : tensors) split_halves(tensor, model);
  if (shards == 1) {
    write_safetensors(folder / "model.safetensors", tensors, model);
    return;
  }
  nlohmann::json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", nlohmann::json::object()}};
  for (uint32_t shard = 0; shard < shards; shard++) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards);
    std::vector<TinyTensor> part;
    for (size_t i = tensors.size() * shard / shards; i < tensors.size() * (shard + 1) / shards; i++) {
      index["weight_map"][huggingface_name(tensors[i].name)] = name;
      part.push_back(tensors[i]);
    }
    write_safetensors(folder / name, part, model);
  }
  write_file(folder / "model.safetensors.index.json", index.dump(2));
}

}  // namespace sluice::testing
