// GGUF: header, metadata, tensors, the model's layout and its vocabulary. See targets.h.
#include "fuzz/model_use.h"
#include "fuzz/targets.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {

std::string gguf(std::string_view bytes) {
  static const testing::ScratchFolder folder;
  const std::filesystem::path path = folder / "a.gguf";
  testing::put_bytes(path, bytes);
  return refusal([&] { use_model(*ModelFile::open(path)); });
}

}  // namespace sluice::fuzz
