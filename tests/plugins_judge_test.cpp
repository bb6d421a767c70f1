// What the host refuses before it calls anything, and in which words.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "core/plugins/describe.h"
#include "core/plugins/interfaces.h"
#include "sluice/extensions.h"
#include "support/test_module.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string reason(const sluice_module& module) { return judge_module(module).reason; }

TEST(Judge, TakesASoundModule) {
  TestModule sound("sound");
  const Verdict verdict = judge_module(sound.module);
  EXPECT_EQ(verdict.module, &sound.module);
  EXPECT_EQ(verdict.reason, "");
}

TEST(Judge, NamesBothLayouts) {
  TestModule other("other", SLUICE_EVICTOR, 0x12345678u);
  EXPECT_EQ(reason(other.module),
            fmt::format("was built against other headers (layout 0x12345678, this host has 0x{:08X})",
                        SLUICE_EVICTOR_LAYOUT));
}

TEST(Judge, NamesBothRevisions) {
  EXPECT_EQ(reason(TestModule("x", "sluice.evictor/2").module), "provides sluice.evictor/2, this host knows /1");
  EXPECT_EQ(reason(TestModule("x", "sluice.evictor/0").module), "provides sluice.evictor/0, this host needs /1");
  EXPECT_EQ(reason(TestModule("x", "acme.thing/1").module),
            "provides acme.thing/1, an interface this host does not know");
  for (const char* malformed : {"sluice.evictor", "sluice.evictor/", "sluice.evictor/x", "/1", "", "sluice.evictor/1x",
                                "sluice.evictor/01", "sluice.evictor/00", "sluice.evictor/+1"}) {
    EXPECT_THAT(reason(TestModule("x", malformed).module), HasSubstr("does not know")) << malformed;
  }
}

// Version skew as it will be once an interface has two revisions, on an interface of the test's own.
namespace skew {

TestModule newer("skewed", "sluice.selftest/2", 222);

const sluice_module* adapt(const sluice_module& older) { return older.layout == 111 ? &newer.module : nullptr; }
const sluice_module* cannot(const sluice_module&) { return nullptr; }

constexpr Interface kAdapted[] = {{"sluice.selftest", 1, 111, "", adapt}, {"sluice.selftest", 2, 222, ""}};
constexpr Interface kNotAdapted[] = {{"sluice.selftest", 1, 111, "", cannot}, {"sluice.selftest", 2, 222, ""}};
constexpr Interface kForgotten[] = {{"sluice.selftest", 2, 222, ""}};

}  // namespace skew

TEST(Judge, AdaptsAnOlderRevision) {
  TestModule older("skewed", "sluice.selftest/1", 111);
  EXPECT_EQ(judge_module(older.module, skew::kAdapted).module, &skew::newer.module);
  EXPECT_EQ(judge_module(skew::newer.module, skew::kAdapted).module, &skew::newer.module);
  EXPECT_EQ(judge_module(older.module, skew::kNotAdapted).reason, "provides sluice.selftest/1, this host needs /2");
  EXPECT_EQ(judge_module(older.module, skew::kForgotten).reason, "provides sluice.selftest/1, this host needs /2");
  TestModule wrong("skewed", "sluice.selftest/1", 112);
  EXPECT_THAT(judge_module(wrong.module, skew::kAdapted).reason,
              HasSubstr("layout 0x00000070, this host has 0x0000006F"));
  TestModule future("skewed", "sluice.selftest/3", 333);
  EXPECT_EQ(judge_module(future.module, skew::kAdapted).reason, "provides sluice.selftest/3, this host knows /2");
}

TEST(Judge, MissesNoNullInATable) {
  TestModule evictor("x");
  evictor.table[6] = nullptr;
  EXPECT_EQ(reason(evictor.module), "its insert is NULL");
  evictor.module.table = nullptr;
  EXPECT_EQ(reason(evictor.module), "its table is NULL");
}

TEST(Judge, KnowsWhichMembersAreOptional) {
  TestModule codec("x", SLUICE_CODEC, SLUICE_CODEC_LAYOUT);
  codec.table[8] = nullptr;  // retain
  EXPECT_EQ(reason(codec.module), "");
  codec.table[9] = nullptr;  // dot alone
  EXPECT_EQ(reason(codec.module), "only one of accumulate and its partner is given");
  codec.table[10] = nullptr;
  EXPECT_EQ(reason(codec.module), "");
  codec.table[7] = nullptr;
  EXPECT_EQ(reason(codec.module), "its account is NULL");
}

TEST(Judge, WantsNamesThatTomlCanHold) {
  for (const char* name : {"", "Upper", "with space", "dot.ted", "\xC3\xA4"}) {
    EXPECT_THAT(reason(TestModule(name).module), HasSubstr("its name is empty")) << name;
  }
  TestModule nameless("x");
  nameless.module.name = nullptr;
  EXPECT_THAT(reason(nameless.module), HasSubstr("its name is empty"));
}

std::string param_reason(const sluice_param& one) {
  TestModule module("x");
  module.set_params({one});
  return reason(module.module);
}

TEST(Judge, WantsASaneParameterList) {
  const auto i = int_value;
  EXPECT_EQ(param_reason(param("a", SLUICE_INT, i(3), i(0), i(3))), "");
  EXPECT_THAT(param_reason(param("a", SLUICE_INT, i(4), i(0), i(3))),
              HasSubstr("\"a\" has a default outside min and max"));
  EXPECT_EQ(param_reason(param("a", SLUICE_INT, i(4), i(0), i(3), nullptr, true)), "");
  EXPECT_THAT(param_reason(param("a", SLUICE_INT, i(4), i(5), i(3))), HasSubstr("min above max"));
  EXPECT_EQ(param_reason(param("a", SLUICE_FLOAT, float_value(0.5), float_value(0), float_value(1))), "");
  EXPECT_THAT(param_reason(param("a", SLUICE_FLOAT, float_value(NAN), float_value(0), float_value(1))),
              HasSubstr("outside"));
  EXPECT_THAT(param_reason(param("a", SLUICE_FLOAT, float_value(0), float_value(NAN), float_value(1))),
              HasSubstr("min above"));
  EXPECT_THAT(param_reason(param("a", SLUICE_BOOL, i(2))), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(param_reason(param("a", SLUICE_STRING, text_value(nullptr))), HasSubstr("NULL as its default"));
  EXPECT_THAT(param_reason(param("a", SLUICE_PATH, text_value(nullptr))), HasSubstr("NULL as its default"));
  EXPECT_EQ(param_reason(param("a", SLUICE_CHOICE, i(1), {}, {}, "x|y")), "");
  EXPECT_THAT(param_reason(param("a", SLUICE_CHOICE, i(2), {}, {}, "x|y")), HasSubstr("none of its choices"));
  EXPECT_THAT(param_reason(param("a", SLUICE_CHOICE, i(0), {}, {}, nullptr)), HasSubstr("without choices"));
  EXPECT_THAT(param_reason(param("a", SLUICE_CHOICE, i(0), {}, {}, "x||y")), HasSubstr("empty choice"));
  EXPECT_EQ(param_reason(param("a", SLUICE_CHOICE, i(0), {}, {}, "007|A-b_9")), "");
  for (const char* choices : {"x|a\"b", "x|two words", "x|a.b", "x|\xC3\xA4", "x|\033[2J"})
    EXPECT_THAT(param_reason(param("a", SLUICE_CHOICE, i(0), {}, {}, choices)),
                AllOf(HasSubstr("\"a\" has the choice \""), HasSubstr("not made of"), Not(HasSubstr("\033"))))
        << choices;
  EXPECT_THAT(param_reason(param("a", SLUICE_CHOICE, i(0), {}, {}, "x|x")), HasSubstr("twice"));
  EXPECT_EQ(param_reason(param("a", SLUICE_TOKENS, i(SLUICE_PERCENT(50)), i(0), i(64))), "");
  EXPECT_THAT(param_reason(param("a", SLUICE_TOKENS, i(SLUICE_PERCENT(101)), i(0), i(64))), HasSubstr("outside"));
  EXPECT_THAT(param_reason(param("a", SLUICE_TOKENS, i(1), i(-1), i(64))), HasSubstr("no counts of tokens"));
  EXPECT_THAT(param_reason(param("a", 7, i(0))), HasSubstr("unknown type 7"));
  EXPECT_THAT(param_reason(param("name", SLUICE_BOOL, i(0))), HasSubstr("configuration needs itself"));
  EXPECT_THAT(param_reason(param("A", SLUICE_BOOL, i(0))), HasSubstr("parameter's name"));

  TestModule twice("x");
  twice.set_params({param("a", SLUICE_BOOL, i(0)), param("a", SLUICE_BOOL, i(0))});
  EXPECT_EQ(reason(twice.module), "it lists parameter \"a\" twice");
  TestModule silent("x");
  sluice_param undocumented = param("a", SLUICE_BOOL, i(0));
  undocumented.doc = "two\nlines";
  silent.set_params({undocumented});
  EXPECT_THAT(reason(silent.module), HasSubstr("not explained in one line"));
  silent.module.params = nullptr;
  EXPECT_EQ(reason(silent.module), "its list of parameters is NULL");
  silent.module.param_count = 1u << 30;
  EXPECT_EQ(reason(silent.module), "it lists 1073741824 parameters");
}

TEST(Judge, ReservesTheSidesOfACodec) {
  TestModule codec("x", SLUICE_CODEC, SLUICE_CODEC_LAYOUT);
  codec.set_params({param("key", SLUICE_BOOL, int_value(0))});
  EXPECT_THAT(reason(codec.module), HasSubstr("configuration needs itself"));
}

// Optional tables, as a module of three kinds would hand them out.
uint32_t cuda_layout = 0;
const void* give_cuda(const char* id) { return std::string_view(id) == SLUICE_CODEC_CUDA ? &cuda_layout : nullptr; }

TEST(Judge, OptionalTablesHaveALayoutToo) {
  TestModule codec("x", SLUICE_CODEC, SLUICE_CODEC_LAYOUT);
  EXPECT_FALSE(find_extension(codec.module, SLUICE_CODEC_CUDA).table) << "no extension()";
  codec.module.extension = give_cuda;
  cuda_layout = SLUICE_CODEC_CUDA_LAYOUT;
  EXPECT_EQ(find_extension(codec.module, SLUICE_CODEC_CUDA).table, &cuda_layout);
  EXPECT_EQ(find_extension(codec.module, SLUICE_BACKEND_REPLAY).table, nullptr);
  EXPECT_EQ(find_extension(codec.module, "acme.unknown/1").table, nullptr);
  EXPECT_THAT(describe_capabilities(codec.module), HasSubstr("CUDA: yes"));
  cuda_layout ^= 1;
  const Extension other = find_extension(codec.module, SLUICE_CODEC_CUDA);
  EXPECT_EQ(other.table, nullptr);
  EXPECT_THAT(other.reason, StartsWith("its sluice.codec.cuda/1 was built against other headers (layout 0x"));
  EXPECT_THAT(describe_capabilities(codec.module), HasSubstr("CUDA: no (its sluice.codec.cuda/1 was built"));
}

// ---- what evictors offer beyond their table

sluice_evictor_rows offered_rows;
sluice_evictor_window offered_window;
sluice_evictor_budget offered_budget;
std::set<std::string> offered;

const void* give_offered(const char* id) {
  if (!offered.count(id)) return nullptr;
  if (std::string_view(id) == SLUICE_EVICTOR_ROWS) return &offered_rows;
  if (std::string_view(id) == SLUICE_EVICTOR_WINDOW) return &offered_window;
  return &offered_budget;
}

struct JudgeExtensions : ::testing::Test {
  TestModule evictor{"x"};
  JudgeExtensions() {
    evictor.module.extension = give_offered;
    offered.clear();
    // Functions that are never called: only whether they are there counts.
    fill(&offered_rows, sizeof offered_rows), fill(&offered_window, sizeof offered_window);
    fill(&offered_budget, sizeof offered_budget);
    offered_rows.layout = SLUICE_EVICTOR_ROWS_LAYOUT, offered_window.layout = SLUICE_EVICTOR_WINDOW_LAYOUT;
    offered_budget.layout = SLUICE_EVICTOR_BUDGET_LAYOUT, offered_budget.ragged = 1;
  }
  static void fill(void* table, size_t bytes) {
    void (*const never)() = never_called;
    for (size_t at = 8; at < bytes; at += sizeof never)
      std::memcpy(static_cast<char*>(table) + at, &never, sizeof never);
  }
  std::string reason() const { return judge_module(evictor.module).reason; }
};

TEST_F(JudgeExtensions, SoundOnesAreDescribed) {
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(describe_capabilities(evictor.module), "");
  offered = {SLUICE_EVICTOR_ROWS, SLUICE_EVICTOR_WINDOW, SLUICE_EVICTOR_BUDGET};
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(find_extension(evictor.module, SLUICE_EVICTOR_WINDOW).table, &offered_window);
  EXPECT_EQ(describe_capabilities(evictor.module),
            "extensions: sluice.evictor.rows/1, sluice.evictor.window/1, sluice.evictor.budget/1 (per head)");
  offered = {SLUICE_EVICTOR_BUDGET};
  offered_budget.ragged = 0, offered_budget.split = nullptr, offered_budget.select = nullptr;
  EXPECT_EQ(reason(), "");
  EXPECT_EQ(describe_capabilities(evictor.module), "extensions: sluice.evictor.budget/1");
}

TEST_F(JudgeExtensions, OthersRefuseTheirEvictor) {
  offered = {SLUICE_EVICTOR_ROWS};
  offered_rows.layout ^= 1;
  EXPECT_THAT(reason(), StartsWith("its sluice.evictor.rows/1 was built against other headers (layout 0x"));
  offered_rows.layout ^= 1, offered_rows.inserted = nullptr;
  EXPECT_EQ(reason(), "its sluice.evictor.rows/1 cannot be used: its inserted is NULL");
  offered = {SLUICE_EVICTOR_WINDOW};
  offered_window.observe = nullptr;
  EXPECT_EQ(reason(), "its sluice.evictor.window/1 cannot be used: its observe is NULL");
  offered = {SLUICE_EVICTOR_BUDGET};
  offered_budget.ragged = 2;
  EXPECT_EQ(reason(), "its sluice.evictor.budget/1 cannot be used: its ragged is 2, neither 0 nor 1");
  offered_budget.ragged = 0;
  EXPECT_EQ(reason(),
            "its sluice.evictor.budget/1 cannot be used: its ragged is 0, but its split and select are given");
  offered_budget.ragged = 1, offered_budget.select = nullptr;
  EXPECT_EQ(reason(), "its sluice.evictor.budget/1 cannot be used: only one of select and its partner is given");
  offered_budget.split = nullptr;
  EXPECT_EQ(reason(), "its sluice.evictor.budget/1 cannot be used: its ragged is 1, but its split and select are NULL");
  offered_budget.layer = nullptr;
  EXPECT_EQ(reason(), "its sluice.evictor.budget/1 cannot be used: its layer is NULL");
}

TEST(Judge, WantsASoundEntry) {
  sluice_plugin plugin{SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 0, nullptr, "test"};
  EXPECT_EQ(refuse_entry(&plugin), "");
  plugin.module_count = 1;
  EXPECT_EQ(refuse_entry(&plugin), "its list of modules is NULL");
  plugin.module_count = 0;
  plugin.abi = 2;
  EXPECT_EQ(refuse_entry(&plugin), "was built for plugin ABI 2, this host has ABI 1");
  plugin.abi = 1;
  plugin.size = 24;
  EXPECT_EQ(refuse_entry(&plugin), "its sluice_plugin has 24 bytes, this host's 32");
  plugin.magic = 7;
  EXPECT_EQ(refuse_entry(&plugin),
            "its sluice_plugin_entry() does not return a sluice_plugin (magic 0x00000007, not 0x45434C53)");
  EXPECT_EQ(refuse_entry(nullptr), "its sluice_plugin_entry() returned NULL");
}

}  // namespace
}  // namespace sluice
