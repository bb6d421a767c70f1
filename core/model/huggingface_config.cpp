// See huggingface_config.h. Absent keys have the defaults of Hugging Face's own configuration classes.
#include "core/model/huggingface_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/base/json_file.h"
#include "core/base/text.h"
#include "core/model/tensor_layout.h"

namespace sluice {
namespace {

using nlohmann::json;

struct Family {
  std::string_view name;          // as in "architectures"
  std::string_view architecture;  // as in Hyperparameters
  uint32_t sliding_window;        // where the key is absent
};

constexpr std::array<Family, 3> kFamilies = {
    {{"LlamaForCausalLM", "llama", 0}, {"MistralForCausalLM", "llama", 4096}, {"Qwen2ForCausalLM", "qwen2", 4096}}};

// An object of the file; null counts as absent.
class Object {
 public:
  Object(std::string path, const json& value, std::string prefix = "")
      : path_(std::move(path)), value_(value), prefix_(std::move(prefix)) {}

  [[noreturn]] void fail(std::string_view key, std::string_view message) const {
    throw Error(fmt::format("{}: \"{}{}\": {}", path_, prefix_, key, message));
  }
  const json* find(std::string_view key) const {
    const auto found = value_.find(std::string(key));
    return found == value_.end() || found->is_null() ? nullptr : &*found;
  }
  bool holds_null(std::string_view key) const {
    const auto found = value_.find(std::string(key));
    return found != value_.end() && found->is_null();
  }
  std::optional<uint32_t> integer(std::string_view key) const {
    const json* const value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_number_unsigned() || value->get<uint64_t>() > std::numeric_limits<uint32_t>::max())
      fail(key, fmt::format("is {}, expected an integer from 0 to 4294967295", shown(*value)));
    return value->get<uint32_t>();
  }
  std::optional<double> number(std::string_view key) const {
    const json* const value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>()))
      fail(key, fmt::format("is {}, expected a number", shown(*value)));
    return value->get<double>();
  }
  bool boolean(std::string_view key, bool otherwise) const {
    const json* const value = find(key);
    if (!value) return otherwise;
    if (!value->is_boolean()) fail(key, fmt::format("is {}, expected true or false", shown(*value)));
    return value->get<bool>();
  }
  std::optional<std::string> text(std::string_view key) const {
    const json* const value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_string()) fail(key, fmt::format("is {}, expected a string", shown(*value)));
    return value->get<std::string>();
  }
  std::optional<Object> object(std::string_view key) const {
    const json* const value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_object()) fail(key, fmt::format("is {}, expected an object", shown(*value)));
    return Object(path_, *value, fmt::format("{}{}.", prefix_, key));
  }
  template <class T>
  T need(std::optional<T> value, std::string_view key) const {
    if (!value) fail(key, "is missing");
    return *value;
  }
  static std::string shown(const json& value) { return printable(value.dump(), 60); }

 private:
  std::string path_;
  const json& value_;
  std::string prefix_;
};

const Family& read_family(const Object& config) {
  const json* const names = config.find("architectures");
  if (!names || !names->is_array() || names->size() != 1 || !names->front().is_string())
    config.fail("architectures",
                fmt::format("is {}, expected a list of one name", names ? Object::shown(*names) : "missing"));
  const std::string name = names->front().get<std::string>();
  std::vector<std::string_view> known;
  for (const Family& family : kFamilies) {
    if (family.name == name) return family;
    known.push_back(family.name);
  }
  config.fail("architectures", fmt::format("\"{}\" is not supported; supported: {}{}", printable(name), join(known),
                                           did_you_mean(name, known)));
}

void refuse_other_models(const Object& config) {
  if (const auto quantization = config.object("quantization_config"))
    config.fail("quantization_config",
                fmt::format("the weights are quantized ({}), which is supported in GGUF files only",
                            printable(quantization->text("quant_method").value_or("unknown method"))));
  if (const std::string act = config.text("hidden_act").value_or("silu"); act != "silu")
    config.fail("hidden_act", fmt::format("is \"{}\", expected \"silu\"", printable(act)));
  if (config.boolean("mlp_bias", false))
    config.fail("mlp_bias", "is true: biases of the feed-forward layers are not supported");
  if (config.number("partial_rotary_factor").value_or(1) != 1)
    config.fail("partial_rotary_factor", "heads that RoPE turns in part are not supported");
}

double positive(const Object& object, std::string_view key) {
  const double value = object.need(object.number(key), key);
  if (!(value > 0)) object.fail(key, fmt::format("is {}, expected a positive number", value));
  return value;
}

RopeScaling read_rope_scaling(const Object& rope) {
  RopeScaling scaling;
  const std::string_view type_key = rope.find("rope_type") ? "rope_type" : "type";
  const std::string type = rope.text(type_key).value_or("default");
  if (type == "default") return scaling;
  if (type == "linear") {
    scaling.factor = positive(rope, "factor");
    if (scaling.factor != 1) scaling.kind = RopeScaling::Kind::kLinear;
    return scaling;
  }
  if (type != "llama3")
    rope.fail(type_key,
              fmt::format("is \"{}\", which is not supported; supported: default, linear, llama3", printable(type)));
  scaling.kind = RopeScaling::Kind::kLlama3;
  scaling.factor = positive(rope, "factor");
  scaling.low_frequency_factor = positive(rope, "low_freq_factor");
  scaling.high_frequency_factor = positive(rope, "high_freq_factor");
  scaling.original_context = positive(rope, "original_max_position_embeddings");
  if (scaling.high_frequency_factor <= scaling.low_frequency_factor)
    rope.fail("high_freq_factor", fmt::format("is {}, expected more than low_freq_factor, which is {}",
                                              scaling.high_frequency_factor, scaling.low_frequency_factor));
  return scaling;
}

Hyperparameters read_hyperparameters(const Object& config, const Family& family) {
  Hyperparameters hyper;
  const auto need = [&](std::string_view key) { return config.need(config.integer(key), key); };
  hyper.architecture = family.architecture;
  hyper.name = config.text("_name_or_path").value_or("");
  hyper.layers = need("num_hidden_layers");
  hyper.width = need("hidden_size");
  hyper.ffn_width = need("intermediate_size");
  hyper.heads = need("num_attention_heads");
  hyper.kv_heads = config.integer("num_key_value_heads").value_or(hyper.heads);
  hyper.vocab = need("vocab_size");
  hyper.context = need("max_position_embeddings");
  hyper.rms_epsilon = float(config.number("rms_norm_eps").value_or(1e-6));
  const std::optional<uint32_t> head_dim = config.integer("head_dim");
  if (!head_dim && hyper.heads > 0 && hyper.width % hyper.heads != 0)
    config.fail("num_attention_heads",
                fmt::format("is {}, which does not divide hidden_size {}", hyper.heads, hyper.width));
  hyper.head_dim = head_dim ? *head_dim : hyper.heads > 0 ? hyper.width / hyper.heads : 0;

  const bool null_window = config.holds_null("sliding_window");
  hyper.sliding_window = null_window ? 0 : config.integer("sliding_window").value_or(family.sliding_window);
  if (family.architecture == "qwen2" && !config.boolean("use_sliding_window", false)) hyper.sliding_window = 0;
  if (family.name == "LlamaForCausalLM") hyper.sliding_window = 0;
  return hyper;
}

}  // namespace

HuggingFaceConfig read_huggingface_config(const std::filesystem::path& file) {
  const json root = read_json_file(file, uint64_t(1) << 20, 16);
  const std::string where = file.string();
  if (!root.is_object()) throw Error(fmt::format("{}: holds no object", where));
  const Object config(where, root);
  const Family& family = read_family(config);
  refuse_other_models(config);

  HuggingFaceConfig result;
  result.hyper = read_hyperparameters(config, family);
  // Newer files keep all of RoPE in rope_parameters.
  const std::optional<Object> parameters = config.object("rope_parameters");
  const std::optional<Object> scaling = parameters ? parameters : config.object("rope_scaling");
  if (scaling) result.scaling = read_rope_scaling(*scaling);
  const std::optional<double> inner = parameters ? parameters->number("rope_theta") : std::nullopt;
  result.hyper.rope_theta = float(inner ? *inner : config.number("rope_theta").value_or(10000));
  result.hyper.rope_scaling = describe(result.scaling);
  result.tied = config.boolean("tie_word_embeddings", false);
  check_hyperparameters(where, result.hyper);
  for (const auto& [key, value] : root.items())
    result.metadata.push_back({printable(key, 120), value.type_name(), printable(value.dump(), 120)});
  return result;
}

}  // namespace sluice
