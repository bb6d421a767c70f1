// Files that are damaged in ways that must be noticed, made by seeded generators: every one has a place that a message
// can name. Damage that could leave a sound file is not among them.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/fuzz.h"

namespace sluice::fuzz {

struct Damage {
  std::string kind, what;                    // "GGUF": a row of the table; "cut to 17 bytes"
  std::map<std::string, std::string> files;  // by name, in a folder of their own
  std::string opened;                        // which one the program is given; empty: the folder
  std::string blamed;                        // the file that the message must name
  std::string place;                         // an ECMAScript expression for where in it
};

std::vector<Damage> undamaged();  // what the others start from, but for the plugin
std::vector<Damage> damaged_gguf();
std::vector<Damage> damaged_safetensors();
std::vector<Damage> damaged_folders();  // config.json and the index
std::vector<Damage> damaged_tokenizers();
std::vector<Damage> damaged_configs();
std::vector<Damage> damaged_plugins(const std::string& sound);  // a plugin library's bytes

// A sound GGUF file, a model folder's files (config.json, model.safetensors, tokenizer.model), a tokenizer.json for it,
// and a configuration.
std::string sound_gguf();
std::map<std::string, std::string> sound_folder(uint32_t shards = 1);
std::string sound_tokenizer();
std::string sound_config();

template <class T>
std::string with(std::string bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}
inline std::string replaced(std::string bytes, std::string_view from, std::string_view to) {
  return bytes.replace(bytes.find(from), from.size(), to);
}
// `count` different lengths below `end`, in a seeded order.
inline std::vector<size_t> lengths_below(size_t end, size_t count, testing::FuzzRandom& random) {
  std::map<size_t, bool> taken;
  while (taken.size() < count && taken.size() < end) taken[random.next() % end] = true;
  std::vector<size_t> lengths;
  for (const auto& [length, unused] : taken) lengths.push_back(length);
  return lengths;
}

}  // namespace sluice::fuzz
