// Speed of one policy: prompts and decoding at a depth, again and again on forks of one deep cache. What the figures
// are compared with (roof.h, pair.h) and how they are shown is up to the callers.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "core/report/result.h"
#include "core/run/engine.h"

namespace sluice {

struct BenchTest {
  uint32_t prompt = 0;    // tokens of a prompt to time, or
  uint32_t generate = 0;  // tokens to decode one by one
  uint32_t depth = 0;     // tokens in the cache before
  uint32_t batch = 1;     // sequences decoded together
  bool tiled = false;     // the depth is filled by tiling (tiled_depth.h), for speed alone; else truly
};

struct BenchRow {
  BenchTest test;
  double tok_s = kUnknown, tok_s_sd = kUnknown;
  // Of decode steps, in seconds: a codec that encodes a block now and then shows here.
  double step_p99 = kUnknown, step_max = kUnknown;
  // Bytes that decode steps read per second, as they lie on the device: of a step all weights once, but of an embedding
  // that is not also the output matrix only a row per sequence, and every sequence's cache.
  double gb_s = kUnknown;
  double calls = kUnknown;  // of plugins' verbs in a decode step, on all threads
  KvBytes kv;               // of one sequence at the end
};

// What a token costs at least, whoever computes it.
struct TokenCost {
  double bytes =
      0;  // decoding: of the weights as they stand in the file, shared by the batch, and of the cache; else 0
  double integer_ops = 0;  // multiplications and additions: with weights that are stored as integers
  double float_ops = 0;    // with other weights, and of attention; all of them where `exact`
};
TokenCost token_cost(const Engine& engine, const BenchTest& test, const KvBytes& kv, bool exact);

// A test that is ready to run: the cache at its depth is filled. All that it refers to outlives it.
class Trial {
 public:
  // `tokens` feed it, over and over. `stop`, which may be NULL, is heard at every token, by throwing Interrupted.
  Trial(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, bool exact,
        std::span<const int32_t> tokens, const std::atomic<bool>* stop);

  double run();  // once, on new forks; gives the seconds it took, without the forking
  uint64_t tokens() const { return test_.prompt + uint64_t(test_.generate) * test_.batch; }
  const BenchTest& test() const { return test_; }
  bool exact() const { return exact_; }
  const Engine& engine() const { return engine_; }
  // Of the last run:
  std::span<const double> step_seconds() const { return steps_; }
  double calls() const { return calls_; }
  const KvBytes& kv() const { return kv_; }

 private:
  void heed_stop() const;

  Engine& engine_;
  BenchTest test_;
  bool exact_;
  const std::atomic<bool>* stop_;
  std::vector<int32_t> text_;
  std::unique_ptr<SequenceCache> deep_;
  std::vector<double> steps_;
  double calls_ = kUnknown;
  KvBytes kv_;
};

// `repeats` timed runs after a warm-up. A row is whole or not at all.
BenchRow measure(Engine& engine, const Config& config, const Policy& policy, const BenchTest& test, uint32_t repeats,
                 bool exact, std::span<const int32_t> tokens, const std::atomic<bool>* stop);

// What a call of a plugin's verb takes besides what the verb does, in seconds.
double call_seconds(const Instance& instance);

}  // namespace sluice
