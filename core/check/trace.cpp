// See trace.h: the file, and the comparison.
#include "core/check/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/config/params.h"
#include "sluice/policy.h"

namespace sluice::check {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::string_view kSuffix = ".sluice.so";

// "recent = 50%, sinks = 0": the parameters that a trace is of.
std::string parameters_text(const sluice_module& module, std::span<const sluice_value> values) {
  std::string text;
  for (size_t i = 0; i < values.size(); i++) {
    text += fmt::format("{}{} = {}", i > 0 ? ", " : "", module.params[i].name, value_text(module.params[i], values[i]));
  }
  return text;
}

Json read_traces(const std::filesystem::path& file) {
  try {
    const Json json = Json::parse(read_file(file));
    if (json.at("traces").is_array()) return json;
  } catch (const Json::exception&) {  // told below
  }
  throw Error(fmt::format("{} is no file of traces; `sluice plugin trace` writes one", file.string()));
}

bool is_of(const Json& entry, const Subject& subject, const std::string& parameters) {
  return entry.value("interface", "") == subject.module->interface_id &&
         entry.value("module", "") == subject.module->name && entry.value("parameters", "") == parameters;
}

std::string hex(const std::vector<uint32_t>& digests) {
  std::string text;
  for (const uint32_t digest : digests) text += fmt::format("{:08x}", digest);
  return text;
}

// The first digest that differs, in words.
void compare(const TraceLine& line, const std::string& kept, const std::string& file) {
  const std::string now = hex(line.digests);
  if (now == kept) return;
  size_t i = 0;
  while (i < line.digests.size() && now.compare(8 * i, 8, kept, std::min(8 * i, kept.size()), 8) == 0) i++;
  if (i == line.digests.size()) fail(fmt::format("{}: {} holds more than is done now", line.what, file));
  const std::string part = line.parts.size() == 1 ? fmt::format("{} of step {}", line.parts[0], i) : line.parts[i];
  fail(fmt::format("{}: {} differ from those in {}; if that is meant, `sluice plugin trace` writes them anew",
                   line.what, part, file));
}

}  // namespace

uint32_t digest_of(std::span<const unsigned char> bytes, uint32_t digest) {
  for (const unsigned char byte : bytes) digest = (digest ^ byte) * 16777619u;
  return digest;
}

uint32_t digest_of(std::string_view text) {
  return digest_of({reinterpret_cast<const unsigned char*>(text.data()), text.size()});
}

void note_counters(const Instance& instance, Trace& trace) {
  const std::vector<Counter> counters = instance.counters();
  if (counters.empty()) return;
  TraceLine& line = trace.emplace_back(TraceLine{"what it counted", {}, {}});
  for (const Counter& counter : counters) {
    line.parts.push_back(fmt::format("the counts of \"{}\"", printable(counter.name)));
    line.digests.push_back(
        digest_of(fmt::format("{} {:.5e} {:.5e}", counter.name, counter.numerator, counter.denominator)));
  }
}

Trace trace_of(const Subject& subject) {
  return std::string_view(subject.module->interface_id) == SLUICE_EVICTOR ? evictor_trace(subject)
                                                                          : codec_trace(subject);
}

std::filesystem::path trace_file(const std::filesystem::path& library) {
  std::string name = library.filename().string();
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  return library.parent_path() / (name + ".trace.json");
}

void keep_trace(const Subject& subject, const std::filesystem::path& file) {
  const std::string parameters = parameters_text(*subject.module, subject.values);
  Json lines = Json::array();
  for (const TraceLine& line : trace_of(subject))
    lines.push_back({{"what", line.what}, {"digests", hex(line.digests)}});
  const Json entry = {{"interface", subject.module->interface_id},
                      {"module", subject.module->name},
                      {"parameters", parameters},
                      {"lines", lines}};
  Json json = std::filesystem::exists(file) ? read_traces(file) : Json{{"traces", Json::array()}};
  const auto same = std::find_if(json["traces"].begin(), json["traces"].end(),
                                 [&](const Json& each) { return is_of(each, subject, parameters); });
  if (same != json["traces"].end())
    *same = entry;
  else
    json["traces"].push_back(entry);
  write_file(file, json.dump(1) + "\n");
}

void trace_same(const Subject& subject) {
  const std::filesystem::path file = trace_file(subject.library);
  if (!std::filesystem::exists(file)) skip(fmt::format("there is no {} beside it", file.filename().string()));
  const std::string parameters = parameters_text(*subject.module, subject.values), name = file.filename().string();
  const Json json = read_traces(file);
  for (const Json& entry : json["traces"]) {
    if (!is_of(entry, subject, parameters)) continue;
    const Trace trace = trace_of(subject);
    const Json& lines = entry.at("lines");
    for (size_t i = 0; i < trace.size(); i++) {
      if (i >= lines.size() || lines[i].value("what", "") != trace[i].what)
        fail(fmt::format("{} has no line of {} where one was expected", name, trace[i].what));
      compare(trace[i], lines[i].value("digests", ""), name);
    }
    expect(lines.size() == trace.size(), fmt::format("{} has lines that are not done now", name));
    return;
  }
  skip(fmt::format("{} has no trace of {}", name, parameters.empty() ? "it" : parameters));
}

std::span<const Check> trace_checks() {
  static constexpr Check kChecks[] = {
      {"trace-same", "does on fixed inputs what the trace beside its library says, to the bit", trace_same, 30},
  };
  return kChecks;
}

}  // namespace sluice::check
