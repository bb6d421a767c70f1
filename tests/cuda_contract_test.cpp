// What every backend must do, by the cuda backend on the emulated GPU: the checks of `sluice plugin check`.
#include <gtest/gtest.h>

#include "core/check/backend_checks.h"
#include "tests/cuda_fixture.h"
#include "tests/support/check_runner.h"

namespace sluice::testing {
namespace {

class CudaContract : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(All, CudaContract, ::testing::Range(size_t(0), check::backend_checks().size()),
                         [](const auto& info) {
                           std::string name(check::backend_checks()[info.param].name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(CudaContract, Holds) {
  const check::Check& each = check::backend_checks()[GetParam()];
  CudaPlugins plugins;
  const check::Subject subject{{}, &plugins.module(), &plugins.registry, plugins.values(), 1};
  const Finding found = run_check(each, subject);
  EXPECT_FALSE(found.bad()) << found.why;
}

}  // namespace
}  // namespace sluice::testing
