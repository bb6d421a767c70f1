// Counts what a piece of code takes from the heap. The program that includes allocation_watch.cpp counts; a damaged
// file must not make its reader take more than its own size accounts for.
#pragma once

#include <cstddef>

namespace sluice::testing {

struct AllocationWatch {
  AllocationWatch();       // from here on
  size_t largest() const;  // bytes of the largest piece
  size_t peak() const;     // bytes taken and not given back at the worst moment
};

}  // namespace sluice::testing
