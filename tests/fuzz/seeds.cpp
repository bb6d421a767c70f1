// See seeds.h.
#include "fuzz/seeds.h"

#include <utility>

#include "core/base/file.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {
namespace {

using testing::TinyModel;

// By name: what architectures, types and optional parts the readers tell apart.
std::vector<std::pair<std::string, TinyModel>> models() {
  std::vector<std::pair<std::string, TinyModel>> list;
  const auto add = [&](const char* name, auto change) {
    TinyModel model = smallest_model();
    change(model);
    list.emplace_back(name, model);
  };
  add("llama", [](TinyModel&) {});
  add("qwen2", [](TinyModel& model) {
    model.architecture = "qwen2";
    model.qkv_bias = model.tied = true;
    model.type = SLUICE_GGUF_BF16;
  });
  add("mistral", [](TinyModel& model) {
    model.sliding_window = 8;
    model.head_dim = 4;
    model.type = SLUICE_GGUF_F16;
  });
  return list;
}

}  // namespace

std::vector<Seed> seeds() {
  std::vector<Seed> list;
  for (const auto& [name, model] : models()) {
    const testing::ScratchFolder folder;
    testing::write_tiny_gguf(folder / "a.gguf", model);
    list.push_back({"gguf", name, read_file(folder / "a.gguf")});
    testing::write_tiny_huggingface(folder / "one", model);
    list.push_back({"safetensors", name, read_file(folder / "one/model.safetensors")});
    if (name == "llama") list.push_back({"tokenizer_model", name, read_file(folder / "one/tokenizer.model")});
    testing::write_tiny_huggingface(folder / "two", model, 2);
    list.push_back(
        {"huggingface", name,
         read_file(folder / "two/config.json") + "\n---\n" + read_file(folder / "two/model.safetensors.index.json")});
  }
  return list;
}

}  // namespace sluice::fuzz
