// See shots.h.
#include "core/tasks/shots.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_file.h"
#include "core/base/text.h"

namespace sluice {
namespace {

constexpr uint64_t kFileLimit = 64 << 20;
constexpr int kDepthLimit = 8;

}  // namespace

ShotList read_shot_list(const std::filesystem::path& file, const std::string& subtask) {
  nlohmann::ordered_json all = read_ordered_json_file(file, kFileLimit, kDepthLimit);
  ShotList result;
  nlohmann::ordered_json* list = &all;
  if (all.is_object()) {
    if (!all.contains(subtask)) throw Error(fmt::format("{}: has no examples of \"{}\"", file.string(), subtask));
    nlohmann::ordered_json& own = all[subtask];
    if (own.is_object() && own.contains("description") && own["description"].is_string())
      result.description = own["description"].get<std::string>();
    list = own.is_object() && own.contains("shots") ? &own["shots"] : &own;
  }
  if (!list->is_array()) throw Error(fmt::format("{}: holds no list of examples", file.string()));
  for (nlohmann::ordered_json& one : *list)
    result.records.push_back(
        {std::move(one), 0, fmt::format("{}: {}[{}]", file.string(), subtask, result.records.size())});
  return result;
}

std::string fixed_prompt(const ShotSpec& spec, const std::filesystem::path& file,
                         const nlohmann::ordered_json& context) {
  std::string text;
  if (spec.prompt_key.empty()) {
    text = read_file(file, kFileLimit);
  } else {
    const nlohmann::ordered_json all = read_ordered_json_file(file, kFileLimit, kDepthLimit);
    const std::string key = TextTemplate(spec.prompt_key).render(context);
    if (!all.is_object() || !all.contains(key) || !all[key].is_string())
      throw Error(fmt::format("{}: has no text \"{}\"", file.string(), key));
    text = all[key].get<std::string>();
  }
  if (spec.prompt_after.empty()) return text;
  const size_t at = text.find(spec.prompt_after);
  if (at == std::string::npos)
    throw Error(
        fmt::format("{}: has no \"{}\", after which its prompt begins", file.string(), printable(spec.prompt_after)));
  return text.substr(at + spec.prompt_after.size());
}

std::vector<size_t> choose_shots(const ShotSpec& spec, const std::vector<Record>& pool, size_t count,
                                 const Record& document, PythonRandom& random) {
  const auto asked = [&](size_t index) { return spec.exclude_document && pool[index].fields == document.fields; };
  const auto too_few = [&] {
    return Error(fmt::format("{}: {} shots, but {} examples besides the question itself", document.origin, count,
                             pool.size() - 1));
  };
  std::vector<size_t> result;
  if (!spec.sampled) {
    for (size_t index = 0; index < pool.size() && result.size() < count; ++index)
      if (!asked(index)) result.push_back(index);
    if (result.size() < count) throw too_few();
    return result;
  }
  // One more is drawn where the document may be among them; drawn anew from the others if it was there twice.
  const size_t draw = count + (spec.exclude_document ? 1 : 0);
  if (draw > pool.size()) throw too_few();
  for (const size_t index : random.sample(pool.size(), draw))
    if (!asked(index) && result.size() < count) result.push_back(index);
  if (result.size() == count) return result;
  std::vector<size_t> others;
  for (size_t index = 0; index < pool.size(); ++index)
    if (!asked(index)) others.push_back(index);
  if (others.size() < count) throw too_few();
  result.clear();
  for (const size_t index : random.sample(others.size(), count)) result.push_back(others[index]);
  return result;
}

}  // namespace sluice
