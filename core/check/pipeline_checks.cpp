// The checks of whole pipelines: a policy on a tiny random model, where core, backend and modules meet.
#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/check/pipeline_setup.h"

namespace sluice::check {

namespace {

std::string name_of(const Choice& choice) { return choice.module ? choice.module->name : "F16"; }

// A prompt and then tokens one by one, with what must hold at every token.
void live(Pipeline& p, SequenceCache& cache, const std::string& what) {
  const auto look = [&](const TokenLogits& logits, uint32_t token) {
    for (const auto& row : logits)
      for (const float x : row)
        if (!std::isfinite(x)) fail(fmt::format("{}: a logit of token {} is {}", what, token, x));
    const std::string fault = ledger_fault(cache);
    if (!fault.empty()) fail(fmt::format("{}: after token {} the ledger is wrong: {}", what, token, fault));
    if (cache.budget() && cache.tokens_kept() > cache.budget())
      fail(fmt::format("{}: after token {} lanes hold {} tokens, the budget is {}", what, token, cache.tokens_kept(),
                       cache.budget()));
  };
  look(p.prompt(cache, 0, Pipeline::kPrompt), Pipeline::kPrompt - 1);
  for (uint32_t t = Pipeline::kPrompt; t < Pipeline::kTokens; t++) look(p.decode(cache, t, t + 1), t);
}

// With nothing to drop and nothing to code yet, a policy is no policy.
void full_budget(const Subject& subject) {
  Pipeline p(subject);
  const Policy& own = p.own();
  if (own.layers[0].budget) skip("it shares the budget among layers or heads, of which some get less than all tokens");
  uint32_t tokens = Pipeline::kTokens - 1;
  if (!p.evictor())
    for (const sluice_codec_plan& plan : own.layers[0].plan)
      tokens = std::min(tokens, plan.residual + plan.block_rows - 1);
  if (tokens == 0) skip("it codes every row at once");
  const auto with = p.cache(own, p.evictor() ? Pipeline::kTokens : 0), without = p.cache(p.none(), 0);
  for (uint32_t t = 0; t < tokens; t++) {
    const TokenLogits a = p.decode(*with, t, t + 1), b = p.decode(*without, t, t + 1);
    // Rows under a codec go through the three verbs, which may round differently than the fused one.
    float largest = 0, error = 0;
    for (size_t i = 0; i < a[0].size(); i++) {
      largest = std::max(largest, std::fabs(b[0][i]));
      const float difference = std::fabs(a[0][i] - b[0][i]);
      error = std::max(error, std::isfinite(difference) ? difference : INFINITY);
    }
    const float allowed = p.evictor() && p.engine().device().immediate ? 0 : 1e-4f * largest;
    if (!(error <= allowed))
      fail(fmt::format("token {} has other logits than without a policy, by {:.3g} of {:.3g}, although nothing was {}",
                       t, error, largest, p.evictor() ? "evicted" : "coded"));
  }
}

void identity(const Subject& subject) {
  constexpr uint32_t kFork = 220;
  Pipeline p(subject);
  const Policy& own = p.own();
  const auto single = p.cache(own);
  const TokenLogits prompt = p.prompt(*single, 0, Pipeline::kPrompt);
  TokenLogits alone = p.decode(*single, Pipeline::kPrompt, kFork);
  SequenceCache fork(*single);
  const TokenLogits original = p.decode(*single, kFork, Pipeline::kTokens);
  expect(same_bits(p.decode(fork, kFork, Pipeline::kTokens), original),
         fmt::format("a fork at token {} gives other logits than its parent", kFork));
  alone.insert(alone.end(), original.begin(), original.end());

  const auto a = p.cache(own), b = p.cache(own), other = p.cache(p.none());
  expect(same_bits(p.prompt(*a, 0, Pipeline::kPrompt), prompt), "a prompt repeated gives other logits");
  p.prompt(*b, 0, Pipeline::kPrompt);
  if (!p.engine().device().immediate) return;
  for (uint32_t t = Pipeline::kPrompt; t < Pipeline::kTokens; t++) {
    const auto token = p.tokens().subspan(t, 1);
    const Feed feeds[] = {
        {a.get(), token, Want::kLast}, {other.get(), token, Want::kLast}, {b.get(), token, Want::kLast}};
    TokenLogits rows(3);
    p.engine().step(feeds, true, [&](std::span<const LogitRow> logits) {
      for (const LogitRow& row : logits) rows[row.feed].assign(row.logits.begin(), row.logits.end());
    });
    for (const uint32_t feed : {0u, 2u})
      if (!same_bits({rows[feed]}, {alone[t - Pipeline::kPrompt]}))
        fail(fmt::format("token {} has other logits in a batch than alone", t));
  }
}

void ledger(const Subject& subject) {
  Pipeline p(subject);
  live(p, *p.cache(p.own()), "alone");
}

// On F16 rows this is ledger(); here it meets every module of the other kind that is at hand.
void stacked(const Subject& subject) {
  Pipeline p(subject);
  if (!p.evictor() && !static_cast<const sluice_codec*>(subject.module->table)->retain)
    skip("it has no retain(): no evictor may be stacked on it");
  uint32_t met = 0;
  for (const Choice& other : p.others(p.evictor() ? SLUICE_CODEC : SLUICE_EVICTOR)) {
    const Choice& codec = p.evictor() ? other : p.subject();
    const Choice evictor = p.evictor() ? p.subject() : other;
    if (!static_cast<const sluice_codec*>(codec.module->table)->retain) continue;
    const Policy* policy = nullptr;
    try {
      policy = &p.policy(evictor, codec, codec);
    } catch (const Error&) {  // the other one's business: a head size that it does not serve
      continue;
    }
    live(p, *p.cache(*policy), p.evictor() ? "on codec " + name_of(other) : "under evictor " + name_of(other));
    met++;
  }
  if (met == 0) skip(p.evictor() ? "no codec with retain() is at hand" : "no evictor is at hand");
}

// K and V need not be stored alike: each side has its own rows, blocks and plan.
void sides(const Subject& subject) {
  Pipeline p(subject);
  if (p.evictor()) skip("it stores no rows");
  std::vector<Choice> others = p.others(SLUICE_CODEC);
  others.insert(others.begin(), Choice{});
  for (const Choice& other : others) {
    try {
      p.policy({}, other, other);
    } catch (const Error&) {
      continue;
    }
    live(p, *p.cache(p.policy({}, p.subject(), other)), "K in it, V in " + name_of(other));
    live(p, *p.cache(p.policy({}, other, p.subject())), "V in it, K in " + name_of(other));
  }
}

void leaks(const Subject& subject) {
  Pipeline p(subject);
  const Policy& own = p.own();
  live(p, *p.cache(own), "alone");  // room that the engine keeps is made now
  const uint64_t before = p.engine().arena().live(), plugin = own.plugin_bytes();
  for (int round = 0; round < 2; round++) {
    const auto cache = p.cache(own);
    live(p, *cache, "alone");
    const SequenceCache fork(*cache);
  }
  expect(p.engine().arena().live() == before,
         fmt::format("{} bytes of the arena are live after all caches died, {} were before", p.engine().arena().live(),
                     before));
  expect(
      own.plugin_bytes() == plugin,
      fmt::format("host->alloc stands at {} bytes after a run, at {} before: what grows belongs into state or blocks",
                  own.plugin_bytes(), plugin));
}

}  // namespace

std::span<const Check> pipeline_checks() {
  static constexpr Check kChecks[] = {
      {"pipeline-full-budget", "changes nothing as long as nothing is evicted or coded, token by token", full_budget,
       30},
      {"pipeline-identity", "gives the same logits batched, alone and from a fork", identity, 30},
      {"pipeline-ledger", "keeps budget and ledger exact at every token", ledger, 30},
      {"pipeline-stacked", "works with the modules of the other kind that are at hand", stacked, 60},
      {"pipeline-sides", "serves K and V apart, whatever stores the other side", sides, 60},
      {"pipeline-leaks", "leaves nothing behind when its caches die", leaks, 30},
  };
  return kChecks;
}

}  // namespace sluice::check
