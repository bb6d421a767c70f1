// See identity.h.
#include "core/eval/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/child_process.h"
#include "sluice/plugin.h"

namespace sluice {
namespace {

// The files of a model: itself, or what a folder holds of weights, settings and vocabulary.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string kind = entry.path().extension().string();
    if (entry.is_regular_file() && (kind == ".safetensors" || kind == ".json" || kind == ".model"))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What a choice of modules adds.
class Writer {
 public:
  Writer(const Registry& registry, const FileHash& hash, Identity& to) : registry_(registry), hash_(hash), to_(to) {}

  void add(const std::string& name, const std::string& value) { to_.emplace_back(name, value); }
  void file(const std::string& name, const std::filesystem::path& path) {
    if (seen_.insert(name + path.string()).second) add(name, hash_(path));
  }
  // `ignored`: parameters that change no bit.
  void module(const std::string& name, const char* interface_id, const std::optional<ModuleChoice>& choice,
              std::initializer_list<std::string_view> ignored = {}) {
    if (!choice || choice->name.empty()) return add(name, choice ? "none" : "");
    const sluice_module& module = registry_.find(interface_id, choice->name, choice->place.text);
    ModuleChoice kept = *choice;
    for (const std::string_view parameter : ignored) kept.params.erase(std::string(parameter));
    add(name, describe_choice(module, kept));
    const std::vector<sluice_value> values = resolve_params(module, kept);
    std::string texts = module.name;  // that may name parts
    for (uint32_t i = 0; i < module.param_count; i++) {
      const sluice_param& param = module.params[i];
      if (param.type == SLUICE_STRING && values[i].s) texts += std::string(" ") + values[i].s;
      if (param.type == SLUICE_PATH && values[i].s && std::filesystem::is_regular_file(values[i].s))
        file(name + "." + param.name, values[i].s);
    }
    for (const Module& m : registry_.modules())
      if (!m.library.empty() && m.module && (m.module == &module || texts.find(m.name) != texts.npos))
        file("library of " + m.name, m.library);
  }

 private:
  const Registry& registry_;
  const FileHash& hash_;
  Identity& to_;
  std::set<std::string> seen_;
};

std::string budget_text(const Budget& budget) {
  const char* unit = budget.unit == Budget::Unit::kTokens  ? "tokens"
                     : budget.unit == Budget::Unit::kShare ? ""
                                                           : "bytes";
  return fmt::format("{} {}", budget.amount, unit);
}

}  // namespace

Identity run_identity(Engine& engine, const Config& config, const EvalOptions& options, const FileHash& hash) {
  Identity identity;
  Writer writer(engine.registry(), hash, identity);
  writer.add("sluice", SLUICE_VERSION);
  writer.file("program", std::filesystem::read_symlink(kThisProgram));
  for (const auto& file : model_files(engine.file().path())) writer.file("model " + file.filename().string(), file);
  writer.module("backend", SLUICE_BACKEND, config.backend, {"threads", "memory"});
  writer.add("kernels", engine.device().kernels);
  writer.add("precision", options.exact ? "exact" : "fast");
  const CacheConfig& cache = config.cache;
  writer.add("cache", fmt::format("budget {}, interval {}, prefill {}, granularity {}, compact {}, positions {}",
                                  cache.budget ? budget_text(*cache.budget) : "none", cache.interval,
                                  cache.chunked ? fmt::format("chunked {}", cache.chunk) : "exact",
                                  cache.layer_granularity ? "layer" : "head", cache.compact,
                                  cache.rolling ? "rolling" : "absolute"));
  const auto policy = [&](const std::string& where, const PolicyChoice& choice) {
    writer.module(where + "evictor", SLUICE_EVICTOR, choice.evictor);
    writer.module(where + "codec.key", SLUICE_CODEC, choice.key_codec);
    writer.module(where + "codec.value", SLUICE_CODEC, choice.value_codec);
  };
  policy("", config.policy);
  for (const LayerRange& range : config.layers)
    policy(fmt::format("layers {}-{} ", range.first, range.last), range.policy);
  const SamplerConfig& s = options.sampler;
  writer.add("sampler", s.temperature == 0 ? "greedy"
                                           : fmt::format("temperature {}, top_p {}, min_p {}, top_k {}, seed {}",
                                                         s.temperature, s.top_p, s.min_p, s.top_k, s.seed));
  writer.add("score_window", std::to_string(options.score_window));
  return identity;
}

}  // namespace sluice
