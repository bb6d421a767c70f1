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

}  // namespace sluice
