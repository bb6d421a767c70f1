// What the model said becomes scores; see task.h.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/tasks/filters.h"
#include "core/tasks/python_text.h"
#include "core/tasks/scorers.h"
#include "core/tasks/task.h"
#include "core/tasks/task_file.h"

namespace sluice {
namespace {

// Where a stop begins, from where on it counts.
size_t stop_at(const Task& task, std::string_view text, const std::string& stop) {
  const size_t at = text.find(stop);
  return at == 0 && !task.stop_at_start ? std::string_view::npos : at;
}

std::vector<std::string> record_choices(const Document& document) {
  std::vector<std::string> choices;
  if (const auto found = document.fields.find("choices"); found != document.fields.end() && found->is_array())
    for (const nlohmann::ordered_json& choice : *found)
      choices.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
  return choices;
}

// numpy.argmax: the first of the largest, or the first that is no number.
size_t first_largest(const std::vector<double>& values) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return i;
    if (values[i] > values[best]) best = i;
  }
  return best;
}

}  // namespace

std::string_view cut_at_stops(const Task& task, std::string_view text) {
  for (const std::string& stop : task.stops) text = text.substr(0, stop_at(task, text, stop));
  return text;
}

bool reached_stop(const Task& task, std::string_view text) {
  return std::any_of(task.stops.begin(), task.stops.end(),
                     [&](const std::string& stop) { return stop_at(task, text, stop) != std::string_view::npos; });
}

bool score_is_settled(const Task& task, std::string_view text) {
  return task.file->finished && task.file->finished->first_end(text) != std::string_view::npos;
}

std::vector<TaskScore> score_generation(const Task& task, const Subtask& subtask, const Document& document,
                                        std::string_view text) {
  text = cut_at_stops(task, text);
  std::vector<TaskScore> scores;
  for (const FilterSpec& filter : task.file->filters) {
    TaskScore& score = scores.emplace_back();
    score.metric = filter.metric.names[0];
    score.filter = filter.name;
    if (filter.function == FilterSpec::kScorer) {
      const ScorerResult result = run_scorer(filter.scorer, text, document.target, subtask.short_name);
      score.prediction = result.prediction;
      score.value = result.right ? 1 : 0;
    } else {
      score.prediction = filter.function == FilterSpec::kRegex ? regex_answer(filter, text)
                         : filter.function == FilterSpec::kMultipleChoice
                             ? multiple_choice_answer(filter, text, record_choices(document))
                             : std::string(text);
      const bool right = score.metric == "number" ? same_number(filter.metric, score.prediction, document.target)
                                                  : exact_match(filter.metric, score.prediction, document.target);
      score.value = right ? 1 : 0;
    }
    score.invalid = score.prediction == filter.fallback;
  }
  return scores;
}

std::vector<TaskScore> score_choices(const Task& task, const Document& document,
                                     std::span<const double> loglikelihoods) {
  assert(loglikelihoods.size() == document.choices.size());
  const std::string& delimiter = task.file->prompt.target_delimiter;
  std::vector<double> sums(loglikelihoods.begin(), loglikelihoods.end()), per_character = sums;
  for (size_t i = 0; i < sums.size(); ++i)
    per_character[i] /= double(python_length(std::string_view(document.choices[i]).substr(delimiter.size())));
  std::vector<TaskScore> scores;
  for (const std::string& metric : task.file->metric.names) {
    const size_t chosen = first_largest(metric == "acc_norm" ? per_character : sums);
    scores.push_back({metric, "none", std::to_string(chosen), chosen == document.gold ? 1.0 : 0.0, false});
  }
  return scores;
}

}  // namespace sluice
