// A Hugging Face folder's JSON: config.json and the index of its safetensors files. See targets.h.
#include "fuzz/model_use.h"
#include "fuzz/seeds.h"
#include "fuzz/targets.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {

std::string huggingface(std::string_view bytes) {
  static const testing::ScratchFolder folder;
  static const bool prepared = [] {
    testing::write_tiny_huggingface(folder.path(), smallest_model(), 2);
    return true;
  }();
  if (!prepared) return {};
  const Halves files = halves(bytes);
  testing::put_bytes(folder / "config.json", files.first);
  testing::put_bytes(folder / "model.safetensors.index.json", files.second);
  return refusal([&] { use_model(*ModelFile::open(folder.path())); });
}

}  // namespace sluice::fuzz
