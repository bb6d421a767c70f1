// Two runs have the same identity if and only if their answers must be the same.
#include <gtest/gtest.h>

#include <fstream>

#include "core/eval/identity.h"
#include "support/eval_setup.h"

namespace sluice {
namespace {

using EvalIdentity = testing::EvalSetup;

TEST_F(EvalIdentity, IsOfAllThatAnAnswerFollowsFrom) {
  use({{}});
  std::map<std::string, uint32_t> hashed;
  const FileHash hash = [&](const std::filesystem::path& file) {
    hashed[file.filename().string()]++;
    return "hash of " + file.filename().string();
  };
  const auto of = [&](std::vector<std::string> settings, const EvalOptions& how) {
    return run_identity(*setup->engine, setup->config(std::move(settings)), how, hash);
  };
  const std::vector<std::string> base = {"codec.name=gear", "evictor.name=h2o", "cache.budget=20%"};
  const auto with = [&](const std::string& setting) {
    std::vector<std::string> settings = base;
    settings.push_back(setting);
    return of(settings, options);
  };
  const Identity identity = of(base, options);
  for (const char* file : {"gear.sluice.so", "h2o.sluice.so", "cpu.sluice.so"}) EXPECT_EQ(hashed[file], 1u) << file;
  EXPECT_EQ(hashed[model.filename().string()], 1u);
  EXPECT_EQ(hashed["sieve.sluice.so"], 0u);
  EXPECT_EQ(of(base, options), identity);
  EXPECT_EQ(with("backend.threads=7"), identity);
  EXPECT_EQ(with("codec.bits=2"), identity) << "the default";
  for (const char* setting :
       {"codec.bits=4", "evictor.recent=40%", "cache.budget=21%", "cache.budget=200", "cache.interval=4",
        "cache.compact=0.5", "cache.granularity=layer", "cache.prefill=chunked"})
    EXPECT_NE(with(setting), identity) << setting;
  EvalOptions same = options;
  same.batch = 7, same.share_prefix = false;
  EXPECT_EQ(of(base, same), identity);
  EvalOptions other = options;
  other.exact = false;
  EXPECT_NE(of(base, other), identity);
  other = options, other.score_window = 16;
  EXPECT_NE(of(base, other), identity);
  other = options, other.sampler.temperature = 1;
  EXPECT_NE(of(base, other), identity);
  // What a module calls its parts counts as well.
  hashed.clear();
  of({"evictor.name=test-part", "evictor.part=sieve", "cache.budget=20%"}, options);
  EXPECT_EQ(hashed["sieve.sluice.so"], 1u);
}

}  // namespace
}  // namespace sluice
