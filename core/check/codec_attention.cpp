// Checks of attention on codes: what dot() and accumulate() compute, where they write it, and that its bits depend on
// neither tiles nor cuts.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check/codec_checks.h"
#include "core/check/codec_lane.h"

namespace sluice::check {

namespace {

// Errors of sums of factors times numbers, relative to sum |factor| * largest number of the block, which bounds what
// codes count. Of a chunk's weights one may outweigh all others; split at 2^-22 of the largest, with codes that span at
// most twice the largest number, each of n terms errs by at most 2^-21 of the largest factor: n * 2^-21 <= 3e-5 in all
// for a chunk of 64 rows, and sqrt(n / 3) * 2^-21 = 2e-6 on average; as a chunk's channels share the errors of its
// weights, an average over few queries may be three times that.
// Queries are drawn from N(0,1): the largest of n >= 32 is about three times their mean magnitude. As 16 bits they are
// off by at most 2^-16 of the largest, evenly, and a code counted from its middle is at most the largest number away
// (what all of a query is off times the middle is known, see sluice/kernels.h). So if all codes were at an end, scores
// would err by 3 / sqrt(3 n) * 2^-16 <= 4.7e-6 on average; six times that is 3e-5. Counted from 0 they err twice that.
struct SumErrors {
  static constexpr double kWorst = 3e-5, kMean = 7e-6;
  double worst = 0, squares = 0, sizes = 0;
  void add(double got, double sum, double size) {
    const double error = std::fabs(got - sum);
    worst = std::max(worst, std::isfinite(error) ? error / size : HUGE_VAL);
    squares += error * error, sizes += size * size;
  }
  double mean() const { return std::sqrt(squares / sizes); }
};

double largest(const Rows& x) {
  double most = 0;
  for (float v : x) most = std::max(most, double(std::fabs(v)));
  return most;
}

void add_scores(const CodecProbe& codec, const CodedLane& lane, uint32_t queries, uint64_t seed, SumErrors& error) {
  const uint32_t d = codec.head_dim;
  const std::vector<float> q = lane.queries(queries, seed);
  std::vector<float> scores(queries * lane.stride());
  lane.attend(queries, 0, uint32_t(lane.spans().size()), q.data(), scores.data());
  for (size_t s = 0; s < lane.spans().size(); s++) {
    const Rows k = codec.decode(lane.blocks()[s]);
    const double most = largest(k);
    for (uint32_t r = 0; r < lane.spans()[s].rows; r++)
      for (uint32_t i = 0; i < queries; i++) {
        double sum = 0, size = 0;
        for (uint32_t c = 0; c < d; c++) {
          sum += double(q[i * d + c]) * k[size_t(r) * d + c];
          size += std::fabs(q[i * d + c]) * most;
        }
        error.add(scores[i * lane.stride() + slot_of(lane.spans()[s], r)], sum, size);
      }
  }
}

void add_outputs(const CodecProbe& codec, const CodedLane& lane, uint32_t queries, uint64_t seed, SumErrors& error) {
  constexpr float kBefore = 0.25f;  // accumulate() adds to what is there
  const uint32_t d = codec.head_dim;
  const std::vector<float> weights = lane.queries(queries, seed);
  std::vector<float> out(size_t(queries) * d, kBefore);
  lane.attend(queries, 0, uint32_t(lane.spans().size()), weights.data(), out.data());
  std::vector<double> sum(out.size(), kBefore), size(out.size(), kBefore);
  for (size_t s = 0; s < lane.spans().size(); s++) {
    const Rows v = codec.decode(lane.blocks()[s]);
    const double most = largest(v);
    for (uint32_t i = 0; i < queries; i++)
      for (uint32_t r = 0; r < lane.spans()[s].rows; r++)
        for (uint32_t c = 0; c < d; c++) {
          const double weight = weights[i * lane.stride() + slot_of(lane.spans()[s], r)];
          sum[i * d + c] += weight * v[size_t(r) * d + c], size[i * d + c] += weight * most;
        }
  }
  for (size_t k = 0; k < sum.size(); k++) error.add(out[k], sum[k], size[k]);
}

void expect_near(const Subject& subject, uint32_t side) {
  need_attention(subject);
  const char* const verb = side == SLUICE_KEY ? "dot" : "accumulate";
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    const CodedLane lane(codec, side, subject.seed);
    for (const uint32_t queries : {1u, 3u, SLUICE_TILE}) {
      SumErrors error;
      (side == SLUICE_KEY ? add_scores : add_outputs)(codec, lane, queries, subject.seed + queries, error);
      expect(
          error.worst <= SumErrors::kWorst && error.mean() <= SumErrors::kMean,
          fmt::format("{}() of {} queries, {}: {:.3g} from the decoded rows at worst and {:.3g} on average, relative "
                      "to the sum of magnitudes; rounding explains {:.3g} and {:.3g}",
                      verb, queries, side_text(codec, side), error.worst, error.mean(), SumErrors::kWorst,
                      SumErrors::kMean));
    }
  });
}

// All queries over all spans in calls of at most `tile` queries and `cut` spans.
std::vector<float> in_parts(const CodedLane& lane, uint32_t queries, const std::vector<float>& in, uint32_t tile,
                            uint32_t cut) {
  const auto spans = uint32_t(lane.spans().size());
  std::vector<float> out(queries * lane.outputs());
  for (uint32_t q = 0; q < queries; q += tile)
    for (uint32_t s = 0; s < spans; s += cut)
      lane.attend(std::min(tile, queries - q), s, std::min(cut, spans - s), in.data() + q * lane.inputs(),
                  out.data() + q * lane.outputs());
  return out;
}

void expect_same_parts(const Subject& subject, std::span<const uint32_t> tiles, std::span<const uint32_t> cuts) {
  need_attention(subject);
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const CodedLane lane(codec, side, subject.seed);
      const std::vector<float> in = lane.queries(SLUICE_TILE, subject.seed + 1);
      const std::vector<float> whole = in_parts(lane, SLUICE_TILE, in, SLUICE_TILE, uint32_t(lane.spans().size()));
      for (const uint32_t tile : tiles)
        for (const uint32_t cut : cuts) {
          const std::vector<float> parts = in_parts(lane, SLUICE_TILE, in, tile, cut);
          expect(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)) == 0,
                 fmt::format("{}() of {}: tiles of {} queries and calls of {} spans give other bits than all at once",
                             side == SLUICE_KEY ? "dot" : "accumulate", side_text(codec, side), tile, cut));
        }
    }
  });
}

}  // namespace

void codec_dot(const Subject& subject) { expect_near(subject, SLUICE_KEY); }
void codec_accumulate(const Subject& subject) { expect_near(subject, SLUICE_VALUE); }

void codec_columns(const Subject& subject) {
  constexpr float kUntouched = -77;
  need_attention(subject);
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    const CodedLane lane(codec, SLUICE_KEY, subject.seed);
    for (const uint32_t queries : {1u, 3u, SLUICE_TILE}) {
      std::vector<char> written(lane.stride());
      for (const sluice_span& span : lane.spans())
        for (uint32_t r = 0; r < span.rows; r++) written[slot_of(span, r)] = 1;
      const std::vector<float> q = lane.queries(queries, subject.seed);
      std::vector<float> scores(queries * lane.stride(), kUntouched);
      lane.attend(queries, 0, uint32_t(lane.spans().size()), q.data(), scores.data());
      for (uint32_t i = 0; i < queries; i++)
        for (size_t c = 0; c < lane.stride(); c++)
          if (!written[c] && scores[i * lane.stride() + c] != kUntouched)
            fail(fmt::format("dot() of {}, query {}: wrote column {}, which is no row's slot",
                             side_text(codec, SLUICE_KEY), i, c));
    }
  });
}

void codec_tiles(const Subject& subject) {
  static constexpr uint32_t kTiles[] = {1, 3, 7}, kWhole[] = {4};
  expect_same_parts(subject, kTiles, kWhole);
}

void codec_cuts(const Subject& subject) {
  static constexpr uint32_t kWhole[] = {SLUICE_TILE}, kCuts[] = {1, 2, 3};
  expect_same_parts(subject, kWhole, kCuts);
}

}  // namespace sluice::check
