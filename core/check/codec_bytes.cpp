// Checks of a codec's memory: what its verbs write, that they stay where they may, and that the bytes it claims are
// those it uses.
#include <fmt/format.h>

#include <algorithm>

#include "core/check/codec_checks.h"
#include "core/check/codec_lane.h"

namespace sluice::check {

namespace {

// Blocks of all sizes, sides and kinds; the longest there may be only where `longest`, as they take a while to make.
void code_everything(const Subject& subject, uint32_t watch, bool longest,
                     const std::function<void(const CodecProbe& codec, const Coded& coded)>& look) {
  each_size(subject, kHeadDims, watch, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const sluice_codec_plan plan = codec.plan(side);
      std::vector<uint32_t> counts = row_counts(plan);
      if (longest) counts.push_back(most_rows(plan));
      for (const uint32_t rows : counts) {
        const Rows x = key_like_rows(rows, codec.head_dim, subject.seed + rows);
        if (rows <= plan.block_rows) look(codec, codec.encode(side, x, subject.seed, 0));
        look(codec, codec.encode(side, x, subject.seed, 1));  // only a prompt fills longer blocks
      }
    }
  });
}

bool has_attention(const Subject& subject) { return static_cast<const sluice_codec*>(subject.module->table)->dot; }
bool has_retain(const Subject& subject) { return static_cast<const sluice_codec*>(subject.module->table)->retain; }

}  // namespace

void codec_bounds(const Subject& subject) {
  code_everything(subject, kWatchBlocks, true,
                  [](const CodecProbe& codec, const Coded& coded) { codec.decode(coded); });
  if (has_retain(subject)) wear_down(subject, kWatchBlocks, [](const CodecProbe&, const Coded&, const Rows&) {});
  if (!has_attention(subject)) return;
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const CodedLane lane(codec, side, subject.seed);
      for (const uint32_t queries : {1u, 3u, SLUICE_TILE}) {
        const std::vector<float> in = lane.queries(queries, subject.seed);
        const Guarded out(queries * lane.outputs() * sizeof(float), 0);
        lane.attend(queries, 0, uint32_t(lane.spans().size()), in.data(), out.floats());
        expect(out.intact(), fmt::format("{}() of {} queries, {}: wrote past its result",
                                         side == SLUICE_KEY ? "dot" : "accumulate", queries, side_text(codec, side)));
      }
    }
  });
}

void codec_scratch(const Subject& subject) {
  code_everything(subject, kWatchScratch, true, [](const CodecProbe&, const Coded&) {});
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const Rows x = key_like_rows(codec.plan(side).block_rows, codec.head_dim, subject.seed);
      const sluice_block block = block_of(side, x, codec.head_dim, subject.seed);
      const Guarded scratch(codec.scratch(side, block.rows, 0)), to(codec.bound(side, block.rows));
      std::vector<std::vector<unsigned char>> coded;
      for (const unsigned char fill : {0xA5, 0xA5, 0x00}) {
        std::memset(scratch.data(), fill, scratch.size());
        std::memset(to.data(), Guarded::kJunk, to.size());
        const size_t bytes = codec.encode(block, x, scratch, to);
        coded.emplace_back(to.data(), to.data() + bytes);
      }
      if (coded[0] == coded[1])  // otherwise codec-deterministic tells
        expect(coded[1] == coded[2],
               fmt::format("encode() of {} gives other bytes over other junk in scratch", side_text(codec, side)));
      if (!has_attention(subject)) continue;
      const CodedLane lane(codec, side, subject.seed);
      for (const uint32_t queries : {1u, 3u, SLUICE_TILE}) {
        const std::vector<float> in = lane.queries(queries, subject.seed);
        std::vector<float> first(queries * lane.outputs()), second = first;
        const auto spans = uint32_t(lane.spans().size());
        const std::string what = fmt::format("{}() of {} queries, {}:", side == SLUICE_KEY ? "dot" : "accumulate",
                                             queries, side_text(codec, side));
        expect(lane.attend(queries, 0, spans, in.data(), first.data(), 0xA5) &&
                   lane.attend(queries, 0, spans, in.data(), second.data(), 0x00),
               what + " wrote past its scratch");
        expect(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) == 0,
               what + " gives other bits over other junk in scratch");
      }
    }
  });
}

// A byte that still holds what lay there before, twice over different junk, was not written.
void codec_written(const Subject& subject) {
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
      for (const uint32_t prompt : {0u, 1u})
        for (const uint32_t rows : row_counts(codec.plan(side))) {
          if (rows > codec.plan(side).block_rows && !prompt) continue;
          const Rows x = key_like_rows(rows, codec.head_dim, subject.seed + rows);
          Coded coded{block_of(side, x, codec.head_dim, subject.seed, prompt), Guarded()};
          const Guarded scratch(codec.scratch(side, rows, 0));
          std::vector<std::vector<unsigned char>> over;
          constexpr unsigned char kFills[] = {0xA5, 0x5A};
          for (const unsigned char fill : kFills) {
            const Guarded to(codec.bound(side, rows), fill);
            const size_t bytes = codec.encode(coded.block, x, scratch, to);
            over.emplace_back(to.data(), to.data() + bytes);
            coded.memory = Guarded(bytes);
            std::memcpy(coded.memory.data(), to.data(), bytes);
          }
          const size_t bytes = std::min(over[0].size(), over[1].size());
          size_t unwritten = 0, first = 0;
          for (size_t i = bytes; i-- > 0;)
            if (over[0][i] == kFills[0] && over[1][i] == kFills[1]) unwritten++, first = i;
          const uint64_t padding = codec.account(coded).padding;
          if (unwritten > padding)
            fail(
                fmt::format("encode() of {} rows of {} claims {} bytes but does not write {} of them, of which "
                            "account() calls {} padding; the first is byte {}",
                            rows, side_text(codec, side), bytes, unwritten, padding, first));
        }
  });
}

void codec_account(const Subject& subject) {
  code_everything(subject, kWatchAccount, true, [](const CodecProbe&, const Coded&) {});
  if (has_retain(subject)) wear_down(subject, kWatchAccount, [](const CodecProbe&, const Coded&, const Rows&) {});
}

// The host may show the first 64 bytes alone, with anything behind them.
void codec_account_head(const Subject& subject) {
  const auto look = [](const CodecProbe& codec, const Coded& coded) {
    const sluice_account whole = codec.account(coded);
    for (const unsigned char fill : {0x00, 0x5A, 0xFF}) {
      Coded head{coded.block, Guarded(coded.memory.size(), fill)};
      std::memcpy(head.memory.data(), coded.memory.data(), std::min<size_t>(64, coded.memory.size()));
      const sluice_account of_head = codec.account(head);
      if (std::memcmp(&whole, &of_head, sizeof whole) != 0)
        fail(
            fmt::format("account() of a block of {} rows of {} reads beyond the first 64 bytes: with {:#04x} behind "
                        "them it adds up to {} instead of {}",
                        coded.block.rows, side_text(codec, coded.block.side), fill, sum_of(of_head), sum_of(whole)));
    }
  };
  code_everything(subject, kWatchNothing, false, look);
  if (has_retain(subject))
    wear_down(subject, kWatchNothing,
              [&](const CodecProbe& codec, const Coded& coded, const Rows&) { look(codec, coded); });
}

void codec_reads(const Subject& subject) {
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const CodedLane lane(codec, side, subject.seed);
      for (const Coded& coded : lane.blocks()) {
        const auto before = coded.bytes();
        const auto expect_untouched = [&](const char* verb) {
          expect(coded.bytes() == before, fmt::format("{}() of {} writes to the block", verb, side_text(codec, side)));
        };
        codec.decode(coded);
        expect_untouched("decode");
        codec.account(coded);
        expect_untouched("account");
        if (!has_attention(subject)) continue;
        const std::vector<float> in = lane.queries(2, subject.seed);
        std::vector<float> out(2 * lane.outputs());
        lane.attend(2, 0, uint32_t(lane.spans().size()), in.data(), out.data());
        expect_untouched(side == SLUICE_KEY ? "dot" : "accumulate");
      }
    }
  });
}

}  // namespace sluice::check
