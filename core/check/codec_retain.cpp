// Checks of retain(): rows leave a block, one by one and in runs, until one is left and then none.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "core/check/codec_checks.h"

namespace sluice::check {

namespace {

// Which rows of n stay in a round. One row leaves at first, later a third of them, at the end one by one; rounds of
// runs empty whole groups.
std::vector<uint32_t> keep_some(uint32_t n, uint32_t round, std::mt19937& random) {
  const uint32_t drop = round < 3 || n < 6 ? 1 : std::max(1u, n / 3);
  std::vector<uint32_t> all(n), keep;
  std::iota(all.begin(), all.end(), 0);
  if (round % 3 == 1) {
    const uint32_t from = random() % (n - drop + 1);
    for (uint32_t r = 0; r < n; r++)
      if (r < from || r >= from + drop) keep.push_back(r);
  } else {
    std::shuffle(all.begin(), all.end(), random);
    keep.assign(all.begin() + drop, all.end());
    std::sort(keep.begin(), keep.end());
  }
  return keep;
}

void wear_down_block(const CodecProbe& codec, uint32_t side, uint32_t prompt, uint64_t seed,
                     const std::function<void(const Coded& coded, const Rows& expected)>& look) {
  const sluice_codec_plan plan = codec.plan(side);
  const uint32_t d = codec.head_dim, longer = std::max(130u, plan.block_rows),
                 rows = std::min(prompt ? longer : plan.block_rows, most_rows(plan));
  Coded coded = codec.encode(side, key_like_rows(rows, d, seed + 11), seed + 3, prompt);
  Rows expected = codec.decode(coded);
  std::mt19937 random(uint32_t(seed) + side + 2 * prompt);
  for (uint32_t round = 0; coded.block.rows > 0; round++) {
    const std::vector<uint32_t> keep = keep_some(coded.block.rows, round, random);
    Rows left;
    for (const uint32_t r : keep)
      left.insert(left.end(), expected.begin() + ptrdiff_t(size_t(r) * d),
                  expected.begin() + ptrdiff_t(size_t(r + 1) * d));
    expected = left;
    codec.retain(coded, keep);
    if (!keep.empty()) look(coded, expected);  // the host frees an empty block and asks no more of it
  }
}

}  // namespace

void wear_down(const Subject& subject, uint32_t watch, const WornBlock& look) {
  need_retain(subject);
  each_size(subject, kHeadDims, watch, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE})
      for (const uint32_t prompt : {0u, 1u})
        wear_down_block(codec, side, prompt, subject.seed,
                        [&](const Coded& coded, const Rows& expected) { look(codec, coded, expected); });
  });
}

void codec_retain(const Subject& subject) {
  wear_down(subject, kWatchNothing, [](const CodecProbe& codec, const Coded& coded, const Rows& expected) {
    const Rows back = codec.decode(coded);
    for (size_t i = 0; i < back.size(); i++)
      if (std::memcmp(&back[i], &expected[i], sizeof(float)) != 0)
        fail(fmt::format("retain() of {} leaves {} rows, of which row {} changed from {} to {} in column {}",
                         side_text(codec, coded.block.side), coded.block.rows, i / codec.head_dim, expected[i], back[i],
                         i % codec.head_dim));
  });
}

void codec_retain_size(const Subject& subject) {
  wear_down(subject, kWatchGrowth, [](const CodecProbe&, const Coded&, const Rows&) {});
}

}  // namespace sluice::check
