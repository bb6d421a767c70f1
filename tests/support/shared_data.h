// Where tests find data that is not part of the tree: the shared folder and the real model. Both may be
// absent; a test that needs them skips and says which.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

namespace sluice::testing {

// $SLUICE_SHARED (default ../shared beside the source tree) / relative, if it exists.
inline std::optional<std::filesystem::path> shared_data(std::string_view relative) {
  const char* named = std::getenv("SLUICE_SHARED");
  const std::filesystem::path root = named ? std::filesystem::path(named) : std::filesystem::path(SLUICE_SOURCE) / ".." / "shared";
  const std::filesystem::path path = root / relative;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

// The real model that scripts/get_model.sh fetches: $SLUICE_MODELS or ~/.cache/sluice/models.
inline std::optional<std::filesystem::path> real_model() {
  std::filesystem::path folder;
  if (const char* named = std::getenv("SLUICE_MODELS")) folder = named;
  else if (const char* home = std::getenv("HOME")) folder = std::filesystem::path(home) / ".cache" / "sluice" / "models";
  const std::filesystem::path path = folder / "smollm2-135m-instruct.gguf";
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

}  // namespace sluice::testing

#define SLUICE_NEED_SHARED(variable, relative)                                           \
  const auto variable##_found = ::sluice::testing::shared_data(relative);                \
  if (!variable##_found) GTEST_SKIP() << "no shared data: " << relative;                 \
  const std::filesystem::path variable = *variable##_found

#define SLUICE_NEED_REAL_MODEL(variable)                                                                      \
  const auto variable##_found = ::sluice::testing::real_model();                                              \
  if (!variable##_found) GTEST_SKIP() << "no real model: run scripts/get_model.sh (smollm2-135m-instruct)";   \
  const std::filesystem::path variable = *variable##_found
