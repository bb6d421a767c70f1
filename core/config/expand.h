// From a file and --set to one merged table per policy: follows `extends`, multiplies out [sweep], applies
// overrides last. Values are not looked at; parse.cpp does that.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/config/tree.h"

namespace sluice {

struct Expanded {
  std::string name;  // of the policy
  Table table;       // without extends, sweep and name
};

// Without a [sweep] (`swept` false): one. Mistakes are added; whatever could be read is still returned.
struct Expansion {
  bool swept = false;
  std::vector<Expanded> policies;
};
Expansion expand_file(const std::filesystem::path& file, std::span<const std::string> overrides, Mistakes& mistakes);
Expansion expand_overrides(std::span<const std::string> overrides, Mistakes& mistakes);

}  // namespace sluice
