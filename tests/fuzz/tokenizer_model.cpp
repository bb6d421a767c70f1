// tokenizer.model: SentencePiece's protocol buffer, and the tokenizer that is made of it. See targets.h.
#include "core/tokenizer/readers.h"
#include "fuzz/model_use.h"
#include "fuzz/targets.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {

std::string tokenizer_model(std::string_view bytes) {
  static const testing::ScratchFolder folder;
  const std::filesystem::path path = folder / "tokenizer.model";
  testing::put_bytes(path, bytes);
  return refusal([&] { use_vocabulary(read_sentencepiece(path)); });
}

}  // namespace sluice::fuzz
