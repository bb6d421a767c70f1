// Every built-in policy passes the checks of pipelines, and a codec or an evictor that spoils one fails it.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "core/config/config.h"
#include "core/plugins/registry.h"
#include "tests/support/check_runner.h"
#include "tests/support/extension_evictors.h"

namespace sluice::testing {
namespace {

Registry& built_in() {
  static ThreadPool pool(2);
  static const std::filesystem::path folder[] = {SLUICE_PLUGINS};
  static Registry registry(folder, pool);
  return registry;
}

// None for a module that cannot do without a parameter, as one that hosts a file.
std::optional<std::vector<sluice_value>> defaults(const sluice_module& module) {
  std::vector<sluice_value> values;
  for (uint32_t i = 0; i < module.param_count; i++) {
    if (module.params[i].required) return std::nullopt;
    values.push_back(module.params[i].initial);
  }
  return values;
}

TEST(Pipelines, BuiltInPoliciesPass) {
  uint32_t passed = 0;
  for (const Module& module : built_in().modules()) {
    if (!module.module || module.interface_id == SLUICE_BACKEND) continue;
    const auto values = defaults(*module.module);
    if (!values) continue;
    const check::Subject subject{module.library, module.module, &built_in(), *values, 1};
    for (const check::Check& each : check::pipeline_checks()) {
      const Finding found = run_check(each, subject);
      EXPECT_FALSE(found.bad()) << module.name << ", " << each.name << ": " << found.why;
      const bool may_skip = each.name == "pipeline-sides" && module.interface_id == SLUICE_EVICTOR;
      EXPECT_TRUE(may_skip || found.verdict != check::Verdict::kSkip)
          << module.name << ", " << each.name << ": " << found.why;
      passed += found.verdict == check::Verdict::kPass;
    }
  }
  EXPECT_GE(passed, 7u * 5) << "seven policies, and more checks than five";
}

// Those of the examples and of the tests offer what built-in evictors do without: rows, windows, budgets and parts.
TEST(Pipelines, EvictorsWithExtensionsPassAndAreAsked) {
  ThreadPool pool(1);  // the hooks are for one thread
  const std::filesystem::path folders[] = {SLUICE_EXAMPLES, SLUICE_PLUGINS};
  Registry registry(folders, pool);
  registry.read_part_params_with(read_part_params);
  registry.add(extension_evictors_plugin());
  uint32_t tried = 0;
  hooks.log = true;
  for (const Module& module : registry.modules()) {
    const bool example = module.library.parent_path() == std::filesystem::canonical(SLUICE_EXAMPLES);
    if (!module.module || module.interface_id != SLUICE_EVICTOR || !(example || module.library.empty())) continue;
    const auto values = defaults(*module.module);
    if (!values) continue;
    tried++;
    const check::Subject subject{module.library, module.module, &registry, *values, 1};
    for (const check::Check& each : check::pipeline_checks()) {
      const Finding found = run_check(each, subject);
      EXPECT_FALSE(found.bad()) << module.name << ", " << each.name << ": " << found.why;
    }
  }
  hooks.log = false;
  EXPECT_GE(tried, 8u + 4u);
  for (const char* verb : {"inserted", "window", "split", "ragged select"})
    EXPECT_NE(std::find(hooks.calls.begin(), hooks.calls.end(), verb), hooks.calls.end()) << verb;
  hooks.calls.clear();
}

// Codecs that break a promise of their own (bad_plugins/codec) break the pipeline where core counts on it.
TEST(Pipelines, BadCodecsFail) {
  const struct {
    const char *library, *check, *says;
  } all[] = {{"good_one", nullptr, ""},
             {"unseeded", "pipeline-identity", "other logits"},
             {"account_wrong", "pipeline-ledger", "add up to"},
             {"nan_output", nullptr, ""}};  // no NaN comes its way
  for (const auto& bad : all) {
    ThreadPool pool(2);
    const std::filesystem::path folders[] = {std::filesystem::path(SLUICE_BAD_CODECS) / bad.library, SLUICE_PLUGINS};
    Registry registry(folders, pool);
    const check::Subject subject{{}, &registry.find(SLUICE_CODEC, "bad"), &registry, {}, 1};
    for (const check::Check& each : check::pipeline_checks()) {
      const bool named = bad.check && each.name == bad.check;
      if (bad.check && !named) continue;
      const Finding found = run_check(each, subject);
      EXPECT_EQ(found.bad(), named) << bad.library << ", " << each.name << ": " << found.why;
      EXPECT_TRUE(!named || found.why.find(bad.says) != std::string::npos) << found.why;
    }
  }
}

}  // namespace
}  // namespace sluice::testing
