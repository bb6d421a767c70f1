// Row operations, buffers and the memory cap of the cpu backend.
#include <algorithm>

#include "tests/backend_fixture.h"

namespace sluice::testing {
namespace {

std::string message_of(const Cpu& cpu, sluice_status status) {
  try {
    cpu.check(status);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

class Rows : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Isas, Rows, ::testing::ValuesIn(usable_isas()), [](const auto& info) { return info.param; });

TEST_P(Rows, Rmsnorm) {
  Cpu cpu({2, GetParam(), "", true});
  for (uint32_t cols : {5u, 64u, 100u, 576u}) {
    const Weight gain(cpu, SLUICE_GGUF_F32, 1, cols, 3);
    Mat x = random_mat(50, cols, 1, 3), out(50, cols);
    const sluice_mat in = x.view(), to = out.view();
    cpu.check(cpu.table->rmsnorm(cpu.self, cpu.fast, &in, gain.weight, 1e-5f, &to));
    for (uint32_t t = 0; t < 50; t++) {
      double squares = 0;
      for (uint32_t c = 0; c < cols; c++) squares += double(x.row(t)[c]) * x.row(t)[c];
      const double scale = 1 / std::sqrt(squares / cols + double(1e-5f));
      for (uint32_t c = 0; c < cols; c++) {
        const double want = x.row(t)[c] * scale * gain.values.row(0)[c];
        // Half the relative error of the sum of squares, and five roundings.
        ASSERT_NEAR(out.row(t)[c], want, std::abs(want) * (cols / 2.0 + 6) * 0x1p-24);
      }
    }
    cpu.check(cpu.table->rmsnorm(cpu.self, cpu.fast, &in, gain.weight, 1e-5f, &in));  // in place
    EXPECT_EQ(x.data, out.data);
  }
}

TEST_P(Rows, SiluMul) {
  Cpu cpu({1, GetParam(), "", true});
  Mat gate(1, 4001), up(1, 4001), out(1, 4001);
  for (uint32_t c = 0; c < 4001; c++) {
    gate.data[c] = (float(c) - 2000) / 20;
    up.data[c] = c % 3 ? 1.0f : -0.7f;
  }
  const sluice_mat g = gate.view(), u = up.view(), to = out.view();
  cpu.check(cpu.table->silu_mul(cpu.self, cpu.fast, &g, &u, &to));
  for (uint32_t c = 0; c < 4001; c++) {
    const double x = gate.data[c], want = x / (1 + std::exp(-x)) * up.data[c];
    // 2 units in the last place of the exponential and three roundings; beyond -87 the result is next to nothing.
    ASSERT_NEAR(out.data[c], want, std::abs(want) * 6 * 0x1p-23 + 1e-36) << x;
  }
}

TEST_P(Rows, ExponentialIsWithinTwoUnits) {  // read off silu: with up = 1, e^-x = x / silu(x) - 1
  Cpu cpu({1, GetParam(), "", true});
  Mat gate(1, 20000), up(1, 20000), out(1, 20000);
  for (uint32_t c = 0; c < 20000; c++) {
    gate.data[c] = -(float(c) + 0.37f) * 0.0007f;  // e^-x from 1 to 1.2e6
    up.data[c] = 1;
  }
  const sluice_mat g = gate.view(), u = up.view(), to = out.view();
  cpu.check(cpu.table->silu_mul(cpu.self, cpu.fast, &g, &u, &to));
  for (uint32_t c = 0; c < 20000; c++) {
    const double x = gate.data[c], e = std::exp(-x);
    const double exponential = x / double(out.data[c]) - 1;
    // 2 units (2^-23 each, relative) of e, and one rounding each for 1 + e and the quotient.
    ASSERT_NEAR(exponential, e, e * 2 * 0x1p-23 + (1 + e) * 2 * 0x1p-24) << x;
  }
}

TEST_P(Rows, AddAndGather) {
  Cpu cpu({2, GetParam(), "", true});
  Mat a = random_mat(30, 77, 1), b = random_mat(30, 77, 2), bias = random_mat(1, 77, 3), out(30, 77);
  const sluice_mat am = a.view(), bm = b.view(), one = bias.view(), to = out.view();
  cpu.check(cpu.table->add(cpu.self, cpu.fast, &am, &bm, &to));
  for (size_t i = 0; i < a.data.size(); i++) ASSERT_EQ(out.data[i], a.data[i] + b.data[i]);
  cpu.check(cpu.table->add(cpu.self, cpu.fast, &am, &one, &to));
  for (size_t i = 0; i < a.data.size(); i++) ASSERT_EQ(out.data[i], a.data[i] + bias.data[i % 77]);

  const std::vector<uint32_t> rows = {29, 0, 3, 3};
  Mat some(4, 77);
  const sluice_mat gathered = some.view();
  cpu.check(cpu.table->gather(cpu.self, cpu.fast, &am, rows.data(), &gathered));
  for (uint32_t t = 0; t < 4; t++) EXPECT_TRUE(std::equal(some.row(t), some.row(t) + 77, a.row(rows[t])));
  const std::vector<uint32_t> beyond = {30, 0, 0, 0};
  EXPECT_NE(message_of(cpu, cpu.table->gather(cpu.self, cpu.fast, &am, beyond.data(), &gathered)).find("row 30 of 30"),
            std::string::npos);
}

TEST_P(Rows, RopeTurnsPairs) {
  Cpu cpu({2, GetParam(), "", true});
  constexpr uint32_t kDim = 64, kHeads = 3, kRows = 40;
  Floats frequency(kDim / 2);
  for (uint32_t i = 0; i < kDim / 2; i++) frequency[i] = std::pow(10000.0f, -2.0f * float(i) / kDim);
  std::vector<uint32_t> positions(kRows);
  for (uint32_t t = 0; t < kRows; t++) positions[t] = t * 211;
  for (int round = 0; round < 3; round++) {  // angles are kept between calls: changed ones must be noticed
    if (round == 1) positions[7] = 1;
    if (round == 2) frequency[5] *= 2;
    Mat x = random_mat(kRows, kHeads * kDim, 4);
    const Mat before = x;
    const sluice_mat in = x.view();
    cpu.check(cpu.table->rope(cpu.self, cpu.fast, &in, positions.data(), frequency.data(), kDim));
    for (uint32_t t = 0; t < kRows; t++) {
      for (uint32_t c = 0; c < kHeads * kDim; c += 2) {
        const double angle = double(positions[t]) * double(frequency[c % kDim / 2]);
        const double a = before.row(t)[c], b = before.row(t)[c + 1], bound = (std::abs(a) + std::abs(b)) * 3 * 0x1p-24;
        ASSERT_NEAR(x.row(t)[c], a * std::cos(angle) - b * std::sin(angle), bound) << round << " " << t << " " << c;
        ASSERT_NEAR(x.row(t)[c + 1], a * std::sin(angle) + b * std::cos(angle), bound) << round << " " << t << " " << c;
      }
    }
  }
}

TEST_P(Rows, DoNotDependOnTheBatch) {
  Cpu one({1, GetParam(), "", true}), three({3, GetParam(), "", true});
  const uint32_t cols = 1000, rows = 300;
  Mat x = random_mat(rows, cols, 1), a(rows, cols), b(rows, cols), up = random_mat(rows, cols, 2);
  const auto apply = [&](Cpu& cpu, uint32_t first, uint32_t n, Mat& out) {
    const Weight gain(cpu, SLUICE_GGUF_F32, 1, cols, 3);
    const sluice_mat in{x.row(first), n, cols}, to{out.row(first), n, cols}, u{up.row(first), n, cols};
    cpu.check(cpu.table->rmsnorm(cpu.self, cpu.fast, &in, gain.weight, 1e-6f, &to));
    cpu.check(cpu.table->silu_mul(cpu.self, cpu.fast, &to, &u, &to));
  };
  apply(three, 0, rows, a);
  for (uint32_t t = 0; t < rows; t += 30) apply(one, t, 30, b);
  EXPECT_EQ(a.data, b.data);
}

// ---- memory -----------------------------------------------------------------------------------------

TEST(Memory, BuffersAreZeroAlignedAndCopied) {
  Cpu cpu;
  for (uint32_t use : {SLUICE_USE_WEIGHTS, SLUICE_USE_ACTIVATIONS, SLUICE_USE_STAGING}) {
    void* address = nullptr;
    cpu.check(cpu.table->buffer_create(cpu.self, use, 100000, &address));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(address) % (2u << 20), 0u);
    auto* bytes = static_cast<uint8_t*>(address);
    EXPECT_TRUE(std::all_of(bytes, bytes + 100000, [](uint8_t b) { return b == 0; }));
    const std::vector<uint8_t> from = {1, 2, 3};
    std::vector<uint8_t> back(3);
    cpu.check(cpu.table->write(cpu.self, cpu.fast, bytes + 50, from.data(), 3));
    cpu.check(cpu.table->read(cpu.self, cpu.fast, bytes + 50, back.data(), 3));
    EXPECT_EQ(from, back);
    cpu.check(cpu.table->fill(cpu.self, cpu.fast, bytes, 7, 10));
    EXPECT_EQ(bytes[9], 7);
    EXPECT_EQ(bytes[10], 0);
    cpu.table->buffer_destroy(cpu.self, address);
  }
}

TEST(Memory, CacheComesAndGoes) {
  Cpu cpu;
  void* address = nullptr;
  cpu.check(cpu.table->buffer_create(cpu.self, SLUICE_USE_CACHE, uint64_t(64) << 30, &address));  // space, not memory
  auto* bytes = static_cast<uint8_t*>(address) + (uint64_t(8) << 30);
  cpu.check(cpu.table->commit(cpu.self, bytes, 1 << 20, 1));
  EXPECT_EQ(bytes[12345], 0);
  bytes[12345] = 9;
  cpu.check(cpu.table->commit(cpu.self, bytes, 1 << 20, 0));
  cpu.check(cpu.table->commit(cpu.self, bytes, 1 << 20, 1));
  EXPECT_EQ(bytes[12345], 0);
  EXPECT_NE(message_of(cpu, cpu.table->commit(cpu.self, bytes + 8, 4096, 1)).find("multiples of a page"),
            std::string::npos);
  EXPECT_NE(message_of(cpu, cpu.table->commit(cpu.self, static_cast<uint8_t*>(address) + (uint64_t(64) << 30), 4096, 1))
                .find("does not lie in one CACHE buffer"),
            std::string::npos);
  cpu.table->buffer_destroy(cpu.self, address);
}

TEST(Memory, CapCountsWeightsBuffersAndCache) {
  Cpu cpu({1, "auto", "8MiB", true});
  void *activations = nullptr, *cache = nullptr, *more = nullptr;
  cpu.check(cpu.table->buffer_create(cpu.self, SLUICE_USE_ACTIVATIONS, 2 << 20, &activations));
  cpu.check(cpu.table->buffer_create(cpu.self, SLUICE_USE_CACHE, 64 << 20, &cache));
  cpu.check(cpu.table->commit(cpu.self, cache, 4 << 20, 1));
  const std::string refused =
      message_of(cpu, cpu.table->commit(cpu.self, static_cast<uint8_t*>(cache) + (4 << 20), 3 << 20, 1));
  EXPECT_NE(refused.find("asked for 3.00 MiB more, but 6.00 MiB are in use and memory allows 8.00 MiB in all"),
            std::string::npos)
      << refused;
  EXPECT_NE(message_of(cpu, cpu.table->buffer_create(cpu.self, SLUICE_USE_STAGING, 3 << 20, &more)).find("staging"),
            std::string::npos);
  const std::vector<uint8_t> data(3 << 20);
  sluice_weight* w = nullptr;
  EXPECT_NE(
      message_of(cpu, cpu.table->weight_create(cpu.self, SLUICE_GGUF_F32, 768, 1024, data.data(), data.size(), &w))
          .find("weights: asked for 3.00 MiB"),
      std::string::npos);
  cpu.check(cpu.table->commit(cpu.self, cache, 2 << 20, 0));  // what is given back can be had again
  cpu.check(cpu.table->weight_create(cpu.self, SLUICE_GGUF_F32, 768, 1024, data.data(), data.size(), &w));
  cpu.table->weight_destroy(cpu.self, w);
  cpu.table->buffer_destroy(cpu.self, cache);
  cpu.table->buffer_destroy(cpu.self, activations);
  cpu.check(cpu.table->buffer_create(cpu.self, SLUICE_USE_STAGING, 8 << 20, &more));
}

TEST(Create, RefusesWhatItCannotServe) {
  const auto refusal = [](const Options& options) -> std::string {
    try {
      Cpu cpu(options);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(refusal({1, "auto", "16GX", true}).find("\"16GX\" is no size"), std::string::npos);
  EXPECT_NE(refusal({1, "auto", "-3", true}).find("is no size"), std::string::npos);
  EXPECT_EQ(refusal({1, "auto", "1.5 GiB", true}), "");
  const auto usable = usable_isas();
  for (const char* isa : {"avx2", "avx512vnni", "neon"}) {
    if (std::find(usable.begin(), usable.end(), isa) != usable.end()) continue;
    EXPECT_NE(refusal({1, isa, "", true}).find("this processor"), std::string::npos) << isa;
  }
}

TEST(Create, SaysWhatItIs) {
  Cpu cpu;
  sluice_device device;
  cpu.check(cpu.table->device(cpu.self, &device));
  EXPECT_EQ(device.immediate, 1u);
  EXPECT_EQ(device.cuda_version, 0u);
  EXPECT_GT(device.memory_total, device.memory_free);
  EXPECT_NE(std::string(device.name), "");
}

// Instruction sets that this machine lacks are listed as skipped, so that nobody takes them for tested.
class Isa : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Isa, ::testing::Values("portable", "avx2", "avx512vnni", "neon"),
                         [](const auto& info) { return std::string(info.param); });
TEST_P(Isa, IsTestedHere) {
  const auto usable = usable_isas();
  if (std::find(usable.begin(), usable.end(), GetParam()) == usable.end()) {
    GTEST_SKIP() << GetParam() << ": this processor does not have it; its kernels are not tested here";
  }
  EXPECT_EQ(Cpu({1, GetParam(), "", true}).kernels(), GetParam());
}

}  // namespace
}  // namespace sluice::testing
