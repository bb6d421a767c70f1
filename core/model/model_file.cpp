// Opens whichever kind of model a path leads to, and looks up its tensors.
#include "core/model/model_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/model/gguf_model.h"
#include "core/model/huggingface.h"

namespace sluice {

namespace {

std::unique_ptr<ModelFile> open_kind(const std::filesystem::path& path) {
  std::error_code failed;
  if (std::filesystem::is_directory(path, failed)) return std::make_unique<HuggingFaceModel>(path);
  if (path.extension() == ".safetensors")
    throw Error(fmt::format("{}: weights alone are no model: name the folder that holds config.json", path.string()));
  return std::make_unique<GgufModel>(path);
}

}  // namespace

// Checks of a vocabulary, say, do not know where it came from.
std::unique_ptr<ModelFile> ModelFile::open(const std::filesystem::path& path) try {
  return open_kind(path);
} catch (const Error& error) {
  const std::string message = error.what();
  if (message.find(path.string()) != message.npos) throw;
  throw Error(fmt::format("{}: {}", path.string(), message), error.code());
}

const Tensor* ModelFile::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

const Tensor& ModelFile::tensor(std::string_view name) const {
  const Tensor* const tensor = find(name);
  if (!tensor) throw Error(fmt::format("{}: tensor \"{}\": is missing", path_.string(), printable(name)));
  return *tensor;
}

}  // namespace sluice
