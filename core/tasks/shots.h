// The examples before a question: where they come from, and which of them a document gets.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/tasks/python_random.h"
#include "core/tasks/python_text.h"
#include "core/tasks/records.h"
#include "core/tasks/task_file.h"

namespace sluice {

struct ShotList {
  std::string description;  // if the file has one for the subtask
  std::vector<Record> records;
};
// A JSON file that is a list of records, or a table by subtask of { description, shots }.
ShotList read_shot_list(const std::filesystem::path& file, const std::string& subtask);

// The published text of a prompt's examples, from `file`, which `spec` says how to read.
std::string fixed_prompt(const ShotSpec& spec, const std::filesystem::path& file, const nlohmann::ordered_json& context);

// Indices into the pool, as the harness chooses them for `document`. `random` goes on from document to document.
std::vector<size_t> choose_shots(const ShotSpec& spec, const std::vector<Record>& pool, size_t count,
                                 const Record& document, PythonRandom& random);

}  // namespace sluice
