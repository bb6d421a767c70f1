// The configuration explained: what `config show` prints can be loaded again and means the same; the reference
// leaves out no key; the files that ship fit the plugins that ship.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/file.h"
#include "core/config/schema.h"
#include "support/config_folder.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::HasSubstr;

// The text without what tells where values stand.
std::string without_places(const std::string& text) {
  std::string out;
  for (size_t from = 0; from < text.size();) {
    const size_t to = std::min(text.find('\n', from), text.size());
    std::string line = text.substr(from, to - from);
    line = line.substr(0, line.find("  # "));
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
    from = to + 1;
  }
  return out;
}

TEST(ShowConfig, SaysWhereEveryValueStands) {
  ConfigFolder folder;
  folder.write("base.toml", "[cache]\ninterval = 2\n");
  const auto file = folder.write("x.toml", "extends = \"base.toml\"\n[codec]\nname = \"gear\"\nrank = 3\n");
  const std::string shown =
      folder.shortened(show_config(file, std::vector<std::string>{"codec.bits=4"}, &folder.registry));
  for (const char* line :
       {"interval = 2                      # base.toml:2:12", "name = \"gear\"                     # x.toml:3:8",
        "rank = 3                          # x.toml:4:8", "bits = 4                          # --set codec.bits",
        "backbone = \"group\"                # default of gear", "chunk = 256                       # default",
        "threads = 0                       # default of cpu"}) {
    EXPECT_THAT(shown, HasSubstr(line));
  }
  EXPECT_EQ(shown.find("extends"), std::string::npos);
}

TEST(ShowConfig, CanBeLoadedAgain) {
  ConfigFolder folder;
  folder.write("m.gguf", "x");
  folder.write("sub/base.toml", "[model]\npath = \"../m.gguf\"\n[plugins]\npath = [\"a\"]\n[eval]\ndata = \"d\"\n");
  const std::string toml = R"(extends = "sub/base.toml"
[cache]
budget = "20%"
[evictor]
name = "h2o"
[codec]
name = "gear"
note = "quote \" backslash \\ newline \n tab \t bell \u0007 ümlaut"
[codec.key]
bits = 4
[[layers]]
range = "0-1"
codec.name = "none"
[[layers]]
range = 3
evictor = { name = "recent" }
)";
  const std::string swept = toml +
                            "[sweep]\n\"cache.interval\" = [1, 2]\n[[sweep.variant]]\nname = \"a \\\"quoted\\\" "
                            "name\"\n[[sweep.variant]]\nname = \"b\"\ncodec.name = \"group\"\n";
  for (const std::string& text : {toml, swept}) {
    const std::string first = show_config(folder.write("x.toml", text), {}, &folder.registry);
    const auto again = folder.write("elsewhere/x.toml", first);
    EXPECT_EQ(without_places(show_config(again, {}, &folder.registry)), without_places(first));
    const auto a = load_config(folder.folder / "x.toml", {}, &folder.registry),
               b = load_config(again, {}, &folder.registry);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].name, b[i].name);
      EXPECT_EQ(find_model(a[i].model, a[i].model_place), find_model(b[i].model, b[i].model_place));
      EXPECT_EQ(a[i].plugin_path, b[i].plugin_path);
      EXPECT_EQ(a[i].eval.data, b[i].eval.data);
      EXPECT_EQ(a[i].cache.interval, b[i].cache.interval);
      ASSERT_EQ(a[i].layers.size(), b[i].layers.size());
      const sluice_module& codec = folder.registry.find(SLUICE_CODEC, a[i].policy.key_codec->name);
      EXPECT_EQ(describe_choice(codec, *a[i].policy.key_codec), describe_choice(codec, *b[i].policy.key_codec));
    }
  }
}

TEST(ShowConfig, ReportsMistakes) {
  ConfigFolder folder;
  const auto file = folder.write("x.toml", "[cache]\nchunk = 0\n");
  EXPECT_THAT(error_of([&] { show_config(file, {}, nullptr); }).what(), HasSubstr("[cache] chunk takes"));
}

TEST(Reference, LeavesOutNothing) {
  ConfigFolder folder;
  const std::string markdown = config_reference_markdown(&folder.registry);
  for (const Key& key : schema_keys()) {
    const size_t dot = key.path.find('.');
    EXPECT_THAT(markdown, HasSubstr("| `" + std::string(key.path.substr(dot == key.path.npos ? 0 : dot + 1)) + "` | "));
  }
  EXPECT_THAT(markdown, HasSubstr("### evictor `h2o`"));
  EXPECT_THAT(markdown, HasSubstr("| `recent` | `\"50%\"` | "));
}

TEST(Reference, JsonSchemaIsJsonAndComplete) {
  ConfigFolder folder;
  const auto schema = nlohmann::json::parse(config_schema_json(&folder.registry));
  for (const Key& key : schema_keys()) {
    const size_t dot = key.path.find('.');
    auto properties = schema["properties"];
    if (dot != key.path.npos) {
      auto table = properties[std::string(key.path.substr(0, dot))];
      properties = (table.contains("items") ? table["items"] : table)["properties"];
    }
    const std::string name(key.path.substr(dot == key.path.npos ? 0 : dot + 1));
    ASSERT_TRUE(properties.contains(name)) << key.path;
    EXPECT_NE(properties[name].value("description", ""), "") << key.path;
  }
  EXPECT_EQ(schema["properties"]["cache"]["properties"]["interval"]["minimum"], 1);
  EXPECT_EQ(schema["properties"]["cache"]["properties"]["compact"]["exclusiveMinimum"], 0.0);
  const auto& rule = schema["properties"]["evictor"]["allOf"][0];
  EXPECT_EQ(rule["if"]["properties"]["name"]["const"], "h2o");
  EXPECT_EQ(rule["then"]["properties"]["sinks"]["maximum"], 64);
}

// The plugins of this build.
class Shipped : public ::testing::Test {
 protected:
  // Whether they are all that ship; `python` only does where Python is, `cuda` where a toolkit is.
  bool complete() const {
    std::set<std::string> all = kShipped;
    if (has_python()) all.insert("python");
    if (has_cuda()) all.insert("cuda");
    return have() == all;
  }
  bool has_all() const {
    const std::set<std::string> all = have();
    return std::includes(all.begin(), all.end(), kShipped.begin(), kShipped.end());
  }
  bool has_python() const { return have().count("python") > 0; }
  bool has_cuda() const { return have().count("cuda") > 0; }

  const std::set<std::string> kShipped = {"cpu", "uniform", "group", "gear", "h2o", "sieve", "recent", "random"};
  const std::filesystem::path folder[1] = {SLUICE_PLUGINS};
  ThreadPool pool{1};
  const Registry registry{folder, pool};

 private:
  std::set<std::string> have() const {
    std::set<std::string> names;
    for (const Module& module : registry.modules()) names.insert(module.module ? module.name : "");
    return names;
  }
};

// docs/configuration.md is `sluice config schema --markdown` of a build with the plugins that ship and no others.
TEST_F(Shipped, TheDocumentIsUpToDate) {
  ASSERT_TRUE(complete()) << "this build has other plugins than those that ship";
  if (!has_python()) GTEST_SKIP() << "python evictor: not built (no Python headers), and the document has it";
  if (has_cuda()) GTEST_SKIP() << "cuda backend: built here, and the document is of a build without it";
  const std::string document = read_file(std::filesystem::path(SLUICE_SOURCE) / "docs" / "configuration.md");
  EXPECT_EQ(document, config_reference_markdown(&registry))
      << "run: sluice config schema --markdown > docs/configuration.md";
}

TEST_F(Shipped, FilesFitThePlugins) {
  ASSERT_TRUE(has_all()) << "this build lacks some of the plugins";
  const std::filesystem::path folders[] = {SLUICE_PLUGINS, SLUICE_EXAMPLES};
  const Registry with_examples(folders, pool);
  size_t files = 0, policies = 0;
  std::set<std::string> names;
  const std::filesystem::path configs = std::filesystem::path(SLUICE_SOURCE) / "configs",
                              in_python = configs / "python", tasks = configs / "tasks";
  for (std::filesystem::recursive_directory_iterator at(configs), end; at != end; ++at) {
    const std::filesystem::directory_entry& file = *at;
    if (file.path() == tasks) at.disable_recursion_pending();  // files of another kind
    if (file.path().extension() != ".toml" || (file.path().parent_path() == in_python && !has_python())) continue;
    try {
      policies += load_config(file.path(), {}, &with_examples).size();
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    names.insert(file.path().stem().string());
    ++files;
  }
  for (const char* name : {"full",
                           "uniform8",
                           "uniform4",
                           "group4",
                           "group2",
                           "gear4",
                           "gear2",
                           "recent20",
                           "random20",
                           "h2o50",
                           "h2o20",
                           "sieve50",
                           "sieve20",
                           "gear4_h2o50",
                           "gear2_h2o20",
                           "gear2_sieve20",
                           "demo",
                           "llama2-7b",
                           "llama2-7b_gear2",
                           "llama2-7b_h2o20",
                           "llama2-7b_gear2_h2o20",
                           "sweep"}) {
    EXPECT_TRUE(names.count(name)) << name;
  }
  EXPECT_GT(policies, files);
}

TEST(ShippedFiles, TheDemoHasTheSixteenRows) {
  const auto rows = load_config(std::filesystem::path(SLUICE_SOURCE) / "configs" / "demo.toml", {}, nullptr);
  ASSERT_EQ(rows.size(), 16u);
  for (const Config& row : rows) {
    // Each is what its own file says.
    const auto alone =
        load_config(std::filesystem::path(SLUICE_SOURCE) / "configs" / (row.name + ".toml"), {}, nullptr);
    ASSERT_EQ(alone.size(), 1u);
    EXPECT_EQ(row.model, alone[0].model);
    EXPECT_EQ(row.policy.evictor.has_value(), alone[0].policy.evictor.has_value()) << row.name;
    EXPECT_EQ(row.policy.key_codec.has_value(), alone[0].policy.key_codec.has_value()) << row.name;
    EXPECT_EQ(row.cache.budget.has_value(), row.policy.evictor.has_value()) << row.name;
  }
}

}  // namespace
}  // namespace sluice
