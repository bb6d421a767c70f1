// Attention over the spans of one lane, written once over F8; rows are taken in groups of 8. To be included inside an
// unnamed namespace, after row_kernels.h. A score, an exponential and a weighted row do not depend on which queries
// share a tile, nor on how the rows are grouped: that is the determinism contract.

constexpr uint32_t kGroup = 8;

// Rows of a run that hold something are its first ones; rows of a scattered span are looked at one by one.
inline uint32_t rows_of(const sluice_span& span, const LaneSlots& lane) {
  if (span.slots) return span.rows;
  const uint32_t most = span.slot_base < lane.slots ? lane.slots - span.slot_base : 0;
  return span.rows < most ? span.rows : most;
}
inline uint32_t scattered_slot(const sluice_span& span, uint32_t row) { return span.slot_base + span.slots[row]; }
inline uint32_t padded(uint32_t head_dim) { return (head_dim + 7) & ~7u; }

// rows [kGroup][padded] in float, zero beyond `count` rows and head_dim columns
inline void widen(const uint16_t* src, uint32_t count, uint32_t head_dim, float* rows) {
  const uint32_t wide = padded(head_dim);
  for (uint32_t r = 0; r < kGroup; r++, rows += wide, src += head_dim) {
    if (r >= count) {
      for (uint32_t c = 0; c < wide; c += 8) store(rows + c, splat(0));
      continue;
    }
    uint32_t c = 0;
    for (; c + 8 <= head_dim; c += 8) store(rows + c, load_half(src + c));
    if (c < head_dim) {
      uint16_t last[8] = {};
      for (uint32_t i = 0; c + i < head_dim; i++) last[i] = src[c + i];
      store(rows + c, load_half(last));
    }
  }
}

// Does anybody at `last_position` see one of the rows first .. first + count - 1?
inline bool seen(const sluice_span& span, uint32_t first, uint32_t count, const LaneSlots& lane,
                 uint32_t last_position) {
  if (!span.slots && count == kGroup) return any(at_most(lane.pos + span.slot_base + first, last_position));
  for (uint32_t r = first; r < first + count; r++) {
    const uint32_t slot = span.slots ? scattered_slot(span, r) : span.slot_base + r;
    if (slot < lane.slots && lane.pos[slot] <= last_position) return true;
  }
  return false;
}

// f(first row, count, query, the 8 scores) for all groups of rows that are seen.
template <class F>
inline void dot_groups(const float* q, uint32_t queries, uint32_t head_dim, const sluice_span& span,
                       const LaneSlots& lane, uint32_t last_position, F f) {
  alignas(32) float rows[kGroup * kMaxHeadDim];
  const uint32_t wide = padded(head_dim);
  const uint16_t* src = static_cast<const uint16_t*>(span.src);
  const uint32_t all = rows_of(span, lane);
  for (uint32_t first = 0; first < all; first += kGroup) {
    const uint32_t count = all - first < kGroup ? all - first : kGroup;
    if (!seen(span, first, count, lane, last_position)) continue;
    widen(src + size_t(first) * head_dim, count, head_dim, rows);
    for (uint32_t i = 0; i < queries; i++) {
      F8 sums[kGroup];
      for (F8& s : sums) s = splat(0);
      for (uint32_t c = 0; c < wide; c += 8) {
        const F8 x = load(q + size_t(i) * wide + c);
#pragma GCC unroll 8
        for (uint32_t r = 0; r < kGroup; r++) sums[r] = fma(x, load(rows + r * wide + c), sums[r]);
      }
      f(first, count, i, sums_of(sums));
    }
  }
}

void scores(const float* q, uint32_t queries, uint32_t head_dim, const sluice_span& span, const LaneSlots& lane,
            uint32_t last_position, float* out, size_t stride) {
  if (!span.slots) {
    float* run = out + span.slot_base;
    dot_groups(q, queries, head_dim, span, lane, last_position, [&](uint32_t first, uint32_t count, uint32_t i, F8 s) {
      store_up_to(run + i * stride + first, count, s);
    });
    return;
  }
  dot_groups(q, queries, head_dim, span, lane, last_position, [&](uint32_t first, uint32_t count, uint32_t i, F8 s) {
    float each[8];
    store(each, s);
    for (uint32_t r = 0; r < count; r++) {
      const uint32_t slot = scattered_slot(span, first + r);
      if (slot < lane.slots) out[i * stride + slot] = each[r];
    }
  });
}

void row_scores(const float* q, uint32_t queries, uint32_t head_dim, const sluice_span& span, const LaneSlots& lane,
                uint32_t last_position, float* out, size_t stride) {
  dot_groups(q, queries, head_dim, span, lane, last_position, [&](uint32_t first, uint32_t count, uint32_t i, F8 s) {
    store_up_to(out + i * stride + first, count, s);
  });
}

// ---- over slots -----------------------------------------------------------------------------------

// Eight positions; free ones beyond the end.
struct Positions {
  uint32_t p[8];
};
inline Positions positions_some(const uint32_t* p, uint32_t n) {
  Positions all;
  for (uint32_t i = 0; i < 8; i++) all.p[i] = i < n ? p[i] : SLUICE_FREE;
  return all;
}

// f(slot, n, positions of 8 slots) for the slots from .. to - 1, in eights from `from` on.
template <class F>
inline void each_slots(const uint32_t* pos, uint32_t from, uint32_t to, F f) {
  uint32_t s = from;
  for (; s + 8 <= to; s += 8) f(s, 8u, pos + s);
  if (s < to) {
    const Positions last = positions_some(pos + s, to - s);
    f(s, to - s, last.p);
  }
}

inline uint32_t chunk_end(const LaneSlots& lane, uint32_t chunk) {
  return lane.slots - chunk < kSumChunk ? lane.slots : chunk + kSumChunk;
}
inline F8 weight(F8 score, float top, float scale) { return exponential(mul(sub(score, splat(top)), splat(scale))); }

void softmax(const LaneSlots& lane, uint32_t position, float scale, float* w, Softmax* result) {
  const float lowest = -__builtin_inff();
  F8 tops = splat(lowest);
  each_slots(lane.pos, 0, lane.slots, [&](uint32_t s, uint32_t n, const uint32_t* pos) {
    tops = max(tops, select(at_most(pos, position), load_up_to(w + s, n), splat(lowest)));
  });
  const float top = max_of(tops);
  float sum = 0;
  for (uint32_t chunk = 0; chunk < lane.slots; chunk += kSumChunk) {
    F8 part = splat(0);
    each_slots(lane.pos, chunk, chunk_end(lane, chunk), [&](uint32_t s, uint32_t n, const uint32_t* pos) {
      const M8 sees = at_most(pos, position);
      const F8 e = any(sees) ? select(sees, weight(load_up_to(w + s, n), top, scale), splat(0)) : splat(0);
      store_up_to(w + s, n, e);
      part = add(part, e);
    });
    sum += sum_of(part);
  }
  const float inverse = sum == 0 ? 0 : 1.0f / sum;  // 0: it sees nothing
  eights(lane.slots, [&](size_t s, uint32_t n) { store_up_to(w + s, n, mul(load_up_to(w + s, n), splat(inverse))); });
  result->top = top;
  result->inverse_sum = inverse;
  result->share = 0;
}

// Which of 8 slots the signal counts for a query at `position`.
inline M8 counted(const uint32_t* pos, uint32_t position, const sluice_signal& wanted) {
  M8 m = both(at_most(pos, position), at_least(pos, wanted.skip_first));
  return wanted.skip_self ? both(m, other_than(pos, position)) : m;
}

float share(const LaneSlots& lane, uint32_t position, const sluice_signal& wanted, const float* w) {
  float sum = 0, number = 0;
  for (uint32_t chunk = 0; chunk < lane.slots; chunk += kSumChunk) {
    F8 part = splat(0), count = splat(0);
    each_slots(lane.pos, chunk, chunk_end(lane, chunk), [&](uint32_t s, uint32_t n, const uint32_t* pos) {
      const M8 m = counted(pos, position, wanted);
      part = add(part, select(m, load_up_to(w + s, n), splat(0)));
      count = add(count, select(m, splat(1), splat(0)));
    });
    sum += sum_of(part);
    number += sum_of(count);
  }
  return sum > 0 ? number / sum : 0;
}

void signal(const LaneSlots& lane, uint32_t position, const sluice_signal& wanted, float share, const float* w,
            float* out) {
  const bool peak = wanted.kind == SLUICE_PEAK;
  each_slots(lane.pos, 0, lane.slots, [&](uint32_t s, uint32_t n, const uint32_t* pos) {
    const F8 x = select(counted(pos, position, wanted), load_up_to(w + s, n), splat(0)), old = load_up_to(out + s, n);
    store_up_to(out + s, n, peak ? max(old, mul(x, splat(share))) : add(old, x));
  });
}

void row_weights(const sluice_span& span, const LaneSlots& lane, uint32_t position, float scale, const Softmax& softmax,
                 float* w) {
  const auto weigh = [&](uint32_t r, uint32_t n, const uint32_t* pos) {
    const M8 sees = at_most(pos, position);
    const F8 e = select(sees, weight(load_up_to(w + r, n), softmax.top, scale), splat(0));
    store_up_to(w + r, n, mul(e, splat(softmax.inverse_sum)));
  };
  if (!span.slots) return each_slots(lane.pos + span.slot_base, 0, rows_of(span, lane), weigh);
  eights(span.rows, [&](size_t r, uint32_t n) {
    Positions pos;
    for (uint32_t i = 0; i < 8; i++) {
      const uint32_t slot = i < n ? scattered_slot(span, uint32_t(r) + i) : lane.slots;
      pos.p[i] = slot < lane.slots ? lane.pos[slot] : SLUICE_FREE;
    }
    weigh(uint32_t(r), n, pos.p);
  });
}

// ---- values -----------------------------------------------------------------------------------------

void mix(const float* weights, size_t stride, uint32_t queries, uint32_t head_dim, const sluice_span& span,
         const LaneSlots& lane, float* part) {
  alignas(32) float rows[kGroup * kMaxHeadDim];
  alignas(32) float w[kQueryTile * kGroup];
  const uint32_t wide = padded(head_dim);
  for (uint32_t i = 0; i < queries * wide; i += 8) store(part + i, splat(0));
  const uint16_t* src = static_cast<const uint16_t*>(span.src);
  const uint32_t all = rows_of(span, lane);
  for (uint32_t first = 0; first < all; first += kGroup) {
    const uint32_t count = all - first < kGroup ? all - first : kGroup;
    F8 total = splat(0);
    for (uint32_t i = 0; i < queries; i++) {
      const float* from = weights + i * stride;
      F8 x;
      if (!span.slots) {
        x = load_up_to(from + span.slot_base + first, count);
      } else {
        float each[8];
        for (uint32_t r = 0; r < 8; r++) {
          const uint32_t slot = r < count ? scattered_slot(span, first + r) : lane.slots;
          each[r] = slot < lane.slots ? from[slot] : 0;
        }
        x = load(each);
      }
      store(w + i * kGroup, x);
      total = add(total, x);  // 0 if and only if all weights are; no number stays no number
    }
    if (!any(different(total, splat(0)))) continue;
    widen(src + size_t(first) * head_dim, count, head_dim, rows);
    for (uint32_t i = 0; i < queries; i++) {
      F8 weight_of[kGroup];
      for (uint32_t r = 0; r < kGroup; r++) weight_of[r] = splat(w[i * kGroup + r]);
      for (uint32_t c = 0; c < wide; c += 8) {
        F8 sum = load(part + size_t(i) * wide + c);
#pragma GCC unroll 8
        for (uint32_t r = 0; r < kGroup; r++) sum = fma(weight_of[r], load(rows + r * wide + c), sum);
        store(part + size_t(i) * wide + c, sum);
      }
    }
  }
}

constexpr AttentionKernels kAttentionKernels{scores, row_scores, softmax, share, signal, row_weights, mix};
