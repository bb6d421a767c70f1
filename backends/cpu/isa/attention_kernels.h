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

// Where a group's rows are read from: already in float, or as they are stored, which saves a pass when few queries
// want them.
struct WideRows {
  const float* rows;
  uint32_t wide;
  F8 at(uint32_t r, uint32_t c) const { return load(rows + r * wide + c); }
};
struct HalfRows {
  const uint16_t* rows;
  uint32_t head_dim;
  F8 at(uint32_t r, uint32_t c) const { return load_half(rows + r * head_dim + c); }
};

constexpr uint32_t kAtOnce = 3;      // queries: with 4 rows, or 4 vectors of columns, 12 sums and what they are made of
constexpr uint32_t kFewQueries = 6;  // for so few, rows are converted as often as they are read

// out[i] = the 8 scores of query i. Of a score, every lane sums its columns in order, then the lanes are added.
template <uint32_t n, class Rows>
inline void dots(const float* q, uint32_t wide, const Rows& rows, F8* out) {
  constexpr uint32_t at_once = n == 1 ? 8 : 4;  // rows: enough sums that do not wait for each other
  F8 sums[n][kGroup];
#pragma GCC unroll 2
  for (uint32_t first = 0; first < kGroup; first += at_once) {
    F8 s[n][at_once];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < n; i++) {
#pragma GCC unroll 8
      for (uint32_t r = 0; r < at_once; r++) s[i][r] = splat(0);
    }
    for (uint32_t c = 0; c < wide; c += 8) {
      F8 x[n];
#pragma GCC unroll 4
      for (uint32_t i = 0; i < n; i++) x[i] = load(q + size_t(i) * wide + c);
#pragma GCC unroll 8
      for (uint32_t r = 0; r < at_once; r++) {
        const F8 k = rows.at(first + r, c);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < n; i++) s[i][r] = fma(x[i], k, s[i][r]);
      }
    }
#pragma GCC unroll 4
    for (uint32_t i = 0; i < n; i++) {
#pragma GCC unroll 8
      for (uint32_t r = 0; r < at_once; r++) sums[i][first + r] = s[i][r];
    }
  }
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) out[i] = sums_of(sums[i]);
}

// f(query, the 8 scores) for all queries.
template <class F>
inline void all_dots(const float* q, uint32_t queries, const WideRows& rows, F f) {
  for (uint32_t i = 0; i < queries; i++) {
    F8 out;
    dots<1>(q + size_t(i) * rows.wide, rows.wide, rows, &out);
    f(i, out);
  }
}
template <uint32_t n, class F>
inline void some_dots(const float* q, uint32_t first, const HalfRows& rows, F f) {
  F8 out[n];
  dots<n>(q + size_t(first) * rows.head_dim, rows.head_dim, rows, out);
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) f(first + i, out[i]);
}
template <class F>
inline void all_dots(const float* q, uint32_t queries, const HalfRows& rows, F f) {
  uint32_t i = 0;
  for (; i + 3 <= queries; i += 3) some_dots<3>(q, i, rows, f);
  if (queries - i == 2) some_dots<2>(q, i, rows, f);
  if (queries - i == 1) some_dots<1>(q, i, rows, f);
}

// Calls use(rows) with a group's rows in the form that suits.
template <class F>
inline void with_rows(const uint16_t* src, uint32_t count, uint32_t head_dim, uint32_t queries, F use) {
  if (queries <= kFewQueries && count == kGroup && head_dim % 8 == 0) return use(HalfRows{src, head_dim});
  alignas(32) float rows[kGroup * kMaxHeadDim];
  widen(src, count, head_dim, rows);
  use(WideRows{rows, padded(head_dim)});
}

// f(first row, count, query, the 8 scores) for all groups of rows that are seen.
template <class F>
inline void dot_groups(const float* q, uint32_t queries, uint32_t head_dim, const sluice_span& span,
                       const LaneSlots& lane, uint32_t last_position, F f) {
  const uint16_t* src = static_cast<const uint16_t*>(span.src);
  const uint32_t all = rows_of(span, lane);
  for (uint32_t first = 0; first < all; first += kGroup) {
    const uint32_t count = all - first < kGroup ? all - first : kGroup;
    if (!seen(span, first, count, lane, last_position)) continue;
    with_rows(src + size_t(first) * head_dim, count, head_dim, queries,
              [&](const auto& rows) { all_dots(q, queries, rows, [&](uint32_t i, F8 s) { f(first, count, i, s); }); });
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

// Adds a group's rows, one after the other, to columns c .. of n queries' parts.
template <uint32_t n, uint32_t vectors, class Rows>
inline void mix_columns(const float* w, const Rows& rows, uint32_t c, float* part, uint32_t wide) {
  F8 s[n][vectors];
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < vectors; j++) s[i][j] = load(part + size_t(i) * wide + c + 8 * j);
  }
#pragma GCC unroll 8
  for (uint32_t r = 0; r < kGroup; r++) {
    F8 weights[n];
#pragma GCC unroll 4
    for (uint32_t i = 0; i < n; i++) weights[i] = splat(w[i * kGroup + r]);
#pragma GCC unroll 4
    for (uint32_t j = 0; j < vectors; j++) {
      const F8 v = rows.at(r, c + 8 * j);
#pragma GCC unroll 4
      for (uint32_t i = 0; i < n; i++) s[i][j] = fma(weights[i], v, s[i][j]);
    }
  }
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < vectors; j++) store(part + size_t(i) * wide + c + 8 * j, s[i][j]);
  }
}

template <uint32_t n, class Rows>
inline void mix_rows(const float* w, const Rows& rows, float* part, uint32_t wide) {
  uint32_t c = 0;
  for (; c + 32 <= wide; c += 32) mix_columns<n, 4>(w, rows, c, part, wide);
  for (; c < wide; c += 8) mix_columns<n, 1>(w, rows, c, part, wide);
}

// w [queries][kGroup], zero beyond `count` rows; false if all are zero.
inline bool group_weights(const float* weights, size_t stride, uint32_t queries, const sluice_span& span,
                          const LaneSlots& lane, uint32_t first, uint32_t count, float* w) {
  F8 total = splat(0);  // stays 0 if and only if all weights are; no number stays no number
  for (uint32_t i = 0; i < queries; i++, weights += stride, w += kGroup) {
    F8 x;
    if (!span.slots) {
      x = load_up_to(weights + span.slot_base + first, count);
    } else {
      float each[kGroup];
      for (uint32_t r = 0; r < kGroup; r++) {
        const uint32_t slot = r < count ? scattered_slot(span, first + r) : lane.slots;
        each[r] = slot < lane.slots ? weights[slot] : 0;
      }
      x = load(each);
    }
    store(w, x);
    total = add(total, x);
  }
  return any(different(total, splat(0)));
}

void mix(const float* weights, size_t stride, uint32_t queries, uint32_t head_dim, const sluice_span& span,
         const LaneSlots& lane, float* part) {
  alignas(32) float w[kQueryTile * kGroup];
  const uint32_t wide = padded(head_dim), all = rows_of(span, lane);
  for (uint32_t i = 0; i < queries * wide; i += 8) store(part + i, splat(0));
  const uint16_t* src = static_cast<const uint16_t*>(span.src);
  for (uint32_t first = 0; first < all; first += kGroup) {
    const uint32_t count = all - first < kGroup ? all - first : kGroup;
    if (!group_weights(weights, stride, queries, span, lane, first, count, w)) continue;
    with_rows(src + size_t(first) * head_dim, count, head_dim, queries, [&](const auto& rows) {
      uint32_t i = 0;
      for (; i + kAtOnce <= queries; i += kAtOnce)
        mix_rows<kAtOnce>(w + i * kGroup, rows, part + size_t(i) * wide, wide);
      for (; i < queries; i++) mix_rows<1>(w + i * kGroup, rows, part + size_t(i) * wide, wide);
    });
  }
}

constexpr AttentionKernels kAttentionKernels{scores, row_scores, softmax, share, signal, row_weights, mix};
