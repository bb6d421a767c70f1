// What an instance gets from the host: messages that reach the user, counted memory, counters, threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "core/plugins/registry.h"
#include "sluice/extensions.h"
#include "support/scratch_folder.h"
#include "support/test_module.h"

namespace sluice {
namespace {

using namespace testing;
using ::testing::HasSubstr;

// An evictor whose create() hands out the host and does as it is told.
struct Probe {
  const sluice_host* host = nullptr;
  sluice_status status = SLUICE_OK;
  const char* message = nullptr;
  bool no_self = false;
  int destroyed = 0;
};
Probe probe;

sluice_status probe_create(const sluice_host* host, const sluice_geometry* geometry, const sluice_value* params,
                           void** self) {
  EXPECT_EQ(geometry->layers, 2u);
  EXPECT_EQ(params[0].i, 42);
  probe.host = host;
  if (probe.status != SLUICE_OK) return probe.message ? host->fail(host, probe.status, probe.message) : probe.status;
  if (!probe.no_self) *self = &probe;
  return SLUICE_OK;
}
void probe_destroy(void* self) { ++static_cast<Probe*>(self)->destroyed; }

class Host : public ::testing::Test {
 protected:
  Host() : registry({}, pool), module("probe") {
    probe = {};
    module.set_params({param("answer", SLUICE_INT, int_value(0), int_value(0), int_value(100))});
    sluice_evictor table{};
    std::memcpy(&table, module.table.data(), sizeof table);
    table.create = probe_create;
    table.destroy = probe_destroy;
    std::memcpy(module.table.data(), &table, sizeof table);
    registry.add(module.plugin);
  }
  Instance create() {
    const sluice_geometry geometry{2, 2, 1, 8, 64};
    const sluice_value values[] = {int_value(42)};
    return registry.create_policy(registry.find(SLUICE_EVICTOR, "probe"), geometry, values);
  }

  ThreadPool pool{4};
  Registry registry;
  TestModule module;
};

TEST_F(Host, TableIsComplete) {
  const Instance instance = create();
  const sluice_host* host = instance.host();
  EXPECT_EQ(host, probe.host);
  EXPECT_EQ(host->abi, SLUICE_ABI);
  EXPECT_EQ(host->size, sizeof(sluice_host));
  EXPECT_TRUE(host->fail && host->log && host->alloc && host->free && host->parallel && host->extension);
  EXPECT_EQ(host->extension(host, "sluice.host.unheard-of/1"), nullptr);
  EXPECT_EQ(host->extension(host, nullptr), nullptr);
  // Of what an evictor may offer it says which layout it knows.
  const auto* rows = static_cast<const uint32_t*>(host->extension(host, SLUICE_EVICTOR_ROWS));
  const auto* budget = static_cast<const uint32_t*>(host->extension(host, SLUICE_EVICTOR_BUDGET));
  ASSERT_TRUE(rows && budget);
  EXPECT_EQ(*rows, SLUICE_EVICTOR_ROWS_LAYOUT);
  EXPECT_EQ(*budget, SLUICE_EVICTOR_BUDGET_LAYOUT);
  EXPECT_EQ(host->extension(host, SLUICE_CODEC_CUDA), nullptr);
  EXPECT_EQ(host->extension(host, SLUICE_HOST_MODULES), nullptr) << "nobody reads parameters of parts here";
}

TEST_F(Host, CreateExplainsItself) {
  probe.status = SLUICE_INVALID;
  probe.message = "answer must not be 42";
  const Error refused = error_of([&] { create(); });
  EXPECT_STREQ(refused.what(), "evictor probe, create: answer must not be 42");
  EXPECT_EQ(refused.code(), kExitUsage);
  probe.status = SLUICE_UNSUPPORTED;
  EXPECT_EQ(error_of([&] { create(); }).code(), kExitUsage);
  probe.status = SLUICE_NO_MEMORY;
  probe.message = nullptr;
  const Error failed = error_of([&] { create(); });
  EXPECT_STREQ(failed.what(), "evictor probe, create: not enough memory");
  EXPECT_EQ(failed.code(), kExitFailed);
  probe = {};
  probe.no_self = true;
  EXPECT_THAT(error_of([&] { create(); }).what(), HasSubstr("gave no instance"));
  EXPECT_EQ(probe.destroyed, 0);
}

TEST_F(Host, ParametersMustBeComplete) {
  const sluice_geometry geometry{2, 2, 1, 8, 64};
  EXPECT_THAT(error_of([&] { registry.create_policy(module.module, geometry, {}); }).what(),
              HasSubstr("takes 1 parameters, got 0"));
}

TEST_F(Host, CheckNamesModuleAndVerb) {
  const Instance instance = create();
  instance.check(SLUICE_OK, "select");
  const sluice_host* host = instance.host();
  const Error error = error_of([&] { instance.check(host->fail(host, SLUICE_INTERNAL, "lost count"), "select"); });
  EXPECT_STREQ(error.what(), "evictor probe, select: lost count");
  EXPECT_EQ(error.code(), kExitFailed);
  // The message was of that call only.
  EXPECT_STREQ(error_of([&] { instance.check(SLUICE_INTERNAL, "select"); }).what(),
               "evictor probe, select: it found a bug of its own");
}

TEST_F(Host, MessagesDoNotCrossInstancesOrThreads) {
  const Instance a = create(), b = create();
  a.host()->fail(a.host(), SLUICE_INVALID, "of a");
  EXPECT_THAT(error_of([&] { b.check(SLUICE_INVALID, "select"); }).what(), HasSubstr("without a reason"));
  std::thread([&] { a.host()->fail(a.host(), SLUICE_INVALID, "of another thread"); }).join();
  EXPECT_STREQ(error_of([&] { a.check(SLUICE_INVALID, "select"); }).what(), "evictor probe, select: of a");
}

// A call that succeeded has nothing to explain, and what was said of it explains no later failure.
TEST_F(Host, SuccessForgetsTheMessage) {
  const Instance instance = create();
  const sluice_host* host = instance.host();
  host->fail(host, SLUICE_NO_MEMORY, "a first try");
  std::thread([&] { host->fail(host, SLUICE_INVALID, "a job's first try"); }).join();
  instance.check(SLUICE_OK, "encode");
  EXPECT_STREQ(error_of([&] { instance.check(SLUICE_INTERNAL, "select"); }).what(),
               "evictor probe, select: it found a bug of its own");
}

// Instances come and go at the same addresses; a message stays with the one that it was given for.
TEST_F(Host, AMessageDoesNotOutliveItsInstance) {
  for (int i = 0; i < 100; i++) {
    const Instance instance = create();
    EXPECT_THAT(error_of([&] { instance.check(SLUICE_INTERNAL, "select"); }).what(), HasSubstr("a bug of its own"));
    instance.host()->fail(instance.host(), SLUICE_INVALID, "nobody asked");
  }
}

TEST_F(Host, AJobsMessageIsNotLost) {
  const Instance instance = create();
  const sluice_host* host = instance.host();
  std::thread([&] { host->fail(host, SLUICE_INVALID, "said by a job"); }).join();
  EXPECT_STREQ(error_of([&] { instance.check(SLUICE_INVALID, "encode"); }).what(),
               "evictor probe, encode: said by a job");
}

TEST_F(Host, MemoryIsAlignedAndCounted) {
  const Instance instance = create();
  const sluice_host* host = instance.host();
  std::vector<void*> held;
  for (const size_t align : {size_t(1), size_t(8), size_t(64), size_t(4096)}) {
    void* memory = host->alloc(host, 100, align);
    ASSERT_TRUE(memory);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % align, 0u);
    std::memset(memory, 0xAB, 100);
    held.push_back(memory);
  }
  EXPECT_EQ(instance.plugin_bytes(), 400u);
  for (void* memory : held) host->free(host, memory);
  host->free(host, nullptr);
  EXPECT_EQ(instance.plugin_bytes(), 0u);
  EXPECT_EQ(host->alloc(host, SIZE_MAX - 8, 64), nullptr);
  EXPECT_EQ(host->alloc(host, 8, 48), nullptr) << "no power of two";
  EXPECT_EQ(instance.plugin_bytes(), 0u);
}

TEST_F(Host, ParallelRunsEveryIndexOnce) {
  const Instance instance = create();
  std::vector<std::atomic<int>> runs(1000);
  instance.host()->parallel(
      instance.host(), 1000, [](void* arg, uint32_t i) { ++(*static_cast<std::vector<std::atomic<int>>*>(arg))[i]; },
      &runs);
  for (const auto& run : runs) EXPECT_EQ(run, 1);
}

TEST_F(Host, CountersAddUpPerInstance) {
  const Instance unrelated = create();
  Instance instance = create();
  const sluice_host* host = instance.host();
  const auto* stats = static_cast<const sluice_host_stats*>(host->extension(host, SLUICE_HOST_STATS));
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->layout, SLUICE_HOST_STATS_LAYOUT);
  pool.each(64, [&](uint32_t i) { stats->add(host, i % 2 ? "hits" : "moves", i % 2, 1); });
  std::vector<Counter> counters = instance.counters();
  ASSERT_EQ(counters.size(), 2u);
  std::sort(counters.begin(), counters.end(), [](const Counter& a, const Counter& b) { return a.name < b.name; });
  EXPECT_EQ(counters[0].name, "hits");
  EXPECT_EQ(counters[0].numerator, 32);
  EXPECT_EQ(counters[0].denominator, 32);
  EXPECT_EQ(counters[1].numerator, 0);
  EXPECT_TRUE(unrelated.counters().empty());
  stats->add(host, nullptr, 1, 1);
  EXPECT_EQ(instance.counters().size(), 2u) << "a counter without a name is none";
}

TEST_F(Host, InstancesAreDestroyedOnce) {
  {
    Instance a = create();
    Instance b = std::move(a);
    EXPECT_FALSE(a);
    EXPECT_TRUE(b);
    b = create();
    EXPECT_EQ(probe.destroyed, 1);
    Instance& self = b;
    b = std::move(self);
    EXPECT_TRUE(b);
    EXPECT_STREQ(b.module().name, "probe");
  }
  EXPECT_EQ(probe.destroyed, 2);
  const Instance none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.plugin_bytes(), 0u);
  EXPECT_TRUE(none.counters().empty());
}

}  // namespace
}  // namespace sluice
