// The vector types of isa/*_kernels.h in plain C++, for processors that no other file knows. To be included inside an
// unnamed namespace, after kernels.h and <cmath>.

struct RowF {
  float v[16];
};  // a float of each of a panel's 16 rows
struct RowI {
  uint32_t v[16];
};  // 4 codes, or a 32-bit integer, of each row
struct F8 {
  float v[8];
};
struct M8 {
  bool v[8];
};

constexpr const char* kName = "portable";
constexpr int kExactRows = 4;  // batch rows whose sums the exact kernel keeps in registers

// ---- panels ---------------------------------------------------------------------------------------

template <class F>
inline RowI each_row(F f) {
  RowI r;
  for (int i = 0; i < 16; i++) r.v[i] = uint32_t(f(i));
  return r;
}
template <class F>
inline RowF each_row_float(F f) {
  RowF r;
  for (int i = 0; i < 16; i++) r.v[i] = f(i);
  return r;
}
inline RowI load_line(const uint8_t* p) {
  RowI r;
  for (int i = 0; i < 16; i++) {
    r.v[i] =
        uint32_t(p[4 * i]) | uint32_t(p[4 * i + 1]) << 8 | uint32_t(p[4 * i + 2]) << 16 | uint32_t(p[4 * i + 3]) << 24;
  }
  return r;
}
inline RowI load_u8(const uint8_t* p) {
  return each_row([&](int i) { return p[i]; });
}
inline RowI load_s8(const uint8_t* p) {
  return each_row([&](int i) { return int32_t(int8_t(p[i])); });
}
inline RowI bit_and(RowI a, uint32_t mask) {
  return each_row([&](int i) { return a.v[i] & mask; });
}
inline RowI bit_or(RowI a, RowI b) {
  return each_row([&](int i) { return a.v[i] | b.v[i]; });
}
template <int N>
inline RowI shift_left(RowI a) {
  return each_row([&](int i) { return a.v[i] << N; });
}
template <int N>
inline RowI shift_right(RowI a) {
  return each_row([&](int i) { return a.v[i] >> N; });
}
template <int N>
inline RowI shift_right_signed(RowI a) {
  return each_row([&](int i) { return int32_t(a.v[i]) >> N; });
}
inline RowI subtract(RowI a, int32_t b) {
  return each_row([&](int i) { return a.v[i] - uint32_t(b); });
}
inline RowI lookup(RowI codes, const int8_t* table) {  // of every byte, which is below 16
  return each_row([&](int i) {
    uint32_t r = 0;
    for (int c = 0; c < 4; c++) r |= uint32_t(uint8_t(table[codes.v[i] >> 8 * c & 15u])) << 8 * c;
    return r;
  });
}
// The sums over `groups` groups of 4 columns of code times q. Codes have `bits` bits, 8: signed.
template <int bits, int groups>
inline RowI dot(const RowI* codes, const int8_t* q, int32_t) {
  return each_row([&](int i) {
    int32_t sum = 0;
    for (int g = 0; g < groups; g++) {
      for (int c = 0; c < 4; c++) {
        const uint8_t byte = uint8_t(codes[g].v[i] >> 8 * c);
        sum += (bits == 8 ? int32_t(int8_t(byte)) : int32_t(byte)) * q[4 * g + c];
      }
    }
    return sum;
  });
}
inline RowF to_float(RowI a) {
  return each_row_float([&](int i) { return float(int32_t(a.v[i])); });
}
inline RowF load_row(const float* p) {
  return each_row_float([&](int i) { return p[i]; });
}
inline RowF load_row_half(const uint8_t* p) {
  return each_row_float([&](int i) { return sluice_load_f16(p + 2 * i); });
}
inline RowF load_row_bfloat(const uint8_t* p) {
  return each_row_float([&](int i) { return sluice_bf16_to_float(sluice_load_u16(p + 2 * i)); });
}
inline void store_row(float* p, RowF a) {
  for (int i = 0; i < 16; i++) p[i] = a.v[i];
}
inline RowF row_splat(float x) {
  return each_row_float([&](int) { return x; });
}
inline RowF add(RowF a, RowF b) {
  return each_row_float([&](int i) { return a.v[i] + b.v[i]; });
}
inline RowF mul(RowF a, RowF b) {
  return each_row_float([&](int i) { return a.v[i] * b.v[i]; });
}
inline RowF fma(RowF a, RowF b, RowF c) {
  return each_row_float([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}

// ---- eight floats -----------------------------------------------------------------------------------

template <class F>
inline F8 each8(F f) {
  F8 r;
  for (int i = 0; i < 8; i++) r.v[i] = f(i);
  return r;
}
inline F8 load(const float* p) {
  return each8([&](int i) { return p[i]; });
}
inline void store(float* p, F8 a) {
  for (int i = 0; i < 8; i++) p[i] = a.v[i];
}
inline F8 load_half(const uint16_t* p) {
  return each8([&](int i) { return sluice_f16_to_float(p[i]); });
}
inline uint16_t half_of(float f) {  // nearest, ties to even
  uint32_t bits;
  __builtin_memcpy(&bits, &f, 4);
  const uint16_t sign = uint16_t(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return uint16_t(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return uint16_t(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {  // a multiple of 2^-24; adding 2^23 rounds to a whole number of them
    const float scaled = sluice_float_from_bits(magnitude) * 0x1p24f + 0x1p23f;
    __builtin_memcpy(&bits, &scaled, 4);
    return uint16_t(sign | (bits & 0x7FFu));
  }
  return uint16_t(sign | ((magnitude + 0xFFFu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13));
}
inline void store_half(uint16_t* p, F8 a) {
  for (int i = 0; i < 8; i++) p[i] = half_of(a.v[i]);
}
inline F8 splat(float x) {
  return each8([&](int) { return x; });
}
inline F8 add(F8 a, F8 b) {
  return each8([&](int i) { return a.v[i] + b.v[i]; });
}
inline F8 sub(F8 a, F8 b) {
  return each8([&](int i) { return a.v[i] - b.v[i]; });
}
inline F8 mul(F8 a, F8 b) {
  return each8([&](int i) { return a.v[i] * b.v[i]; });
}
inline F8 div(F8 a, F8 b) {
  return each8([&](int i) { return a.v[i] / b.v[i]; });
}
inline F8 fma(F8 a, F8 b, F8 c) {
  return each8([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
inline F8 max(F8 a, F8 b) {  // b where one is no number
  return each8([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F8 min(F8 a, F8 b) {
  return each8([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F8 absolute(F8 a) {
  return each8([&](int i) { return std::fabs(a.v[i]); });
}
inline F8 round(F8 a) {  // to nearest, for |a| < 2^22
  return each8([&](int i) { return (a.v[i] + 12582912.0f) - 12582912.0f; });
}
inline F8 power_of_2(F8 n) {  // n whole, -126 .. 127
  return each8([&](int i) { return sluice_float_from_bits(uint32_t(int32_t(n.v[i]) + 127) << 23); });
}
inline F8 select(M8 m, F8 a, F8 b) {
  return each8([&](int i) { return m.v[i] ? a.v[i] : b.v[i]; });
}
template <class F>
inline M8 mask8(F f) {
  M8 m;
  for (int i = 0; i < 8; i++) m.v[i] = f(i);
  return m;
}
inline M8 less(F8 a, F8 b) {
  return mask8([&](int i) { return a.v[i] < b.v[i]; });
}
inline M8 different(F8 a, F8 b) {
  return mask8([&](int i) { return a.v[i] != b.v[i]; });
}
inline M8 at_most(const uint32_t* p, uint32_t limit) {
  return mask8([&](int i) { return p[i] <= limit; });
}
inline M8 at_least(const uint32_t* p, uint32_t limit) {
  return mask8([&](int i) { return p[i] >= limit; });
}
inline M8 other_than(const uint32_t* p, uint32_t value) {
  return mask8([&](int i) { return p[i] != value; });
}
inline M8 both(M8 a, M8 b) {
  return mask8([&](int i) { return a.v[i] && b.v[i]; });
}
inline bool any(M8 a) {
  bool r = false;
  for (int i = 0; i < 8; i++) r |= a.v[i];
  return r;
}
inline float sum_of(F8 a) { return ((a.v[0] + a.v[1]) + (a.v[2] + a.v[3])) + ((a.v[4] + a.v[5]) + (a.v[6] + a.v[7])); }
inline float max_of(F8 a) {
  float r = a.v[0];
  for (int i = 1; i < 8; i++) r = a.v[i] > r ? a.v[i] : r;
  return r;
}
inline F8 sums_of(const F8 (&a)[8]) {  // the sums of 8 vectors
  return each8([&](int i) { return sum_of(a[i]); });
}
// Rounds 32 numbers, at most 127 in magnitude, to bytes and sums each half.
inline void round_to_bytes(const F8 (&x)[4], int8_t* q, int16_t* halves) {
  halves[0] = halves[1] = 0;
  for (int i = 0; i < 32; i++) {
    const float v = x[i / 8].v[i % 8];
    const float whole = (v + 12582912.0f) - 12582912.0f;
    q[i] = int8_t(whole > 127 ? 127 : whole < -127 ? -127 : whole == whole ? int(whole) : 0);
    halves[i / 16] = int16_t(halves[i / 16] + q[i]);
  }
}
