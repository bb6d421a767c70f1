// Eight floats on AVX2, FMA and F16C: the part of the vector types that attention and rows of floats need. Shared by
// the AVX2 and AVX-512 files; to be included inside an unnamed namespace, after <immintrin.h>.

using F8 = __m256;
struct M8 {
  __m256i m;
};

inline F8 load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, F8 a) { _mm256_storeu_ps(p, a); }
inline F8 load_half(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline void store_half(uint16_t* p, F8 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
inline F8 splat(float x) { return _mm256_set1_ps(x); }
inline F8 add(F8 a, F8 b) { return _mm256_add_ps(a, b); }
inline F8 sub(F8 a, F8 b) { return _mm256_sub_ps(a, b); }
inline F8 mul(F8 a, F8 b) { return _mm256_mul_ps(a, b); }
inline F8 div(F8 a, F8 b) { return _mm256_div_ps(a, b); }
inline F8 fma(F8 a, F8 b, F8 c) { return _mm256_fmadd_ps(a, b, c); }
inline F8 max(F8 a, F8 b) { return _mm256_max_ps(a, b); }  // b where one is no number
inline F8 min(F8 a, F8 b) { return _mm256_min_ps(a, b); }
inline F8 absolute(F8 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline F8 round(F8 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline F8 power_of_2(F8 n) {  // n whole, -126 .. 127
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F8 select(M8 m, F8 a, F8 b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m.m)); }
inline M8 less(F8 a, F8 b) { return {_mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ))}; }
inline M8 different(F8 a, F8 b) { return {_mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_NEQ_UQ))}; }
inline __m256i load_positions(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline M8 at_most(const uint32_t* p, uint32_t limit) {
  const __m256i x = load_positions(p);
  return {_mm256_cmpeq_epi32(_mm256_min_epu32(x, _mm256_set1_epi32(int(limit))), x)};
}
inline M8 at_least(const uint32_t* p, uint32_t limit) {
  const __m256i x = load_positions(p);
  return {_mm256_cmpeq_epi32(_mm256_max_epu32(x, _mm256_set1_epi32(int(limit))), x)};
}
inline M8 other_than(const uint32_t* p, uint32_t value) {
  const __m256i equal = _mm256_cmpeq_epi32(load_positions(p), _mm256_set1_epi32(int(value)));
  return {_mm256_xor_si256(equal, _mm256_set1_epi32(-1))};
}
inline M8 both(M8 a, M8 b) { return {_mm256_and_si256(a.m, b.m)}; }
inline bool any(M8 a) { return _mm256_movemask_ps(_mm256_castsi256_ps(a.m)) != 0; }

// ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) of each of 8 vectors.
inline F8 sums_of(const F8 (&a)[8]) {
  const F8 h0 = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
  const F8 h1 = _mm256_hadd_ps(_mm256_hadd_ps(a[4], a[5]), _mm256_hadd_ps(a[6], a[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(h0, h1, 0x20), _mm256_permute2f128_ps(h0, h1, 0x31));
}
inline float sum_of(F8 a) {
  const F8 h = _mm256_hadd_ps(_mm256_hadd_ps(a, a), _mm256_hadd_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}
inline float max_of(F8 a) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
// Rounds 32 numbers, at most 127 in magnitude, to bytes and sums each half.
inline void round_to_bytes(const F8 (&x)[4], int8_t* q, int16_t* halves) {
  const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
  const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(x[2]), _mm256_cvtps_epi32(x[3]));
  // Packing works within halves of a register: the fours of numbers come out as 0 2 4 6 1 3 5 7.
  __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(-127));  // what is no number becomes -128
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), bytes);
  const __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
  __m256i sums = _mm256_add_epi32(fours, _mm256_shuffle_epi32(fours, 0x4E));
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xB1));
  halves[0] = int16_t(_mm_cvtsi128_si32(_mm256_castsi256_si128(sums)));
  halves[1] = int16_t(_mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1)));
}
