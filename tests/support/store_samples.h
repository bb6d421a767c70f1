// Samples for tests of the store: by number, each with everything that a sample may hold, and all of one as text.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "core/store/records.h"

namespace sluice::testing {

inline SampleRecord sample(uint64_t number) {
  SampleRecord s;
  s.doc_id = number;
  s.doc = fmt::format(R"({{"question":"How many is {}? \"so\"\n…","answer":"#### {}"}})", number, number);
  s.target = std::to_string(number);
  s.prompt = fmt::format("Q: How many is {}?\nA:", number);
  s.arguments = R"([{"until":["Q:","</s>"],"do_sample":false,"max_gen_toks":256}])";
  s.responses = fmt::format(R"([[" It is {}. The answer is {}."]])", number, number);
  s.filtered = {{"strict-match", fmt::format(R"(["{}"])", number), {{"exact_match", 1.0, {}}}},
                {"flexible-extract", fmt::format(R"(["{}."])", number), {{"exact_match", double(number % 2), {}}}}};
  for (uint64_t i = 0; i < 20 + number % 7; i++) s.tokens.push_back(int32_t(number * 31 + i * 7));
  s.ended_by = number % 3 ? "stop string" : "limit";
  s.prompt_tokens = 900 + uint32_t(number), s.prefix_tokens = 800;
  s.compressed_before_scoring = 700 + number, s.too_short = number % 5 == 4;
  s.kept_after_prompt = 180.25, s.kept = 190.5 + double(number);
  s.stored_bytes = (uint64_t(1) << 33) + number, s.f16_bytes = uint64_t(1) << 34, s.peak_bytes = uint64_t(1) << 35;
  s.bytes = {{"codes", 5000 + number, 6000}, {"tail", 300, 400 + number}};
  s.seconds = 1.5 + double(number), s.prompt_seconds = 0.25;
  return s;
}

inline std::string dump(const SampleRecord& s) {
  std::string text = fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}\n", s.doc_id, s.doc,
                                 s.target, s.prompt, s.arguments, s.responses, s.tokens, s.ended_by, s.prompt_tokens,
                                 s.prefix_tokens, s.compressed_before_scoring, s.too_short, s.kept_after_prompt, s.kept,
                                 s.stored_bytes, s.f16_bytes, s.peak_bytes, s.seconds, s.prompt_seconds);
  for (const Filtered& f : s.filtered) {
    text += f.filter + " " + f.responses;
    for (const Metric& m : f.metrics) text += fmt::format(" {}={}/{}", m.name, m.value, m.weight.value_or(-1));
  }
  for (const KindBytes& b : s.bytes) text += fmt::format(" {}={}/{}", b.kind, b.stored, b.peak);
  return text;
}

}  // namespace sluice::testing
