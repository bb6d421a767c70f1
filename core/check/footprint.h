// What a piece of code leaves behind in the process: threads, open files, output, signal handlers, another
// floating-point mode. Taken before and after; see library_checks.cpp.
#pragma once

#include <string>

namespace sluice::check {

// Collects what is written to stdout and stderr while it lives.
class CapturedOutput {
 public:
  CapturedOutput();
  ~CapturedOutput();
  CapturedOutput(const CapturedOutput&) = delete;
  std::string text() const;

 private:
  int file_ = -1, stdout_ = -1, stderr_ = -1;
};

struct Footprint {
  static Footprint now();
  // What `later` has that this has not, one phrase: "starts 2 threads"; empty for nothing.
  std::string grown(const Footprint& later) const;

  long threads = 0, files = 0;
  bool flushes_denormals = false;
  std::string handlers;  // signals that are handled
};

}  // namespace sluice::check
