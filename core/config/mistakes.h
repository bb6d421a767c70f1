// Collects what is wrong with a configuration, so that the user hears of everything at once.
#pragma once

#include <string>
#include <vector>

#include "core/config/config.h"

namespace sluice {

class Mistakes {
 public:
  // One line; the place opens it.
  void add(const Place& place, std::string_view message);
  // A message that opens itself, or several of them, a line each.
  void add_lines(std::string_view lines);
  bool empty() const { return lines_.empty(); }
  bool full() const { return more_; }  // what is added now is not shown any more
  // Throws one Error if there are any: files in the order they were met, each by line and column, no line twice. Of
  // very many, only the first that were added.
  void raise() const;

 private:
  std::vector<std::string> lines_;
  bool more_ = false;  // than lines_ has
};

}  // namespace sluice
