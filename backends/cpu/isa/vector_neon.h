// The vector types of isa/*_kernels.h on AArch64 with dot products. To be included inside an unnamed namespace, after
// kernels.h and <arm_neon.h>.

struct RowF {  // a float of each of a panel's 16 rows
  float32x4_t v[4];
};
struct RowI {  // 4 codes, or a 32-bit integer, of each row
  uint32x4_t v[4];
};
struct F8 {
  float32x4_t a, b;
};
struct M8 {
  uint32x4_t a, b;
};

constexpr const char* kName = "neon";
constexpr int kExactRows = 4;  // 16 sums and 4 weights of the 32 registers

// ---- panels ---------------------------------------------------------------------------------------

template <class F>
inline RowI quarters(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}
template <class F>
inline RowF quarters_float(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}
inline RowI load_line(const uint8_t* p) {
  return quarters([&](int i) { return vreinterpretq_u32_u8(vld1q_u8(p + 16 * i)); });
}
inline RowI load_u8(const uint8_t* p) {
  const uint8x16_t x = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(x)), high = vmovl_u8(vget_high_u8(x));
  return {{vmovl_u16(vget_low_u16(low)), vmovl_u16(vget_high_u16(low)), vmovl_u16(vget_low_u16(high)),
           vmovl_u16(vget_high_u16(high))}};
}
inline RowI load_s8(const uint8_t* p) {
  const int8x16_t x = vreinterpretq_s8_u8(vld1q_u8(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_s8(vget_high_s8(x));
  return {{vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(low))), vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(low))),
           vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(high))),
           vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(high)))}};
}
inline RowI bit_and(RowI a, uint32_t mask) {
  return quarters([&](int i) { return vandq_u32(a.v[i], vdupq_n_u32(mask)); });
}
inline RowI bit_or(RowI a, RowI b) {
  return quarters([&](int i) { return vorrq_u32(a.v[i], b.v[i]); });
}
template <int N>
inline RowI shift_left(RowI a) {
  return quarters([&](int i) { return vshlq_u32(a.v[i], vdupq_n_s32(N)); });
}
template <int N>
inline RowI shift_right(RowI a) {
  return quarters([&](int i) { return vshlq_u32(a.v[i], vdupq_n_s32(-N)); });
}
template <int N>
inline RowI shift_right_signed(RowI a) {
  return quarters(
      [&](int i) { return vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(a.v[i]), vdupq_n_s32(-N))); });
}
inline RowI subtract(RowI a, int32_t b) {
  return quarters([&](int i) { return vsubq_u32(a.v[i], vdupq_n_u32(uint32_t(b))); });
}
inline RowI lookup(RowI codes, const int8_t* table) {  // of every byte, which is below 16
  const int8x16_t t = vld1q_s8(table);
  return quarters([&](int i) { return vreinterpretq_u32_s8(vqtbl1q_s8(t, vreinterpretq_u8_u32(codes.v[i]))); });
}
// The sums over `groups` groups of 4 columns of code times q. Codes have `bits` bits, 8: signed; fewer bits are the
// same number in a signed byte.
template <int bits, int groups>
inline RowI dot(const RowI* codes, const int8_t* q, int32_t) {
  int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
#pragma GCC unroll 8
  for (int g = 0; g < groups; g++) {
    int32_t four;
    __builtin_memcpy(&four, q + 4 * g, 4);
    const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sum[i] = vdotq_s32(sum[i], vreinterpretq_s8_u32(codes[g].v[i]), x);
  }
  return quarters([&](int i) { return vreinterpretq_u32_s32(sum[i]); });
}
inline RowF to_float(RowI a) {
  return quarters_float([&](int i) { return vcvtq_f32_s32(vreinterpretq_s32_u32(a.v[i])); });
}
inline RowF load_row(const float* p) {
  return quarters_float([&](int i) { return vld1q_f32(p + 4 * i); });
}
inline float32x4_t four_halves(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
inline RowF load_row_half(const uint8_t* p) {
  return quarters_float([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i))); });
}
inline RowF load_row_bfloat(const uint8_t* p) {
  return quarters_float(
      [&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p + 8 * i)), 16)); });
}
inline void store_row(float* p, RowF x) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, x.v[i]);
}
inline RowF row_splat(float x) {
  return quarters_float([&](int) { return vdupq_n_f32(x); });
}
inline RowF add(RowF x, RowF y) {
  return quarters_float([&](int i) { return vaddq_f32(x.v[i], y.v[i]); });
}
inline RowF mul(RowF x, RowF y) {
  return quarters_float([&](int i) { return vmulq_f32(x.v[i], y.v[i]); });
}
inline RowF fma(RowF x, RowF y, RowF z) {
  return quarters_float([&](int i) { return vfmaq_f32(z.v[i], x.v[i], y.v[i]); });
}

// ---- eight floats -----------------------------------------------------------------------------------

inline F8 load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
inline void store(float* p, F8 x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
}
inline F8 load_half(const uint16_t* p) { return {four_halves(p), four_halves(p + 4)}; }
inline void store_half(uint16_t* p, F8 x) {
  vst1q_u16(p, vreinterpretq_u16_f16(vcombine_f16(vcvt_f16_f32(x.a), vcvt_f16_f32(x.b))));
}
inline F8 splat(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline F8 add(F8 x, F8 y) { return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b)}; }
inline F8 sub(F8 x, F8 y) { return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b)}; }
inline F8 mul(F8 x, F8 y) { return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b)}; }
inline F8 div(F8 x, F8 y) { return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b)}; }
inline F8 fma(F8 x, F8 y, F8 z) { return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)}; }
inline F8 select(M8 m, F8 x, F8 y) { return {vbslq_f32(m.a, x.a, y.a), vbslq_f32(m.b, x.b, y.b)}; }
inline M8 less(F8 x, F8 y) { return {vcltq_f32(x.a, y.a), vcltq_f32(x.b, y.b)}; }
inline M8 different(F8 x, F8 y) { return {vmvnq_u32(vceqq_f32(x.a, y.a)), vmvnq_u32(vceqq_f32(x.b, y.b))}; }
inline F8 max(F8 x, F8 y) { return select(less(y, x), x, y); }  // y where one is no number
inline F8 min(F8 x, F8 y) { return select(less(x, y), x, y); }
inline F8 absolute(F8 x) { return {vabsq_f32(x.a), vabsq_f32(x.b)}; }
inline F8 round(F8 x) { return {vrndnq_f32(x.a), vrndnq_f32(x.b)}; }
inline F8 power_of_2(F8 n) {  // n whole, -126 .. 127
  const auto power = [](float32x4_t x) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(x), vdupq_n_s32(127)), 23));
  };
  return {power(n.a), power(n.b)};
}
inline M8 at_most(const uint32_t* p, uint32_t limit) {
  return {vcleq_u32(vld1q_u32(p), vdupq_n_u32(limit)), vcleq_u32(vld1q_u32(p + 4), vdupq_n_u32(limit))};
}
inline M8 at_least(const uint32_t* p, uint32_t limit) {
  return {vcgeq_u32(vld1q_u32(p), vdupq_n_u32(limit)), vcgeq_u32(vld1q_u32(p + 4), vdupq_n_u32(limit))};
}
inline M8 other_than(const uint32_t* p, uint32_t value) {
  return {vmvnq_u32(vceqq_u32(vld1q_u32(p), vdupq_n_u32(value))),
          vmvnq_u32(vceqq_u32(vld1q_u32(p + 4), vdupq_n_u32(value)))};
}
inline M8 both(M8 x, M8 y) { return {vandq_u32(x.a, y.a), vandq_u32(x.b, y.b)}; }
inline bool any(M8 x) { return vmaxvq_u32(vorrq_u32(x.a, x.b)) != 0; }

// ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))
inline float sum_of(F8 x) { return vaddvq_f32(vpaddq_f32(vpaddq_f32(x.a, x.b), vdupq_n_f32(0))); }
inline F8 sums_of(const F8 (&x)[8]) {
  const auto pair = [&](int i) { return vpaddq_f32(vpaddq_f32(x[i].a, x[i].b), vpaddq_f32(x[i + 1].a, x[i + 1].b)); };
  return {vpaddq_f32(pair(0), pair(2)), vpaddq_f32(pair(4), pair(6))};
}
inline float max_of(F8 x) { return vmaxvq_f32(vmaxq_f32(x.a, x.b)); }
// Rounds 32 numbers, at most 127 in magnitude, to bytes and sums each half.
inline void round_to_bytes(const F8 (&x)[4], int8_t* q, int16_t* halves) {
  for (int h = 0; h < 2; h++) {
    const auto narrow = [](F8 y) {
      return vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(y.a)), vqmovn_s32(vcvtnq_s32_f32(y.b)));
    };
    int8x16_t bytes = vcombine_s8(vqmovn_s16(narrow(x[2 * h])), vqmovn_s16(narrow(x[2 * h + 1])));
    bytes = vmaxq_s8(bytes, vdupq_n_s8(-127));
    vst1q_s8(q + 16 * h, bytes);
    halves[h] = vaddlvq_s8(bytes);
  }
}
