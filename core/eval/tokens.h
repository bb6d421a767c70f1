// Texts as tokens in the way that evaluations are used to: where a context ends and its continuation begins, what of a
// long text fits, and which windows a whole document is measured in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace sluice {

struct TokenPair {
  std::vector<int32_t> context, continuation;
};

// Spaces at the context's end belong to the continuation; the continuation's tokens are those of both texts together
// beyond as many as the context has alone. An empty context is the token that texts begin with (BOS, or the end token
// where there is none).
TokenPair encode_pair(const Tokenizer& tokenizer, std::string_view context, std::string_view continuation);

// Drops tokens at the beginning so that at most `most` are left. True if any were.
bool truncate_left(std::vector<int32_t>& tokens, size_t most);

// A document's windows of at most `most` input tokens, of which each token is scored in exactly one: the first window
// begins with the token that texts begin with, later ones with the last token of the window before, or earlier where
// the last one is short.
struct Window {
  std::vector<int32_t> tokens;  // what comes before the first scored token, then the scored ones
  uint32_t given = 1;           // not scored
};
std::vector<Window> rolling_windows(const Tokenizer& tokenizer, std::string_view text, uint32_t most);

// How many tokens all of them begin with.
uint32_t common_prefix(std::span<const std::span<const int32_t>> sequences);

}  // namespace sluice
