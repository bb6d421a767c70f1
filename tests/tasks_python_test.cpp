// Expressions, strings and random samples against what Python made of them (tests/data/tasks/python.json).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/tasks/python_random.h"
#include "core/tasks/python_regex.h"
#include "core/tasks/python_text.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

const Json& golden() {
  static const Json data = Json::parse(std::ifstream(std::string(SLUICE_TEST_DATA) + "/tasks/python.json"));
  return data;
}

TEST(PythonRegex, FindsWhatPythonFinds) {
  size_t compared = 0;
  for (const Json& one : golden()["find"]) {
    const PythonRegex regex(one["pattern"].get<std::string>());
    const std::string text = one["text"];
    EXPECT_EQ(Json(regex.find_all(text)), one["found"]) << one << "\n" << icu_pattern(regex.pattern());
    EXPECT_EQ(regex.replace(text, ""), one["removed"].get<std::string>()) << one;
    ++compared;
  }
  EXPECT_GE(compared, 600u);
}

TEST(PythonRegex, RefusesWhatPythonRefuses) {
  ASSERT_GE(golden()["bad"].size(), 10u);
  for (const Json& pattern : golden()["bad"]) EXPECT_THROW(PythonRegex(pattern.get<std::string>()), Error) << pattern;
  // Understood by ICU only.
  for (const char* pattern : {"\\p{L}", "\\Q.\\E", "\\h", "\\G", "\\R", "\\X", "(?x)a b", "(?<name>a)"})
    EXPECT_THROW(PythonRegex{pattern}, Error) << pattern;
}

TEST(PythonRegex, EndsWhereBacktrackingDoesNot) {
  const PythonRegex regex("(a+)+$");
  try {
    regex.find_all(std::string(60, 'a') + "b");
    FAIL() << "found an end";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("backtracks"), std::string::npos) << error.what();
  }
}

TEST(PythonRegex, CountsBytesAndParts) {
  const PythonRegex dot("\\.");
  EXPECT_EQ(dot.first_end("né. b."), 4u);
  EXPECT_EQ(dot.first_end("none"), std::string::npos);
  EXPECT_EQ(PythonRegex("\\s+").split_count(" a b\n\nc "), 5u);
}

TEST(PythonText, IsPythons) {
  for (const Json& one : golden()["text"]) {
    const std::string text = one["text"];
    EXPECT_EQ(python_strip(text), one["strip"].get<std::string>()) << one;
    EXPECT_EQ(python_lower(text), one["lower"].get<std::string>()) << one;
    EXPECT_EQ(python_capitalize(text), one["capitalize"].get<std::string>()) << one;
    EXPECT_EQ(python_length(text), one["length"].get<size_t>()) << one;
  }
  EXPECT_EQ(without_ascii_punctuation("(A)! ‘b’, $5_"), "A ‘b’ 5");
  EXPECT_EQ(without_unicode_punctuation("(A)! ‘b’, $5_"), "A b $5");
  EXPECT_EQ(python_replace("aaa", "aa", "b"), "ba");
  EXPECT_EQ(python_float("١٢"), 12);
  EXPECT_EQ(python_float(" 007.50 "), 7.5);
  EXPECT_TRUE(std::isnan(python_float("")) && std::isnan(python_float("1,0")) && std::isnan(python_float("0x10")));
}

TEST(PythonRandom, DrawsWhatPythonDraws) {
  for (const Json& one : golden()["sample"]) {
    PythonRandom random(one["seed"].get<uint64_t>());
    for (const Json& draw : one["draws"])
      EXPECT_EQ(Json(random.sample(one["count"], one["take"])), draw) << one["seed"] << " " << one["count"];
  }
}

}  // namespace
}  // namespace sluice
