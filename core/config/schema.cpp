// See schema.h: the table of keys, and what their types take.
#include "core/config/schema.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "core/base/text.h"

namespace sluice {
namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();
constexpr double kMax32 = 4294967295.0;

uint32_t u32(const Node& node) { return uint32_t(std::get<int64_t>(node.value)); }
const std::string& text(const Node& node) { return std::get<std::string>(node.value); }
bool is(const Node& node, std::string_view choice) { return text(node) == choice; }
double real(const Node& node) {
  const int64_t* integer = std::get_if<int64_t>(&node.value);
  return integer ? double(*integer) : std::get<double>(node.value);
}
// An array of strings, or one string.
std::vector<const Node*> items(const Node& node) {
  std::vector<const Node*> list;
  if (!node.array()) return {&node};
  for (const Node& item : *node.array()) list.push_back(&item);
  return list;
}

// clang-format off
constexpr Section kSections[] = {
    {"", "The file itself."},
    {"model", "What is run."},
    {"backend", "What it is run on. Other keys belong to the backend.", true},
    {"plugins", "Where plugins are looked for, and how long they may take."},
    {"cache", "When and how much is evicted and encoded."},
    {"evictor", "Which tokens stay; without this table all do. Other keys belong to the evictor.", true},
    {"codec", "How rows of K and V are stored; without this table as F16. Other keys belong to the codec. "
              "[codec.key] and [codec.value] override it for one side, with a codec of their own or other values.", true},
    {"layers", "[[layers]] overrides evictor and codec for a range of layers by its own [layers.evictor] and [layers.codec]."},
    {"sampler", "How the next token is chosen."},
    {"eval", "What `sluice eval` evaluates, and how; its options win. Configurations of one run agree on it."},
    {"sweep", "Several policies in one file: keys with arrays of values give all their combinations, [[sweep.variant]] "
              "gives named rows with keys of their own or `extends`."},
};

constexpr Key kKeys[] = {
    {"name", KeyType::kText, "", 0, 0, false, "", "what tables call this policy; the file's name by default, never inherited",
     [](Config& c, const Node& n) { c.name = text(n); }},
    {"extends", KeyType::kPaths, "", 0, 0, false, "", "files that this one builds on, merged table by table; later ones and the file's own keys win. A table that names another module starts afresh",
     [](Config&, const Node&) {}},

    {"model.path", KeyType::kText, "", 0, 0, false, "", "a GGUF file, a Hugging Face folder, or a name in the model cache ($SLUICE_MODELS, else ~/.cache/sluice/models)",
     [](Config& c, const Node& n) { c.model = text(n); c.model_place = n.place; }},
    {"model.context", KeyType::kInteger, "4096", 1, 1 << 26, false, "", "the most tokens of a sequence",
     [](Config& c, const Node& n) { c.context = u32(n); }},

    {"backend.name", KeyType::kText, "\"cpu\"", 0, 0, false, "", "the backend",
     [](Config& c, const Node& n) { c.backend.name = text(n); }},

    {"plugins.path", KeyType::kPaths, "", 0, 0, false, "", "folders with *.sluice.so, searched before $SLUICE_PLUGIN_PATH, the program's own and the installed folder",
     [](Config& c, const Node& n) { c.plugin_path.clear(); for (const Node* item : items(n)) c.plugin_path.push_back(std::filesystem::absolute(resolve_path(text(*item), item->place)).lexically_normal()); }},
    {"plugins.limit", KeyType::kInteger, "60", 0, 1 << 20, false, "", "seconds after which a call into a plugin that has not returned ends the run, with the results that are finished; 0: never; of several configurations in one run the longest counts",
     [](Config& c, const Node& n) { c.plugin_limit = u32(n); }},

    {"cache.budget", KeyType::kBudget, "", 0, 0, false, "", "the most tokens a lane keeps between evictions: a count, a share of the run's tokens, or as many as fit into so many bytes of K and V rows per sequence (what is kept beside the rows comes on top); needed by an evictor",
     [](Config& c, const Node& n) { c.cache.budget = parse_budget(n); }},
    {"cache.interval", KeyType::kInteger, "16", 1, 1 << 20, false, "", "steps between evictions; 1 is the papers' rule",
     [](Config& c, const Node& n) { c.cache.interval = u32(n); }},
    {"cache.prefill", KeyType::kChoice, "\"exact\"", 0, 0, false, "exact|chunked", "a prompt attends to its own exact rows, or chunk by chunk to the compressed form of earlier chunks",
     [](Config& c, const Node& n) { c.cache.chunked = is(n, "chunked"); }},
    {"cache.chunk", KeyType::kInteger, "256", 1, 1 << 20, false, "", "rows of a chunk with prefill = \"chunked\"",
     [](Config& c, const Node& n) { c.cache.chunk = u32(n); }},
    {"cache.granularity", KeyType::kChoice, "\"head\"", 0, 0, false, "head|layer", "an evictor decides for each kv head, or for all of a layer together",
     [](Config& c, const Node& n) { c.cache.layer_granularity = is(n, "layer"); }},
    {"cache.compact", KeyType::kNumber, "0.75", 0, 1, true, "", "a block is compacted when less than this share of its rows lives; 1.0: at once",
     [](Config& c, const Node& n) { c.cache.compact = real(n); }},
    {"cache.positions", KeyType::kChoice, "\"absolute\"", 0, 0, false, "absolute|rolling", "positions as in the text, or by rank among the tokens kept: then a text may be longer than the model's context, as long as what is kept fits; needs an evictor that reads no rows, and K in F16",
     [](Config& c, const Node& n) { c.cache.rolling = is(n, "rolling"); }},
    {"cache.prefix", KeyType::kChoice, "\"exact\"", 0, 0, false, "exact", "sequences share a common prefix as exact rows, identical to a run without sharing; no command of this version shares one",
     [](Config&, const Node&) {}, "compressed"},

    {"evictor.name", KeyType::kText, "", 0, 0, false, "", "the evictor; \"none\" keeps all tokens, also where an extended file says otherwise",
     [](Config&, const Node&) {}},
    {"codec.name", KeyType::kText, "", 0, 0, false, "", "the codec; \"none\" stores F16, also where an extended file says otherwise",
     [](Config&, const Node&) {}},
    {"layers.range", KeyType::kText, "", 0, 0, false, "", "\"0-1\", or one layer: \"5\" or 5",
     [](Config&, const Node&) {}},

    {"sampler.temperature", KeyType::kNumber, "0.0", 0, 100, false, "", "0: always the likeliest token",
     [](Config& c, const Node& n) { c.sampler.temperature = real(n); }},
    {"sampler.top_k", KeyType::kInteger, "0", 0, 1 << 24, false, "", "only the k likeliest tokens; 0: all",
     [](Config& c, const Node& n) { c.sampler.top_k = u32(n); }},
    {"sampler.top_p", KeyType::kNumber, "1.0", 0, 1, true, "", "only the likeliest tokens that together reach this probability",
     [](Config& c, const Node& n) { c.sampler.top_p = real(n); }},
    {"sampler.min_p", KeyType::kNumber, "0.0", 0, 1, false, "", "only tokens with at least this share of the likeliest one's probability",
     [](Config& c, const Node& n) { c.sampler.min_p = real(n); }},
    {"sampler.seed", KeyType::kInteger, "0", 0, kAny, false, "", "of the random numbers; equal seeds give equal texts",
     [](Config& c, const Node& n) { c.sampler.seed = uint64_t(std::get<int64_t>(n.value)); }},

    {"eval.tasks", KeyType::kTexts, "", 0, 0, false, "", "names of tasks",
     [](Config& c, const Node& n) { c.eval.tasks.clear(); for (const Node* item : items(n)) c.eval.tasks.push_back(text(*item)); }},
    {"eval.protocol", KeyType::kChoice, "\"lm-eval\"", 0, 0, false, "lm-eval|gear", "whose prompts and scoring rules: lm-eval takes tasks by their names, gear the task gear_NAME for each NAME",
     [](Config& c, const Node& n) { c.eval.protocol = text(n); }},
    {"eval.data", KeyType::kPath, "", 0, 0, false, "", "the folder with the tasks' data",
     [](Config& c, const Node& n) { c.eval.data = std::filesystem::absolute(resolve_path(text(n), n.place)).lexically_normal(); }},
    {"eval.limit", KeyType::kInteger, "0", 0, kMax32, false, "", "samples of each task; 0: all",
     [](Config& c, const Node& n) { c.eval.limit = u32(n); }},
    {"eval.batch", KeyType::kInteger, "0", 0, 65536, false, "", "sequences decoded together; 0: as many as memory allows, up to 16",
     [](Config& c, const Node& n) { c.eval.batch = u32(n); }},
    {"eval.score_window", KeyType::kInteger, "32", 1, 1 << 20, false, "", "newest tokens of a prompt that are decoded through the compressed cache before a continuation is scored",
     [](Config& c, const Node& n) { c.eval.score_window = u32(n); }},
};
// clang-format on

std::string bound(const Key& key, double value) {
  return key.type == KeyType::kInteger ? fmt::format("{}", int64_t(value)) : fmt::format("{}", value);
}

std::string range_text(const Key& key) {
  const bool low = std::isfinite(key.low), high = std::isfinite(key.high);
  if (!low && !high) return "";
  if (key.above_low)
    return fmt::format(" above {}{}", bound(key, key.low), high ? ", at most " + bound(key, key.high) : "");
  if (!high) return fmt::format(", at least {}", bound(key, key.low));
  return fmt::format(" from {} to {}", bound(key, key.low), bound(key, key.high));
}

bool in_range(const Key& key, double value) {
  return value <= key.high && (key.above_low ? value > key.low : value >= key.low);
}

bool all_text(const Node& node) {
  if (!node.array()) return node.text();
  for (const Node& item : *node.array()) {
    if (!item.text()) return false;
  }
  return true;
}

bool fits(const Key& key, const Node& node) {
  switch (key.type) {
    case KeyType::kBool:
      return std::holds_alternative<bool>(node.value);
    case KeyType::kInteger: {
      const int64_t* value = std::get_if<int64_t>(&node.value);
      return value && in_range(key, double(*value));
    }
    case KeyType::kNumber: {
      const bool number = std::holds_alternative<int64_t>(node.value) || std::holds_alternative<double>(node.value);
      return number && in_range(key, real(node));  // NaN is in no range
    }
    case KeyType::kText:
    case KeyType::kPath:
      return node.text();
    case KeyType::kChoice: {
      if (!node.text()) return false;
      for (const std::string_view choice : split(key.choices, '|')) {
        if (choice == *node.text()) return true;
      }
      return false;
    }
    case KeyType::kTexts:
    case KeyType::kPaths:
      return all_text(node);
    case KeyType::kBudget:
      return parse_budget(node).has_value();
  }
  return false;
}

}  // namespace

std::span<const Key> schema_keys() { return kKeys; }
std::span<const Section> schema_sections() { return kSections; }

const Key* find_key(std::string_view path) {
  for (const Key& key : kKeys) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

std::string describe_key_type(const Key& key) {
  switch (key.type) {
    case KeyType::kBool:
      return "true or false";
    case KeyType::kInteger:
      return "an integer" + range_text(key);
    case KeyType::kNumber:
      return "a number" + range_text(key);
    case KeyType::kText:
      return "a string";
    case KeyType::kPath:
      return "a path";
    case KeyType::kChoice: {
      std::vector<std::string> quoted;
      for (const std::string_view choice : split(key.choices, '|')) quoted.push_back(fmt::format("\"{}\"", choice));
      return join(quoted, " or ") +
             (key.later.empty() ? "" : fmt::format(" (\"{}\" is not in this version)", key.later));
    }
    case KeyType::kTexts:
      return "an array of strings";
    case KeyType::kPaths:
      return "a path or an array of paths";
    case KeyType::kBudget:
      return "tokens (1024; at least 1), a share (\"20%\"; above 0, at most 100%) or bytes (\"64MiB\")";
  }
  return "";
}

std::string check_value(const Key& key, const Node& node) {
  if (fits(key, node)) return "";
  if (node.text() && !key.later.empty() && *node.text() == key.later)
    return fmt::format("\"{}\" is not in this version; there is {}", key.later, key.choices);
  std::string message = fmt::format("takes {}, not {}", describe_key_type(key), found(node));
  if (key.type == KeyType::kChoice && node.text()) message += did_you_mean(*node.text(), split(key.choices, '|'));
  if (key.type == KeyType::kBudget) {
    const double* share = std::get_if<double>(&node.value);
    if (share && *share > 0 && *share <= 1) message += fmt::format(" (did you mean \"{:g}%\"?)", *share * 100);
  }
  return message;
}

std::optional<int64_t> parse_share(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  text.remove_suffix(1);
  const size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot), part = dot == text.npos ? "" : text.substr(dot + 1);
  if (whole.empty() || whole.size() > 3 || part.size() > 2 || (dot != text.npos && part.empty())) return std::nullopt;
  int64_t value = 0;
  for (const char c : std::string(whole) + std::string(part) + std::string(2 - part.size(), '0')) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (value > 10000) return std::nullopt;
  return value;
}

std::optional<Budget> parse_budget(const Node& node) {
  if (const int64_t* tokens = std::get_if<int64_t>(&node.value)) {
    if (*tokens < 1 || *tokens > int64_t(kMax32)) return std::nullopt;
    return Budget{Budget::Unit::kTokens, double(*tokens), node.place};
  }
  const std::string* given = node.text();
  if (!given) return std::nullopt;
  if (const auto share = parse_share(*given)) {
    if (*share == 0) return std::nullopt;
    return Budget{Budget::Unit::kShare, double(*share) / 10000, node.place};
  }
  struct Unit {
    std::string_view suffix;
    double bytes;
  };
  static constexpr Unit kUnits[] = {{"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"kB", 1e3},
                                    {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},    {"B", 1}};
  for (const Unit& unit : kUnits) {
    std::string_view number = *given;
    if (!number.ends_with(unit.suffix)) continue;
    number.remove_suffix(unit.suffix.size());
    while (number.ends_with(' ')) number.remove_suffix(1);
    double amount = 0;
    const char* end = number.data() + number.size();
    const auto [rest, error] = std::from_chars(number.data(), end, amount, std::chars_format::fixed);
    if (number.empty() || error != std::errc() || rest != end) return std::nullopt;
    const double bytes = std::floor(amount * unit.bytes);
    if (!(bytes >= 1) || bytes > 0x1p62) return std::nullopt;
    return Budget{Budget::Unit::kBytes, bytes, node.place};
  }
  return std::nullopt;
}

std::filesystem::path resolve_path(const std::string& path, const Place& place) {
  if (path == "~" || path.starts_with("~/")) {
    if (const char* home = std::getenv("HOME")) return std::filesystem::path(home + path.substr(1)).lexically_normal();
  }
  return (place.folder / path).lexically_normal();
}

}  // namespace sluice
