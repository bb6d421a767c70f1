// safetensors: the header's JSON, shapes and offsets, and the tensors' names and sizes in a model. See targets.h.
#include "fuzz/model_use.h"
#include "fuzz/seeds.h"
#include "fuzz/targets.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {

std::string safetensors(std::string_view bytes) {
  static const testing::ScratchFolder folder;
  static const bool prepared = [] {
    testing::write_tiny_huggingface(folder.path(), smallest_model());
    return true;
  }();
  if (!prepared) return {};
  testing::put_bytes(folder / "model.safetensors", bytes);
  return refusal([&] { use_model(*ModelFile::open(folder.path())); });
}

}  // namespace sluice::fuzz
