// See block.hpp.
#include "block.hpp"

#include "low_rank.hpp"

namespace sluice {

void gear_decode(const GearShape& shape, const GearLayout& l, const void* src, uint32_t first, uint32_t count,
                 bool outliers, float* x) {
  const auto* const block = static_cast<const uint8_t*>(src);
  const sluice_kernels& kernels = *shape.rows.kernels;
  const uint32_t d = shape.rows.head_dim;
  decode_rows(shape.rows, gear_rows<const uint16_t>(shape, l, block), first, count, x);
  float channel[kMostChannels];
  for (uint32_t j = 0; j < l.rank; j++) {
    kernels.from_half(d, reinterpret_cast<const uint16_t*>(block + l.b) + size_t(j) * d, channel);
    const auto* token = reinterpret_cast<const uint16_t*>(block + l.a) + size_t(j) * l.rows + first;
    for (uint32_t r = 0; r < count; r++) kernels.axpy(d, sluice_from_half(token[r]), channel, x + size_t(r) * d);
  }
  if (!outliers || l.outliers == 0) return;
  size_t at = 0;
  for (uint32_t r = 0; r < first; r++) at += gear_outliers_of_row(shape, l, block, r);
  const auto* delta = reinterpret_cast<const uint16_t*>(block + l.delta);
  for (uint32_t r = 0; r < count; r++, x += d)
    for (uint32_t k = gear_outliers_of_row(shape, l, block, first + r); k > 0; k--, at++)
      x[block[l.columns + at]] += sluice_from_half(delta[at]);
}

void gear_write_outliers(const GearShape& shape, const GearLayout& l, const float* exact, const uint8_t* mark,
                         float* restored, uint8_t* block) {
  if (l.outliers == 0) return;
  const uint32_t d = shape.rows.head_dim;
  auto* const delta = reinterpret_cast<uint16_t*>(block + l.delta);
  size_t at = 0;
  for (uint32_t r = 0; r < l.rows; r++, exact += d, mark += d) {
    const uint32_t in_chunk = r % SLUICE_CHUNK;
    if (in_chunk == 0) gear_decode(shape, l, block, r, std::min(SLUICE_CHUNK, l.rows - r), false, restored);
    const size_t before = at;
    for (uint32_t c = 0; c < d; c++) {
      if (!mark[c]) continue;
      float value;
      copy_finite(1, exact + c, &value);
      delta[at] = sluice_to_half(std::clamp(value - restored[size_t(in_chunk) * d + c], -65504.0f, 65504.0f));
      block[l.columns + at++] = uint8_t(c);
    }
    const auto count = uint16_t(at - before);
    if (l.columns > l.counts)
      std::memcpy(block + l.counts + size_t(shape.count_bytes()) * r, &count, shape.count_bytes());
  }
}

size_t gear_retain(const GearShape& shape, uint32_t rows, void* src, const uint32_t* keep, uint32_t n) {
  auto* const block = static_cast<uint8_t*>(src);
  const GearLayout old = gear_open(shape, rows, block);
  const uint32_t count_bytes = old.columns > old.counts ? shape.count_bytes() : 0;

  // Every part is packed where it stands; then the parts close up, front to back.
  const size_t halves = retain_rows(shape.rows, gear_rows<uint16_t>(shape, old, block), keep, n);
  auto* const a = reinterpret_cast<uint16_t*>(block + old.a);
  for (uint32_t j = 0; j < old.rank; j++)
    for (uint32_t i = 0; i < n; i++) a[size_t(j) * n + i] = a[size_t(j) * rows + keep[i]];
  auto* const delta = reinterpret_cast<uint16_t*>(block + old.delta);
  size_t from = 0, to = 0;
  for (uint32_t r = 0, i = 0; r < rows && i < n; r++) {
    const uint32_t count = gear_outliers_of_row(shape, old, block, r);
    if (keep[i] == r) {
      std::memmove(delta + to, delta + from, 2 * size_t(count));
      std::memmove(block + old.columns + to, block + old.columns + from, count);
      to += count, i++;
    }
    from += count;
  }
  for (uint32_t i = 0; i < n; i++)
    std::memmove(block + old.counts + size_t(count_bytes) * i, block + old.counts + size_t(count_bytes) * keep[i],
                 count_bytes);

  const GearLayout l = gear_layout(shape, n, {old.pairs > 0, old.rank, uint32_t(to), halves});
  std::memmove(block + l.b, block + old.b, l.a - l.b);
  std::memmove(block + l.a, block + old.a, l.delta - l.a);
  std::memmove(block + l.delta, block + old.delta, l.counts - l.delta);
  std::memmove(block + l.counts, block + old.counts, l.columns - l.counts);
  std::memmove(block + l.columns, block + old.columns, l.end - l.columns);
  std::memmove(block + l.codes, block + old.codes, l.total - l.codes);
  std::memset(block + l.end, 0, l.codes - l.end);
  gear_write_header(l, block);
  return l.total;
}

}  // namespace sluice
