// See checks.h. A new area is a line of the table.
#include "core/check/checks.h"

#include "sluice/policy.h"

namespace sluice::check {

std::span<const Area> areas() {
  static constexpr Area kAreas[] = {
      {"library", "every library", "", false, library_checks},
      {"evictor", "every evictor", SLUICE_EVICTOR, false, evictor_checks},
      {"extension", "every evictor that offers tables of sluice/extensions.h", SLUICE_EVICTOR, true, extension_checks},
  };
  return kAreas;
}

const Check* find_check(std::string_view name) {
  for (const Area& area : areas())
    for (const Check& check : area.checks())
      if (check.name == name) return &check;
  return nullptr;
}

std::string interface_of(std::string_view name) {
  for (const Area& area : areas())
    for (const Check& check : area.checks())
      if (check.name == name) return std::string(area.interface_id);
  return {};
}

std::vector<std::string> check_names() {
  std::vector<std::string> names;
  for (const Area& area : areas())
    for (const Check& check : area.checks()) names.emplace_back(check.name);
  return names;
}

}  // namespace sluice::check
