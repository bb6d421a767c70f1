// stdout, the same way for all commands: they write here, and main() says once whether all of it arrived. A full disk
// must not look like success; a reader that had enough and closed the pipe is no failure.
#pragma once

#include <string_view>

namespace sluice {

// Once, before any file is opened: a file must not take the number of a stdout that the shell closed (`>&-`).
void guard_standard_files();

// Next: from now on only write_stdout() reaches stdout, and what plugins print to it goes to stderr.
void keep_stdout_for_commands();

void write_stdout(std::string_view text);
// For what streams, to stop early. False when nothing written from now on would arrive.
bool flush_stdout();
// Ends a command whose output nobody gets any more; main() knows why.
struct OutputGone {};

// The exit code of a command that ended with `code`, after a last flush and a message if something did not arrive.
int finish_stdout(int code);

}  // namespace sluice
