// A module in words: its parameters, where it comes from, what it can do. For `sluice plugin describe` and the
// configuration reference.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugins/registry.h"

namespace sluice {

// "tokens or share", "one of 2, 3, 4, 8", "integer 0 to 64"
std::string describe_type(const sluice_param& param);
// The default as TOML writes it ("\"50%\"", "0.02", "true"); "required" if there is none.
std::string describe_default(const sluice_param& param);
// "retain: yes, dot/accumulate: yes, CUDA: no"; of an evictor what it offers beyond its table, nothing if that is all.
std::string describe_capabilities(const sluice_module& module);

// Why the device of a backend cannot be used on this machine, as the backend says it, a sentence with the remedy;
// empty: it can be, or the backend does not say.
std::string missing_device(const sluice_module& module);

// A value given as SLUICE_TOKENS: "50%", "128".
std::string describe_tokens(int64_t amount);
// The choices of a SLUICE_CHOICE in order.
std::vector<std::string> choices_of(const sluice_param& param);
// The integer that a choice is in TOML: "4", but neither "007" nor what 64 bits do not hold.
std::optional<int64_t> choice_number(std::string_view choice);

std::string describe_text(const Module& module);
std::string describe_markdown(const sluice_module& module);
// A page about all evictors and codecs there are: a table, then each as describe_markdown() has it.
std::string policies_markdown(std::span<const Module> modules);

}  // namespace sluice
