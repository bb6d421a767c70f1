// See policy_builder.h: choices per layer, instances shared by equal ones, budgets in tokens.
#include "core/run/policy_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/base/error.h"

namespace sluice {
namespace {

// The pipeline's choices with those of the [[layers]] range that covers the layer: one at most does.
PolicyChoice choice_at(const Config& config, uint32_t layer) {
  PolicyChoice choice = config.policy;
  for (const LayerRange& range : config.layers) {
    if (layer < range.first || layer > range.last) continue;
    if (range.policy.evictor) choice.evictor = range.policy.evictor;
    if (range.policy.key_codec) choice.key_codec = range.policy.key_codec;
    if (range.policy.value_codec) choice.value_codec = range.policy.value_codec;
  }
  auto off = [](std::optional<ModuleChoice>& c) {
    if (c && c->name.empty()) c.reset();
  };
  off(choice.evictor), off(choice.key_codec), off(choice.value_codec);
  return choice;
}

}  // namespace

void check_plan(const Instance& codec, const sluice_codec_plan& plan) {
  if (plan.block_rows == 0 || plan.max_rows < plan.block_rows || std::max(plan.residual, plan.max_rows) > kMostPlanRows)
    throw Error(
        fmt::format("codec {}, plan: {} rows a block, {} more that stay dense and at most {} rows in a block cannot be "
                    "followed; blocks hold 1 to {} rows, and no more stay dense",
                    codec.module().name, plan.block_rows, plan.residual, plan.max_rows, kMostPlanRows),
        kExitFailed);
}

void check_signal(const Instance& evictor, const sluice_signal& signal) {
  if (signal.kind > SLUICE_PEAK || signal.skip_self > 1 || std::max(signal.skip_first, signal.window) > kMostPlanRows)
    throw Error(
        fmt::format(
            "evictor {}, signal: kind {}, skip_first {}, skip_self {} and window {} ask for nothing that attention "
            "gathers; kinds are 0 to {}, skip_self is 0 or 1, the others at most {}",
            evictor.module().name, signal.kind, signal.skip_first, signal.skip_self, signal.window,
            uint32_t(SLUICE_PEAK), kMostPlanRows),
        kExitFailed);
}

namespace {

// Positions that roll turn K anew in every step, which not everything can follow.
void check_rolling(const Policy& policy) {
  const auto refuse = [&](const std::string& why) {
    throw Error(fmt::format("policy {}: [cache] positions = \"rolling\" {}", policy.name, why));
  };
  bool evicts = false;
  for (const LayerPolicy& layer : policy.layers) {
    evicts |= layer.evictor != nullptr;
    if (const Instance* codec = layer.codec[SLUICE_KEY])
      refuse(fmt::format(
          "turns K by another angle whenever tokens leave, so its rows stay in F16, and codec {} would code "
          "them; leave K without a codec ([codec.key] name = \"none\"), V may have one",
          codec->module().name));
    if (layer.rows || layer.window)
      refuse(
          fmt::format("turns K by another angle whenever tokens leave, and evictor {} reads rows of K; use absolute "
                      "positions or an evictor that does not",
                      layer.evictor->module().name));
    if (layer.ragged())
      refuse(
          fmt::format("counts the same tokens in all heads of a layer, and evictor {} gives them budgets of their own; "
                      "use absolute positions or an evictor that does not",
                      layer.evictor->module().name));
  }
  if (!evicts)
    refuse(
        "counts the tokens that are kept, and without an evictor all are; set [evictor] name or leave positions out");
}

}  // namespace

std::unique_ptr<Policy> build_policy(Registry& registry, const Config& config, const sluice_geometry& geometry,
                                     bool simulate) {
  auto policy = std::make_unique<Policy>();
  policy->name = config.name, policy->geometry = geometry;
  policy->interval = config.cache.interval, policy->chunk = config.cache.chunked ? config.cache.chunk : 0;
  policy->layer_granularity = config.cache.layer_granularity, policy->compact = config.cache.compact;
  policy->rolling = config.cache.rolling;
  for (const LayerRange& range : config.layers)
    if (range.last >= geometry.layers)
      throw Error(fmt::format("{}: range {}-{} goes beyond the model's {} layers (0-{})", range.place.text, range.first,
                              range.last, geometry.layers, geometry.layers - 1));

  // Equal choices share an instance: first which there are, then pointers into the finished list.
  std::map<std::string, size_t> known;
  auto instance = [&](const char* interface_id, const std::optional<ModuleChoice>& choice) -> size_t {
    if (!choice) return SIZE_MAX;
    const sluice_module& module = registry.find(interface_id, choice->name, choice->place.text);
    const auto [at, added] =
        known.try_emplace(interface_id + describe_choice(module, *choice), policy->instances.size());
    if (added) try {
        policy->instances.push_back(registry.create_policy(module, geometry, resolve_params(module, *choice)));
      } catch (const Error& error) {
        throw Error(fmt::format("{}: policy {}: {}", choice->place.text, config.name, error.what()), error.code());
      }
    return at->second;
  };
  std::vector<std::array<size_t, 3>> picks;
  for (uint32_t l = 0; l < geometry.layers; l++) {
    const PolicyChoice choice = choice_at(config, l);
    picks.push_back({instance(SLUICE_EVICTOR, choice.evictor), instance(SLUICE_CODEC, choice.key_codec),
                     instance(SLUICE_CODEC, choice.value_codec)});
  }
  for (const auto& [evictor, key, value] : picks) {
    LayerPolicy layer;
    auto at = [&](size_t i) { return i == SIZE_MAX ? nullptr : &policy->instances[i]; };
    layer.evictor = at(evictor), layer.codec[SLUICE_KEY] = at(key), layer.codec[SLUICE_VALUE] = at(value);
    for (uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      if (!layer.codec[side]) continue;
      const auto& codec = layer.codec[side]->table<sluice_codec>();
      layer.codec[side]->call("plan", codec.plan, side, &layer.plan[side]);
      check_plan(*layer.codec[side], layer.plan[side]);
      if (layer.evictor && !codec.retain)
        throw Error(fmt::format(
            "policy {}: codec {} cannot drop single rows (it has no retain), so evictor {} cannot be stacked on "
            "it; use another codec or no evictor",
            config.name, layer.codec[side]->module().name, layer.evictor->module().name));
    }
    if (layer.evictor) {
      set_evictor(layer, *layer.evictor);
      for (const sluice_signal& signal : layer.signal) check_signal(*layer.evictor, signal);
    }
    policy->layers.push_back(layer);
  }
  if (policy->rolling) check_rolling(*policy);
  if (simulate)
    for (LayerPolicy& layer : policy->layers)
      for (uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) std::swap(layer.codec[side], layer.simulated[side]);
  return policy;
}

uint32_t budget_tokens(const Config& config, const Policy& policy, uint32_t run_tokens) {
  const bool evicts =
      std::any_of(policy.layers.begin(), policy.layers.end(), [](const LayerPolicy& l) { return l.evictor; });
  if (!evicts) return 0;
  if (!config.cache.budget) {
    throw Error(fmt::format(
        "policy {}: an evictor needs a budget: set [cache] budget to tokens (512), a share (\"20%\") or bytes "
        "(\"64MiB\")",
        config.name));
  }
  const Budget& budget = *config.cache.budget;
  double tokens = budget.amount;
  if (budget.unit == Budget::Unit::kShare) tokens = budget.amount * run_tokens;
  if (budget.unit == Budget::Unit::kBytes) {
    double row = 0;  // bytes of a token over all lanes
    for (uint32_t l = 0; l < policy.geometry.layers; l++)
      for (uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
        const Instance* codec = policy.layers[l].codec[side];
        const uint32_t rows = policy.layers[l].plan[side].block_rows;
        row +=
            policy.geometry.kv_heads *
            (codec
                 ? double(sane_bytes(*codec, "bound", codec->call("bound", policy.codec(l, side).bound, side, rows))) /
                       rows
                 : 2.0 * policy.geometry.head_dim);
      }
    tokens = budget.amount / row;
  }
  // A share such as 0.29 times 100 may fall just short of the whole number that it means.
  const uint32_t whole = uint32_t(std::min(tokens + 1e-6, 4e9));
  if (whole == 0)
    throw Error(fmt::format("{}: a budget of {} is less than one token in a run of {}", budget.place.text,
                            budget.unit == Budget::Unit::kShare   ? fmt::format("{:g}%", budget.amount * 100)
                            : budget.unit == Budget::Unit::kBytes ? fmt::format("{:g} bytes", budget.amount)
                                                                  : fmt::format("{:g} tokens", budget.amount),
                            run_tokens));
  return whole;
}

std::string describe_policy(const Config& config, const Policy& policy, uint32_t budget) {
  const PolicyChoice& choice = config.policy;
  std::string text;
  auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  auto module = [&](const std::optional<ModuleChoice>& c, const char* interface_id) {
    for (const Instance& i : policy.instances)
      if (c && i.module().interface_id == std::string_view(interface_id) && c->name == i.module().name)
        return describe_choice(i.module(), *c);
    return std::string();
  };
  const std::string key = module(choice.key_codec, SLUICE_CODEC), value = module(choice.value_codec, SLUICE_CODEC);
  if (key.empty() && value.empty())
    add("F16 rows");
  else if (key == value)
    add(key);
  else
    add("K " + (key.empty() ? "F16" : key)), add("V " + (value.empty() ? "F16" : value));
  if (const std::string evictor = module(choice.evictor, SLUICE_EVICTOR); !evictor.empty()) add(evictor);
  if (!config.layers.empty()) add(fmt::format("{} layer ranges of their own", config.layers.size()));
  if (budget) {
    const bool share = config.cache.budget && config.cache.budget->unit == Budget::Unit::kShare;
    add(share ? fmt::format("budget {:g}% = {} tokens", config.cache.budget->amount * 100, budget)
              : fmt::format("budget {} tokens", budget));
    add(fmt::format("interval {}", policy.interval));
  }
  if (policy.rolling) add("rolling positions");
  if (policy.simulated()) add("codec simulated: rows stay F16, so bytes and speed are not its own");
  return text;
}

}  // namespace sluice
