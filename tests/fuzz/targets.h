// The entries of the fuzzers: each hands bytes to one reader, as a user's file or word would come, and returns what it
// was refused with, or nothing if it was read; whatever else happens is a bug. Compiled into one libFuzzer program each
// (CMakeLists.txt here) and, all together, into fuzz_tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice::fuzz {

std::string gguf(std::string_view bytes);         // a GGUF model
std::string safetensors(std::string_view bytes);  // model.safetensors beside a sound config.json and tokenizer
std::string huggingface(std::string_view bytes);  // config.json, a line "---", the index of two sound safetensors files
std::string tokenizer_json(std::string_view bytes);   // tokenizer.json, a line "---", tokenizer_config.json
std::string tokenizer_model(std::string_view bytes);  // tokenizer.model
std::string toml(std::string_view bytes);             // a configuration file, which may extend base.toml
std::string parameters(std::string_view bytes);       // a line of a part's parameters, then a --set override per line
std::string task(std::string_view bytes);             // a task file, a line "---", the data it names as x.data

struct Target {
  const char* name;
  std::string (*run)(std::string_view bytes);
};
inline constexpr Target kTargets[] = {{"gguf", gguf},
                                      {"safetensors", safetensors},
                                      {"huggingface", huggingface},
                                      {"tokenizer_json", tokenizer_json},
                                      {"tokenizer_model", tokenizer_model},
                                      {"toml", toml},
                                      {"parameters", parameters},
                                      {"task", task}};

// Whether a terminal may be sent it.
inline bool harmless(std::string_view text) {
  const auto control = [](char c) { return (uint8_t(c) < 0x20 && c != '\n') || c == 0x7F; };
  return valid_utf8(text) && std::none_of(text.begin(), text.end(), control);
}

// Runs f, which may refuse: with the exit code of a user's mistake, and a message of readable length that does nothing
// to a terminal.
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string text = error.what();
    if (error.code() == kExitUsage && !text.empty() && text.size() < 65536 && harmless(text)) return text;
    std::fprintf(stderr, "refused with exit code %d and %zu bytes of text: %.1000s\n", int(error.code()), text.size(),
                 printable(text, 1000).c_str());
    std::abort();
  }
  return {};
}

// The bytes before and behind the first line "---"; without one, nothing is behind.
struct Halves {
  std::string_view first, second;
};
inline Halves halves(std::string_view bytes) {
  constexpr std::string_view kLine = "\n---\n";
  const size_t at = bytes.find(kLine);
  if (at == bytes.npos) return {bytes, {}};
  return {bytes.substr(0, at), bytes.substr(at + kLine.size())};
}

}  // namespace sluice::fuzz
