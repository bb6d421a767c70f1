// Attention against double, and the determinism contract: a token's result has the same bits in a prompt, decoded
// alone, in a batch, after a fork, on any number of threads, and by the three verbs.
#include <sys/mman.h>

#include "tests/backend_lanes.h"

namespace sluice::testing {
namespace {

constexpr sluice_signal kSum{SLUICE_SUM, 0, 0, 0}, kPeak{SLUICE_PEAK, 4, 1, 0}, kNone{};

void run(Cpu& cpu, const std::vector<Sequence*>& batch, uint32_t rows, const sluice_signal& wanted,
         How how = How::kFused, uint32_t signal_from = 0) {
  while (batch[0]->seen < batch[0]->text.n) step(cpu, batch, rows, wanted, how, signal_from);
}

void expect_same(const Sequence& a, const Sequence& b, const std::string& what) {
  EXPECT_EQ(std::memcmp(a.out.data.data(), b.out.data.data(), a.out.data.size() * 4), 0) << "outputs: " << what;
  EXPECT_EQ(std::memcmp(a.signal.data(), b.signal.data(), a.signal.size() * 4), 0) << "signals: " << what;
}

TEST(Attention, IsAttention) {
  for (const std::string& isa : usable_isas()) {
    Cpu cpu({2, isa, "", true});
    for (uint32_t head_dim : {8u, 20u, 32u, 64u, 80u, 96u, 128u}) {
      for (uint32_t per_lane : {1u, 3u, 4u, 8u}) {
        for (bool scattered : {false, true}) {
          const Geometry g{2 * per_lane, 2, head_dim, 77, 32, scattered};
          const Text text(g, 61, head_dim + per_lane);
          Sequence s(g, text);
          run(cpu, {&s}, 61, kNone);
          for (uint32_t t = 0; t < text.n; t += 5) expect_reference(s, t, isa + " dim " + std::to_string(head_dim));
        }
      }
    }
  }
}

struct Case {
  Geometry g;
  uint32_t tokens;
};
const Case kCases[] = {
    {{4, 2, 32, 320, 256, false}, 300},  // two segments, the last one short
    {{9, 3, 64, 320, 64, false}, 290},    {{6, 2, 20, 333, 64, true}, 300},
    {{40, 2, 16, 96, 32, false}, 90},      // more query heads on a lane than a tile holds
    {{3, 1, 64, 1100, 256, false}, 1030},  // few lanes, long: tiles are split by segment
};

TEST(Attention, PromptEqualsDecodingBitForBit) {
  for (const std::string& isa : usable_isas()) {
    for (const Case& c : kCases) {
      if (isa == "portable" && c.tokens > 500) continue;
      for (const sluice_signal& wanted : {kSum, kPeak}) {
        Cpu cpu({2, isa, "", true});
        const Text text(c.g, c.tokens, 3);
        Sequence prompt(c.g, text), rows(c.g, text), chunks(c.g, text);
        run(cpu, {&prompt}, c.tokens, wanted);
        run(cpu, {&rows}, 1, wanted);
        run(cpu, {&chunks}, 7, wanted);
        expect_same(prompt, rows, isa + " prompt = row by row");
        expect_same(prompt, chunks, isa + " prompt = chunks");
        expect_reference(prompt, c.tokens - 1, isa);
      }
    }
  }
}

TEST(Attention, ThreadsDoNotShow) {
  for (const std::string& isa : usable_isas()) {
    for (const Case& c : kCases) {
      const Text text(c.g, c.tokens, 4);
      std::vector<Sequence> done;
      for (unsigned threads : {1u, 2u, 3u}) {
        Cpu cpu({threads, isa, "", true});
        Sequence s(c.g, text);
        step(cpu, {&s}, c.tokens - 10, kPeak);
        run(cpu, {&s}, 1, kPeak);
        done.push_back(s);
      }
      expect_same(done[0], done[1], isa + " 2 threads");
      expect_same(done[0], done[2], isa + " 3 threads");
    }
  }
}

TEST(Attention, BatchedEqualsSingle) {
  for (const std::string& isa : usable_isas()) {
    Cpu cpu({2, isa, "", true});
    const Geometry g{6, 2, 32, 200, 64, false};
    const Text long_text(g, 190, 1), short_text(g, 43, 2), other(g, 120, 3);
    Sequence a(g, long_text), b(g, short_text), c(g, other), alone_a(g, long_text), alone_b(g, short_text),
        alone_c(g, other);
    run(cpu, {&a, &b, &c}, 50, kSum);  // ends at different times: parts without rows
    run(cpu, {&alone_a}, 50, kSum);
    run(cpu, {&alone_b}, 1, kSum);
    run(cpu, {&alone_c}, 120, kSum);
    expect_same(a, alone_a, isa);
    expect_same(b, alone_b, isa);
    expect_same(c, alone_c, isa);
  }
}

TEST(Attention, ForksShareSegments) {
  Cpu cpu({2, "auto", "", true});
  const Geometry g{4, 2, 64, 320, 64, false};
  const Text text(g, 300, 8);
  Sequence alone(g, text), parent(g, text);
  run(cpu, {&alone}, 300, kSum);
  step(cpu, {&parent}, 200, kSum);
  Sequence fork(parent, 200), shorter(parent, 150);
  EXPECT_EQ(fork.k[0], parent.k[0]);
  run(cpu, {&fork, &parent}, 13, kSum);
  expect_same(alone, fork, "fork at 200");
  expect_same(alone, parent, "its parent, in the same batch");
  run(cpu, {&shorter}, 1, kNone);
  EXPECT_EQ(std::memcmp(alone.out.row(150), shorter.out.row(150), size_t(150) * g.cols() * 4), 0);
}

TEST(Attention, VerbsEqualFused) {
  for (const std::string& isa : usable_isas()) {
    for (const Case& c : kCases) {
      if (c.tokens > 500) continue;
      for (const sluice_signal& wanted : {kSum, kPeak}) {
        Cpu cpu({2, isa, "", true});
        const Text text(c.g, c.tokens, 6);
        Sequence fused(c.g, text), verbs(c.g, text), threads(c.g, text);
        run(cpu, {&fused}, 33, wanted);
        run(cpu, {&verbs}, 33, wanted, How::kVerbs);
        run(cpu, {&threads}, 33, wanted, How::kVerbsByThreads);
        expect_same(fused, verbs, isa + " verbs");
        expect_same(fused, threads, isa + " verbs by several threads");
      }
    }
  }
}

TEST(Attention, EvictedSlotsAreNotSeen) {
  for (How how : {How::kFused, How::kVerbs}) {
    Cpu cpu({2, "auto", "", true});
    const Geometry g{4, 2, 32, 128, 32, true};
    const Text text(g, 100, 5);
    Sequence s(g, text);
    step(cpu, {&s}, 90, kNone, how);
    std::mt19937 rng(1);
    for (uint32_t h = 0; h < 2; h++) {  // heads lose different tokens; one loses a whole segment
      for (uint32_t lost = 0; lost < 30; lost++) s.slot_pos[h * g.slots + s.order[rng() % 89]] = SLUICE_FREE;
      for (uint32_t t = 32; h == 1 && t < 64; t++) s.slot_pos[h * g.slots + s.order[t]] = SLUICE_FREE;
    }
    run(cpu, {&s}, 5, kNone, how);
    for (uint32_t t = 90; t < 100; t++) expect_reference(s, t, "evicted");
  }
}

TEST(Attention, NothingToSeeIsZero) {
  Cpu cpu;
  const Geometry g{2, 1, 16, 64, 32, false};
  const Text text(g, 1, 1);
  Sequence s(g, text);
  Floats q(32, 1.0f), out(32, 5.0f);
  const sluice_part part{0, 1, 1, 0};
  const sluice_lane lane{0, 2, 2, 2, 64, 0};
  std::vector<sluice_span> spans;
  for (auto* side : {&s.k, &s.v}) {
    for (uint32_t i = 0; i < 2; i++) spans.push_back({(*side)[i]->rows.data(), nullptr, i * 32, 32});
  }
  const uint32_t position = 3;
  const sluice_group group{1, 2, 1, 16, 1, 64, 32, 0.25f, &part, &lane, spans.data(), s.slot_pos.data()};
  const sluice_mat qm{q.data(), 1, 32}, om{out.data(), 1, 32};
  cpu.check(cpu.table->attention(cpu.self, cpu.fast, &group, &qm, &position, nullptr, nullptr, &om));
  EXPECT_EQ(out, Floats(32, 0.0f));
}

TEST(AttentionSignal, SumGivesEveryHeadAndQueryOne) {
  for (bool scattered : {false, true}) {
    Cpu cpu({2, "auto", "", true});
    const Geometry g{6, 2, 32, 200, 64, scattered};
    const Text text(g, 150, 2);
    Sequence s(g, text), late(g, text);
    run(cpu, {&s}, 100, kSum);
    for (uint32_t h = 0; h < 2; h++) {
      const double total = std::accumulate(&s.signal[h * g.slots], &s.signal[h * g.slots] + g.slots, 0.0);
      EXPECT_NEAR(total, 150.0 * 3, 450 * (200 + 16) * 0x1p-24);
    }
    run(cpu, {&late}, 150, kSum, How::kFused, 118);  // the last 32 queries
    for (uint32_t h = 0; h < 2; h++) {
      const double total = std::accumulate(&late.signal[h * g.slots], &late.signal[h * g.slots] + g.slots, 0.0);
      EXPECT_NEAR(total, 32.0 * 3, 96 * (200 + 16) * 0x1p-24);
    }
  }
}

// Against the definition in policy.h, in double.
TEST(AttentionSignal, FollowsTheDefinition) {
  for (const sluice_signal& wanted : {sluice_signal{SLUICE_SUM, 2, 1, 0}, kPeak, sluice_signal{SLUICE_PEAK, 0, 0, 0}}) {
    Cpu cpu({2, "auto", "", true});
    const Geometry g{6, 2, 32, 80, 32, true};
    const Text text(g, 60, 2);
    Sequence s(g, text);
    run(cpu, {&s}, 25, wanted, How::kFused, 10);
    std::vector<double> want(s.signal.size());
    for (uint32_t t = 10; t < text.n; t++) {
      const Reference r = reference(s, t);
      for (uint32_t head = 0; head < g.heads; head++) {
        const double* w = r.weights.data() + size_t(head) * text.n;
        const auto counts = [&](uint32_t j) { return j >= wanted.skip_first && !(wanted.skip_self && j == t); };
        double sum = 0, n = 0;
        for (uint32_t j = 0; j <= t; j++) {
          if (counts(j)) sum += w[j], n++;
        }
        for (uint32_t j = 0; j <= t; j++) {
          if (!counts(j)) continue;
          double& x = want[head / 3 * g.slots + s.order[j]];
          x = wanted.kind == SLUICE_SUM ? x + w[j] : std::max(x, w[j] * n / sum);
        }
      }
    }
    for (size_t i = 0; i < want.size(); i++) EXPECT_NEAR(s.signal[i], want[i], 1e-5 * want[i]) << "slot " << i;
    const float largest = *std::max_element(s.signal.begin(), s.signal.end());
    EXPECT_GE(largest, wanted.kind == SLUICE_PEAK ? 1.0f : 0.5f);
    for (uint32_t t = 0; t < wanted.skip_first; t++) EXPECT_EQ(s.signal[s.order[t]], 0.0f);
    for (uint32_t i = text.n; i < g.slots; i++) EXPECT_EQ(s.signal[s.order[i]], 0.0f);
  }
}

TEST(KvStore, RoundsToNearestEven) {
  for (const std::string& isa : usable_isas()) {
    Cpu cpu({1, isa, "", true});
    const Geometry g{2, 1, 40, 64, 32, false};
    Text text(g, 1, 1);
    const float values[] = {1.0f,    1.00048828125f, 1.00146484375f, 65504.0f, 6.0e-8f,
                            3.1e-8f, -0.0f,          1e-9f,          -2.5f,    0.1f};
    for (uint32_t c = 0; c < 40; c++) text.k.data[c] = values[c % 10] * (c < 20 ? 1.0f : 0.37f);
    Sequence s(g, text);
    step(cpu, {&s}, 1);
    for (uint32_t c = 0; c < 40; c++) {
      EXPECT_EQ(s.k[0]->rows[c], sluice_to_half(text.k.data[c])) << isa << " " << text.k.data[c];
      EXPECT_EQ(s.v[0]->rows[c], sluice_to_half(text.v.data[c])) << isa << " " << text.v.data[c];
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
