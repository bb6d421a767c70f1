// See measure.h.
#include "core/bench/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/base/error.h"
#include "core/bench/tiled_depth.h"
#include "core/plugins/watchdog.h"
#include "core/report/statistics.h"
#include "core/run/kv_report.h"
#include "core/run/policy_builder.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void ignore(std::span<const LogitRow>) {}

// Of a decode step of `batch` sequences, without their caches: `all` bytes of weights, of which `table` are the
// embedding's.
double weight_bytes_read(const Engine& engine, uint32_t batch, uint64_t all, uint64_t table) {
  if (engine.weights().embedding == engine.weights().output) return double(all);
  return double(all - table) + double(batch) * double(table) / engine.hyper().vocab;
}

}  // namespace

TokenCost token_cost(const Engine& engine, const BenchTest& test, const KvBytes& kv, bool exact) {
  const Hyperparameters& p = engine.hyper();
  uint64_t bytes = 0, table = 0;
  double integers = 0, floats = 0;
  for (const Tensor& t : engine.file().tensors()) {
    bytes += t.bytes;
    if (t.name == "token_embd.weight") table = t.bytes;
    const bool embedding_only = t.name == "token_embd.weight" && engine.weights().embedding != engine.weights().output;
    // Logits are computed of a prompt's last token alone.
    const bool logits = t.name == "output.weight" || t.name == "token_embd.weight";
    if (t.rows < 2 || embedding_only) continue;
    const double ops = 2.0 * double(t.rows) * double(t.cols) / (logits && test.prompt ? test.prompt : 1);
    const bool float_type = t.stored_as == "F32" || t.stored_as == "F16" || t.stored_as == "BF16";
    (exact || float_type ? floats : integers) += ops;
  }
  // A token sees what is kept of the depth and, on average, half of what is timed.
  const double kept = std::isfinite(kv.tokens_kept) ? kv.tokens_kept : test.depth + test.prompt + test.generate;
  const double seen = test.prompt ? test.depth + 0.5 * test.prompt : kept;
  floats += 4.0 * seen * p.heads * p.head_dim * p.layers;
  TokenCost cost{0, integers, floats};
  if (test.generate) cost.bytes = weight_bytes_read(engine, test.batch, bytes, table) / test.batch + double(kv.bytes);
  return cost;
}

Trial::Trial(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, bool exact,
             std::span<const int32_t> tokens, const std::atomic<bool>* stop)
    : engine_(engine), test_(test), exact_(exact), stop_(stop) {
  heed_stop();
  const uint32_t room = test.depth + test.prompt + test.generate;
  text_.resize(room);
  for (uint32_t i = 0; i < room; i++) text_[i] = tokens[i % tokens.size()];
  steps_.reserve(test.generate);
  deep_ = engine.create_cache(policy, budget_tokens(config, policy, room), room);
  const auto before = std::span<const int32_t>(text_).first(test.depth);
  if (before.empty()) return;
  if (test.tiled)
    tile_depth(engine, *deep_, before, exact);
  else
    engine.feed_prompt(*deep_, before, Want::kNothing, exact, ignore);
}

void Trial::heed_stop() const {
  if (stop_ && *stop_) throw Interrupted();
}

double Trial::run() {
  heed_stop();
  const std::span<const int32_t> text = text_;
  std::vector<std::unique_ptr<SequenceCache>> caches;
  for (uint32_t b = 0; b < test_.batch; b++) caches.push_back(std::make_unique<SequenceCache>(*deep_));
  std::vector<Feed> feeds(test_.batch);
  steps_.clear();
  const auto start = Clock::now();
  if (test_.prompt)
    engine_.feed_prompt(*caches[0], text.subspan(test_.depth, test_.prompt), Want::kLast, exact_, ignore);
  const uint64_t calls = verb_calls();
  auto last = test_.prompt ? Clock::now() : start;
  for (uint32_t t = 0; t < test_.generate; t++) {
    heed_stop();
    for (uint32_t b = 0; b < test_.batch; b++)
      feeds[b] = {caches[b].get(), text.subspan(test_.depth + t, 1), Want::kLast};
    engine_.step(feeds, exact_, ignore);
    const auto now = Clock::now();
    steps_.push_back(std::chrono::duration<double>(now - last).count());
    last = now;
  }
  const double took = seconds_since(start);
  if (test_.generate) calls_ = double(verb_calls() - calls) / test_.generate;
  kv_ = kv_bytes(*caches[0]);
  return took;
}

BenchRow measure(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, uint32_t repeats,
                 bool exact, std::span<const int32_t> tokens, const std::atomic<bool>* stop) {
  Trial trial(engine, config, policy, test, exact, tokens, stop);
  trial.run();  // to warm up
  RunningMean speed;
  std::vector<double> steps;
  for (uint32_t r = 0; r < repeats; r++) {
    speed.add(double(trial.tokens()) / trial.run());
    steps.insert(steps.end(), trial.step_seconds().begin(), trial.step_seconds().end());
  }
  BenchRow row;
  row.test = test, row.calls = trial.calls(), row.kv = trial.kv();
  row.tok_s = speed.mean();
  row.tok_s_sd = repeats > 1 ? std::sqrt(speed.variance()) : kUnknown;
  if (test.generate) {
    const Weights& weights = engine.weights();
    const double read = weight_bytes_read(engine, test.batch, weights.read_bytes(), weights.embedding_bytes());
    row.gb_s = (read / test.batch + double(row.kv.bytes)) * row.tok_s / 1e9;
    row.step_p99 = percentile(steps, 0.99), row.step_max = percentile(steps, 1);
  }
  return row;
}

double call_seconds(const Instance& instance) {
  constexpr uint32_t kCalls = 1 << 18;
  sluice_status (*volatile nothing)(const void*) = [](const void*) { return sluice_status(SLUICE_OK); };
  double best = HUGE_VAL;
  for (int pass = 0; pass < 5; pass++) {
    const auto start = Clock::now();
    for (uint32_t i = 0; i < kCalls; i++) instance.call("nothing", nothing);
    best = std::min(best, seconds_since(start) / kCalls);
  }
  return best;
}

}  // namespace sluice
