// sluice/affine_block.hpp - a codec whose block is affine rows and nothing else: pairs, zeros up to a multiple of 64
// bytes, and the codes at the very end, where they start on a cache line if they fill whole ones. All verbs but
// create() and plan(), which are what uniform and group differ in.
#ifndef SLUICE_AFFINE_BLOCK_HPP
#define SLUICE_AFFINE_BLOCK_HPP

#include <cmath>
#include <string>

#include "affine.hpp"
#include "guard.hpp"

namespace sluice {

inline void require_head_dim(const char* name, uint32_t head_dim) {
  if (head_dim == 0 || head_dim % kCodeGroup != 0 || head_dim > kMostChannels)
    throw Failure(SLUICE_UNSUPPORTED, std::string(name) + ": head_dim is " + std::to_string(head_dim) +
                                          "; it must be a multiple of 32, at most 256");
}

// Groups of channels must fill a row; the message names the ones that do.
inline void require_group(const char* name, uint32_t group, uint32_t head_dim) {
  if (group % kCodeGroup == 0 && group > 0 && head_dim % group == 0) return;
  std::string fitting;
  for (uint32_t g = kCodeGroup; g <= head_dim; g += kCodeGroup)
    if (head_dim % g == 0) fitting += (fitting.empty() ? "" : " or ") + std::to_string(g);
  throw Failure(SLUICE_INVALID, std::string(name) + ": group = " + std::to_string(group) +
                                    " does not divide this model's head_dim of " + std::to_string(head_dim) +
                                    " into groups of a multiple of 32; set group = " + fitting);
}

// Rows that are coded together must fill the groups that K's channels form.
inline void require_whole_groups(const char* name, const char* parameter, uint32_t rows, uint32_t group) {
  if (rows > 0 && rows % group == 0) return;
  throw Failure(SLUICE_INVALID, std::string(name) + ": " + parameter + " = " + std::to_string(rows) +
                                    " must be a multiple of group = " + std::to_string(group) + "; set " + parameter +
                                    " = " + std::to_string((rows + group - 1) / group * group));
}

// What `bits` of the parameter list stands for.
inline uint32_t bits_of_choice(int64_t choice) { return choice < 3 ? uint32_t(choice) + 2 : 8; }

// Relative Frobenius error to promise on rows drawn from N(0,1) when pairs are shared by `count` numbers: their range
// is at most about 2 sqrt(2 ln count), a rounding error is about uniform over a step, and pairs are half floats.
inline double affine_tolerance(uint32_t bits, double count) {
  const double range = 2 * std::sqrt(2 * std::log(std::fmax(count, 2)));
  return 1.1 * range / ((1u << bits) - 1) / std::sqrt(12.0) + 0.002;
}

inline size_t round_up_64(size_t bytes) { return (bytes + 63) & ~size_t(63); }

// The verbs of sluice_codec; `a` is the codec's own and may differ by side. table() makes a codec of them.
namespace affine_block {

template <class Half, class Byte>
AffineAt<Half, Byte> at(const Affine& a, uint32_t rows, size_t halves, Byte* block) {
  const size_t codes = rows * a.row_bytes();
  const uint32_t groups = a.pairs == Pairs::by_channel ? uint32_t(halves / 2 / a.head_dim) : 0;
  return {reinterpret_cast<Half*>(block), block + round_up_64(2 * halves + codes) - codes, rows, groups};
}

inline size_t halves_of(const Affine& a, uint32_t rows, const void* src) {
  if (a.pairs != Pairs::by_channel) return a.pair_halves(rows);
  return size_t(2) * a.head_dim * group_count(static_cast<const uint16_t*>(src));
}

inline AffineView open(const Affine& a, uint32_t rows, const void* src) {
  return at<const uint16_t>(a, rows, halves_of(a, rows, src), static_cast<const uint8_t*>(src));
}

inline size_t bound(const Affine& a, uint32_t rows) {
  return round_up_64(2 * a.pair_halves(rows) + rows * a.row_bytes());
}

// encode: AffineScratch, float clean[rows][head_dim]; dot, accumulate: AffineWork.
inline size_t scratch(const Affine& a, uint32_t rows, uint32_t queries) {
  return queries ? sizeof(AffineWork) : sizeof(AffineScratch) + size_t(rows) * a.head_dim * sizeof(float);
}

inline sluice_status encode(const Affine& a, const Stats& stats, const sluice_block* block, const float* rows,
                            void* scratch, void* dst, size_t* bytes) {
  auto& work = *static_cast<AffineScratch*>(scratch);
  float* clean = reinterpret_cast<float*>(&work + 1);
  const uint64_t changed = copy_finite(size_t(block->rows) * a.head_dim, rows, clean);
  if (changed > 0) stats.add("non-finite values per block", double(changed), 1);
  *bytes = bound(a, block->rows);
  std::memset(dst, 0, *bytes);
  encode_rows(a, block->rows, clean,
              at<uint16_t>(a, block->rows, a.pair_halves(block->rows), static_cast<uint8_t*>(dst)), work);
  return SLUICE_OK;
}

inline sluice_status decode(const Affine& a, const sluice_block* block, const void* src, uint32_t first, uint32_t count,
                            float* rows) {
  decode_rows(a, open(a, block->rows, src), first, count, rows);
  return SLUICE_OK;
}

inline void account(const Affine& a, const sluice_block* block, const void* src, sluice_account* account) {
  *account = {};
  account->codes = block->rows * a.row_bytes();
  account->scales = 2 * halves_of(a, block->rows, src);
  const size_t used = account->codes + account->scales;
  account->padding = round_up_64(used) - used;
}

inline sluice_status retain(const Affine& a, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                            size_t* bytes) {
  *bytes = 0;
  if (n == 0) return SLUICE_OK;
  auto* const start = static_cast<uint8_t*>(src);
  const AffineOut old = at<uint16_t>(a, block->rows, halves_of(a, block->rows, src), start);
  const size_t halves = retain_rows(a, old, keep, n);
  const AffineOut kept = at<uint16_t>(a, n, halves, start);
  const size_t codes = n * a.row_bytes();
  std::memmove(kept.codes, old.codes, codes);
  std::memset(start + 2 * halves, 0, size_t(kept.codes - start) - 2 * halves);
  *bytes = size_t(kept.codes - start) + codes;
  return SLUICE_OK;
}

inline sluice_status dot(const Affine& a, const sluice_tile* tile, const float* q, float* scores) {
  auto& work = *static_cast<AffineWork*>(tile->scratch);
  begin_dot(a, tile->queries, q, work);
  for (uint32_t s = 0; s < tile->count; s++) {
    const sluice_span& span = tile->spans[s];
    const AffineView view = open(a, span.rows, span.src);
    for (Chunk chunk; next_chunk(a, view, chunk);) {
      dot_chunk(a, view, chunk, tile->queries, q, work);
      store_scores(*tile, span, chunk, work, scores);
    }
  }
  return SLUICE_OK;
}

inline sluice_status accumulate(const Affine& a, const sluice_tile* tile, const float* weights, float* out) {
  auto& work = *static_cast<AffineWork*>(tile->scratch);
  for (uint32_t s = 0; s < tile->count; s++) {
    const sluice_span& span = tile->spans[s];
    const AffineView view = open(a, span.rows, span.src);
    for (Chunk chunk; next_chunk(a, view, chunk);) {
      load_weights(*tile, span, chunk, weights, work);
      accumulate_chunk(a, view, chunk, tile->queries, work, out);
    }
  }
  return SLUICE_OK;
}

// The table of a codec of affine rows. Codec has `host`, `stats` and side(SLUICE_KEY or SLUICE_VALUE), its Affine
// there.
template <class Codec>
struct Verbs {
  static const Codec& codec(const void* self) { return *static_cast<const Codec*>(self); }
  static void destroy(void* self) { host_delete(codec(self).host, static_cast<Codec*>(self)); }
  static size_t bound(const void* self, uint32_t side, uint32_t rows) {
    return affine_block::bound(codec(self).side(side), rows);
  }
  static size_t scratch(const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
    return affine_block::scratch(codec(self).side(side), rows, queries);
  }
  static sluice_status encode(const void* self, const sluice_block* block, const float* rows, void* scratch, void* dst,
                              size_t* bytes) {
    return affine_block::encode(codec(self).side(block->side), codec(self).stats, block, rows, scratch, dst, bytes);
  }
  static sluice_status decode(const void* self, const sluice_block* block, const void* src, uint32_t first,
                              uint32_t count, float* rows) {
    return affine_block::decode(codec(self).side(block->side), block, src, first, count, rows);
  }
  static void account(const void* self, const sluice_block* block, const void* src, sluice_account* account) {
    affine_block::account(codec(self).side(block->side), block, src, account);
  }
  static sluice_status retain(const void* self, const sluice_block* block, void* src, const uint32_t* keep, uint32_t n,
                              size_t* bytes) {
    return affine_block::retain(codec(self).side(block->side), block, src, keep, n, bytes);
  }
  static sluice_status dot(const void* self, const sluice_tile* tile, const float* q, float* scores) {
    return affine_block::dot(codec(self).side(SLUICE_KEY), tile, q, scores);
  }
  static sluice_status accumulate(const void* self, const sluice_tile* tile, const float* weights, float* out) {
    return affine_block::accumulate(codec(self).side(SLUICE_VALUE), tile, weights, out);
  }
};
template <class Codec>
constexpr sluice_codec table(decltype(sluice_codec::create) create, decltype(sluice_codec::plan) plan) {
  using V = Verbs<Codec>;
  return {create,    V::destroy, plan,      V::bound, V::scratch,   V::encode,
          V::decode, V::account, V::retain, V::dot,   V::accumulate};
}

}  // namespace affine_block
}  // namespace sluice
#endif
