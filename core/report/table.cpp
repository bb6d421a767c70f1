// See table.h: one function per format, all over the same typed cells.
#include "core/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/report/format.h"
#include "core/report/json.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

bool is_nothing(const Value& value) {
  if (const double* x = std::get_if<double>(&value)) return !std::isfinite(*x);
  return std::holds_alternative<std::monostate>(value);
}

// The value as programs read it, without quotes; "" for nothing.
std::string plain(const Value& value) {
  if (is_nothing(value)) return "";
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return to_json(value).dump();
}

std::string shown(const Cell& cell) {
  std::string text = !cell.shown.empty() ? cell.shown : is_nothing(cell.value) ? "-" : plain(cell.value);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x20; }, ' ');
  return text;
}

std::string markdown_escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string pad(const std::string& text, size_t width, bool right) {
  const std::string space(width - std::min(width, text_width(text)), ' ');
  return right ? space + text : text + space;
}

std::string write_aligned(const Table& table, bool markdown) {
  std::vector<size_t> columns;
  for (size_t c = 0; c < table.columns.size(); ++c)
    if (!table.columns[c].title.empty()) columns.push_back(c);
  const auto cell_text = [&](const std::string& text) { return markdown ? markdown_escape(text) : text; };
  std::vector<std::vector<std::string>> lines(1);
  for (const size_t c : columns) lines[0].push_back(cell_text(table.columns[c].title));
  for (const auto& row : table.rows) {
    auto& line = lines.emplace_back();
    for (const size_t c : columns) line.push_back(cell_text(shown(row[c])));
  }
  std::vector<size_t> widths(columns.size(), 3);
  for (const auto& line : lines)
    for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], text_width(line[c]));

  std::vector<std::string> rule;
  for (size_t c = 0; c < columns.size(); ++c) {
    const bool right = table.columns[columns[c]].number;
    for (auto& line : lines) line[c] = pad(line[c], widths[c], right);
    std::string dashes(widths[c], '-');
    if (markdown) (right ? dashes.back() : dashes.front()) = ':';
    rule.push_back(dashes);
  }
  lines.insert(lines.begin() + 1, rule);

  std::string out;
  for (const auto& line : lines) {
    std::string text = markdown ? fmt::format("| {} |", join(line, " | ")) : join(line, "  ");
    while (text.ends_with(' ')) text.pop_back();
    out += text;
    out += '\n';
  }
  return out;
}

std::vector<size_t> keyed_columns(const Table& table) {
  std::vector<size_t> columns;
  for (size_t c = 0; c < table.columns.size(); ++c)
    if (!table.columns[c].key.empty()) columns.push_back(c);
  return columns;
}

// RFC 4180: lines end in CR LF; a field with a comma, quote or line break is quoted, quotes in it doubled.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string write_csv(const Table& table) {
  const auto columns = keyed_columns(table);
  std::vector<std::string> fields;
  for (const size_t c : columns) fields.push_back(csv_field(table.columns[c].key));
  std::string out = join(fields, ",") + "\r\n";
  for (const auto& row : table.rows) {
    for (size_t f = 0; f < columns.size(); ++f) fields[f] = csv_field(plain(row[columns[f]].value));
    out += join(fields, ",") + "\r\n";
  }
  return out;
}

ordered_json row_object(const Table& table, const std::vector<Cell>& row) {
  ordered_json object = ordered_json::object();
  for (const size_t c : keyed_columns(table)) object[table.columns[c].key] = to_json(row[c].value);
  return object;
}

std::string write_json(const Table& table) {
  ordered_json rows = ordered_json::array();
  for (const auto& row : table.rows) rows.push_back(row_object(table, row));
  return rows.dump(2) + "\n";
}

std::string write_jsonl(const Table& table) {
  std::string out;
  for (const auto& row : table.rows) out += row_object(table, row).dump() + "\n";
  return out;
}

std::string sql_quoted(const std::string& text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    if (c != '\0') out += c;  // no dialect takes NUL in a literal
  }
  return out + quote;
}

std::string sql_literal(const Value& value) {
  if (is_nothing(value)) return "NULL";
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "1" : "0";
  return std::holds_alternative<std::string>(value) ? sql_quoted(plain(value), '\'') : plain(value);
}

std::string sql_type(const Table& table, size_t column) {
  bool integers = true, any = false;
  for (const auto& row : table.rows) {
    const Value& value = row[column].value;
    if (is_nothing(value)) continue;
    if (std::holds_alternative<std::string>(value)) return "TEXT";
    integers = integers && !std::holds_alternative<double>(value);
    any = true;
  }
  if (!any) return table.columns[column].number ? "REAL" : "TEXT";
  return integers ? "INTEGER" : "REAL";
}

std::string write_sql(const Table& table) {
  const auto columns = keyed_columns(table);
  const std::string name = sql_quoted(table.name, '"');
  std::vector<std::string> names, declarations, literals(columns.size());
  for (const size_t c : columns) {
    names.push_back(sql_quoted(table.columns[c].key, '"'));
    declarations.push_back(fmt::format("  {} {}", names.back(), sql_type(table, c)));
  }
  std::string out = fmt::format("CREATE TABLE IF NOT EXISTS {} (\n{}\n);\n", name, join(declarations, ",\n"));
  for (const auto& row : table.rows) {
    for (size_t f = 0; f < columns.size(); ++f) literals[f] = sql_literal(row[columns[f]].value);
    out += fmt::format("INSERT INTO {} ({}) VALUES ({});\n", name, join(names), join(literals));
  }
  return out;
}

}  // namespace

ordered_json to_json(const Value& value) {
  if (is_nothing(value)) return nullptr;
  return std::visit(
      [](const auto& v) -> ordered_json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>)
          return nullptr;
        else if constexpr (std::is_same_v<T, std::string>)
          return clean_utf8(v);
        else
          return v;
      },
      value);
}

Format parse_format(std::string_view name) {
  constexpr std::pair<std::string_view, Format> kFormats[] = {{"text", Format::kText},   {"md", Format::kMarkdown},
                                                              {"csv", Format::kCsv},     {"json", Format::kJson},
                                                              {"jsonl", Format::kJsonl}, {"sql", Format::kSql}};
  std::vector<std::string_view> names;
  for (const auto& [known, format] : kFormats) {
    if (name == known) return format;
    names.push_back(known);
  }
  throw Error(
      fmt::format("-o: no format \"{}\"; there are: {}{}", printable(name), join(names), did_you_mean(name, names)));
}

std::string write_table(const Table& table, Format format) {
  switch (format) {
    case Format::kText:
      return write_aligned(table, false);
    case Format::kMarkdown:
      return write_aligned(table, true);
    case Format::kCsv:
      return write_csv(table);
    case Format::kJson:
      return write_json(table);
    case Format::kJsonl:
      return write_jsonl(table);
    case Format::kSql:
      return write_sql(table);
  }
  return {};
}

}  // namespace sluice
