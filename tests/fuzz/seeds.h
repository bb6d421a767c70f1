// Sound files that fuzzing and damage start from, as small as the formats allow, so that what a byte means is not lost
// among bytes that mean nothing.
#pragma once

#include <string>
#include <vector>

#include "support/tiny_model.h"

namespace sluice::fuzz {

// One layer of width 2 and twelve tokens: about a kilobyte as GGUF.
inline testing::TinyModel smallest_model() {
  testing::TinyModel model;
  model.layers = 1;
  model.width = model.ffn = 2;
  model.heads = model.kv_heads = 1;
  model.vocab = 12;
  return model;
}

struct Seed {
  std::string target, name, bytes;
};
// Those that are binary or long; corpus/ has them beside what was written by hand and found by fuzzing.
std::vector<Seed> seeds();

}  // namespace sluice::fuzz
