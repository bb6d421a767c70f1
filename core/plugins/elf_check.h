// Whether a file is a complete shared library for this machine, asked before the loader is: it would end the process
// on a truncated one, and it says that a library for another machine is not there.
#pragma once

#include <filesystem>
#include <string>

namespace sluice {

// Why the file cannot be loaded, or nothing: it is made for another machine, no shared library, or its headers or
// segments lie beyond its end. Files that are no ELF at all, and damage that no glance at the headers shows, are left
// to the loader.
std::string damaged_library(const std::filesystem::path& path);

}  // namespace sluice
