// The list of codec checks in the order in which they run, each with its promise.
#include "core/check/codec_checks.h"

namespace sluice::check {

void need_retain(const Subject& subject) {
  if (!static_cast<const sluice_codec*>(subject.module->table)->retain)
    skip("it has no retain(): no evictor may be stacked on it");
}
void need_attention(const Subject& subject) {
  if (!static_cast<const sluice_codec*>(subject.module->table)->dot)
    skip("it has no dot() and accumulate(): the core decodes tile by tile");
}

std::span<const Check> codec_checks() {
  static constexpr Check kChecks[] = {
      {"codec-create", "serves at least one usual head size, and says why it refuses the others", codec_create, 10,
       true},
      {"codec-plan", "asks for a placement that a host can follow, and for the same one each time", codec_plan, 10,
       true},
      {"codec-tolerance", "brings rows drawn from N(0,1) back within plan.tolerance, any number of them",
       codec_tolerance, 30},
      {"codec-exact", "with plan.exact, brings every F16 number back as it was", codec_exact},
      {"codec-ranges", "decodes a row to the same bits whichever rows are asked for with it", codec_ranges},
      {"codec-extremes", "brings constant, zero, tiny, huge and outlying rows back as finite numbers", codec_extremes},
      {"codec-nonfinite", "refuses NaN and infinities with a message, or brings back finite numbers", codec_nonfinite},
      {"codec-bounds", "writes within bound(), the block, the rows and the results it is given", codec_bounds, 30},
      {"codec-scratch", "writes within scratch(), and what lay there before changes no bit", codec_scratch, 30},
      {"codec-written", "writes every byte that it says a block takes, its padding aside", codec_written},
      {"codec-account", "itemises exactly the bytes that encode() and retain() returned", codec_account, 30},
      {"codec-account-head", "accounts for a block from its first 64 bytes alone", codec_account_head},
      {"codec-reads", "leaves a block alone while it decodes, accounts and attends", codec_reads},
      {"codec-allocations", "allocates nothing once it is created", codec_allocations},
      {"codec-deterministic", "codes the same rows with the same seed to the same bytes", codec_deterministic},
      {"codec-independent", "codes a block alike whatever it coded before, and in any instance", codec_independent},
      {"codec-moved", "keeps no address in a block: it is coded alike at another place, and may be moved", codec_moved},
      {"codec-threads", "gives the same bits on eight threads at once as alone", codec_threads},
      {"codec-retain", "keeps the bits of the rows that stay, down to one row and to none", codec_retain, 30},
      {"codec-retain-size", "never makes a block larger by dropping rows", codec_retain_size},
      {"codec-dot", "scores as q times the decoded keys would, within rounding", codec_dot, 30},
      {"codec-accumulate", "adds what weights times the decoded values would be, within rounding", codec_accumulate,
       30},
      {"codec-columns", "writes the scores of a block's rows and no other", codec_columns},
      {"codec-tiles", "gives a query the same bits whichever queries share its tile", codec_tiles},
      {"codec-cuts", "gives the same bits however the spans are cut into calls", codec_cuts},
      {"codec-speed", "codes and decodes at a speed that steps can bear", codec_speed},
      {"codec-cuda", "offers a device table of this host's layout, if any", codec_cuda},
  };
  return kChecks;
}

}  // namespace sluice::check
