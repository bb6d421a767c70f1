// See backend_lanes.h.
#include "core/check/backend_lanes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "sluice/half.h"

namespace sluice::check {

Sequence::Sequence(BackendProbe& probe, const LaneShape& shape, const LaneText& words)
    : backend(&probe),
      g(shape),
      text(words),
      order(g.slots),
      slot_pos(size_t(g.kv_heads) * g.slots, SLUICE_FREE),
      signal(size_t(g.kv_heads) * g.slots),
      out(words.n, g.cols()) {
  std::iota(order.begin(), order.end(), 0u);
  if (g.scattered) std::shuffle(order.begin(), order.end(), std::mt19937(99));
  std::mt19937 random(7);
  for (uint32_t h = 0; h < g.kv_heads; h++)
    for (uint32_t s = 0; s < segments(); s++)
      for (auto* side : {&k, &v}) {
        const uint32_t rows = rows_of(s);
        std::vector<uint16_t> numbers, slots;
        // What was never written is finite, no more.
        for (uint32_t i = 0; i < rows * g.head_dim; i++) numbers.push_back(uint16_t(random() & 0x7BFF));
        for (uint32_t r = 0; r < rows && g.scattered; r++) slots.push_back(uint16_t(order[s * g.segment_rows + r]));
        side->push_back(std::make_shared<LaneSegment>(
            LaneSegment{probe.put(numbers, true), slots.empty() ? nullptr : probe.put(slots, true), numbers.size()}));
      }
}

Sequence::Sequence(const Sequence& parent, uint32_t prefix) : Sequence(parent) {
  seen = prefix;
  for (auto* side : {&k, &v})
    for (uint32_t i = 0; i < side->size(); i++)
      if ((i % segments() + 1) * g.segment_rows > prefix) {
        LaneSegment copy = *(*side)[i];
        copy.rows = backend->put(stored((*side)[i]), true);
        (*side)[i] = std::make_shared<LaneSegment>(copy);
      }
  for (uint32_t& p : slot_pos)
    if (p >= prefix) p = SLUICE_FREE;
}

uint32_t Sequence::rows_of(uint32_t segment) const {
  return std::min(g.segment_rows, g.slots - segment * g.segment_rows);
}

std::vector<uint16_t> Sequence::stored(const std::shared_ptr<LaneSegment>& segment) const {
  std::vector<uint16_t> numbers(segment->numbers);
  backend->get(segment->rows, numbers);
  return numbers;
}

namespace {

// A step's tables on the host, and the group that stands for them on the device.
struct Step {
  std::vector<sluice_part> parts;
  std::vector<sluice_lane> lanes;
  std::vector<sluice_span> spans;
  std::vector<uint32_t> positions, slot_pos;
  std::vector<sluice_store> places;
  std::vector<float> q, k, v, signal;

  void add(const Sequence& s, uint32_t rows, uint32_t signal_from) {
    const LaneShape& g = s.g;
    const uint32_t n = std::min(rows, s.text.n - s.seen), first = uint32_t(positions.size());
    const uint32_t muted = s.seen < signal_from ? std::min(n, signal_from - s.seen) : 0;
    parts.push_back({first, n, first + muted, 0});
    for (uint32_t h = 0; h < g.kv_heads; h++) {
      sluice_lane lane{};
      lane.slots = g.slots;
      lane.slot_at = uint32_t(slot_pos.size() + h * g.slots);
      lane.k_count = lane.v_count = s.segments();
      for (const auto* side : {&s.k, &s.v}) {
        (side == &s.k ? lane.k_first : lane.v_first) = uint32_t(spans.size());
        for (uint32_t i = 0; i < s.segments(); i++) {
          const LaneSegment& segment = *(*side)[h * s.segments() + i];
          spans.push_back({segment.rows, segment.slots, segment.slots ? 0 : i * g.segment_rows, s.rows_of(i)});
        }
      }
      lanes.push_back(lane);
    }
    for (uint32_t t = s.seen; t < s.seen + n; t++) {
      positions.push_back(t);
      for (uint32_t h = 0; h < g.kv_heads; h++) places.push_back({t, t, s.order[t]});
    }
    const auto take = [&](std::vector<float>& to, const Mat& from) {
      to.insert(to.end(), from.row(s.seen), from.row(s.seen + n));
    };
    take(q, s.text.q), take(k, s.text.k), take(v, s.text.v);
    slot_pos.insert(slot_pos.end(), s.slot_pos.begin(), s.slot_pos.end());
    signal.insert(signal.end(), s.signal.begin(), s.signal.end());
  }
};

}  // namespace

void step(BackendProbe& backend, const std::vector<Sequence*>& batch, uint32_t rows, sluice_signal wanted, How how,
          uint32_t signal_from) {
  const LaneShape& g = batch[0]->g;
  Step s;
  for (const Sequence* sequence : batch) s.add(*sequence, rows, signal_from);
  const auto n = uint32_t(s.positions.size()), lanes = uint32_t(s.lanes.size());
  backend.clear();
  const sluice_group group{uint32_t(batch.size()),
                           g.heads,
                           g.kv_heads,
                           g.head_dim,
                           rows,
                           g.slots,
                           g.segment_rows,
                           1 / std::sqrt(float(g.head_dim)),
                           backend.put(s.parts),
                           backend.put(s.lanes),
                           backend.put(s.spans),
                           backend.put(s.slot_pos)};
  const sluice_mat q{backend.put(s.q), n, g.cols()}, k{backend.put(s.k), n, g.kv_cols()},
      v{backend.put(s.v), n, g.kv_cols()};
  const uint32_t* const positions = backend.put(s.positions);
  const sluice_store* const places = backend.put(s.places);
  float* const signal = backend.put(s.signal);
  const sluice_backend& b = *backend.table;
  backend.check(b.kv_store(backend.self, backend.exact, &group, &k, &v, positions, places), "kv_store");
  sluice_mat out = backend.room(n, g.cols());
  if (how == How::kFused) {
    backend.check(b.attention(backend.self, backend.exact, &group, &q, positions, &wanted, signal, &out), "attention");
  } else {
    const std::vector<float> nothing(size_t(lanes) * rows * (g.heads / g.kv_heads) * g.slots,
                                     std::numeric_limits<float>::quiet_NaN());
    float* const scores = backend.put(nothing);
    out = backend.put(Mat(n, g.cols()));
    const auto verbs = [&](uint32_t first, uint32_t count) {
      backend.check(b.attn_scores(backend.self, backend.exact, &group, first, count, &q, scores), "attn_scores");
      backend.check(
          b.attn_softmax(backend.self, backend.exact, &group, first, count, positions, scores, &wanted, signal),
          "attn_softmax");
      backend.check(b.attn_mix(backend.self, backend.exact, &group, first, count, scores, &out), "attn_mix");
    };
    if (how == How::kVerbs) {
      verbs(0, lanes);
    } else {
      ThreadPool pool(3);
      pool.each(lanes, [&](uint32_t lane) { verbs(lane, 1); });
    }
  }
  const Mat result = backend.get(out);
  backend.get(group.slot_pos, s.slot_pos);
  backend.get(signal, s.signal);
  for (size_t i = 0; i < batch.size(); i++) {
    Sequence& to = *batch[i];
    std::copy_n(result.row(s.parts[i].first), size_t(s.parts[i].count) * g.cols(), to.out.row(to.seen));
    std::copy_n(&s.slot_pos[i * to.slot_pos.size()], to.slot_pos.size(), to.slot_pos.begin());
    std::copy_n(&s.signal[i * to.signal.size()], to.signal.size(), to.signal.begin());
    to.seen += s.parts[i].count;
  }
}

void run_to_end(BackendProbe& backend, const std::vector<Sequence*>& batch, uint32_t rows, sluice_signal wanted,
                How how, uint32_t signal_from) {
  while (batch[0]->seen < batch[0]->text.n) step(backend, batch, rows, wanted, how, signal_from);
}

Reference reference(const Sequence& s, uint32_t t) {
  const LaneShape& g = s.g;
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
    for (uint32_t c = 0; c < g.head_dim; c++)
      for (uint32_t j = 0; j <= t; j++) {
        const double v = double(sluice_from_half(sluice_to_half(s.text.v.row(j)[h * g.head_dim + c])));
        r.out[head * g.head_dim + c] += w[j] * v;
        r.bound[head * g.head_dim + c] += w[j] * std::abs(v) * relative;
      }
  }
  return r;
}

void expect_reference(const Sequence& s, uint32_t t, const std::string& what) {
  const Reference r = reference(s, t);
  for (uint32_t c = 0; c < s.g.cols(); c++) {
    const double error = std::abs(s.out.row(t)[c] - r.out[c]);
    if (!(error <= r.bound[c] + 1e-30))
      fail(fmt::format("{}: token {}, column {} is {} instead of {}; rounding explains {:.3g}", what, t, c,
                       s.out.row(t)[c], r.out[c], r.bound[c]));
  }
}

}  // namespace sluice::check
