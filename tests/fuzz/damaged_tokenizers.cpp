// Tokenizers within a sound model folder: tokenizer.json and tokenizer.model.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "fuzz/damage.h"

namespace sluice::fuzz {
using nlohmann::ordered_json;
using testing::FuzzRandom;

std::string sound_tokenizer() {
  return R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true},
      {"id": 1, "content": "<s>", "special": true}], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {}}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "<s>": 1, "h": 2, "e": 3, "l": 4, "he": 5},
      "merges": ["h e"]}})";
}

std::vector<Damage> damaged_tokenizers() {
  const std::map<std::string, std::string> folder = sound_folder();
  FuzzRandom random(104);
  std::vector<Damage> list;
  const auto add = [&](const char* file, const std::string& what, const std::string& bytes, const char* place) {
    std::map<std::string, std::string> files = folder;
    files[file] = bytes;
    // Merges are looked at when all else is read, under the folder's name.
    const bool tables = std::string_view(place).starts_with("merge ");
    list.push_back({file, what, std::move(files), "", tables ? "" : file, place});
  };

  const ordered_json sound = ordered_json::parse(sound_tokenizer());
  const char kJson[] = "tokenizer.json",
             kInJson[] = "line [0-9]+, column [0-9]+|tokenizer\\.json: [a-z_]+(\\.[A-Za-z_]+|\\[[0-9]+\\])*: ";
  const std::string text = sound.dump();
  for (const size_t length : lengths_below(text.size(), 12, random))
    add(kJson, fmt::format("cut to {} bytes", length), text.substr(0, length), kInJson);
  for (const size_t pick : lengths_below(text.size(), 6, random))
    add(kJson, fmt::format("byte {} is no UTF-8", pick), with(text, pick, '\xFF'), kInJson);
  add(kJson, "lists in lists", std::string(100000, '['), kInJson);

  const auto edit = [&](const char* pointer, const ordered_json& value, const char* place = nullptr) {
    ordered_json changed = sound;
    changed[ordered_json::json_pointer(pointer)] = value;
    const std::string dotted = std::string(pointer).substr(1);
    add(kJson, fmt::format("{} is {}", dotted, value.dump()), changed.dump(), place ? place : kInJson);
  };
  for (const ordered_json& id : {ordered_json(-1), ordered_json(2), ordered_json(1 << 30), ordered_json("3"),
                                 ordered_json(1.5), ordered_json(uint64_t(1) << 63)})
    edit("/model/vocab/e", id);
  for (const ordered_json& id : {ordered_json(-1), ordered_json(1 << 30), ordered_json("0")})
    edit("/added_tokens/1/id", id);
  for (const char* part :
       {"/model/vocab", "/model/merges", "/added_tokens", "/pre_tokenizer", "/post_processor/single"})
    edit(part, random.next() % 2 ? ordered_json(7) : ordered_json("text"));
  for (const ordered_json& merge : {ordered_json(3), ordered_json::array({"h"}), ordered_json::array({"h", 4})})
    edit("/model/merges/0", merge);
  for (const char* merge : {"h l", "he", "x e", " "}) edit("/model/merges/0", merge, "merge 0 ");
  edit("/model/type", "Unigram");
  edit("/model/unk_token", "<none>");
  edit("/model/dropout", 0.1);
  edit("/pre_tokenizer/type", "Whitespace");
  edit("/pre_tokenizer/use_regex", 1);
  edit("/normalizer", {{"type", "Lowercase"}});
  edit("/post_processor/single/0/SpecialToken/id", "<none>");

  const char kModel[] = "tokenizer.model", kInModel[] = "offset [0-9]+|the model is|remove_extra_whitespaces";
  const std::string model = folder.at(kModel);
  for (const size_t length : lengths_below(model.size(), 12, random))
    add(kModel, fmt::format("cut to {} bytes", length), model.substr(0, length), kInModel);
  add(kModel, "a field of 2^63 bytes", "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F" + model, kInModel);
  add(kModel, "a number of 11 bytes", std::string(11, '\xFF') + model, kInModel);
  add(kModel, "field 0", std::string("\x02\x00", 2) + model, kInModel);
  add(kModel, "a group", "\x0B" + model, kInModel);
  return list;
}

}  // namespace sluice::fuzz
