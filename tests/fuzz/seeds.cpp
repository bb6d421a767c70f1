// See seeds.h.
#include "fuzz/seeds.h"

#include <functional>
#include <utility>

#include "core/base/file.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {
namespace {

using testing::TinyModel;

struct Named {
  const char* name;
  TinyModel model;
};

TinyModel changed(const std::function<void(TinyModel&)>& change) {
  TinyModel model = smallest_model();
  change(model);
  return model;
}

}  // namespace

std::vector<Seed> seeds() {
  std::vector<Seed> list;
  const testing::ScratchFolder folder;
  const auto add = [&](const char* target, const char* name, const char* file) {
    list.push_back({target, name, read_file(folder / file)});
  };
  const TinyModel llama = smallest_model();

  // What architectures and optional parts the reader tells apart.
  const Named ggufs[] = {{"llama", llama},
                         {"qwen2", changed([](TinyModel& model) {
                            model.architecture = "qwen2";
                            model.qkv_bias = model.tied = true;
                            model.type = SLUICE_GGUF_BF16;
                          })},
                         {"mistral", changed([](TinyModel& model) {
                            model.sliding_window = 8;
                            model.head_dim = 4;
                            model.type = SLUICE_GGUF_F16;
                          })}};
  for (const Named& gguf : ggufs) {
    testing::write_tiny_gguf(folder / "a.gguf", gguf.model);
    add("gguf", gguf.name, "a.gguf");
  }
  // These two are read beside files of the llama above: shapes and names are its own.
  for (const auto& [name, type] :
       {std::pair("f32", SLUICE_GGUF_F32), std::pair("f16", SLUICE_GGUF_F16), std::pair("bf16", SLUICE_GGUF_BF16)}) {
    testing::write_tiny_huggingface(folder.path(), changed([type = type](TinyModel& m) { m.type = uint32_t(type); }));
    add("safetensors", name, "model.safetensors");
  }
  add("tokenizer_model", "llama", "tokenizer.model");
  const Named configs[] = {{"llama", llama},
                           {"qwen2", changed([](TinyModel& model) { model.architecture = "qwen2"; })},
                           {"mistral", changed([](TinyModel& model) { model.sliding_window = 8; })}};
  for (const Named& config : configs) {
    testing::write_tiny_huggingface(folder.path(), config.model, 2);
    list.push_back(
        {"huggingface", config.name,
         read_file(folder / "config.json") + "\n---\n" + read_file(folder / "model.safetensors.index.json")});
  }
  return list;
}

}  // namespace sluice::fuzz
