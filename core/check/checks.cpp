// See checks.h. A new area is a line of the table.
#include "core/check/checks.h"

#include <algorithm>

#include "core/base/text.h"
#include "sluice/backend.h"

namespace sluice::check {

std::span<const Area> areas() {
  static constexpr Area kAreas[] = {
      {"library", "every library", "", false, false, library_checks},
      {"evictor", "every evictor", SLUICE_EVICTOR, false, false, evictor_checks},
      {"extension", "every evictor that offers tables of sluice/extensions.h", SLUICE_EVICTOR, true, false,
       extension_checks},
      {"codec", "every codec", SLUICE_CODEC, false, false, codec_checks},
      {"backend", "every backend", SLUICE_BACKEND, false, false, backend_checks},
      {"pipeline", "every evictor and codec that failed nothing above, on a tiny random model",
       SLUICE_EVICTOR " " SLUICE_CODEC, false, true, pipeline_checks},
      {"trace", "every evictor and codec that ships a trace", SLUICE_EVICTOR " " SLUICE_CODEC, false, false,
       trace_checks},
  };
  return kAreas;
}

const Check* find_check(std::string_view name) {
  for (const Area& area : areas())
    for (const Check& check : area.checks())
      if (check.name == name) return &check;
  return nullptr;
}

bool is_of(const Area& area, std::string_view interface_id) {
  const auto ids = split(area.interface_ids, ' ');
  return std::find(ids.begin(), ids.end(), interface_id) != ids.end();
}

bool is_for(std::string_view name, std::string_view interface_id) {
  for (const Area& area : areas())
    for (const Check& check : area.checks())
      if (check.name == name && is_of(area, interface_id)) return true;
  return false;
}

bool is_for_modules(std::string_view name) { return find_check(name) && !is_for(name, ""); }

std::vector<std::string> check_names() {
  std::vector<std::string> names;
  for (const Area& area : areas())
    for (const Check& check : area.checks()) names.emplace_back(check.name);
  return names;
}

}  // namespace sluice::check
