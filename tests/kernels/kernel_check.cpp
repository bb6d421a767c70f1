// Compares one table of kernels with the portable one, on random data of awkward sizes, and says where they differ.
// Needs no test framework, so that it can be built for a processor that this machine does not have and run under an
// emulator: see scripts/neon_check.sh. -DTABLE=kNeon names the table.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/kernels.h"

using namespace sluice::cpu;

namespace {

int failures = 0, checks = 0;
std::mt19937 rng(1);

float random_float(float scale) { return std::normal_distribution<float>(0, scale)(rng); }
std::vector<float> floats(size_t n, float scale = 1) {
  std::vector<float> x(n);
  for (float& e : x) e = random_float(scale);
  return x;
}

// Sums may be fused on one side and not on the other: as close as the largest number of the lot allows.
void compare(const std::string& what, const std::vector<float>& got, const std::vector<float>& want,
             float relative = 2e-5f) {
  checks++;
  float largest = 0;
  for (float x : want) largest = std::max(largest, std::fabs(x));
  for (size_t i = 0; i < want.size(); i++) {
    if (std::fabs(got[i] - want[i]) <= relative * largest) continue;
    std::printf("FAILED %s: element %zu is %.9g, portable says %.9g\n", what.c_str(), i, got[i], want[i]);
    failures++;
    return;
  }
}
void require(bool ok, const std::string& what) {
  checks++;
  if (ok) return;
  std::printf("FAILED %s\n", what.c_str());
  failures++;
}

void set_half(uint8_t* p, uint16_t h) { std::memcpy(p, &h, 2); }

std::vector<uint8_t> random_panel(const Layout& l, uint32_t columns) {
  std::vector<uint8_t> panel(size_t(columns) / l.columns * l.unit_bytes());
  for (uint8_t& b : panel) b = uint8_t(rng());
  for (size_t unit = 0; unit < panel.size(); unit += l.unit_bytes()) {
    if (l.columns == 1) {
      for (uint32_t r = 0; r < 16; r++) {
        uint8_t* at = panel.data() + unit + r * l.bytes;
        const float f = random_float(1);
        if (l.type == SLUICE_GGUF_F32) std::memcpy(at, &f, 4);
        if (l.type == SLUICE_GGUF_BF16) std::memcpy(at, reinterpret_cast<const char*>(&f) + 2, 2);
        if (l.type == SLUICE_GGUF_F16) set_half(at, uint16_t(0x3000 + rng() % 0x800 + (rng() % 2 ? 0x8000 : 0)));
      }
      continue;
    }
    for (uint32_t i = 0; i < (l.min ? 32u : 16u); i++) {
      set_half(panel.data() + unit + 2 * i, uint16_t(0x2400 + rng() % 0x400 + (rng() % 2 ? 0x8000 : 0)));
    }
  }
  return panel;
}

void check_matmul(const Kernels& k) {
  for (uint32_t i = 0; i < kLayoutCount; i++) {
    const Layout& l = kLayouts[i];
    const std::string name = sluice_gguf_type_info(l.type)->name;
    const uint32_t columns = l.columns == 256 ? 512 : l.columns == 32 ? 96 : 43;
    const std::vector<uint8_t> panel = random_panel(l, columns);
    for (uint32_t n : {1u, 2u, 3u, 5u, 7u, 15u, 17u, 64u}) {
      for (uint32_t valid : {16u, 5u}) {
        const std::vector<float> x = floats(size_t(n) * columns);
        std::vector<float> got(size_t(n) * 20, 7), want(size_t(n) * 20, 7);
        ExactCall exact{panel.data(), columns, x.data(), columns, n, got.data(), 20, valid};
        k.matmul->exact[i](exact);
        exact.out = want.data();
        kPortable.matmul->exact[i](exact);
        compare(name + " exact, " + std::to_string(n) + " rows", got, want);
        if (!k.matmul->fast[i]) continue;
        std::vector<QuantBlock> q(size_t(columns) / 32 * n);
        for (uint32_t t = 0; t < n; t++)
          kPortable.rows->quantize(x.data() + size_t(t) * columns, columns, q.data() + t, n);
        FastCall fast{panel.data(), columns, q.data(), n, n, got.data(), 20, valid};
        k.matmul->fast[i](fast);
        fast.out = want.data();
        kPortable.matmul->fast[i](fast);
        compare(name + " fast, " + std::to_string(n) + " rows", got, want);
      }
    }
  }
}

void check_rows(const Kernels& k) {
  for (uint32_t n : {32u, 96u, 576u}) {
    std::vector<float> x = floats(n, 3);
    x[5] = 0;
    if (n == 96) std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
    std::vector<QuantBlock> got(n / 32), want(n / 32);
    k.rows->quantize(x.data(), n, got.data(), 1);
    kPortable.rows->quantize(x.data(), n, want.data(), 1);
    require(std::memcmp(got.data(), want.data(), got.size() * sizeof(QuantBlock)) == 0,
            "quantize " + std::to_string(n));
  }
  for (uint32_t n : {3u, 8u, 43u, 576u}) {
    const std::vector<float> x = floats(n, 9), y = floats(n);
    std::vector<float> got(n), want(n);
    const auto both = [&](const std::string& what, auto run) {
      run(*k.rows, got.data());
      run(*kPortable.rows, want.data());
      compare(what + " of " + std::to_string(n), got, want, 1e-6f);
    };
    both("rmsnorm", [&](const RowKernels& r, float* out) { r.rmsnorm(x.data(), y.data(), n, 1e-5f, out); });
    both("silu_mul", [&](const RowKernels& r, float* out) { r.silu_mul(x.data(), y.data(), n, out); });
    both("add", [&](const RowKernels& r, float* out) { r.add(x.data(), y.data(), n, out); });
    both("rotate", [&](const RowKernels& r, float* out) {
      std::copy(x.begin(), x.end(), out);
      r.rotate(out, y.data(), n / 2 * 2);
    });
    std::vector<uint16_t> h(n), p(n);
    k.rows->to_half(x.data(), n, h.data());
    kPortable.rows->to_half(x.data(), n, p.data());
    require(h == p, "to_half");
  }
}

void check_attention(const Kernels& k) {
  for (uint32_t dim : {8u, 20u, 64u, 128u}) {
    for (bool scattered : {false, true}) {
      const uint32_t rows = 61, slots = 70, queries = 5, wide = padded_dim(dim), stride = 80;
      std::vector<uint16_t> half(size_t(rows) * dim), map(rows);
      const std::vector<float> values = floats(half.size());
      kPortable.rows->to_half(values.data(), uint32_t(values.size()), half.data());
      for (uint32_t r = 0; r < rows; r++) map[r] = uint16_t((r * 7 + 3) % slots);
      std::vector<uint32_t> pos(slots, SLUICE_FREE);
      for (uint32_t s = 0; s < slots; s++) {
        if (s % 5) pos[s] = (s * 13) % slots;
      }
      const sluice_span span{half.data(), scattered ? map.data() : nullptr, scattered ? 0u : 9u, rows};
      const LaneSlots lane{pos.data(), slots};
      const std::vector<float> q = floats(size_t(queries) * wide);
      const uint32_t position = 40;
      std::vector<float> got(size_t(queries) * stride), want(got);
      const auto both = [&](const std::string& what, auto run) {
        run(*k.attention, got);
        run(*kPortable.attention, want);
        compare(what + ", dim " + std::to_string(dim), got, want);
      };
      both("scores", [&](const AttentionKernels& a, std::vector<float>& out) {
        a.scores(q.data(), queries, dim, span, lane, position, out.data(), stride);
      });
      std::vector<float> by_row(got.size()), by_row_want(got.size());
      Softmax result{}, expected{};
      both("softmax", [&](const AttentionKernels& a, std::vector<float>& out) {
        Softmax& r = &out == &got ? result : expected;
        a.row_scores(q.data(), queries, dim, span, lane, position, (&out == &got ? by_row : by_row_want).data(),
                     stride);
        for (uint32_t i = 0; i < queries; i++) a.softmax(lane, position, 0.3f, out.data() + i * stride, &r);
      });
      compare("row_scores", by_row, by_row_want);
      compare("statistics", {result.top, result.inverse_sum}, {expected.top, expected.inverse_sum});
      for (const sluice_signal& wanted : {sluice_signal{SLUICE_SUM, 3, 0, 0}, sluice_signal{SLUICE_PEAK, 0, 1, 0}}) {
        const float* w = want.data() + size_t(queries - 1) * stride;
        const float share = k.attention->share(lane, position, wanted, w);
        compare("share", {share}, {kPortable.attention->share(lane, position, wanted, w)});
        std::vector<float> a(slots, 0.01f), b(slots, 0.01f);
        k.attention->signal(lane, position, wanted, share, w, a.data());
        kPortable.attention->signal(lane, position, wanted, share, w, b.data());
        compare("signal", a, b);
      }
      const size_t last = size_t(queries - 1) * stride;
      k.attention->row_weights(span, lane, position, 0.3f, expected, by_row.data() + last);
      kPortable.attention->row_weights(span, lane, position, 0.3f, expected, by_row_want.data() + last);
      compare("row_weights", {by_row.begin() + ptrdiff_t(last), by_row.begin() + ptrdiff_t(last + rows)},
              {by_row_want.begin() + ptrdiff_t(last), by_row_want.begin() + ptrdiff_t(last + rows)});
      std::vector<float> part(size_t(queries) * wide), part_want(part);
      k.attention->mix(want.data(), stride, queries, dim, span, lane, part.data());
      kPortable.attention->mix(want.data(), stride, queries, dim, span, lane, part_want.data());
      compare("mix", part, part_want);
    }
  }
}

}  // namespace

int main() {
  check_matmul(TABLE);
  check_rows(TABLE);
  check_attention(TABLE);
  std::printf("%s: %d checks against portable, %d failed\n", TABLE.name, checks, failures);
  return failures != 0;
}
