// See gguf_metadata.h.
#include "core/convert/gguf_metadata.h"

#include <cmath>
#include <unordered_map>

#include "core/model/rope_scaling.h"

namespace sluice {
namespace {

// Divisors of the plain frequencies, all 1 without scaling.
std::vector<float> divisors(const Hyperparameters& hyper) {
  std::vector<float> plain = rope_frequencies(hyper.rope_theta, hyper.head_dim, {});
  for (size_t i = 0; i < plain.size() && i < hyper.rope_frequency.size(); ++i) plain[i] /= hyper.rope_frequency[i];
  return plain;
}

bool all_alike(const std::vector<float>& values) {
  for (const float value : values) {
    if (std::fabs(value - values[0]) > 1e-5f * values[0]) return false;
  }
  return true;
}

// Scores for tokens that were ordered by merges: earlier merges score higher; tokens that no merge makes (bytes,
// single characters, specials) are never candidates, so any score will do.
std::vector<float> scores_of_merges(const Vocabulary& vocabulary) {
  std::unordered_map<std::string, size_t> rank;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string& merge = vocabulary.merges[i];
    const size_t space = merge.find(' ', 1);
    if (space != merge.npos) rank.emplace(merge.substr(0, space) + merge.substr(space + 1), i);
  }
  std::vector<float> scores;
  for (const std::string& token : vocabulary.tokens) {
    const auto found = rank.find(token);
    scores.push_back(found == rank.end() ? 0.0f : -1.0f - float(found->second));
  }
  return scores;
}

void set_vocabulary(GgufWriter& writer, const Vocabulary& vocabulary) {
  const bool byte_level = vocabulary.model == Vocabulary::Model::kByteBpe;
  writer.set("tokenizer.ggml.model", byte_level ? "gpt2" : "llama");
  writer.set("tokenizer.ggml.pre", byte_level ? vocabulary.pre : "default");
  writer.set("tokenizer.ggml.tokens", std::span<const std::string>(vocabulary.tokens));
  std::vector<int32_t> kinds;
  for (const TokenKind kind : vocabulary.kinds) kinds.push_back(int32_t(kind));
  writer.set("tokenizer.ggml.token_type", std::span<const int32_t>(kinds));
  if (byte_level) {
    writer.set("tokenizer.ggml.merges", std::span<const std::string>(vocabulary.merges));
  } else {
    const std::vector<float> scores =
        vocabulary.model == Vocabulary::Model::kMergeBpe ? scores_of_merges(vocabulary) : vocabulary.scores;
    writer.set("tokenizer.ggml.scores", std::span<const float>(scores));
  }
  // Readers assume ids for a SentencePiece vocabulary that does not say; "none" must be said.
  const auto set_id = [&](const char* key, int32_t id, bool assumed) {
    if (id >= 0 || assumed) writer.set(key, uint32_t(id));
  };
  set_id("tokenizer.ggml.bos_token_id", vocabulary.bos, !byte_level);
  set_id("tokenizer.ggml.eos_token_id", vocabulary.eos, !byte_level);
  set_id("tokenizer.ggml.unknown_token_id", vocabulary.unknown, !byte_level);
  set_id("tokenizer.ggml.padding_token_id", vocabulary.pad, false);
  for (const int32_t id : vocabulary.end_of_generation) {
    if (id == vocabulary.eos) continue;
    writer.set("tokenizer.ggml.eot_token_id", uint32_t(id));
    break;
  }
  writer.set("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  writer.set("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
  writer.set("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  if (!vocabulary.chat_template.empty()) writer.set("tokenizer.chat_template", vocabulary.chat_template);
}

}  // namespace

void set_metadata(GgufWriter& writer, const Hyperparameters& hyper, const Vocabulary& vocabulary) {
  const std::string prefix = hyper.architecture + ".";
  writer.set("general.architecture", hyper.architecture);
  if (!hyper.name.empty()) writer.set("general.name", hyper.name);
  writer.set(prefix + "block_count", hyper.layers);
  writer.set(prefix + "context_length", hyper.context);
  writer.set(prefix + "embedding_length", hyper.width);
  writer.set(prefix + "feed_forward_length", hyper.ffn_width);
  writer.set(prefix + "attention.head_count", hyper.heads);
  writer.set(prefix + "attention.head_count_kv", hyper.kv_heads);
  writer.set(prefix + "attention.layer_norm_rms_epsilon", hyper.rms_epsilon);
  if (hyper.head_dim * hyper.heads != hyper.width) {
    writer.set(prefix + "attention.key_length", hyper.head_dim);
    writer.set(prefix + "attention.value_length", hyper.head_dim);
  }
  if (hyper.sliding_window > 0) writer.set(prefix + "attention.sliding_window", hyper.sliding_window);
  writer.set(prefix + "rope.dimension_count", hyper.head_dim);
  writer.set(prefix + "rope.freq_base", hyper.rope_theta);
  const std::vector<float> factors = divisors(hyper);
  if (all_alike(factors) && std::fabs(factors[0] - 1) > 1e-5f) {
    writer.set(prefix + "rope.scaling.type", "linear");
    writer.set(prefix + "rope.scaling.factor", factors[0]);
  }
  writer.set(prefix + "vocab_size", hyper.vocab);
  set_vocabulary(writer, vocabulary);
}

std::vector<float> rope_factors(const Hyperparameters& hyper) {
  std::vector<float> factors = divisors(hyper);
  return all_alike(factors) ? std::vector<float>{} : factors;
}

}  // namespace sluice
