// The side files, in the order in which Hugging Face lets one override the other.
#include "core/tokenizer/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_file.h"
#include "core/base/text.h"

namespace sluice {
namespace {

using nlohmann::json;

// Far above what models come with; as JSON values it takes some twenty times as much memory.
constexpr uint64_t kLargestFile = uint64_t(4) << 20;
constexpr int kMostLevels = 32;

struct SideFile {
  std::filesystem::path path;
  json content;

  explicit SideFile(const std::filesystem::path& path_of) : path(path_of), content(json::object()) {
    if (!std::filesystem::exists(path)) return;
    content = read_json_file(path, kLargestFile, kMostLevels);
    if (!content.is_object()) throw Error(fmt::format("{}: must hold a JSON object", path.string()));
  }

  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw Error(fmt::format("{}: {}: {}", path.string(), key, what));
  }

  // NULL if the key is absent or null.
  const json* find(const std::string& key) const {
    const auto found = content.find(key);
    return found == content.end() || found->is_null() ? nullptr : &*found;
  }

  // A token is written as its text or as an object with "content".
  void token(const std::string& key, const Vocabulary& vocabulary, int32_t& id, bool must_exist = true) const {
    const json* value = find(key);
    if (value && value->is_object() && value->contains("content")) value = &(*value)["content"];
    if (!value) return;
    if (!value->is_string()) fail(key, "must be a text or an object with \"content\"");
    const std::string& text = value->get_ref<const std::string&>();
    const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), text);
    if (found != vocabulary.tokens.end())
      id = int32_t(found - vocabulary.tokens.begin());
    else if (must_exist)
      fail(key, fmt::format("the vocabulary has no token \"{}\"", printable(text)));
  }

  void flag(const std::string& key, bool& value) const {
    const json* found = find(key);
    if (!found) return;
    if (!found->is_boolean()) fail(key, "must be true or false");
    value = found->get<bool>();
  }

  // One id or a list of them.
  std::vector<int32_t> ids(const std::string& key, size_t count) const {
    const json* value = find(key);
    if (!value) return {};
    std::vector<int32_t> ids;
    for (const json& id : value->is_array() ? *value : json::array({*value})) {
      if (!id.is_number_integer()) fail(key, "must be a token id or a list of them");
      if (id < 0 || id >= count)
        fail(key, fmt::format("token id {} is outside the vocabulary of {} tokens", id.dump(), count));
      ids.push_back(id.get<int32_t>());
    }
    return ids;
  }
};

// A template is a text, or a list of {"name", "template"} of which the default one counts.
std::string chat_template(const SideFile& file) {
  const json* value = file.find("chat_template");
  if (!value) return {};
  if (value->is_string()) return value->get<std::string>();
  std::string names;
  if (value->is_array()) {
    for (const json& entry : *value) {
      if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") || !entry["name"].is_string() ||
          !entry["template"].is_string())
        file.fail("chat_template", "each entry must have a \"name\" and a \"template\"");
      if (entry["name"] == "default") return entry["template"].get<std::string>();
      names += (names.empty() ? "" : ", ") + printable(entry["name"].get_ref<const std::string&>());
    }
  }
  file.fail("chat_template", names.empty() ? "must be a text or a list of named templates"
                                           : fmt::format("has no template named \"default\", only: {}", names));
}

}  // namespace

void read_tokenizer_config(const std::filesystem::path& folder, Vocabulary& vocabulary) {
  const SideFile special(folder / "special_tokens_map.json");
  const SideFile config(folder / "tokenizer_config.json");
  const SideFile generation(folder / "generation_config.json");
  const size_t count = vocabulary.tokens.size();

  for (const SideFile* file : {&special, &config}) {
    file->token("bos_token", vocabulary, vocabulary.bos);
    file->token("eos_token", vocabulary, vocabulary.eos);
    // These two are often named without being in the vocabulary, and nothing here depends on them.
    file->token("unk_token", vocabulary, vocabulary.unknown, false);
    file->token("pad_token", vocabulary, vocabulary.pad, false);
  }
  config.flag("add_bos_token", vocabulary.add_bos);
  config.flag("add_eos_token", vocabulary.add_eos);

  for (const int32_t id : generation.ids("eos_token_id", count)) {
    if (vocabulary.eos < 0) vocabulary.eos = id;
    vocabulary.end_of_generation.push_back(id);
  }
  const auto first = [&](const char* key, int32_t& id) {
    const std::vector<int32_t> ids = generation.ids(key, count);
    if (id < 0 && !ids.empty()) id = ids.front();
  };
  first("bos_token_id", vocabulary.bos);
  first("pad_token_id", vocabulary.pad);

  const std::filesystem::path own_file = folder / "chat_template.jinja";
  vocabulary.chat_template =
      std::filesystem::exists(own_file) ? read_file(own_file, kLargestFile) : chat_template(config);
}

}  // namespace sluice
