// Speed of one policy: prompts and decoding at a depth, repeated, beside the machine's own limits. A depth is
// prefilled once, truly, and forked for every repetition.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "core/report/result.h"
#include "core/run/engine.h"

namespace sluice {

struct BenchTest {
  uint32_t prompt = 0;    // tokens of a prompt to time, or
  uint32_t generate = 0;  // tokens to decode one by one
  uint32_t depth = 0;     // tokens in the cache before
  uint32_t batch = 1;     // sequences decoded together
};

struct BenchRow {
  BenchTest test;
  double tok_s = kUnknown, tok_s_sd = kUnknown;
  double gb_s = kUnknown;  // weights and cache read per second while decoding
  KvBytes kv;              // of one sequence at the end
  uint64_t rss_peak = 0;
};

// `repeats` timed runs after a warm-up. `tokens` feed it, over and over.
BenchRow measure(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, uint32_t repeats, bool exact,
                   std::span<const int32_t> tokens, const std::atomic<bool>* stop);

// Bytes per second that this machine's threads read from memory: the best of several passes over a large buffer.
double read_bandwidth(ThreadPool& pool);

}  // namespace sluice
