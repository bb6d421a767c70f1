// Checks of products with weights of every type against sums in double, and that neither batch nor threads nor the
// other queue show in a bit.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/check/backend_checks.h"
#include "sluice/gguf_types.h"

namespace sluice::check {

namespace {

Mat multiply(BackendProbe& backend, bool exact, const Weight& w, const Mat& x) {
  backend.clear();
  const sluice_mat in = backend.put(x), out = backend.room(x.rows, w.values.rows);
  backend.check(backend.table->matmul(backend.self, backend.queue(exact), &in, w.weight, &out), "matmul");
  return backend.get(out);
}

// The largest error that float sums may have: every product and every sum rounds once, and a partial sum is at most
// the sum of magnitudes. Scales that are products of two rounded numbers add two more roundings.
double float_bound(const float* w, const float* x, uint32_t cols) {
  double magnitude = 0;
  for (uint32_t c = 0; c < cols; c++) magnitude += std::abs(double(w[c]) * x[c]);
  return (cols + 8) * 0x1p-24 * magnitude;
}
// And what rounding activations to steps of (block's largest / 127) adds: half a step each. A weight with a min is a
// difference of larger numbers, of at most `spread` times its block's largest magnitude.
double quantized_bound(const float* w, const float* x, uint32_t cols) {
  double bound = 0;
  for (uint32_t b = 0; b < cols; b += 32) {
    double largest = 0, weights = 0, most = 0;
    for (uint32_t c = b; c < std::min(b + 32, cols); c++) {
      largest = std::max(largest, std::abs(double(x[c])));
      weights += std::abs(double(w[c]));
      most = std::max(most, std::abs(double(w[c])));
    }
    bound += largest / 127 * 0.5 * weights * (1 + 1e-5);
    bound += 32 * largest * 64 * most * (cols + 8) * 0x1p-24;  // parts of codes and of mins cancel: up to 63 to 1
  }
  return bound;
}

void expect_close(const Weight& w, const Mat& x, const Mat& got, bool quantized, const std::string& what) {
  for (uint32_t t = 0; t < x.rows; t++)
    for (uint32_t r = 0; r < w.values.rows; r++) {
      double want = 0;
      for (uint32_t c = 0; c < x.cols; c++) want += double(w.values.row(r)[c]) * x.row(t)[c];
      const double bound = (quantized ? quantized_bound : float_bound)(w.values.row(r), x.row(t), x.cols);
      const double error = std::abs(got.row(t)[r] - want);
      if (!(error <= bound))
        fail(fmt::format("matmul() of {}, batch row {} of {}, output {}: {} instead of {}; {} explains {:.3g}", what, t,
                         x.rows, r, got.row(t)[r], want, quantized ? "activations of 8 bits" : "rounding", bound));
    }
}

std::vector<uint32_t> types_of(BackendProbe& backend) {
  std::vector<uint32_t> types = all_types();
  std::erase_if(types, [&](uint32_t type) { return backend.table->weight_type(backend.self, type) != 1; });
  return types;
}

void check_matmul(const Subject& subject, bool exact) {
  BackendProbe backend(subject);
  for (const uint32_t type : types_of(backend)) {
    const uint32_t block = sluice_gguf_type_info(type)->block;
    for (const uint32_t rows : {16u, 1u, 2u, 37u})
      for (const uint32_t cols : {block == 1 ? 43u : block, 3 * std::max(block, 32u)}) {
        const Weight w(backend, type, rows, cols, subject.seed + rows + cols);
        for (const uint32_t batch : {1u, 3u, 17u}) {
          const Mat x = random_mat(batch, cols, subject.seed + batch);
          const std::string what =
              fmt::format("{} {}x{} on {} queue", type_name(type), rows, cols, exact ? "an exact" : "a fast");
          expect_close(w, x, multiply(backend, exact, w, x), !exact && !is_float_type(type), what);
        }
      }
  }
}

constexpr uint32_t kRows = 83, kBatch = 150, kCols = 512;

void expect_same(const Mat& a, const Mat& b, const std::string& what) {
  if (std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)) != 0) fail(what);
}

// A row's way through norm, product and gate.
Mat through(BackendProbe& backend, bool exact, const Weight& gain, const Weight& w, const Mat& x) {
  backend.clear();
  const sluice_mat in = backend.put(x), normed = backend.room(x.rows, x.cols),
                   out = backend.room(x.rows, w.values.rows);
  sluice_queue* const queue = backend.queue(exact);
  backend.check(backend.table->rmsnorm(backend.self, queue, &in, gain.weight, 1e-6f, &normed), "rmsnorm");
  backend.check(backend.table->matmul(backend.self, queue, &normed, w.weight, &out), "matmul");
  backend.check(backend.table->silu_mul(backend.self, queue, &out, &out, &out), "silu_mul");
  return backend.get(out);
}

}  // namespace

void backend_matmul_exact(const Subject& subject) { check_matmul(subject, true); }
void backend_matmul_fast(const Subject& subject) { check_matmul(subject, false); }

void backend_embed(const Subject& subject) {
  BackendProbe backend(subject);
  const std::vector<uint32_t> tokens = {0, 44, 17, 16, 15, 17};
  for (const uint32_t type : types_of(backend)) {
    const Weight w(backend, type, 45, kCols, subject.seed + 3);
    backend.clear();
    const sluice_mat out = backend.room(uint32_t(tokens.size()), kCols);
    backend.check(backend.table->embed(backend.self, backend.exact, w.weight, backend.put(tokens), &out), "embed");
    const Mat got = backend.get(out);
    for (uint32_t t = 0; t < tokens.size(); t++)
      expect_same(got.part(t, 1), w.values.part(tokens[t], 1),
                  fmt::format("embed() of {}: row {} is not what the file says", type_name(type), tokens[t]));
  }
}

void backend_batch(const Subject& subject) {
  BackendProbe backend(subject);
  const bool immediate = backend.device().immediate;
  const Weight gain(backend, SLUICE_GGUF_F32, 1, kCols, subject.seed + 3);
  const Mat x = random_mat(kBatch, kCols, subject.seed + 5);
  for (const uint32_t type : types_of(backend)) {
    const Weight w(backend, type, kRows, kCols, subject.seed + 7);
    for (const bool exact : {false, true}) {
      const Mat all = through(backend, exact, gain, w, x);
      expect_same(through(backend, exact, gain, w, x), all,
                  fmt::format("matmul() of {} gives other bits when it is repeated", type_name(type)));
      if (!immediate) continue;
      for (const uint32_t n : {1u, 2u, 3u, 5u, 7u, 16u, 65u})
        expect_same(through(backend, exact, gain, w, x.part(20, n)), all.part(20, n),
                    fmt::format("matmul() of {} gives a row other bits in a batch of {} than of {}", type_name(type), n,
                                kBatch));
    }
  }
}

void backend_threads(const Subject& subject) {
  if (!BackendProbe(subject).device().immediate) skip("its device has threads of its own");
  const Mat x = random_mat(kBatch, kCols, subject.seed + 5);
  std::vector<Mat> first;
  for (const unsigned threads : {1u, 2u, 3u}) {
    ThreadPool pool(threads);
    Registry registry({}, pool);
    BackendProbe backend(registry, *subject.module, subject.values);
    const Weight gain(backend, SLUICE_GGUF_F32, 1, kCols, subject.seed + 3);
    std::vector<Mat> results;
    for (const uint32_t type : types_of(backend)) {
      const Weight w(backend, type, kRows, kCols, subject.seed + 7);
      for (const bool exact : {false, true}) results.push_back(through(backend, exact, gain, w, x));
    }
    if (threads == 1) first = results;
    for (size_t i = 0; i < results.size(); i++)
      expect_same(
          first[i], results[i],
          fmt::format("matmul() of {} gives other bits on {} threads", type_name(types_of(backend)[i / 2]), threads));
  }
}

// Each step of one queue between two of the other, against each alone.
void backend_queues(const Subject& subject) {
  constexpr uint32_t kSteps = 8, kWidth = 256;
  BackendProbe backend(subject);
  const uint32_t type = backend.table->weight_type(backend.self, SLUICE_GGUF_Q8_0) == 1 ? uint32_t(SLUICE_GGUF_Q8_0)
                                                                                        : uint32_t(SLUICE_GGUF_F32);
  const Weight w(backend, type, kWidth, kWidth, subject.seed);
  const Mat x = random_mat(3, kWidth, subject.seed + 1);
  const auto chains = [&](std::vector<bool> queues) {
    backend.clear();
    std::vector<std::array<sluice_mat, 2>> mats;
    for (size_t i = 0; i < queues.size(); i++) mats.push_back({backend.put(x), backend.room(3, kWidth)});
    for (uint32_t s = 0; s < kSteps; s++)
      for (size_t i = 0; i < queues.size(); i++)
        backend.check(backend.table->matmul(backend.self, backend.queue(queues[i]), &mats[i][s % 2], w.weight,
                                            &mats[i][1 - s % 2]),
                      "matmul");
    std::vector<Mat> results;
    for (const auto& m : mats) results.push_back(backend.get(m[kSteps % 2]));
    return results;
  };
  const std::vector<Mat> both = chains({false, true});
  expect_same(both[0], chains({false})[0], "the fast queue gives other bits while the exact one is in use");
  expect_same(both[1], chains({true})[0], "the exact queue gives other bits while the fast one is in use");
}

}  // namespace sluice::check
