// The files that official test sets come in, as they are: JSON Lines, a JSON file with a list in it, CSV as RFC 4180
// has it. A record is a JSON object and knows its line. What its fields mean is the task's business.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct Record {
  nlohmann::ordered_json fields;  // in the file's order: hashes of records are of their text
  uint32_t line = 0;   // where it begins; 0 if the file has no lines to speak of
  std::string origin;  // "gsm8k/test.jsonl:12", or ":examples[3]" of a JSON file; opens messages about it
};

// An object per line; blank lines are skipped. Error with the line of the first that is none.
std::vector<Record> read_jsonl(const std::filesystem::path& file);
// The list under `list` ("" if the file is a list itself), of objects.
std::vector<Record> read_json_list(const std::filesystem::path& file, std::string_view list);
// Without a header; fields may be quoted and then hold commas, quotes and line breaks. `columns` names them in order; a
// name that stands several times makes a list. Error with the line at which a record with too few or too many begins.
std::vector<Record> read_csv(const std::filesystem::path& file, const std::vector<std::string>& columns);
// The same from text, for tests and fuzzers; `origin` is the file's name.
std::vector<Record> parse_jsonl(std::string_view text, const std::string& origin);
std::vector<Record> parse_csv(std::string_view text, const std::string& origin,
                              const std::vector<std::string>& columns);

}  // namespace sluice
