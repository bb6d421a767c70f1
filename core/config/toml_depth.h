// How deep TOML text nests, told from its letters alone: the parser makes a table of every part of a dotted key and
// takes them down one inside the other, so text from a stranger is looked at before it is parsed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

struct TextPlace {
  uint32_t line = 1, column = 1;
};

// Where brackets and the dots of keys first lead deeper than `levels`; empty if nowhere. A table's header and the keys
// below it are counted apart, so what is parsed is at most twice as deep. Exact for text up to its first syntax error.
std::optional<TextPlace> deeper_than(std::string_view text, size_t levels);

}  // namespace sluice
