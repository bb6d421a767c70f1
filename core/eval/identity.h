// What an evaluation's answers follow from besides its requests, in words and hashes: answers are comparable, and a run
// may be resumed, where these are equal.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/eval/run.h"

namespace sluice {

using Identity = std::vector<std::pair<std::string, std::string>>;
// SHA-256 of a file's contents. Whoever keeps hashes need not read a large file again.
using FileHash = std::function<std::string(const std::filesystem::path&)>;

// The model's files, backend and kernels, the libraries of all modules that the policy may use and the files that its
// parameters name, its settings, precision, sampler, and how prompts are scored. Not in it: threads, batch, sharing and
// memory, which change no bit.
Identity run_identity(Engine& engine, const Config& config, const EvalOptions& options, const FileHash& hash);

}  // namespace sluice
