// See metrics.h.
#include "core/tasks/metrics.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::string_view kTexts[] = {"exact_match", "number"};
constexpr std::string_view kChoices[] = {"acc", "acc_norm"};
constexpr std::string_view kPerplexities[] = {"word_perplexity", "byte_perplexity", "bits_per_byte"};

}  // namespace

std::span<const std::string_view> metrics_of(TaskKind kind) {
  switch (kind) {
    case TaskKind::kGenerate:
      return kTexts;
    case TaskKind::kMultipleChoice:
      return kChoices;
    case TaskKind::kPerplexity:
      break;
  }
  return kPerplexities;
}

bool is_perplexity(std::string_view metric) {
  return std::find(std::begin(kPerplexities), std::end(kPerplexities), metric) != std::end(kPerplexities);
}

}  // namespace sluice
