// What the cpu backend's attention promises beyond the checks of all backends (backend_contract_test.cpp): its three
// verbs give the bits of the fused one, long lanes split by segment give those of decoding, positions that are right
// are left alone.
#include <sys/mman.h>

#include "core/check/backend_lanes.h"
#include "tests/backend_fixture.h"

namespace sluice::testing {
namespace {

using check::How;
using check::LaneShape;
using check::LaneText;
using check::Sequence;

constexpr sluice_signal kSum{SLUICE_SUM, 0, 0, 0}, kPeak{SLUICE_PEAK, 4, 1, 0};

void expect_same(const Sequence& a, const Sequence& b, const std::string& what) {
  EXPECT_EQ(std::memcmp(a.out.data.data(), b.out.data.data(), a.out.data.size() * 4), 0) << "outputs: " << what;
  EXPECT_EQ(std::memcmp(a.signal.data(), b.signal.data(), a.signal.size() * 4), 0) << "signals: " << what;
}

struct Case {
  LaneShape g;
  uint32_t tokens;
};
const Case kCases[] = {
    {{4, 2, 32, 320, 256, false}, 300},  // two segments, the last one short
    {{9, 3, 64, 320, 64, false}, 290},
    {{6, 2, 20, 333, 64, true}, 300},
    {{40, 2, 16, 96, 32, false}, 90},  // more query heads on a lane than a tile holds
};

TEST(Attention, ALongLanesPromptEqualsDecoding) {
  const LaneShape g{3, 1, 64, 1100, 256, false};  // few lanes, long: tiles are split by segment
  constexpr uint32_t kTokens = 1030;
  for (const std::string& isa : usable_isas()) {
    if (isa == "portable") continue;
    for (const sluice_signal& wanted : {kSum, kPeak}) {
      Cpu cpu({2, isa, "", true});
      const LaneText text(g, kTokens, 3);
      Sequence prompt(cpu, g, text), rows(cpu, g, text);
      run_to_end(cpu, {&prompt}, kTokens, wanted);
      run_to_end(cpu, {&rows}, 1, wanted);
      expect_same(prompt, rows, isa + " prompt = row by row");
      expect_reference(prompt, kTokens - 1, isa);
    }
  }
}

TEST(Attention, VerbsEqualFused) {
  for (const std::string& isa : usable_isas()) {
    for (const Case& c : kCases) {
      for (const sluice_signal& wanted : {kSum, kPeak}) {
        Cpu cpu({2, isa, "", true});
        const LaneText text(c.g, c.tokens, 6);
        Sequence fused(cpu, c.g, text), verbs(cpu, c.g, text), threads(cpu, c.g, text);
        run_to_end(cpu, {&fused}, 33, wanted);
        run_to_end(cpu, {&verbs}, 33, wanted, How::kVerbs);
        run_to_end(cpu, {&threads}, 33, wanted, How::kVerbsByThreads);
        expect_same(fused, verbs, isa + " verbs");
        expect_same(fused, threads, isa + " verbs by several threads");
      }
    }
  }
}

// Tables of positions may be shared and read meanwhile: what is right already must not be written. On a page that
// cannot be written a store would end the test.
TEST(KvStore, LeavesRightPositionsAlone) {
  Cpu cpu;
  auto* page = static_cast<uint32_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(page, MAP_FAILED);
  page[3] = 17;
  ASSERT_EQ(mprotect(page, 4096, PROT_READ), 0);
  alignas(64) uint16_t rows[2][8 * 16] = {};
  const sluice_span spans[2] = {{rows[0], nullptr, 0, 8}, {rows[1], nullptr, 0, 8}};
  const sluice_lane lane{0, 1, 1, 1, 8, 0};
  const sluice_part part{0, 1, 1, 0};
  const sluice_group group{1, 1, 1, 16, 1, 8, 8, 0.25f, &part, &lane, spans, page};
  Floats k(16, 1.0f), v(16, 2.0f);
  const sluice_mat km{k.data(), 1, 16}, vm{v.data(), 1, 16};
  const uint32_t position = 17;
  const sluice_store place{3, 5, 3};
  cpu.check(cpu.table->kv_store(cpu.self, cpu.fast, &group, &km, &vm, &position, &place));
  EXPECT_EQ(rows[0][3 * 16], sluice_to_half(1.0f));
  EXPECT_EQ(rows[1][5 * 16], sluice_to_half(2.0f));
  munmap(page, 4096);
}

TEST(AttentionErrors, SayWhatIsWrong) {
  Cpu cpu;
  const sluice_group group{0, 2, 1, 600, 1, 64, 256, 1, nullptr, nullptr, nullptr, nullptr};
  try {
    cpu.check(cpu.table->attention(cpu.self, cpu.fast, &group, nullptr, nullptr, nullptr, nullptr, nullptr));
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("head_dim 600; the cpu backend takes 1 to 512"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace sluice::testing
