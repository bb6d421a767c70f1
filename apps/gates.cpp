// See gates.h.
#include "apps/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

// Codecs that only pretend to compress have neither bytes nor speed.
double if_stored(const PolicyResult& row, double figure) { return row.kv.stored ? figure : kUnknown; }

struct Field {
  const char* name;
  double (*of)(const PolicyResult& row);
  double lowest = 0, highest = std::numeric_limits<double>::infinity();  // what the figure can be
};
constexpr Field kFields[] = {
    {"kld", [](const PolicyResult& r) { return r.kld_mean; }},
    {"kld_mean", [](const PolicyResult& r) { return r.kld_mean; }},
    {"kld_p99", [](const PolicyResult& r) { return r.kld_p99; }},
    {"kld_max", [](const PolicyResult& r) { return r.kld_max; }},
    {"nll_mean", [](const PolicyResult& r) { return r.nll_mean; }},
    {"ppl", [](const PolicyResult& r) { return r.ppl; }, 1},
    {"same_top", [](const PolicyResult& r) { return r.same_top; }, 0, 1},
    {"tok_s", [](const PolicyResult& r) { return if_stored(r, r.tok_s.value_or(kUnknown)); }},
    {"bytes", [](const PolicyResult& r) { return if_stored(r, double(r.kv.bytes)); }},
    {"peak_bytes", [](const PolicyResult& r) { return if_stored(r, double(r.kv.peak_bytes)); }},
    {"ratio", [](const PolicyResult& r) { return if_stored(r, r.kv.ratio); }},
    {"bits_per_element", [](const PolicyResult& r) { return if_stored(r, r.kv.bits_per_element); }},
};

const Field* find_field(std::string_view name) {
  for (const Field& field : kFields)
    if (field.name == name) return &field;
  return nullptr;
}

Gate parse_gate(const std::string& text, std::span<const GateField> fields) {
  const size_t at = text.find_first_of("<>");
  Gate gate{text, text.substr(0, at), at != std::string::npos && text[at] == '>', 0};
  const std::string number = at == std::string::npos ? "" : text.substr(at + 1);
  const char* end = number.data() + number.size();
  const auto [rest, error] = std::from_chars(number.data(), end, gate.limit);
  if (number.empty() || error != std::errc() || rest != end || gate.limit != gate.limit)
    throw Error(
        fmt::format("--fail-if '{}': write a field, < or >, and a number, as in '{}>0.05'", text, fields.front().name));
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const GateField& known) { return known.name == gate.field; });
  if (field == fields.end()) {
    std::vector<std::string> names;
    for (const GateField& known : fields) names.push_back(known.name);
    throw Error(fmt::format("--fail-if '{}': there is no field \"{}\"{}; fields: {}", text, gate.field,
                            did_you_mean(gate.field, names), join(names)));
  }
  if (gate.greater ? gate.limit >= field->highest : gate.limit <= field->lowest)
    throw Error(fmt::format("--fail-if '{}': no row can fail it, since {} is never {} {:g}", text, gate.field,
                            gate.greater ? "above" : "below", gate.greater ? field->highest : field->lowest));
  return gate;
}

}  // namespace

std::vector<Gate> parse_gates(std::span<const std::string> texts, std::span<const GateField> fields) {
  std::vector<Gate> gates;
  for (const std::string& text : texts) gates.push_back(parse_gate(text, fields));
  return gates;
}

bool passes(const Gate& gate, const std::string& row, double value) {
  if (gate.greater ? value <= gate.limit : value >= gate.limit) return true;
  fmt::print(stderr, "sluice: {} does not pass: {} is {:.6g} (--fail-if '{}')\n", row, gate.field, value, gate.text);
  return false;
}

std::vector<Gate> parse_gates(std::span<const std::string> texts) {
  std::vector<GateField> fields;
  for (const Field& field : kFields) fields.push_back({field.name, field.lowest, field.highest});
  return parse_gates(texts, fields);
}

int judge(std::span<const Gate> gates, std::span<const PolicyResult> rows) {
  int code = kExitOk;
  for (const Gate& gate : gates)
    for (const PolicyResult& row : rows)
      if (!passes(gate, row.policy, find_field(gate.field)->of(row))) code = kExitGate;
  return code;
}

}  // namespace sluice
