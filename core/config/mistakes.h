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
  // Throws one Error if there are any: files in the order they were met, each by line and column, no line twice.
  void raise() const;

 private:
  std::vector<std::string> lines_;
};

}  // namespace sluice
