// Rows of typed cells, written the ways llama-bench writes its results: text and Markdown for people, CSV, JSON,
// JSON lines and SQL for programs. What stands in a table is its maker's business.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/report/result.h"

namespace sluice {

enum class Format { kText, kMarkdown, kCsv, kJson, kJsonl, kSql };
// -o text|md|csv|json|jsonl|sql. Throws Error that lists them.
Format parse_format(std::string_view name);

// Nothing, or a value. Programs get the value in full precision; NaN and infinities count as nothing.
using Value = std::variant<std::monostate, bool, uint64_t, int64_t, double, std::string>;

struct Cell {
  Value value;
  std::string shown;  // what text and Markdown say; empty: the value as it is, "-" for nothing

  Cell() = default;
  template <class T>
  Cell(T v, std::string text = {}) : value(std::move(v)), shown(std::move(text)) {}
};

struct Column {
  std::string key;     // field name for programs; empty: a column for people only
  std::string title;   // heading for people; empty: a column for programs only
  bool number = true;  // right-aligned
};

struct Table {
  std::string name;  // of the SQL table
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // [rows][columns]
};

// Ends with a newline. Text and Markdown show what has a title, the others what has a key.
std::string write_table(const Table& table, Format format);

// A comparison: a table for people with the row nearest in bytes named below it, one flat row per policy for CSV,
// JSON lines and SQL, and the whole comparison as one object for JSON (docs/output.md).
std::string comparison_table(const Comparison& comparison, Format format);
// For people: how perplexities and probabilities changed, and attention where it was looked into.
std::string details_table(const Comparison& comparison, Format format);

}  // namespace sluice
