// What a shared library's file says of itself without being loaded: for which machine it is, what it exports, which
// functions run when it is loaded. Every offset is checked; the file may be hostile.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sluice::check {

struct ElfFile {
  std::string refusal;                // why it is no shared library of this machine, a sentence; empty if it is
  bool has_sections = false;          // false: of what follows nothing is known
  std::vector<std::string> exported;  // symbols others can bind to
  uint32_t constructors = 0;          // functions that run when it is loaded
  std::vector<std::string> constructor_names;  // of those that its symbol table knows
};

ElfFile read_elf(const std::filesystem::path& path);

}  // namespace sluice::check
