// The program with the cuda backend on the emulated GPU: how it says that a codec is only simulated, and what it says
// and does where the driver is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli_program.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using namespace testing;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kReason[] = "no NVIDIA driver on this machine; install one, or use backend \"cpu\"";

class CudaProgram : public ::testing::Test {
 protected:
  CudaProgram() {
    TinyModel tiny;
    tiny.layers = 1, tiny.head_dim = 32, tiny.width = 64, tiny.ffn = 96, tiny.vocab = 300, tiny.context = 1024;
    write_tiny_gguf(path("tiny.gguf"), tiny);
    coded_ = write("coded.toml", "[codec]\nname = \"uniform\"\nbits = 4\nblock_rows = 16\n");
    std::ofstream(path("text.txt")) << "some words that a tiny model finds as good as any others, one like another";
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << "[model]\npath = \"tiny.gguf\"\n[backend]\nname = \"cuda\"\n" << text;
    return path(name);
  }
  static Outcome ask(const std::vector<std::string>& words) {
    return sluice(words, {"SLUICE_PLUGIN_PATH=" SLUICE_EMULATED});
  }
  static Outcome without_driver(const std::vector<std::string>& words) {
    return sluice(words, {"SLUICE_PLUGIN_PATH=" SLUICE_EMULATED, "SLUICE_EMULATED_GPU_ABSENT=1"});
  }

  ScratchFolder folder_;
  std::string coded_;
};

TEST_F(CudaProgram, IsListedWithTheReasonWhyItCannotBeUsed) {
  EXPECT_THAT(ask({"plugin", "list"}).out, AllOf(HasSubstr("NVIDIA"), Not(HasSubstr(kReason))));
  const Outcome text = without_driver({"plugin", "list"});
  EXPECT_EQ(text.code, 0);
  const size_t at = text.out.find("unavailable:\n");
  ASSERT_NE(at, std::string::npos) << text.out;
  EXPECT_THAT(text.out.substr(at), AllOf(HasSubstr("cuda "), HasSubstr(kReason)));
  EXPECT_THAT(text.out.substr(0, at), AllOf(HasSubstr("cpu "), Not(HasSubstr("cuda "))));
  for (const json& module : json::parse(without_driver({"plugin", "list", "-o", "json"}).out)) {
    if (module["name"] != "cuda") continue;
    EXPECT_EQ(module["available"], false);
    EXPECT_EQ(module["reason"], kReason);
    return;
  }
  FAIL() << "cuda is not in the list";
}

TEST_F(CudaProgram, IsCheckedAsFarAsItCanBe) {
  const Outcome checked = without_driver({"plugin", "check", "cuda_emulated", "--json"});
  EXPECT_EQ(checked.code, 0) << checked.out << checked.err;
  uint32_t passed = 0, skipped = 0;
  const json result = json::parse(checked.out);
  for (const json& row : result["checks"]) {
    passed += row["verdict"] == "pass";
    if (row["verdict"] != "skip" || row["module"].is_null()) continue;
    skipped++;
    EXPECT_EQ(row["reason"], kReason);
  }
  EXPECT_GT(passed, 0u);    // of the library itself
  EXPECT_GT(skipped, 20u);  // of the backend
}

TEST_F(CudaProgram, ARunWithoutADriverNamesCauseAndRemedy) {
  const Outcome refused =
      without_driver({"run", "-m", path("tiny.gguf"), "--text", "some", "-n", "2", "--set", "backend.name=cuda"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, AllOf(HasSubstr("backend cuda"), HasSubstr(kReason)));
  const Outcome cpu = without_driver({"run", "-m", path("tiny.gguf"), "--text", "some", "-n", "2"});
  EXPECT_EQ(cpu.code, 0) << cpu.err;
}

TEST_F(CudaProgram, SimulatedCodecsHaveErrorsButNeitherBytesNorSpeed) {
  const Outcome compared =
      ask({"compare", coded_, "--file", path("text.txt"), "--tokens", "40", "--no-speed", "-o", "json"});
  ASSERT_EQ(compared.code, 0) << compared.err;
  const json result = json::parse(compared.out);
  bool found = false;
  for (const json& row : result["policies"]) {
    if (row["policy"] != "coded") continue;
    found = true;
    EXPECT_EQ(row["kv"]["stored"], false);
    EXPECT_TRUE(row["kv"]["bytes"].is_null());
    EXPECT_TRUE(row["tok_s"].is_null());
    EXPECT_GT(row["kld_mean"], 0.0);
    EXPECT_GT(row["compressed_before_scoring"], 0);
    EXPECT_THAT(row["settings"].get<std::string>(), HasSubstr("simulated"));
  }
  EXPECT_TRUE(found) << compared.out;

  const Outcome benched = ask({"bench", coded_, "-p", "0", "-n", "1", "-r", "1", "--no-roof"});
  EXPECT_EQ(benched.code, 2);
  EXPECT_THAT(benched.err, AllOf(HasSubstr("simulated"), HasSubstr("use backend \"cpu\"")));

  const Outcome ran = ask({"run", coded_, "--text", "some words of a text that fills a block", "-n", "2"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("KV simulated"));
}

TEST_F(CudaProgram, AnEvaluationSaysWhatWasSimulated) {
  std::ofstream data(path("adds.jsonl"));
  data << "{\"question\": \"How much is 3 and 4?\", \"answer\": \"7\"}\n";
  data.close();
  std::ofstream(path("adds.toml")) << R"(
name = "adds"
about = "sums"
protocol = "sluice"
version = "1"
kind = "generate"
[data]
reader = "jsonl"
split = "test"
files = { test = "adds.jsonl" }
[prompt]
text = "Q: {{question}}\nA:"
target = "{{answer}}"
[generate]
stops = ["Q:"]
max_tokens = 4
[metric]
names = ["exact_match"]
[[filters]]
name = "last"
regex = '-?[0-9]+'
group_select = -1
)";
  const Outcome ran = ask({"eval", coded_, "--tasks", path("adds.toml"), "--data", folder_.path().string(), "--out",
                           path("out"), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  bool found = false;
  const json result = json::parse(ran.out);
  for (const json& policy : result["policies"]) {
    const json& kv = policy["tasks"]["adds"]["kv"];
    const bool coded = policy["policy"] == "coded";
    found |= coded;
    EXPECT_EQ(kv["stored"], !coded);
    EXPECT_EQ(kv["bytes"].is_null(), coded);
  }
  EXPECT_TRUE(found) << ran.out;
}

}  // namespace
}  // namespace sluice
