// See model_tokenizer.h.
#include "core/model/model_tokenizer.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace sluice {

std::unique_ptr<Tokenizer> make_tokenizer(const ModelFile& model) try {
  return std::make_unique<Tokenizer>(model.vocabulary());
} catch (const Error& error) {
  throw Error(fmt::format("{}: {}", model.path().string(), error.what()), error.code());
}

}  // namespace sluice
