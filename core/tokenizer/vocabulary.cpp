// What every loader of a vocabulary does at its end: the tokens that end an answer, and the check that the
// parts fit together.
#include "core/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "core/base/error.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 9> kEndTokens = {
    "</s>",    "<|eot_id|>",    "<|eom_id|>",    "<|im_end|>", "<|endoftext|>", "<|end_of_text|>",
    "<|end|>", "<end_of_turn>", "<|endofturn|>",
};

void check_id(const std::string& where, const char* what, int32_t id, size_t count) {
  if (id < -1 || (id >= 0 && size_t(id) >= count))
    throw Error(fmt::format("{}: {} token id {} is outside the vocabulary of {} tokens", where, what, id, count));
}

}  // namespace

void add_known_end_tokens(Vocabulary& vocabulary) {
  const auto add = [&](int32_t id) {
    auto& ids = vocabulary.end_of_generation;
    if (id >= 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  add(vocabulary.eos);
  for (size_t id = 0; id < vocabulary.tokens.size() && id < vocabulary.kinds.size(); ++id) {
    const TokenKind kind = vocabulary.kinds[id];
    if (kind != TokenKind::kControl && kind != TokenKind::kUserDefined && kind != TokenKind::kUnknown) continue;
    if (std::find(kEndTokens.begin(), kEndTokens.end(), vocabulary.tokens[id]) != kEndTokens.end()) add(int32_t(id));
  }
}

void check_vocabulary(const Vocabulary& vocabulary, const std::string& where) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0) throw Error(fmt::format("{}: the vocabulary has no tokens", where));
  if (vocabulary.kinds.size() != count)
    throw Error(fmt::format("{}: {} tokens but {} token types", where, count, vocabulary.kinds.size()));
  if (vocabulary.model == Vocabulary::Model::kSentencePiece) {
    if (vocabulary.scores.size() != count)
      throw Error(fmt::format("{}: {} tokens but {} scores", where, count, vocabulary.scores.size()));
    for (size_t id = 0; id < count; ++id)
      if (!std::isfinite(vocabulary.scores[id]))
        throw Error(fmt::format("{}: the score of token {} is not a finite number", where, id));
  }
  for (size_t id = 0; id < count; ++id) {
    const int kind = int(vocabulary.kinds[id]);
    if (kind < int(TokenKind::kNormal) || kind > int(TokenKind::kByte))
      throw Error(fmt::format("{}: token {} has the unknown type {}; types are 1 to 6", where, id, kind));
  }
  check_id(where, "BOS", vocabulary.bos, count);
  check_id(where, "EOS", vocabulary.eos, count);
  check_id(where, "unknown", vocabulary.unknown, count);
  check_id(where, "padding", vocabulary.pad, count);
  for (const int32_t id : vocabulary.end_of_generation) check_id(where, "end-of-generation", id, count);
  for (const int32_t id : vocabulary.strip_left) check_id(where, "left-stripping", id, count);
  for (const int32_t id : vocabulary.strip_right) check_id(where, "right-stripping", id, count);
}

}  // namespace sluice
