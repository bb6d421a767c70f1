// turboquant, a codec of plugins/examples, against what its paper says: the rotation, the codebook and the distortion
// that both promise together. What every codec must do is tested with the built-in ones.
#include <algorithm>
#include <numbers>

#include "plugins/examples/turboquant/codebook.hpp"
#include "sluice/rotation.hpp"
#include "tests/support/codec_driver.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kHeadDims[] = {32, 64, 96, 128, 160, 224, 256};

// Row c: what becomes of channel c.
std::vector<Rows> matrix(const Rotation& rotation) {
  std::vector<Rows> rows;
  for (uint32_t c = 0; c < rotation.head_dim; c++) {
    rows.emplace_back(rotation.head_dim, 0.0f);
    rows[c][c] = 1;
    rotate(rotation, rows[c].data());
  }
  return rows;
}

TEST(ExampleCodecRotation, IsOrthonormal) {
  for (const uint32_t d : kHeadDims) {
    const std::vector<Rows> m = matrix(make_rotation(d, 7));
    for (uint32_t a = 0; a < d; a++)
      for (uint32_t b = 0; b < d; b++) {
        double sum = 0;
        for (uint32_t c = 0; c < d; c++) sum += double(m[a][c]) * m[b][c];
        ASSERT_NEAR(sum, a == b, 2e-6) << "head_dim " << d << " channels " << a << " and " << b;
      }
  }
}

TEST(ExampleCodecRotation, IsUndone) {
  for (const uint32_t d : kHeadDims) {
    const Rotation rotation = make_rotation(d, 3);
    const Rows x = random_rows(1, d, 9);
    Rows y = x;
    rotate(rotation, y.data());
    EXPECT_NE(x, y);
    rotate_back(rotation, y.data());
    for (uint32_t c = 0; c < d; c++) ASSERT_NEAR(x[c], y[c], 1e-5) << "head_dim " << d;
  }
}

// What one channel holds is spread: a coordinate of a random direction exceeds 5 deviations once in 10^6.
TEST(ExampleCodecRotation, SpreadsSingleChannelsAndFollowsItsSeed) {
  for (const uint32_t d : kHeadDims) {
    const std::vector<Rows> m = matrix(make_rotation(d, 7));
    for (const Rows& row : m)
      for (const float v : row) ASSERT_LT(std::fabs(v), 5 / std::sqrt(d)) << "head_dim " << d;
    EXPECT_EQ(m, matrix(make_rotation(d, 7)));
    EXPECT_NE(m, matrix(make_rotation(d, 8)));
  }
}

// The density of a coordinate of a random direction in d dimensions, in units of its deviation; not normalized.
double density(uint32_t d, double t) { return std::pow(std::max(0.0, 1 - t * t / d), (d - 3) / 2.0); }

// Moments 0 to 2 about `middle` between two numbers: mass, first moment, squares.
struct Moments {
  double mass = 0, first = 0, squares = 0;
};
Moments moments(uint32_t d, double from, double to, double middle) {
  constexpr int kSteps = 20000;
  Moments sum;
  for (int i = 0; i < kSteps; i++) {
    const double t = from + (to - from) * (i + 0.5) / kSteps, p = density(d, t) * (to - from) / kSteps;
    sum.mass += p, sum.first += p * t, sum.squares += p * (t - middle) * (t - middle);
  }
  return sum;
}

// The squared error per coordinate of a codebook.
double distortion(uint32_t d, const Codebook& book) {
  const double most = std::sqrt(double(d));
  double mass = 0, squares = 0;
  for (uint32_t i = 0; i < book.levels; i++) {
    const Moments cell =
        moments(d, i ? book.ends[i - 1] : -most, i + 1 < book.levels ? book.ends[i] : most, book.centroids[i]);
    mass += cell.mass, squares += cell.squares;
  }
  return squares / mass;
}

TEST(ExampleCodecTurboquant, CodebookIsAFixedPointOfLloydAndMax) {
  for (const uint32_t d : kHeadDims)
    for (const uint32_t bits : {2u, 3u, 4u}) {
      const Codebook book = make_codebook(d, bits);
      ASSERT_EQ(book.levels, 1u << bits);
      const double most = std::sqrt(double(d));
      for (uint32_t i = 0; i < book.levels; i++) {
        const double from = i ? book.ends[i - 1] : -most, to = i + 1 < book.levels ? book.ends[i] : most;
        const Moments cell = moments(d, from, to, 0);
        EXPECT_NEAR(book.centroids[i], cell.first / cell.mass, 2e-5) << d << " channels, " << bits << " bits";
        if (i > 0) {
          EXPECT_NEAR(book.ends[i - 1], (book.centroids[i - 1] + book.centroids[i]) / 2, 1e-6);
        }
        EXPECT_EQ(book.nearest(book.centroids[i]), i);
      }
    }
}

// Max's tables for the normal distribution (1960), which a coordinate in many dimensions approaches.
TEST(ExampleCodecTurboquant, CodebookApproachesThatOfTheNormalDistribution) {
  const Codebook two = make_codebook(1 << 16, 2), three = make_codebook(1 << 16, 3);
  const float of_two[] = {0.4528f, 1.510f}, of_three[] = {0.2451f, 0.7560f, 1.344f, 2.152f};
  for (int i = 0; i < 2; i++) EXPECT_NEAR(two.centroids[2 + i], of_two[i], 1e-3);
  for (int i = 0; i < 4; i++) EXPECT_NEAR(three.centroids[4 + i], of_three[i], 1e-3);
}

// Squares of what is lost and of what there was.
struct Loss {
  double lost = 0, all = 0;
  double relative() const { return lost / all; }
};
void add_loss(const CodecDriver& codec, const Rows& x, Loss& loss) {
  const Rows back = codec.decode(codec.encode(SLUICE_KEY, x, 1, 1));
  for (size_t i = 0; i < x.size(); i++) {
    loss.lost += (double(x[i]) - back[i]) * (double(x[i]) - back[i]);
    loss.all += double(x[i]) * x[i];
  }
}

// The paper's Theorem 1: whatever the row, the squared error is at most sqrt(3) pi / 2 * 4^-bits of its square. That is
// a mean over rotations, so there are many of them here: rows that are nearly one channel have the same fate in each.
TEST(ExampleCodecTurboquant, DistortionKeepsTheBoundForRowsOfAnyKind) {
  constexpr uint32_t kRows = 30;
  for (const uint32_t d : {64u, 96u, 128u})
    for (const int bits : {2, 3, 4}) {
      Loss spiked, offset;
      for (int seed = 0; seed < 60; seed++) {
        const CodecDriver codec("turboquant", {{"bits", bits}, {"seed", seed}}, d);
        Rows x = random_rows(kRows, d, 6, 0.1f), y = random_rows(kRows, d, 7);
        for (uint32_t r = 0; r < kRows; r++) {
          x[r * d + r % d] = 10;
          for (uint32_t c = 0; c < d; c += 3) y[r * d + c] = to_half_and_back(y[r * d + c] + 4);
        }
        add_loss(codec, x, spiked);
        add_loss(codec, y, offset);
      }
      const double bound = std::numbers::sqrt3 * std::numbers::pi / 2 / std::pow(4, bits);
      EXPECT_LT(spiked.relative(), bound) << d << " channels, " << bits << " bits";
      EXPECT_LT(offset.relative(), bound) << d << " channels, " << bits << " bits";
    }
}

// For random directions it is that of the codebook. A centroid is the mean of its cell, so the cosine between a
// direction and its code is sqrt(1 - distortion), and with the length given back that angle is what is lost; the
// scale of each row takes back a few parts in d more.
TEST(ExampleCodecTurboquant, DistortionOfRandomRowsIsTheCodebooks) {
  for (const uint32_t d : {64u, 128u})
    for (const int bits : {2, 3, 4}) {
      const CodecDriver codec("turboquant", {{"bits", bits}}, d);
      Loss loss;
      add_loss(codec, random_rows(1000, d, 5), loss);
      const double expected = 2 - 2 * std::sqrt(1 - distortion(d, make_codebook(d, uint32_t(bits))));
      EXPECT_NEAR(loss.relative() / expected, 1 - 1.0 / d, 3.0 / d) << d << " channels, " << bits << " bits";
    }
}

// Lengths survive: what is lost is direction.
TEST(ExampleCodecTurboquant, LengthsAreKept) {
  const CodecDriver codec("turboquant", {{"bits", 2}}, 64);
  const Rows x = key_like_rows(64, 64, 3), back = codec.decode(codec.encode(SLUICE_VALUE, x));
  for (size_t r = 0; r < 64; r++) {
    double before = 0, after = 0;
    for (size_t c = 0; c < 64; c++) before += std::pow(x[r * 64 + c], 2), after += std::pow(back[r * 64 + c], 2);
    EXPECT_NEAR(std::sqrt(after / before), 1, 1e-3) << "row " << r;
  }
}

TEST(ExampleCodecTurboquant, RowsTakeTheirCodesAndOneScale) {
  for (const uint32_t d : {32u, 64u, 128u, 256u})
    for (const int bits : {2, 3, 4}) {
      const CodecDriver codec("turboquant", {{"bits", bits}}, d);
      const sluice_account account = codec.account(codec.encode(SLUICE_KEY, random_rows(64, d, 1)));
      EXPECT_EQ(account.codes, 64u * d * uint32_t(bits) / 8);
      EXPECT_EQ(account.scales, 2u * 64);
      EXPECT_EQ(account.padding, 0u);
    }
}

TEST(ExampleCodecTurboquant, RefusesHeadsThatItCannotPack) { EXPECT_THROW(CodecDriver("turboquant", {}, 48), Error); }

}  // namespace
}  // namespace sluice::testing
