// `sluice bench` on a tiny model: what its rows, pairs and kernels are called, what it refuses, and drivers that do not
// do as they should. No figure of speed is looked at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli_program.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class CliBench : public ::testing::Test {
 protected:
  CliBench() {
    TinyModel tiny;
    tiny.head_dim = 32;  // the least that codecs take
    write_tiny_gguf(folder_ / "tiny.gguf", tiny);
    full = write("full.toml", "");
    coded = write("coded.toml", "[codec]\nname = \"uniform\"\nbits = 4\nblock_rows = 16\n");
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << "[model]\npath = \"tiny.gguf\"\n" << text;
    return (folder_ / name).string();
  }
  // A driver that runs `text` as a shell script.
  std::string driver(const std::string& text) const {
    const std::string file = (folder_ / "driver.sh").string();
    std::ofstream(file) << text;
    return "/bin/sh " + file;
  }
  static Outcome bench(std::vector<std::string> words) {
    words.insert(words.begin(), "bench");
    return sluice(words);
  }
  static nlohmann::ordered_json json(std::vector<std::string> words) {
    words.push_back("--json");
    const Outcome outcome = bench(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::ordered_json::parse(outcome.out);
  }
  static std::vector<std::string> names(const nlohmann::ordered_json& object) {
    std::vector<std::string> list;
    for (const auto& [name, value] : object.items()) list.push_back(name);
    return list;
  }

  std::string full, coded;

 private:
  ScratchFolder folder_;
};

TEST_F(CliBench, ARowSaysWhatItIsAbout) {
  const auto rows = json({coded, "-p", "4", "-n", "3", "-r", "2", "-d", "40", "-t", "1", "--batch", "2"})["rows"];
  ASSERT_EQ(rows.size(), 2u);
  const auto& decode = rows[1];
  EXPECT_THAT(names(decode),
              ElementsAre("policy", "test", "n_prompt", "n_gen", "depth", "depth_by", "threads", "batch", "tok_s",
                          "tok_s_sd", "gb_s", "bandwidth_share", "gop_s", "multiply_share", "ideal_tok_s",
                          "ideal_share", "step_p99_ms", "step_max_ms", "rss_peak", "calls_per_step", "call_share",
                          "foreign_cpu", "kernel", "precision", "positions", "model", "weight_type", "roof_gb_s",
                          "roof_integer_gop_s", "roof_float_gop_s", "void", "void_reason", "kv"));
  EXPECT_EQ(decode["test"], "tg3");
  EXPECT_EQ(decode["batch"], 2);
  EXPECT_EQ(decode["depth_by"], "prefill");
  EXPECT_GT(decode["roof_gb_s"], 0);
  EXPECT_GT(decode["bandwidth_share"], 0);
  EXPECT_GT(decode["ideal_share"], 0);
  EXPECT_TRUE(decode["void"].is_boolean());
  EXPECT_EQ(decode["void_reason"].is_null(), !decode["void"].get<bool>());
  EXPECT_GE(decode["step_max_ms"], decode["step_p99_ms"]);
  const auto& prompt = rows[0];
  EXPECT_EQ(prompt["test"], "pp4");
  EXPECT_EQ(prompt["batch"], 1);
  for (const char* name : {"gb_s", "bandwidth_share", "step_p99_ms", "calls_per_step"})
    EXPECT_TRUE(prompt[name].is_null()) << name;
  EXPECT_GT(prompt["gop_s"], 0);
}

TEST_F(CliBench, WithoutARoofThereAreNoShares) {
  const std::vector<std::string> words = {full, "-p", "0", "-n", "2", "-r", "1", "--no-roof"};
  const auto row = json(words)["rows"][0];
  for (const char* name : {"bandwidth_share", "multiply_share", "ideal_share", "roof_gb_s", "void", "void_reason"})
    EXPECT_TRUE(row[name].is_null()) << name;
  EXPECT_GT(row["gb_s"], 0);
}

TEST_F(CliBench, VoidStandsInEveryFormat) {
  for (const char* format : {"md", "text", "csv", "jsonl", "sql", "json"}) {
    const Outcome outcome = bench({full, "-p", "0", "-n", "2", "-r", "1", "-t", "1", "-o", format});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("void")) << format;
  }
}

TEST_F(CliBench, ADepthMayBeTiled) {
  const auto rows = json({coded, "-p", "2", "-n", "2", "-r", "1", "-d", "100", "--depth-by", "tiling", "--batch", "1,3",
                          "--no-roof"})["rows"];
  ASSERT_EQ(rows.size(), 3u);
  for (const auto& row : rows) {
    EXPECT_EQ(row["depth_by"], "tiling");
    EXPECT_EQ(row["depth"], 100);
    EXPECT_LT(row["kv"]["ratio"], 0.9) << "it is coded";
  }
  const Outcome table =
      bench({full, "-n", "2", "-p", "0", "-r", "1", "-d", "100", "--depth-by", "tiling", "--no-roof"});
  EXPECT_THAT(table.out, HasSubstr("| 100 tiled |"));
  EXPECT_THAT(bench({full, "--depth-by", "tilling"}).err, HasSubstr("did you mean \"tiling\""));
}

TEST_F(CliBench, APairIsTheSecondAgainstTheFirst) {
  const auto pair = json({"--pair", full, "--pair", coded, "-n", "2", "-d", "20", "-r", "1", "--no-roof"})["pairs"][0];
  EXPECT_THAT(names(pair), ElementsAre("policy", "against", "test", "n_prompt", "n_gen", "depth", "depth_by", "threads",
                                       "batch", "tok_s", "against_tok_s", "ratio", "ratio_low", "ratio_high", "pairs",
                                       "dropped", "verdict", "against_kv_bytes", "kernel", "against_kernel",
                                       "precision", "model", "weight_type", "void", "void_reason", "kv"));
  EXPECT_EQ(pair["policy"], "coded");
  EXPECT_EQ(pair["against"], "full");
  EXPECT_EQ(pair["test"], "tg2");
  EXPECT_LE(pair["pairs"], 1);
  EXPECT_EQ(pair["verdict"], "not told apart") << "one pair is not enough";
  EXPECT_NE(pair["kv"]["bytes"], pair["against_kv_bytes"]);
}

// What one backend cannot do at the same time, two do.
TEST_F(CliBench, APairMayDifferInItsBackend) {
  const std::string portable = write("portable.toml", "[backend]\nisa = \"portable\"\n");
  const auto pair =
      json({"--pair", full, "--pair", portable, "-p", "4", "-r", "1", "-t", "1", "--no-roof"})["pairs"][0];
  EXPECT_EQ(pair["test"], "pp4");
  EXPECT_EQ(pair["kernel"], "portable");
  EXPECT_NE(pair["against_kernel"], nullptr);
}

TEST_F(CliBench, ADriverIsAskedInTurns) {
  const auto pair = json(
      {full, "-n", "2", "-r", "1", "--no-roof", "--versus",
       driver(
           "echo '# other 1.0'\nwhile read word; do sleep 0.3; echo \"$word\" >&2; echo 8 0.3; done\n")})["pairs"][0];
  EXPECT_EQ(pair["policy"], "full");
  EXPECT_EQ(pair["against"], "other 1.0");
  EXPECT_TRUE(pair["against_kv_bytes"].is_null());
  EXPECT_TRUE(pair["against_kernel"].is_null());
}

TEST_F(CliBench, ABadDriverEndsItAtOnce) {
  const auto versus = [&](const std::string& script, const std::string& limit) {
    return bench({full, "-n", "2", "-r", "1", "--no-roof", "--versus", driver(script), "--versus-limit", limit});
  };
  for (const auto& [script, limit, complaint] : std::vector<std::array<std::string, 3>>{
           {"exit 3\n", "60", "ended with exit code 3"},
           {"read word; exit 0\n", "60", "ended with exit code 0 without an answer"},
           {"sleep 60\n", "0.2", "has not answered \"go\" for 0.2 s"},
           {"while read word; do echo ready; done\n", "60", "answered \"ready\""}}) {
    const Outcome outcome = versus(script, limit);
    EXPECT_EQ(outcome.code, 1) << script;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("--versus \"/bin/sh "), HasSubstr(complaint))) << script;
    EXPECT_EQ(outcome.out, "") << script;
  }
  const Outcome missing = bench({full, "-n", "2", "--no-roof", "--versus", "/no/such/driver -t 2"});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("--versus \"/no/such/driver -t 2\": cannot be started"));
}

TEST_F(CliBench, ModesDoNotMix) {
  const std::pair<std::vector<std::string>, const char*> mistakes[] = {
      {{"--pair", full}, "--pair is given twice"},
      {{"--pair", full, "--pair", full, "--pair", full}, "here 3 time(s)"},
      {{full, "--pair", full, "--pair", full}, "is one configuration too many"},
      {{"--pair", full, "--pair", full, "--kernel", "list"}, "exclude each other"},
      {{full, coded, "-n", "2", "--versus", "/bin/true"}, "against one configuration, not 2"},
      {{full, "-n", "2,4", "--versus", "/bin/true"}, "a driver measures one test"},
      {{full, "-n", "2", "-t", "1,2", "--versus", "/bin/true"}, "a driver measures one test"},
      {{full, "--kernel", "q4_0_gemw"}, "no kernel \"q4_0_gemw\" (did you mean \"q4_0_gemv\"?)"},
      {{full, coded, "--kernel", "list"}, "--kernel takes one configuration"},
      {{full, "--kernel", "list", "--kernel-data", "disk"}, "memory, cache"},
  };
  for (const auto& [words, complaint] : mistakes) {
    const Outcome outcome = bench(words);
    EXPECT_EQ(outcome.code, 2) << complaint;
    EXPECT_THAT(outcome.err, HasSubstr(complaint));
  }
}

TEST_F(CliBench, KernelsAreListedWithTheCodecs) {
  const Outcome plain = bench({"--kernel", "list"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  for (const char* name : {"q4_0_gemv", "q8_0_gemm", "rmsnorm", "f16_dot", "softmax", "f16_accumulate"})
    EXPECT_THAT(plain.out, HasSubstr(name));
  EXPECT_THAT(plain.out, Not(HasSubstr("codec_")));
  const Outcome with = bench({coded, "--kernel", "list"});
  for (const char* name : {"codec_dot", "codec_accumulate", "codec_encode_k", "codec_encode_v"})
    EXPECT_THAT(with.out, HasSubstr(name));
}

// Exactly as often as asked: what counts instructions relies on it.
TEST_F(CliBench, EveryKernelCanBeCalledAlone) {
  const auto kernels =
      json({coded, "--kernel", "all", "--kernel-data", "cache", "-r", "2", "-t", "1", "--no-roof"})["kernels"];
  EXPECT_GT(kernels.size(), 25u);
  for (const auto& kernel : kernels) {
    EXPECT_THAT(names(kernel),
                ElementsAre("name", "threads", "data", "calls", "us", "us_sd", "gop_s", "gb_s", "bandwidth_share",
                            "multiply_share", "kernel", "precision", "void", "void_reason"));
    EXPECT_EQ(kernel["calls"], 2) << kernel["name"];
    EXPECT_GT(kernel["us"], 0) << kernel["name"];
  }
}

}  // namespace
}  // namespace sluice
