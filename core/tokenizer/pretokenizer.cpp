// The four pre-tokenizers. The expressions as published, tried in order at each place:
//   GPT-2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   SmolLM2  every \p{N} alone first; GPT-2's on what lies between
//   Llama-3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
//            \s*[\r\n]+|\s+(?!\S)|\s+
//   Qwen2    Llama-3's with \p{N} for \p{N}{1,3}
#include "core/tokenizer/pretokenizer.h"

#include <fmt/format.h>

#include <array>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tokenizer/unicode.h"

namespace sluice {
namespace {

struct Named {
  std::string_view name;
  PreTokenizer kind;
};

// GGUF writers name the model, not the expression; these names share one of the four.
constexpr std::array<Named, 10> kNames = {{
    {"llama-bpe", PreTokenizer::kLlama3},
    {"llama3", PreTokenizer::kLlama3},
    {"llama-v3", PreTokenizer::kLlama3},
    {"smaug-bpe", PreTokenizer::kLlama3},
    {"falcon3", PreTokenizer::kLlama3},
    {"gpt-2", PreTokenizer::kGpt2},
    {"gpt2", PreTokenizer::kGpt2},
    {"smollm", PreTokenizer::kSmolLm},
    {"qwen2", PreTokenizer::kQwen2},
    {"deepseek-r1-qwen", PreTokenizer::kQwen2},
}};

bool newline(const Character& c) { return c.value == '\r' || c.value == '\n'; }

// The end of the run of `kind` that begins at `at`, of at most `most` characters.
size_t run_end(std::string_view text, size_t at, CharClass kind, size_t most = size_t(-1)) {
  for (Character c; most-- > 0 && (c = character_at(text, at)).length != 0 && c.kind == kind;) at += c.length;
  return at;
}

// The end of 's 't 'm 'd 're 've 'll at the apostrophe `at`, or `at`. With `fold` in either case, where the long
// s counts as an s, as Unicode's case folding has it.
size_t contraction_end(std::string_view text, size_t at, bool fold) {
  const auto letter = [&](size_t place) -> uint32_t {
    const Character c = character_at(text, place);
    if (fold && c.value >= 'A' && c.value <= 'Z') return c.value + 32;
    return fold && c.value == 0x17F ? 's' : c.value;
  };
  const uint32_t first = letter(at + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 1 + character_at(text, at + 1).length;
  const uint32_t second = first == 'r' || first == 'v' ? 'e' : first == 'l' ? 'l' : 0;
  return second != 0 && letter(at + 2) == second ? at + 3 : at;
}

struct SpaceRun {
  size_t end = 0, last = 0;  // its end, and where its last character begins
  size_t newlines_end = 0;   // behind its last CR or LF; 0 if there is none
  bool at_edge = false;      // nothing follows
};

SpaceRun space_run(std::string_view text, size_t begin) {
  SpaceRun run{begin, begin, 0, false};
  for (;;) {
    const Character c = character_at(text, run.end);
    if (c.length == 0 || c.kind != CharClass::kSpace) {
      run.at_edge = c.length == 0;
      return run;
    }
    run.last = run.end;
    run.end += c.length;
    if (newline(c)) run.newlines_end = run.end;
  }
}

// \s+(?!\S)|\s+ : the run without its last character, unless nothing follows or it is the only one.
size_t spaces_end(const SpaceRun& run, size_t begin, bool at_edge) {
  return at_edge || run.last == begin ? run.end : run.last;
}

size_t gpt2_word_end(std::string_view text, size_t begin, bool numbers_apart) {
  Character c = character_at(text, begin);
  if (numbers_apart && c.kind == CharClass::kNumber) return begin + c.length;
  if (c.value == '\'') {
    const size_t end = contraction_end(text, begin, false);
    if (end > begin) return end;
  }
  size_t at = begin;
  if (c.value == ' ') {
    const Character next = character_at(text, begin + 1);
    const bool taken = next.length != 0 && next.kind != CharClass::kSpace;
    if (taken && !(numbers_apart && next.kind == CharClass::kNumber)) c = next, at = begin + 1;
  }
  if (c.kind != CharClass::kSpace) return run_end(text, at, c.kind);
  const SpaceRun run = space_run(text, begin);
  const bool before_number = numbers_apart && character_at(text, run.end).kind == CharClass::kNumber;
  return spaces_end(run, begin, run.at_edge || before_number);
}

size_t llama3_word_end(std::string_view text, size_t begin, size_t most_digits) {
  const Character c = character_at(text, begin);
  if (c.value == '\'') {
    const size_t end = contraction_end(text, begin, true);
    if (end > begin) return end;
  }
  if (c.kind == CharClass::kLetter) return run_end(text, begin, CharClass::kLetter);
  if (c.kind == CharClass::kNumber) return run_end(text, begin, CharClass::kNumber, most_digits);
  const Character next = character_at(text, begin + c.length);
  if (!newline(c) && next.length != 0 && next.kind == CharClass::kLetter)
    return run_end(text, begin + c.length, CharClass::kLetter);
  const bool space_before_other = c.value == ' ' && next.length != 0 && next.kind == CharClass::kOther;
  if (c.kind == CharClass::kOther || space_before_other) {
    size_t end = run_end(text, space_before_other ? begin + 1 : begin, CharClass::kOther);
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n')) ++end;
    return end;
  }
  const SpaceRun run = space_run(text, begin);
  return run.newlines_end != 0 ? run.newlines_end : spaces_end(run, begin, run.at_edge);
}

}  // namespace

PreTokenizer pre_tokenizer_of(std::string_view name) {
  std::string known;
  for (const Named& named : kNames) {
    if (named.name == name) return named.kind;
    known += known.empty() ? "" : ", ";
    known += named.name;
  }
  throw Error(fmt::format("the vocabulary's pre-tokenizer \"{}\" is not known; known are: {}{}", printable(name), known,
                          name.empty() || name == "default"
                              ? " (the file was written without saying how its text is cut; convert the model anew)"
                              : ""));
}

size_t word_end(PreTokenizer kind, std::string_view text, size_t begin) {
  switch (kind) {
    case PreTokenizer::kGpt2:
      return gpt2_word_end(text, begin, false);
    case PreTokenizer::kSmolLm:
      return gpt2_word_end(text, begin, true);
    case PreTokenizer::kLlama3:
      return llama3_word_end(text, begin, 3);
    case PreTokenizer::kQwen2:
      return llama3_word_end(text, begin, 1);
  }
  return text.size();
}

}  // namespace sluice
