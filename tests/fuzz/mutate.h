// A plain mutator for the usual tests: a few seeded edits of an input, with words of a libFuzzer dictionary. Fuzzing
// proper, which learns from coverage, is libFuzzer's.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/base/text.h"
#include "support/fuzz.h"

namespace sluice::fuzz {

// Lines `"word"`, with \xNN, \\ and \" in the word; others are comments.
inline std::vector<std::string> read_dictionary(const std::filesystem::path& file) {
  std::vector<std::string> words;
  const std::string text = read_file(file);
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with('"') || line.size() < 3) continue;
    std::string word;
    for (size_t at = 1; at + 1 < line.size(); ++at) {
      if (line[at] != '\\') {
        word += line[at];
      } else if (line[++at] == 'x') {
        word += char(std::stoi(std::string(line.substr(at + 1, 2)), nullptr, 16));
        at += 2;
      } else {
        word += line[at];
      }
    }
    words.push_back(word);
  }
  return words;
}

inline std::string mutated(std::string bytes, std::string_view other, std::span<const std::string> words,
                           testing::FuzzRandom& random) {
  const auto place = [&] { return bytes.empty() ? 0 : random.next() % bytes.size(); };
  for (uint64_t edits = 1 + random.next() % 4; edits > 0; --edits) {
    const size_t at = place();
    switch (random.next() % 7) {
      case 0:
        if (!bytes.empty()) bytes[at] = char(bytes[at] ^ 1 << random.next() % 8);
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = char(random.next());
        break;
      case 2:
        bytes.insert(at, words[random.next() % words.size()]);
        break;
      case 3:
        bytes.erase(at, 1 + random.next() % 16);
        break;
      case 4: {
        const std::string& word = words[random.next() % words.size()];
        bytes.replace(at, word.size(), word);
        break;
      }
      case 5: {  // a piece of itself once more
        const std::string piece = bytes.substr(place(), 1 + random.next() % 64);
        bytes.insert(at, piece);
        break;
      }
      default:  // continued by another input
        bytes = bytes.substr(0, at) + std::string(other.substr(other.empty() ? 0 : random.next() % other.size()));
    }
  }
  return bytes;
}

}  // namespace sluice::fuzz
