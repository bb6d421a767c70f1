// Generation: a prompt, then tokens one by one until an end token, a stop string or the limit; streamed as text that
// never ends inside a UTF-8 character.
#pragma once

#include <atomic>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/run/engine.h"
#include "core/run/sampler.h"

namespace sluice {

struct GenerateOptions {
  uint32_t tokens = 128;  // at most
  bool exact = false;
  bool ignore_end = false;  // go on after an end token
  std::vector<std::string> stops;
  const std::atomic<bool>* stop = nullptr;
  std::function<void(std::string_view text)> stream;  // pieces as they come; may be empty
};

struct Generation {
  std::vector<int32_t> tokens;  // generated, the end token not included
  std::string text;
  std::string ended_by;       // "end token", "stop string", "limit", "interrupt"
  uint32_t decode_steps = 0;  // the first token comes of the prompt
  double prompt_seconds = 0, decode_seconds = 0;

  // Steps a second; NaN where there was none.
  double decode_tok_s() const { return decode_steps ? decode_steps / decode_seconds : std::nan(""); }
};

// Feeds `prompt` to the cache (which may already hold tokens) and generates. Throws Error for an empty prompt and
// for one that does not fit.
Generation generate(Engine& engine, SequenceCache& cache, std::span<const int32_t> prompt, Sampler& sampler,
                    const GenerateOptions& options);

}  // namespace sluice
