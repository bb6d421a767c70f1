// Caches for the attention tests: sequences whose K, V and queries are random texts, stored step by step through the
// backend into segments, dense or scattered over slots, shared by forks; and plain attention in double to compare with.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>

#include "tests/backend_fixture.h"

namespace sluice::testing {

struct Geometry {
  uint32_t heads = 4, kv_heads = 2, head_dim = 32;
  uint32_t slots = 320;  // of a lane
  uint32_t segment_rows = 256;
  bool scattered = false;  // rows lie on slots in random order

  uint32_t cols() const { return heads * head_dim; }
  uint32_t kv_cols() const { return kv_heads * head_dim; }
};

// What a model would compute for the tokens of a sequence.
struct Text {
  uint32_t n;
  Mat q, k, v;
  Text(const Geometry& g, uint32_t tokens, unsigned seed)
      : n(tokens),
        q(random_mat(tokens, g.cols(), seed)),
        k(random_mat(tokens, g.kv_cols(), seed + 1000)),
        v(random_mat(tokens, g.kv_cols(), seed + 2000)) {}
};

struct Segment {
  std::vector<uint16_t> rows;   // [segment_rows][head_dim]
  std::vector<uint16_t> slots;  // [segment_rows] or empty: a run
};

struct Sequence {
  const Geometry& g;
  const Text& text;
  uint32_t seen = 0;
  std::vector<std::shared_ptr<Segment>> k, v;  // [kv_heads][segments]
  std::vector<uint32_t> order;                 // token t has slot order[t], in every lane
  std::vector<uint32_t> slot_pos;              // [kv_heads][slots]
  Floats signal;                               // [kv_heads][slots]
  Mat out;                                     // [tokens][cols]

  Sequence(const Geometry& geometry, const Text& words)
      : g(geometry),
        text(words),
        order(g.slots),
        slot_pos(size_t(g.kv_heads) * g.slots, SLUICE_FREE),
        signal(size_t(g.kv_heads) * g.slots),
        out(words.n, g.cols()) {
    std::iota(order.begin(), order.end(), 0u);
    if (g.scattered) std::shuffle(order.begin(), order.end(), std::mt19937(99));
    std::mt19937 rng(7);
    for (uint32_t h = 0; h < g.kv_heads; h++) {
      for (uint32_t s = 0; s < segments(); s++) {
        for (auto* side : {&k, &v}) {
          side->push_back(std::make_shared<Segment>());
          Segment& segment = *side->back();
          const uint32_t rows = rows_of(s);
          // What was never written is finite, no more.
          for (uint32_t i = 0; i < rows * g.head_dim; i++) segment.rows.push_back(uint16_t(rng() & 0x7BFF));
          if (g.scattered) {
            for (uint32_t r = 0; r < rows; r++) segment.slots.push_back(uint16_t(order[s * g.segment_rows + r]));
          }
        }
      }
    }
  }
  // Shares the whole segments of the first `prefix` tokens, and copies the rest.
  Sequence(const Sequence& parent, uint32_t prefix) : Sequence(parent) {
    seen = prefix;
    for (auto* side : {&k, &v}) {
      for (uint32_t i = 0; i < side->size(); i++) {
        if ((i % segments() + 1) * g.segment_rows > prefix) (*side)[i] = std::make_shared<Segment>(*(*side)[i]);
      }
    }
    for (uint32_t& p : slot_pos) {
      if (p >= prefix) p = SLUICE_FREE;
    }
  }
  Sequence(const Sequence&) = default;

  uint32_t segments() const { return (g.slots + g.segment_rows - 1) / g.segment_rows; }
  uint32_t rows_of(uint32_t segment) const { return std::min(g.segment_rows, g.slots - segment * g.segment_rows); }
};

enum class How { kFused, kVerbs, kVerbsByThreads };

// One step of a group: up to `rows` tokens of each sequence.
inline void step(Cpu& cpu, const std::vector<Sequence*>& batch, uint32_t rows, sluice_signal wanted = {},
                 How how = How::kFused, uint32_t signal_from = 0) {
  const Geometry& g = batch[0]->g;
  std::vector<sluice_part> parts;
  std::vector<sluice_lane> lanes;
  std::vector<sluice_span> spans;
  std::vector<uint32_t> positions, slot_pos;
  std::vector<sluice_store> places;
  Floats q, k, v, signal;
  for (Sequence* s : batch) {
    const uint32_t n = std::min(rows, s->text.n - s->seen), first = uint32_t(positions.size());
    const uint32_t muted = s->seen < signal_from ? std::min(n, signal_from - s->seen) : 0;
    parts.push_back({first, n, first + muted, 0});
    for (uint32_t h = 0; h < g.kv_heads; h++) {
      sluice_lane lane{};
      lane.slots = g.slots;
      lane.slot_at = uint32_t(slot_pos.size() + h * g.slots);
      lane.k_count = lane.v_count = s->segments();
      for (auto* side : {&s->k, &s->v}) {
        (side == &s->k ? lane.k_first : lane.v_first) = uint32_t(spans.size());
        for (uint32_t i = 0; i < s->segments(); i++) {
          const Segment& segment = *(*side)[h * s->segments() + i];
          spans.push_back({segment.rows.data(), segment.slots.empty() ? nullptr : segment.slots.data(),
                           segment.slots.empty() ? i * g.segment_rows : 0, s->rows_of(i)});
        }
      }
      lanes.push_back(lane);
    }
    for (uint32_t t = s->seen; t < s->seen + n; t++) {
      positions.push_back(t);
      for (uint32_t h = 0; h < g.kv_heads; h++) places.push_back({t, t, s->order[t]});
    }
    const auto take = [&](Floats& to, const Mat& from) {
      to.insert(to.end(), from.row(s->seen), from.row(s->seen + n));
    };
    take(q, s->text.q);
    take(k, s->text.k);
    take(v, s->text.v);
    slot_pos.insert(slot_pos.end(), s->slot_pos.begin(), s->slot_pos.end());
    signal.insert(signal.end(), s->signal.begin(), s->signal.end());
  }
  const uint32_t n = uint32_t(positions.size());
  Floats out(size_t(n) * g.cols(), 77.0f);
  const sluice_group group{uint32_t(batch.size()),
                           g.heads,
                           g.kv_heads,
                           g.head_dim,
                           rows,
                           g.slots,
                           g.segment_rows,
                           1 / std::sqrt(float(g.head_dim)),
                           parts.data(),
                           lanes.data(),
                           spans.data(),
                           slot_pos.data()};
  const sluice_mat qm{q.data(), n, g.cols()}, km{k.data(), n, g.kv_cols()}, vm{v.data(), n, g.kv_cols()},
      om{out.data(), n, g.cols()};
  const sluice_backend& b = *cpu.table;
  cpu.check(b.kv_store(cpu.self, cpu.exact, &group, &km, &vm, positions.data(), places.data()));
  if (how == How::kFused) {
    cpu.check(b.attention(cpu.self, cpu.exact, &group, &qm, positions.data(), &wanted, signal.data(), &om));
  } else {
    const uint32_t count = uint32_t(lanes.size());
    Floats scores(size_t(count) * rows * (g.heads / g.kv_heads) * g.slots, std::nanf(""));
    std::fill(out.begin(), out.end(), 0.0f);
    const auto verbs = [&](uint32_t first, uint32_t lanes_of_call) {
      cpu.check(b.attn_scores(cpu.self, cpu.exact, &group, first, lanes_of_call, &qm, scores.data()));
      cpu.check(b.attn_softmax(cpu.self, cpu.exact, &group, first, lanes_of_call, positions.data(), scores.data(),
                               &wanted, signal.data()));
      cpu.check(b.attn_mix(cpu.self, cpu.exact, &group, first, lanes_of_call, scores.data(), &om));
    };
    if (how == How::kVerbs) {
      verbs(0, count);
    } else {
      ThreadPool pool(3);
      pool.each(count, [&](uint32_t lane) { verbs(lane, 1); });
    }
  }
  for (size_t i = 0; i < batch.size(); i++) {
    Sequence& s = *batch[i];
    std::copy_n(&out[size_t(parts[i].first) * g.cols()], size_t(parts[i].count) * g.cols(), s.out.row(s.seen));
    std::copy_n(&slot_pos[i * s.slot_pos.size()], s.slot_pos.size(), s.slot_pos.begin());
    std::copy_n(&signal[i * s.signal.size()], s.signal.size(), s.signal.begin());
    s.seen += parts[i].count;
  }
}

// Plain attention of token t in double, over the tokens at positions `from` .. t whose slot is still theirs; and the
// largest error that float arithmetic may make: the exponent is off by the rounding of a dot product and of its
// scaling, weights by twice that and by the exponential's own error, their sums by one rounding per row.
struct Reference {
  std::vector<double> weights;  // [heads][tokens]
  std::vector<double> out, bound;
};
inline Reference reference(const Sequence& s, uint32_t t) {
  const Geometry& g = s.g;
  const double scale = double(1 / std::sqrt(float(g.head_dim)));
  Reference r{std::vector<double>(size_t(g.heads) * s.text.n), std::vector<double>(g.cols()),
              std::vector<double>(g.cols())};
  for (uint32_t head = 0; head < g.heads; head++) {
    const uint32_t h = head / (g.heads / g.kv_heads);
    double* w = r.weights.data() + size_t(head) * s.text.n;
    const float* q = s.text.q.row(t) + head * g.head_dim;
    double top = -1e300, slack = 0;
    for (uint32_t j = 0; j <= t; j++) {
      if (s.slot_pos[h * g.slots + s.order[j]] != j) continue;  // evicted
      double dot = 0, magnitude = 0;
      for (uint32_t c = 0; c < g.head_dim; c++) {
        const double k = double(sluice_from_half(sluice_to_half(s.text.k.row(j)[h * g.head_dim + c])));
        dot += q[c] * k;
        magnitude += std::abs(q[c] * k);
      }
      w[j] = dot * scale;
      top = std::max(top, w[j]);
      slack = std::max(slack, (g.head_dim + 4) * 0x1p-24 * magnitude * scale);
    }
    double sum = 0;
    for (uint32_t j = 0; j <= t; j++) {
      const bool lives = s.slot_pos[h * g.slots + s.order[j]] == j;
      sum += w[j] = lives ? std::exp(w[j] - top) : 0;
    }
    for (uint32_t j = 0; j <= t; j++) w[j] /= sum;
    const double relative = 4 * slack + (g.slots + 16) * 0x1p-24;
    for (uint32_t c = 0; c < g.head_dim; c++) {
      for (uint32_t j = 0; j <= t; j++) {
        const double v = double(sluice_from_half(sluice_to_half(s.text.v.row(j)[h * g.head_dim + c])));
        r.out[head * g.head_dim + c] += w[j] * v;
        r.bound[head * g.head_dim + c] += w[j] * std::abs(v) * relative;
      }
    }
  }
  return r;
}

inline void expect_reference(const Sequence& s, uint32_t t, const std::string& what) {
  const Reference r = reference(s, t);
  for (uint32_t c = 0; c < s.g.cols(); c++) {
    ASSERT_NEAR(s.out.row(t)[c], r.out[c], r.bound[c] + 1e-30) << what << ", token " << t << ", column " << c;
  }
}

}  // namespace sluice::testing
