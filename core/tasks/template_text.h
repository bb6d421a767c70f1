// Prompt templates: text with {{field}} placeholders and a few filters, all that the shipped tasks need. No
// conditions, no loops: a task whose prompts need them prepares its records in code (prepare.h).
//   {{question}}   {{choices[0]}}   {{answer | after('####') | strip}}
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// A placeholder that names what a record does not have; the message says what it has, without a place.
struct MissingField {
  std::string message;
};

class TextTemplate {
 public:
  TextTemplate() = default;
  // Error (one line, without a place) for braces that do not match and filters that there are not.
  explicit TextTemplate(std::string_view text);

  // Throws MissingField. Numbers are written as Python writes whole ones; lists and objects are no text.
  std::string render(const nlohmann::ordered_json& fields) const;
  bool empty() const { return parts_.empty(); }
  // Without placeholders it is the same for every record.
  bool constant() const;

 private:
  struct Step {
    enum Kind { kStrip, kLower, kCapitalize, kSpaces, kAfter } kind;
    std::string argument = {};
  };
  struct Access {
    std::string key;  // or, where `index` is set, an element of a list
    int index = -1;
  };
  struct Part {
    std::string text;          // as it stands; or, where `path` is not empty, the placeholder as written
    std::vector<Access> path;  // question; choices, [0]
    std::vector<Step> steps;
  };
  static Part placeholder(std::string_view inside);

  std::vector<Part> parts_;
};

}  // namespace sluice
