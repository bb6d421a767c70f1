// The interfaces this host speaks, and what it demands of an entry point or a module before it calls either.
// Pure checks: they read structs and return a sentence for the user; loading is library.h's business.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sluice/plugin.h"

namespace sluice {

// One revision of an interface. `adapt`, for a revision older than the newest, wraps a module into the next one.
struct Interface {
  std::string_view name;  // "sluice.evictor"
  uint32_t revision;
  uint32_t layout;
  // Members of the table in order, a space between; "?" marks one that may be NULL, "+" one that is NULL exactly
  // when the one before it is. Empty: not looked at.
  std::string_view members;
  const sluice_module* (*adapt)(const sluice_module& older) = nullptr;
};

std::span<const Interface> known_interfaces();

struct InterfaceId {
  std::string_view name;
  uint32_t revision = 0;  // 0: the id is malformed
};
InterfaceId parse_interface_id(std::string_view id);

// "evictor" of "sluice.evictor/1": what people call such a module.
std::string_view interface_noun(std::string_view id);
std::string module_title(const sluice_module& module);  // "evictor h2o"

// A sentence for the user, or empty if the host may use it.
std::string refuse_entry(const sluice_plugin* plugin);

struct Verdict {
  const sluice_module* module = nullptr;  // the module itself or, of an older revision, its adapted form
  std::string reason;                     // why there is none
  bool revision = false;                  // the reason is its revision, and nothing else
};
Verdict judge_module(const sluice_module& module, std::span<const Interface> interfaces = known_interfaces());

// A module's optional table, such as SLUICE_CODEC_CUDA, once its layout is known to be this host's and its members are
// sound. `table` NULL and no reason: the module has none, or the host does not know the id.
struct Extension {
  const void* table = nullptr;
  std::string reason;  // why a table that is there cannot be used
};
Extension find_extension(const sluice_module& module, std::string_view id);
// What evictors may offer (sluice/extensions.h). One that cannot be used refuses its module: without it, that would be
// another policy under the same name.
std::span<const char* const> evictor_extensions();
// The layout number that this host has for an evictor's extension, or NULL for any other id.
const uint32_t* evictor_extension_layout(std::string_view id);

}  // namespace sluice
