// How values come together: defaults, extends, --set, sides, layers, sweeps; and what they are as numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/config/schema.h"
#include "support/config_folder.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

int64_t integer(const ModuleChoice& choice, const char* name) {
  return std::get<int64_t>(choice.params.at(name).value);
}

std::vector<std::string> names(const std::vector<Config>& configs) {
  std::vector<std::string> list;
  for (const Config& config : configs) list.push_back(config.name);
  return list;
}

TEST(Config, DefaultsAreThoseOfTheTypes) {
  const Config from_schema = default_config({}, nullptr), of_type;
  EXPECT_EQ(from_schema.context, of_type.context);
  EXPECT_EQ(from_schema.backend.name, of_type.backend.name);
  EXPECT_FALSE(from_schema.cache.budget);
  EXPECT_EQ(from_schema.cache.interval, of_type.cache.interval);
  EXPECT_EQ(from_schema.cache.chunked, of_type.cache.chunked);
  EXPECT_EQ(from_schema.cache.chunk, of_type.cache.chunk);
  EXPECT_EQ(from_schema.cache.layer_granularity, of_type.cache.layer_granularity);
  EXPECT_EQ(from_schema.cache.compact, of_type.cache.compact);
  EXPECT_EQ(from_schema.cache.rolling, of_type.cache.rolling);
  EXPECT_EQ(from_schema.sampler.temperature, of_type.sampler.temperature);
  EXPECT_EQ(from_schema.sampler.top_p, of_type.sampler.top_p);
  EXPECT_EQ(from_schema.sampler.min_p, of_type.sampler.min_p);
  EXPECT_EQ(from_schema.sampler.top_k, of_type.sampler.top_k);
  EXPECT_EQ(from_schema.sampler.seed, of_type.sampler.seed);
  EXPECT_EQ(from_schema.eval.protocol, of_type.eval.protocol);
  EXPECT_EQ(from_schema.eval.limit, of_type.eval.limit);
  EXPECT_EQ(from_schema.eval.batch, of_type.eval.batch);
  EXPECT_EQ(from_schema.eval.score_window, of_type.eval.score_window);
}

TEST(Config, EveryKeyArrives) {
  ConfigFolder folder;
  const Config c = folder.one(R"(name = "mine"
[model]
path = "m.gguf"
context = 100
[backend]
name = "cpu"
threads = 3
[plugins]
path = ["p", "/q"]
[cache]
budget = "12.5%"
interval = 1
prefill = "chunked"
chunk = 7
granularity = "layer"
compact = 1
positions = "absolute"
prefix = "exact"
[evictor]
name = "h2o"
recent = "25%"
[codec]
name = "gear"
bits = "4"
[sampler]
temperature = 1
top_p = 0.5
min_p = 0.25
top_k = 9
seed = 77
[eval]
tasks = ["a", "b"]
protocol = "gear"
data = "d"
limit = 5
batch = 6
score_window = 8
)");
  EXPECT_EQ(c.name, "mine");
  EXPECT_EQ(c.model, "m.gguf");
  EXPECT_EQ(c.model_place.text, (folder.folder / "x.toml").string() + ":3:8");
  EXPECT_EQ(c.context, 100u);
  EXPECT_EQ(integer(c.backend, "threads"), 3);
  EXPECT_THAT(c.plugin_path, ElementsAre(folder.folder / "p", std::filesystem::path("/q")));
  ASSERT_TRUE(c.cache.budget);
  EXPECT_EQ(c.cache.budget->unit, Budget::Unit::kShare);
  EXPECT_DOUBLE_EQ(c.cache.budget->amount, 0.125);
  EXPECT_EQ(c.cache.interval, 1u);
  EXPECT_TRUE(c.cache.chunked && c.cache.layer_granularity);
  EXPECT_FALSE(c.cache.rolling);
  EXPECT_EQ(c.cache.chunk, 7u);
  EXPECT_EQ(c.cache.compact, 1.0);
  EXPECT_EQ(c.policy.evictor->name, "h2o");
  EXPECT_EQ(c.policy.key_codec->name, "gear");
  EXPECT_EQ(c.policy.value_codec->name, "gear");
  EXPECT_EQ(c.sampler.temperature, 1.0);
  EXPECT_EQ(c.sampler.top_p, 0.5);
  EXPECT_EQ(c.sampler.min_p, 0.25);
  EXPECT_EQ(c.sampler.top_k, 9u);
  EXPECT_EQ(c.sampler.seed, 77u);
  EXPECT_THAT(c.eval.tasks, ElementsAre("a", "b"));
  EXPECT_EQ(c.eval.protocol, "gear");
  EXPECT_EQ(c.eval.data, folder.folder / "d");
  EXPECT_EQ(c.eval.limit, 5u);
  EXPECT_EQ(c.eval.batch, 6u);
  EXPECT_EQ(c.eval.score_window, 8u);
  EXPECT_EQ(c.eval.place.text, (folder.folder / "x.toml").string() + ":31:1");
  EXPECT_EQ(folder.one("").eval.place.text, "");
}

TEST(Config, BudgetsComeInThreeForms) {
  const auto budget = [](Node node) { return parse_budget(node); };
  EXPECT_EQ(budget({int64_t(1024), {}})->unit, Budget::Unit::kTokens);
  EXPECT_EQ(budget({int64_t(1024), {}})->amount, 1024);
  EXPECT_DOUBLE_EQ(budget({std::string("100%"), {}})->amount, 1);
  EXPECT_DOUBLE_EQ(budget({std::string("0.01%"), {}})->amount, 0.0001);
  EXPECT_EQ(budget({std::string("64MiB"), {}})->amount, 64.0 * 1024 * 1024);
  EXPECT_EQ(budget({std::string("1.5 GB"), {}})->amount, 1.5e9);
  EXPECT_EQ(budget({std::string("1GiB"), {}})->unit, Budget::Unit::kBytes);
  for (const char* text : {"", "%", "MiB", "-1MiB", "1e3MiB", "101%", "1.234%", "1.%", "+5%", "5 %", "64mib", "64",
                           "infMiB", "nanMiB", "0.1B"}) {
    EXPECT_FALSE(budget({std::string(text), {}})) << text;
  }
  for (const int64_t tokens : {int64_t(0), int64_t(-5), int64_t(1) << 33}) EXPECT_FALSE(budget({tokens, {}})) << tokens;
}

TEST(Config, ExtendsMergesTableByTable) {
  ConfigFolder folder;
  folder.write("base.toml", "name = \"base\"\n[model]\npath = \"m\"\ncontext = 64\n[cache]\ninterval = 2\nchunk = 3\n");
  folder.write("sub/one.toml", "extends = \"../base.toml\"\n[cache]\ninterval = 4\n[plugins]\npath = \"here\"\n");
  folder.write("sub/two.toml", "[cache]\nchunk = 5\n");
  const Config c = folder.one("extends = [\"sub/one.toml\", \"sub/two.toml\"]\n[model]\ncontext = 128\n");
  EXPECT_EQ(c.name, "x") << "names are not inherited";
  EXPECT_EQ(c.model, "m");
  EXPECT_EQ(c.context, 128u);
  EXPECT_EQ(c.cache.interval, 4u);
  EXPECT_EQ(c.cache.chunk, 5u);
  EXPECT_THAT(c.plugin_path, ElementsAre(folder.folder / "sub/here")) << "relative to the file that says so";
}

TEST(Config, AnotherModuleStartsAfresh) {
  ConfigFolder folder;
  folder.write("gear.toml", "[codec]\nname = \"gear\"\nbits = 2\nrank = 8\n");
  const Config same = folder.one("extends = \"gear.toml\"\n[codec]\nbits = 4\n");
  EXPECT_EQ(integer(*same.policy.key_codec, "rank"), 8);
  EXPECT_EQ(integer(*same.policy.key_codec, "bits"), 4);
  const Config other = folder.one("extends = \"gear.toml\"\n[codec]\nname = \"group\"\nbits = 4\n");
  EXPECT_EQ(other.policy.key_codec->params.size(), 1u);
  const Config none = folder.one("extends = \"gear.toml\"\n[codec]\nname = \"none\"\n");
  EXPECT_FALSE(none.policy.key_codec || none.policy.value_codec);
  EXPECT_FALSE(folder.one("extends = \"gear.toml\"\n", {"codec.name=none"}).policy.key_codec);
}

TEST(Config, SettingsWinOverFiles) {
  ConfigFolder folder;
  const std::string toml = "[codec]\nname = \"gear\"\nrank = 8\n[cache]\ninterval = 3\n";
  const Config c = folder.one(
      toml, {"cache.interval=5", "cache.budget=20%", "codec.bits=8", "model.path=a b#c", "cache.interval=6"});
  EXPECT_EQ(c.cache.interval, 6u) << "the last one counts";
  EXPECT_EQ(c.cache.budget->unit, Budget::Unit::kShare);
  EXPECT_EQ(integer(*c.policy.key_codec, "bits"), 8);
  EXPECT_EQ(integer(*c.policy.key_codec, "rank"), 8);
  EXPECT_EQ(c.model, "a b#c");
  EXPECT_EQ(c.model_place.text, "--set model.path");
  // Whatever the order, the parameters belong to the module named.
  for (const auto& order :
       {std::vector<std::string>{"codec.name=group", "codec.bits=8"}, {"codec.bits=8", "codec.name=group"}}) {
    const Config other = folder.one(toml, order);
    EXPECT_EQ(other.policy.key_codec->name, "group");
    EXPECT_EQ(other.policy.key_codec->params.size(), 1u);
  }
}

TEST(Config, SettingsAreTomlOrText) {
  ConfigFolder folder;
  const auto model = [&](const char* value) { return folder.one("", {std::string("model.path=") + value}).model; };
  EXPECT_EQ(model("\"quoted\""), "quoted");
  EXPECT_EQ(model("'literal\\'"), "literal\\");
  EXPECT_EQ(model("C:\\models\\x.gguf"), "C:\\models\\x.gguf");
  EXPECT_EQ(model("two\nlines"), "two\nlines");
  EXPECT_EQ(model("1979-05-27"), "1979-05-27");
  EXPECT_EQ(model("../m.gguf"), "../m.gguf");
  EXPECT_EQ(model(""), "");
  EXPECT_THAT(folder.one("", {"eval.tasks=[\"a\", \"b\"]"}).eval.tasks, ElementsAre("a", "b"));
  EXPECT_EQ(folder.one("", {"cache={interval = 9}"}).cache.interval, 9u);
  EXPECT_EQ(default_config(std::vector<std::string>{"cache.interval=9", "name=mine"}, nullptr).name, "mine");
  EXPECT_THAT(error_of([] { default_config(std::vector<std::string>{"sweep.variant=[]"}, nullptr); }).what(),
              HasSubstr("sweep works in files only"));
}

TEST(Config, SidesMayDiffer) {
  ConfigFolder folder;
  const Config c = folder.one(
      "[codec]\nname = \"gear\"\nbits = 2\nrank = 8\n[codec.key]\nbits = 4\n[codec.value]\nname = \"group\"\n");
  EXPECT_EQ(c.policy.key_codec->name, "gear");
  EXPECT_EQ(integer(*c.policy.key_codec, "bits"), 4);
  EXPECT_EQ(integer(*c.policy.key_codec, "rank"), 8);
  EXPECT_EQ(c.policy.value_codec->name, "group");
  EXPECT_TRUE(c.policy.value_codec->params.empty());
  const Config value_only = folder.one("[codec.value]\nname = \"group\"\n");
  EXPECT_FALSE(value_only.policy.key_codec);
  EXPECT_EQ(value_only.policy.value_codec->name, "group");
  const Config key_off = folder.one("[codec]\nname = \"gear\"\n[codec.key]\nname = \"none\"\n");
  EXPECT_FALSE(key_off.policy.key_codec);
  EXPECT_EQ(key_off.policy.value_codec->name, "gear");
}

TEST(Config, LayersReplaceWhatTheyName) {
  ConfigFolder folder;
  const Config c = folder.one(R"([cache]
budget = 64
[evictor]
name = "h2o"
sinks = 4
[codec]
name = "gear"
bits = 2
rank = 8
[[layers]]
range = "0-1"
codec.bits = 8
[[layers]]
range = 5
evictor.name = "none"
codec.name = "none"
[[layers]]
range = "7"
)");
  ASSERT_EQ(c.layers.size(), 3u);
  EXPECT_EQ(c.layers[0].first, 0u);
  EXPECT_EQ(c.layers[0].last, 1u);
  EXPECT_FALSE(c.layers[0].policy.evictor) << "not named, so the pipeline's";
  EXPECT_EQ(c.layers[0].policy.key_codec->name, "gear");
  EXPECT_EQ(integer(*c.layers[0].policy.key_codec, "bits"), 8);
  EXPECT_EQ(integer(*c.layers[0].policy.value_codec, "rank"), 8);
  EXPECT_EQ(integer(*c.policy.key_codec, "bits"), 2);
  EXPECT_EQ(c.layers[1].first, 5u);
  EXPECT_EQ(c.layers[1].last, 5u);
  ASSERT_TRUE(c.layers[1].policy.evictor && c.layers[1].policy.key_codec);
  EXPECT_EQ(c.layers[1].policy.evictor->name, "") << "switched off";
  EXPECT_EQ(c.layers[1].policy.value_codec->name, "");
  EXPECT_EQ(c.layers[2].last, 7u);
}

TEST(Sweep, GoesThroughAllCombinations) {
  ConfigFolder folder;
  const auto configs = folder.load("[sweep]\n\"cache.interval\" = [1, 16]\nmodel.path = [\"a\", \"b\", \"c\"]\n");
  EXPECT_THAT(names(configs), ElementsAre("x interval=1 path=a", "x interval=1 path=b", "x interval=1 path=c",
                                          "x interval=16 path=a", "x interval=16 path=b", "x interval=16 path=c"));
  EXPECT_EQ(configs[3].cache.interval, 16u);
  EXPECT_EQ(configs[3].model, "a");
}

TEST(Sweep, TellsAxesApart) {
  ConfigFolder folder;
  const auto configs = folder.load(
      "[cache]\nbudget = 9\n[sweep]\n\"evictor.name\" = [\"h2o\"]\n\"codec.name\" = [\"gear\", \"none\"]\n");
  EXPECT_THAT(names(configs), ElementsAre("x evictor.name=h2o codec.name=gear", "x evictor.name=h2o codec.name=none"));
  EXPECT_FALSE(configs[1].policy.key_codec);
}

TEST(Sweep, VariantsHaveKeysOfTheirOwn) {
  ConfigFolder folder;
  const auto configs = folder.load(R"(name = "all"
[cache]
interval = 3
[[sweep.variant]]
name = "plain"
[[sweep.variant]]
name = "fast"
"cache.interval" = 7
cache.chunk = 5
[sweep.variant.codec]
name = "gear"
)");
  EXPECT_THAT(names(configs), ElementsAre("plain", "fast"));
  EXPECT_EQ(configs[0].cache.interval, 3u);
  EXPECT_EQ(configs[1].cache.interval, 7u);
  EXPECT_EQ(configs[1].cache.chunk, 5u);
  EXPECT_TRUE(configs[1].policy.key_codec);
}

TEST(Sweep, AVariantsFileTakesThePlaceOfTheBase) {
  ConfigFolder folder;
  folder.write("base.toml", "[model]\npath = \"base\"\ncontext = 1\n[cache]\ninterval = 2\nchunk = 2\n");
  folder.write("a.toml", "extends = \"base.toml\"\nname = \"ignored\"\n[cache]\ninterval = 3\nchunk = 3\n");
  const std::string toml =
      "extends = \"base.toml\"\n[model]\npath = \"own\"\n[[sweep.variant]]\nextends = \"a.toml\"\n"
      "[[sweep.variant]]\nname = \"b\"\nextends = \"a.toml\"\ncache.chunk = 4\n";
  const auto configs = folder.load(toml);
  EXPECT_THAT(names(configs), ElementsAre("a", "b"));
  EXPECT_EQ(configs[0].model, "own") << "the file's own keys win over what a variant extends";
  EXPECT_EQ(configs[0].cache.interval, 3u) << "which wins over what the file extends";
  EXPECT_EQ(configs[1].cache.chunk, 4u) << "and a variant's keys win over all";
  const auto set = folder.load(toml, {"cache.chunk=9", "model.path=cli"});
  EXPECT_EQ(set[1].cache.chunk, 9u) << "but --set";
  EXPECT_EQ(set[0].model, "cli");
  folder.write("s.toml", "[sweep]\n\"cache.interval\" = [1]\n");
  EXPECT_EQ(folder.mistakes("[[sweep.variant]]\nextends = \"s.toml\"\n"),
            "x.toml:2:11: [[sweep.variant]] extends a file with a [sweep] of its own");
}

TEST(PluginPath, IsKnownBeforeTheFullCheck) {
  ConfigFolder folder;
  folder.write("base.toml", "[plugins]\npath = \"p\"\n");
  const auto file = folder.write("x.toml", "extends = \"base.toml\"\n[codec]\nname = \"unknown\"\nbits = []\n");
  EXPECT_THAT(configured_plugin_path(file, {}), ElementsAre(folder.folder / "p"));
  EXPECT_THAT(configured_plugin_path(file, std::vector<std::string>{"plugins.path=/other"}),
              ElementsAre(std::filesystem::path("/other")));
  EXPECT_TRUE(configured_plugin_path("/no/such.toml", {}).empty());
  EXPECT_TRUE(configured_plugin_path({}, {}).empty());
}

TEST(Params, PathsStartWhereTheyAreWritten) {
  ConfigFolder folder;
  folder.write("sub/base.toml", "[cache]\nbudget = 9\n[evictor]\nname = \"keyed\"\nseed = 1\ntable = \"a/../t.txt\"\n");
  const auto path = [&](const std::string& toml, std::vector<std::string> overrides = {}) {
    return std::get<std::string>(folder.one(toml, std::move(overrides)).policy.evictor->params.at("table").value);
  };
  EXPECT_EQ(path("extends = \"sub/base.toml\"\n"), (folder.folder / "sub/t.txt").string());
  EXPECT_EQ(path("extends = \"sub/base.toml\"\n[evictor]\ntable = \"t.txt\"\n"), (folder.folder / "t.txt").string());
  EXPECT_EQ(path("extends = \"sub/base.toml\"\n", {"evictor.table=t.txt"}),
            std::filesystem::absolute("t.txt").string());
  EXPECT_EQ(path("extends = \"sub/base.toml\"\n", {"evictor.table=/t.txt"}), "/t.txt");
  EXPECT_THAT(show_config(folder.folder / "x.toml", {}, &folder.registry),
              HasSubstr("table = \"" + (folder.folder / "sub/t.txt").string() + "\""));
  EXPECT_THAT(folder.mistakes("extends = \"sub/base.toml\"\n[evictor]\ntable = 3\n"),
              HasSubstr("[evictor] table takes a path, not 3"));
}

TEST(Params, ComeTypedAndInOrder) {
  ConfigFolder folder;
  const Config c = folder.one(
      "[cache]\nbudget = 9\n[evictor]\nname = \"h2o\"\ndecay = 1\nrecent = \"12.5%\"\n[codec]\nname = \"gear\"\nbits = "
      "8\nfast = false\nnote = \"hi\"\n");
  const sluice_module& h2o = folder.registry.find(SLUICE_EVICTOR, "h2o");
  const auto values = resolve_params(h2o, *c.policy.evictor);
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0].i, -1250);
  EXPECT_EQ(sluice_tokens(values[0].i, 100), 12u);
  EXPECT_EQ(values[1].i, 0);
  EXPECT_EQ(values[2].f, 1.0);
  EXPECT_EQ(describe_choice(h2o, *c.policy.evictor), "h2o recent=12.5% sinks=0 decay=1");
  const sluice_module& gear = folder.registry.find(SLUICE_CODEC, "gear");
  const auto codec = resolve_params(gear, *c.policy.key_codec);
  EXPECT_EQ(codec[0].i, 3) << "the index of 8 among 2|3|4|8";
  EXPECT_EQ(codec[3].i, 0);
  EXPECT_STREQ(codec[4].s, "hi");
  EXPECT_EQ(describe_choice(gear, *c.policy.key_codec), "gear bits=8 backbone=group rank=4 fast=false note=\"hi\"");
  EXPECT_EQ(describe_choice(gear, {"gear", {}, {}}), "gear bits=2 backbone=group rank=4 fast=true note=\"\"");
}

TEST(Params, MistakesComeTogether) {
  ConfigFolder folder;
  const ModuleChoice choice{
      "gear", {}, {{"bits", {int64_t(5), {"f:1:1"}}}, {"rnak", {true, {"f:2:1"}}}, {"rank", {1.5, {"f:3:1"}}}}};
  EXPECT_STREQ(error_of([&] { resolve_params(folder.registry.find(SLUICE_CODEC, "gear"), choice); }).what(),
               "f:1:1: [codec] bits takes one of 2, 3, 4, 8, not 5\n"
               "f:2:1: [codec] has no \"rnak\"; gear takes: bits, backbone, rank, fast, note (did you mean \"rank\"?)\n"
               "f:3:1: [codec] rank takes integer, 0 to 64, not 1.5");
}

TEST(FindModel, LooksBesideTheFileAndInTheCache) {
  ConfigFolder folder;
  folder.write("models/tiny.gguf", "x");
  folder.write("models/folder/config.json", "{}");
  folder.write("beside.gguf", "x");
  const std::string before = std::getenv("SLUICE_MODELS") ? std::getenv("SLUICE_MODELS") : "";
  ::setenv("SLUICE_MODELS", (folder.folder / "models").c_str(), 1);
  const Place here{"x.toml:1:1", folder.folder.path()};
  EXPECT_EQ(find_model("tiny", here), folder.folder / "models/tiny.gguf");
  EXPECT_EQ(find_model("folder", here), folder.folder / "models/folder");
  EXPECT_EQ(find_model("beside.gguf", here), folder.folder / "beside.gguf");
  EXPECT_EQ(find_model((folder.folder / "beside.gguf").string(), {}), folder.folder / "beside.gguf");
  EXPECT_EQ(folder.shortened(error_of([&] { find_model("tinny", here); }).what()),
            "x.toml:1:1: there is no model \"tinny\" (did you mean \"tiny\"?); looked for tinny, models/tinny.gguf, "
            "models/tinny");
  EXPECT_THAT(error_of([] { find_model("", {}); }).what(), HasSubstr("no model is given"));
  before.empty() ? ::unsetenv("SLUICE_MODELS") : ::setenv("SLUICE_MODELS", before.c_str(), 1);
}

}  // namespace
}  // namespace sluice
