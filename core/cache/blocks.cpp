// See layer_cache.h: rows on their way between dense and coded. Dead ones are dropped, blocks compacted and rescued,
// the oldest of the tail encoded.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/cache/layer_cache.h"
#include "sluice/half.h"

namespace sluice {
namespace {

// Rows [from, from + n) of `side` become rows [to, to + n), in an order safe for overlap.
void move_rows(Side& side, uint32_t from, uint32_t to, uint32_t n, uint32_t head_dim) {
  const uint64_t bytes = uint64_t(head_dim) * sizeof(uint16_t);
  auto copy = [&](uint32_t i) { std::memcpy(side.row(to + i, head_dim), side.row(from + i, head_dim), bytes); };
  if (to < from)
    for (uint32_t i = 0; i < n; i++) copy(i);
  if (to > from)
    for (uint32_t i = n; i-- > 0;) copy(i);
}

uint32_t dense_slot(const LayerCache& layer, const Side& side, uint32_t row) {
  return layer.evicting() ? side.slots[row] : side.first_slot + row;
}

// Rows of a block that is worth less than dense rows go to the end of the side list.
void rescue(LayerCache& layer, uint32_t head, uint32_t which, uint32_t i) {
  Side& side = layer.side(head, which);
  const Instance& codec = *layer.rules().codec[which];
  const sluice_block header = layer.block(head, which, i);
  const uint32_t n = header.rows, head_dim = layer.head_dim(), tail = side.rows - side.rescued;
  unshare_rows(side, head_dim, layer.memory);
  grow_rows(side, side.rows + n, head_dim, layer.memory);
  side.slots.reserve(side.rows + n, layer.memory);
  move_rows(side, side.rescued, side.rescued + n, tail, head_dim);
  std::memmove(&side.slots[side.rescued + n], &side.slots[side.rescued], tail * sizeof(uint16_t));
  Scratch<float> rows(layer.scratch, uint64_t(kDecodeRows) * head_dim);
  for (uint32_t first = 0; first < n; first += kDecodeRows) {
    const uint32_t count = std::min(kDecodeRows, n - first);
    codec.call("decode", layer.policy->codec(layer.index, which).decode, &header, side.spans[i].src, first, count,
               rows.data());
    for (uint32_t r = 0; r < count; r++) {
      uint16_t* to = side.row(side.rescued + first + r, head_dim);
      for (uint32_t c = 0; c < head_dim; c++) to[c] = sluice_to_half(rows[uint64_t(r) * head_dim + c]);
      side.slots[side.rescued + first + r] = uint16_t(slot_of(side.spans[i], first + r));
    }
  }
  side.rows += n, side.rescued += n, side.slots.count = side.rows;
  layer.counters.rescued += n;
  side.spans[i].rows = 0;
  release_block(side.blocks[i], layer.memory);
}

}  // namespace

void drop_dead_rows(LayerCache& layer, uint32_t head, uint32_t which) {
  Side& side = layer.side(head, which);
  const uint32_t* pos = layer.slot_pos(head);
  const uint32_t head_dim = layer.head_dim();
  uint32_t to = 0, rescued = 0;
  bool private_rows = false;
  for (uint32_t r = 0; r < side.rows; r++) {
    const uint32_t slot = side.slots[r];
    if (pos[slot] == SLUICE_FREE) {
      let_go(layer, head, slot);
      continue;
    }
    rescued += r < side.rescued;
    if (to != r) {
      if (!private_rows) unshare_rows(side, head_dim, layer.memory), private_rows = true;
      move_rows(side, r, to, 1, head_dim);
      side.slots[to] = uint16_t(slot);
    }
    to++;
  }
  side.rows = side.slots.count = to, side.rescued = rescued;
  trim_rows(side, to, head_dim, layer.memory);
}

void compact_blocks(LayerCache& layer, uint32_t head, uint32_t which, double share) {
  Side& side = layer.side(head, which);
  const uint32_t* pos = layer.slot_pos(head);
  const Instance& codec = *layer.rules().codec[which];
  const sluice_codec& table = layer.policy->codec(layer.index, which);
  bool emptied = false;
  for (uint32_t i = 0; i < side.blocks.count; i++) {
    sluice_span& span = side.spans[i];
    CodedBlock& block = side.blocks[i];
    uint32_t live = 0;
    for (uint32_t r = 0; r < span.rows; r++) live += pos[slot_of(span, r)] != SLUICE_FREE;
    if (live == span.rows || (live > 0 && double(live) >= share * span.rows)) continue;
    Scratch<uint32_t> keep(layer.scratch, live + 1), slots(layer.scratch, live + 1);
    uint32_t n = 0;
    for (uint32_t r = 0; r < span.rows; r++) {
      const uint32_t slot = slot_of(span, r);
      if (pos[slot] == SLUICE_FREE)
        let_go(layer, head, slot);
      else
        keep[n] = r, slots[n] = slot, n++;
    }
    if (n > 0) {
      const sluice_block header = layer.block(head, which, i);
      size_t bytes = 0;
      codec.call("retain", table.retain, &header, block.piece.data, keep.data(), n, &bytes);
      check_written(codec, "retain", bytes, block.bytes);
      block.bytes = bytes;
      layer.memory.shrink(block.piece, bytes);
      place_block(span, block, slots.data(), n, layer.memory);
      layer.counters.retained++;
      if (block.bytes <= uint64_t(n) * layer.head_dim() * sizeof(uint16_t)) continue;
      rescue(layer, head, which, i);
    } else {
      span.rows = 0;
      release_block(block, layer.memory);
    }
    emptied = true;
  }
  if (emptied) drop_empty_blocks(side);
}

namespace {

// The seed follows from what is coded and where, so forks and batches agree. `position` is the first row's.
sluice_block header_of(const LayerCache& layer, uint32_t head, uint32_t which, uint32_t rows, uint32_t position,
                       bool prompt) {
  const uint64_t place = uint64_t(layer.index) << 48 | uint64_t(head) << 36 | uint64_t(which) << 35 | position;
  return {layer.index, head, which, rows, place * 0x9E3779B97F4A7C15ull + 1, prompt ? 1u : 0u, 0};
}

// Rows of the next block, 0 while too few have gathered behind those that stay dense.
uint32_t next_block(const sluice_codec_plan& plan, uint32_t tail, bool prompt) {
  if (tail < plan.residual + plan.block_rows) return 0;
  const uint32_t ready = (tail - plan.residual) / plan.block_rows * plan.block_rows;
  return prompt ? std::min(ready, plan.max_rows / plan.block_rows * plan.block_rows) : plan.block_rows;
}

// Rows as the codec codes them, in temporary memory.
class Encoded {
 public:
  Encoded(const LayerCache& layer, const Instance& codec, const sluice_block& header, const float* rows)
      : bound_(bytes_of(codec, "bound", table(codec).bound, header.side, header.rows)),
        coded_(layer.scratch, bound_ + kGuard) {
    const uint64_t room = bytes_of(codec, "scratch", table(codec).scratch, header.side, header.rows, 0u);
    Scratch<std::byte> work(layer.scratch, room + kGuard);
    set_guard(work.data(), room), set_guard(coded_.data(), bound_);
    codec.call("encode", table(codec).encode, &header, rows, work.data(), coded_.data(), &bytes_);
    check_guard(codec, "encode", work.data(), room, "its scratch");
    check_guard(codec, "encode", coded_.data(), bound_, "its block's bound");
    check_written(codec, "encode", bytes_, bound_);
    if (bytes_ == 0)
      throw Error(fmt::format("{}, encode: says that {} rows take no bytes", codec.who(), header.rows), kExitFailed);
  }
  const std::byte* data() const { return coded_.data(); }
  size_t bytes() const { return bytes_; }

 private:
  static const sluice_codec& table(const Instance& codec) { return codec.table<sluice_codec>(); }
  template <class Function, class... Arguments>
  static uint64_t bytes_of(const Instance& codec, const char* verb, Function function, Arguments... arguments) {
    return sane_bytes(codec, verb, codec.call(verb, function, arguments...));
  }

  uint64_t bound_;
  Scratch<std::byte> coded_;
  size_t bytes_ = 0;
};

}  // namespace

void encode_tail(LayerCache& layer, uint32_t head, uint32_t which, bool prompt) {
  Side& side = layer.side(head, which);
  const LayerPolicy& rules = layer.rules();
  const sluice_codec_plan& plan = rules.plan[which];
  const Instance& codec = *rules.codec[which];
  const uint32_t head_dim = layer.head_dim();
  uint32_t done = 0;  // tail rows coded so far
  for (;;) {
    const uint32_t n = next_block(plan, side.rows - side.rescued - done, prompt);
    if (n == 0) break;
    const uint32_t first = side.rescued + done;
    Scratch<float> rows(layer.scratch, uint64_t(n) * head_dim);
    Scratch<uint32_t> slots(layer.scratch, n);
    for (uint32_t r = 0; r < n; r++) {
      const uint16_t* from = side.row(first + r, head_dim);
      for (uint32_t c = 0; c < head_dim; c++) rows[uint64_t(r) * head_dim + c] = sluice_from_half(from[c]);
      slots[r] = dense_slot(layer, side, first + r);
    }
    const uint32_t position = layer.evicting() ? layer.slot_pos(head)[slots[0]] : slots[0];
    const sluice_block header = header_of(layer, head, which, n, position, prompt);
    const Encoded coded(layer, codec, header, rows.data());
    const size_t bytes = coded.bytes();
    // Entries first: what is allocated then has an owner, whatever fails.
    side.spans.push({}, layer.memory), side.blocks.push({}, layer.memory);
    CodedBlock& block = side.blocks[side.blocks.count - 1];
    sluice_span& span = side.spans[side.spans.count - 1];
    block.piece = layer.memory.allocate(bytes), block.bytes = bytes, block.seed = header.seed,
    block.prompt = header.prompt;
    std::memcpy(block.piece.data, coded.data(), bytes);
    span = {block.piece.data, nullptr, slots[0], n};
    if (layer.evicting()) place_block(span, block, slots.data(), n, layer.memory);
    layer.counters.coded += n;
    done += n;
  }
  if (done == 0) return;
  const uint32_t left = side.rows - side.rescued - done;
  if (left + side.rescued > 0) unshare_rows(side, head_dim, layer.memory);
  move_rows(side, side.rescued + done, side.rescued, left, head_dim);
  if (layer.evicting()) {
    std::memmove(&side.slots[side.rescued], &side.slots[side.rescued + done], left * sizeof(uint16_t));
    side.slots.count -= done;
  } else {
    side.first_slot += done;
  }
  side.rows -= done;
  trim_rows(side, side.rows, head_dim, layer.memory);
}

void simulate_tail(LayerCache& layer, uint32_t head, uint32_t which, bool prompt) {
  Side& side = layer.side(head, which);
  const Instance& codec = *layer.rules().simulated[which];
  const auto& table = codec.table<sluice_codec>();
  const uint32_t head_dim = layer.head_dim();
  uint32_t done = 0;
  while (const uint32_t n = next_block(layer.rules().plan[which], side.uncoded.count - done, prompt)) {
    const uint32_t* const slots = &side.uncoded[done];
    // f(first, count) for rows that lie together.
    const auto pieces = [&](auto&& f) {
      for (uint32_t first = 0; first < n;) {
        uint32_t count = 1;
        while (first + count < n && slots[first + count] == slots[first] + count &&
               slots[first + count] % kSegmentRows != 0)
          count++;
        f(first, count);
        first += count;
      }
    };
    Scratch<uint16_t> halves(layer.scratch, uint64_t(n) * head_dim);
    Scratch<float> rows(layer.scratch, uint64_t(n) * head_dim);
    pieces([&](uint32_t first, uint32_t count) {
      layer.memory.read_rows(side.row(slots[first], head_dim), &halves[uint64_t(first) * head_dim],
                             uint64_t(count) * head_dim * sizeof(uint16_t));
    });
    for (uint64_t i = 0; i < uint64_t(n) * head_dim; i++) rows[i] = sluice_from_half(halves[i]);
    const uint32_t position = layer.evicting() ? layer.slot_pos(head)[slots[0]] : slots[0];
    const sluice_block header = header_of(layer, head, which, n, position, prompt);
    const Encoded coded(layer, codec, header, rows.data());
    for (uint32_t first = 0; first < n; first += kDecodeRows)
      codec.call("decode", table.decode, &header, coded.data(), first, std::min(kDecodeRows, n - first),
                 &rows[uint64_t(first) * head_dim]);
    for (uint64_t i = 0; i < uint64_t(n) * head_dim; i++) halves[i] = sluice_to_half(rows[i]);
    pieces([&](uint32_t first, uint32_t count) {
      unshare_segment(side, slots[first], head_dim, layer.memory);
      layer.memory.write_rows(side.row(slots[first], head_dim), &halves[uint64_t(first) * head_dim],
                              uint64_t(count) * head_dim * sizeof(uint16_t));
    });
    layer.counters.coded += n;
    done += n;
  }
  side.uncoded.count -= done;
  std::memmove(side.uncoded.data(), side.uncoded.data() + done, side.uncoded.count * sizeof(uint32_t));
}

void drop_dead_uncoded(LayerCache& layer, uint32_t head, uint32_t which) {
  ArenaArray<uint32_t>& uncoded = layer.side(head, which).uncoded;
  const uint32_t* pos = layer.slot_pos(head);
  const auto end = std::remove_if(uncoded.begin(), uncoded.end(), [&](uint32_t s) { return pos[s] == SLUICE_FREE; });
  uncoded.count = uint32_t(end - uncoded.begin());
}

}  // namespace sluice
