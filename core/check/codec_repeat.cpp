// Checks of what a coded block depends on: its rows, its header and its seed, and on nothing else. Each check begins
// with what the one before it is about and steps aside where that does not hold, so that one fault is told once.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "core/check/codec_checks.h"

namespace sluice::check {

namespace {

using Bytes = std::vector<unsigned char>;

// Memory in which blocks of one size are coded, always at the same addresses and over the same junk.
struct Place {
  Guarded scratch, to;
  Place(const CodecProbe& codec, uint32_t side, uint32_t rows)
      : scratch(codec.scratch(side, rows, 0)), to(codec.bound(side, rows)) {}
  Bytes code(const CodecProbe& codec, const sluice_block& block, const Rows& x) const {
    std::memset(scratch.data(), Guarded::kJunk, scratch.size());
    std::memset(to.data(), Guarded::kJunk, to.size());
    const size_t bytes = codec.encode(block, x, scratch, to);
    return {to.data(), to.data() + bytes};
  }
};

size_t first_difference(const Bytes& a, const Bytes& b) {
  return size_t(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

void expect_same(const Bytes& a, const Bytes& b, const std::string& what) {
  expect(a == b, fmt::format("{}: {} and {} bytes, the first difference is byte {}", what, a.size(), b.size(),
                             first_difference(a, b)));
}

struct Sample {
  sluice_block block;
  Rows rows;
};
// Full blocks of rows of growing size, with a seed each, some of a prompt.
std::vector<Sample> samples(const CodecProbe& codec, uint32_t side, uint32_t count, uint64_t seed) {
  std::vector<Sample> all;
  for (uint32_t i = 0; i < count; i++) {
    Rows x = key_like_rows(codec.plan(side).block_rows, codec.head_dim, seed + i);
    for (float& v : x) v = to_half_and_back(v * (1 + float(i)));
    sluice_block block = block_of(side, x, codec.head_dim, seed + 7 + i, i % 2);
    block.layer = i % 2, block.kv_head = i % 4;
    all.push_back({block, std::move(x)});
  }
  return all;
}

constexpr uint32_t kBlocks = 8;

// All samples one after the other at one place.
std::vector<Bytes> code_all(const CodecProbe& codec, const Place& place, const std::vector<Sample>& all) {
  std::vector<Bytes> coded;
  for (const Sample& s : all) coded.push_back(place.code(codec, s.block, s.rows));
  return coded;
}

}  // namespace

void codec_deterministic(const Subject& subject) {
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
      for (const Sample& s : samples(codec, side, 2, subject.seed)) {
        const Place place(codec, side, s.block.rows);
        const Bytes first = place.code(codec, s.block, s.rows);
        for (int again = 0; again < 3; again++)
          expect_same(first, place.code(codec, s.block, s.rows),
                      fmt::format("encode() of the same rows of {} with seed {} gives other bytes when it is repeated",
                                  side_text(codec, side), s.block.seed));
      }
  });
}

void codec_independent(const Subject& subject) {
  each_size(subject, kFewHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    const CodecProbe other(*subject.registry, *subject.module, subject.values, codec.head_dim, kWatchNothing);
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      std::vector<Sample> all = samples(codec, side, kBlocks, subject.seed);
      const Place place(codec, side, all[0].block.rows);
      const Bytes first = place.code(codec, all[0].block, all[0].rows);
      if (place.code(codec, all[0].block, all[0].rows) != first) skip("it does not repeat itself at all");
      const std::vector<Bytes> forwards = code_all(codec, place, all);
      expect_same(first, place.code(codec, all[0].block, all[0].rows),
                  fmt::format("encode() of {} gives other bytes once other blocks were coded", side_text(codec, side)));
      std::reverse(all.begin(), all.end());
      std::vector<Bytes> backwards = code_all(other, place, all);
      std::reverse(backwards.begin(), backwards.end());
      for (uint32_t i = 0; i < kBlocks; i++)
        expect_same(forwards[i], backwards[i],
                    fmt::format("encode() of {} gives other bytes in another instance, where other blocks came first",
                                side_text(codec, side)));
    }
  });
}

void codec_moved(const Subject& subject) {
  each_size(subject, kFewHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const Sample s = samples(codec, side, 1, subject.seed)[0];
      const Place here(codec, side, s.block.rows), there(codec, side, s.block.rows);
      const Bytes first = here.code(codec, s.block, s.rows);
      if (here.code(codec, s.block, s.rows) != first) skip("it does not repeat itself even at one place");
      expect_same(first, there.code(codec, s.block, s.rows),
                  fmt::format("encode() of {} gives other bytes at another address", side_text(codec, side)));
      Coded coded{s.block, here.to};
      const Rows before = codec.decode(coded);
      Coded moved = coded;
      std::memset(coded.memory.data(), 0xDB, coded.memory.size());  // what still points there reads nonsense
      std::memset(here.to.data(), 0xDB, here.to.size());
      expect(codec.decode(moved) == before,
             fmt::format("decode() of {} gives other numbers once the block was moved", side_text(codec, side)));
    }
  });
}

void codec_threads(const Subject& subject) {
  each_size(subject, kFewHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const std::vector<Sample> all = samples(codec, side, kBlocks, subject.seed);
      const Place place(codec, side, all[0].block.rows);
      const std::vector<Bytes> alone = code_all(codec, place, all);
      std::vector<Rows> rows;
      for (uint32_t i = 0; i < kBlocks; i++) {
        Coded coded{all[i].block, Guarded(alone[i].size())};
        std::memcpy(coded.memory.data(), alone[i].data(), alone[i].size());
        rows.push_back(codec.decode(coded));
      }
      std::vector<Place> places(kBlocks, place);
      if (code_all(codec, places[0], all) != alone) skip("it does not repeat itself even on one thread");
      std::atomic<uint32_t> other_bytes{0}, other_rows{0};
      std::vector<std::thread> threads;
      for (uint32_t t = 0; t < kBlocks; t++)
        threads.emplace_back([&, t] {
          for (uint32_t k = 0; k < kBlocks; k++) {
            const uint32_t i = (t + k) % kBlocks;
            try {
              const Bytes bytes = places[t].code(codec, all[i].block, all[i].rows);
              other_bytes += bytes != alone[i];
              Coded coded{all[i].block, Guarded(alone[i].size())};
              std::memcpy(coded.memory.data(), alone[i].data(), alone[i].size());
              other_rows += codec.decode(coded) != rows[i];
            } catch (const Outcome&) {
              other_bytes++;
            }
          }
        });
      for (std::thread& thread : threads) thread.join();
      expect(other_bytes == 0,
             fmt::format("encode() of {} on eight threads gives other bytes than alone in {} of {} calls",
                         side_text(codec, side), other_bytes.load(), kBlocks * kBlocks));
      expect(other_rows == 0,
             fmt::format("decode() of {} on eight threads gives other bits than alone in {} of {} calls",
                         side_text(codec, side), other_rows.load(), kBlocks * kBlocks));
    }
  });
}

}  // namespace sluice::check
