// The sampler sorts few tokens; the draws are those of the definition, which sorts all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/base/error.h"
#include "core/run/sampler.h"

namespace sluice {
namespace {

// By the definition: sort all, weigh, cut, draw.
int32_t pick_by_definition(const SamplerConfig& config, std::mt19937_64& random, const std::vector<float>& logits) {
  std::vector<std::pair<float, int32_t>> all;
  for (size_t i = 0; i < logits.size(); i++) all.push_back({-logits[i], int32_t(i)});
  std::sort(all.begin(), all.end());
  if (config.top_k) all.resize(std::min<size_t>(all.size(), config.top_k));
  std::vector<double> weights;
  double total = 0, mass = 0;
  for (const auto& [logit, id] : all) {
    const double w = std::exp((double(-logit) - double(-all[0].first)) / config.temperature);
    if (w < config.min_p) break;
    weights.push_back(w), total += w;
  }
  size_t count = 0;
  while (count < weights.size()) {
    mass += weights[count++];
    if (mass >= config.top_p * total) break;
  }
  double draw = std::uniform_real_distribution<double>(0, mass)(random);
  for (size_t i = 0; i < count; i++)
    if ((draw -= weights[i]) <= 0) return all[i].second;
  return all[count - 1].second;
}

TEST(RunSampler, DrawsAreThoseOfTheDefinition) {
  std::mt19937_64 source(7);
  for (double temperature : {0.05, 0.7, 1.0, 3.0})
    for (uint32_t top_k : {0u, 1u, 40u, 5000u})
      for (double top_p : {0.3, 0.95, 1.0})
        for (double min_p : {0.0, 0.05, 1.0}) {
          SamplerConfig config;
          config.temperature = temperature, config.top_k = top_k, config.top_p = top_p, config.min_p = min_p,
          config.seed = 11;
          Sampler sampler(config);
          std::mt19937_64 random(config.seed);
          std::normal_distribution<float> spread(0, 8);
          for (int draw = 0; draw < 20; draw++) {
            std::vector<float> logits(1000);
            for (float& x : logits) x = std::round(spread(source) * 4) / 4;  // with ties
            logits[draw] = -std::numeric_limits<float>::infinity();
            ASSERT_EQ(sampler.pick(logits), pick_by_definition(config, random, logits))
                << "temperature " << temperature << " top_k " << top_k << " top_p " << top_p << " min_p " << min_p;
          }
        }
}

TEST(RunSampler, LogitsThatAreNoNumbersAreRefused) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (double temperature : {0.0, 1.0}) {
    SamplerConfig config;
    config.temperature = temperature;
    Sampler sampler(config);
    EXPECT_THROW(sampler.pick(std::vector<float>{1, nan, 2}), Error);
    EXPECT_THROW(sampler.pick(std::vector<float>{nan, nan}), Error);
    EXPECT_THROW(sampler.pick(std::vector<float>{1, infinity}), Error);
    EXPECT_THROW(sampler.pick(std::vector<float>{-infinity, -infinity}), Error);
    EXPECT_EQ(sampler.pick(std::vector<float>{-infinity, 3, -infinity}), 1);
  }
}

}  // namespace
}  // namespace sluice
