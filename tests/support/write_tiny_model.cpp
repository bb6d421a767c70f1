// write_tiny_model FILE: the tests' tiny model as a GGUF file, for tests that are scripts. Heads of 32 channels, the
// least that codecs take.
#include <cstdio>
#include <exception>

#include "support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("write_tiny_model FILE\n", stderr);
    return 2;
  }
  try {
    sluice::testing::TinyModel model;
    model.head_dim = 32;
    sluice::testing::write_tiny_gguf(argv[1], model);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_tiny_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
