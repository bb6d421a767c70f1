// Merging with a priority queue over a linked list: n log n however long a run is. Text is first parted where no
// product can reach across, which leaves pieces of word size that stay in the cache.
#include "core/tokenizer/merges.h"

#include <algorithm>
#include <bit>

namespace sluice {
namespace {

constexpr uint32_t kNone = ~uint32_t(0);

struct Later {
  bool operator()(const Merger::Scratch::Candidate& a, const Merger::Scratch::Candidate& b) const {
    return a.rank != b.rank ? a.rank > b.rank : a.place > b.place;
  }
};

}  // namespace

bool PairTable::insert(uint32_t left, uint32_t right, Value value) {
  if (2 * used_ >= slots_.size()) grow();
  const uint64_t key = key_of(left, right);
  size_t i = index_of(key);
  while (slots_[i].key != kEmpty) {
    if (slots_[i].key == key) return false;
    i = (i + 1) & (slots_.size() - 1);
  }
  slots_[i] = {key, value};
  ++used_;
  return true;
}

void PairTable::grow() {
  std::vector<Slot> old(std::max<size_t>(16, 2 * slots_.size()));
  old.swap(slots_);
  shift_ = 64 - std::countr_zero(slots_.size());
  for (const Slot& slot : old) {
    if (slot.key == kEmpty) continue;
    size_t i = index_of(slot.key);
    while (slots_[i].key != kEmpty) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = slot;
  }
}

void Merger::add(uint32_t left, uint32_t right, uint32_t rank, uint32_t product, uint32_t last_of_left,
                 uint32_t first_of_right) {
  merges_.insert(left, right, {rank, product});
  joints_.insert(last_of_left, first_of_right, {});
}

void Merger::add_transient(uint32_t product) { transient_.insert(product, 0, {}); }

void Merger::merge(std::span<const uint32_t> symbols, Scratch& scratch, std::vector<uint32_t>& out) const {
  for (size_t begin = 0; begin < symbols.size();) {
    size_t end = begin + 1;
    while (end < symbols.size() && joints_.find(symbols[end - 1], symbols[end])) ++end;
    if (end == begin + 1)
      out.push_back(symbols[begin]);
    else
      merge_joined(symbols.subspan(begin, end - begin), scratch, out);
    begin = end;
  }
}

void Merger::merge_joined(std::span<const uint32_t> symbols, Scratch& scratch, std::vector<uint32_t>& out) const {
  auto& nodes = scratch.nodes;
  auto& heap = scratch.heap;
  nodes.clear();
  heap.clear();
  scratch.splits.clear();
  for (uint32_t i = 0; i < symbols.size(); ++i)
    nodes.push_back({symbols[i], 1, i == 0 ? kNone : i - 1, i + 1 == symbols.size() ? kNone : i + 1});

  const auto candidate = [&](uint32_t place) -> bool {
    const auto& left = nodes[place];
    const auto& right = nodes[left.next];
    const PairTable::Value* merge = merges_.find(left.symbol, right.symbol);
    if (merge) heap.push_back({merge->rank, place, left.width + right.width, merge->product});
    return merge;
  };
  for (uint32_t i = 0; i + 1 < nodes.size(); ++i) candidate(i);
  std::make_heap(heap.begin(), heap.end(), Later());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), Later());
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    auto& left = nodes[best.place];
    if (left.width == 0 || left.next == kNone) continue;
    auto& right = nodes[left.next];
    // Symbols only grow: the width is the same if and only if the pair is the one that was found.
    if (left.width + right.width != best.width) continue;
    if (transient_.find(best.product, 0)) scratch.splits.insert(best.product, 0, {left.symbol, right.symbol});
    left.symbol = best.product;
    left.width = best.width;
    left.next = right.next;
    right.width = 0;
    if (left.next != kNone) nodes[left.next].previous = best.place;
    if (left.next != kNone && candidate(best.place)) std::push_heap(heap.begin(), heap.end(), Later());
    if (left.previous != kNone && candidate(left.previous)) std::push_heap(heap.begin(), heap.end(), Later());
  }
  for (uint32_t i = 0; i != kNone; i = nodes[i].next) append(nodes[i].symbol, scratch, out);
}

void Merger::append(uint32_t symbol, const Scratch& scratch, std::vector<uint32_t>& out) const {
  const PairTable::Value* parts = scratch.splits.find(symbol, 0);
  if (!parts) return out.push_back(symbol);
  append(parts->rank, scratch, out);
  append(parts->product, scratch, out);
}

}  // namespace sluice
