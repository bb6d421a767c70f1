// See guarded_state.h.
#include "core/check/guarded_state.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::check {
namespace {

constexpr unsigned char kGuardByte = 0xA5, kPoison = 0xDB;

bool all(const unsigned char* from, size_t bytes, unsigned char value) {
  return std::all_of(from, from + bytes, [&](unsigned char b) { return b == value; });
}

}  // namespace

GuardedState::GuardedState(size_t bytes) : bytes_(bytes) {
  place_[0] = fresh(0);
  place_[1] = fresh(kPoison);
}

GuardedState::GuardedState(const GuardedState& other) : GuardedState(other.bytes_) {
  std::memcpy(data(), other.data(), bytes_);
}

GuardedState& GuardedState::operator=(const GuardedState& other) {
  if (this == &other) return *this;
  GuardedState copy(other);
  std::swap(bytes_, copy.bytes_), std::swap(place_[0], copy.place_[0]), std::swap(place_[1], copy.place_[1]);
  at_ = copy.at_;
  return *this;
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
  std::memcpy(place_[1 - at_].data, data(), bytes_);
  std::memset(data(), kPoison, bytes_);
  at_ = 1 - at_;
}

const char* GuardedState::damage() const {
  const Place &now = place_[at_], &before = place_[1 - at_];
  if (!all(now.data - kGuard, kGuard, kGuardByte) || !all(now.data + bytes_, kGuard, kGuardByte))
    return "past its state";
  return all(before.data - kGuard, kGuard, kGuardByte) && all(before.data, bytes_, kPoison) &&
                 all(before.data + bytes_, kGuard, kGuardByte)
             ? ""
             : "where its state was before";
}

bool operator==(const GuardedState& a, const GuardedState& b) {
  return a.bytes_ == b.bytes_ && std::memcmp(a.data(), b.data(), a.bytes_) == 0;
}

}  // namespace sluice::check
