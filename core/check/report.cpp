// See report.h.
#include "core/check/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/text.h"
#include "core/check/checks.h"

namespace sluice::check {
namespace {

constexpr Verdict kVerdicts[] = {Verdict::kPass,    Verdict::kFail, Verdict::kCrash,
                                 Verdict::kTimeout, Verdict::kWarn, Verdict::kSkip};
constexpr size_t kNameWidth = 22, kMostLines = 5;

std::string counts_text(std::span<const Row> rows, double seconds) {
  std::map<Verdict, size_t> counts;
  for (const Row& row : rows) counts[row.result.verdict]++;
  std::string text = fmt::format("{} checks: ", rows.size());
  bool first = true;
  for (Verdict verdict : kVerdicts) {
    if (counts[verdict] == 0 && verdict != Verdict::kPass) continue;
    text += fmt::format("{}{} {}", first ? "" : ", ", counts[verdict], verdict_text(verdict));
    first = false;
  }
  return text + fmt::format(" in {:.1f} s\n", seconds);
}

std::string heading(const Task& task) {
  if (task.module.empty()) return task.library.string() + "\n";
  return fmt::format("{} {}\n", task.interface_id, task.module);
}

// The first lines of what the child printed, set in.
std::string output_text(const std::string& output) {
  std::string text;
  size_t lines = 0;
  for (std::string_view line : split(output, '\n')) {
    if (line.empty()) continue;
    if (lines++ == kMostLines) return text + "      | ...\n";
    text += fmt::format("      | {}\n", printable(line, 160));
  }
  return text;
}

}  // namespace

std::string_view verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "FAIL";
    case Verdict::kCrash:
      return "CRASH";
    case Verdict::kTimeout:
      return "TIMEOUT";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kSkip:
      return "skip";
  }
  return "";
}

std::string report_text(std::span<const Row> rows, double seconds, bool only_failed) {
  std::string text, head;
  for (size_t i = 0; i < rows.size(); i++) {
    const auto& [task, result] = rows[i];
    if (only_failed && !failed(result.verdict)) continue;
    if (std::string now = heading(task); now != head) {
      text += now;
      head = std::move(now);
    }
    size_t same = 1;
    while (result.verdict == Verdict::kSkip && i + same < rows.size() && heading(rows[i + same].task) == head &&
           rows[i + same].result.verdict == Verdict::kSkip && rows[i + same].result.why == result.why)
      same++;
    const std::string name = same == 1 ? task.check : fmt::format("{} checks", same);
    text +=
        fmt::format("  {:<{}} {:<8}{}", name, kNameWidth, verdict_text(result.verdict), printable(result.why, 4096));
    while (text.back() == ' ') text.pop_back();
    text += "\n";
    i += same - 1;
    if (failed(result.verdict)) text += output_text(result.output) + "      " + task.command() + "\n";
  }
  return text + counts_text(rows, seconds);
}

std::string report_json(std::span<const Row> rows, double seconds, bool only_failed, bool complete) {
  nlohmann::ordered_json counts, list = nlohmann::ordered_json::array();
  for (Verdict verdict : kVerdicts)
    counts[std::string(verdict_text(verdict))] =
        std::count_if(rows.begin(), rows.end(), [&](const Row& row) { return row.result.verdict == verdict; });
  for (const auto& [task, result] : rows) {
    if (only_failed && !failed(result.verdict)) continue;
    nlohmann::ordered_json row = {{"library", task.library.string()},
                                  {"interface", nullptr},
                                  {"module", nullptr},
                                  {"check", task.check},
                                  {"verdict", verdict_text(result.verdict)},
                                  {"reason", result.why},
                                  {"seconds", result.seconds},
                                  {"seed", task.seed},
                                  {"command", task.command()}};
    if (!task.module.empty()) row["interface"] = task.interface_id, row["module"] = task.module;
    if (failed(result.verdict)) row["output"] = result.output;
    list.push_back(std::move(row));
  }
  const nlohmann::ordered_json whole = {
      {"checks", list}, {"counts", counts}, {"complete", complete}, {"seconds", seconds}};
  return whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string list_text() {
  std::string text;
  for (const Area& area : areas()) {
    text += fmt::format("{}: {}\n", area.name, area.of);
    for (const Check& check : area.checks())
      text += fmt::format("  {:<{}} {}\n", check.name, kNameWidth, check.promise);
  }
  return text;
}

std::string list_markdown() {
  std::string text;
  for (const Area& area : areas()) {
    text += fmt::format("### Of {}\n\n| check | what must hold | limit |\n|---|---|---|\n", area.of);
    for (const Check& check : area.checks())
      text += fmt::format("| `{}` | {}{} | {:g} s |\n", check.name, check.promise, check.ground ? " \\*" : "",
                          check.seconds);
    text += "\n";
  }
  return text;
}

}  // namespace sluice::check
