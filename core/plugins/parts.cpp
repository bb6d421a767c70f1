// See parts.h. Nothing may be thrown into a plugin: every failure becomes a status and a message.
#include "core/plugins/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/plugins/host.h"
#include "core/plugins/interfaces.h"

namespace sluice {
namespace {

// "mix in twice in mix" if `module` would stand inside itself; empty if not.
std::string circle(const HostState& owner, const sluice_module& module) {
  std::string path = module.name;
  for (const HostState* at = &owner; at; at = at->owner) {
    path += fmt::format(" in {}", at->module->name);
    if (at->module == &module) return path;
  }
  return {};
}

// Plugins speak in one sentence without a line break, and so does the host on their behalf.
std::string one_line(std::string_view text) {
  std::string line;
  for (const std::string_view part : split(text, '\n')) line += (line.empty() ? "" : "; ") + std::string(part);
  return line;
}

sluice_status create_part(const sluice_host* host, const char* interface_id, const char* name,
                          const sluice_geometry* geometry, const char* parameters, sluice_part_module* part) {
  HostState& owner = state_of(host);
  const auto refuse = [&](sluice_status code, const std::string& why) {
    return host->fail(host, code, one_line(why).c_str());
  };
  try {
    if (!interface_id || !name || !geometry || !part)
      return refuse(SLUICE_INTERNAL, "asks for a part without saying of which interface, name or geometry");
    *part = {};
    if (!owner.creating) return refuse(SLUICE_INTERNAL, "parts are made in create() only");
    const sluice_module* found = nullptr;
    try {
      found = &owner.registry.find(interface_id, name);
    } catch (const Error& error) {  // another host may have it
      return refuse(SLUICE_UNSUPPORTED, error.what());
    }
    const sluice_module& module = *found;
    if (const std::string path = circle(owner, module); !path.empty())
      return refuse(SLUICE_INVALID,
                    fmt::format("{} {} would contain itself ({})", interface_noun(interface_id), module.name, path));
    Instance made = owner.registry.create_part(module, *geometry, parameters ? parameters : "", owner);
    const std::lock_guard lock(owner.mutex);
    owner.parts.push_back(std::move(made));
    *part = {&owner.parts.back().module(), owner.parts.back().self()};
    return SLUICE_OK;
  } catch (const Error& error) {
    return refuse(error.code() == kExitUsage ? SLUICE_INVALID : SLUICE_INTERNAL, error.what());
  } catch (const std::bad_alloc&) {
    return SLUICE_NO_MEMORY;
  } catch (const std::exception& error) {
    return refuse(SLUICE_INTERNAL, error.what());
  }
}

void destroy_part(const sluice_host* host, const sluice_part_module* part) {
  if (!part || !part->self) return;
  HostState& owner = state_of(host);
  Instance dying;  // outlives the lock
  const std::lock_guard lock(owner.mutex);
  const auto at = std::find_if(owner.parts.begin(), owner.parts.end(),
                               [&](const Instance& made) { return made.self() == part->self; });
  if (at == owner.parts.end()) return;
  dying = std::move(*at);
  owner.parts.erase(at);
}

}  // namespace

const sluice_host_modules& host_modules() {
  static constexpr sluice_host_modules kModules{SLUICE_HOST_MODULES_LAYOUT, 0, create_part, destroy_part};
  return kModules;
}

}  // namespace sluice
