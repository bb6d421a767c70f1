// The trie of TokenFinder, kept in two hash tables: vocabularies have a handful of special tokens or a few
// thousand, and both build and look up fast.
#include "core/tokenizer/special_tokens.h"

namespace sluice {

void TokenFinder::add(std::string_view token, int32_t id) {
  if (token.empty()) return;
  first_[uint8_t(token[0])] = true;
  uint32_t node = 0;
  for (const char byte : token) {
    if (edges_.insert(node, uint8_t(byte), {0, nodes_})) ++nodes_;
    node = edges_.find(node, uint8_t(byte))->product;
  }
  ends_.insert(node, 0, {uint32_t(id), 0});
}

std::optional<TokenFinder::Match> TokenFinder::match_at(std::string_view text, size_t at) const {
  if (at >= text.size() || !first_[uint8_t(text[at])]) return std::nullopt;
  std::optional<Match> longest;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const PairTable::Value* edge = edges_.find(node, uint8_t(text[i]));
    if (!edge) break;
    node = edge->product;
    if (const PairTable::Value* end = ends_.find(node, 0)) longest = Match{at, i + 1, int32_t(end->rank)};
  }
  return longest;
}

std::optional<TokenFinder::Match> TokenFinder::find(std::string_view text, size_t at) const {
  for (; at < text.size(); ++at)
    if (const auto match = match_at(text, at)) return match;
  return std::nullopt;
}

}  // namespace sluice
