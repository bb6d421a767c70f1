// sluice/kernels.h: the packed form by golden values, half floats over all their values, products against double, and
// all tables against the portable one, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "sluice/kernels.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kWidths[] = {2, 3, 4, 8};

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (uint8_t b : bytes) text += "0123456789ABCDEF"[b >> 4], text += "0123456789ABCDEF"[b & 15];
  return text;
}

std::vector<const sluice_kernels*> tables() {
  std::vector<const sluice_kernels*> all;
  for (const char* isa : {"portable", "avx2", "avx512", "neon"})
    if (const sluice_kernels* table = sluice_kernels_named(isa)) all.push_back(table);
  return all;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  float normal() { return std::normal_distribution<float>()(engine_); }
  uint32_t below(uint32_t n) { return uint32_t(engine_() % n); }
  std::vector<float> floats(size_t n, float scale = 1) {
    std::vector<float> x(n);
    for (float& v : x) v = scale * normal();
    return x;
  }
  std::vector<uint8_t> codes(size_t n, uint32_t bits) {
    std::vector<uint8_t> c(n);
    for (uint8_t& v : c) v = uint8_t(below(1u << bits));
    return c;
  }

 private:
  std::mt19937_64 engine_;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(CodecKernels, GoldenPackedBytes) {
  const std::string two = "E4394E93E4394E93";
  const std::pair<uint32_t, std::string> golden[] = {
      {2, two}, {3, two + "5AD296B4"}, {4, "2075CA1F64B90E53B90E53A8FD4297EC"}};
  for (const sluice_kernels* k : tables())
    for (const auto& [bits, bytes] : golden) {
      std::vector<uint8_t> codes(32), packed(4 * bits);
      for (uint32_t i = 0; i < 32; i++) codes[i] = uint8_t((5 * i + i / 8) % (1u << bits));
      k->pack(bits, 32, codes.data(), packed.data());
      EXPECT_EQ(hex(packed), bytes) << k->isa << ' ' << bits << " bits";
    }
}

// Oracle 2: pack and unpack are inverse for every length, unused codes are 0, and nothing else is written.
TEST(CodecKernels, O02_PackingIsUndone) {
  Random random(1);
  for (const sluice_kernels* k : tables())
    for (uint32_t bits : kWidths)
      for (size_t n = 0; n <= 256; n++) {
        const size_t bytes = sluice_packed_bytes(bits, n);
        ASSERT_EQ(bytes, (n + 31) / 32 * 4 * bits);
        const std::vector<uint8_t> codes = random.codes(n, bits);
        std::vector<uint8_t> packed(bytes + 1, 0xA5), back(n + 1, 0xA5), all(bytes * 8 / bits, 0xA5);
        k->pack(bits, n, codes.data(), packed.data());
        k->unpack(bits, n, packed.data(), back.data());
        ASSERT_EQ(packed[bytes], 0xA5);
        ASSERT_EQ(back[n], 0xA5);
        ASSERT_TRUE(std::equal(codes.begin(), codes.end(), back.begin())) << k->isa << ' ' << bits << " bits, " << n;
        k->unpack(bits, all.size(), packed.data(), all.data());
        for (size_t i = n; i < all.size(); i++) ASSERT_EQ(all[i], 0);
      }
}

TEST(CodecKernels, HalfFloatsBothWays) {
  std::vector<uint16_t> halves(65536);
  for (uint32_t i = 0; i < 65536; i++) halves[i] = uint16_t(i);
  for (const sluice_kernels* k : tables()) {
    std::vector<float> x(65536);
    std::vector<uint16_t> back(65536);
    k->from_half(65536, halves.data(), x.data());
    k->to_half(65536, x.data(), back.data());
    for (uint32_t i = 0; i < 65536; i++) {
      const uint32_t exponent = i >> 10 & 31, mantissa = i & 1023;
      if (exponent == 31 && mantissa) {
        ASSERT_TRUE(std::isnan(x[i]));
        ASSERT_TRUE((back[i] & 0x7C00) == 0x7C00 && (back[i] & 0x3FF));
        continue;
      }
      const double size = exponent == 31 ? INFINITY
                          : exponent     ? std::ldexp(1024 + mantissa, int(exponent) - 25)
                                         : std::ldexp(mantissa, -24);
      ASSERT_EQ(double(x[i]), i & 0x8000 ? -size : size) << k->isa << ' ' << i;
      ASSERT_EQ(back[i], i);
    }
    // Halfway between two neighbours: to the even one; a hair to either side: to the nearer one.
    for (uint32_t i = 0; i < 0x7BFF; i++) {
      const double middle = (double(x[i]) + double(x[i + 1])) / 2;
      const float three[] = {std::nextafter(float(middle), 0.0f), float(middle), std::nextafter(float(middle), 1e9f)};
      uint16_t rounded[3];
      k->to_half(3, three, rounded);
      ASSERT_EQ(rounded[0], i) << k->isa;
      ASSERT_EQ(rounded[1], i + (i & 1)) << k->isa;
      ASSERT_EQ(rounded[2], i + 1) << k->isa;
    }
    std::vector<float> large = {65519.0f, 65520.0f, 1e30f, -1e30f, 0, 0, 0, 0, 65519.0f, 65520.0f};
    std::vector<uint16_t> rounded(large.size());
    k->to_half(large.size(), large.data(), rounded.data());
    EXPECT_EQ(rounded, (std::vector<uint16_t>{0x7BFF, 0x7C00, 0x7C00, 0xFC00, 0, 0, 0, 0, 0x7BFF, 0x7C00}));
  }
}

// To half a step, and three roundings of at most 2^-24 of the largest number, 1/16 of a step each.
TEST(CodecKernels, DigitsWriteNumbersTo21Bits) {
  Random random(2);
  for (const sluice_kernels* k : tables())
    for (size_t n : {32, 64, 96, 256}) {
      const std::vector<float> x = random.floats(n, 3);
      std::vector<int8_t> digits(3 * n + 1, 99);
      const double step = k->split(n, x.data(), nullptr, digits.data());
      EXPECT_EQ(digits[3 * n], 99);
      for (size_t i = 0; i < n; i++) {
        ASSERT_NEAR(step * (digits[i] + 128.0 * digits[n + i] + 16384.0 * digits[2 * n + i]), x[i], 0.7 * step);
        for (size_t d : {i, n + i, 2 * n + i}) ASSERT_TRUE(digits[d] >= -64 && digits[d] <= 63);
      }
    }
}

// To half a step of 2^-15 of the largest, and three roundings of at most 2^-24 of it, 1/512 of a step each. What is
// left over is a sum of n differences that are off by those three.
TEST(CodecKernels, SixteenBitsWriteScaledNumbers) {
  Random random(5);
  for (const sluice_kernels* k : tables())
    for (size_t n : {32, 40, 64, 96, 256}) {
      const std::vector<float> x = random.floats(n, 3), scale = random.floats(n);
      for (const float* by : {static_cast<const float*>(nullptr), scale.data()}) {
        std::vector<int16_t> whole(n + 1, 99);
        float rest = 99;
        const double step = k->fix(n, x.data(), by, whole.data(), &rest);
        EXPECT_EQ(whole[n], 99);
        int most = 0;
        double left = 0;
        for (size_t i = 0; i < n; i++) {
          const double exact = double(x[i]) * (by ? by[i] : 1.0f);
          ASSERT_NEAR(step * whole[i], exact, 0.506 * step) << k->isa;
          left += exact - step * whole[i];
          most = std::max(most, std::abs(int(whole[i])));
        }
        EXPECT_EQ(most, 32767);
        EXPECT_NEAR(rest, left, double(n) * step * 3 / 512) << k->isa << ' ' << n;
      }
    }
}

TEST(CodecKernels, NothingAndWhatIsNotFinite) {
  for (const sluice_kernels* k : tables()) {
    std::vector<int8_t> digits(96, 1);
    std::vector<int16_t> whole(32, 1);
    std::vector<float> x(32, 0.0f);
    EXPECT_EQ(k->split(32, x.data(), nullptr, digits.data()), 0.0f);
    float rest = 1;
    EXPECT_EQ(k->fix(32, x.data(), nullptr, whole.data(), &rest), 0.0f);
    EXPECT_EQ(rest, 0.0f);
    EXPECT_EQ(digits, std::vector<int8_t>(96, 0));
    EXPECT_EQ(whole, std::vector<int16_t>(32, 0));
    for (const float bad : {INFINITY, std::nanf("")}) {
      x[5] = bad;
      EXPECT_TRUE(std::isnan(k->split(32, x.data(), nullptr, digits.data())));
      EXPECT_TRUE(std::isnan(k->fix(32, x.data(), nullptr, whole.data(), &rest)));
    }
    x[5] = 3e38f;
    EXPECT_GT(k->split(32, x.data(), nullptr, digits.data()), 0.0f);
    EXPECT_GT(k->fix(32, x.data(), nullptr, whole.data(), &rest), 0.0f);
  }
}

// A matrix of codes, all at their largest if `extreme`: where sums are nearest to overflow.
struct Matrix {
  std::vector<uint8_t> codes, packed;
  sluice_codes view;
  Matrix(const sluice_kernels& k, Random& random, uint32_t bits, uint32_t rows, uint32_t cols, bool extreme)
      : codes(random.codes(size_t(rows) * cols, bits)) {
    const size_t row_bytes = sluice_packed_bytes(bits, cols) + 5;
    packed.resize(rows * row_bytes, 0xA5);
    if (extreme) std::fill(codes.begin(), codes.end(), uint8_t((1u << bits) - 1));
    for (uint32_t r = 0; r < rows; r++)
      k.pack(bits, cols, codes.data() + size_t(r) * cols, packed.data() + r * row_bytes);
    view = {packed.data(), row_bytes, bits, rows, cols};
  }
};
constexpr uint32_t kStride = 300;
constexpr float kUntouched = 7;

void each_matrix(auto check) {
  Random random(3);
  for (const sluice_kernels* k : tables())
    for (uint32_t bits : kWidths)
      for (uint32_t cols : {32u, 64u, 96u, 128u, 256u})
        for (uint32_t rows : {1u, 2u, 3u, 5u, 31u, 33u, 64u})
          for (uint32_t queries : {1u, 2u, 3u, 4u, 5u, 16u}) {
            const bool extreme = rows == 64;
            const Matrix matrix(*k, random, bits, rows, cols, extreme);
            SCOPED_TRACE(std::string(k->isa) + ' ' + std::to_string(bits) + " bits, " + std::to_string(rows) + 'x' +
                         std::to_string(cols) + ", " + std::to_string(queries) + " queries");
            check(*k, random, matrix, queries, extreme);
          }
}

// Against sums of integers, so that only the last roundings are left.
TEST(CodecKernels, ScoresAreExact) {
  each_matrix([](const sluice_kernels& k, Random& random, const Matrix& matrix, uint32_t queries, bool extreme) {
    const uint32_t rows = matrix.view.rows, cols = matrix.view.cols;
    std::vector<int16_t> whole(size_t(queries) * cols);
    std::vector<float> steps(queries), bias(queries), sums(queries * kStride, kUntouched);
    for (uint32_t i = 0; i < queries; i++) {
      steps[i] = 0.25f + float(i), bias[i] = 1000 * random.normal();
      for (uint32_t c = 0; c < cols; c++)
        whole[i * cols + c] = int16_t(extreme ? (i % 2 ? 32767 : -32767) : int(random.below(65535)) - 32767);
    }
    k.dot(&matrix.view, queries, whole.data(), steps.data(), bias.data(), kStride, sums.data());
    for (uint32_t i = 0; i < queries; i++) {
      for (uint32_t r = 0; r < rows; r++) {
        int64_t exact = 0;
        for (uint32_t c = 0; c < cols; c++) exact += whole[i * cols + c] * int64_t(matrix.codes[size_t(r) * cols + c]);
        const double product = steps[i] * double(exact), expected = product + bias[i];
        ASSERT_NEAR(sums[i * kStride + r], expected, 2e-7 * (std::fabs(product) + std::fabs(bias[i])));
      }
      for (uint32_t r = rows; r < kStride; r++) ASSERT_EQ(sums[i * kStride + r], kUntouched);
    }
  });
}

// Numbers that are all rounded down, so that errors add up: what is left over meets codes at their middle, and only
// their distance from there is felt.
TEST(CodecKernels, RoundingIsFeltFromTheMiddleOfCodes) {
  Random random(6);
  for (const sluice_kernels* k : tables())
    for (uint32_t bits : kWidths)
      for (uint32_t cols : {32u, 256u}) {
        const Matrix matrix(*k, random, bits, 8, cols, false);
        const double middle = ((1u << bits) - 1) / 2.0;
        std::vector<float> x(cols), sums(8);
        for (float& v : x) v = float(random.below(60000)) - 30000 + 0.4f;
        x[0] = 32767;  // a step of 1
        std::vector<int16_t> whole(cols);
        float rest;
        const float step = k->fix(cols, x.data(), nullptr, whole.data(), &rest);
        ASSERT_EQ(step, 1.0f);
        const float bias = rest * float(middle);
        k->dot(&matrix.view, 1, whole.data(), &step, &bias, 8, sums.data());
        for (uint32_t r = 0; r < 8; r++) {
          double exact = 0, distance = 0;
          for (uint32_t c = 0; c < cols; c++) {
            const double code = matrix.codes[size_t(r) * cols + c];
            exact += x[c] * code, distance += std::fabs(code - middle);
          }
          ASSERT_NEAR(sums[r], exact, 0.41 * distance + 2e-7 * (std::fabs(exact) + bias)) << k->isa << ' ' << bits;
        }
      }
}

TEST(CodecKernels, MixesAreExact) {
  each_matrix([](const sluice_kernels& k, Random& random, const Matrix& matrix, uint32_t queries, bool extreme) {
    const uint32_t rows = matrix.view.rows, cols = matrix.view.cols, n = SLUICE_CHUNK;
    std::vector<int8_t> digits(size_t(queries) * 3 * n, 0);
    std::vector<float> steps(queries), sums(queries * kStride, kUntouched);
    for (uint32_t i = 0; i < queries; i++) {
      steps[i] = 0.25f + float(i);
      for (uint32_t d = 0; d < 3 * n; d++)
        if (d % n < rows) digits[i * 3 * n + d] = int8_t(extreme ? (i % 2 ? 63 : -64) : int(random.below(128)) - 64);
    }
    k.mix(&matrix.view, queries, digits.data(), steps.data(), kStride, sums.data());
    for (uint32_t i = 0; i < queries; i++) {
      for (uint32_t c = 0; c < cols; c++) {
        int64_t exact = 0;
        for (uint32_t r = 0; r < rows; r++) {
          const int8_t* d = digits.data() + i * 3 * n + r;
          exact += (d[0] + 128 * d[n] + 16384 * d[2 * n]) * int64_t(matrix.codes[size_t(r) * cols + c]);
        }
        const double expected = steps[i] * double(exact);
        ASSERT_NEAR(sums[i * kStride + c], expected, 3e-7 * std::fabs(expected) + 1e-3);
      }
      for (uint32_t c = cols; c < kStride; c++) ASSERT_EQ(sums[i * kStride + c], kUntouched);
    }
  });
}

TEST(CodecKernels, QuantizeRoundsToEvenAndClamps) {
  for (const sluice_kernels* k : tables()) {
    std::vector<float> x(40), scale(40, 1.0f), zero(40, 0.0f);
    std::vector<uint8_t> codes(40), expected(40);
    for (uint32_t i = 0; i < 40; i++)
      x[i] = 0.5f * float(i) - 2, expected[i] = uint8_t(std::clamp(std::nearbyint(x[i]), 0.0f, 15.0f));
    scale[39] = 0, expected[39] = 0;
    k->quantize(40, x.data(), scale.data(), zero.data(), 15, codes.data());
    EXPECT_EQ(codes, expected) << k->isa;
  }
}

// All tables against the portable one.
TEST(CodecKernels, TablesAgreeBitForBit) {
  Random random(4);
  const sluice_kernels& plain = *sluice_kernels_portable();
  for (const sluice_kernels* k : tables())
    for (int round = 0; round < 40; round++) {
      const size_t n = 1 + random.below(300), rows = 1 + random.below(70), cols = 32 * (1 + random.below(8));
      const std::vector<float> a = random.floats(n), b = random.floats(n);
      const float one = plain.inner(n, a.data(), b.data()), other = k->inner(n, a.data(), b.data());
      ASSERT_EQ(std::memcmp(&one, &other, sizeof one), 0) << k->isa;

      std::vector<float> y0 = b, y1 = b;
      plain.axpy(n, a[0], a.data(), y0.data()), k->axpy(n, a[0], a.data(), y1.data());
      ASSERT_TRUE(same_bits(y0, y1)) << k->isa;

      const size_t count = random.below(9), stride = n + random.below(5);
      const std::vector<float> vectors = random.floats(9 * stride), weights = random.floats(9);
      std::vector<float> i0(count), i1(count), each(count);
      plain.inners(n, count, a.data(), vectors.data(), stride, i0.data());
      k->inners(n, count, a.data(), vectors.data(), stride, i1.data());
      for (size_t j = 0; j < count; j++) each[j] = plain.inner(n, a.data(), vectors.data() + j * stride);
      ASSERT_TRUE(same_bits(i0, i1) && same_bits(i0, each)) << k->isa;
      std::vector<float> z0 = b, z1 = b, one_by_one = b;
      plain.axpys(n, count, weights.data(), vectors.data(), stride, z0.data());
      k->axpys(n, count, weights.data(), vectors.data(), stride, z1.data());
      for (size_t j = 0; j < count; j++) plain.axpy(n, weights[j], vectors.data() + j * stride, one_by_one.data());
      ASSERT_TRUE(same_bits(z0, z1) && same_bits(z0, one_by_one)) << k->isa;

      std::vector<float> settled0 = b, settled1 = b;
      plain.settle(n, a.data(), vectors.data(), weights[0], vectors.data() + stride, settled0.data());
      k->settle(n, a.data(), vectors.data(), weights[0], vectors.data() + stride, settled1.data());
      ASSERT_TRUE(same_bits(settled0, settled1)) << k->isa;
      for (size_t j = 0; j < n; j++)
        ASSERT_EQ(settled0[j], b[j] + (a[j] * vectors[j] + weights[0] * vectors[stride + j]));

      const std::vector<float> q = random.floats(cols, std::exp(4 * random.normal())), by = random.floats(cols);
      for (const float* scale : {static_cast<const float*>(nullptr), by.data()}) {
        std::vector<int8_t> d0(3 * cols), d1(3 * cols);
        const float s0 = plain.split(cols, q.data(), scale, d0.data()), s1 = k->split(cols, q.data(), scale, d1.data());
        ASSERT_TRUE(s0 == s1 && d0 == d1) << k->isa;
        std::vector<int16_t> f0(cols), f1(cols);
        float rest0, rest1;
        const float t0 = plain.fix(cols, q.data(), scale, f0.data(), &rest0);
        const float t1 = k->fix(cols, q.data(), scale, f1.data(), &rest1);
        ASSERT_TRUE(t0 == t1 && f0 == f1 && rest0 == rest1) << k->isa;
      }

      const std::vector<float> x = random.floats(rows * n);
      std::vector<float> low0(n), low1(n), high0(n), high1(n);
      plain.range(rows, n, x.data(), low0.data(), high0.data()), k->range(rows, n, x.data(), low1.data(), high1.data());
      ASSERT_TRUE(same_bits(low0, low1) && same_bits(high0, high1)) << k->isa;

      std::vector<float> scale(n);
      for (size_t i = 0; i < n; i++) scale[i] = (high0[i] - low0[i]) / 15;
      std::vector<uint8_t> c0(n), c1(n);
      plain.quantize(n, x.data(), scale.data(), low0.data(), 15, c0.data());
      k->quantize(n, x.data(), scale.data(), low0.data(), 15, c1.data());
      ASSERT_EQ(c0, c1) << k->isa;
      std::vector<float> x0(n), x1(n);
      plain.dequantize(n, c0.data(), scale.data(), low0.data(), x0.data());
      k->dequantize(n, c0.data(), scale.data(), low0.data(), x1.data());
      ASSERT_TRUE(same_bits(x0, x1)) << k->isa;

      const size_t width = 8 * (1 + random.below(3));
      const std::vector<float> p = random.floats(n * width);
      std::vector<float> p0(rows * width), p1(rows * width), t0(n * width), t1(n * width);
      plain.project(rows, n, width, x.data(), p.data(), p0.data()),
          k->project(rows, n, width, x.data(), p.data(), p1.data());
      ASSERT_TRUE(same_bits(p0, p1)) << k->isa;
      plain.project_back(rows, n, width, x.data(), p0.data(), t0.data());
      k->project_back(rows, n, width, x.data(), p0.data(), t1.data());
      ASSERT_TRUE(same_bits(t0, t1)) << k->isa;
      for (size_t i = 0; i < 4; i++) {
        const size_t r = random.below(uint32_t(rows)), j = random.below(uint32_t(width));
        double sum = 0, size = 0;
        for (size_t c = 0; c < n; c++)
          sum += double(x[r * n + c]) * p[c * width + j], size += std::fabs(double(x[r * n + c]) * p[c * width + j]);
        ASSERT_NEAR(p0[r * width + j], sum, 2e-5 * size);
      }
    }
}

TEST(CodecKernels, TheEnvironmentMayNameATable) {
  const char* found = std::getenv("SLUICE_ISA");
  const std::string before = found ? found : "";
  unsetenv("SLUICE_ISA");
  const sluice_kernels* best = sluice_kernels_best();
  setenv("SLUICE_ISA", "portable", 1);
  EXPECT_STREQ(sluice_kernels_best()->isa, "portable");
  setenv("SLUICE_ISA", "abacus", 1);
  EXPECT_EQ(sluice_kernels_best(), best);
  if (before.empty())
    unsetenv("SLUICE_ISA");
  else
    setenv("SLUICE_ISA", before.c_str(), 1);
}

}  // namespace
}  // namespace sluice::testing
