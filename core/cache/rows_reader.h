// Rows of a layer as an evictor may read them (sluice_rows in sluice/extensions.h): dense ones as they are stored,
// coded ones decoded. Lives for one call of the evictor; what is read and why is the evictor's business.
#pragma once

#include <atomic>
#include <span>
#include <string>

#include "core/cache/layer_cache.h"

namespace sluice {

class RowsReader {
 public:
  // Notes where the rows of coded sides lie; the layer does not change while the reader lives.
  explicit RowsReader(const LayerCache& layer);
  RowsReader(const RowsReader&) = delete;

  const sluice_rows* rows() const { return &table_; }
  // Throws what went wrong in a read, whatever the evictor made of it.
  void check(std::string_view verb) const;
  uint64_t decoded() const { return decoded_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kDense = 0xFFFFFFFFu;
  struct Place {
    uint32_t block, row;  // block == kDense: row is a dense row
  };
  Place* places(uint32_t head, uint32_t side) { return &places_[(uint64_t(head) * 2 + side) * layer_.capacity]; }
  sluice_status read(uint32_t head, uint32_t side, uint32_t count, const uint32_t* slots, float* out);
  uint32_t read_device_rows(const Side& side, uint32_t row, std::span<const uint32_t> slots, float* out);
  sluice_status refuse(const std::string& why);

  const LayerCache& layer_;
  sluice_rows table_{};
  Scratch<Place> places_;  // [kv_heads][2][capacity] where the layer is coded
  std::atomic<uint64_t> decoded_{0};
  std::atomic<sluice_status> status_{SLUICE_OK};
  std::atomic<const Instance*> failed_{nullptr};  // the codec that failed, or the evictor that asked wrongly
};

}  // namespace sluice
