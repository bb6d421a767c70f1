// A host that offers sluice.host.modules/1, for tests that have no configuration to read: parts are the evictors of one
// registry, and of their parameters whole numbers can be set.
#pragma once

#include <cstring>
#include <span>
#include <sstream>

#include "core/plugins/host.h"
#include "sluice/extensions.h"

namespace sluice::testing {

struct PartHost {
  static inline Registry* registry = nullptr;  // where parts are found

  static sluice_status create(const sluice_host* host, const char* interface_id, const char* name,
                              const sluice_geometry* geometry, const char* parameters, sluice_part_module* part) {
    try {
      const sluice_module& module = registry->find(interface_id, name);
      std::vector<sluice_value> values;
      for (uint32_t p = 0; p < module.param_count; p++) values.push_back(module.params[p].initial);
      std::istringstream text(parameters ? parameters : "");
      for (std::string assignment; std::getline(text, assignment, ',');) {
        std::istringstream words(assignment);
        std::string key, equals;
        int64_t number = 0;
        if (!(words >> key >> equals >> number)) return host->fail(host, SLUICE_INVALID, "not a list of numbers");
        uint32_t p = 0;
        while (p < module.param_count && key != module.params[p].name) p++;
        if (p == module.param_count) return host->fail(host, SLUICE_INVALID, ("no parameter " + key).c_str());
        values[p].i = number;
      }
      part->module = &module;
      return static_cast<const sluice_evictor*>(module.table)->create(host, geometry, values.data(), &part->self);
    } catch (const std::exception& error) {
      return host->fail(host, SLUICE_INVALID, error.what());
    }
  }
  static void destroy(const sluice_host*, const sluice_part_module* part) {
    static_cast<const sluice_evictor*>(part->module->table)->destroy(part->self);
  }
  static const void* extension(const sluice_host* host, const char* id) {
    static constexpr sluice_host_modules kModules{SLUICE_HOST_MODULES_LAYOUT, 0, create, destroy};
    return std::strcmp(id, SLUICE_HOST_MODULES) == 0 ? &kModules : others(host, id);
  }
  static inline const void* (*others)(const sluice_host*, const char*) = nullptr;  // the host's own
};

// As Registry::create_policy() does for an evictor.
inline Instance create_with_parts(Registry& registry, const sluice_module& module, const sluice_geometry& geometry,
                                  std::span<const sluice_value> values) {
  const auto& table = *static_cast<const sluice_evictor*>(module.table);
  auto host = std::make_shared<HostState>(registry.pool(), std::string("evictor ") + module.name);
  PartHost::registry = &registry, PartHost::others = host->table.extension;
  host->table.extension = PartHost::extension;
  void* self = nullptr;
  const sluice_status status = table.create(&host->table, &geometry, values.data(), &self);
  if (status != SLUICE_OK) throw_status(*host, status, "create");
  return Instance(module, self, std::move(host), table.destroy);
}

}  // namespace sluice::testing
