// See pipeline_setup.h.
#include "core/check/pipeline_setup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/base/error.h"
#include "core/convert/random_weights.h"
#include "core/convert/synth.h"
#include "core/model/rope_scaling.h"
#include "core/run/policy_builder.h"
#include "sluice/gguf_types.h"

namespace sluice::check {

namespace {

Hyperparameters tiny_shape(uint32_t head_dim) {
  Hyperparameters hyper;
  hyper.architecture = "llama", hyper.name = "tiny";
  hyper.layers = 2, hyper.heads = 4, hyper.kv_heads = 2, hyper.head_dim = head_dim;
  hyper.width = hyper.heads * head_dim, hyper.ffn_width = 192, hyper.vocab = 320, hyper.context = 512;
  hyper.rope_frequency = rope_frequencies(hyper.rope_theta, head_dim, {});
  hyper.rope_scaling = "none";
  return hyper;
}

const Module* find_backend(const Registry& registry) {
  for (const Module& module : registry.modules())
    if (module.module && module.interface_id == SLUICE_BACKEND) return &module;
  return nullptr;
}

std::optional<std::vector<sluice_value>> defaults(const sluice_module& module) {
  std::vector<sluice_value> values;
  for (const sluice_param& param : std::span(module.params, module.param_count)) {
    if (param.required) return std::nullopt;
    values.push_back(param.initial);
  }
  return values;
}

struct TemporaryFile {
  std::filesystem::path path;
  TemporaryFile() {
    static std::atomic<uint32_t> made{0};
    path = std::filesystem::temp_directory_path() / fmt::format("sluice_check_{}_{}.gguf", getpid(), made.fetch_add(1));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

}  // namespace

Pipeline::Pipeline(const Subject& subject)
    : subject_(subject), evictor_(std::string_view(subject.module->interface_id) == SLUICE_EVICTOR) {
  uint64_t state = subject.seed;
  for (uint32_t t = 0; t < kTokens; t++) tokens_.push_back(int32_t(state = mix_seed(state, t) % 320));
  if (!find_backend(*subject.registry)) skip("no backend is at hand to run a model on");
  std::string refusal;
  for (const uint32_t head_dim : {64u, 128u, 32u, 96u, 80u, 256u}) {
    try {
      const sluice_geometry geometry{2, 4, 2, head_dim, kTokens};
      subject.registry->create_policy(*subject.module, geometry, subject.values);
    } catch (const Error& error) {
      refusal = error.what();
      continue;
    }
    make_engine(head_dim);
    return;
  }
  skip("create() refuses every head size: " + refusal);
}

void Pipeline::make_engine(uint32_t head_dim) {
  const TemporaryFile model;  // mapped while the engine lives, and gone from its folder once that has it
  SynthOptions synth;
  synth.hyper = tiny_shape(head_dim), synth.type = SLUICE_GGUF_F32, synth.seed = subject_.seed, synth.force = true;
  synthesize_gguf(model.path, synth, subject_.registry->pool());
  Config config;
  config.model = model.path.string();
  config.backend.name = find_backend(*subject_.registry)->name;
  Engine::Options options;
  options.context = kTokens;
  engine_ = std::make_unique<Engine>(*subject_.registry, config, options);
}

std::vector<Choice> Pipeline::others(std::string_view interface_id) const {
  std::vector<Choice> found;
  for (const Module& module : subject_.registry->modules()) {
    if (!module.module || module.module == subject_.module || module.interface_id != interface_id) continue;
    if (const auto values = defaults(*module.module)) found.push_back({module.module, *values});
  }
  return found;
}

Instance Pipeline::create(const Choice& choice) const {
  return subject_.registry->create_policy(*choice.module, engine_->geometry(), choice.values);
}

const Policy& Pipeline::policy(const Choice& evictor, const Choice& key, const Choice& value, uint32_t interval) {
  auto policy = std::make_unique<Policy>();
  policy->name = "check", policy->geometry = engine_->geometry(), policy->interval = interval;
  policy->instances.reserve(3);
  LayerPolicy layer;
  const auto place = [&](const Choice& choice) -> const Instance* {
    if (!choice.module) return nullptr;
    policy->instances.push_back(create(choice));
    return &policy->instances.back();
  };
  if (const Instance* placed = place(evictor)) set_evictor(layer, *placed);
  layer.codec[SLUICE_KEY] = place(key);
  layer.codec[SLUICE_VALUE] = key.module && key.module == value.module ? layer.codec[SLUICE_KEY] : place(value);
  for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
    if (const Instance* codec = layer.codec[side]) {
      codec->table<sluice_codec>().plan(codec->self(), side, &layer.plan[side]);
      check_plan(*codec, layer.plan[side]);
    }
  if (layer.evictor)
    for (const sluice_signal& signal : layer.signal) check_signal(*layer.evictor, signal);
  policy->layers.assign(policy->geometry.layers, layer);
  policies_.push_back(std::move(policy));
  return *policies_.back();
}

const Policy& Pipeline::own() { return evictor_ ? policy(subject(), {}, {}) : policy({}, subject(), subject()); }

std::unique_ptr<SequenceCache> Pipeline::cache(const Policy& policy) {
  if (!policy.layers[0].evictor) return cache(policy, 0);
  // Small ones evict most; under a codec some rows must live long enough to be coded before they leave.
  std::vector<uint32_t> budgets = {40, 72, 100, 140, 200};
  if (policy.layers[0].coded()) std::reverse(budgets.begin(), budgets.end());
  std::string refusal;
  for (const uint32_t budget : budgets) try {
      return cache(policy, budget);
    } catch (const Error& error) {
      refusal = error.what();
    }
  skip("the evictor refuses every budget tried: " + refusal);
}

TokenLogits Pipeline::decode(SequenceCache& cache, uint32_t first, uint32_t last) {
  TokenLogits logits;
  for (uint32_t t = first; t < last; t++) {
    const Feed feed{&cache, tokens().subspan(t, 1), Want::kLast};
    engine_->step({&feed, 1}, true, [&](std::span<const LogitRow> rows) {
      logits.emplace_back(rows[0].logits.begin(), rows[0].logits.end());
    });
  }
  return logits;
}

TokenLogits Pipeline::prompt(SequenceCache& cache, uint32_t first, uint32_t last) {
  TokenLogits logits;
  engine_->prompt({&cache, tokens().subspan(first, last - first), Want::kAll}, nullptr, true,
                  [&](std::span<const LogitRow> rows) {
                    for (const LogitRow& row : rows) logits.emplace_back(row.logits.begin(), row.logits.end());
                  });
  return logits;
}

bool same_bits(const TokenLogits& a, const TokenLogits& b) {
  if (a.size() != b.size()) return false;
  for (size_t t = 0; t < a.size(); t++)
    if (a[t].size() != b[t].size() || std::memcmp(a[t].data(), b[t].data(), a[t].size() * sizeof(float)) != 0)
      return false;
  return true;
}

std::string ledger_fault(const SequenceCache& cache) {
  const uint64_t counted = cache.ledger().total() - cache.policy().plugin_bytes(), live = cache.owner().live;
  return counted == live ? std::string() : fmt::format("its kinds add up to {} bytes, {} are live", counted, live);
}

}  // namespace sluice::check
