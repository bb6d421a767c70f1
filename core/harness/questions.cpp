// See questions.h.
#include "core/harness/questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/eval/tokens.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string end_text(const Tokenizer& tokenizer) {
  const int32_t end = tokenizer.vocabulary().eos;
  return end < 0 ? "" : tokenizer.piece(end, true);
}

// What a sample is before it is answered: who resumes asks whether it is there already.
SampleRecord unanswered(const TaskRequests& asked, const Document& document) {
  const Task& task = *asked.task;
  SampleRecord s;
  s.doc_id = document.id;
  s.doc = document.fields.dump(-1, ' ', false, Json::error_handler_t::replace);
  s.prompt = document.prompt;
  Json arguments = Json::array();
  switch (task.kind) {
    case TaskKind::kGenerate: {
      Json until = task.stops;
      if (!asked.end_text.empty() && std::find(until.begin(), until.end(), asked.end_text) == until.end())
        until.push_back(asked.end_text);
      arguments.push_back({{"until", until}, {"do_sample", false}, {"max_gen_toks", task.max_tokens}});
      s.target = document.target;
      break;
    }
    case TaskKind::kMultipleChoice:
      arguments = document.choices;
      s.target = std::to_string(document.gold);
      break;
    case TaskKind::kPerplexity:
      arguments.push_back(nullptr);  // it has no second argument
      s.target = document.target;
  }
  s.arguments = dump(arguments);
  return s;
}

Generate generation(const TaskRequests& asked, bool fast_stop) {
  const Task& task = *asked.task;
  Generate want;
  want.max_tokens = task.max_tokens;
  if (task.stop_at_start) {
    want.stops = task.stops;
    if (!asked.end_text.empty()) want.stops.push_back(asked.end_text);
  }
  if (fast_stop || !task.stop_at_start)
    want.ends = [&task, fast_stop](std::string_view text) {
      return (!task.stop_at_start && reached_stop(task, text)) || (fast_stop && score_is_settled(task, text));
    };
  return want;
}

// The context of all of a document's choices, and what follows it.
EvalRequest scored_choices(const Document& document, const Tokenizer& tokenizer) {
  EvalRequest request;
  Score want;
  for (const std::string& choice : document.choices) {
    TokenPair pair = encode_pair(tokenizer, document.prompt, choice);
    want.continuations.push_back(std::move(pair.continuation));
    request.prompt = std::move(pair.context);
  }
  request.want = std::move(want);
  return request;
}

uint64_t longest_answer(const Task& task, const EvalRequest& request) {
  if (task.kind == TaskKind::kGenerate) return task.max_tokens;
  uint64_t longest = 0;
  if (const auto* score = std::get_if<Score>(&request.want))
    for (const auto& continuation : score->continuations) longest = std::max(longest, uint64_t(continuation.size()));
  return longest;
}

std::vector<EvalRequest> ask(const TaskRequests& asked, const Document& document, const Tokenizer& tokenizer,
                             const RequestOptions& options) {
  const Task& task = *asked.task;
  std::vector<EvalRequest> requests;
  if (task.kind == TaskKind::kPerplexity) {
    for (Window& window : rolling_windows(tokenizer, document.prompt, options.context)) {
      EvalRequest& request = requests.emplace_back();
      request.prompt = std::move(window.tokens);
      request.want = Rolling{window.given};
    }
  } else if (task.kind == TaskKind::kMultipleChoice) {
    requests.push_back(scored_choices(document, tokenizer));
  } else {
    EvalRequest& request = requests.emplace_back();
    request.prompt = tokenizer.encode_prompt(document.prompt);
    request.want = generation(asked, options.fast_stop);
  }
  for (EvalRequest& request : requests) request.id = document.id;
  return requests;
}

void add_bytes(const Answer& answer, SampleRecord& s) {
  s.kept_after_prompt = answer.bytes.kept_after_prompt, s.kept = answer.bytes.kept;
  s.stored_bytes = answer.bytes.stored, s.f16_bytes = answer.bytes.f16, s.peak_bytes = answer.bytes.peak;
  s.compressed_before_scoring = answer.compressed_before_scoring, s.too_short = answer.too_short;
  s.bytes.clear();
  for (uint32_t k = 0; k < kKinds; k++)
    if (answer.bytes.by_kind[k] || answer.bytes.peak_by_kind[k])
      s.bytes.push_back({std::string(kKindNames[k]), answer.bytes.by_kind[k], answer.bytes.peak_by_kind[k]});
}

// Scores under the filters they are of.
void add_score(SampleRecord& s, const std::string& filter, const Json& responses, Metric metric) {
  if (s.filtered.empty() || s.filtered.back().filter != filter) s.filtered.push_back({filter, dump(responses), {}});
  s.filtered.back().metrics.push_back(std::move(metric));
}

void add_generation(const TaskRequests& asked, const Document& document, const Answer& answer, SampleRecord& s) {
  const Task& task = *asked.task;
  const std::string text(cut_at_stops(task, answer.text));
  s.responses = dump(Json::array({Json::array({text})}));
  s.tokens = answer.tokens;
  s.ended_by = answer.ended_by;
  // Where only a task's own rule could tell, it is asked again.
  if (!task.stop_at_start && text.size() < answer.text.size()) s.ended_by = "stop string";
  for (const TaskScore& score : score_generation(task, *asked.subtask, document, text))
    add_score(s, score.filter, Json::array({score.prediction}), {score.metric, score.value, {}});
}

void add_choices(const TaskRequests& asked, const Document& document, const Answer& answer, SampleRecord& s) {
  Json responses = Json::array(), filtered = Json::array();
  std::vector<double> sums;
  for (const Likelihood& likelihood : answer.likelihoods) {
    const Json one = Json::array({likelihood.log_prob, likelihood.greedy});
    responses.push_back(Json::array({one})), filtered.push_back(one);
    sums.push_back(likelihood.log_prob);
  }
  s.responses = dump(responses);
  for (const TaskScore& score : score_choices(*asked.task, document, sums))
    add_score(s, score.filter, filtered, {score.metric, score.value, {}});
}

void add_perplexity(const Task& task, const Document& document, double log_prob, SampleRecord& s) {
  s.responses = dump(Json::array({Json::array({log_prob})}));
  for (const std::string& key : task.metrics) {
    const std::string name = key.substr(0, key.find(','));
    const uint64_t weight = name == "word_perplexity" ? document.words : document.bytes;
    add_score(s, "none", Json::array({log_prob}), {name, log_prob, double(weight)});
  }
}

}  // namespace

TaskRequests make_requests(const Task& task, const Subtask& subtask, const Tokenizer& tokenizer,
                           const RequestOptions& options, const std::function<std::string()>& fitting) {
  TaskRequests asked;
  asked.task = &task, asked.subtask = &subtask, asked.end_text = end_text(tokenizer);
  if (task.kind == TaskKind::kGenerate && task.max_tokens >= options.context)
    throw Error(fmt::format("{}: {} tokens are to be generated, but the context has {}: raise model.context",
                            subtask.name, task.max_tokens, options.context));
  uint64_t least = UINT64_MAX;
  for (uint32_t d = 0; d < subtask.documents.size(); d++) {
    const Document& document = subtask.documents[d];
    asked.first.push_back(uint32_t(asked.requests.size()));
    asked.keys.push_back(unanswered(asked, document).prompt_key());
    bool truncated = false;
    for (EvalRequest& request : ask(asked, document, tokenizer, options)) {
      const uint64_t answer = longest_answer(task, request);
      if (task.kind != TaskKind::kPerplexity) {
        least = std::min(least, request.prompt.size() + answer);
        if (answer >= options.context)
          throw Error(
              fmt::format("{}: an answer of question {} has {} tokens, but the context has {}: raise "
                          "model.context",
                          subtask.name, document.id, answer, options.context));
        request.truncated = truncate_left(request.prompt, options.context - answer);
        truncated |= request.truncated;
      }
      asked.document.push_back(d);
      asked.requests.push_back(std::move(request));
    }
    asked.truncated += truncated;
  }
  asked.first.push_back(uint32_t(asked.requests.size()));
  if (least != UINT64_MAX && least > options.context && !options.truncate)
    throw Error(
        fmt::format("{}: the shortest of its {} prompts takes {} tokens with its answer, the context has {}: raise "
                    "model.context, {}, or have prompts cut at their beginning, as the harness does, with --truncate",
                    subtask.name, subtask.documents.size(), least, options.context, fitting()));
  return asked;
}

std::vector<std::vector<int32_t>> forced_tokens(const TaskRequests& asked, std::span<const EvalRequest> requests,
                                                uint32_t document, const SampleRecord& baseline) {
  const uint32_t first = asked.first[document], n = asked.first[document + 1] - first;
  std::vector<std::vector<int32_t>> texts(n);
  if (asked.task->kind == TaskKind::kGenerate) texts[0] = baseline.tokens;
  if (asked.task->kind == TaskKind::kMultipleChoice) {
    const auto& choices = std::get<Score>(requests[first].want).continuations;
    const Json responses =
        Json::parse(baseline.responses);  // of each choice its responses, as add_choices() wrote them
    size_t best = 0;
    for (size_t c = 1; c < choices.size(); c++)
      if (responses.at(c).at(0).at(0) > responses.at(best).at(0).at(0)) best = c;
    texts[0] = choices[best];
  }
  return texts;
}

uint64_t document_tokens(const Task& task, const Document& document, const Tokenizer& tokenizer) {
  if (task.kind == TaskKind::kGenerate) return tokenizer.encode_prompt(document.prompt).size() + task.max_tokens;
  const EvalRequest request = scored_choices(document, tokenizer);
  return request.prompt.size() + longest_answer(task, request);
}

SampleRecord answered(const TaskRequests& asked, uint32_t document, std::span<const Answer> answers) {
  const Task& task = *asked.task;
  const Document& d = asked.subtask->documents[document];
  SampleRecord s = unanswered(asked, d);
  uint64_t most = 0;
  double log_prob = 0;
  for (const Answer& answer : answers) {
    s.prompt_tokens += answer.prompt_tokens, s.prefix_tokens += answer.prefix_tokens;
    s.seconds += answer.seconds, s.prompt_seconds += answer.prompt_seconds;
    log_prob += answer.log_prob;
    // A text in several windows is as many sequences: its bytes are those of the longest.
    if (answer.bytes.f16 < most) continue;
    most = answer.bytes.f16;
    add_bytes(answer, s);
  }
  if (task.kind == TaskKind::kGenerate) add_generation(asked, d, answers.front(), s);
  if (task.kind == TaskKind::kMultipleChoice) add_choices(asked, d, answers.front(), s);
  if (task.kind == TaskKind::kPerplexity) add_perplexity(task, d, log_prob, s);
  return s;
}

}  // namespace sluice
