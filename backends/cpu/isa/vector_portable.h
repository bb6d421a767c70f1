// The vector types of isa/*_kernels.h in the compiler's generic vectors, for processors that no other file knows. To be
// included inside an unnamed namespace, after kernels.h and <cmath>.

using RowF = float __attribute__((vector_size(64)));     // a float of each of a panel's 16 rows
using RowI = uint32_t __attribute__((vector_size(64)));  // 4 codes, or a 32-bit integer, of each row
using SignedRow = int32_t __attribute__((vector_size(64)));
using F8 = float __attribute__((vector_size(32)));
using I8 = int32_t __attribute__((vector_size(32)));
using U8 = uint32_t __attribute__((vector_size(32)));
struct M8 {
  I8 m;  // -1 or 0
};

constexpr const char* kName = "portable";
constexpr int kExactRows = 4;  // batch rows whose sums the exact kernel keeps together

template <class V>
inline V load_vector(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// ---- panels ---------------------------------------------------------------------------------------

inline RowI load_line(const uint8_t* p) { return load_vector<RowI>(p); }
inline RowI load_u8(const uint8_t* p) {
  RowI r;
  for (int i = 0; i < 16; i++) r[i] = p[i];
  return r;
}
inline RowI load_s8(const uint8_t* p) {
  RowI r;
  for (int i = 0; i < 16; i++) r[i] = uint32_t(int32_t(int8_t(p[i])));
  return r;
}
inline RowI bit_and(RowI a, uint32_t mask) { return a & mask; }
inline RowI bit_or(RowI a, RowI b) { return a | b; }
template <int N>
inline RowI shift_left(RowI a) {
  return a << N;
}
template <int N>
inline RowI shift_right(RowI a) {
  return a >> N;
}
template <int N>
inline RowI shift_right_signed(RowI a) {
  return RowI(SignedRow(a) >> N);
}
inline RowI subtract(RowI a, int32_t b) { return a - uint32_t(b); }
inline RowI lookup(RowI codes, const int8_t* table) {  // of every byte, which is below 16
  uint8_t bytes[64];
  __builtin_memcpy(bytes, &codes, 64);
  for (uint8_t& b : bytes) b = uint8_t(table[b]);
  return load_line(bytes);
}
// The sums over `groups` groups of 4 columns of code times q. Codes have `bits` bits, 8: signed.
template <int bits, int groups>
__attribute__((noinline)) RowI dot(const RowI* codes, const int8_t* q, int32_t) {
  SignedRow sum{};
  for (int g = 0; g < groups; g++) {
    for (int c = 0; c < 4; c++) {
      const SignedRow code =
          bits == 8 ? SignedRow(codes[g] << (24 - 8 * c)) >> 24 : SignedRow(codes[g] >> 8 * c & 255u);
      sum += code * int32_t(q[4 * g + c]);
    }
  }
  return RowI(sum);
}
inline RowF to_float(RowI a) { return __builtin_convertvector(SignedRow(a), RowF); }
inline RowF load_row(const float* p) { return load_vector<RowF>(p); }
inline RowF load_row_half(const uint8_t* p) {
  RowF r;
  for (int i = 0; i < 16; i++) r[i] = sluice_load_f16(p + 2 * i);
  return r;
}
inline RowF load_row_bfloat(const uint8_t* p) {
  RowF r;
  for (int i = 0; i < 16; i++) r[i] = sluice_bf16_to_float(sluice_load_u16(p + 2 * i));
  return r;
}
inline void store_row(float* p, RowF a) { __builtin_memcpy(p, &a, sizeof a); }
inline RowF row_splat(float x) { return x - RowF{}; }
inline RowF add(RowF a, RowF b) { return a + b; }
inline RowF mul(RowF a, RowF b) { return a * b; }
inline RowF fma(RowF a, RowF b, RowF c) { return a * b + c; }

// ---- eight floats -----------------------------------------------------------------------------------

inline F8 load(const float* p) { return load_vector<F8>(p); }
inline void store(float* p, F8 a) { __builtin_memcpy(p, &a, sizeof a); }
inline F8 load_half(const uint16_t* p) {
  F8 r;
  for (int i = 0; i < 8; i++) r[i] = sluice_from_half(p[i]);
  return r;
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
  for (int i = 0; i < 8; i++) p[i] = half_of(a[i]);
}
inline F8 splat(float x) { return x - F8{}; }
inline F8 add(F8 a, F8 b) { return a + b; }
inline F8 sub(F8 a, F8 b) { return a - b; }
inline F8 mul(F8 a, F8 b) { return a * b; }
inline F8 div(F8 a, F8 b) { return a / b; }
inline F8 fma(F8 a, F8 b, F8 c) { return a * b + c; }
inline F8 max(F8 a, F8 b) { return a > b ? a : b; }  // b where one is no number
inline F8 min(F8 a, F8 b) { return a < b ? a : b; }
inline F8 absolute(F8 a) { return F8(U8(a) & 0x7FFFFFFFu); }
inline F8 round(F8 a) { return (a + 12582912.0f) - 12582912.0f; }                        // to nearest, for |a| < 2^22
inline F8 power_of_2(F8 n) { return F8((__builtin_convertvector(n, I8) + 127) << 23); }  // n whole, -126 .. 127
inline F8 select(M8 m, F8 a, F8 b) { return m.m ? a : b; }
inline M8 less(F8 a, F8 b) { return {a < b}; }
inline M8 different(F8 a, F8 b) { return {a != b}; }
inline M8 at_most(const uint32_t* p, uint32_t limit) { return {load_vector<U8>(p) <= limit}; }
inline M8 at_least(const uint32_t* p, uint32_t limit) { return {load_vector<U8>(p) >= limit}; }
inline M8 other_than(const uint32_t* p, uint32_t value) { return {load_vector<U8>(p) != value}; }
inline M8 both(M8 a, M8 b) { return {a.m & b.m}; }
inline bool any(M8 a) {
  int32_t r = 0;
  for (int i = 0; i < 8; i++) r |= a.m[i];
  return r != 0;
}
inline float sum_of(F8 a) { return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7])); }
inline float max_of(F8 a) {
  float r = a[0];
  for (int i = 1; i < 8; i++) r = a[i] > r ? a[i] : r;
  return r;
}
inline F8 sums_of(const F8 (&a)[8]) {  // the sums of 8 vectors
  F8 r;
  for (int i = 0; i < 8; i++) r[i] = sum_of(a[i]);
  return r;
}
// Rounds 32 numbers, at most 127 in magnitude, to bytes and sums each half.
inline void round_to_bytes(const F8 (&x)[4], int8_t* q, int16_t* halves) {
  halves[0] = halves[1] = 0;
  for (int i = 0; i < 32; i++) {
    const float whole = round(x[i / 8])[i % 8];
    q[i] = int8_t(whole > 127 ? 127 : whole < -127 ? -127 : whole == whole ? int(whole) : 0);
    halves[i / 16] = int16_t(halves[i / 16] + q[i]);
  }
}
