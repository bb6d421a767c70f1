// The tables of a group's caches, built on the host, where the device can read them. On a device whose memory is the
// host's they stay where they are built; otherwise they go up layer by layer, from memory that the device reads fast,
// and each layer has a place of its own until the step is over.
#pragma once

#include <cstddef>
#include <vector>

#include "core/model/ops.h"

namespace sluice {

class StepTables {
 public:
  StepTables(const Ops& ops, bool immediate) : ops_(ops), immediate_(immediate) {}
  ~StepTables();
  StepTables(const StepTables&) = delete;

  std::vector<sluice_part> parts;
  std::vector<sluice_lane> lanes;
  std::vector<sluice_span> spans;

  // Room for so many in each of `layers` layers. The device is done with what was in the tables.
  void reserve(size_t most_parts, size_t most_lanes, size_t most_spans, size_t layers);
  // Empty, for `layer`.
  void clear(size_t layer);
  // The group, which points into the tables, as operations take it: what came since the last call goes up.
  sluice_group on_device(const sluice_group& group);

 private:
  void drop();
  template <class T>
  void send(const std::vector<T>& table, size_t& sent, size_t offset);

  const Ops& ops_;
  bool immediate_;
  std::byte *staging_ = nullptr, *device_ = nullptr;  // [layers][layer_bytes_]
  size_t bytes_ = 0, layer_bytes_ = 0, lanes_at_ = 0, spans_at_ = 0, at_ = 0;
  size_t sent_parts_ = 0, sent_lanes_ = 0, sent_spans_ = 0;
};

}  // namespace sluice
