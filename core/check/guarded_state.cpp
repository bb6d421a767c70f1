// See guarded_state.h.
#include "core/check/guarded_state.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::check {
namespace {

// The poison is a small number as a float and as a double, so that what is added to it shows, and no address.
constexpr unsigned char kGuardByte = 0xA5, kPoison = 0x3C;

bool all(const unsigned char* from, size_t bytes, unsigned char value) {
  return std::all_of(from, from + bytes, [&](unsigned char b) { return b == value; });
}

}  // namespace

GuardedState::GuardedState(size_t bytes) : bytes_(bytes) {
  for (Place& place : place_) place = fresh(&place == &place_[0] ? 0 : kPoison);
}

GuardedState::GuardedState(const GuardedState& other) : GuardedState(other.bytes_) {
  std::memcpy(data(), other.data(), bytes_);
}

GuardedState& GuardedState::operator=(const GuardedState& other) {
  if (this == &other) return *this;
  return *this = GuardedState(other);
}

GuardedState::Place GuardedState::fresh(unsigned char fill) const {
  Place place{std::make_unique<unsigned char[]>(bytes_ + 2 * kGuard + kAlign), nullptr};
  const auto address = reinterpret_cast<uintptr_t>(place.memory.get()) + kGuard;
  place.data = place.memory.get() + kGuard + (kAlign - address % kAlign) % kAlign;
  std::memset(place.data - kGuard, kGuardByte, bytes_ + 2 * kGuard);
  std::memset(place.data, fill, bytes_);
  return place;
}

void GuardedState::move() {
  const size_t next = (at_ + 1) % kPlaces;
  std::memcpy(place_[next].data, data(), bytes_);
  std::memset(data(), kPoison, bytes_);
  at_ = next;
}

const char* GuardedState::damage() const {
  const auto guarded = [&](const Place& place) {
    return all(place.data - kGuard, kGuard, kGuardByte) && all(place.data + bytes_, kGuard, kGuardByte);
  };
  if (!guarded(place_[at_])) return "past its state";
  for (size_t i = 0; i < kPlaces; i++)
    if (i != at_ && !(guarded(place_[i]) && all(place_[i].data, bytes_, kPoison))) return "where its state was before";
  return "";
}

bool operator==(const GuardedState& a, const GuardedState& b) {
  return a.bytes_ == b.bytes_ && std::memcmp(a.data(), b.data(), a.bytes_) == 0;
}

}  // namespace sluice::check
