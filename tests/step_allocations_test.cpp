// The step path allocates nothing: malloc's family and mmap are replaced here, for the program and its plugins, and
// counted over decode steps that evict and encode.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>

#include "support/run_setup.h"
#include "support/tiny_model.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<uint64_t> calls{0};

void count() {
  if (counting.load(std::memory_order_relaxed)) calls.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// glibc's own names for what is replaced.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t n) {
  count();
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  count();
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  count();
  return __libc_realloc(p, n);
}
void* memalign(size_t align, size_t n) {
  count();
  return __libc_memalign(align, n);
}
void* aligned_alloc(size_t align, size_t n) {
  count();
  return __libc_memalign(align, n);
}
int posix_memalign(void** p, size_t align, size_t n) {
  count();
  *p = __libc_memalign(align, n);
  return *p ? 0 : 12;
}
void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  count();
  using Real = void* (*)(void*, size_t, int, int, int, off_t);
  static const Real real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "mmap"));
  return real(at, bytes, protection, flags, file, offset);
}
}

namespace sluice {
namespace {

TEST(StepPath, AllocatesNothing) {
  const auto model =
      std::filesystem::temp_directory_path() / ("sluice_allocations_" + std::to_string(getpid()) + ".gguf");
  testing::TinyModel tiny;
  tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 64, tiny.width = 128;
  testing::write_tiny_gguf(model, tiny);
  const std::vector<std::vector<std::string>> policies = {
      {},
      {"codec.name=uniform"},
      {"codec.name=group", "codec.bits=2"},
      {"codec.name=gear"},
      {"evictor.name=h2o", "cache.budget=96"},
      {"evictor.name=sieve", "cache.budget=96"},
      {"codec.name=gear", "evictor.name=h2o", "cache.budget=160", "evictor.recent=100"},
      {"codec.name=group", "evictor.name=sieve", "cache.budget=160", "evictor.recent=100"},
      {"evictor.name=test-rows", "cache.budget=96"},
      {"codec.name=uniform", "codec.block_rows=16", "evictor.name=test-rows", "cache.budget=160"},
      {"evictor.name=test-window", "cache.budget=96"},
      {"evictor.name=test-layers", "cache.budget=96"},
      {"evictor.name=test-ragged", "cache.budget=96"},
      {"codec.name=uniform", "codec.block_rows=16", "evictor.name=test-ragged", "cache.budget=160"},
      {"evictor.name=test-part", "evictor.part=h2o", "cache.budget=96"},
      {"evictor.name=h2o", "cache.budget=96", "cache.positions=rolling"},
  };
  testing::RunSetup s(model, 1024);
  std::vector<std::unique_ptr<SequenceCache>> caches;
  for (const auto& p : policies) caches.push_back(s.cache(p, 900));
  std::vector<Feed> feeds(caches.size());
  int32_t token = 5;
  const LogitSink sink = [](std::span<const LogitRow>) {};
  auto step = [&] {
    token = (token * 31 + 7) % 300;
    for (size_t i = 0; i < caches.size(); i++) feeds[i] = {caches[i].get(), {&token, 1}, Want::kLast};
    s.engine->step(feeds, false, sink);
  };
  for (int t = 0; t < 300; t++) step();  // tables grow to what a run needs
  std::vector<CacheCounters> before;
  for (auto& c : caches) before.push_back(c->counters());
  counting = true;
  std::free(std::malloc(64));  // the replacement works
  asm volatile("" ::: "memory");
  const uint64_t own = calls.exchange(0);
  for (int t = 0; t < 256; t++) step();
  counting = false;
  std::filesystem::remove(model);
  EXPECT_GE(own, 1u);
  EXPECT_EQ(calls.load(), 0u) << "allocations in 256 steps";
  for (size_t i = 0; i < caches.size(); i++) {
    const CacheCounters now = caches[i]->counters();
    const uint64_t lanes = 2 * 2;
    if (caches[i]->budget()) {
      EXPECT_GE(now.evicted - before[i].evicted, 4 * lanes) << i;
    }
    if (caches[i]->coded(0)) {
      EXPECT_GE(now.coded - before[i].coded, 4u * 64 * lanes) << i;
    }
  }
}

}  // namespace
}  // namespace sluice
