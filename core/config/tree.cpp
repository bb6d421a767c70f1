// See tree.h. Reads with toml++ and writes TOML by hand, a comment per value.
#include "core/config/tree.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/config/toml_depth.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kFileLimit = 256 << 10;
constexpr size_t kNestingLimit = 32;  // tables in tables; the parts of a key
constexpr size_t kKeyLimit = 4096;    // of a file with all that it extends
constexpr size_t kDepthLimit = 32;
constexpr size_t kExtendLimit = 64;  // files that extend two others each would otherwise be read 2^depth times

// Turns toml++'s nodes into ours. `origin` is the file, or "--set KEY" whose values share one place.
struct Converter {
  std::string origin;
  fs::path folder;
  bool override_ = false;
  Mistakes& mistakes;

  Place place(const toml::source_region& source) const {
    if (override_) return {origin, folder};
    return {fmt::format("{}:{}:{}", origin, source.begin.line, source.begin.column), folder};
  }

  Table table(const toml::table& from) const {
    Table to;
    std::vector<std::pair<const toml::key*, const toml::node*>> order;
    for (const auto& [key, node] : from) order.emplace_back(&key, &node);
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      const auto &x = a.first->source().begin, &y = b.first->source().begin;
      return std::pair(x.line, x.column) < std::pair(y.line, y.column);
    });
    for (const auto& [key, node] : order) {
      // In sweeps, dots within quotes lead into tables as well.
      if (std::count(key->str().begin(), key->str().end(), '.') >= std::ptrdiff_t(kNestingLimit))
        mistakes.add(place(key->source()), fmt::format("a key of more than {} parts", kNestingLimit));
      else
        to.set(std::string(key->str()), place(key->source()), convert(*node));
    }
    return to;
  }

  Node convert(const toml::node& from) const {
    Node to;
    to.place = place(from.source());
    if (const auto* b = from.as_boolean()) {
      to.value = b->get();
    } else if (const auto* i = from.as_integer()) {
      to.value = i->get();
    } else if (const auto* f = from.as_floating_point()) {
      to.value = f->get();
    } else if (const auto* s = from.as_string()) {
      to.value = s->get();
    } else if (const auto* t = from.as_table()) {
      to.value = table(*t);
    } else if (const auto* a = from.as_array()) {
      std::vector<Node> list;
      for (const toml::node& element : *a) list.push_back(convert(element));
      to.value = std::move(list);
    } else {
      mistakes.add(to.place, "no key takes a date or a time; quote it if it is meant as text");
      to.value = std::string();
    }
    return to;
  }
};

// As toml::parse, but text that nests too deep is refused before a table is made of it.
toml::table parse_toml(std::string_view text, const std::string& origin = {}) {
  if (const auto deep = deeper_than(text, kNestingLimit))
    throw toml::parse_error(fmt::format("nests deeper than {} levels", kNestingLimit).c_str(),
                            toml::source_position{deep->line, deep->column});
  return toml::parse(text, std::string_view(origin));
}

size_t keys_in(const Node& node);
size_t keys_in(const Table& table) {
  size_t keys = table.entries.size();
  for (const Table::Entry& entry : table.entries) keys += keys_in(entry.node);
  return keys;
}
size_t keys_in(const Node& node) {
  if (const Table* table = node.table()) return keys_in(*table);
  size_t keys = 0;
  if (const auto* list = node.array())
    for (const Node& element : *list) keys += keys_in(element);
  return keys;
}

std::string key_text(std::string_view key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string(key) : toml_text(key);
}

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

// A hint at another configuration beside a file that does not exist.
std::string similar_file(const fs::path& file) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(file.parent_path().empty() ? "." : file.parent_path(), error), end;
       !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".toml") names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());  // of equally near ones always the same
  const std::string name = file.filename().string();
  if (std::find(names.begin(), names.end(), name + ".toml") != names.end())
    return fmt::format(" (did you mean \"{}.toml\"?)", printable(name));
  return did_you_mean(name, names);
}

// Follows `extends` with the chain of files that led here.
struct Reader {
  Mistakes& mistakes;
  std::vector<fs::path> chain;        // canonical
  std::vector<std::string> readable;  // the same as the user wrote them
  size_t extends_followed = 0;        // repetitions included
  size_t keys_read = 0;               // of all files

  FileLayers layers(const fs::path& file) {
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(file, error);
    chain.push_back(error ? file : canonical);
    readable.push_back(printable(file.string(), 500));
    FileLayers result;
    result.own = read_table(file, mistakes);
    const bool fits = keys_read <= kKeyLimit;
    keys_read += keys_in(result.own);
    if (keys_read > kKeyLimit) {
      if (fits) mistakes.add({file.string()}, fmt::format("holds more than {} keys, with what it extends", kKeyLimit));
      result.own = {};
    }
    if (const Node* extends = result.own.find("extends")) {
      result.base = extended(*extends);
      result.own.erase("extends");
    }
    chain.pop_back();
    readable.pop_back();
    return result;
  }

  Table extended(const Node& extends) {
    Table base;
    if (extends.array()) {
      for (const Node& element : *extends.array()) add(element, base);
    } else {
      add(extends, base);
    }
    return base;
  }

  void add(const Node& element, Table& base) {
    if (extends_followed > kExtendLimit) return;  // said already
    if (++extends_followed > kExtendLimit) {
      mistakes.add(element.place, fmt::format("extends brings in more than {} files, counting one again each time it "
                                              "is extended",
                                              kExtendLimit));
      return;
    }
    const std::string* name = element.text();
    if (!name || name->empty()) {
      mistakes.add(element.place, fmt::format("extends takes a file or an array of files, not {}", found(element)));
      return;
    }
    const fs::path file = (element.place.folder / *name).lexically_normal();
    const std::string shown = printable(file.string(), 500);
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(file, error);
    const auto again = std::find(chain.begin(), chain.end(), canonical);
    if (again != chain.end()) {
      const std::vector<std::string> loop(readable.begin() + (again - chain.begin()), readable.end());
      mistakes.add(element.place, fmt::format("extends goes in a circle: {} -> {}", join(loop, " -> "), shown));
      return;
    }
    if (chain.size() >= kDepthLimit) {
      mistakes.add(element.place, fmt::format("extends is more than {} files deep", kDepthLimit));
      return;
    }
    const fs::file_type type = fs::status(file, error).type();
    if (type == fs::file_type::not_found) {
      mistakes.add(element.place, fmt::format("extends {}, which does not exist{}", shown, similar_file(file)));
      return;
    }
    // A pipe or a terminal would be waited for.
    if (type != fs::file_type::regular) {
      mistakes.add(element.place, fmt::format("extends {}, which is no file", shown));
      return;
    }
    Table merged = layers(file).merged();
    merged.erase("name");
    merge(base, merged);
  }
};

void write_values(const Table& table, bool comment, const std::string& path, std::string& out);

void write_section(const Table& table, bool comment, const std::string& path, const char* open, const char* close,
                   std::string& out) {
  if (!out.empty()) out += '\n';
  out += fmt::format("{}{}{}\n", open, path, close);
  write_values(table, comment, path, out);
}

bool array_of_tables(const Node& node) {
  const auto* list = node.array();
  return list && !list->empty() && std::all_of(list->begin(), list->end(), [](const Node& n) { return n.table(); });
}

void write_values(const Table& table, bool comment, const std::string& path, std::string& out) {
  for (const Table::Entry& entry : table.entries) {
    if (entry.node.table() || array_of_tables(entry.node)) continue;
    std::string line = fmt::format("{} = {}", key_text(entry.key), write_value(entry.node));
    if (comment && !entry.node.place.text.empty()) line = fmt::format("{:<32}  # {}", line, entry.node.place.text);
    out += line + '\n';
  }
  for (const Table::Entry& entry : table.entries) {
    const std::string inner = path.empty() ? key_text(entry.key) : path + "." + key_text(entry.key);
    if (const Table* section = entry.node.table()) {
      write_section(*section, comment, inner, "[", "]", out);
    } else if (array_of_tables(entry.node)) {
      for (const Node& element : *entry.node.array()) write_section(*element.table(), comment, inner, "[[", "]]", out);
    }
  }
}

}  // namespace

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

const Node* Table::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.node;
  }
  return nullptr;
}

Node* Table::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

void Table::set(std::string key, Place key_place, Node value) {
  for (Entry& entry : entries) {
    if (entry.key != key) continue;
    entry.key_place = std::move(key_place);
    entry.node = std::move(value);
    return;
  }
  entries.push_back({std::move(key), std::move(key_place), std::move(value)});
}

void Table::erase(std::string_view key) {
  std::erase_if(entries, [&](const Entry& entry) { return entry.key == key; });
}

Scalar Node::as_scalar() const {
  if (const bool* b = std::get_if<bool>(&value)) return *b;
  if (const int64_t* i = std::get_if<int64_t>(&value)) return *i;
  if (const double* f = std::get_if<double>(&value)) return *f;
  return std::get<std::string>(value);
}

std::string found(const Node& node) {
  if (const std::string* text = node.text()) return fmt::format("the string \"{}\"", printable(*text));
  if (std::holds_alternative<int64_t>(node.value)) return write_value(node);
  if (std::holds_alternative<double>(node.value)) return write_value(node);
  if (std::holds_alternative<bool>(node.value)) return write_value(node);
  return node.table() ? "a table" : "an array";
}

Table read_table(const fs::path& file, Mistakes& mistakes) {
  std::string text;
  try {
    text = read_file(file, kFileLimit);
  } catch (const Error& error) {
    std::error_code unknown;
    mistakes.add_lines(error.what() + (fs::exists(file, unknown) ? "" : similar_file(file)));
    return {};
  }
  const Converter converter{file.string(), file.parent_path(), false, mistakes};
  try {
    return converter.table(parse_toml(text, converter.origin));
  } catch (const toml::parse_error& error) {
    mistakes.add(converter.place(error.source()), printable(error.description(), 500));  // it quotes the file
    return {};
  }
}

Table read_override(std::string_view text, Mistakes& mistakes) {
  const size_t equals = text.find('=');
  const std::string key(text.substr(0, equals));
  const Place place{"--set " + printable(key), {}};
  const Converter converter{place.text, {}, true, mistakes};
  const auto parse = [](const std::string& line) -> std::optional<toml::table> {
    try {
      return parse_toml(line);
    } catch (const toml::parse_error&) {
      return std::nullopt;
    }
  };
  if (equals == std::string_view::npos || key.find_first_of("#\n\r") != std::string::npos || !parse(key + " = 0")) {
    mistakes.add({"--set " + printable(text), {}}, "is not of the form KEY=VALUE, such as cache.budget=20%");
    return {};
  }
  const std::string value(text.substr(equals + 1));
  std::optional<toml::table> parsed;
  // A comment or a second line would swallow part of what was typed; such values are text.
  if (value.find_first_of("\n\r") == std::string::npos) parsed = parse(key + " = " + value);
  const auto is_plain = [](const toml::table& table) {
    const toml::node* node = &table;
    while (const toml::table* inner = node->as_table()) {
      if (inner->size() != 1) return false;
      node = &inner->begin()->second;
    }
    return !node->is_date() && !node->is_time() && !node->is_date_time();
  };
  const bool has_comment = value.find('#') != std::string::npos && value.find_first_of("\"'") == std::string::npos;
  const bool inline_table = value.find('{') != std::string::npos;
  if (!parsed || has_comment || (!inline_table && !is_plain(*parsed))) parsed = parse(key + " = " + toml_text(value));
  if (!parsed) {
    mistakes.add(place, "its value is not text that TOML can hold");
    return {};
  }
  return converter.table(*parsed);
}

Table read_pairs(std::string_view text, const std::string& origin, Mistakes& mistakes) {
  const Converter converter{origin, {}, true, mistakes};
  try {
    // A line break would let the text leave the braces.
    if (text.find_first_of("\n\r") != std::string_view::npos) throw std::invalid_argument("it has several lines");
    const toml::table parsed = parse_toml(fmt::format("pairs = {{ {} }}", text));
    const toml::table* pairs = parsed["pairs"].as_table();
    if (!pairs || parsed.size() != 1) throw std::invalid_argument("it is more than one table");
    return converter.table(*pairs);
  } catch (const std::exception& error) {
    mistakes.add({origin, {}}, fmt::format("\"{}\" is not of the form \"recent = 4, decay = 0.5\": {}", printable(text),
                                           printable(error.what(), 500)));
    return {};
  }
}

void merge(Table& earlier, const Table& later) {
  for (const Table::Entry& entry : later.entries) {
    Node* old = earlier.find(entry.key);
    const Table* later_table = entry.node.table();
    if (!old || !old->table() || !later_table) {
      earlier.set(entry.key, entry.key_place, entry.node);
      continue;
    }
    const Node* old_name = old->table()->find("name");
    const Node* new_name = later_table->find("name");
    if (old_name && new_name && old_name->value.index() == new_name->value.index() && old_name->text() &&
        *old_name->text() != *new_name->text()) {
      *old = entry.node;
      continue;
    }
    merge(*old->table(), *later_table);
    old->place = entry.node.place;
  }
}

Table FileLayers::merged() const {
  Table all = base;
  merge(all, own);
  return all;
}

FileLayers read_layers(const fs::path& file, Mistakes& mistakes) { return Reader{mistakes, {}, {}}.layers(file); }

Table read_extended(const Node& extends, Mistakes& mistakes) { return Reader{mistakes, {}, {}}.extended(extends); }

void set_path(Table& table, std::string_view path, const Node& value) {
  const size_t dot = path.find('.');
  const std::string key(path.substr(0, dot));
  if (dot == std::string_view::npos) {
    table.set(key, value.place, value);
    return;
  }
  Node* inner = table.find(key);
  if (!inner || !inner->table()) {
    table.set(key, value.place, Node{Table{}, value.place});
    inner = table.find(key);
  }
  set_path(*inner->table(), path.substr(dot + 1), value);
}

std::string write_value(const Node& node) {
  if (const bool* b = std::get_if<bool>(&node.value)) return *b ? "true" : "false";
  if (const int64_t* i = std::get_if<int64_t>(&node.value)) return fmt::format("{}", *i);
  if (const double* f = std::get_if<double>(&node.value)) return number_text(*f);
  if (const std::string* text = node.text()) return toml_text(*text);
  std::vector<std::string> parts;
  if (const auto* list = node.array()) {
    for (const Node& element : *list) parts.push_back(write_value(element));
    return "[" + join(parts) + "]";
  }
  for (const Table::Entry& entry : node.table()->entries) {
    parts.push_back(fmt::format("{} = {}", key_text(entry.key), write_value(entry.node)));
  }
  return "{ " + join(parts) + " }";
}

std::string write_table(const Table& table, bool comment) {
  std::string out;
  write_values(table, comment, "", out);
  return out;
}

}  // namespace sluice
