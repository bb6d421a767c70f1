// Runs checks of core/check one at a time and tells what they found: here, or in a process of its own for plugins that
// may crash.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "core/base/error.h"
#include "core/check/check.h"

namespace sluice::testing {

struct Finding {
  check::Verdict verdict = check::Verdict::kPass;
  std::string why;
  bool bad() const {
    return verdict != check::Verdict::kPass && verdict != check::Verdict::kSkip && verdict != check::Verdict::kWarn;
  }
};

inline Finding run_check(const check::Check& check, const check::Subject& subject) {
  try {
    check.run(subject);
  } catch (const check::Outcome& outcome) {
    return {outcome.verdict, outcome.what()};
  } catch (const Error& error) {
    return {check::Verdict::kFail, error.what()};
  }
  return {};
}

inline Finding run_check_apart(const check::Check& check, const check::Subject& subject) {
  int ends[2];
  if (pipe(ends) != 0) return {check::Verdict::kCrash, "no pipe"};
  const pid_t child = fork();
  if (child == 0) {
    const Finding found = run_check(check, subject);
    const std::string text = std::string(1, char('0' + int(found.verdict))) + found.why;
    _exit(write(ends[1], text.data(), text.size()) == ssize_t(text.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char part[512];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) text.append(part, size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (text.empty()) return {check::Verdict::kCrash, "ended with status " + std::to_string(status)};
  return {check::Verdict(text[0] - '0'), text.substr(1)};
}

}  // namespace sluice::testing
