// The cpu backend's exponential, cache ranges, memory cap and messages; what all backends must do is in
// backend_contract_test.cpp.
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

TEST_P(Rows, GatherNamesTheRowThatIsNotThere) {
  Cpu cpu({2, GetParam(), "", true});
  Mat a = random_mat(30, 77, 1), some(4, 77);
  const sluice_mat from = a.view(), to = some.view();
  const std::vector<uint32_t> beyond = {30, 0, 0, 0};
  EXPECT_NE(message_of(cpu, cpu.table->gather(cpu.self, cpu.fast, &from, beyond.data(), &to)).find("row 30 of 30"),
            std::string::npos);
}

// ---- memory -----------------------------------------------------------------------------------------

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
