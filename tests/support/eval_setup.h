// What tests of evaluations share: a generated model, policies of every kind, requests that begin alike, and answers
// by policy and request.
#pragma once

#include <unistd.h>

#include <map>

#include "core/eval/run.h"
#include "support/cache_driver.h"
#include "support/run_setup.h"
#include "support/tiny_model.h"

namespace sluice::testing {

// Rows of 64 tokens and less, so that short prompts are compressed.
inline const std::vector<std::vector<std::string>> kEvalPolicies = {
    {},
    {"codec.name=uniform", "codec.bits=8", "codec.block_rows=16"},
    {"codec.name=group", "codec.bits=2", "codec.group=32", "codec.residual=32", "codec.value_window=sliding"},
    {"codec.name=gear", "codec.group=32", "codec.buffer=32"},
    {"evictor.name=h2o", "cache.budget=50%", "cache.interval=4"},
    {"evictor.name=sieve", "evictor.recent=8", "cache.budget=40", "cache.interval=4"},
    {"codec.name=gear", "codec.group=32", "codec.buffer=32", "evictor.name=h2o", "cache.budget=72", "cache.interval=4"},
    {"evictor.name=test-window", "cache.budget=40", "cache.interval=4"},
    {"codec.name=uniform", "codec.block_rows=16", "evictor.name=test-ragged", "cache.budget=48", "cache.interval=4"},
    {"evictor.name=h2o", "cache.budget=40", "cache.interval=4", "cache.positions=rolling"},
    {"codec.name=uniform", "codec.block_rows=16", "evictor.name=recent", "cache.budget=48", "cache.interval=4",
     "cache.prefill=chunked", "cache.chunk=24"},
};

class EvalSetup : public ::testing::Test {
 protected:
  static constexpr uint32_t kShared = 60;  // tokens that all prompts begin with

  std::filesystem::path model =
      std::filesystem::temp_directory_path() / ("sluice_eval_" + std::to_string(getpid()) + ".gguf");
  std::unique_ptr<RunSetup> setup;
  std::vector<Config> configs;
  std::vector<EvalPolicy> policies;
  std::vector<EvalRequest> requests;
  std::vector<EvalJob> jobs;  // all requests of the first policy, then of the next
  EvalOptions options;

  EvalSetup() {
    TinyModel tiny;
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192;
    write_tiny_gguf(model, tiny);
    hooks = {};
    options.exact = true;
  }
  ~EvalSetup() override {
    hooks = {};
    setup.reset();
    std::filesystem::remove(model);
  }

  // One thread: on a busy machine threads wait for one another far longer than they work.
  void use(const std::vector<std::vector<std::string>>& settings, unsigned threads = 1) {
    policies.clear(), configs.clear();
    setup = std::make_unique<RunSetup>(model, 256, threads);
    setup->registry.add(identity_codec_plugin());
    configs.reserve(settings.size());
    for (const auto& s : settings) {
      configs.push_back(setup->config(s));
      configs.back().name = "policy " + std::to_string(policies.size());
      policies.push_back({&configs.back(), &setup->policy(s)});
    }
  }
  // Prompts of kShared + 20, + 27, ... tokens.
  void ask(uint32_t count, const std::function<void(EvalRequest&)>& fill) {
    requests.clear();
    for (uint32_t r = 0; r < count; r++) {
      EvalRequest& request = requests.emplace_back();
      request.id = 100 + r;
      for (uint32_t i = 0; i < kShared + 20 + 7 * r; i++)
        request.prompt.push_back(int32_t(3 + (i < kShared ? i * 37 + i * i : i * (41 + 3 * r) + r) % 317));
      fill(request);
    }
    pair_all();
  }
  void pair_all() {
    jobs.clear();
    for (uint32_t p = 0; p < policies.size(); p++)
      for (uint32_t r = 0; r < requests.size(); r++) jobs.push_back({p, r});
  }
  // By (policy, request).
  using Answers = std::map<std::pair<uint32_t, uint32_t>, Answer>;
  Answers run(EvalRun* how = nullptr) {
    Answers answers;
    options.answer = [&](const Answer& a) {
      EXPECT_TRUE(answers.emplace(std::pair(a.policy, a.request), a).second) << "answered twice";
    };
    const EvalRun run = run_evaluation(*setup->engine, policies, requests, jobs, options);
    EXPECT_LE(run.arena_peak, run.plan.in_arena());
    if (how) *how = run;
    return answers;
  }
};

}  // namespace sluice::testing
