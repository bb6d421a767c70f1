// See vocabulary_size.h.
#include "core/model/vocabulary_size.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace sluice {

void fit_vocabulary(Vocabulary& vocabulary, uint32_t rows, const std::string& where) {
  const size_t tokens = vocabulary.tokens.size();
  if (tokens > rows)
    throw Error(fmt::format("{}: the vocabulary has {} tokens, but the embedding only {} rows", where, tokens, rows));
  for (size_t id = tokens; id < rows; id++) {
    vocabulary.tokens.push_back(fmt::format("[PAD{}]", id));
    vocabulary.kinds.push_back(TokenKind::kUnused);
    if (!vocabulary.scores.empty()) vocabulary.scores.push_back(0);
  }
}

}  // namespace sluice
