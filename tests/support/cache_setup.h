// What tests of the cache start from: the built policies, memory, and drivers of caches in it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "core/config/config.h"
#include "support/cache_driver.h"
#include "support/extension_evictors.h"

namespace sluice::testing {

struct CacheSetup : ::testing::Test {
  ThreadPool pool{2};
  std::vector<std::filesystem::path> folders{SLUICE_PLUGINS};
  Registry registry{folders, pool};
  Instance backend;
  std::unique_ptr<Arena> arena;
  ArenaOwner owner;
  Piece identity;
  CacheSetup() {
    registry.add(memory_backend_plugin());
    registry.add(identity_codec_plugin());
    registry.add(extension_evictors_plugin());
    registry.read_part_params_with(read_part_params);
    backend = registry.create_backend(registry.find(SLUICE_BACKEND, "memory"), {});
    arena = std::make_unique<Arena>(backend, uint64_t(256) << 20);
    identity = arena->allocate(8192 * 4, owner);
    for (uint32_t i = 0; i < 8192; i++) table()[i] = i;
  }
  ~CacheSetup() override { arena->release(identity, owner); }
  uint32_t* table() { return reinterpret_cast<uint32_t*>(identity.data); }
  CacheDriver driver(const Policy& policy, uint32_t budget, uint32_t max_tokens = 2048, Rows rows = {}) {
    return CacheDriver(policy, *arena, table(), budget, max_tokens, rows);
  }
};

}  // namespace sluice::testing
