// Oracles 25 and 26 of the algorithms page: policies order as theory says, on a random model and on real text; and
// what SIEVE keeps of a prompt is not just its end.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/report/statistics.h"
#include "support/run_setup.h"
#include "support/shared_data.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using testing::RunSetup;

struct Fidelity {
  double kld = 0, nll = 0;  // means over the positions
  uint32_t same_top = 0;    // of the first 64
};

// Every policy decodes the same tokens in lockstep; the first is the one that the others are held against.
std::vector<Fidelity> lockstep(RunSetup& s, const std::vector<std::vector<std::string>>& policies,
                               std::span<const int32_t> tokens) {
  std::vector<std::unique_ptr<SequenceCache>> caches;
  for (const auto& policy : policies) caches.push_back(s.cache(policy, uint32_t(tokens.size())));
  std::vector<Fidelity> result(policies.size());
  LogProbs truth;
  for (size_t t = 0; t + 1 < tokens.size(); t++) {
    std::vector<Feed> feeds;
    for (auto& cache : caches) feeds.push_back({cache.get(), tokens.subspan(t, 1), Want::kLast});
    s.engine->step(feeds, true, [&](std::span<const LogitRow> rows) {
      truth.set(rows[0].logits);
      for (uint32_t i = 0; i < rows.size(); i++) {
        const PositionScore score = score_position(truth, rows[i].logits, uint32_t(tokens[t + 1]));
        result[i].kld += score.kld / double(tokens.size() - 1), result[i].nll += score.nll / double(tokens.size() - 1);
        result[i].same_top += t < 64 && argmax(rows[i].logits) == argmax(rows[0].logits);
      }
    });
  }
  return result;
}

TEST(RunOracle, O25_MoreBitsAreNearerToFull) {
  const auto path = std::filesystem::temp_directory_path() / ("sluice_oracle_" + std::to_string(getpid()) + ".gguf");
  testing::TinyModel tiny;
  tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192;
  testing::write_tiny_gguf(path, tiny);
  {
    RunSetup s(path, 256);
    std::vector<int32_t> tokens;
    for (uint32_t i = 0; i < 200; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
    for (const char* name : {"uniform", "group", "gear"}) {
      SCOPED_TRACE(name);
      std::vector<std::vector<std::string>> policies = {{}, {}};
      for (const char* bits : {"8", "4", "3", "2"}) {
        policies.push_back({std::string("codec.name=") + name, std::string("codec.bits=") + bits});
        if (name != std::string("uniform")) policies.back().push_back("codec.group=32");
      }
      const std::vector<Fidelity> f = lockstep(s, policies, tokens);
      EXPECT_EQ(f[1].kld, 0);
      for (size_t i = 2; i < f.size(); i++) EXPECT_GT(f[i].kld, f[i - 1].kld) << "policy " << i;
      EXPECT_EQ(f[2].same_top, 64u);  // 8 bits
    }
  }
  std::filesystem::remove(path);
}

TEST(RunOracle, O26_OrderOnRealText) {
  SLUICE_NEED_REAL_MODEL(model);
  std::ifstream file(std::string(SLUICE_TEST_DATA) + "/reference/smollm2-135m-instruct-q4_1.json");
  const std::vector<int32_t> ids = nlohmann::json::parse(file)["ids"];
  RunSetup s(model, 512);
  const auto codec = [](const char* name, const char* bits) {
    return std::vector<std::string>{std::string("codec.name=") + name, std::string("codec.bits=") + bits};
  };
  const std::vector<Fidelity> f =
      lockstep(s, {{}, codec("gear", "4"), codec("group", "4"), codec("gear", "2"), codec("group", "2")},
               std::span(ids).first(384));
  for (size_t i = 0; i < f.size(); i++) std::printf("NLL %.4f, KLD %.4f\n", f[i].nll, f[i].kld);
  EXPECT_LT(f[1].kld, f[2].kld);  // gear4, group4
  EXPECT_LT(f[3].kld, f[4].kld);  // gear2, group2
  EXPECT_LT(f[2].kld, f[3].kld);  // two bits fewer cost more than gear repairs
  EXPECT_LT(f[0].nll, f[3].nll);
  EXPECT_LT(f[3].nll, f[4].nll);
}

// A prompt is ranked by the attention it got: what is kept reaches back beyond the newest rows.
TEST(RunOracle, SieveKeepsMoreThanTheNewestRowsOfAPrompt) {
  SLUICE_NEED_REAL_MODEL(model);
  std::ifstream file(std::string(SLUICE_TEST_DATA) + "/reference/smollm2-135m-instruct-q4_1.json");
  const std::vector<int32_t> ids = nlohmann::json::parse(file)["ids"];
  RunSetup s(model, 1024);
  const uint32_t budget = 128, interval = 16;
  auto cache = s.cache({"evictor.name=sieve", "cache.budget=128", "cache.interval=16"}, uint32_t(ids.size()));
  s.engine->prompt({cache.get(), ids, Want::kNothing}, nullptr, true, [](std::span<const LogitRow>) {});
  uint64_t kept = 0, newest = 0;
  for (uint32_t layer = 0; layer < s.engine->hyper().layers; layer++)
    for (uint32_t head = 0; head < s.engine->hyper().kv_heads; head++)
      for (uint32_t position : cache->live_positions(layer, head)) {
        kept++;
        newest += position >= ids.size() - (budget - interval + 1);
      }
  std::printf("SIEVE after a prompt of %zu: %.1f %% of the rows kept are the newest\n", ids.size(),
              100.0 * double(newest) / double(kept));
  for (const Instance& instance : cache->policy().instances)
    for (const Counter& counter : instance.counters())
      std::printf("%s %.4f\n", counter.name.c_str(), counter.numerator / std::max(counter.denominator, 1.0));
  EXPECT_LT(double(newest), 0.8 * double(kept));
  EXPECT_EQ(kept, uint64_t(budget - interval + 1) * s.engine->hyper().layers * s.engine->hyper().kv_heads);
}

}  // namespace
}  // namespace sluice
