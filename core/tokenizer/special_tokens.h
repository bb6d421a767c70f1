// Finding whole tokens in text, leftmost and longest: control and user-defined tokens. A byte trie.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/tokenizer/merges.h"

namespace sluice {

class TokenFinder {
 public:
  struct Match {
    size_t begin = 0, end = 0;  // bytes of the text
    int32_t id = -1;
  };
  // The first token of a text holds; an empty text is ignored.
  void add(std::string_view token, int32_t id);
  bool empty() const { return nodes_ == 1; }
  // The longest token that begins at `at`.
  std::optional<Match> match_at(std::string_view text, size_t at) const;
  // The first place at or after `at` where a token begins, and the longest one there.
  std::optional<Match> find(std::string_view text, size_t at) const;

 private:
  PairTable edges_;  // (node, byte) to {0, next node}; node 0 is the root
  PairTable ends_;   // (node, 0) to {id, 0}
  uint32_t nodes_ = 1;
  bool first_[256] = {};  // bytes that some token begins with
};

}  // namespace sluice
