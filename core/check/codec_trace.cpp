// What a trace holds of a codec (trace.h): its plan, and per size, side and kind of block the bytes, what they decode
// to, what attention makes of them and what is left when rows leave.
#include <fmt/format.h>

#include "core/check/codec_lane.h"
#include "core/check/codec_probe.h"
#include "core/check/evictor_driver.h"
#include "core/check/trace.h"

namespace sluice::check {
namespace {

constexpr uint32_t kTraceDims[] = {64, 256};

// Channels of different size and offset with a few outliers. Integers and products only: the same numbers wherever
// the trace is made, which library functions do not promise.
Rows rows_of(uint32_t count, uint32_t head_dim) {
  Rows x(size_t(count) * head_dim);
  for (uint32_t r = 0; r < count; r++)
    for (uint32_t c = 0; c < head_dim; c++) {
      const float size = 0.25f + 4 * noise(1, 0, c), middle = 6 * noise(2, 0, c) - 3;
      const float outlier = noise(3, r, c) < 1.0f / 64 ? 16.0f : 1.0f;
      x[size_t(r) * head_dim + c] = to_half_and_back(middle + size * (2 * noise(4, r, c) - 1) * outlier);
    }
  return x;
}

std::vector<float> factors(size_t count, uint64_t stream) {
  std::vector<float> x(count);
  for (size_t i = 0; i < count; i++) x[i] = 2 * noise(stream, 0, uint32_t(i)) - 1;
  return x;
}

uint32_t attention_of(const CodecProbe& codec, const Coded& coded) {
  constexpr uint32_t kQueries = 3;
  const bool key = coded.block.side == SLUICE_KEY;
  const uint32_t rows = coded.block.rows, d = codec.head_dim;
  const std::vector<sluice_span> spans = {{coded.memory.data(), nullptr, 0, rows}};
  Guarded scratch;
  const sluice_tile tile = codec.tile(coded.block.side, kQueries, spans, rows, scratch);
  std::vector<float> out(size_t(kQueries) * (key ? rows : d));
  if (key)
    codec.dot(tile, factors(size_t(kQueries) * d, 5).data(), out.data());
  else
    codec.accumulate(tile, factors(size_t(kQueries) * rows, 6).data(), out.data());
  return digest_of(out);
}

std::vector<uint64_t> items(const sluice_account& a) {
  return {a.codes, a.scales, a.low_rank, a.outlier_values, a.outlier_indices, a.row_pointers, a.index, a.padding};
}

TraceLine block_line(const CodecProbe& codec, uint32_t side, uint32_t prompt, uint32_t rows) {
  Coded coded = codec.encode(side, rows_of(rows, codec.head_dim), 1, prompt);
  TraceLine line{fmt::format("{}, {} rows{}", side_text(codec, side), rows, prompt ? " of a prompt" : ""), {}, {}};
  const auto note = [&](const char* part, uint32_t digest) {
    line.parts.emplace_back(part), line.digests.push_back(digest);
  };
  note("the bytes of the block", digest_of(coded.bytes()));
  note("the items of account()", digest_of(items(codec.account(coded))));
  note("the decoded rows", digest_of(codec.decode(coded)));
  if (codec.table().dot) note("the results of attention", attention_of(codec, coded));
  if (!codec.table().retain || rows < 3) return line;
  std::vector<uint32_t> keep;
  for (uint32_t r = 0; r < rows; r++)
    if (r % 3 != 1) keep.push_back(r);
  codec.retain(coded, keep);
  note("the bytes after retain()", digest_of(coded.bytes()));
  if (codec.table().dot) note("the results of attention after retain()", attention_of(codec, coded));
  return line;
}

}  // namespace

Trace codec_trace(const Subject& subject) {
  Trace trace;
  each_size(subject, kTraceDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const sluice_codec_plan plan = codec.plan(side);
      trace.push_back(
          {fmt::format("the plan of {}", side_text(codec, side)),
           {"its numbers", "the tolerance to six digits"},
           {digest_of(std::vector<uint32_t>{plan.block_rows, plan.residual, plan.max_rows, plan.exact}), 0}});
      trace.back().digests[1] = digest_of(fmt::format("{:.5e}", plan.tolerance));
      for (const uint32_t rows : row_counts(plan))
        for (const uint32_t prompt : {0u, 1u})
          if (prompt || rows <= plan.block_rows) trace.push_back(block_line(codec, side, prompt, rows));
      if (codec.head_dim == kTraceDims[0]) trace.push_back(block_line(codec, side, 1, most_rows(plan)));
    }
    note_counters(codec.instance(), trace);
  });
  return trace;
}

}  // namespace sluice::check
