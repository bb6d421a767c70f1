// Modules that do not keep to what they said: sizes that wrap around, blocks larger than their bound, writes past the
// state. The host names the module and the verb, and memory stays whole.
#include <gmock/gmock.h>

#include <cstring>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/run/policy_builder.h"
#include "support/cache_setup.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using testing::CacheDriver;
using ::testing::HasSubstr;
using testing::PolicyOptions;

std::string lie;  // the verb that lies now

const sluice_module& honest_codec() { return *testing::identity_codec_plugin().modules[0]; }
const sluice_codec& honest() { return *static_cast<const sluice_codec*>(honest_codec().table); }

const sluice_plugin& lying_codec() {
  static const sluice_codec table = [] {
    sluice_codec t = honest();
    t.plan = [](const void* self, uint32_t side, sluice_codec_plan* plan) {
      honest().plan(self, side, plan);
      if (lie == "plan") plan->residual = UINT32_MAX - 15;
    };
    t.bound = [](const void* self, uint32_t side, uint32_t rows) {
      return lie == "bound" ? SIZE_MAX : honest().bound(self, side, rows);
    };
    t.scratch = [](const void* self, uint32_t side, uint32_t rows, uint32_t queries) {
      return lie == "scratch" ? SIZE_MAX : honest().scratch(self, side, rows, queries);
    };
    t.encode = [](const void* self, const sluice_block* b, const float* rows, void* scratch, void* dst, size_t* bytes) {
      const sluice_status status = honest().encode(self, b, rows, scratch, dst, bytes);
      if (lie == "encode") *bytes += 1;
      if (lie == "nothing") *bytes = 0;
      if (lie == "bound bytes") static_cast<char*>(dst)[honest().bound(self, b->side, b->rows)] = 0;
      if (lie == "scratch bytes") static_cast<char*>(scratch)[honest().scratch(self, b->side, b->rows, 0)] = 0;
      return status;
    };
    t.retain = [](const void* self, const sluice_block* b, void* src, const uint32_t* keep, uint32_t n, size_t* bytes) {
      const sluice_status status = honest().retain(self, b, src, keep, n, bytes);
      if (lie == "retain") *bytes = honest().bound(self, b->side, b->rows) + 1;
      return status;
    };
    t.account = [](const void* self, const sluice_block* b, const void* src, sluice_account* account) {
      honest().account(self, b, src, account);
      if (lie == "account") account->codes -= 1;
    };
    return t;
  }();
  static const sluice_module module = [] {
    sluice_module m = honest_codec();
    m.table = &table, m.name = "liar";
    return m;
  }();
  static const sluice_module* const modules[] = {&module};
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
  return plugin;
}

const sluice_evictor* h2o;  // whom the lying evictor calls
int selections;             // of a test

void spill(const char* verb, void* state, const void* self, const sluice_lanes* lanes) {
  if (lie == verb) static_cast<char*>(state)[h2o->state_size(self, lanes) + 5] = 0;
}

const sluice_plugin& lying_evictor(const sluice_module& model) {
  h2o = static_cast<const sluice_evictor*>(model.table);
  static sluice_evictor table;
  table = *h2o;
  table.signal = [](const void* self, uint32_t prompt, sluice_signal* wanted) {
    h2o->signal(self, prompt, wanted);
    if (lie == "signal") wanted->kind = 3;
  };
  table.state_size = [](const void* self, const sluice_lanes* lanes) {
    return lie == "state_size" ? SIZE_MAX - 32 : h2o->state_size(self, lanes);
  };
  table.reset = [](const void* self, void* state, const sluice_lanes* lanes) {
    spill("reset", state, self, lanes);
    return h2o->reset(self, state, lanes);
  };
  table.resize = [](const void* self, void* state, const sluice_lanes* lanes, const void* old,
                    const sluice_lanes* old_lanes, const uint32_t* slots) {
    h2o->resize(self, state, lanes, old, old_lanes, slots);
    spill("resize", state, self, lanes);
  };
  table.insert = [](const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
                    const uint32_t* positions) {
    h2o->insert(self, state, lanes, n, slots, positions);
    spill("insert", state, self, lanes);
  };
  table.observe = [](const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const float* signal) {
    h2o->observe(self, state, lanes, n, signal);
    spill("observe", state, self, lanes);
  };
  table.select = [](const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
    spill("select", state, self, lanes);
    if (lie == "victims") victims[n * lanes->count] = 0;
    if (lie == "silent select" && selections++ > 0) return sluice_status(SLUICE_OK);
    return h2o->select(self, state, lanes, n, victims);
  };
  static sluice_module module;
  module = model;
  module.table = &table, module.name = "liar";
  static const sluice_module* const modules[] = {&module};
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
  return plugin;
}

struct CacheLies : testing::CacheSetup {
  CacheLies() {
    lie.clear(), selections = 0;
    registry.add(lying_codec());
    registry.add(lying_evictor(registry.find(SLUICE_EVICTOR, "h2o")));
  }
  // The message of what goes wrong while `verb` lies; all memory has come back.
  std::string failure(const std::string& verb, const PolicyOptions& options) {
    lie = verb;
    const uint64_t live = arena->live();
    std::string text = "nothing was noticed";
    try {
      const auto policy = make_policy(registry, options);
      CacheDriver d = driver(*policy, options.evictor.empty() ? 0 : 48);
      d.prompt(70);
      for (uint32_t t = 0; t < 200; t++) d.step();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), kExitFailed);
      text = e.what();
    }
    EXPECT_EQ(arena->live(), live) << verb;
    return text;
  }
};

TEST_F(CacheLies, ACodecsSizesAreChecked) {
  PolicyOptions o;
  o.key_codec = o.value_codec = "liar", o.evictor = "random", o.interval = 4;
  o.evictor_params["recent"].i = 8;
  EXPECT_EQ(failure("", o), "nothing was noticed");
  EXPECT_THAT(failure("encode", o), AllOf(HasSubstr("codec liar, encode: says it wrote 2049 bytes where it had 2048")));
  EXPECT_THAT(failure("nothing", o), HasSubstr("codec liar, encode: says that 32 rows take no bytes"));
  EXPECT_THAT(failure("bound bytes", o), HasSubstr("codec liar, encode: wrote past its block's bound of 2048 bytes"));
  EXPECT_THAT(failure("scratch bytes", o), HasSubstr("codec liar, encode: wrote past its scratch of "));
  EXPECT_THAT(failure("retain", o), AllOf(HasSubstr("codec liar, retain: says it wrote"), HasSubstr("where it had")));
  EXPECT_THAT(failure("bound", o), AllOf(HasSubstr("codec liar, bound"), HasSubstr("18446744073709551615 bytes")));
  EXPECT_THAT(failure("scratch", o), AllOf(HasSubstr("codec liar, scratch"), HasSubstr("18446744073709551615 bytes")));
}

TEST_F(CacheLies, ACodecsAccountIsCheckedWhereBytesAreReported) {
  PolicyOptions o;
  o.key_codec = o.value_codec = "liar";
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 0);
  d.prompt(70);
  EXPECT_NO_THROW(d.cache.ledger());
  lie = "account";
  try {
    d.cache.ledger();
    ADD_FAILURE() << "nothing was noticed";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("codec liar, account: its kinds add up to "));
    EXPECT_EQ(e.code(), kExitFailed);
  }
}

TEST_F(CacheLies, AnEvictorsStateIsGuardedAfterEveryVerb) {
  PolicyOptions o;
  o.evictor = "liar", o.interval = 4;
  EXPECT_EQ(failure("", o), "nothing was noticed");
  for (const char* verb : {"reset", "resize", "insert", "observe", "select"})
    EXPECT_THAT(failure(verb, o), HasSubstr(std::string("evictor liar, ") + verb + ": wrote past its state of "));
  EXPECT_THAT(failure("victims", o), HasSubstr("evictor liar, select: wrote past its victims of "));
  EXPECT_THAT(failure("state_size", o),
              AllOf(HasSubstr("evictor liar, state_size"), HasSubstr("18446744073709551583 bytes")));
}

// What it leaves unwritten is memory in which the last victims stand.
TEST_F(CacheLies, AnEvictorThatNamesNobodyEvictsNobody) {
  PolicyOptions o;
  o.evictor = "liar", o.interval = 4;
  EXPECT_THAT(failure("silent select", o), HasSubstr("evictor liar, select: victim 0 of lane 0 is slot 4294967295"));
}

TEST_F(CacheLies, PlansAndSignalsAreCheckedBeforeAnythingIsBuilt) {
  const sluice_geometry geometry{1, 4, 2, 32, 4096};
  auto refusal = [&](const std::string& verb, const std::vector<std::string>& settings) {
    lie = verb;
    try {
      build_policy(registry, default_config(settings, &registry), geometry);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refusal("", {"codec.name=liar"}), "accepted");
  EXPECT_THAT(refusal("plan", {"codec.name=liar"}), AllOf(HasSubstr("codec liar, plan"), HasSubstr("4294967280")));
  EXPECT_EQ(refusal("", {"evictor.name=liar", "cache.budget=64"}), "accepted");
  EXPECT_THAT(refusal("signal", {"evictor.name=liar", "cache.budget=64"}), HasSubstr("evictor liar, signal: kind 3"));

  lie.clear();
  PolicyOptions o;
  o.key_codec = "liar", o.evictor = "liar";
  const auto policy = make_policy(registry, o);
  const Instance &codec = *policy->layers[0].codec[0], &evictor = *policy->layers[0].evictor;
  EXPECT_NO_THROW(check_plan(codec, {64, kMostPlanRows, kMostPlanRows, 0, 0.1}));
  EXPECT_NO_THROW(check_signal(evictor, {SLUICE_PEAK, 4, 1, kMostPlanRows}));
  for (const sluice_codec_plan& plan :
       {sluice_codec_plan{0, 0, 64, 0, 0}, sluice_codec_plan{64, 0, 63, 0, 0},
        sluice_codec_plan{64, kMostPlanRows + 1, 64, 0, 0}, sluice_codec_plan{64, 0, UINT32_MAX, 0, 0}})
    EXPECT_THROW(check_plan(codec, plan), Error);
  for (const sluice_signal& signal : {sluice_signal{3, 0, 0, 0}, sluice_signal{1, 0, 2, 0},
                                      sluice_signal{1, UINT32_MAX, 0, 0}, sluice_signal{1, 0, 0, UINT32_MAX}})
    EXPECT_THROW(check_signal(evictor, signal), Error);
}

}  // namespace
}  // namespace sluice
