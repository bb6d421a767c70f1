// See evictor_checks.h: the order in which they run, cause before consequence, and their promises.
#include "core/check/evictor_checks.h"

namespace sluice::check {

std::span<const Check> evictor_checks() {
  static constexpr Check kChecks[] = {
      {"evictor-create", "create() makes instances or says why not; destroy() gives back what host->alloc gave",
       evictor_create, 10, true},
      {"evictor-signal", "signal() asks for a kind of signal that there is, and always for the same", evictor_signal},
      {"evictor-memory", "nothing is written outside the state and the victims asked for", evictor_memory, 10, true},
      {"evictor-victims", "select() names exactly n distinct slots per lane that hold tokens", evictor_victims, 10,
       true},
      {"evictor-deterministic", "the same calls give the same victims and the same bytes of state",
       evictor_deterministic, 10, true},
      {"evictor-alone", "calls for another sequence in between change nothing", evictor_alone, 10, true},
      {"evictor-moved", "the state may be moved between any two calls", evictor_moved, 10, true},
      {"evictor-slots", "slot numbers mean nothing: shuffled slots give the same victims", evictor_slots, 10, true},
      {"evictor-freed", "slots of victims may stay free for a while", evictor_freed, 10, true},
      {"evictor-fork", "a copied state goes on as the original does", evictor_fork},
      {"evictor-threads", "8 threads with a state each get what they get alone", evictor_threads, 30},
      {"evictor-resize", "resize() to other slots and capacities keeps the victims", evictor_resize},
      {"evictor-lanes", "1, 5 and 8 lanes are served", evictor_lanes},
      {"evictor-layer", "one lane that stands for all kv heads of a layer is served", evictor_layer},
      {"evictor-number", "any number of victims up to what it must keep can be had: 1, 2, 5, 7, the most",
       evictor_number},
      {"evictor-refusals", "what is refused comes with a status, a message and an unchanged state", evictor_refusals},
      {"evictor-budget", "long runs stay within the budget at every interval", evictor_budget, 30},
      {"evictor-prompt", "prompts wider than the budget and shorter ones lead into decoding and back", evictor_prompt},
      {"evictor-wide", "more than 65,536 slots are served, and as many tokens; a warning where that would take minutes",
       evictor_wide, 30},
      {"evictor-signals", "any signal is borne: zeros, equal ones, the largest floats, denormal ones", evictor_signals},
      {"evictor-observation", "observing queries one by one or together leads to the same victims (warning only)",
       evictor_observation},
      {"evictor-allocations", "insert(), observe() and select() allocate nothing", evictor_allocations},
      {"evictor-speed", "a layer of 4 lanes costs at most 200 microseconds per token (warning only)", evictor_speed,
       30},
  };
  return kChecks;
}

std::span<const Check> extension_checks() {
  static constexpr Check kChecks[] = {
      {"extension-rows", "inserted() and select() of sluice.evictor.rows/1 read tokens that are there and name such",
       extension_rows},
      {"extension-reads", "select() passes on that rows could not be read", extension_reads},
      {"extension-window", "size() is 1 to 256 and stays so; prompts of any length are looked back on",
       extension_window},
      {"extension-layers", "layer() shares out no more than there is, no less than an interval, and always the same",
       extension_layers},
      {"extension-split", "split() takes exactly what must go, leaves a token in every lane; select() names as many",
       extension_split},
  };
  return kChecks;
}

}  // namespace sluice::check
