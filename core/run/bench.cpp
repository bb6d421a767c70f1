// See bench.h: timed runs on forks of a deep cache, and a buffer that all threads read.
#include "core/run/bench.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/plugins/watchdog.h"
#include "core/report/statistics.h"
#include "core/run/kv_report.h"
#include "core/run/policy_builder.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void ignore(std::span<const LogitRow>) {}

// Of a decode step of `batch` sequences, without their caches.
double weight_bytes_read(const Engine& engine, uint32_t batch) {
  const Weights& weights = engine.weights();
  if (weights.embedding == weights.output) return double(weights.read_bytes());
  const uint64_t table = weights.embedding_bytes();
  return double(weights.read_bytes() - table) + double(batch) * double(table) / engine.hyper().vocab;
}

}  // namespace

BenchRow measure(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, uint32_t repeats,
                 bool exact, std::span<const int32_t> tokens, const std::atomic<bool>* stop) {
  auto heed_stop = [&] {
    if (stop && *stop) throw Error("interrupted", kExitFailed);
  };
  heed_stop();
  const uint32_t room = test.depth + test.prompt + test.generate;
  const uint32_t budget = budget_tokens(config, policy, room);
  std::vector<int32_t> text(room);
  for (uint32_t i = 0; i < room; i++) text[i] = tokens[i % tokens.size()];
  auto deep = engine.create_cache(policy, budget, room);
  if (test.depth) engine.feed_prompt(*deep, std::span(text).first(test.depth), Want::kNothing, exact, ignore);
  BenchRow row;
  row.test = test;
  RunningMean speed;
  for (uint32_t r = 0; r <= repeats; r++) {  // the first is the warm-up
    heed_stop();
    std::vector<std::unique_ptr<SequenceCache>> caches;
    for (uint32_t b = 0; b < test.batch; b++) caches.push_back(std::make_unique<SequenceCache>(*deep));
    const auto start = Clock::now();
    if (test.prompt)
      engine.feed_prompt(*caches[0], std::span(text).subspan(test.depth, test.prompt), Want::kLast, exact, ignore);
    const uint64_t calls = verb_calls();
    std::vector<Feed> feeds(test.batch);
    for (uint32_t t = 0; t < test.generate; t++) {
      heed_stop();
      for (uint32_t b = 0; b < test.batch; b++)
        feeds[b] = {caches[b].get(), std::span(text).subspan(test.depth + t, 1), Want::kLast};
      engine.step(feeds, exact, ignore);
    }
    const double took = seconds_since(start);
    if (r > 0) speed.add((test.prompt + uint64_t(test.generate) * test.batch) / took);
    if (test.generate) row.calls = double(verb_calls() - calls) / test.generate;
    if (r == repeats) row.kv = kv_bytes(*caches[0]);
  }
  row.tok_s = speed.mean();
  row.tok_s_sd = repeats > 1 ? std::sqrt(speed.variance()) : kUnknown;
  if (test.generate)
    row.gb_s = (weight_bytes_read(engine, test.batch) / test.batch + double(row.kv.bytes)) * row.tok_s / 1e9;
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

double read_bandwidth(ThreadPool& pool) {
  const uint64_t bytes = uint64_t(512) << 20, part = bytes / pool.threads() & ~uint64_t(4095);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return kUnknown;
  madvise(memory, bytes, MADV_HUGEPAGE);
  auto* data = static_cast<uint64_t*>(memory);
  pool.each(pool.threads(), [&](uint32_t i) { std::memset(reinterpret_cast<char*>(data) + i * part, 1, part); });
  std::vector<uint64_t> sums(pool.threads() * 8);
  double best = 0;
  for (int pass = 0; pass < 5; pass++) {
    const auto start = Clock::now();
    pool.each(pool.threads(), [&](uint32_t i) {
      const uint64_t* from = data + i * part / 8;
      uint64_t sum[16] = {};
      for (uint64_t w = 0; w < part / 8; w += 16)
        for (int k = 0; k < 16; k++) sum[k] += from[w + k];
      for (uint64_t s : sum) sums[i * 8] += s;
    });
    best = std::max(best, double(part * pool.threads()) / seconds_since(start));
  }
  munmap(memory, bytes);
  return sums[0] != 0 ? best : kUnknown;
}

}  // namespace sluice
