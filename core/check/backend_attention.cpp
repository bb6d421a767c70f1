// Checks of attention against double, and that the bits of a sequence follow from that sequence alone: in a prompt,
// decoded row by row, in a batch, after a fork, by one verb or by three.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/base/error.h"
#include "core/check/backend_checks.h"
#include "core/check/backend_lanes.h"
#include "sluice/half.h"

namespace sluice::check {

namespace {

constexpr sluice_signal kSum{SLUICE_SUM, 0, 0, 0}, kPeak{SLUICE_PEAK, 4, 1, 0}, kNone{};

struct Case {
  LaneShape g;
  uint32_t tokens;
};
const Case kCases[] = {
    {{4, 2, 32, 320, 256, false}, 300},  // two segments, the last one short
    {{9, 3, 64, 320, 64, false}, 290},
    {{6, 2, 80, 333, 64, true}, 300},
    {{40, 2, 32, 96, 32, false}, 90},  // more query heads on a lane than a tile holds
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_same(const Sequence& a, const Sequence& b, const std::string& what) {
  expect(same(a.out.data, b.out.data), "attention() gives other bits: " + what);
  expect(same(a.signal, b.signal), "attention() gathers another signal: " + what);
}

}  // namespace

void backend_kv_store(const Subject& subject) {
  constexpr uint32_t kDim = 64;
  const float values[] = {1.0f, 1.00048828125f, 1.00146484375f, 65504.0f, 6.0e-8f, 3.1e-8f, -0.0f, 1e-9f, -2.5f, 0.1f};
  BackendProbe backend(subject);
  for (const bool scattered : {false, true}) {
    const LaneShape g{4, 2, kDim, 64, 32, scattered};
    LaneText text(g, 40, subject.seed);
    for (uint32_t c = 0; c < g.kv_cols(); c++) text.k.row(0)[c] = values[c % 10] * (c < 20 ? 1.0f : 0.37f);
    Sequence s(backend, g, text);
    step(backend, {&s}, text.n);
    for (uint32_t h = 0; h < g.kv_heads; h++)
      for (uint32_t t = 0; t < text.n; t++) {
        const uint32_t at = h * s.segments() + t / g.segment_rows, row = t % g.segment_rows;
        const std::vector<uint16_t> k = s.stored(s.k[at]), v = s.stored(s.v[at]);
        for (uint32_t c = 0; c < kDim; c++)
          for (const auto& [stored, given] : {std::pair{k[row * kDim + c], text.k.row(t)[h * kDim + c]},
                                              std::pair{v[row * kDim + c], text.v.row(t)[h * kDim + c]}})
            if (stored != sluice_to_half(given))
              fail(fmt::format("kv_store() of {} in head {}, row {} leaves {:#06x}, the nearest half is {:#06x}", given,
                               h, t, stored, sluice_to_half(given)));
        expect(s.slot_pos[h * g.slots + s.order[t]] == t,
               fmt::format("kv_store() leaves slot_pos {} of slot {} where position {} was stored",
                           s.slot_pos[h * g.slots + s.order[t]], s.order[t], t));
      }
    const auto stored =
        std::count_if(s.slot_pos.begin(), s.slot_pos.end(), [](uint32_t p) { return p != SLUICE_FREE; });
    expect(stored == ptrdiff_t(g.kv_heads * text.n),
           fmt::format("kv_store() of {} rows fills {} slots", text.n, stored));
  }
}

void backend_attention(const Subject& subject) {
  BackendProbe backend(subject);
  uint32_t served = 0;
  std::string refusal;
  for (const uint32_t head_dim : {16u, 20u, 32u, 64u, 80u, 96u, 128u, 256u})
    for (const uint32_t group : {1u, 3u, 4u, 8u})
      for (const bool scattered : {false, true}) {
        const LaneShape g{2 * group, 2, head_dim, 77, 32, scattered};
        const LaneText text(g, 61, subject.seed + head_dim + group);
        Sequence s(backend, g, text);
        try {
          run_to_end(backend, {&s}, 61, kNone);
        } catch (const Error& error) {  // a head size that it does not serve
          if (error.code() != kExitUsage) throw;
          refusal = error.what();
          continue;
        }
        served++;
        for (uint32_t t = 0; t < text.n; t += 5)
          expect_reference(s, t,
                           fmt::format("attention() with head_dim {}, {} query heads on a lane, {} slots", head_dim,
                                       group, scattered ? "scattered" : "running"));
      }
  expect(served > 0, "attention() refuses every head size: " + refusal);
}

void backend_verbs(const Subject& subject) {
  BackendProbe backend(subject);
  for (const Case& c : kCases)
    for (const sluice_signal& wanted : {kSum, kPeak}) {
      const LaneText text(c.g, c.tokens, subject.seed + 6);
      Sequence fused(backend, c.g, text), verbs(backend, c.g, text);
      run_to_end(backend, {&fused}, 33, wanted);
      run_to_end(backend, {&verbs}, 33, wanted, How::kVerbs);
      for (uint32_t t = 0; t < text.n; t += 29) expect_reference(verbs, t, "attn_scores(), attn_softmax(), attn_mix()");
      for (size_t i = 0; i < fused.signal.size(); i++)
        if (!(std::abs(fused.signal[i] - verbs.signal[i]) <= 1e-4 * std::abs(fused.signal[i])))
          fail(fmt::format("attn_softmax() gathers {} for entry {}, attention() {}", verbs.signal[i], i,
                           fused.signal[i]));
      if (!backend.device().immediate) continue;
      Sequence threads(backend, c.g, text);
      run_to_end(backend, {&threads}, 33, wanted, How::kVerbsByThreads);
      expect_same(verbs, threads, "its three verbs called by several threads");
    }
}

void backend_evicted(const Subject& subject) {
  BackendProbe backend(subject);
  for (const How how : {How::kFused, How::kVerbs}) {
    const LaneShape g{4, 2, 32, 128, 32, true};
    const LaneText text(g, 100, subject.seed + 5);
    Sequence s(backend, g, text);
    step(backend, {&s}, 90, kNone, how);
    std::mt19937 random(1);
    for (uint32_t h = 0; h < g.kv_heads; h++) {  // heads lose different tokens; one loses a whole segment
      for (uint32_t lost = 0; lost < 30; lost++) s.slot_pos[h * g.slots + s.order[random() % 89]] = SLUICE_FREE;
      for (uint32_t t = 32; h == 1 && t < 64; t++) s.slot_pos[h * g.slots + s.order[t]] = SLUICE_FREE;
    }
    run_to_end(backend, {&s}, 5, kNone, how);
    for (uint32_t t = 90; t < 100; t++)
      expect_reference(s, t, how == How::kFused ? "attention() past freed slots" : "its three verbs past freed slots");
  }
  // A query that sees nothing at all gets zeros.
  const LaneShape g{2, 1, 32, 64, 32, false};
  const LaneText text(g, 1, subject.seed);
  Sequence s(backend, g, text);
  std::vector<sluice_span> spans;
  for (const auto* side : {&s.k, &s.v})
    for (uint32_t i = 0; i < s.segments(); i++) spans.push_back({(*side)[i]->rows, nullptr, i * 32, 32});
  backend.clear();
  const std::vector<sluice_part> part = {{0, 1, 1, 0}};
  const std::vector<sluice_lane> lane = {{0, 2, 2, 2, g.slots, 0}};
  const std::vector<uint32_t> position = {3};
  const sluice_group group{1,
                           g.heads,
                           g.kv_heads,
                           g.head_dim,
                           1,
                           g.slots,
                           g.segment_rows,
                           0.25f,
                           backend.put(part),
                           backend.put(lane),
                           backend.put(spans),
                           backend.put(s.slot_pos)};
  const sluice_mat q = backend.put(text.q), out = backend.room(1, g.cols());
  backend.check(
      backend.table->attention(backend.self, backend.exact, &group, &q, backend.put(position), nullptr, nullptr, &out),
      "attention");
  for (const float x : backend.get(out).data)
    if (x != 0) fail(fmt::format("attention() of a query that sees no slot gives {} instead of 0", x));
}

void backend_sequences(const Subject& subject) {
  BackendProbe backend(subject);
  for (const Case& c : kCases)
    for (const sluice_signal& wanted : {kSum, kPeak}) {
      const LaneText text(c.g, c.tokens, subject.seed + 3);
      Sequence prompt(backend, c.g, text), again(backend, c.g, text);
      run_to_end(backend, {&prompt}, c.tokens, wanted);
      run_to_end(backend, {&again}, c.tokens, wanted);
      expect_same(prompt, again, "a prompt repeated");
      if (!backend.device().immediate) continue;
      Sequence rows(backend, c.g, text), chunks(backend, c.g, text);
      run_to_end(backend, {&rows}, 1, wanted);
      run_to_end(backend, {&chunks}, 7, wanted);
      expect_same(prompt, rows, "a prompt, and its tokens decoded one by one");
      expect_same(prompt, chunks, "a prompt, and its tokens in chunks of seven");
    }
  if (!backend.device().immediate) return;

  const LaneShape g{6, 2, 32, 200, 64, false};
  const LaneText texts[] = {{g, 190, subject.seed + 1}, {g, 43, subject.seed + 2}, {g, 120, subject.seed + 3}};
  Sequence a(backend, g, texts[0]), b(backend, g, texts[1]), c(backend, g, texts[2]);
  run_to_end(backend, {&a, &b, &c}, 50, kSum);  // they end at different times: parts without rows
  const uint32_t steps[] = {50, 1, 120};
  const Sequence* const batched[] = {&a, &b, &c};
  for (int i = 0; i < 3; i++) {
    Sequence alone(backend, g, texts[i]);
    run_to_end(backend, {&alone}, steps[i], kSum);
    expect_same(*batched[i], alone, "a sequence in a batch, and alone");
  }

  const LaneShape wide{4, 2, 64, 320, 64, false};
  const LaneText text(wide, 300, subject.seed + 8);
  Sequence alone(backend, wide, text), parent(backend, wide, text);
  run_to_end(backend, {&alone}, 300, kSum);
  step(backend, {&parent}, 200, kSum);
  Sequence fork(parent, 200);
  run_to_end(backend, {&fork, &parent}, 13, kSum);
  expect_same(alone, fork, "a fork that shares its parent's segments");
  expect_same(alone, parent, "its parent in the same batch");
  Sequence shorter(parent, 150);
  run_to_end(backend, {&shorter}, 1, kNone);
  expect(same(alone.out.part(150, 150).data, shorter.out.part(150, 150).data),
         "attention() gives other bits: a fork that cuts a segment");
}

void backend_attention_threads(const Subject& subject) {
  if (!BackendProbe(subject).device().immediate) skip("its device has threads of its own");
  for (const Case& c : kCases) {
    const LaneText text(c.g, c.tokens, subject.seed + 4);
    std::vector<Sequence> done;
    for (const unsigned threads : {1u, 2u, 3u}) {
      ThreadPool pool(threads);
      Registry registry({}, pool);
      BackendProbe backend(registry, *subject.module, subject.values);
      Sequence s(backend, c.g, text);
      step(backend, {&s}, c.tokens - 10, kPeak);
      run_to_end(backend, {&s}, 1, kPeak);
      done.push_back(s);
    }
    expect_same(done[0], done[1], "two threads, and one");
    expect_same(done[0], done[2], "three threads, and one");
  }
}

}  // namespace sluice::check
