// Readers of test sets and prompt templates: what they read, and what they say of files that are not what they should
// be.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "core/base/error.h"
#include "core/tasks/python_regex.h"
#include "core/tasks/records.h"
#include "core/tasks/template_text.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string complaint(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kExitUsage);
    return error.what();
  } catch (const MissingField& missing) {
    return missing.message;
  }
  return "no complaint";
}

TEST(Csv, HoldsCommasQuotesAndLineBreaks) {
  const std::string text = "a,\"b, \"\"c\"\"\",d\r\n\"two\nlines\",,\"\"\n\nit's \"so\",1,\xC3\xA9";
  const std::vector<Record> records = parse_csv(text, "x.csv", {"q", "list", "list"});
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].fields, (Json{{"q", "a"}, {"list", {"b, \"c\"", "d"}}}));
  EXPECT_EQ(records[1].fields, (Json{{"q", "two\nlines"}, {"list", {"", ""}}}));
  EXPECT_EQ(records[2].fields, (Json{{"q", "it's \"so\""}, {"list", {"1", "\xC3\xA9"}}}));
  EXPECT_EQ(records[1].line, 2u);
  EXPECT_EQ(records[2].origin, "x.csv:5");
  EXPECT_TRUE(parse_csv("", "x.csv", {"q"}).empty());
}

TEST(Csv, SaysWhereARecordIsMalformed) {
  const std::vector<std::string> columns = {"a", "b"};
  EXPECT_THAT(complaint([&] { parse_csv("1,2\n1,2,3\n", "x.csv", columns); }),
              HasSubstr("x.csv:2: a record of 3 fields, not 2 (a, b)"));
  EXPECT_THAT(complaint([&] { parse_csv("1,\"2\n3\"\n1\n", "x.csv", columns); }), HasSubstr("x.csv:3: a record of 1"));
  EXPECT_THAT(complaint([&] { parse_csv("1,2\n1,\"2\n", "x.csv", columns); }),
              HasSubstr("x.csv:2: a quoted field never ends"));
  EXPECT_THAT(complaint([&] { parse_csv("1,\"2\"x\n", "x.csv", columns); }),
              HasSubstr("x.csv:1: found \"x\\x0A\" after a closing quote"));
  EXPECT_THAT(complaint([&] { parse_csv("1,\xFF\n", "x.csv", columns); }), HasSubstr("x.csv: is not UTF-8"));
}

TEST(JsonLines, AreObjectsALine) {
  const std::vector<Record> records = parse_jsonl("{\"a\": 1}\r\n\n  {\"a\": \"\\u00e9\"}", "x.jsonl");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].fields["a"], "é");
  EXPECT_EQ(records[1].origin, "x.jsonl:3");
  EXPECT_THAT(complaint([] { parse_jsonl("{}\n{\"a\": }\n", "x.jsonl"); }), HasSubstr("x.jsonl:2: is not valid JSON"));
  EXPECT_THAT(complaint([] { parse_jsonl("[1]\n", "x.jsonl"); }),
              HasSubstr("x.jsonl:1: found a list; a record is an object"));
  EXPECT_THAT(complaint([] { parse_jsonl("{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}", "x.jsonl"); }),
              HasSubstr("x.jsonl:1: nests deeper"));
}

TEST(Templates, FillInFields) {
  const Json fields = {
      {"q", " Ä b "}, {"list", {"x", 2}}, {"in", {{"deep", true}}}, {"a", "1 #### 2 #### 3"}, {"s", "a_b_c"}};
  EXPECT_EQ(TextTemplate("[{{q}}]{{ q | strip | lower }}{{list[0]}}{{list[1]}}{{in.deep}}").render(fields),
            "[ Ä b ]ä bx2true");
  EXPECT_EQ(TextTemplate("{{a | after('####') | strip}}{{s | spaces}}{{s|capitalize}}").render(fields), "3a b cA_b_c");
  EXPECT_EQ(TextTemplate("{{s | after('####')}} { } }}").render(fields), "a_b_c { } }}");
  EXPECT_EQ(TextTemplate("").render(fields), "");
  EXPECT_TRUE(TextTemplate("x").constant());
  EXPECT_FALSE(TextTemplate("{{q}}").constant());
}

TEST(Templates, SayWhatTheyLack) {
  const Json fields = {{"question", "q"}, {"choices", {"a", "b"}}, {"none", nullptr}};
  const auto rendered = [&](const char* text) { return complaint([&] { TextTemplate(text).render(fields); }); };
  EXPECT_EQ(
      rendered("{{questoin}}"),
      "{{questoin}}: there is no field \"questoin\" (did you mean \"question\"?); there are: question, choices, none");
  EXPECT_EQ(rendered("{{choices[2]}}"), "{{choices[2]}} asks for element 2 of a list of 2");
  EXPECT_EQ(rendered("{{question[0]}}"), "{{question[0]}} asks for element 0 of no list");
  EXPECT_EQ(rendered("{{choices}}"), "{{choices}} is a list, not text");
  EXPECT_EQ(rendered("{{none}}"), "{{none}} is null, not text");
  EXPECT_THAT(rendered("{{question | stirp}}"), HasSubstr("there is no filter \"stirp\" (did you mean \"strip\"?)"));
  EXPECT_THAT(rendered("a {{question"), HasSubstr("has no closing \"}}\""));
  for (const char* bad :
       {"{{}}", "{{ a b }}", "{{a[}}", "{{a[x]}}", "{{a[-1]}}", "{{a[1}}", "{{a..b}}", "{{a | }}", "{{a | after(x)}}"})
    EXPECT_THROW(TextTemplate{bad}, Error) << bad;
}

// Whatever bytes come: a reader reads them or says what is wrong, and nothing else is thrown.
template <class F>
void mutate(std::vector<std::string> seeds, const F& read) {
  std::mt19937 random(11);
  size_t refused = 0, taken = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (uint32_t edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t at = random() % (text.size() + 1);
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 3);
      else
        text.insert(at, 1, random() % 4 ? "\"\\\n,{}[]()|.^$?*+-:<>=P0a"[random() % 25] : char(random()));
    }
    try {
      read(text);
      ++taken;
    } catch (const Error& error) {
      EXPECT_FALSE(std::string(error.what()).empty());
      ++refused;
    }
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(taken, 100u);
}

TEST(Hostile, RecordsTemplatesAndExpressions) {
  mutate({"a,\"b\",c\n", "\"x\ny\",2,3\n1,2,3", ",,\n"}, [](const std::string& text) {
    parse_csv(text, "x", {"a", "b", "c"});
  });
  mutate({"{\"a\": [1, {\"b\": null}]}\n{}\n", "{\"a\": \"\\u00e9\"}"},
         [](const std::string& text) { parse_jsonl(text, "x"); });
  mutate({"{{a | strip | after('x')}}", "x{{a[0].b}}y{{c}}", "{{ a.b | lower }}"},
         [](const std::string& text) { TextTemplate{text}; });
  mutate({"(?<=answer is )(.*)(?=.)", "(-?[$0-9.,]{2,})|(-?[0-9]+)", "(?P<n>[^\\]a-]+)(?P=n){1,2}", "\\b\\w+\\x41$",
          "(?i:a|b)*?"},
         [](const std::string& text) { PythonRegex(text).find_all("The answer is 5, (B).\n"); });
}

}  // namespace
}  // namespace sluice
