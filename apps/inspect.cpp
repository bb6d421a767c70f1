// `sluice inspect`: what a model file holds and whether it can be run. Reading and judging it is core/model's work;
// damaged files arrive here as an Error that names file, offset and reason.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/config/config.h"
#include "core/model/model_file.h"
#include "core/model/model_tokenizer.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

struct TypeTotal {
  uint64_t tensors = 0, elements = 0, bytes = 0;
};

std::string shape_of(const Tensor& tensor) {
  return tensor.rows == 1 ? fmt::format("[{}]", tensor.cols) : fmt::format("[{}][{}]", tensor.rows, tensor.cols);
}

// By what the file calls the type.
std::map<std::string, TypeTotal> totals(const ModelFile& model) {
  std::map<std::string, TypeTotal> types;
  for (const Tensor& tensor : model.tensors()) {
    TypeTotal& total = types[tensor.stored_as];
    total.tensors += 1;
    total.elements += tensor.rows * tensor.cols;
    total.bytes += tensor.bytes;
  }
  return types;
}

TypeTotal sum(const std::map<std::string, TypeTotal>& types) {
  TypeTotal all;
  for (const auto& [name, total] : types) {
    all.tensors += total.tensors, all.elements += total.elements, all.bytes += total.bytes;
  }
  return all;
}

uint64_t kv_bytes_per_token(const Hyperparameters& hyper) {
  return uint64_t(hyper.layers) * hyper.kv_heads * hyper.head_dim * 2 * sizeof(uint16_t);
}

ordered_json to_json(const ModelFile& model, bool tensors) {
  const Hyperparameters& hyper = model.hyper();
  const auto types = totals(model);
  const TypeTotal all = sum(types);
  ordered_json out = {{"file", model.path().string()},
                      {"format", model.format()},
                      {"verdict", "ok"},
                      {"architecture", hyper.architecture},
                      {"name", hyper.name},
                      {"parameters", all.elements},
                      {"weight_bytes", all.bytes},
                      {"layers", hyper.layers},
                      {"width", hyper.width},
                      {"ffn_width", hyper.ffn_width},
                      {"heads", hyper.heads},
                      {"kv_heads", hyper.kv_heads},
                      {"head_dim", hyper.head_dim},
                      {"vocab", hyper.vocab},
                      {"context", hyper.context},
                      {"sliding_window", hyper.sliding_window},
                      {"rms_epsilon", hyper.rms_epsilon},
                      {"rope_theta", hyper.rope_theta},
                      {"rope_scaling", hyper.rope_scaling},
                      {"tied_embeddings", hyper.tied_embeddings},
                      {"qkv_bias", hyper.qkv_bias},
                      {"kv_bytes_per_token_f16", kv_bytes_per_token(hyper)}};
  for (const auto& [name, total] : types) {
    out["types"][name] = {{"tensors", total.tensors}, {"elements", total.elements}, {"bytes", total.bytes}};
  }
  ordered_json& metadata = out["metadata"] = ordered_json::array();
  for (const Metadata& entry : model.metadata()) {
    metadata.push_back({{"key", entry.key}, {"type", entry.type}, {"value", entry.value}});
  }
  if (!tensors) return out;
  ordered_json& list = out["tensors"] = ordered_json::array();
  for (const Tensor& tensor : model.tensors()) {
    list.push_back({{"name", tensor.name},
                    {"type", tensor.stored_as},
                    {"rows", tensor.rows},
                    {"cols", tensor.cols},
                    {"bytes", tensor.bytes},
                    {"offset", tensor.offset}});
  }
  return out;
}

std::string to_text(const ModelFile& model, bool tensors) {
  const Hyperparameters& hyper = model.hyper();
  const auto types = totals(model);
  const TypeTotal all = sum(types);
  std::string text = fmt::format("{}\n{}, {} ({})\n\n", model.path().string(), model.format(),
                                 printable(hyper.name.empty() ? "unnamed" : hyper.name), printable(hyper.architecture));
  const auto row = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<18} {}\n", name, value);
  };
  row("parameters", fmt::format("{:.1f} M in {} tensors", double(all.elements) / 1e6, all.tensors));
  row("weights", fmt::format("{}, {:.2f} bits each", human_bytes(all.bytes),
                             all.elements ? 8 * double(all.bytes) / double(all.elements) : 0.0));
  row("layers", fmt::format("{}", hyper.layers));
  row("width", fmt::format("{}, ffn {}", hyper.width, hyper.ffn_width));
  row("heads", fmt::format("{}, kv heads {}, head_dim {}", hyper.heads, hyper.kv_heads, hyper.head_dim));
  row("vocabulary", fmt::format("{}{}", hyper.vocab, hyper.tied_embeddings ? ", embeddings tied" : ""));
  row("trained context", fmt::format("{}", hyper.context));
  if (hyper.sliding_window) row("sliding window", fmt::format("{}", hyper.sliding_window));
  row("rope", fmt::format("theta {:g}, scaling {}", hyper.rope_theta,
                          hyper.rope_scaling.empty() ? "none" : hyper.rope_scaling));
  if (hyper.qkv_bias) row("qkv bias", "yes");
  row("KV cache in F16", fmt::format("{} per token", human_bytes(kv_bytes_per_token(hyper))));
  text += "\n";
  for (const auto& [name, total] : types) {
    text += fmt::format("  {:<8} {:>5} tensors  {:>10}\n", name, total.tensors, human_bytes(total.bytes));
  }
  text += "\nmetadata:\n";
  for (const Metadata& entry : model.metadata()) {
    text += fmt::format("  {} ({}) = {}\n", printable(entry.key), entry.type, printable(entry.value));
  }
  if (tensors) {
    text += "\ntensors:\n";
    size_t width = 0;
    for (const Tensor& tensor : model.tensors()) width = std::max(width, printable(tensor.name).size());
    for (const Tensor& tensor : model.tensors()) {
      text += fmt::format("  {:<{}}  {:<6} {:<16} {:>12} bytes at {}\n", printable(tensor.name), width,
                          tensor.stored_as, shape_of(tensor), tensor.bytes, tensor.offset);
    }
  }
  return text + "\nverdict: ok, this model can be run\n";
}

}  // namespace

int run_inspect(std::span<const std::string> args) {
  po::options_description options = output_options("md|json");
  options.add_options()("tensors", "list every tensor");
  const auto words = parse_words("inspect", args, options, {.names = {"FILE"}, .least = 1});
  if (!words) return kExitOk;
  const bool json = output_format(*words, "md|json") == "json";
  const auto model = ModelFile::open(find_model(words->positional[0], {}));
  make_tokenizer(*model);  // its tables are what may still not fit
  const bool tensors = words->has("tensors");
  const std::string text =
      json ? to_json(*model, tensors).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
           : to_text(*model, tensors);
  write_stdout(text);
  return kExitOk;
}

}  // namespace sluice
