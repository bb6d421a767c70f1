// The progress line: when to draw, what it says, how it fits the terminal.
#include "core/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace sluice {
namespace {

constexpr double kPatience = 2.0;  // seconds before the first line
constexpr double kRefresh = 0.1;   // seconds between lines

// The first `columns` characters of UTF-8 text.
std::string_view cut(std::string_view text, unsigned columns) {
  size_t at = 0;
  for (unsigned seen = 0; at < text.size(); ++at) {
    const bool starts_character = (uint8_t(text[at]) & 0xC0) != 0x80;
    if (starts_character && seen++ == columns) break;
  }
  return text.substr(0, at);
}

}  // namespace

std::string duration_text(double seconds) {
  if (!(seconds < 1e9)) return "long";
  const auto s = uint64_t(std::lround(std::max(0.0, seconds)));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
}

Progress::Screen Progress::standard_error() {
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  Screen screen;
  screen.terminal = isatty(STDERR_FILENO) && !(term && std::string_view(term) == "dumb");
  screen.styled = !(no_color && *no_color);
  screen.columns = [] {
    winsize size{};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? unsigned(size.ws_col) : 80u;
  };
  screen.seconds = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  screen.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return screen;
}

Progress::Progress(uint64_t total, std::string label, Screen screen)
    : total_(total), label_(std::move(label)), screen_(std::move(screen)) {
  start_ = screen_.terminal ? screen_.seconds() : 0;
}

Progress::~Progress() { clear(); }

std::string Progress::line(double elapsed, std::string_view note) const {
  std::string text = total_ > 0 ? fmt::format(" {}/{}", done_, total_) : fmt::format(" {}", done_);
  if (total_ > 0) {
    const double share = double(std::min(done_, total_)) / double(total_);
    text += fmt::format("  {:.0f} %", 100 * share);
    if (done_ > 0) text += "  ETA " + duration_text(elapsed * (1 - share) / share);
  }
  if (!note.empty()) text += fmt::format("  {}", note);
  return text;
}

void Progress::advance(uint64_t n, std::string_view note) {
  done_ += n;
  if (!screen_.terminal) return;
  const double now = screen_.seconds();
  if (now - start_ < kPatience || (drawn_ && now - drawn_at_ < kRefresh)) return;
  // One column stays free, so that no terminal wraps the line and leaves a copy behind.
  const unsigned columns = std::max(2u, screen_.columns()) - 1;
  const std::string whole = label_ + line(now - start_, note);
  const std::string_view fits = cut(whole, columns);
  const std::string_view label = fits.substr(0, std::min(label_.size(), fits.size()));
  screen_.write(screen_.styled ? fmt::format("\r\x1b[1m{}\x1b[0m{}\x1b[K", label, fits.substr(label.size()))
                               : fmt::format("\r{}\x1b[K", fits));
  drawn_ = true;
  drawn_at_ = now;
}

void Progress::clear() {
  if (drawn_) screen_.write("\r\x1b[K");
  drawn_ = false;
}

}  // namespace sluice
