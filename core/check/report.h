// What people and programs read of a run of checks, and the list of checks there are.
#pragma once

#include <span>
#include <string>

#include "core/check/runner.h"

namespace sluice::check {

std::string_view verdict_text(Verdict verdict);  // "pass", "FAIL", ...

// A block per library and module; skipped checks with one reason are one line. The last line counts.
std::string report_text(std::span<const Row> rows, double seconds, bool only_failed);
// `complete`: false if the run was interrupted.
std::string report_json(std::span<const Row> rows, double seconds, bool only_failed, bool complete);

std::string list_text();
std::string list_markdown();  // docs/plugin-check.md

}  // namespace sluice::check
