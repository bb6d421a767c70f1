// Another program that is timed beside ours: a child that stays loaded and answers "go" on its stdin with tokens and
// seconds on its stdout. docs/bench.md is for those who write one.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "core/bench/pair.h"

namespace sluice {

// "64 7.31". Throws Error that shows what came instead, and for seconds that are more than the `elapsed` ones.
Slice parse_answer(std::string_view line, double elapsed);

class Peer {
 public:
  // Starts it. `limit`: seconds within which it must answer, each time. Errors about it begin with its command.
  // `stop` may be NULL.
  Peer(std::vector<std::string> command, double limit, const std::atomic<bool>* stop);
  ~Peer();  // closes its stdin, and ends it if it does not end by itself
  Peer(const Peer&) = delete;

  Slice turn();  // asks until the turn is long enough
  // What it said about itself in lines that begin with '#', or its command.
  const std::string& description() const { return description_; }

 private:
  Slice ask();
  std::string line(double deadline);
  void send(std::string_view text);
  [[noreturn]] void fail(const std::string& what);
  std::string how_it_ended();

  std::vector<std::string> command_;
  double limit_;
  const std::atomic<bool>* stop_;
  std::string description_, unread_;
  bool described_ = false;
  bool broken_ = false;  // it is not waited for any more
  pid_t child_ = 0;
  int to_ = -1, from_ = -1;
};

}  // namespace sluice
