// See records.h.
#include "core/tasks/records.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_file.h"
#include "core/base/text.h"

namespace sluice {
namespace {

constexpr uint64_t kFileLimit = uint64_t(1) << 30;
constexpr int kDepthLimit = 16;  // of lists and objects in a record

std::string kind_of(const nlohmann::ordered_json& value) {
  return value.is_object() ? "an object" : value.is_array() ? "a list" : std::string(value.type_name());
}

// Splits RFC 4180 text into fields, counting lines.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  bool more() const { return at_ < text_.size(); }
  uint32_t line() const { return line_; }

  std::vector<std::string> record() {
    std::vector<std::string> fields;
    do fields.push_back(field());
    while (take(','));
    take('\r');
    if (more() && !take('\n')) fail(line_, fmt::format("found \"{}\" after a closing quote", next()));
    ++line_;
    return fields;
  }

 private:
  [[noreturn]] void fail(uint32_t line, const std::string& what) const {
    throw Error(fmt::format("{}:{}: {}; a quote within quotes is written twice", origin_, line, what));
  }
  std::string next() const { return printable(whole_characters(text_.substr(at_), 12)); }
  bool take(char c) {
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string field() {
    if (!take('"')) {
      const size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
      const std::string plain(text_.substr(at_, end - at_));
      at_ = end;
      return plain;
    }
    const uint32_t begin = line_;
    std::string quoted;
    for (;; ++at_) {
      if (!more()) fail(begin, "a quoted field never ends");
      if (text_[at_] == '"') {
        ++at_;
        if (!more() || text_[at_] != '"') return quoted;
      }
      line_ += text_[at_] == '\n';
      quoted += text_[at_];
    }
  }

  std::string_view text_;
  const std::string& origin_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

void add_column(nlohmann::ordered_json& fields, const std::string& name, bool list, std::string value) {
  if (list)
    fields[name].push_back(std::move(value));
  else
    fields[name] = std::move(value);
}

}  // namespace

std::vector<Record> parse_jsonl(std::string_view text, const std::string& origin) {
  std::vector<Record> records;
  uint32_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = fmt::format("{}:{}", origin, number);
    const auto guard = [&](int depth, nlohmann::ordered_json::parse_event_t, nlohmann::ordered_json&) {
      if (depth > kDepthLimit) throw Error(fmt::format("{}: nests deeper than {} levels", place, kDepthLimit));
      return true;
    };
    nlohmann::ordered_json fields;
    try {
      fields = nlohmann::ordered_json::parse(line, guard);
    } catch (const nlohmann::json::exception& error) {
      throw Error(fmt::format("{}: is not valid JSON: {}", place, json_complaint(error.what())));
    }
    if (!fields.is_object()) throw Error(fmt::format("{}: found {}; a record is an object", place, kind_of(fields)));
    records.push_back({std::move(fields), number, place});
  }
  return records;
}

std::vector<Record> read_jsonl(const std::filesystem::path& file) {
  return parse_jsonl(read_file(file, kFileLimit), file.string());
}

std::vector<Record> read_json_list(const std::filesystem::path& file, std::string_view list) {
  nlohmann::ordered_json all = read_ordered_json_file(file, kFileLimit, kDepthLimit);
  nlohmann::ordered_json* items = &all;
  if (!list.empty()) {
    if (!all.is_object() || !all.contains(list))
      throw Error(fmt::format("{}: has no list \"{}\"; found {}", file.string(), list, kind_of(all)));
    items = &all[std::string(list)];
  }
  if (!items->is_array())
    throw Error(fmt::format("{}: {} is {}, not a list", file.string(), list.empty() ? "it" : list, kind_of(*items)));
  std::vector<Record> records;
  for (nlohmann::ordered_json& item : *items) {
    const std::string place = fmt::format("{}: {}[{}]", file.string(), list, records.size());
    if (!item.is_object()) throw Error(fmt::format("{}: found {}; a record is an object", place, kind_of(item)));
    records.push_back({std::move(item), 0, place});
  }
  return records;
}

std::vector<Record> parse_csv(std::string_view text, const std::string& origin,
                              const std::vector<std::string>& columns) {
  if (!valid_utf8(text)) throw Error(fmt::format("{}: is not UTF-8 text", origin));
  std::vector<Record> records;
  CsvReader reader(text, origin);
  while (reader.more()) {
    const uint32_t line = reader.line();
    std::vector<std::string> fields = reader.record();
    if (fields.size() == 1 && fields[0].empty()) continue;
    const std::string place = fmt::format("{}:{}", origin, line);
    if (fields.size() != columns.size())
      throw Error(
          fmt::format("{}: a record of {} fields, not {} ({})", place, fields.size(), columns.size(), join(columns)));
    Record& record = records.emplace_back(Record{nlohmann::ordered_json::object(), line, place});
    for (size_t i = 0; i < columns.size(); ++i)
      add_column(record.fields, columns[i], std::count(columns.begin(), columns.end(), columns[i]) > 1,
                 std::move(fields[i]));
  }
  return records;
}

std::vector<Record> read_csv(const std::filesystem::path& file, const std::vector<std::string>& columns) {
  return parse_csv(read_file(file, kFileLimit), file.string(), columns);
}

}  // namespace sluice
