// See prepare.h.
#include "core/tasks/prepare.h"

#include <fmt/format.h>

#include <array>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tasks/python_regex.h"
#include "core/tasks/python_text.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

const Json& field(const Record& record, const Json& fields, const std::string& name, Json::value_t type) {
  if (!fields.is_object() || !fields.contains(name))
    throw Error(fmt::format("{}: has no field \"{}\"", record.origin, name));
  const Json& value = fields[name];
  if (value.type() != type)
    throw Error(
        fmt::format("{}: \"{}\" is {}, not {}", record.origin, name, value.type_name(), Json(type).type_name()));
  return value;
}

std::string text_field(const Record& record, const Json& fields, const std::string& name) {
  return field(record, fields, name, Json::value_t::string).get<std::string>();
}

// What WikiHow's articles left in HellaSwag.
std::string hellaswag_text(std::string_view text) {
  static const PythonRegex brackets("\\[.*?\\]");
  const std::string titled = python_replace(python_strip(text), " [title]", ". ");
  return python_replace(brackets.replace(titled, ""), "  ", " ");
}

void prepare_hellaswag(Record& record) {
  const Json& from = record.fields;
  const std::string context =
      text_field(record, from, "ctx_a") + " " + python_capitalize(text_field(record, from, "ctx_b"));
  Json choices = Json::array();
  for (const Json& ending : field(record, from, "endings", Json::value_t::array)) {
    if (!ending.is_string()) throw Error(fmt::format("{}: an ending is no text", record.origin));
    choices.push_back(hellaswag_text(ending.get<std::string>()));
  }
  const std::string query = hellaswag_text(text_field(record, from, "activity_label") + ": " + context);
  if (!from.contains("label")) throw Error(fmt::format("{}: has no field \"label\"", record.origin));
  record.fields["query"] = query;
  record.fields["choices"] = std::move(choices);
}

// As published: question { stem, choices [ { text, label } ] }; as the hub has it: question, choices { text [], label
// [] }. Both become question, texts, labels.
void prepare_arc(Record& record) {
  const Json from = record.fields;
  Json texts = Json::array(), labels = Json::array();
  std::string question;
  if (from.contains("question") && from["question"].is_object()) {
    question = text_field(record, from["question"], "stem");
    for (const Json& choice : field(record, from["question"], "choices", Json::value_t::array)) {
      texts.push_back(text_field(record, choice, "text"));
      labels.push_back(text_field(record, choice, "label"));
    }
  } else {
    question = text_field(record, from, "question");
    const Json& choices = field(record, from, "choices", Json::value_t::object);
    texts = field(record, choices, "text", Json::value_t::array);
    labels = field(record, choices, "label", Json::value_t::array);
  }
  const std::string answer = text_field(record, from, "answerKey");
  size_t gold = labels.size();
  for (size_t i = labels.size(); i-- > 0;)
    if (labels[i] == answer) gold = i;
  if (gold == labels.size())
    throw Error(fmt::format("{}: answerKey \"{}\" is none of the labels {}", record.origin, printable(answer),
                            printable(labels.dump())));
  record.fields["question"] = question;
  record.fields["texts"] = std::move(texts);
  record.fields["gold"] = gold;
}

struct Preparation {
  std::string_view name;
  void (*run)(Record&);
};
constexpr std::array<Preparation, 2> kPreparations = {{{"hellaswag", prepare_hellaswag}, {"arc", prepare_arc}}};

// The tokens that WikiText's makers set apart are joined again, in the harness's order.
std::string detokenized(std::string text) {
  struct Pair {
    std::string_view from, to;
  };
  constexpr std::array<Pair, 9> kSigns = {{{" @-@ ", "-"},
                                           {" @,@ ", ","},
                                           {" @.@ ", "."},
                                           {" : ", ": "},
                                           {" ; ", "; "},
                                           {" . ", ". "},
                                           {" ! ", "! "},
                                           {" ? ", "? "},
                                           {" , ", ", "}}};
  constexpr std::array<Pair, 8> kRest = {{{"= = = =", "===="},
                                          {"= = =", "==="},
                                          {"= =", "=="},
                                          {" \u00b0 ", "\u00b0"},
                                          {" \n", "\n"},
                                          {"\n ", "\n"},
                                          {" N ", " 1 "},
                                          {" 's", "'s"}}};
  static const std::array<std::pair<PythonRegex, std::string_view>, 5> kWithin = {{
      {PythonRegex(R"(\(\s*([^\)]*?)\s*\))"), "($1)"},
      {PythonRegex(R"(\[\s*([^\]]*?)\s*\])"), "[$1]"},
      {PythonRegex(R"({\s*([^}]*?)\s*})"), "{$1}"},
      {PythonRegex(R"("\s*([^"]*?)\s*")"), "\"$1\""},
      {PythonRegex(R"('\s*([^']*?)\s*')"), "'$1'"},
  }};
  static const PythonRegex slashed("/' [0-9]/");
  text = python_replace(text, "s '", "s'");
  text = slashed.replace(text, "/'[0-9]/");
  for (const Pair& sign : kSigns) text = python_replace(text, sign.from, sign.to);
  for (const auto& [within, joined] : kWithin) text = within.replace(text, joined);
  for (const Pair& sign : kRest) text = python_replace(text, sign.from, sign.to);
  return text;
}

}  // namespace

std::vector<std::string_view> preparations() {
  std::vector<std::string_view> names;
  for (const Preparation& one : kPreparations) names.push_back(one.name);
  return names;
}

void prepare_record(std::string_view name, Record& record) {
  for (const Preparation& one : kPreparations)
    if (one.name == name) return one.run(record);
}

std::vector<Record> wikitext_pages(std::string_view text, const std::string& origin) {
  std::vector<Record> pages;
  std::string page;
  uint32_t number = 0, begin = 1;
  const auto finish = [&] {
    if (!python_strip(page).empty())
      pages.push_back({{{"page", page}, {"text", detokenized(page)}}, begin, fmt::format("{}:{}", origin, begin)});
    page.clear();
  };
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    const std::string marks = python_replace(python_replace(line, "= = =", "==="), "= =", "==");
    const std::string_view heading = python_strip(marks);
    if (heading.starts_with("= ") && heading.ends_with(" =")) {
      finish();
      begin = number;
    } else if (number > begin) {
      page += '\n';
    }
    page += line;
  }
  finish();
  return pages;
}

}  // namespace sluice
