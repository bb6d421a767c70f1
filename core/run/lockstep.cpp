// See lockstep.h: the feeds of a step, scores as logits come, and the rows of the result.
#include "core/run/lockstep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/report/statistics.h"
#include "core/run/attention_probe.h"
#include "core/run/kv_report.h"
#include "core/run/policy_builder.h"

namespace sluice {
namespace {

// One policy's share of a comparison.
struct Runner {
  const LockstepPolicy* entry;
  std::unique_ptr<SequenceCache> cache;
  uint32_t budget = 0;
  Fidelity fidelity;
  uint64_t compressed = 0;  // rows coded or evicted before the last step so far
};

// Decode speed of each policy alone at the depth it has reached. Its cache goes on from there.
void measure_speed(Engine& engine, std::vector<Runner>& runners, std::span<const int32_t> tokens,
                   const LockstepOptions& options, std::vector<PolicyResult>& rows) {
  for (size_t i = 0; i < runners.size(); i++) {
    SequenceCache& cache = *runners[i].cache;
    std::chrono::steady_clock::time_point start;
    for (uint32_t t = 0; t < options.speed_room(); t++) {
      if (t == LockstepOptions::kWarmUp) start = std::chrono::steady_clock::now();
      if (options.stop && *options.stop) return;
      const int32_t token = tokens[t % tokens.size()];
      const Feed feed{&cache, {&token, 1}, Want::kLast};
      engine.step({&feed, 1}, false, [](std::span<const LogitRow>) {});
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    rows[i].tok_s = options.speed_tokens / took.count();
    if (options.progress) options.progress(0, fmt::format("speed of {}", rows[i].policy));
  }
}

}  // namespace

bool keeps_all(const Policy& policy) {
  return std::none_of(policy.layers.begin(), policy.layers.end(),
                      [](const LayerPolicy& l) { return l.evictor || l.codes(); });
}

std::vector<PolicyResult> run_lockstep(Engine& engine, std::span<const LockstepPolicy> policies,
                                       std::span<const int32_t> tokens, const LockstepOptions& options) {
  const uint32_t n = uint32_t(tokens.size()), count = uint32_t(policies.size());
  const uint32_t room = n + options.speed_room();
  uint32_t reference = count;
  std::vector<Runner> runners(count);
  for (uint32_t i = 0; i < count; i++) {
    runners[i].entry = &policies[i];
    runners[i].budget = budget_tokens(*policies[i].config, *policies[i].policy, n);
    runners[i].cache = engine.create_cache(*policies[i].policy, runners[i].budget, room);
    if (policies[i].reference) reference = i;
  }
  // The reference goes first, so that its distribution is known when the others' logits come.
  std::vector<uint32_t> order;
  if (reference < count) order.push_back(reference);
  for (uint32_t i = 0; i < count; i++)
    if (i != reference) order.push_back(i);

  std::unique_ptr<AttentionProbe> probe;
  if (options.attention_every > 0 && options.chunk == 1 && reference < count) {
    std::vector<const SequenceCache*> caches;
    for (const uint32_t i : order) caches.push_back(runners[i].cache.get());
    probe = std::make_unique<AttentionProbe>(engine, options.exact, std::move(caches));
  }

  const auto so_far = [&] {
    std::vector<PolicyResult> results(count);
    for (uint32_t i = 0; i < count; i++) {
      PolicyResult& r = results[i];
      const LockstepPolicy& entry = policies[i];
      r.policy = entry.policy->name, r.reference = entry.reference;
      r.mode = options.chunk == 1 ? "decode" : "chunked";
      runners[i].fidelity.fill(r);
      r.compressed_before_scoring = runners[i].compressed;
      r.kv = kv_bytes(*runners[i].cache);
      r.stats = policy_stats(*entry.policy);
      const LayerPolicy& layer = entry.policy->layers.front();
      if (layer.evictor) r.evictor = layer.evictor->module().name;
      for (const uint32_t side : {SLUICE_VALUE, SLUICE_KEY})
        if (const Instance* codec = layer.codec[side] ? layer.codec[side] : layer.simulated[side])
          r.codec = codec->module().name;
      r.positions = entry.policy->positions();
      r.settings = describe_policy(*entry.config, *entry.policy, runners[i].budget);
      const CacheCounters c = runners[i].cache->counters();
      if (c.rescued) r.stats.push_back({"rescued rows", double(c.rescued)});
      if (c.decoded) r.stats.push_back({"rows decoded for the evictor", double(c.decoded)});
    }
    for (uint32_t i = 0; probe && i < count; i++) results[order[i]].attention = probe->figures(i);
    return results;
  };
  if (options.offer) options.offer(so_far);

  std::vector<LogProbs> truth(options.chunk);
  std::vector<Feed> feeds(count);
  std::vector<PositionScore> scores;
  uint32_t fed = 0;
  const auto started = std::chrono::steady_clock::now();
  const auto step = [&] {
    const uint32_t rows = std::min(options.chunk, n - fed);
    for (uint32_t i = 0; i < count; i++) {
      feeds[i] = {runners[order[i]].cache.get(), tokens.subspan(fed, rows), Want::kAll};
      runners[order[i]].compressed = uint64_t(runners[order[i]].cache->rows_not_dense());
    }
    if (probe) probe->look(fed % options.attention_every == 0);
    engine.step(feeds, options.exact, [&](std::span<const LogitRow> logits) {
      for (const LogitRow& row : logits)
        if (row.feed == 0 && reference < count) truth[row.row].set(row.logits);
      scores.resize(logits.size());
      engine.registry().pool().each(uint32_t(logits.size()), [&](uint32_t i) {
        const LogitRow& row = logits[i];
        const uint32_t position = fed + row.row;
        const uint32_t target = position + 1 < n ? uint32_t(tokens[position + 1]) : 0;
        if (reference < count)
          scores[i] = score_position(truth[row.row], row.logits, target);
        else
          scores[i].nll = position + 1 < n ? negative_log_likelihood(row.logits, target) : 0;
      });
      for (uint32_t i = 0; i < logits.size(); i++) {
        const uint32_t position = fed + logits[i].row, policy = order[logits[i].feed];
        if (options.watch) options.watch(position, policy, logits[i].logits);
        if (position + 1 == n) continue;  // no target
        if (reference < count)
          runners[policy].fidelity.add(scores[i]);
        else
          runners[policy].fidelity.add_nll(scores[i].nll);
      }
    });
    fed += rows;
    if (options.progress) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      options.progress(rows,
                       fmt::format("ppl {:.3f}, {:.1f} tok/s", runners[order[0]].fidelity.ppl(), fed / took.count()));
    }
  };
  try {
    while (fed < n && !(options.stop && *options.stop)) step();
  } catch (...) {
    if (fed > 0 && options.failed) options.failed(so_far());
    throw;
  }

  std::vector<PolicyResult> results = so_far();
  probe.reset();  // what follows is one policy alone
  if (options.speed && fed == n) measure_speed(engine, runners, tokens, options, results);
  return results;
}

}  // namespace sluice
