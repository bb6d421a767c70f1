// Two-level segregated fit (Masmano et al., ECRTS 2004) with its bookkeeping outside the managed memory, so
// that the same code serves device memory.
#include "core/cache/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "core/base/error.h"

namespace sluice {
namespace {

constexpr uint32_t kCommitted = 0x80000000u;  // in slab_units_
constexpr uint64_t kKeptEmptySlabs = 4;       // stay committed, so that a step at a slab's edge does not churn

constexpr uint64_t kLeastReserve = uint64_t(256) << 20;  // below that no other attempt is made

// Address space that reads as zero and takes memory page by page.
void* reserve_host(uint64_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw Error(fmt::format("cannot reserve {} bytes of address space", bytes), kExitFailed);
  return p;
}

// Class of a gap of `units`: every gap in a class is at least as large as the class's lower bound.
struct Class {
  uint32_t first, second;
};
Class class_of(uint64_t units) {
  if (units < 16) return {0, uint32_t(units)};
  const uint32_t power = uint32_t(std::bit_width(units)) - 1;
  return {power - 3, uint32_t(units >> (power - 4)) & 15u};
}

}  // namespace

Arena::Arena(const Instance& backend, uint64_t reserve) : Arena(&backend, reserve) {}
Arena::Arena(uint64_t reserve) : Arena(nullptr, reserve) {}

// Where address space is short (ulimit -v, strict overcommit), less may still do.
void* Arena::reserve_range() {
  for (;; reserve_ = reserve_ / 2 & ~(kSlab - 1)) {
    void* address = nullptr;
    const bool last = reserve_ / 2 < kLeastReserve;
    if (!backend_) {
      address = mmap(nullptr, reserve_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (address != MAP_FAILED) return address;
      if (last) return reserve_host(reserve_);  // says what is wrong
      continue;
    }
    const sluice_status status = [&] {
      const InVerb in(backend_->who(), "buffer_create");
      return backend_->table<sluice_backend>().buffer_create(backend_->self(), SLUICE_USE_CACHE, reserve_, &address);
    }();
    if (status == SLUICE_OK) return address;
    if (last) backend_->check(status, "buffer_create");
  }
}

Arena::Arena(const Instance* backend, uint64_t reserve) : backend_(backend), reserve_(reserve & ~(kSlab - 1)) {
  base_ = static_cast<std::byte*>(reserve_range());
  node_capacity_ = uint32_t(std::min<uint64_t>(reserve_ / kUnit, uint64_t(1) << 24));
  nodes_ = static_cast<Node*>(reserve_host(uint64_t(node_capacity_) * sizeof(Node)));
  slab_units_ = static_cast<uint32_t*>(reserve_host(reserve_ / kSlab * sizeof(uint32_t)));
  for (auto& heads : free_) heads.fill(kNone);
  // The units of a node are 32 bits wide: a larger reserve starts as several neighbouring gaps.
  uint32_t last = kNone;
  for (uint64_t first = 0; first < reserve_ / kUnit;) {
    const uint64_t units = std::min<uint64_t>(reserve_ / kUnit - first, (uint64_t(1) << 31));
    assert(first <= 0xFFFFFFFFull);
    const uint32_t node = new_node();
    nodes_[node] = {uint32_t(first), uint32_t(units), last, kNone, kNone, kNone, false};
    if (last != kNone) nodes_[last].after = node;
    insert_free(node);
    last = node, first += units;
  }
}

Arena::~Arena() {
  if (backend_)
    backend_->call("buffer_destroy", backend_->table<sluice_backend>().buffer_destroy, base_);
  else
    munmap(base_, reserve_);
  munmap(nodes_, uint64_t(node_capacity_) * sizeof(Node));
  munmap(slab_units_, reserve_ / kSlab * sizeof(uint32_t));
}

uint32_t Arena::new_node() {
  if (spare_ != kNone) {
    const uint32_t node = spare_;
    spare_ = nodes_[node].next;
    return node;
  }
  if (node_count_ == node_capacity_) throw Error("the cache arena has no bookkeeping left", kExitFailed);
  return node_count_++;
}

void Arena::insert_free(uint32_t node) {
  const Class c = class_of(nodes_[node].units);
  Node& n = nodes_[node];
  n.free = true, n.previous = kNone, n.next = free_[c.first][c.second];
  if (n.next != kNone) nodes_[n.next].previous = node;
  free_[c.first][c.second] = node;
  second_level_[c.first] |= 1u << c.second, first_level_ |= 1u << c.first;
}

void Arena::remove_free(uint32_t node) {
  Node& n = nodes_[node];
  const Class c = class_of(n.units);
  if (n.previous != kNone)
    nodes_[n.previous].next = n.next;
  else
    free_[c.first][c.second] = n.next;
  if (n.next != kNone) nodes_[n.next].previous = n.previous;
  if (free_[c.first][c.second] == kNone) {
    second_level_[c.first] &= ~(1u << c.second);
    if (second_level_[c.first] == 0) first_level_ &= ~(1u << c.first);
  }
  n.free = false;
}

// A gap of at least `units`: looks in the class whose every gap is large enough.
uint32_t Arena::find_free(uint64_t units) const {
  uint64_t rounded = units;
  if (units >= 16) rounded += (uint64_t(1) << (std::bit_width(units) - 5)) - 1;
  const Class c = class_of(rounded);
  uint32_t seconds = c.second < kSecond ? second_level_[c.first] & ~0u << c.second : 0;
  uint32_t first = c.first;
  if (seconds == 0) {
    const uint32_t firsts = first + 1 < 32 ? first_level_ & ~0u << (first + 1) : 0;
    if (firsts == 0) return kNone;
    first = uint32_t(std::countr_zero(firsts));
    seconds = second_level_[first];
  }
  return free_[first][std::countr_zero(seconds)];
}

// Leaves `units` in the node and makes a gap of the rest. The node is in no free list.
void Arena::split(uint32_t node, uint32_t units) {
  if (nodes_[node].units == units) return;
  const uint32_t rest = new_node();
  Node& n = nodes_[node];
  nodes_[rest] = {n.first + units, n.units - units, node, n.after, kNone, kNone, false};
  if (n.after != kNone) nodes_[n.after].before = rest;
  n.after = rest, n.units = units;
  free_and_merge(rest);
}

void Arena::free_and_merge(uint32_t node) {
  auto absorb = [&](uint32_t into, uint32_t other) {  // other follows into
    Node &a = nodes_[into], &b = nodes_[other];
    if (uint64_t(a.units) + b.units > (uint64_t(1) << 31)) return false;
    a.units += b.units, a.after = b.after;
    if (b.after != kNone) nodes_[b.after].before = into;
    b.next = spare_, spare_ = other;
    return true;
  };
  const uint32_t after = nodes_[node].after;
  if (after != kNone && nodes_[after].free) {
    remove_free(after);
    if (!absorb(node, after)) insert_free(after);
  }
  const uint32_t before = nodes_[node].before;
  if (before != kNone && nodes_[before].free) {
    remove_free(before);
    if (absorb(before, node))
      node = before;
    else
      insert_free(before);
  }
  insert_free(node);
}

void Arena::back(uint64_t slab, bool keep) {
  std::byte* const at = base_ + slab * kSlab;
  if (!backend_) {
    if (!keep) madvise(at, kSlab, MADV_DONTNEED);
    return;
  }
  const sluice_status status = backend_->table<sluice_backend>().commit(backend_->self(), at, kSlab, int32_t(keep));
  if (keep) backend_->check(status, "commit");
}

void Arena::touch(uint64_t first, uint64_t units) {
  const uint64_t per_slab = kSlab / kUnit;
  for (uint64_t unit = first; unit < first + units;) {
    const uint64_t slab = unit / per_slab, end = std::min(first + units, (slab + 1) * per_slab);
    uint32_t& used = slab_units_[slab];
    if ((used & kCommitted) == 0) {
      try {
        back(slab, true);
      } catch (...) {
        untouch(first, unit - first);
        throw;
      }
      used |= kCommitted, committed_ += kSlab, empty_slabs_++;
    }
    if ((used & ~kCommitted) == 0) empty_slabs_--;
    used += uint32_t(end - unit);
    unit = end;
  }
}

void Arena::untouch(uint64_t first, uint64_t units) {
  const uint64_t per_slab = kSlab / kUnit;
  for (uint64_t unit = first; unit < first + units;) {
    const uint64_t slab = unit / per_slab, end = std::min(first + units, (slab + 1) * per_slab);
    uint32_t& used = slab_units_[slab];
    used -= uint32_t(end - unit);
    if ((used & ~kCommitted) == 0 && ++empty_slabs_ > kKeptEmptySlabs) {
      back(slab, false);
      used = 0, committed_ -= kSlab, empty_slabs_--;
    }
    unit = end;
  }
}

void Arena::account(ArenaOwner& owner, int64_t bytes) {
  live_ += uint64_t(bytes);
  peak_ = std::max(peak_, live_);
  const uint64_t live = owner.live += uint64_t(bytes);
  uint64_t peak = owner.peak;
  while (peak < live && !owner.peak.compare_exchange_weak(peak, live)) continue;
}

Piece Arena::allocate(uint64_t bytes, ArenaOwner& owner) {
  const uint64_t units = std::max<uint64_t>((bytes + kUnit - 1) / kUnit, 1);
  std::lock_guard lock(mutex_);
  const uint32_t node = units < (uint64_t(1) << 31) ? find_free(units) : kNone;
  if (node == kNone)
    throw Error(fmt::format("the cache arena is full: {} bytes asked, {} of {} in use", bytes, live_, reserve_),
                kExitFailed);
  remove_free(node);
  split(node, uint32_t(units));
  try {
    touch(nodes_[node].first, units);
  } catch (...) {
    free_and_merge(node);
    throw;
  }
  account(owner, int64_t(units * kUnit));
  return {base_ + uint64_t(nodes_[node].first) * kUnit, units * kUnit, node};
}

void Arena::release(Piece& piece, ArenaOwner& owner) {
  if (!piece) return;
  std::lock_guard lock(mutex_);
  untouch(nodes_[piece.node].first, nodes_[piece.node].units);
  free_and_merge(piece.node);
  account(owner, -int64_t(piece.bytes));
  piece = {};
}

void Arena::shrink(Piece& piece, uint64_t bytes, ArenaOwner& owner) {
  const uint64_t units = std::max<uint64_t>((bytes + kUnit - 1) / kUnit, 1), had = piece.bytes / kUnit;
  assert(units <= had);
  if (units == had) return;
  std::lock_guard lock(mutex_);
  untouch(nodes_[piece.node].first + units, had - units);
  split(piece.node, uint32_t(units));
  piece.bytes = units * kUnit;
  account(owner, -int64_t((had - units) * kUnit));
}

}  // namespace sluice
