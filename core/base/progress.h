// One line on stderr that says how far a long piece of work is and when it will end. It appears only on a terminal
// and only after two seconds, and removes itself; what is printed on stdout stays clean.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

class Progress {
 public:
  // Where the line goes; tests bring their own clock and screen.
  struct Screen {
    bool terminal = false;  // false: nothing is ever written
    bool styled = false;    // the label in bold; off under NO_COLOR
    std::function<unsigned()> columns;
    std::function<double()> seconds;
    std::function<void(std::string_view)> write;
  };
  // stderr. No terminal there, or TERM=dumb: no line.
  static Screen standard_error();

  // `total` in whatever unit advance() counts; 0 if it is not known (then there is no time of arrival).
  Progress(uint64_t total, std::string label, Screen screen = standard_error());
  ~Progress();  // clears
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `note` stands at the end of the line: "31.2 tok/s". [one thread at a time]
  void advance(uint64_t n = 1, std::string_view note = {});
  uint64_t done() const { return done_; }
  // The line begins with this from now on.
  void relabel(std::string label) { label_ = std::move(label); }
  // Removes the line, for a message that must stand alone; the next advance() draws it again.
  void clear();

 private:
  std::string line(double elapsed, std::string_view note) const;

  uint64_t total_, done_ = 0;
  std::string label_;
  Screen screen_;
  double start_, drawn_at_ = 0;
  bool drawn_ = false;
};

// "8 s", "3 min 20 s", "1 h 05 min": for people waiting.
std::string duration_text(double seconds);

}  // namespace sluice
