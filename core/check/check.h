// What `sluice plugin check` runs: a check is one promise of the plugin headers, tried on one module of one library.
// The lists of checks stand in a file per area, the child process that a check runs in is base/child_process.h's
// business, and what people read is report.h's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugins/registry.h"

namespace sluice::check {

enum class Verdict { kPass, kFail, kCrash, kTimeout, kWarn, kSkip };

// What a check works on. Everything random in it follows from `seed`.
struct Subject {
  std::filesystem::path library;
  const sluice_module* module = nullptr;  // NULL in checks of the library itself
  Registry* registry = nullptr;           // holds the library's modules, and the built-in ones for pipelines
  std::vector<sluice_value> values;       // parameters for create(): defaults, or as --set says
  uint64_t seed = 1;
};

// Ends the running check: thrown by the helpers below, caught by the runner.
struct Outcome : std::runtime_error {
  Outcome(Verdict v, const std::string& why) : std::runtime_error(why), verdict(v) {}
  Verdict verdict;
};
// `why` is one sentence that names the verb and the figures: "account() adds up to 576 of 1088 bytes".
[[noreturn]] inline void fail(const std::string& why) { throw Outcome(Verdict::kFail, why); }
[[noreturn]] inline void skip(const std::string& why) { throw Outcome(Verdict::kSkip, why); }
[[noreturn]] inline void warn(const std::string& why) { throw Outcome(Verdict::kWarn, why); }
inline void expect(bool holds, const std::string& why) {
  if (!holds) fail(why);
}

struct Check {
  std::string_view name;     // "codec-retain": area, dash, noun
  std::string_view promise;  // one line for --list and for the docs
  void (*run)(const Subject& subject);
  double seconds = 10;  // time limit
  // Other checks of its list rest on it: when it fails, those behind it are skipped.
  bool ground = false;
};

// By area, in the order in which they run. Library checks run once per file, the others once per module of their kind.
std::span<const Check> library_checks();
std::span<const Check> evictor_checks();
std::span<const Check> codec_checks();
std::span<const Check> backend_checks();
std::span<const Check> pipeline_checks();   // of evictors and codecs, on a tiny random model
std::span<const Check> extension_checks();  // of evictors that offer sluice/extensions.h
std::span<const Check> trace_checks();      // of evictors and codecs that ship a trace

}  // namespace sluice::check
