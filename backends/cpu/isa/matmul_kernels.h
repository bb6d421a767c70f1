// Matmul of one panel (16 rows of weights) with up to kBatch rows of activations, written once over RowF and RowI.
// To be included inside an unnamed namespace, after a vector header. Every element is summed in column order, block
// after block, by the same operations whatever n is: that is the determinism contract.

// What the unit's header says, as floats.
template <Layout L>
struct UnitScales {
  RowF d, m;
};
template <Layout L>
struct BlockScales {
  RowF scale[L.halves ? 2 : 1], min[L.halves ? 2 : 1];
};

template <Layout L>
inline UnitScales<L> unit_scales(const uint8_t* unit) {
  UnitScales<L> s;
  s.d = load_row_half(unit);
  if constexpr (L.min) {
    s.m = load_row_half(unit + 32);
    if constexpr (L.scales != Scales::kPlain) s.m = mul(s.m, row_splat(-1.0f));  // a min is subtracted
  }
  return s;
}

template <int shift>
inline RowI six_bits(RowI low, RowI high) {  // low: a nibble, high: its two upper bits from bit `shift` up
  return bit_or(low, shift_left<4>(bit_and(shift_right<shift>(high), 3)));
}

template <Layout L>
inline BlockScales<L> block_scales(const uint8_t* unit, uint32_t block, const UnitScales<L>& u) {
  BlockScales<L> s;
  const uint8_t* at = unit + L.scales_at();
  if constexpr (L.scales == Scales::kPlain) {
    s.scale[0] = u.d;
    if constexpr (L.min) s.min[0] = u.m;
  } else if constexpr (L.scales == Scales::kSixBitMins || L.scales == Scales::kSixBitHalves) {
    const RowI both_low = load_u8(at + 48 * (block / 2) + 16 * (block % 2));
    RowI high = load_u8(at + 48 * (block / 2) + 32);
    if (block % 2) high = shift_right<4>(high);
    const RowI one = six_bits<0>(bit_and(both_low, 15), high), two = six_bits<2>(shift_right<4>(both_low), high);
    if constexpr (L.scales == Scales::kSixBitMins) {
      s.scale[0] = mul(u.d, to_float(one));
      s.min[0] = mul(u.m, to_float(two));
    } else {
      s.scale[0] = mul(u.d, to_float(subtract(one, 32)));
      s.scale[1] = mul(u.d, to_float(subtract(two, 32)));
    }
  } else {
    for (uint32_t h = 0; h < 2; h++) {
      const uint8_t* p = at + 16 * (2 * block + h);
      if constexpr (L.scales == Scales::kBytes) {
        s.scale[h] = mul(u.d, to_float(load_s8(p)));
      } else {
        s.scale[h] = mul(u.d, to_float(bit_and(load_u8(p), 15)));
        s.min[h] = mul(u.m, to_float(shift_right<4>(load_u8(p))));
      }
    }
  }
  return s;
}

// codes[g]: of the 4 columns from 4 g on. Unsigned, or signed values where code_bits() is 8.
template <Layout L>
inline void unpack(const uint8_t* planes, RowI (&codes)[8]) {
  const uint8_t* at = planes;
  if constexpr (L.whole) {
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) codes[g] = load_line(at + kLine * g);
  }
  if constexpr (L.nibbles) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const RowI line = load_line(at + kLine * i);
      codes[i] = bit_and(line, 0x0F0F0F0F);
      codes[i + 4] = bit_and(shift_right<4>(line), 0x0F0F0F0F);
    }
    at += 4 * kLine;
  }
  if constexpr (L.pairs) {
#pragma GCC unroll 2
    for (int k = 0; k < 2; k++) {
      const RowI line = load_line(at + kLine * k);
      const RowI two[4] = {line, shift_right<2>(line), shift_right<4>(line), shift_right<6>(line)};
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const RowI pair = bit_and(two[i], 0x03030303);
        codes[4 * k + i] = L.nibbles ? bit_or(codes[4 * k + i], shift_left<4>(pair)) : pair;
      }
    }
    at += 2 * kLine;
  }
  if constexpr (L.bits) {
    constexpr int place = L.nibbles ? 4 : 2;
    const RowI line = load_line(at);
    const RowI one[8] = {line,
                         shift_right<1>(line),
                         shift_right<2>(line),
                         shift_right<3>(line),
                         shift_right<4>(line),
                         shift_right<5>(line),
                         shift_right<6>(line),
                         shift_right<7>(line)};
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) codes[g] = bit_or(codes[g], shift_left<place>(bit_and(one[g], 0x01010101)));
  }
  if constexpr (L.table) {
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) codes[g] = lookup(codes[g], sluice_iq4_nl_table());
  }
}

inline void store_valid(float* out, RowF sum, uint32_t valid) {
  if (valid == kPanelRows) return store_row(out, sum);
  float all[kPanelRows];
  store_row(all, sum);
  for (uint32_t r = 0; r < valid; r++) out[r] = all[r];
}

// ---- 8-bit activations ------------------------------------------------------------------------------

template <Layout L>
inline void add_block(const RowI* codes, const BlockScales<L>& s, const QuantBlock& x, RowF& sum) {
  if constexpr (L.halves) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      RowI dots = dot<L.code_bits(), 4>(codes + 4 * h, x.q + 16 * h, x.halves[h]);
      if constexpr (L.offset != 0) dots = subtract(dots, L.offset * x.halves[h]);
      sum = fma(to_float(dots), mul(s.scale[h], row_splat(x.d)), sum);
      if constexpr (L.min) sum = fma(s.min[h], row_splat(x.d * float(x.halves[h])), sum);
    }
  } else {
    const int32_t total = x.halves[0] + x.halves[1];
    RowI dots = dot<L.code_bits(), 8>(codes, x.q, total);
    if constexpr (L.offset != 0) dots = subtract(dots, L.offset * total);
    sum = fma(to_float(dots), mul(s.scale[0], row_splat(x.d)), sum);
    if constexpr (L.min) sum = fma(s.min[0], row_splat(x.sum), sum);
  }
}

template <Layout L>
void fast(const FastCall& call) {
  RowF sums[kBatch];
  for (uint32_t t = 0; t < call.n; t++) sums[t] = row_splat(0);
  const QuantBlock* x = call.x;
  const uint8_t* end = call.panel + size_t(call.columns / L.columns) * L.unit_bytes();
  for (const uint8_t* unit = call.panel; unit < end; unit += L.unit_bytes()) {
    const UnitScales<L> u = unit_scales<L>(unit);
    for (uint32_t b = 0; b < L.blocks(); b++, x += call.stride) {
      RowI codes[8];
      unpack<L>(unit + L.codes_at() + b * L.plane_bytes(), codes);
      const BlockScales<L> s = block_scales<L>(unit, b, u);
      for (uint32_t t = 0; t < call.n; t++) add_block<L>(codes, s, x[t], sums[t]);
    }
  }
  for (uint32_t t = 0; t < call.n; t++) store_valid(call.out + t * call.out_stride, sums[t], call.valid);
}

// One row of activations, the common case of decoding: the sum stays in registers.
template <Layout L>
void fast_dispatch(const FastCall& call) {
  if (call.n != 1) return fast<L>(call);
  RowF sum = row_splat(0);
  const QuantBlock* x = call.x;
  const uint8_t* end = call.panel + size_t(call.columns / L.columns) * L.unit_bytes();
  for (const uint8_t* unit = call.panel; unit < end; unit += L.unit_bytes()) {
    const UnitScales<L> u = unit_scales<L>(unit);
    for (uint32_t b = 0; b < L.blocks(); b++, x += call.stride) {
      RowI codes[8];
      unpack<L>(unit + L.codes_at() + b * L.plane_bytes(), codes);
      add_block<L>(codes, block_scales<L>(unit, b, u), *x, sum);
    }
  }
  store_valid(call.out, sum, call.valid);
}

// ---- float activations --------------------------------------------------------------------------------

template <int rows>
inline void add_columns(const RowF* weights, uint32_t columns, const float* x, size_t stride, RowF* sums) {
  RowF s[rows];
#pragma GCC unroll 16
  for (int t = 0; t < rows; t++) s[t] = sums[t];
  for (uint32_t c = 0; c < columns; c++) {
    const RowF w = weights[c];
#pragma GCC unroll 16
    for (int t = 0; t < rows; t++) s[t] = fma(w, row_splat(x[t * stride + c]), s[t]);
  }
#pragma GCC unroll 16
  for (int t = 0; t < rows; t++) sums[t] = s[t];
}

inline void add_all(const RowF* weights, uint32_t columns, const float* x, size_t stride, uint32_t n, RowF* sums) {
  uint32_t t = 0;
  for (; t + kExactRows <= n; t += kExactRows)
    add_columns<kExactRows>(weights, columns, x + t * stride, stride, sums + t);
  for (; t + 2 <= n; t += 2) add_columns<2>(weights, columns, x + t * stride, stride, sums + t);
  for (; t < n; t++) add_columns<1>(weights, columns, x + t * stride, stride, sums + t);
}

// Value c of each row's 4 codes.
template <Layout L, int c>
inline RowF values(RowI codes, const BlockScales<L>& s, int half) {
  RowI code;
  if constexpr (L.code_bits() == 8) {
    code = shift_right_signed<24>(shift_left<24 - 8 * c>(codes));
  } else {
    code = bit_and(shift_right<8 * c>(codes), 0xFF);
    if constexpr (L.offset != 0) code = subtract(code, L.offset);
  }
  const RowF product = mul(s.scale[half], to_float(code));
  if constexpr (L.min) return add(product, s.min[half]);
  return product;
}

template <Layout L>
void exact(const ExactCall& call) {
  RowF sums[kBatch], weights[kBlockColumns];
  for (uint32_t t = 0; t < call.n; t++) sums[t] = row_splat(0);
  const float* x = call.x;
  const uint8_t* end = call.panel + size_t(call.columns / L.columns) * L.unit_bytes();
  for (const uint8_t* unit = call.panel; unit < end; unit += L.unit_bytes()) {
    const UnitScales<L> u = unit_scales<L>(unit);
    for (uint32_t b = 0; b < L.blocks(); b++, x += kBlockColumns) {
      RowI codes[8];
      unpack<L>(unit + L.codes_at() + b * L.plane_bytes(), codes);
      const BlockScales<L> s = block_scales<L>(unit, b, u);
#pragma GCC unroll 8
      for (int g = 0; g < 8; g++) {
        const int half = L.halves ? g / 4 : 0;
        weights[4 * g] = values<L, 0>(codes[g], s, half);
        weights[4 * g + 1] = values<L, 1>(codes[g], s, half);
        weights[4 * g + 2] = values<L, 2>(codes[g], s, half);
        weights[4 * g + 3] = values<L, 3>(codes[g], s, half);
      }
      add_all(weights, kBlockColumns, x, call.stride, call.n, sums);
    }
  }
  for (uint32_t t = 0; t < call.n; t++) store_valid(call.out + t * call.out_stride, sums[t], call.valid);
}

template <Layout L>
void exact_float(const ExactCall& call) {
  RowF sums[kBatch], weights[kBlockColumns];
  for (uint32_t t = 0; t < call.n; t++) sums[t] = row_splat(0);
  for (uint32_t first = 0; first < call.columns; first += kBlockColumns) {
    const uint32_t columns = call.columns - first < kBlockColumns ? call.columns - first : kBlockColumns;
    const uint8_t* at = call.panel + size_t(first) * L.unit_bytes();
    for (uint32_t c = 0; c < columns; c++, at += L.unit_bytes()) {
      if constexpr (L.type == SLUICE_GGUF_F32) weights[c] = load_row(reinterpret_cast<const float*>(at));
      if constexpr (L.type == SLUICE_GGUF_F16) weights[c] = load_row_half(at);
      if constexpr (L.type == SLUICE_GGUF_BF16) weights[c] = load_row_bfloat(at);
    }
    add_all(weights, columns, call.x + first, call.stride, call.n, sums);
  }
  for (uint32_t t = 0; t < call.n; t++) store_valid(call.out + t * call.out_stride, sums[t], call.valid);
}

// In the order of kLayouts.
constexpr MatmulKernels kMatmulKernels{
    {nullptr, nullptr, nullptr, fast_dispatch<kQ4_0>, fast_dispatch<kQ4_1>, fast_dispatch<kQ5_0>, fast_dispatch<kQ5_1>,
     fast_dispatch<kQ8_0>, fast_dispatch<kIQ4_NL>, fast_dispatch<kQ2_K>, fast_dispatch<kQ3_K>, fast_dispatch<kQ4_K>,
     fast_dispatch<kQ5_K>, fast_dispatch<kQ6_K>},
    {exact_float<kF32>, exact_float<kF16>, exact_float<kBF16>, exact<kQ4_0>, exact<kQ4_1>, exact<kQ5_0>, exact<kQ5_1>,
     exact<kQ8_0>, exact<kIQ4_NL>, exact<kQ2_K>, exact<kQ3_K>, exact<kQ4_K>, exact<kQ5_K>, exact<kQ6_K>}};
