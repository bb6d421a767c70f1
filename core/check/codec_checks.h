// The checks of codecs, by the file they stand in. codec_checks.cpp names them and says what each promises.
#pragma once

#include "core/check/codec_probe.h"

namespace sluice::check {

// codec_rows.cpp: what goes into a block and comes out again
void codec_create(const Subject& subject);
void codec_plan(const Subject& subject);
void codec_tolerance(const Subject& subject);
void codec_exact(const Subject& subject);
void codec_ranges(const Subject& subject);
void codec_extremes(const Subject& subject);
void codec_nonfinite(const Subject& subject);

// codec_bytes.cpp: what memory it touches, and what it says about it
void codec_bounds(const Subject& subject);
void codec_scratch(const Subject& subject);
void codec_written(const Subject& subject);
void codec_account(const Subject& subject);
void codec_account_head(const Subject& subject);
void codec_reads(const Subject& subject);

// codec_repeat.cpp: what a block depends on
void codec_deterministic(const Subject& subject);
void codec_independent(const Subject& subject);
void codec_moved(const Subject& subject);
void codec_threads(const Subject& subject);

// codec_retain.cpp: rows that leave
void codec_retain(const Subject& subject);
void codec_retain_size(const Subject& subject);

// codec_attention.cpp: attention on codes
void codec_dot(const Subject& subject);
void codec_accumulate(const Subject& subject);
void codec_columns(const Subject& subject);
void codec_tiles(const Subject& subject);
void codec_cuts(const Subject& subject);

// codec_step.cpp: what its verbs cost
void codec_allocations(const Subject& subject);
void codec_speed(const Subject& subject);
void codec_cuda(const Subject& subject);

// A block of every size and side that loses rows until none is left; `look` sees it after every round, with the rows
// that stayed as they were decoded before the first.
using WornBlock = std::function<void(const CodecProbe& codec, const Coded& coded, const Rows& expected)>;
void wear_down(const Subject& subject, uint32_t watch, const WornBlock& look);

// Skips the check if the codec lacks a verb.
void need_retain(const Subject& subject);
void need_attention(const Subject& subject);

}  // namespace sluice::check
