// tokenizer.json and the tokenizer_config.json beside it, and the tokenizer that is made of them. See targets.h.
#include "core/tokenizer/readers.h"
#include "fuzz/model_use.h"
#include "fuzz/targets.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {

std::string tokenizer_json(std::string_view bytes) {
  static const testing::ScratchFolder folder;
  const Halves files = halves(bytes);
  const std::filesystem::path config = folder / "tokenizer_config.json";
  testing::put_bytes(folder / "tokenizer.json", files.first);
  if (files.second.empty())
    std::filesystem::remove(config);
  else
    testing::put_bytes(config, files.second);
  return refusal([&] { use_vocabulary(read_tokenizer_json(folder.path())); });
}

}  // namespace sluice::fuzz
