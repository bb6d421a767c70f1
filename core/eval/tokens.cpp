// See tokens.h.
#include "core/eval/tokens.h"

#include <algorithm>

#include "core/base/error.h"

namespace sluice {
namespace {

int32_t first_token(const Tokenizer& tokenizer) {
  const Vocabulary& v = tokenizer.vocabulary();
  return v.bos >= 0 ? v.bos : v.eos;
}

// What str.rstrip() takes away, of ASCII.
constexpr std::string_view kSpaces = " \t\n\r\v\f\x1c\x1d\x1e\x1f";

}  // namespace

TokenPair encode_pair(const Tokenizer& tokenizer, std::string_view context, std::string_view continuation) {
  if (continuation.empty()) throw Error("a continuation to score is empty");
  if (context.empty()) {
    TokenPair pair{{first_token(tokenizer)}, tokenizer.encode(continuation)};
    if (pair.continuation.size() > 1 && pair.continuation[0] == pair.context[0])  // it begins so itself
      pair.continuation.erase(pair.continuation.begin());
    return pair;
  }
  const std::string both = std::string(context) + std::string(continuation);
  const size_t end = context.find_last_not_of(kSpaces);
  TokenPair pair;
  pair.context = tokenizer.encode_prompt(context.substr(0, end == context.npos ? 0 : end + 1));
  const std::vector<int32_t> whole = tokenizer.encode_prompt(both);
  if (pair.context.empty()) pair.context = {first_token(tokenizer)};
  if (whole.size() > pair.context.size())
    pair.continuation.assign(whole.begin() + ptrdiff_t(pair.context.size()), whole.end());
  if (pair.continuation.empty()) throw Error("a continuation to score adds no token to its context");
  return pair;
}

bool truncate_left(std::vector<int32_t>& tokens, size_t most) {
  if (tokens.size() <= most) return false;
  tokens.erase(tokens.begin(), tokens.end() - ptrdiff_t(most));
  return true;
}

std::vector<Window> rolling_windows(const Tokenizer& tokenizer, std::string_view text, uint32_t most) {
  if (most == 0) throw Error("a window of a rolling text holds at least 1 token");
  std::vector<int32_t> all{first_token(tokenizer)};
  // As the harness has it: a BOS that the model asks for is the text's own first token, beside the one before it.
  const std::vector<int32_t> tokens = tokenizer.encode_prompt(text);
  all.insert(all.end(), tokens.begin(), tokens.end());
  std::vector<Window> windows;
  // A last window that is shorter takes what lies before it as context, as far as there is room.
  for (size_t scored = 0; scored < tokens.size();) {
    const size_t count = std::min<size_t>(most, tokens.size() - scored), end = scored + count;
    const size_t begin = end > most ? end - most : 0;
    windows.push_back(
        {{all.begin() + ptrdiff_t(begin), all.begin() + ptrdiff_t(end) + 1}, uint32_t(end + 1 - begin - count)});
    scored = end;
  }
  return windows;
}

uint32_t common_prefix(std::span<const std::span<const int32_t>> sequences) {
  if (sequences.empty()) return 0;
  std::span<const int32_t> shared = sequences[0];
  for (const std::span<const int32_t> s : sequences)
    shared =
        shared.first(size_t(std::mismatch(shared.begin(), shared.end(), s.begin(), s.end()).first - shared.begin()));
  return uint32_t(shared.size());
}

}  // namespace sluice
