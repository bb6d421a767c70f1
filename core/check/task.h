// One check of one module of one library, carried out in this process; which may well be a child of its own
// (base/child_process.h), as what is checked may crash, hang or leave things behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/check/check.h"

namespace sluice {
struct Prober;
}

namespace sluice::check {

// What to run: all that a child needs to know, and whoever wants to see a failure again.
struct Task {
  std::string check;
  std::filesystem::path library;
  std::string interface_id, module;   // empty for checks of the library itself; the first may be found by the second
  std::vector<std::string> settings;  // K=V: parameters of the module
  uint64_t seed = 1;
  std::vector<std::filesystem::path> folders = {};  // where other modules are looked for before the usual places

  // "plugin", "try", ...: the words that make the program run it.
  std::vector<std::string> words() const;
  // The same as a line for a shell.
  std::string command() const;
};

struct Result {
  Verdict verdict = Verdict::kPass;
  std::string why;     // empty for a pass
  std::string output;  // what the child printed
  double seconds = 0;
};

// `prober` tries the libraries around the task's own, whose modules may be its parts or its company. The task's own is
// loaded without: that it may crash is what the process is for.
Result run_task(const Task& task, const Prober* prober = nullptr);
// Hands `job` the module that a task names, loaded and with its parameters. Throws Error where there is none.
void with_module(const Task& task, const Prober* prober, const std::function<void(const Subject& subject)>& job);

// What a library offers. Loads it: for a child.
struct Offer {
  std::string interface_id, name;
  std::string reason;                   // why it cannot be used; empty if it can
  bool extended = false;                // an evictor with tables of sluice/extensions.h
  std::vector<std::string> parameters;  // their names
  std::vector<std::string> settings;    // of those given, the ones for its parameters
  std::string mistake;                  // what is wrong with them, for the user
};
std::vector<Offer> list_offers(const std::filesystem::path& library, const std::vector<std::string>& settings);
std::string to_json(const std::vector<Offer>& offers);
// Throws Error for a setting K=V whose K is none of the parameters' names.
void refuse_unknown(const std::vector<std::string>& settings, const std::set<std::string>& names);
std::vector<Offer> offers_from_json(const std::string& json);

}  // namespace sluice::check
