// Traces: a plugin that keeps all promises and yet chooses otherwise than it did is noticed by its trace alone; files
// that are none, and traces of other parameters, are told apart.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli_program.h"

namespace sluice::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

struct Finding {
  std::string verdict, reason;
};

// Of the check of the trace, and what else failed.
class CheckTraces : public ::testing::Test {
 protected:
  void place(const fs::path& library) { fs::copy_file(library, placed(), fs::copy_options::overwrite_existing); }
  fs::path placed() const { return folder_ / "placed.sluice.so"; }
  fs::path trace() const { return folder_ / "placed.trace.json"; }

  Finding check(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"plugin", "check", placed().string(), "--json", "--include", "trace"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = sluice(words);
    const auto json = nlohmann::json::parse(outcome.out, nullptr, false);
    if (json.is_discarded() || json["checks"].size() != 1) {
      ADD_FAILURE() << outcome.out << outcome.err;
      return {};
    }
    return {json["checks"][0]["verdict"], json["checks"][0]["reason"]};
  }
  std::vector<std::string> all_failures() {
    const Outcome outcome = sluice({"plugin", "check", placed().string(), "--json", "--only-failed"});
    std::vector<std::string> names;
    const auto json = nlohmann::json::parse(outcome.out);
    for (const auto& row : json["checks"]) names.push_back(row["check"]);
    return names;
  }
  Outcome keep(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"plugin", "trace", placed().string()};
    words.insert(words.end(), more.begin(), more.end());
    return sluice(words);
  }

 private:
  ScratchFolder folder_;
};

const fs::path kOther = SLUICE_TRACE_PLUGINS;
const fs::path kPolicies = SLUICE_PLUGINS;

TEST_F(CheckTraces, TellAnEvictorFromOneThatChoosesOtherwise) {
  place(fs::path(SLUICE_LIARS) / "good.sluice.so");
  EXPECT_EQ(check().verdict, "skip");
  EXPECT_EQ(keep().code, 0);
  EXPECT_EQ(check().verdict, "pass");
  EXPECT_EQ(check({"--seed", "99"}).verdict, "pass");
  place(kOther / "other_choice.sluice.so");
  EXPECT_EQ(all_failures(), std::vector<std::string>{"trace-same"});
  EXPECT_THAT(check().reason, AllOf(HasSubstr("decoding at interval 1: the victims of step "),
                                    HasSubstr("differ from those in placed.trace.json")));
  EXPECT_EQ(keep().code, 0);
  EXPECT_EQ(check().verdict, "pass");
}

TEST_F(CheckTraces, TellACodecFromOneThatCodesOtherwise) {
  place(fs::path(SLUICE_BAD_CODECS) / "good_one/good_one.sluice.so");
  EXPECT_EQ(keep().code, 0);
  EXPECT_EQ(check().verdict, "pass");
  place(kOther / "other_codes.sluice.so");
  EXPECT_EQ(all_failures(), std::vector<std::string>{"trace-same"});
  EXPECT_THAT(check().reason, HasSubstr("K, head_dim 64, 1 rows"));
}

TEST_F(CheckTraces, AreOfTheParametersTheyWereMadeWith) {
  place(kPolicies / "h2o.sluice.so");
  const std::vector<std::string> sinks = {"--set", "sinks=3"};
  EXPECT_EQ(keep().code, 0);
  EXPECT_EQ(check().verdict, "pass");
  EXPECT_EQ(check(sinks).verdict, "skip");
  EXPECT_EQ(check(sinks).reason, "placed.trace.json has no trace of recent = 50%, sinks = 3, decay = 1");
  EXPECT_EQ(keep(sinks).code, 0);
  EXPECT_EQ(keep(sinks).code, 0);
  EXPECT_EQ(check(sinks).verdict, "pass");
  EXPECT_EQ(check().verdict, "pass");
  EXPECT_EQ(nlohmann::json::parse(read_file(trace()))["traces"].size(), 2u);
}

TEST_F(CheckTraces, ThatAreDamagedFail) {
  place(kPolicies / "recent.sluice.so");
  for (const char* text : {"", "{}", "[1]", R"({"traces": 3})"}) {
    write_file(trace(), text);
    EXPECT_EQ(check().verdict, "FAIL") << text;
    EXPECT_THAT(check().reason, HasSubstr("is no file of traces")) << text;
  }
  const Outcome refused = keep();
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("is no file of traces"));

  fs::remove(trace());
  EXPECT_EQ(keep().code, 0);
  auto json = nlohmann::json::parse(read_file(trace()));
  const auto whole = json;
  std::string digests = json["traces"][0]["lines"][1]["digests"];
  json["traces"][0]["lines"][1]["digests"] = digests.substr(0, digests.size() - 8);
  write_file(trace(), json.dump());
  EXPECT_EQ(check().verdict, "FAIL");
  json = whole;
  json["traces"][0]["lines"].erase(2);
  write_file(trace(), json.dump());
  EXPECT_THAT(check().reason, HasSubstr("has no line of"));
}

TEST_F(CheckTraces, NameWhatTheyCannotServe) {
  place(kPolicies / "recent.sluice.so");
  const Outcome refused = keep({"--set", "sink=3"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("did you mean \"sinks\"?"));
  place(kPolicies / "cpu.sluice.so");
  EXPECT_THAT(keep().err, HasSubstr("offers neither an evictor nor a codec"));
}

}  // namespace
}  // namespace sluice::testing
