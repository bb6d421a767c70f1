#include "apps/session.h"

#include "apps/setup.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <fstream>
#include <map>
#include <thread>

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

}  // namespace

Session open_configs(std::span<const std::string> files, std::span<const std::string> overrides, uint32_t threads) {
  const std::vector<std::filesystem::path> paths(files.begin(), files.end());
  // The pool's size stands in the configuration, whose modules only a registry with a pool can check: so the first
  // file is read twice, the first time for that number.
  const Config unchecked = paths.empty() ? default_config(overrides, nullptr) : load_config(paths.front(), overrides, nullptr).front();
  Setup setup = find_plugins(paths, overrides, threads ? threads : configured_threads(unchecked));
  Session s;
  s.configs = load_configs(paths, overrides, *setup.registry);
  s.pool = std::move(setup.pool), s.registry = std::move(setup.registry);
  const Config& first = s.configs.front();
  for (const Config& other : s.configs) {
    if (other.model != first.model)
      throw Error(fmt::format("{}: model \"{}\" differs from \"{}\" of {}: a comparison runs one model", other.name, other.model, first.model, first.name));
    if (other.backend.name != first.backend.name)
      throw Error(fmt::format("{}: backend {} differs from {} of {}", other.name, other.backend.name, first.backend.name, first.name));
  }
  return s;
}

void load_model(Session& s, uint32_t context) {
  Engine::Options options;
  options.context = context;
  std::unique_ptr<Progress> line;
  uint64_t before = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    if (!line) line = std::make_unique<Progress>(total, "loading weights");
    line->advance(done - before, human_bytes(done));
    before = done;
  };
  s.engine = std::make_unique<Engine>(*s.registry, s.configs.front(), options);
}

Session open_session(std::span<const std::string> files, std::span<const std::string> overrides, uint32_t context, uint32_t threads) {
  Session s = open_configs(files, overrides, threads);
  load_model(s, context);
  return s;
}

Config reference_config(const Config& like) {
  Config config = like;
  config.name = "full";
  config.policy = {};
  config.layers.clear();
  config.cache.budget.reset();
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

// ---- gates ---------------------------------------------------------------------------------------------------

namespace {

struct GateField {
  const char* name;
  double (*of)(const PolicyResult& row);
};
constexpr GateField kGateFields[] = {
    {"kld", [](const PolicyResult& r) { return r.kld_mean; }},
    {"kld_mean", [](const PolicyResult& r) { return r.kld_mean; }},
    {"kld_p99", [](const PolicyResult& r) { return r.kld_p99; }},
    {"kld_max", [](const PolicyResult& r) { return r.kld_max; }},
    {"nll_mean", [](const PolicyResult& r) { return r.nll_mean; }},
    {"ppl", [](const PolicyResult& r) { return r.ppl; }},
    {"same_top", [](const PolicyResult& r) { return r.same_top; }},
    {"tok_s", [](const PolicyResult& r) { return r.tok_s.value_or(kUnknown); }},
    {"bytes", [](const PolicyResult& r) { return double(r.kv.bytes); }},
    {"peak_bytes", [](const PolicyResult& r) { return double(r.kv.peak_bytes); }},
    {"ratio", [](const PolicyResult& r) { return r.kv.ratio; }},
    {"bits_per_element", [](const PolicyResult& r) { return r.kv.bits_per_element; }},
};

}  // namespace

std::vector<Gate> parse_gates(std::span<const std::string> texts) {
  std::vector<Gate> gates;
  for (const std::string& text : texts) {
    const size_t at = text.find_first_of("<>");
    Gate gate{text, text.substr(0, at), at != std::string::npos && text[at] == '>', 0};
    const char *first = text.data() + std::min(at, text.size() - 1) + 1, *last = text.data() + text.size();
    std::vector<std::string> names;
    for (const GateField& f : kGateFields) names.push_back(f.name);
    const bool number = at != std::string::npos && std::from_chars(first, last, gate.limit).ptr == last && first != last;
    if (!number) throw Error(fmt::format("--fail-if '{}': write a field, < or >, and a number, as in 'kld>0.05'", text));
    if (std::find(names.begin(), names.end(), gate.field) == names.end())
      throw Error(fmt::format("--fail-if '{}': there is no field \"{}\"{}; fields: {}", text, gate.field, did_you_mean(gate.field, names),
                              fmt::join(names, ", ")));
    gates.push_back(gate);
  }
  return gates;
}

int judge(std::span<const Gate> gates, std::span<const PolicyResult> rows) {
  int code = kExitOk;
  for (const Gate& gate : gates)
    for (const PolicyResult& row : rows) {
      if (row.reference) continue;
      double value = kUnknown;
      for (const GateField& f : kGateFields)
        if (gate.field == f.name) value = f.of(row);
      const bool failed = gate.greater ? !(value <= gate.limit) : !(value >= gate.limit);  // what is not known fails
      if (!failed) continue;
      fmt::print(stderr, "sluice: {} does not pass: {} is {:.6g} (--fail-if '{}')\n", row.policy, gate.field, value, gate.text);
      code = kExitGate;
    }
  return code;
}

}  // namespace sluice
