// A deep cache without a long prompt: the rows of a short one, again and again. Its bytes, blocks and victims are as
// many as a true prompt's, so it does for measuring speed, and for nothing else.
#pragma once

#include <span>

#include "core/run/engine.h"

namespace sluice {

inline constexpr uint32_t kTiledTokens = 64;  // that go through the model

// Fills the empty cache as Engine::feed_prompt() would with these tokens, in whole or in chunks. Evictors observe no
// attention, and of queries zeros. Throws Error for rolling positions.
void tile_depth(Engine& engine, SequenceCache& cache, std::span<const int32_t> tokens, bool exact);

}  // namespace sluice
