// Loads one plugin library and finds its entry point. The only user of Boost.DLL; libraries stay loaded until
// the process ends.
#pragma once

#include <filesystem>
#include <string>

#include "sluice/plugin.h"

namespace sluice {

struct Prober;

struct LoadedLibrary {
  const sluice_plugin* plugin = nullptr;  // NULL: see reason
  std::string reason;                     // a sentence for the user
};
// `canonical` is what the file is called once links are followed. Checks the entry point's struct too. With a prober,
// a library that would take the program down is not loaded.
LoadedLibrary load_library(const std::filesystem::path& canonical, const Prober* prober = nullptr);

// Of the running program, links followed.
std::filesystem::path program_folder();

// What is left of a loader's message once the wording of Boost and of dlerror is taken off.
std::string reword_loader_message(std::string text, const std::filesystem::path& library);

}  // namespace sluice
