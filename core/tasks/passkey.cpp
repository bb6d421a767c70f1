// See passkey.h.
#include "core/tasks/passkey.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "core/tasks/python_random.h"

namespace sluice {
namespace {

// Sentences of nothing in particular, and of no digits.
constexpr std::array<std::string_view, 12> kFiller = {
    "The river bends twice before it reaches the mill.",
    "A cart stood in the yard with its wheels in the grass.",
    "Nobody had swept the stairs since the wind turned.",
    "The baker opened late and closed early that week.",
    "Two geese crossed the road and took their time about it.",
    "The windows of the school faced the orchard.",
    "Rain had been promised and did not come.",
    "Her brother mended nets in the shed behind the house.",
    "The clock on the tower was slow, as it always was.",
    "Someone had left a lantern burning by the gate.",
    "The path to the quarry was overgrown with fern.",
    "In the evening the boats lay side by side in the harbour.",
};

size_t words_in(std::string_view text) {
  size_t words = 1;
  for (const char c : text) words += c == ' ';
  return words;
}

std::string key_of(PythonRandom& random, int64_t digits) {
  std::string key(1, char('1' + random.below(9)));
  while (int64_t(key.size()) < digits) key += char('0' + random.below(10));
  return key;
}

}  // namespace

std::vector<Record> passkey_records(const PasskeySpec& spec, uint64_t seed) {
  std::vector<Record> records;
  PythonRandom random(seed);
  for (int64_t i = 0; i < spec.count; ++i)
    for (const int64_t words : spec.words)
      for (const double depth : spec.depths) {
        const std::string key = key_of(random, spec.digits);
        std::vector<std::string_view> sentences;
        for (size_t count = 0; count < size_t(words); count += words_in(sentences.back()))
          sentences.push_back(kFiller[random.below(kFiller.size())]);
        const size_t before = size_t(std::lround(depth * double(sentences.size())));
        const std::string needle = fmt::format("The pass key is {0}. Remember it: {0} is the pass key.", key);
        std::string text;
        for (size_t at = 0; at <= sentences.size(); ++at) {
          if (at == before) text += needle + " ";
          if (at < sentences.size()) text += fmt::format("{} ", sentences[at]);
        }
        text.pop_back();
        records.push_back({{{"text", text}, {"passkey", key}, {"words", words}, {"depth", depth}},
                           0,
                           fmt::format("passkey[{}]", records.size())});
      }
  return records;
}

}  // namespace sluice
