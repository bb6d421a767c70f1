// All checks there are, by area, and how they are found.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/check/check.h"

namespace sluice::check {

struct Area {
  std::string_view name;           // "library", "evictor"
  std::string_view of;             // what is checked, for people
  std::string_view interface_ids;  // of the modules, a space between; empty: the library itself
  bool extended_only = false;      // only modules with tables of sluice/extensions.h
  bool whole_only = false;         // only modules that failed none of the checks before
  std::span<const Check> (*checks)();
};

std::span<const Area> areas();
// NULL if there is none of this name.
const Check* find_check(std::string_view name);
std::vector<std::string> check_names();
bool is_of(const Area& area, std::string_view interface_id);
// Whether a check is for modules of this interface.
bool is_for(std::string_view check, std::string_view interface_id);
bool is_for_modules(std::string_view check);

}  // namespace sluice::check
