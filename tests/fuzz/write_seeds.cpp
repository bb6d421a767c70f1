// write_fuzz_seeds FOLDER: the generated part of the corpora, FOLDER/TARGET/seed_NAME.
#include "core/base/file.h"
#include "fuzz/seeds.h"

int main(int count, char** words) {
  if (count != 2) return 2;
  for (const sluice::fuzz::Seed& seed : sluice::fuzz::seeds()) {
    const std::filesystem::path folder = std::filesystem::path(words[1]) / seed.target;
    std::filesystem::create_directories(folder);
    sluice::write_file(folder / ("seed_" + seed.name), seed.bytes);
  }
}
