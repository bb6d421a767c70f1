// Checks of the operations that go row by row, against double.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check/backend_checks.h"
#include "sluice/gguf_types.h"

namespace sluice::check {

namespace {

void expect_near(double got, double want, double bound, const std::string& what, uint32_t row, uint32_t col) {
  if (!(std::abs(got - want) <= bound))
    fail(fmt::format("{}, row {}, column {}: {} instead of {}; rounding explains {:.3g}", what, row, col, got, want,
                     bound));
}

}  // namespace

void backend_rmsnorm(const Subject& subject) {
  constexpr uint32_t kRows = 50;
  constexpr float kEpsilon = 1e-5f;
  BackendProbe backend(subject);
  for (const uint32_t cols : {5u, 64u, 100u, 576u}) {
    backend.clear();
    const Weight gain(backend, SLUICE_GGUF_F32, 1, cols, subject.seed + 3);
    const Mat x = random_mat(kRows, cols, subject.seed + 1, 3);
    const sluice_mat in = backend.put(x), to = backend.room(kRows, cols);
    backend.check(backend.table->rmsnorm(backend.self, backend.exact, &in, gain.weight, kEpsilon, &to), "rmsnorm");
    const Mat out = backend.get(to);
    for (uint32_t t = 0; t < kRows; t++) {
      double squares = 0;
      for (uint32_t c = 0; c < cols; c++) squares += double(x.row(t)[c]) * x.row(t)[c];
      const double scale = 1 / std::sqrt(squares / cols + double(kEpsilon));
      for (uint32_t c = 0; c < cols; c++) {
        const double want = x.row(t)[c] * scale * gain.values.row(0)[c];
        // Half the relative error of the sum of squares, and five roundings.
        expect_near(out.row(t)[c], want, std::abs(want) * (cols / 2.0 + 6) * 0x1p-24, "rmsnorm()", t, c);
      }
    }
    backend.check(backend.table->rmsnorm(backend.self, backend.exact, &in, gain.weight, kEpsilon, &in), "rmsnorm");
    expect(backend.get(in).data == out.data, "rmsnorm() gives other bits in place");
  }
}

void backend_silu(const Subject& subject) {
  constexpr uint32_t kCols = 4001;
  BackendProbe backend(subject);
  Mat gate(1, kCols), up(1, kCols);
  for (uint32_t c = 0; c < kCols; c++) {
    gate.data[c] = (float(c) - 2000) / 20;
    up.data[c] = c % 3 ? 1.0f : -0.7f;
  }
  const sluice_mat g = backend.put(gate), u = backend.put(up), to = backend.room(1, kCols);
  backend.check(backend.table->silu_mul(backend.self, backend.exact, &g, &u, &to), "silu_mul");
  const Mat out = backend.get(to);
  for (uint32_t c = 0; c < kCols; c++) {
    const double x = gate.data[c], want = x / (1 + std::exp(-x)) * up.data[c];
    // 2 units in the last place of the exponential and three roundings; beyond -87 the result is next to nothing.
    expect_near(out.data[c], want, std::abs(want) * 6 * 0x1p-23 + 1e-36, fmt::format("silu_mul() of {}", x), 0, c);
  }
}

void backend_add(const Subject& subject) {
  constexpr uint32_t kRows = 30, kCols = 77;
  BackendProbe backend(subject);
  const Mat a = random_mat(kRows, kCols, subject.seed + 1), b = random_mat(kRows, kCols, subject.seed + 2),
            bias = random_mat(1, kCols, subject.seed + 3);
  const sluice_mat am = backend.put(a), bm = backend.put(b), one = backend.put(bias), to = backend.room(kRows, kCols);
  backend.check(backend.table->add(backend.self, backend.exact, &am, &bm, &to), "add");
  const Mat sum = backend.get(to);
  backend.check(backend.table->add(backend.self, backend.exact, &am, &one, &to), "add");
  const Mat biased = backend.get(to);
  for (size_t i = 0; i < a.data.size(); i++) {
    const uint32_t row = uint32_t(i / kCols), col = uint32_t(i % kCols);
    expect_near(sum.data[i], a.data[i] + b.data[i], 0, "add()", row, col);
    expect_near(biased.data[i], a.data[i] + bias.data[col], 0, "add() of a bias", row, col);
  }
  const std::vector<uint32_t> rows = {29, 0, 3, 3};
  const sluice_mat some = backend.room(uint32_t(rows.size()), kCols);
  backend.check(backend.table->gather(backend.self, backend.exact, &am, backend.put(rows), &some), "gather");
  const Mat gathered = backend.get(some);
  for (uint32_t t = 0; t < rows.size(); t++)
    expect(gathered.part(t, 1).data == a.part(rows[t], 1).data,
           fmt::format("gather() of row {} gives another", rows[t]));
}

void backend_rope(const Subject& subject) {
  constexpr uint32_t kDim = 64, kHeads = 3, kRows = 40;
  BackendProbe backend(subject);
  std::vector<float> frequency(kDim / 2);
  for (uint32_t i = 0; i < kDim / 2; i++) frequency[i] = std::pow(10000.0f, -2.0f * float(i) / kDim);
  std::vector<uint32_t> positions(kRows);
  for (uint32_t t = 0; t < kRows; t++) positions[t] = t * 211;
  const Mat before = random_mat(kRows, kHeads * kDim, subject.seed + 4);
  const sluice_mat x = backend.put(before);
  uint32_t* const where = backend.put(positions);
  float* const often = backend.put(frequency);
  for (int round = 0; round < 3; round++) {  // at the same addresses: angles that are kept must notice a change
    if (round == 1) positions[7] = 1;
    if (round == 2) frequency[5] *= 2;
    backend.upload(where, positions.data(), positions.size() * sizeof(uint32_t));
    backend.upload(often, frequency.data(), frequency.size() * sizeof(float));
    backend.upload(x.data, before.data.data(), before.data.size() * sizeof(float));
    backend.check(backend.table->rope(backend.self, backend.exact, &x, where, often, kDim), "rope");
    const Mat after = backend.get(x);
    const char* const what = round == 0   ? "rope()"
                             : round == 1 ? "rope() after a position changed"
                                          : "rope() after a frequency changed";
    for (uint32_t t = 0; t < kRows; t++)
      for (uint32_t c = 0; c < kHeads * kDim; c += 2) {
        const double angle = double(positions[t]) * double(frequency[c % kDim / 2]);
        const double a = before.row(t)[c], b = before.row(t)[c + 1], bound = (std::abs(a) + std::abs(b)) * 3 * 0x1p-24;
        expect_near(after.row(t)[c], a * std::cos(angle) - b * std::sin(angle), bound, what, t, c);
        expect_near(after.row(t)[c + 1], a * std::sin(angle) + b * std::cos(angle), bound, what, t, c + 1);
      }
  }
}

}  // namespace sluice::check
