// What every backend must do, on every instruction set that this machine has: the checks of `sluice plugin check`.
#include "tests/backend_fixture.h"
#include "tests/support/check_runner.h"

namespace sluice::testing {
namespace {

class BackendContract : public ::testing::TestWithParam<std::tuple<std::string, size_t>> {};
INSTANTIATE_TEST_SUITE_P(All, BackendContract,
                         ::testing::Combine(::testing::ValuesIn(usable_isas()),
                                            ::testing::Range(size_t(0), check::backend_checks().size())),
                         [](const auto& info) {
                           std::string name(check::backend_checks()[std::get<1>(info.param)].name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return std::get<0>(info.param) + "_" + name;
                         });

TEST_P(BackendContract, Holds) {
  const auto& [isa, index] = GetParam();
  const check::Check& each = check::backend_checks()[index];
  CpuPlugins plugins(2);
  const Options options{2, isa, "", true};
  const check::Subject subject{{}, &plugins.module(), &plugins.registry, cpu_values(plugins.module(), options), 1};
  const Finding found = run_check(each, subject);
  EXPECT_FALSE(found.bad()) << found.why;
  EXPECT_TRUE(each.name == "backend-replay" || found.verdict != check::Verdict::kSkip) << found.why;
}

}  // namespace
}  // namespace sluice::testing
