// Speed of one policy: prompts and decoding at a depth, repeated, beside the machine's own limits. A depth is
// prefilled once, truly, and forked for every repetition.
#pragma once

#include <atomic>
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
  // Bytes that decode steps read per second, as they lie on the device: of a step all weights once, but of an embedding
  // that is not also the output matrix only a row per sequence, and every sequence's cache.
  double gb_s = kUnknown;
  double calls = kUnknown;  // of plugins' verbs in a decode step, on all threads
  KvBytes kv;               // of one sequence at the end
};

// `repeats` timed runs after a warm-up. `tokens` feed it, over and over. Throws Error once `stop` is set, heard at
// every token: a row is whole or not at all, and the caller keeps those it has.
BenchRow measure(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, uint32_t repeats,
                 bool exact, std::span<const int32_t> tokens, const std::atomic<bool>* stop);

// What a call of a plugin's verb takes besides what the verb does, in seconds.
double call_seconds(const Instance& instance);

// Bytes per second that this machine's threads read from memory: the best of several passes over a large buffer.
double read_bandwidth(ThreadPool& pool);

}  // namespace sluice
