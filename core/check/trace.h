// Traces: what a module did on fixed inputs, digest by digest, kept in a file beside its library (my_evictor.sluice.so,
// my_evictor.trace.json). The other checks know promises that every plugin gives; a trace knows this plugin's own
// choices, so that a change of them is noticed. evictor_trace.cpp and codec_trace.cpp say what is done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/check/check.h"

namespace sluice::check {

struct TraceLine {
  std::string what;                // "decoding at interval 4"
  std::vector<std::string> parts;  // what the digests are of: one each, or one for all, which are then its steps
  std::vector<uint32_t> digests;
};
using Trace = std::vector<TraceLine>;

// Independent of Subject::seed, so that --seed and --fuzz change nothing.
Trace evictor_trace(const Subject& subject);
Trace codec_trace(const Subject& subject);
Trace trace_of(const Subject& subject);

std::filesystem::path trace_file(const std::filesystem::path& library);
// Puts the trace of the subject's module and parameters into the file, in the place of an older one.
void keep_trace(const Subject& subject, const std::filesystem::path& file);
// The check: the trace in the file beside the library is the same. Skipped where there is none.
void trace_same(const Subject& subject);

// What the instance has counted so far (sluice.host.stats/1), to six digits; no line where it counts nothing.
void note_counters(const Instance& instance, Trace& trace);

// FNV-1a, from `digest` on.
inline constexpr uint32_t kNoDigest = 2166136261u;
uint32_t digest_of(std::span<const unsigned char> bytes, uint32_t digest = kNoDigest);
uint32_t digest_of(std::string_view text);
template <class T>
uint32_t digest_of(const std::vector<T>& numbers, uint32_t digest = kNoDigest) {
  static_assert(std::is_arithmetic_v<T>);
  return digest_of({reinterpret_cast<const unsigned char*>(numbers.data()), numbers.size() * sizeof(T)}, digest);
}

}  // namespace sluice::check
