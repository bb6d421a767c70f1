// What the host believes of a module's sizes: the checks of policy.h.
#include "core/cache/policy.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/plugins/interfaces.h"

namespace sluice {
namespace {

std::string who(const Instance& module) {
  return fmt::format("{} {}", interface_noun(module.module().interface_id), module.module().name);
}

}  // namespace

uint64_t sane_bytes(const Instance& module, std::string_view verb, uint64_t bytes) {
  if (bytes > kMostBytes)
    throw Error(
        fmt::format("{}, {}: asks for {} bytes; more than {} is a mistake", who(module), verb, bytes, kMostBytes),
        kExitFailed);
  return bytes;
}

void check_written(const Instance& codec, std::string_view verb, uint64_t bytes, uint64_t room) {
  if (bytes > room)
    throw Error(fmt::format("{}, {}: says it wrote {} bytes where it had {}", who(codec), verb, bytes, room),
                kExitFailed);
}

void check_account(const Instance& codec, const sluice_account& a, uint64_t bytes) {
  uint64_t left = bytes;
  bool fits = true;
  for (const uint64_t part :
       {a.codes, a.scales, a.low_rank, a.outlier_values, a.outlier_indices, a.row_pointers, a.index, a.padding}) {
    fits = fits && part <= left;
    left -= fits ? part : 0;
  }
  if (fits && left == 0) return;
  throw Error(fmt::format("{}, account: its kinds add up to {} of a block's {} bytes", who(codec),
                          fits ? fmt::to_string(bytes - left) : "more than all", bytes),
              kExitFailed);
}

}  // namespace sluice
