// A task's documents as what the runner is asked, and the runner's answers as what the store keeps. Running, storing
// and adding up are others' business.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/eval/request.h"
#include "core/store/records.h"
#include "core/tasks/task.h"
#include "core/tokenizer/tokenizer.h"

namespace sluice {

struct RequestOptions {
  uint32_t context = 0;    // tokens that the model takes
  bool fast_stop = false;  // a text ends where its score is settled
  bool truncate = false;   // also where no document of a subtask fits
};

// One subtask as the runner sees it, all its requests of one family. Points to the task, which outlives it.
struct TaskRequests {
  const Task* task = nullptr;
  const Subtask* subtask = nullptr;
  std::string end_text;               // the model's own end of text, one more stop string
  std::vector<EvalRequest> requests;  // until EvalWork has taken them into a row with those of others
  std::vector<uint32_t> document;     // [requests]; a long text of a perplexity task takes several in a row
  std::vector<uint32_t> first;        // [documents] its first request; one more at the end
  std::vector<std::string> keys;      // [documents] of the sample, as the store has it
  uint32_t truncated = 0;             // documents that lost their beginning
};

// Throws Error where a document cannot be asked: no room for what is to be generated, no document of the subtask that
// fits as a whole. `fitting` says how many of the task's examples would fit, for that message.
TaskRequests make_requests(const Task& task, const Subtask& subtask, const Tokenizer& tokenizer,
                           const RequestOptions& options, const std::function<std::string()>& fitting);
// Tokens of a document's prompt, and the most that may follow.
uint64_t document_tokens(const Task& task, const Document& document, const Tokenizer& tokenizer);

// The sample of a document; `answers` are those of all its requests, in their order.
SampleRecord answered(const TaskRequests& asked, uint32_t document, std::span<const Answer> answers);

// The baseline's answers to a document's requests as texts that other policies can be led through: what it generated,
// the choice that it found most likely, nothing for texts that are measured as they are.
std::vector<std::vector<int32_t>> forced_tokens(const TaskRequests& asked, std::span<const EvalRequest> requests,
                                                uint32_t document, const SampleRecord& baseline);

}  // namespace sluice
