// gear against the slow reference: its three parts, alone and together. Oracles 7 to 10 of the algorithms page.
#include <algorithm>

#include "tests/support/codec_driver.h"
#include "tests/support/codec_reference.h"

namespace sluice::testing {
namespace {

using reference::Matrix;
using reference::Vector;

Matrix matrix(const Rows& x, uint32_t columns) {
  Matrix m;
  for (size_t r = 0; r < x.size() / columns; r++)
    m.emplace_back(x.begin() + ptrdiff_t(r * columns), x.begin() + ptrdiff_t((r + 1) * columns));
  return m;
}
Matrix minus(Matrix a, const Matrix& b) {
  for (size_t r = 0; r < a.size(); r++)
    for (size_t c = 0; c < a[r].size(); c++) a[r][c] -= b[r][c];
  return a;
}

// Rows as a model's might be: white noise, keys with unlike channels, and a few directions above the noise.
std::vector<Rows> blocks(uint32_t n, uint32_t d) {
  std::vector<Rows> all = {random_rows(n, d, 1), key_like_rows(n, d, 2)};
  const Rows a = random_rows(n, 3, 4), b = random_rows(3, d, 5);
  Rows mixed = random_rows(n, d, 3, 0.3f);
  for (uint32_t r = 0; r < n; r++)
    for (uint32_t c = 0; c < d; c++)
      for (uint32_t k = 0; k < 3; k++) mixed[r * d + c] += a[r * 3 + k] * b[k * d + c];
  for (float& v : mixed) v = to_half_and_back(v);
  all.push_back(mixed);
  return all;
}

double counter(const CodecDriver& codec, const std::string& name) {
  for (const Counter& c : codec.instance().counters())
    if (c.name == name) return c.numerator / c.denominator;
  return -1;
}

// Without outliers decoding leaves the residual's remainder, so the remainder can be held against the best there is.
// Also oracle 8: the parts are orthogonal, |E|^2 = |L|^2 + |E - L|^2, as the counter that reports |L|^2 / |E|^2 shows.
TEST(CodecGear, O08_LowRankPartIsNearlyTheTruncatedSvd) {
  for (uint32_t d : {32u, 64u, 128u})
    for (const auto& [n, prompt] : {std::pair{64u, 0u}, {64u, 1u}, {256u, 1u}})
      for (uint32_t side : {0u, 1u}) {
        if (n == 256 && d == 128) continue;  // the reference would take minutes under sanitizers
        const int group = d == 32 ? 32 : 64;
        uint32_t kind = 0;
        for (const Rows& x : blocks(n, d)) {
          const Matrix residual = reference::gear(matrix(x, d), 2, side == SLUICE_KEY, true, size_t(group), 0).residual;
          const double total = reference::squares(residual);
          const Vector values = reference::singular_squares(residual);
          for (int rank : {1, 2, 4, 8, 16}) {
            const CodecDriver codec("gear", {{"group", group}, {"outliers", 0}, {"rank", rank}, {"rank_decode", rank}},
                                    d);
            const double best = reference::beyond_rank(values, size_t(rank));
            const Matrix back = matrix(codec.decode(codec.encode(side, x, 3, prompt)), d);
            const double left = reference::squares(minus(matrix(x, d), back));
            EXPECT_LE(std::sqrt(left), 1.05 * std::sqrt(best))
                << "d " << d << " rows " << n << " rank " << rank << " kind " << kind;
            // Half floats move each factor by 2^-11: what they add to the remainder is of second order.
            EXPECT_GE(std::sqrt(left), (1 - 1e-5) * std::sqrt(best));
            const double explained = counter(codec, side == SLUICE_KEY ? "explained K" : "explained V");
            EXPECT_NEAR(explained + left / total, 1, 1e-5);
          }
          kind++;
        }
      }
}

// Oracle 8, second half: rows that are multiples of two patterns have the same codes, so the residual has rank 2 and is
// recovered to the precision of half floats.
TEST(CodecGear, O08_PlantedResidualIsRecovered) {
  const uint32_t d = 64, n = 64;
  const Rows patterns = random_rows(2, d, 9);
  Rows x(n * d);
  for (uint32_t r = 0; r < n; r++)
    for (uint32_t c = 0; c < d; c++) x[r * d + c] = std::exp2(float(r % 5)) * patterns[(r / 5 % 2) * d + c];
  const CodecDriver plain("gear", {{"backbone", "uniform"}, {"outliers", 0}, {"rank_decode", 0}}, d);
  const CodecDriver codec("gear", {{"backbone", "uniform"}, {"outliers", 0}, {"rank_decode", 2}}, d);
  const double without = reference::squares(minus(matrix(x, d), matrix(plain.decode(plain.encode(0, x)), d)));
  const double with = reference::squares(minus(matrix(x, d), matrix(codec.decode(codec.encode(0, x)), d)));
  EXPECT_LT(std::sqrt(with), 1e-3 * std::sqrt(without));
}

TEST(CodecGear, O07_CorrectionNeverHurts) {
  for (uint32_t d : {32u, 64u, 128u})
    for (int bits : {2, 3, 4, 8})
      for (double outliers : {0.0, 0.02, 0.1})
        for (uint32_t side : {0u, 1u})
          for (const Rows& x : blocks(64, d)) {
            CodecParameters params = {{"bits", bits}, {"group", 32}, {"outliers", outliers}, {"rank_decode", 0}};
            const CodecDriver without("gear", params, d);
            params["rank_decode"] = 2;
            const CodecDriver with("gear", params, d);
            const double before =
                reference::squares(minus(matrix(x, d), matrix(without.decode(without.encode(side, x)), d)));
            const double after = reference::squares(minus(matrix(x, d), matrix(with.decode(with.encode(side, x)), d)));
            EXPECT_LE(std::sqrt(after), 1.001 * std::sqrt(before));
          }
}

// Which entries are outliers, how many, and that they come back to the precision of the half float that stands for
// what backbone and correction leave. The published code takes head_dim for the length of a channel's vector and so
// keeps all of a 64-row block: here two of 64 per channel.
TEST(CodecGear, O09_OutliersExactAndCountedByRows) {
  for (uint32_t d : {32u, 64u, 128u, 256u})
    for (uint32_t n : {64u, 128u, 256u})
      for (double share : {0.02, 0.05, 0.3})
        for (const bool grouped : {true, false})
          for (uint32_t side : {0u, 1u}) {
            const CodecDriver codec(
                "gear", {{"group", 32}, {"outliers", share}, {"backbone", grouped ? "group" : "uniform"}}, d);
            const Rows x = key_like_rows(n, d, n + d);
            const Coded coded = codec.encode(side, x);
            const Rows back = codec.decode(coded);
            const reference::Gear expected = reference::gear(matrix(x, d), 2, side == SLUICE_KEY, grouped, 32, share);
            const double norm = std::sqrt(reference::squares(expected.residual));
            const bool columns = side == SLUICE_KEY && grouped;
            const auto length = columns ? n : d, vectors = columns ? d : n;
            const auto tail = uint64_t(std::floor(length * share / 2 + 0.5));
            const sluice_account account = codec.account(coded);
            EXPECT_EQ(account.outlier_values, 2 * 2 * tail * vectors);
            EXPECT_EQ(account.outlier_indices, 2 * tail * vectors);
            EXPECT_EQ(account.row_pointers, columns && tail > 0 ? n * (d == 256 ? 2 : 1) : 0);
            uint64_t marked = 0;
            double wrong = 0;
            for (size_t i = 0; i < x.size(); i++) {
              const size_t r = i / d, c = i % d;
              if (!expected.outlier[r][c]) {
                wrong += std::fabs(double(x[i]) - back[i]);
                continue;
              }
              marked++;
              // The half float holds x - backbone - correction; the correction is at most as large as the residual's
              // norm.
              const double lacks = std::fabs(x[i] - expected.restored[r][c]) + norm;
              ASSERT_NEAR(back[i], x[i], std::exp2(-11) * lacks + 1e-7 * std::fabs(x[i]))
                  << "row " << r << " column " << c;
            }
            EXPECT_EQ(marked, 2 * tail * vectors);
            EXPECT_GT(wrong, 0);
            if (columns && n == 64 && share == 0.02) {
              EXPECT_EQ(marked, 2 * d);
            }
          }
}

// The sharp form of the same: without a correction the outlier comes back to half a unit of its own half float.
TEST(CodecGear, O09_OutliersWithoutCorrection) {
  const uint32_t d = 64, n = 64;
  const CodecDriver codec("gear", {{"rank_decode", 0}}, d);
  for (uint32_t side : {0u, 1u}) {
    const Rows x = key_like_rows(n, d, 8), back = codec.decode(codec.encode(side, x));
    const reference::Gear expected = reference::gear(matrix(x, d), 2, side == SLUICE_KEY, true, 64, 0.02);
    for (size_t i = 0; i < x.size(); i++) {
      const size_t r = i / d, c = i % d;
      const double backbone = expected.restored[r][c], scale = std::fabs(x[i]) + std::fabs(backbone);
      if (expected.outlier[r][c])
        ASSERT_NEAR(back[i], backbone + reference::half(x[i] - backbone), 1e-6 * scale);
      else
        ASSERT_NEAR(back[i], backbone, 1e-6 * scale);
    }
  }
}

TEST(CodecGear, O10_WithoutItsPartsItIsGroup) {
  for (uint32_t d : {32u, 64u, 128u, 256u})
    for (int bits : {2, 3, 4, 8})
      for (uint32_t n : {64u, 192u})
        for (uint32_t prompt : {0u, 1u})
          for (uint32_t side : {0u, 1u}) {
            const CodecDriver group("group", {{"bits", bits}, {"group", 32}}, d);
            const CodecDriver gear(
                "gear", {{"bits", bits}, {"group", 32}, {"rank", 0}, {"rank_decode", 0}, {"outliers", 0}}, d);
            const Rows x = key_like_rows(n, d, d + n);
            const Coded one = group.encode(side, x, 1, prompt), other = gear.encode(side, x, 1, prompt);
            const Rows a = group.decode(one), b = gear.decode(other);
            ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
            EXPECT_EQ(one.memory.size(), other.memory.size());
          }
}

TEST(CodecGear, O10_NothingToCorrectMeansRankZero) {
  for (uint32_t prompt : {0u, 1u})
    for (uint32_t side : {0u, 1u}) {
      const CodecDriver codec("gear", {{"outliers", 0}}, 64);
      Rows x(64 * 64);
      for (size_t i = 0; i < x.size(); i++) x[i] = side == SLUICE_KEY ? float(i % 64) : float(i / 64);
      const Coded coded = codec.encode(side, x, 1, prompt);
      EXPECT_EQ(codec.account(coded).low_rank, 0u);
      EXPECT_EQ(codec.decode(coded), x);
      EXPECT_EQ(counter(codec, side == SLUICE_KEY ? "explained K" : "explained V"), -1);
    }
}

TEST(CodecGear, RankIsThePromptsOrTheDecodedBlocks) {
  const CodecDriver codec("gear", {}, 64);
  for (uint32_t side : {0u, 1u}) {
    const Rows x = random_rows(64, 64, 1);
    EXPECT_EQ(codec.account(codec.encode(side, x, 1, 0)).low_rank, 2u * 2 * (64 + 64));
    EXPECT_EQ(codec.account(codec.encode(side, x, 1, 1)).low_rank, 2u * 4 * (64 + 64));
    // No more directions than rows; a channel's only value needs no correction.
    const uint64_t low_rank = codec.account(codec.encode(side, random_rows(1, 64, 1), 1, 1)).low_rank;
    EXPECT_EQ(low_rank, side == SLUICE_KEY ? 0u : 2u * 1 * (1 + 64));
  }
}

// Bytes against the formula of the algorithms page: b + 32/g + 16 r (1/d + 1/n) + 24 outliers/number + 16/d bits.
TEST(CodecGear, BytesAreWithinTheFormula) {
  for (uint32_t d : {64u, 128u})
    for (int bits : {2, 3, 4, 8})
      for (double share : {0.0, 0.02})
        for (const auto& [n, prompt] : {std::pair{64u, 0u}, {1024u, 1u}, {4096u, 1u}})
          for (uint32_t side : {0u, 1u}) {
            const CodecDriver codec("gear", {{"bits", bits}, {"outliers", share}}, d);
            const Coded coded = codec.encode(side, random_rows(n, d, 1), 1, prompt);
            const double length = side == SLUICE_KEY ? n : d, rank = prompt ? 4 : 2;
            const double outliers = 2 * std::floor(length * share / 2 + 0.5) / length;
            const double formula =
                bits + 32.0 / 64 + 16 * rank * (1.0 / d + 1.0 / n) + 24 * outliers + (share > 0 ? 16.0 / d : 0);
            const double measured = 8.0 * double(coded.memory.size()) / (double(n) * d);
            EXPECT_LE(measured, 1.03 * formula) << "bits " << bits << " d " << d << " n " << n << " side " << side;
          }
}

TEST(CodecGear, SeedsGiveTheSameBlockOrAnotherOfTheSameQuality) {
  const Rows x = key_like_rows(64, 64, 4);
  for (uint32_t side : {0u, 1u}) {
    const CodecDriver codec("gear", {}, 64), other("gear", {{"seed", 5}}, 64);
    const Coded a = codec.encode(side, x, 10), b = codec.encode(side, x, 10), c = codec.encode(side, x, 11),
                e = other.encode(side, x, 10);
    EXPECT_EQ(a.bytes(), b.bytes());
    EXPECT_NE(a.bytes(), c.bytes());
    EXPECT_NE(a.bytes(), e.bytes());
    const auto error = [&](const CodecDriver& from, const Coded& coded) {
      return std::sqrt(reference::squares(minus(matrix(x, 64), matrix(from.decode(coded), 64))));
    };
    EXPECT_NEAR(error(codec, c) / error(codec, a), 1, 0.02);
    EXPECT_NEAR(error(other, e) / error(codec, a), 1, 0.02);
  }
}

// Ties: of equal numbers those with the lower index are outliers, and the smallest are taken from what is left.
TEST(CodecGear, TiesGoToTheLowerIndex) {
  const uint32_t d = 32;
  const CodecDriver codec("gear", {{"backbone", "uniform"}, {"rank_decode", 0}, {"outliers", 0.125}},
                          d);  // 2 + 2 of 32
  Rows row(d, 1.0f);
  row[20] = 5, row[7] = 5, row[30] = 5;
  const Coded coded = codec.encode(SLUICE_VALUE, row);
  // pairs (4 bytes), four deltas, then the channels.
  const std::vector<int> channels(coded.memory.data() + 4 + 8, coded.memory.data() + 4 + 8 + 4);
  EXPECT_EQ(channels, (std::vector<int>{0, 1, 7, 20}));
  // What is left out is the top code: three half-float scales above 1.
  Rows back = codec.decode(coded);
  EXPECT_NEAR(back[30], 5, 4 * std::exp2(-11));
  back[30] = 5;
  EXPECT_EQ(back, row);
}

// A row whose every entry is an outlier of its channel: 256 of them do not fit a byte.
TEST(CodecGear, RowsMadeOfOutliersOnly) {
  for (uint32_t d : {128u, 256u}) {
    const CodecDriver codec("gear", {}, d);
    Rows x = random_rows(64, d, 3);
    for (uint32_t c = 0; c < d; c++) x[5 * d + c] = 1000, x[9 * d + c] = -1000;
    Coded coded = codec.encode(SLUICE_KEY, x);
    const Rows back = codec.decode(coded);
    for (uint32_t c = 0; c < d; c++) {
      ASSERT_NEAR(back[5 * d + c], 1000, 1);
      ASSERT_NEAR(back[9 * d + c], -1000, 1);
    }
    codec.retain(coded, {0, 5, 63});
    const Rows left = codec.decode(coded);
    EXPECT_EQ(std::memcmp(left.data() + d, back.data() + 5 * d, d * sizeof(float)), 0);
    EXPECT_EQ(codec.account(coded).outlier_indices, d);
  }
}

}  // namespace
}  // namespace sluice::testing
