// The program as people and scripts meet it: exit codes, what goes to stdout and what to stderr, suggestions, help.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli_program.h"
#include "support/scratch_folder.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Cli, NoCommandIsAUsageError) {
  const Outcome outcome = sluice({});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("Usage: sluice COMMAND"));
}

TEST(Cli, HelpAndVersionGoToStdout) {
  for (const char* word : {"--help", "-h", "help"}) {
    const Outcome outcome = sluice({word});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("  plugin "), HasSubstr("  config "), HasSubstr("  inspect ")));
    EXPECT_EQ(outcome.err, "");
  }
  const Outcome version = sluice({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, ::testing::MatchesRegex("sluice [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

// Every command explains itself, whichever way it is asked, and shows an example.
TEST(Cli, EveryCommandHasHelp) {
  const std::string overview = sluice({"help"}).out;
  size_t commands = 0;
  std::istringstream lines(overview);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  ")) continue;
    const std::string name = line.substr(2, line.find(' ', 2) - 2);
    const Outcome help = sluice({"help", name});
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_THAT(help.out, AllOf(StartsWith("Usage: sluice " + name), HasSubstr("Example"), HasSubstr("Options:")))
        << name;
    EXPECT_EQ(sluice({name, "--help"}).out, help.out) << name;
    EXPECT_EQ(sluice({name, "--no-such-option"}).code, 2) << name;
    ++commands;
  }
  EXPECT_GE(commands, 7u);
}

TEST(Cli, UnknownCommandsAndOptionsSuggest) {
  const Outcome command = sluice({"plugn"});
  EXPECT_EQ(command.code, 2);
  EXPECT_THAT(command.err, StartsWith("sluice: there is no command \"plugn\" (did you mean \"plugin\"?); commands: "));
  EXPECT_EQ(sluice({"help", "plugn"}).code, 2);
  const Outcome option = sluice({"inspect", "x", "--tensor"});
  EXPECT_EQ(option.code, 2);
  EXPECT_EQ(
      option.err,
      "sluice: sluice inspect has no option --tensor (did you mean \"--tensors\"?) (see `sluice help inspect`)\n");
  EXPECT_THAT(sluice({"plugin", "lst"}).err, HasSubstr("sluice plugin does not know \"lst\" (did you mean \"list\"?)"));
  EXPECT_THAT(sluice({"config", "chek"}).err, HasSubstr("(did you mean \"check\"?)"));
  EXPECT_THAT(sluice({"plugin", "list", "-o", "jsn"}).err,
              HasSubstr("--output takes md, json, not \"jsn\" (did you mean \"json\"?)"));
}

TEST(Cli, PositionalsAreCounted) {
  EXPECT_THAT(sluice({"inspect"}).err, HasSubstr("sluice inspect needs FILE"));
  EXPECT_THAT(sluice({"inspect", "a", "b"}).err, HasSubstr("does not know what to do with \"b\""));
  EXPECT_THAT(sluice({"plugin", "describe"}).err, HasSubstr("needs a module's name"));
  EXPECT_THAT(sluice({"config", "check"}).err, HasSubstr("needs a file"));
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"inspect"}, {"inspect", "a", "b"}, {"plugin"}, {"config"}, {"config", "schema", "x"}}) {
    EXPECT_EQ(sluice(words).code, 2) << words[0];
  }
}

TEST(Cli, PluginListSurvivesBrokenLibraries) {
  const Outcome list = sluice({"plugin", "list", "--path", SLUICE_BAD_PLUGINS});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, AllOf(HasSubstr("idle "), HasSubstr("unavailable:\n"),
                              HasSubstr("no_entry.sluice.so: exports no sluice_plugin_entry"),
                              HasSubstr("future_revision.sluice.so: provides sluice.evictor/2, this host knows /1")));
  EXPECT_EQ(list.err, "");
  const Outcome json = sluice({"plugin", "list", "--json", "--path", SLUICE_BAD_PLUGINS});
  size_t available = 0, refused = 0;
  for (const auto& row : nlohmann::json::parse(json.out)) {
    (row["available"].get<bool>() ? available : refused) += 1;
    EXPECT_EQ(row.contains("reason"), !row["available"].get<bool>());
  }
  EXPECT_GE(available, 1u);
  EXPECT_GE(refused, 8u);
  EXPECT_EQ(sluice({"plugin", "list", "--json"}, {"SLUICE_PLUGIN_PATH=" SLUICE_BAD_PLUGINS}).code, 0);
}

TEST(Cli, PluginDescribe) {
  const Outcome text = sluice({"plugin", "describe", "idle", "--path", SLUICE_BAD_PLUGINS});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, AllOf(StartsWith("idle (sluice.evictor/1 1)\nevicts nothing\n"), HasSubstr("no parameters")));
  const Outcome markdown = sluice({"plugin", "describe", "idle", "--markdown", "--path", SLUICE_BAD_PLUGINS});
  EXPECT_EQ(markdown.out, "### evictor `idle`\n\nevicts nothing.\n\nNo parameters.\n");
  const Outcome unknown = sluice({"plugin", "describe", "idel", "--path", SLUICE_BAD_PLUGINS});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("no plugin provides \"idel\" (did you mean \"idle\"?)"));
  const Outcome refused = sluice({"plugin", "describe", "bad_abi", "--path", SLUICE_BAD_PLUGINS});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("\"bad_abi\" is unavailable: "));
}

TEST(Cli, ConfigCheckReportsAllFilesAtOnce) {
  ScratchFolder folder;
  std::ofstream(folder / "a.toml") << "[cache]\ninterval = 0\n";
  std::ofstream(folder / "b.toml") << "[cache]\nchunck = 1\ncompact = 2\n";
  std::ofstream(folder / "c.toml") << "[cache]\nchunk = 1\n";
  const auto path = [&](const char* name) { return (folder / name).string(); };
  const Outcome bad = sluice({"config", "check", path("a.toml"), path("b.toml"), path("c.toml")});
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.out, "");
  EXPECT_THAT(bad.err, AllOf(HasSubstr("a.toml:2:12: "), HasSubstr("b.toml:2:1: [cache] has no \"chunck\""),
                             HasSubstr("b.toml:3:11: ")));
  const Outcome set = sluice({"config", "check", path("c.toml"), "--set", "cache.interval=0", "--set", "nonsense"});
  EXPECT_EQ(set.code, 2);
  EXPECT_THAT(set.err, AllOf(HasSubstr("--set cache.interval: [cache] interval takes"),
                             HasSubstr("--set nonsense: is not of the form")));
}

TEST(Cli, ConfigShowPrintsWhatWasSet) {
  const Outcome show = sluice({"config", "show", "--set", "cache.budget=20%", "--set", "sampler.top_k=4"});
  ASSERT_EQ(show.code, 0) << show.err;
  EXPECT_THAT(show.out,
              AllOf(HasSubstr("budget = \"20%\"                    # --set cache.budget"), HasSubstr("top_k = 4 ")));
  const Outcome schema = sluice({"config", "schema"});
  EXPECT_TRUE(nlohmann::json::accept(schema.out));
  EXPECT_THAT(sluice({"config", "schema", "--markdown"}).out, StartsWith("# Configuration\n"));
}

TEST(Cli, InspectShowsAModel) {
  ScratchFolder folder;
  const std::filesystem::path file = folder / "tiny.gguf";
  write_tiny_gguf(file, {});
  const Outcome text = sluice({"inspect", file.string()});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("layers             2"),
                              HasSubstr("heads              4, kv heads 2, head_dim 16"), HasSubstr("verdict: ok")));
  EXPECT_EQ(text.out.find("blk.0.attn_q.weight"), std::string::npos);
  const Outcome tensors = sluice({"inspect", file.string(), "--tensors", "--json"});
  const auto json = nlohmann::json::parse(tensors.out);
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["kv_bytes_per_token_f16"], 2 * 2 * 16 * 2 * 2);
  uint64_t bytes = 0;
  for (const auto& tensor : json["tensors"]) bytes += tensor["bytes"].get<uint64_t>();
  EXPECT_EQ(json["weight_bytes"], bytes);
  // By its name in the model cache.
  EXPECT_EQ(sluice({"inspect", "tiny"}, {"SLUICE_MODELS=" + folder.path().string()}).code, 0);
}

TEST(Cli, InspectSaysWhatIsDamaged) {
  ScratchFolder folder;
  const std::filesystem::path file = folder / "tiny.gguf";
  write_tiny_gguf(file, {});
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const Outcome cut = sluice({"inspect", file.string()});
  EXPECT_EQ(cut.code, 2);
  EXPECT_EQ(cut.out, "");
  EXPECT_THAT(cut.err, HasSubstr("tiny.gguf"));
  std::ofstream(folder / "text.gguf") << "this is no model";
  EXPECT_EQ(sluice({"inspect", (folder / "text.gguf").string()}).code, 2);
  const Outcome missing = sluice({"inspect", "tinny"}, {"SLUICE_MODELS=" + folder.path().string()});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("there is no model \"tinny\" (did you mean \"tiny\"?)"));
}

TEST(Cli, AFullDiskIsNoSuccess) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  ScratchFolder folder;
  const std::string err = (folder / "err").string();
  // Short output fails in the last flush, long output before it; a closed stdout has no number to write to.
  for (const char* words : {"help", "config schema", "plugin list"})
    for (const auto& [to, reason] : {std::pair("> /dev/full", "No space left on device"), {">&-", "Bad file"}}) {
      const std::string command = fmt::format("{} {} {} 2> {}", SLUICE_PROGRAM, words, to, err);
      EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1) << command;
      EXPECT_THAT(read_file(err), StartsWith(std::string("sluice: cannot write to stdout: ") + reason)) << command;
    }
}

TEST(Cli, PluginFoldersThatAreNotThereAreNamed) {
  const Outcome path = sluice({"plugin", "list", "--path", "/no/such"});
  EXPECT_EQ(path.code, 2);
  EXPECT_THAT(path.err, HasSubstr("--path /no/such is no folder"));
  const Outcome variable = sluice({"plugin", "list"}, {"SLUICE_PLUGIN_PATH=/no/such:" SLUICE_BAD_PLUGINS});
  EXPECT_EQ(variable.code, 0);
  EXPECT_EQ(variable.err, "sluice: SLUICE_PLUGIN_PATH: /no/such is no folder\n");
}

TEST(Cli, PluginDescribeAsJson) {
  const auto idle =
      nlohmann::json::parse(sluice({"plugin", "describe", "idle", "--json", "--path", SLUICE_BAD_PLUGINS}).out);
  ASSERT_EQ(idle.size(), 1u);
  EXPECT_EQ(idle[0]["interface"], "sluice.evictor/1");
  EXPECT_TRUE(idle[0]["parameters"].empty());
  const Outcome gear = sluice({"plugin", "describe", "gear", "--json"});
  ASSERT_EQ(gear.code, 0) << gear.err;
  const auto described = nlohmann::json::parse(gear.out);
  std::map<std::string, nlohmann::json> parameters;
  for (const auto& parameter : described[0]["parameters"]) parameters[parameter["name"]] = parameter;
  EXPECT_EQ(parameters.at("bits")["type"], "choice");
  EXPECT_FALSE(parameters.at("bits")["choices"].empty());
  EXPECT_TRUE(parameters.at("bits")["default"].is_number());
  EXPECT_EQ(parameters.at("rank")["type"], "int");
  EXPECT_EQ(parameters.at("rank")["range"].size(), 2u);
}

// What a plugin says of itself reaches neither the terminal as it is nor a parser of numbers.
TEST(Cli, PluginDescribeBearsOddTexts) {
  const std::vector<std::string> words = {"plugin", "describe", "odd-texts", "--path", SLUICE_ODD_PLUGINS};
  const auto with = [&](const char* option) {
    std::vector<std::string> all = words;
    all.push_back(option);
    return sluice(all);
  };
  const Outcome json = with("--json"), text = sluice(words), markdown = with("--markdown");
  ASSERT_EQ(json.code, 0) << json.err;
  std::map<std::string, nlohmann::json> parameters;
  const auto described = nlohmann::json::parse(json.out);
  for (const auto& parameter : described[0]["parameters"]) parameters[parameter["name"]] = parameter;
  EXPECT_EQ(parameters["agent"]["choices"], (nlohmann::json{"007", "008"}));
  EXPECT_EQ(parameters["agent"]["default"], "008");
  EXPECT_EQ(parameters["wide"]["choices"], (nlohmann::json{"123456789012345678901", INT64_MAX}));
  EXPECT_EQ(parameters["wide"]["default"], "123456789012345678901");
  EXPECT_EQ(parameters["free"]["default"], nullptr);
  EXPECT_EQ(parameters["text"]["default"], "a\"b\033c");
  EXPECT_EQ(parameters["share"]["default"], "50%");
  for (const Outcome& said : {text, markdown}) {
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.out.find('\033'), std::string::npos) << said.out;
    EXPECT_THAT(said.out, AllOf(HasSubstr("clears\\x1B[2J the screen"), HasSubstr("a paper\\x1B[2J"),
                                HasSubstr("choices that look\\x1B[2J like numbers"), HasSubstr("\"a\"b\\x1Bc\"")));
  }
  EXPECT_THAT(text.out, HasSubstr("(sluice.evictor/1 1\\x0A2)"));
}

TEST(Cli, AReaderThatLeavesIsNoFailure) {
  const std::string command = std::string("bash -c 'set -o pipefail; ") + SLUICE_PROGRAM + " help | true'";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 0);
}

}  // namespace
}  // namespace sluice
