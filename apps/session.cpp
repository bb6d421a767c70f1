// See session.h.
#include "apps/session.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <map>
#include <thread>
#include <variant>

#include "apps/interrupt.h"
#include "apps/setup.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/run/kv_report.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

uint32_t configured_threads(const Config& config) {
  const auto at = config.backend.params.find("threads");
  const int64_t* value = at == config.backend.params.end() ? nullptr : std::get_if<int64_t>(&at->second.value);
  return value && *value > 0 ? uint32_t(*value) : 0;
}

// How long a verb may take: the longest that one of the configurations allows, 0 for ever.
double verb_seconds(std::span<const Config> configs) {
  double seconds = 0;
  for (const Config& config : configs) {
    if (config.plugin_limit == 0) return 0;
    seconds = std::max(seconds, double(config.plugin_limit));
  }
  return seconds;
}

// Where a configuration says something, or the file that does not say it.
std::string where(const Config& config, const Place& place) {
  if (!place.text.empty()) return place.text;
  return config.file.empty() ? config.name : config.file.string();
}

struct Saying {
  const Config& config;
  Place place;
  std::string value;
};

[[noreturn]] void fail_difference(const char* key, const Saying& other, const Saying& first) {
  throw Error(fmt::format("{}: {} is {}, but {} at {}: the configurations of one run share model and backend",
                          where(other.config, other.place), key, other.value, first.value,
                          where(first.config, first.place)));
}

void check_same_model(const Config& first, const Config& other) {
  // Equal words may mean different files, and different words one file.
  const auto file = [](const Config& c) {
    return std::filesystem::weakly_canonical(find_model(c.model, c.model_place));
  };
  const auto saying = [](const Config& c) { return Saying{c, c.model_place, '"' + printable(c.model) + '"'}; };
  if (other.model == first.model && other.model_place.folder == first.model_place.folder) return;
  if (file(other) != file(first)) fail_difference("model.path", saying(other), saying(first));
}

Saying backend_parameter(const Config& config, const char* name) {
  const auto at = config.backend.params.find(name);
  if (at == config.backend.params.end()) return {config, config.backend.place, "left at its default"};
  const auto text = [](const auto& value) { return fmt::format("{}", value); };
  return {config, at->second.place, std::visit(text, at->second.value)};
}

void check_same_backend(const Config& first, const Config& other, const Registry& registry) {
  const ModuleChoice &a = first.backend, &b = other.backend;
  if (a.name != b.name) fail_difference("backend.name", {other, b.place, b.name}, {first, a.place, a.name});
  const sluice_module& module = registry.find(SLUICE_BACKEND, a.name, a.place.text);
  const std::string description = describe_choice(module, b);
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    // It differs if the first configuration's value changes what the backend is told.
    ModuleChoice changed = b;
    changed.params.erase(param.name);
    if (const auto given = a.params.find(param.name); given != a.params.end()) changed.params.insert(*given);
    if (describe_choice(module, changed) != description)
      fail_difference(fmt::format("backend.{}", param.name).c_str(), backend_parameter(other, param.name),
                      backend_parameter(first, param.name));
  }
}

}  // namespace

Session open_configs(std::span<const std::string> files, std::span<const std::string> overrides) {
  const std::vector<std::filesystem::path> paths(files.begin(), files.end());
  // The pool's size stands in the configuration, whose modules only a registry with a pool can check: a pool of one
  // thread does for that, and no other is started before the number is known to be one that the backend takes.
  const Setup checking = find_plugins(paths, overrides, 1);
  Session s;
  s.configs = load_configs(paths, overrides, *checking.registry);
  // Rows are told apart by their names.
  std::map<std::string, uint32_t> times;
  for (Config& config : s.configs)
    if (const uint32_t n = ++times[config.name]; n > 1) config.name += fmt::format("#{}", n);
  Setup setup = find_plugins(paths, overrides, configured_threads(s.configs.front()));
  s.hang_guard = std::make_unique<HangGuard>(verb_seconds(s.configs), *setup.registry);
  s.pool = std::move(setup.pool), s.registry = std::move(setup.registry);
  for (const Config& other : s.configs) {
    check_same_model(s.configs.front(), other);
    check_same_backend(s.configs.front(), other, *s.registry);
  }
  return s;
}

bool wants_exact(const Words& words, const Config& config) {
  if (words.has("precision")) return words.choice("precision", "", "exact|fast") == "exact";
  const auto at = config.backend.params.find("precision");
  const auto* value = at == config.backend.params.end() ? nullptr : std::get_if<std::string>(&at->second.value);
  return value && *value == "exact";
}

void load_model(Session& s, uint32_t context, bool prompt_line) {
  Engine::Options options;
  options.context = context;
  std::unique_ptr<Progress> line;
  uint64_t before = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    if (!line) line = std::make_unique<Progress>(total, "loading weights");
    line->advance(done - before, human_bytes(done));
    before = done;
  };
  options.stop = &interrupt_flag();
  if (prompt_line)
    options.prompt_progress = [line = std::shared_ptr<Progress>()](uint64_t done, uint64_t total) mutable {
      if (!line) line = std::make_shared<Progress>(total, "prompt");
      line->advance(done - line->done());
      if (done == total) line.reset();
    };
  s.engine = std::make_unique<Engine>(*s.registry, s.configs.front(), options);
}

Session open_session(std::span<const std::string> files, std::span<const std::string> overrides, uint32_t context) {
  Session s = open_configs(files, overrides);
  load_model(s, context);
  return s;
}

Config reference_config(const Config& like) {
  Config config = like;
  config.name = "full";
  config.policy = {};
  config.layers.clear();
  config.cache.budget.reset(), config.cache.rolling = false;
  return config;
}

std::string weight_types(const ModelFile& file) {
  std::map<std::string, uint64_t> bytes;
  for (const Tensor& t : file.tensors()) bytes[t.stored_as] += t.bytes;
  std::vector<std::pair<uint64_t, std::string>> sorted;
  for (const auto& [type, n] : bytes) sorted.push_back({n, type});
  std::sort(sorted.rbegin(), sorted.rend());
  std::string text = sorted.empty() ? "" : sorted[0].second;
  for (size_t i = 1; i < sorted.size(); i++) text += (i == 1 ? " (and " : ", ") + sorted[i].second;
  return sorted.size() > 1 ? text + ")" : text;
}

uint64_t parameter_count(const ModelFile& file) {
  uint64_t n = 0;
  for (const Tensor& t : file.tensors()) n += t.rows * t.cols;
  return n;
}

std::string machine_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line, name = "unknown CPU";
  while (std::getline(info, line))
    if (line.starts_with("model name") || line.starts_with("Model")) {
      name = line.substr(line.find(':') + 1);
      name.erase(0, name.find_first_not_of(' '));
      break;
    }
  return fmt::format("{}, {} cores", name, std::thread::hardware_concurrency());
}

std::string date_text() { return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::time(nullptr))); }

MemoryUse memory_use(const Engine& engine) {
  return {engine.weight_bytes(), engine.activation_bytes(), engine.workspace_bytes(), peak_rss_bytes()};
}

}  // namespace sluice
