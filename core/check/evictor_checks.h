// The checks of an evictor, by file; evictor_checks.cpp says what each promises and in which order they run.
#pragma once

#include "core/check/check.h"

namespace sluice::check {

// evictor_basics.cpp
void evictor_create(const Subject& subject);
void evictor_signal(const Subject& subject);
void evictor_memory(const Subject& subject);
void evictor_victims(const Subject& subject);
void evictor_number(const Subject& subject);
void evictor_refusals(const Subject& subject);
void evictor_budget(const Subject& subject);
// evictor_repetition.cpp
void evictor_deterministic(const Subject& subject);
void evictor_alone(const Subject& subject);
void evictor_moved(const Subject& subject);
void evictor_freed(const Subject& subject);
void evictor_slots(const Subject& subject);
void evictor_fork(const Subject& subject);
void evictor_threads(const Subject& subject);
void evictor_resize(const Subject& subject);
// evictor_limits.cpp
void evictor_lanes(const Subject& subject);
void evictor_layer(const Subject& subject);
void evictor_prompt(const Subject& subject);
void evictor_wide(const Subject& subject);
void evictor_signals(const Subject& subject);
void evictor_observation(const Subject& subject);
void evictor_allocations(const Subject& subject);
void evictor_speed(const Subject& subject);
// evictor_extensions.cpp
void extension_rows(const Subject& subject);
void extension_reads(const Subject& subject);
void extension_window(const Subject& subject);
void extension_layers(const Subject& subject);
void extension_split(const Subject& subject);

}  // namespace sluice::check
