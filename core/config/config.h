// A pipeline as TOML describes it, typed and checked: what everything else in core/ reads. Parsing and
// messages are in parse.cpp, names and types of keys in schema.h; this file holds only the result.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/plugins/registry.h"

namespace sluice {

// Where a value stands: "configs/x.toml:12:1", or "--set codec.bits". Opens every message about it.
struct Place {
  std::string text;
  std::filesystem::path folder = {};  // relative paths in the value start here
};

using Scalar = std::variant<bool, int64_t, double, std::string>;

struct Setting {
  Scalar value;
  Place place;           // of the value
  Place key_place = {};  // of its name
};

// A module by name with the parameters the file gives it; defaults come from the module.
struct ModuleChoice {
  std::string name;
  Place place;
  std::map<std::string, Setting> params;
};

// tokens, a share of the run's tokens, or bytes per sequence
struct Budget {
  enum class Unit { kTokens, kShare, kBytes } unit = Unit::kTokens;
  double amount = 0;  // tokens; 0..1; bytes
  Place place;
};

struct CacheConfig {
  std::optional<Budget> budget;  // none: no eviction
  uint32_t interval = 16;        // steps between evictions
  bool chunked = false;          // prefill = "chunked"
  uint32_t chunk = 256;          // rows of a chunk
  bool layer_granularity = false;
  double compact = 0.75;
  bool rolling = false;  // positions = "rolling"
};

// Which policy serves a layer. An empty codec is F16, an empty evictor keeps all.
struct PolicyChoice {
  std::optional<ModuleChoice> evictor, key_codec, value_codec;
};

struct LayerRange {
  uint32_t first = 0, last = 0;  // inclusive
  Place place;
  // Set members replace the pipeline's; a choice with an empty name switches it off.
  PolicyChoice policy;
};

struct SamplerConfig {
  double temperature = 0, top_p = 1, min_p = 0;
  uint32_t top_k = 0;
  uint64_t seed = 0;
};

// What `sluice eval` reads.
struct EvalConfig {
  Place place;  // of the section; empty: there is none
  std::vector<std::string> tasks;
  std::string protocol = "lm-eval";
  std::filesystem::path data;
  uint32_t limit = 0, batch = 0, score_window = 32;
};

struct Config {
  std::string name;  // of the policy in tables: the file's stem, or a variant's name
  std::filesystem::path file;
  std::string model;  // as given
  Place model_place;
  uint32_t context = 4096;
  ModuleChoice backend{"cpu", {}, {}};
  std::vector<std::filesystem::path> plugin_path;  // absolute
  uint32_t plugin_limit = 60;                      // seconds that a verb may take; 0: any
  CacheConfig cache;
  PolicyChoice policy;
  std::vector<LayerRange> layers;
  SamplerConfig sampler;
  EvalConfig eval;
};

// Reads a file (following `extends`) and applies --set overrides. A file with a [sweep] gives one Config per
// variant, otherwise one. Throws one Error that lists every mistake, a line each. Module names and their
// parameters are checked when `registry` is given.
std::vector<Config> load_config(const std::filesystem::path& file, std::span<const std::string> overrides,
                                const Registry* registry);
// No file: defaults plus overrides (`sluice run --set model.path=...`).
Config default_config(std::span<const std::string> overrides, const Registry* registry);
// The same texts with [plugins] path only, so that a registry can be made before the full check.
std::vector<std::filesystem::path> configured_plugin_path(const std::filesystem::path& file,
                                                          std::span<const std::string> overrides);

// One value per parameter in the module's order: the choice's settings over the module's defaults. Throws
// one Error with a line per unknown name, wrong type, value out of range or missing required parameter.
// Strings in the result point into `choice`.
std::vector<sluice_value> resolve_params(const sluice_module& module, const ModuleChoice& choice);
// For Registry::read_part_params_with(): the same for parameters that come as a line of TOML, "recent = \"50%\", sinks
// = 4".
void read_part_params(const sluice_module& module, std::string_view text,
                      const std::function<void(std::span<const sluice_value>)>& use);
// Instances compare by this: equal text means equal behaviour ("gear bits=2 rank=4 ...", defaults included).
std::string describe_choice(const sluice_module& module, const ModuleChoice& choice);

// The merged file as TOML with a comment per value telling where it came from (`sluice config show`).
std::string show_config(const std::filesystem::path& file, std::span<const std::string> overrides,
                        const Registry* registry);
// The text as a TOML value, in quotes.
std::string toml_text(std::string_view text);
// Every key with type, default and meaning, as Markdown (docs/configuration.md) or JSON schema.
std::string config_reference_markdown(const Registry* registry);
std::string config_schema_json(const Registry* registry);

// A model file or folder from a name: an existing path (relative to the place's folder), or NAME, NAME.gguf in
// $SLUICE_MODELS or ~/.cache/sluice/models. Error lists what was tried.
std::filesystem::path find_model(const std::string& name, const Place& place);

}  // namespace sluice
