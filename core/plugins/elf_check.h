// Whether a shared library is complete, asked before the loader is: it would end the process on a truncated one.
#pragma once

#include <filesystem>
#include <string>

namespace sluice {

// Why the file cannot be loaded, or nothing: its headers or segments lie beyond its end. What the loader refuses by
// itself (other kinds of files), and what no glance at the headers shows (damage inside a segment), is left to it.
std::string damaged_library(const std::filesystem::path& path);

}  // namespace sluice
