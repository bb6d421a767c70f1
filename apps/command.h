// One row per command: what main() needs to offer it and `sluice help` to explain it. A command's options are its
// own business (options.h helps).
//
// To add one: write `int run_NAME(std::span<const std::string> args)` in apps/NAME.cpp, declare it in commands.h,
// add a row to the table in sluice.cpp. `args` are the words after the command; the result is the exit code
// (core/base/error.h). Errors are thrown; main() prints them. Data goes to stdout, everything else to stderr.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sluice {

struct Command {
  const char* name;
  const char* summary;  // one line
  // What follows the name on the command line ("[CONFIG] --text S"), then, after a line break, paragraphs and
  // examples for --help.
  const char* usage;
  int (*run)(std::span<const std::string> args);
};

std::span<const Command> commands();
const Command* find_command(std::string_view name);  // NULL if there is none

}  // namespace sluice
