// See tiled_depth.h. Caches lie in memory that the host reaches (Engine refuses others), so rows are copied here.
#include "core/bench/tiled_depth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"

namespace sluice {
namespace {

// Where the dense rows of one side of a lane lie.
class DenseRows {
 public:
  DenseRows(const SequenceCache& cache, uint32_t layer, uint32_t head, uint32_t side)
      : spans_(cache.dense_spans(layer, head, side, nullptr)), row_bytes_(cache.policy().geometry.head_dim * 2u) {
    cache.dense_spans(layer, head, side, spans_.data());
  }
  std::byte* row(uint32_t r) const {
    const void* segment = spans_[r / kSegmentRows].src;
    return static_cast<std::byte*>(const_cast<void*>(segment)) + uint64_t(r % kSegmentRows) * row_bytes_;
  }
  uint32_t row_bytes() const { return row_bytes_; }

 private:
  std::vector<sluice_span> spans_;
  uint32_t row_bytes_;
};

// `n` rows come to a layer: placed as a step's or a prompt's are, filled with the source's, and left to the policy.
void fill_layer(SequenceCache& cache, const SequenceCache& source, uint32_t layer, uint32_t n, bool prompt) {
  const uint32_t heads = cache.policy().geometry.kv_heads, first = cache.seen();
  std::vector<sluice_store> places(uint64_t(n) * heads);
  if (prompt) cache.open_prompt(layer);
  cache.place(layer, places.data());
  for (uint32_t h = 0; h < heads; h++) {
    uint32_t* const slot_pos = cache.slot_pos(layer) + uint64_t(h) * cache.slot_stride(layer);
    // Where nothing is evicted the table is everybody's and says so already.
    if (cache.tabled(layer))
      for (uint32_t i = 0; i < n; i++) slot_pos[places[uint64_t(i) * heads + h].slot] = first + i;
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const DenseRows from(source, layer, h, side), to(cache, layer, h, side);
      for (uint32_t i = 0; i < n; i++) {
        const sluice_store& place = places[uint64_t(i) * heads + h];
        std::memcpy(to.row(side == SLUICE_KEY ? place.k_row : place.v_row), from.row((first + i) % source.seen()),
                    to.row_bytes());
      }
    }
  }
  const QueryWindow window = cache.window(layer);
  const sluice_geometry& g = cache.policy().geometry;
  std::fill_n(window.rows, uint64_t(window.count) * g.heads * g.head_dim, 0.0f);
  prompt ? cache.end_prompt_layer(layer) : cache.end_layer(layer);
}

}  // namespace

void tile_depth(Engine& engine, SequenceCache& cache, std::span<const int32_t> tokens, bool exact) {
  if (cache.policy().rolling)
    throw Error(
        fmt::format("policy {}: rolling positions turn keys by their places in the text, which a tiled depth has "
                    "not; use --depth-by prefill",
                    cache.policy().name));
  const uint32_t depth = uint32_t(tokens.size()), chunk = cache.policy().chunk;
  Policy plain;
  plain.name = "tile", plain.geometry = cache.policy().geometry;
  plain.layers.resize(plain.geometry.layers);
  const uint32_t known = std::min(depth, kTiledTokens);
  const auto source = engine.create_cache(plain, 0, known);
  engine.feed_prompt(*source, tokens.first(known), Want::kNothing, exact, [](std::span<const LogitRow>) {});
  for (uint32_t done = 0; done < depth;) {
    const uint32_t n = chunk ? std::min(chunk, depth - done) : depth;
    cache.begin(n);
    engine.registry().pool().each(plain.geometry.layers,
                                  [&](uint32_t layer) { fill_layer(cache, *source, layer, n, chunk == 0); });
    cache.end();
    done += n;
  }
}

}  // namespace sluice
