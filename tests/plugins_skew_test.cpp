// Host and plugin of different age, on an interface that only tests know: what is adapted, what is refused, and in
// which words. The plugins are real libraries (bad_plugins/skew).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bad_plugins/skew/selftest.h"
#include "core/plugins/library.h"
#include "core/plugins/registry.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

// The step from revision 1 to 2 as a host writes it: a table of the new shape that calls the old one.
const selftest_1* adapted = nullptr;
const sluice_module* adapt(const sluice_module& older) {
  static const selftest_2 table = {[](int32_t more) { return adapted->answer() + more; }};
  static sluice_module module;
  adapted = static_cast<const selftest_1*>(older.table);
  module = older;
  module.interface_id = SELFTEST_2;
  module.table = &table;
  module.layout = SELFTEST_2_LAYOUT;
  return &module;
}

// Hosts of three ages: before revision 2; with it; and so long after that revision 1 is not adapted any more.
constexpr Interface kFirst[] = {{"sluice.selftest", 1, SELFTEST_1_LAYOUT, "answer"}};
constexpr Interface kSecond[] = {{"sluice.selftest", 1, SELFTEST_1_LAYOUT, "answer", adapt},
                                 {"sluice.selftest", 2, SELFTEST_2_LAYOUT, "answer"}};
constexpr Interface kLate[] = {{"sluice.selftest", 2, SELFTEST_2_LAYOUT, "answer"}};

class Skew : public ::testing::Test {
 protected:
  // What a host of these interfaces lists after it loaded the plugin.
  const std::vector<Module>& listed(const std::string& plugin, std::span<const Interface> host) {
    const std::filesystem::path file =
        std::filesystem::canonical(std::filesystem::path(SLUICE_SKEW_PLUGINS) / (plugin + ".sluice.so"));
    const LoadedLibrary loaded = load_library(file);
    EXPECT_TRUE(loaded.plugin) << loaded.reason;
    registry_ = std::make_unique<Registry>(std::span<const std::filesystem::path>(), pool_);
    registry_->add(*loaded.plugin, file, host);
    return registry_->modules();
  }
  std::string reason(const std::string& plugin, std::span<const Interface> host) {
    const auto& modules = listed(plugin, host);
    EXPECT_EQ(modules.size(), 1u);
    EXPECT_FALSE(modules[0].module);
    return modules[0].reason;
  }
  // The one usable module, and nothing that is not.
  const sluice_module& module(const std::string& plugin, std::span<const Interface> host) {
    const auto& modules = listed(plugin, host);
    EXPECT_EQ(modules.size(), 1u);
    EXPECT_EQ(modules.at(0).reason, "");
    return *modules.at(0).module;
  }
  static int32_t answer_2(const sluice_module& module, int32_t more) {
    EXPECT_STREQ(module.interface_id, SELFTEST_2);
    return static_cast<const selftest_2*>(module.table)->answer(more);
  }

 private:
  ThreadPool pool_{1};
  std::unique_ptr<Registry> registry_;
};

TEST_F(Skew, AnOlderPluginIsAdapted) {
  EXPECT_EQ(answer_2(module("older", kSecond), 40), 41);
  EXPECT_EQ(answer_2(module("same", kSecond), 40), 42);
}

TEST_F(Skew, APluginTooOldIsRefusedByItsId) {
  EXPECT_EQ(reason("older", kLate), "provides sluice.selftest/1, this host needs /2");
}

TEST_F(Skew, ANewerPluginIsRefusedByItsId) {
  EXPECT_EQ(reason("same", kFirst), "provides sluice.selftest/2, this host knows /1");
  EXPECT_EQ(reason("newer", kSecond), "provides sluice.selftest/3, this host knows /2");
}

// One that publishes two revisions runs on hosts of either age, each time as the newest that the host knows.
TEST_F(Skew, APluginOfTwoRevisionsRunsOnBothHosts) {
  EXPECT_EQ(static_cast<const selftest_1*>(module("both", kFirst).table)->answer(), 1);
  EXPECT_EQ(answer_2(module("both", kSecond), 40), 42) << "the adapted one was taken";
  EXPECT_EQ(answer_2(module("both", kLate), 40), 42);
  EXPECT_EQ(answer_2(module("next", kSecond), 40), 42);
}

TEST_F(Skew, RealHostsDoNotKnowIt) {
  EXPECT_EQ(reason("older", known_interfaces()), "provides sluice.selftest/1, an interface this host does not know");
}

}  // namespace
}  // namespace sluice
