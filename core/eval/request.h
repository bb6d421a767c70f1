// What an evaluation asks of a model under a policy, and what it gets back, as plain values: texts to generate,
// continuations to score, texts to measure. Where requests come from and what answers are worth is up to the callers.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/cache/ledger.h"
#include "core/config/config.h"

namespace sluice {

// Go on from the prompt until a stop string, an end token or the limit.
struct Generate {
  uint32_t max_tokens = 0;
  std::vector<std::string> stops;
  // Also ends it, if there is one: asked after each token, of all of the text.
  std::function<bool(std::string_view text)> ends = {};
};

// How likely is each of these after the prompt? The prompt is compressed but for its last tokens (score_window), which
// are decoded through the cache together with the continuation.
struct Score {
  std::vector<std::vector<int32_t>> continuations;
};

// How likely is each of the prompt's tokens after those before it, decoded one by one? The first `given` are not
// scored.
struct Rolling {
  uint32_t given = 1;
};

struct EvalRequest {
  uint64_t id = 0;      // the caller's
  uint32_t family = 0;  // those of one family begin alike, such as a subtask's
  std::vector<int32_t> prompt;
  std::variant<Generate, Score, Rolling> want;
  // Its beginning was cut off, so it shares no prefix with the others and keeps none of them from sharing theirs.
  bool truncated = false;
};

// What a sample's cache takes, as the ledger counts it: its own pieces, and under `snapshot` its rows that lie in the
// shared prefix, which all samples share but each would have.
struct SampleBytes {
  uint64_t stored = 0, f16 = 0;  // at the end; the same tokens, all kept, in F16
  uint64_t peak = 0;             // the most it came to, plugins' bytes and rows in the prefix included
  std::array<uint64_t, kKinds> by_kind{};
  std::array<uint64_t, kKinds> peak_by_kind{};  // of what was seen after the prompt, every 16 steps and at the end
  double kept_after_prompt = 0, kept = 0;       // mean rows per lane
};

struct Likelihood {
  double log_prob = 0;  // of all its tokens together
  bool greedy = true;   // each of them is the most likely one
};

struct Answer {
  uint32_t policy = 0, request = 0;  // indices of the job
  uint64_t id = 0;                   // of the request
  // Generate: the end token is not among the tokens. `text` is cut at the stop strings and valid UTF-8.
  std::vector<int32_t> tokens;
  std::string text;
  std::string ended_by;  // "end token", "stop string", "settled" (Generate::ends), "limit"; "" for the other kinds
  // Score: one per continuation.
  std::vector<Likelihood> likelihoods;
  // Rolling: sum over the scored tokens.
  double log_prob = 0;
  uint64_t scored = 0;

  uint32_t prompt_tokens = 0, prefix_tokens = 0;  // all; of those taken from the shared prefix
  // Rows coded or evicted, mean over lanes and sides: when the first token of the continuations was scored, when the
  // last of a rolling text was, when generation ended.
  uint64_t compressed_before_scoring = 0;
  // The policy compresses nothing of so few tokens: they are fewer than its budget and than its codec's first block.
  bool too_short = false;
  SampleBytes bytes;
  double seconds = 0, prompt_seconds = 0;  // in the batch; before its first token
};

// The first token in which two generations differ, or at which one of them ends; none if they are equal.
std::optional<uint32_t> first_divergence(std::span<const int32_t> baseline, std::span<const int32_t> tokens);

}  // namespace sluice
