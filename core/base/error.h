// The one exception type of the product: something the user can mend, or a run that failed. Whoever
// throws says where, what was found and what would be right; main() prints it and exits with its code.
// Bugs of ours are asserts, not Errors.
#pragma once

#include <stdexcept>
#include <string>

namespace sluice {

enum ExitCode : int { kExitOk = 0, kExitFailed = 1, kExitUsage = 2, kExitGate = 3 };

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = kExitUsage) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// What was told to stop has stopped; nothing went wrong.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted", kExitFailed) {}
};

}  // namespace sluice
