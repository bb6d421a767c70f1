// Ctrl-C, SIGTERM and SIGHUP as a flag that long commands look at between steps, so that they end cleanly. A second
// Ctrl-C ends the process at once.
#pragma once

#include <atomic>

namespace sluice {

void watch_interrupts();  // once, in main(); also makes a closed pipe and a file too large errors, not deaths
// Whether Ctrl-C ends a read that waits for a person: wanted where someone is asked, not where files are read.
void interrupt_reads(bool wanted);
bool interrupted();
const std::atomic<bool>& interrupt_flag();  // for libraries that take a flag

// Says on stderr that what was printed is partial. The exit code of an interrupted command that prints what it has.
int partial_result();

}  // namespace sluice
