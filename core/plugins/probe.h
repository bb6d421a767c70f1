// Whether loading a library would take the program down, found out by a child process that does it first. A crash, an
// exit or an endless loop then ends the child, and the library is listed with that as its reason. What is wrong with a
// library that can be loaded is told by those who load it (library.h, interfaces.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

struct Prober {
  // The program to start and the words before the library's path. It calls run_probe().
  std::vector<std::string> command;
  double seconds = 2;
  // Verdicts are remembered here by the contents of the library; empty: nowhere.
  std::filesystem::path cache = {};
  // Try a library again that did not pass. What made it fail may be gone.
  bool again = false;
};

// Why the library cannot be loaded, a sentence for the user, or nothing: it can.
std::string probe_library(const Prober& prober, const std::filesystem::path& library);

// The child's side: loads the library, looks at all of it, and reports each step. Returns the exit code.
int run_probe(const std::filesystem::path& library);

// $XDG_CACHE_HOME/sluice/probes, else ~/.cache/sluice/probes; empty if there is neither.
std::filesystem::path probe_cache();

}  // namespace sluice
