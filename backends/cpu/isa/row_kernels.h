// Operations on rows of floats, written once over F8. To be included inside an unnamed namespace, after a vector
// header. Sums have one order: lane i of a vector takes the elements i, i + 8 ..., lanes are added as a tree.

// e^x within 2 units in the last place for x from -87.3 to 88; 0 below, e^88 above. e^x = 2^n e^r with |r| <= ln 2 / 2
// and a polynomial of degree 6, whose coefficients make the largest relative error smallest (0.06 units).
inline F8 exponential(F8 x) {
  const F8 clamped = min(splat(88.0f), max(splat(-87.3f), x));
  const F8 n = round(mul(clamped, splat(0x1.715476p+0f)));
  const F8 r = fma(n, splat(0x1.bd0106p-13f), fma(n, splat(-0x1.63p-1f), clamped));  // ln 2 in two parts
  F8 p = fma(splat(0x1.6a23cep-10f), r, splat(0x1.123a2p-7f));
  p = fma(p, r, splat(0x1.5558f2p-5f));
  p = fma(p, r, splat(0x1.555492p-3f));
  p = fma(p, r, splat(0x1.fffffcp-2f));
  p = add(fma(mul(r, r), p, r), splat(1.0f));
  return select(less(x, splat(-87.3f)), splat(0.0f), mul(p, power_of_2(n)));
}

// Up to 8 floats, the others as `fill`.
inline F8 load_some(const float* p, uint32_t n, float fill) {
  float x[8];
  for (uint32_t i = 0; i < 8; i++) x[i] = i < n ? p[i] : fill;
  return load(x);
}
inline void store_some(float* p, uint32_t n, F8 a) {
  float x[8];
  store(x, a);
  for (uint32_t i = 0; i < n; i++) p[i] = x[i];
}

// f(index, elements) for every 8 of n elements; the last call may have fewer.
template <class F>
inline void eights(size_t n, F f) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) f(i, 8u);
  if (i < n) f(i, uint32_t(n - i));
}
inline F8 load_up_to(const float* p, uint32_t n, float fill = 0) { return n == 8 ? load(p) : load_some(p, n, fill); }
inline void store_up_to(float* p, uint32_t n, F8 a) {
  if (n == 8) return store(p, a);
  store_some(p, n, a);
}

void quantize(const float* x, uint32_t columns, QuantBlock* out, size_t stride) {
  for (uint32_t b = 0; b < columns / kBlockColumns; b++, x += kBlockColumns, out += stride) {
    F8 v[4] = {load(x), load(x + 8), load(x + 16), load(x + 24)};
    const float largest = max_of(max(max(absolute(v[0]), absolute(v[1])), max(absolute(v[2]), absolute(v[3]))));
    const float inverse = largest > 0 ? 127.0f / largest : 0;
    for (F8& e : v) e = mul(e, splat(inverse));
    round_to_bytes(v, out->q, out->halves);
    out->d = largest / 127.0f;
    out->sum = out->d * float(out->halves[0] + out->halves[1]);
    out->reserved = 0;
  }
}

void rmsnorm(const float* x, const float* gain, uint32_t n, float epsilon, float* out) {
  F8 squares = splat(0);
  eights(n, [&](size_t i, uint32_t k) {
    const F8 v = load_up_to(x + i, k);
    squares = fma(v, v, squares);
  });
  const F8 scale = splat(1.0f / std::sqrt(sum_of(squares) / float(n) + epsilon));
  eights(n, [&](size_t i, uint32_t k) {
    store_up_to(out + i, k, mul(mul(load_up_to(x + i, k), scale), load_up_to(gain + i, k)));
  });
}

void silu_mul(const float* gate, const float* up, size_t n, float* out) {
  eights(n, [&](size_t i, uint32_t k) {
    const F8 g = load_up_to(gate + i, k);
    const F8 silu = div(g, add(splat(1.0f), exponential(sub(splat(0.0f), g))));
    store_up_to(out + i, k, mul(silu, load_up_to(up + i, k)));
  });
}

void add_rows(const float* a, const float* b, size_t n, float* out) {
  eights(n, [&](size_t i, uint32_t k) { store_up_to(out + i, k, add(load_up_to(a + i, k), load_up_to(b + i, k))); });
}

void rotate(float* head, const float* cos_sin, uint32_t head_dim) {
  for (uint32_t i = 0; i + 1 < head_dim; i += 2) {
    const float c = cos_sin[i], s = cos_sin[i + 1], x = head[i], y = head[i + 1];
    head[i] = x * c - y * s;
    head[i + 1] = x * s + y * c;
  }
}

void to_half(const float* x, uint32_t n, uint16_t* out) {
  eights(n, [&](size_t i, uint32_t k) {
    const F8 v = load_up_to(x + i, k);
    if (k == 8) return store_half(out + i, v);
    uint16_t h[8];
    store_half(h, v);
    for (uint32_t j = 0; j < k; j++) out[i + j] = h[j];
  });
}

constexpr RowKernels kRowKernels{quantize, rmsnorm, silu_mul, add_rows, rotate, to_half};
