// See step_tables.h.
#include "core/run/step_tables.h"

#include <cstring>

namespace sluice {

StepTables::~StepTables() { drop(); }

void StepTables::drop() {
  for (std::byte* buffer : {staging_, device_})
    if (buffer) ops_.table().buffer_destroy(ops_.self(), buffer);
  staging_ = device_ = nullptr, bytes_ = 0;
}

void StepTables::reserve(size_t most_parts, size_t most_lanes, size_t most_spans, size_t layers) {
  parts.reserve(most_parts), lanes.reserve(most_lanes), spans.reserve(most_spans);
  if (immediate_) return;
  const auto lines = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  lanes_at_ = lines(parts.capacity() * sizeof(sluice_part));
  spans_at_ = lanes_at_ + lines(lanes.capacity() * sizeof(sluice_lane));
  layer_bytes_ = spans_at_ + lines(spans.capacity() * sizeof(sluice_span));
  const size_t needed = layer_bytes_ * layers;
  if (needed <= bytes_) return;
  drop();
  void *staging = nullptr, *device = nullptr;
  const auto create = ops_.table().buffer_create;
  ops_.check(create(ops_.self(), SLUICE_USE_STAGING, needed, &staging), "buffer_create");
  staging_ = static_cast<std::byte*>(staging);
  ops_.check(create(ops_.self(), SLUICE_USE_ACTIVATIONS, needed, &device), "buffer_create");
  device_ = static_cast<std::byte*>(device);
  bytes_ = needed;
}

void StepTables::clear(size_t layer) {
  parts.clear(), lanes.clear(), spans.clear();
  at_ = layer * layer_bytes_;
  sent_parts_ = sent_lanes_ = sent_spans_ = 0;
}

template <class T>
void StepTables::send(const std::vector<T>& table, size_t& sent, size_t offset) {
  if (sent == table.size()) return;
  const size_t from = at_ + offset + sent * sizeof(T), bytes = (table.size() - sent) * sizeof(T);
  std::memcpy(staging_ + from, table.data() + sent, bytes);
  ops_.write(device_ + from, staging_ + from, bytes);
  sent = table.size();
}

sluice_group StepTables::on_device(const sluice_group& group) {
  if (immediate_) return group;
  send(parts, sent_parts_, 0), send(lanes, sent_lanes_, lanes_at_), send(spans, sent_spans_, spans_at_);
  std::byte* const base = device_ + at_;
  sluice_group there = group;
  there.parts = reinterpret_cast<const sluice_part*>(base) + (group.parts - parts.data());
  there.lanes = reinterpret_cast<const sluice_lane*>(base + lanes_at_) + (group.lanes - lanes.data());
  there.spans = reinterpret_cast<const sluice_span*>(base + spans_at_) + (group.spans - spans.data());
  return there;
}

}  // namespace sluice
