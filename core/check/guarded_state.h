// An evictor's state as a strict host keeps it: between guard bytes, and in one of several places of which the others
// are poisoned, so that a pointer kept across a move reads nonsense and leaves traces when it is written through.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

namespace sluice::check {

class GuardedState {
 public:
  explicit GuardedState(size_t bytes = 0);
  GuardedState(const GuardedState& other);
  GuardedState(GuardedState&&) = default;
  GuardedState& operator=(const GuardedState& other);
  GuardedState& operator=(GuardedState&&) = default;

  unsigned char* data() const { return place_[at_].data; }
  size_t size() const { return bytes_; }
  void move();  // to the next place
  // What was written where nothing may be: empty, or "past its state", "where its state was before".
  const char* damage() const;
  friend bool operator==(const GuardedState& a, const GuardedState& b);

 private:
  // A prime number of places: a call of a step comes to each of them, however many calls a step has.
  static constexpr size_t kGuard = 64, kAlign = 64, kPlaces = 5;
  struct Place {
    std::unique_ptr<unsigned char[]> memory;
    unsigned char* data = nullptr;
  };
  Place fresh(unsigned char fill) const;

  size_t bytes_ = 0;
  std::array<Place, kPlaces> place_;
  size_t at_ = 0;
};

}  // namespace sluice::check
