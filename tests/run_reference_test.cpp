// The engine against independent float64 programs: golden text, log-likelihoods of trained models, and every policy of
// the product in decode mode. The numbers are in tests/data/reference; what needs a model that is not at hand skips.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/report/statistics.h"
#include "core/run/generate.h"
#include "support/run_setup.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

using testing::RunSetup;

nlohmann::json reference(const std::string& name) {
  std::ifstream file(std::string(SLUICE_TEST_DATA) + "/reference/" + name + ".json");
  return nlohmann::json::parse(file);
}

TEST(RunReference, GoldenTextOfStories260K) {
  SLUICE_NEED_SHARED(model, "data/models/stories260K/stories260K.gguf");
  SLUICE_NEED_SHARED(golden, "data/models/stories260K/expected_greedy_200.txt");
  std::ifstream file(golden);
  const std::string want((std::istreambuf_iterator<char>(file)), {});
  RunSetup s(model, 512);
  auto cache = s.cache({}, 256);
  Sampler sampler({});
  GenerateOptions options;
  options.tokens = 200, options.exact = true;
  const Generation g = generate(*s.engine, *cache, s.engine->tokenizer().encode_prompt(""), sampler, options);
  EXPECT_EQ(g.tokens.size(), 200u);
  EXPECT_EQ(g.text, want);
}

struct Likelihood {
  double mean = 0, worst = 0;  // mean NLL; largest difference of a token's log-probability
};

// All ids but the last are fed one by one (or as one prompt); each is scored against the reference.
Likelihood likelihood(RunSetup& s, const nlohmann::json& ref, bool exact, bool prompt) {
  const std::vector<int32_t> ids = ref["ids"];
  const std::vector<double> want = ref["logprob"];
  auto cache = s.cache({}, uint32_t(ids.size()));
  Likelihood l;
  uint32_t position = 0;
  const LogitSink sink = [&](std::span<const LogitRow> rows) {
    for (const LogitRow& row : rows) {
      const double nll = negative_log_likelihood(row.logits, uint32_t(ids[position + 1]));
      l.mean += nll / double(want.size()), l.worst = std::max(l.worst, std::abs(nll + want[position]));
      position++;
    }
  };
  const std::span<const int32_t> fed(ids.data(), want.size());
  if (prompt) {
    s.engine->prompt({cache.get(), fed, Want::kAll}, nullptr, exact, sink);
  } else {
    for (size_t t = 0; t < fed.size(); t++) {
      const Feed feed{cache.get(), fed.subspan(t, 1), Want::kLast};
      s.engine->step({&feed, 1}, exact, sink);
    }
  }
  EXPECT_EQ(position, want.size());
  return l;
}

void check_tiny(const char* path, const char* name) {
  SLUICE_NEED_SHARED(model, path);
  const nlohmann::json ref = reference(name);
  RunSetup s(model, 512);
  for (bool prompt : {false, true}) {
    const Likelihood l = likelihood(s, ref, true, prompt);
    EXPECT_NEAR(l.mean, ref["nll_mean"].get<double>(), 1e-3);
    EXPECT_LT(l.worst, 2e-2);
    std::printf("%s, %s: mean NLL %.6f (reference %.6f), worst token %.1e\n", name, prompt ? "prompt" : "decode", l.mean, ref["nll_mean"].get<double>(), l.worst);
  }
}
TEST(RunReference, LikelihoodOfStories260K) { check_tiny("data/models/stories260K/stories260K.gguf", "stories260K"); }
TEST(RunReference, LikelihoodOfTinyStories656K) { check_tiny("data/models/tinystories-656K", "tinystories-656K"); }

TEST(RunReference, LikelihoodOfTheRealModel) {
  SLUICE_NEED_REAL_MODEL(model);
  const nlohmann::json ref = reference("smollm2-135m-instruct-q4_1");
  RunSetup s(model, 1024);
  const double want = ref["nll_mean"];
  const Likelihood exact = likelihood(s, ref, true, true), fast = likelihood(s, ref, false, true);
  std::printf("real model, prompt: mean NLL exact %.6f, fast %.6f (reference %.6f), worst token exact %.1e\n", exact.mean, fast.mean, want, exact.worst);
  EXPECT_NEAR(exact.mean, want, 1e-3);
  EXPECT_LT(exact.worst, 2e-2 + 2e-2);  // F16 rows: 2e-2, on a token of probability e-14 twice that
  EXPECT_NEAR(fast.mean, want, 0.02);
}

TEST(RunReference, GreedyTokensOfTheRealModel) {
  SLUICE_NEED_REAL_MODEL(model);
  RunSetup s(model, 1024);
  uint32_t exact_tokens = 0, fast_tokens = 0;
  const nlohmann::json ref = reference("smollm2-135m-instruct-q4_1");
  for (const auto& p : ref["greedy"]) {
    const std::vector<int32_t> prompt = p["prompt_ids"], want = p["generated_ids"];
    const std::vector<double> margins = p["margins"];
    auto cache = s.cache({}, uint32_t(prompt.size() + want.size()));
    Sampler sampler({});
    GenerateOptions options;
    options.tokens = uint32_t(want.size()), options.exact = true, options.ignore_end = true;
    const Generation g = generate(*s.engine, *cache, prompt, sampler, options);
    for (size_t i = 0; i < want.size() && margins[i] >= 0.05; i++, exact_tokens++) ASSERT_EQ(g.tokens[i], want[i]) << p["name"] << " token " << i;
    // In fast mode the given ids are fed; where the margin is clear the most likely token must be the same.
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), want.begin(), want.end() - 1);
    auto fed = s.cache({}, uint32_t(all.size()));
    s.engine->prompt({fed.get(), all, Want::kAll}, nullptr, false, [&](std::span<const LogitRow> rows) {
      for (const LogitRow& row : rows) {
        if (row.row + 1 < prompt.size()) continue;
        const size_t i = row.row + 1 - prompt.size();
        if (margins[i] > 1.0) {
          EXPECT_EQ(int32_t(argmax(row.logits)), want[i]) << p["name"] << " token " << i;
          fast_tokens++;
        }
      }
    });
  }
  std::printf("greedy: %u tokens equal in exact, %u with a clear margin in fast\n", exact_tokens, fast_tokens);
  EXPECT_GT(exact_tokens, 250u);
  EXPECT_GT(fast_tokens, 100u);
}

// One lockstep of 1,024 tokens over all policies that the references know: layer 0 strictly, means plausibly.
struct Case {
  const char* name;
  bool product;  // in policy_product.json, else in policy_reference.json
  std::vector<std::string> settings;
  double layer0, mean;  // tolerances
};

TEST(RunReference, PoliciesOfTheRealModel) {
  SLUICE_NEED_REAL_MODEL(model);
  const nlohmann::json ref = reference("smollm2-135m-instruct-q4_1");
  RunSetup s(model, 1024);
  auto codec = [](std::string name, std::vector<std::string> more) {
    std::vector<std::string> settings{"codec.name=" + name};
    for (std::string& m : more) settings.push_back("codec." + m);
    return settings;
  };
  auto evictor = [](std::string name, std::vector<std::string> more) {
    std::vector<std::string> settings{"evictor.name=" + name};
    settings.insert(settings.end(), more.begin(), more.end());
    return settings;
  };
  // The reference takes the exact SVD; sixteen loops of the power iteration come near enough to compare outputs.
  const std::vector<Case> cases = {
      {"full_fp16", false, {}, 1e-5, 1e-3},
      {"uniform8_token.chunk64", false, codec("uniform", {"bits=8"}), 1e-5, 0.005},
      {"uniform4_token.chunk64", false, codec("uniform", {"bits=4"}), 1e-5, 0.06},
      {"kivi2_g32_r32", false, codec("group", {"bits=2", "group=32", "residual=32", "value_window=sliding"}), 1e-5, 0.06},
      {"kivi2_g32_r32.sawtooth", false, codec("group", {"bits=2", "group=32", "residual=32"}), 1e-5, 0.06},
      {"kivi4_g32_r32", false, codec("group", {"bits=4", "group=32", "residual=32", "value_window=sliding"}), 1e-5, 0.005},
      {"streaming_4_252", false, evictor("recent", {"evictor.sinks=4", "cache.budget=256", "cache.interval=1"}), 1e-5, 0.005},
      {"h2o_128_128", false, evictor("h2o", {"evictor.recent=128", "cache.budget=256", "cache.interval=1"}), 1e-5, 0.01},
      {"group4", true, codec("group", {"bits=4"}), 1e-5, 0.06},
      {"group2", true, codec("group", {"bits=2"}), 1e-5, 0.06},
      {"gear4", true, codec("gear", {"bits=4", "rank=2", "loops=16"}), 1e-3, 0.06},
      {"gear2", true, codec("gear", {"bits=2", "rank=2", "loops=16"}), 1e-3, 0.06},
      {"gearl2", true, codec("gear", {"bits=2", "outliers=0", "loops=16"}), 1e-3, 0.06},
      {"gears2", true, codec("gear", {"bits=2", "rank=0", "rank_decode=0"}), 1e-3, 0.06},
      {"h2o", true, evictor("h2o", {"evictor.recent=64", "cache.budget=128", "cache.interval=1"}), 1e-5, 0.01},
      {"h2o_i16", true, evictor("h2o", {"evictor.recent=64", "cache.budget=128", "cache.interval=16"}), 1e-5, 0.01},
      {"sieve", true, evictor("sieve", {"cache.budget=128", "cache.interval=1"}), 1e-5, 0.04},
      {"recent", true, evictor("recent", {"cache.budget=128", "cache.interval=1"}), 1e-5, 0.01},
  };
  const std::vector<int32_t> ids = ref["ids"];
  const std::vector<uint32_t> positions[] = {ref["positions"], ref["product_positions"]};  // by Case::product
  const uint32_t n = uint32_t(cases.size()), heads = 9, head_dim = 64;
  std::vector<std::unique_ptr<SequenceCache>> caches;
  for (const Case& c : cases) {
    caches.push_back(s.cache(c.settings, uint32_t(ids.size())));
    caches.back()->record_victims(0);
  }
  struct Seen {
    double nll = 0, kld = 0, sum_abs = 0;
    std::vector<double> differences;  // of layer-0 outputs from the reference's
  };
  std::vector<Seen> seen(n);
  uint32_t position = 0;
  s.engine->attention(true).watch = [&](uint32_t layer, const Activations& a) {
    if (layer != 0) return;
    for (uint32_t i = 0; i < n; i++) {
      const std::vector<uint32_t>& known = positions[cases[i].product];
      const auto at = std::find(known.begin(), known.end(), position);
      const float* o = a.mix.data + uint64_t(i) * a.mix.cols;
      for (uint32_t c = 0; c < heads * head_dim; c++) seen[i].sum_abs += std::abs(double(o[c]));
      if (at == known.end()) continue;
      const auto& want = ref[cases[i].product ? "product" : "runs"][cases[i].name]["o"][at - known.begin()];
      for (uint32_t h = 0; h < heads; h++)
        for (uint32_t c = 0; c < 4; c++) seen[i].differences.push_back(std::abs(o[h * head_dim + c] - want[h * 4 + c].get<double>()));
    }
  };
  LogProbs truth;
  std::vector<PositionScore> scores(n);
  for (; position < ids.size(); position++) {
    std::vector<Feed> feeds;
    for (auto& cache : caches) feeds.push_back({cache.get(), std::span(ids).subspan(position, 1), Want::kLast});
    s.engine->step(feeds, true, [&](std::span<const LogitRow> rows) {
      truth.set(rows[0].logits);
      const uint32_t target = position + 1 < ids.size() ? uint32_t(ids[position + 1]) : 0;
      s.pool.each(uint32_t(rows.size()), [&](uint32_t i) { scores[i] = score_position(truth, rows[i].logits, target); });
    });
    for (uint32_t i = 0; i < n; i++) {
      seen[i].kld += scores[i].kld / double(ids.size());
      if (position + 1 < ids.size()) seen[i].nll += scores[i].nll / double(ids.size() - 1);
    }
  }
  for (uint32_t i = 0; i < n; i++) {
    const Case& c = cases[i];
    const auto& want = ref[c.product ? "product" : "runs"][c.name];
    const size_t beyond = size_t(std::count_if(seen[i].differences.begin(), seen[i].differences.end(), [&](double d) { return d > c.layer0; }));
    std::printf("%-24s layer 0: worst %.1e, %zu of %zu beyond %.0e, sum %.3f (%.3f); NLL %.4f (%.4f), KLD %.4f (%.4f)\n", c.name,
                *std::max_element(seen[i].differences.begin(), seen[i].differences.end()), beyond, seen[i].differences.size(), c.layer0, seen[i].sum_abs,
                want["sum_abs"].get<double>(), seen[i].nll, want["nll_mean"].get<double>(), seen[i].kld, want["kl_mean"].get<double>());
    EXPECT_EQ(beyond, 0u) << c.name;
    EXPECT_NEAR(seen[i].sum_abs / want["sum_abs"].get<double>(), 1, c.layer0 < 1e-4 ? 1e-4 : 2e-3) << c.name;
    EXPECT_NEAR(seen[i].nll, want["nll_mean"].get<double>(), c.mean) << c.name;
    if (want.contains("victims")) {
      for (uint32_t h = 0; h < 3; h++) {
        std::vector<uint32_t> victims = want["victims"][h], ours = caches[i]->recorded_victims().at(h);
        ASSERT_GE(ours.size(), victims.size());
        // Those of one eviction leave together, in whatever order.
        const uint32_t together = caches[i]->policy().interval;
        for (auto* list : {&victims, &ours})
          for (size_t first = 0; first + together <= list->size(); first += together)
            std::sort(list->begin() + std::ptrdiff_t(first), list->begin() + std::ptrdiff_t(first + together));
        victims.resize(victims.size() / together * together);
        EXPECT_TRUE(std::equal(victims.begin(), victims.end(), ours.begin())) << c.name << ", kv head " << h;
      }
    }
  }
  EXPECT_EQ(s.engine->decoded_rows(), 0u);  // attention read the packed rows as they are
}

}  // namespace
}  // namespace sluice
