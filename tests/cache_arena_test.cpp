// The arena against a plain list of what is allocated: no overlap, exact sums, memory given back.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/base/error.h"
#include "support/cache_driver.h"

namespace sluice {
namespace {

struct ArenaTest : ::testing::Test {
  ThreadPool pool{1};
  Registry registry{{}, pool};
  Instance backend;
  ArenaTest() {
    registry.add(testing::memory_backend_plugin());
    backend = registry.create_backend(registry.find(SLUICE_BACKEND, "memory"), {});
  }
};

TEST_F(ArenaTest, RandomPiecesNeverOverlapAndSumsAreExact) {
  Arena arena(backend, uint64_t(64) << 20);
  ArenaOwner owner;
  struct Live {
    Piece piece;
    uint8_t mark;
  };
  std::vector<Live> live;
  std::mt19937 random(7);
  uint64_t bytes = 0, peak = 0;
  for (int i = 0; i < 40000; i++) {
    const uint32_t what = random() % 8;
    if (live.empty() || what < 4) {
      const uint64_t want = 1 + (random() % 3 == 0 ? random() % 60000 : random() % 700);
      if (bytes > (uint64_t(40) << 20)) continue;
      Piece p = arena.allocate(want, owner);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(p.data) % 64, 0u);
      ASSERT_EQ(p.bytes, (want + 63) / 64 * 64);
      const uint8_t mark = uint8_t(random());
      std::memset(p.data, mark, p.bytes);
      live.push_back({p, mark}), bytes += p.bytes, peak = std::max(peak, bytes);
    } else {
      const size_t at = random() % live.size();
      Live& l = live[at];
      for (uint64_t b = 0; b < l.piece.bytes; b += 17) ASSERT_EQ(uint8_t(l.piece.data[b]), l.mark);
      if (what == 7 && l.piece.bytes > 64) {
        const uint64_t to = 1 + random() % l.piece.bytes;
        bytes -= l.piece.bytes - (to + 63) / 64 * 64;
        arena.shrink(l.piece, to, owner);
        ASSERT_EQ(l.piece.bytes, (to + 63) / 64 * 64);
      } else {
        bytes -= l.piece.bytes;
        arena.release(l.piece, owner);
        ASSERT_FALSE(l.piece);
        live[at] = live.back(), live.pop_back();
      }
    }
    ASSERT_EQ(owner.live, bytes);
    ASSERT_EQ(arena.live(), bytes);
    ASSERT_GE(arena.committed(), bytes);
  }
  EXPECT_EQ(owner.peak, peak);
  for (Live& l : live) arena.release(l.piece, owner);
  EXPECT_EQ(owner.live, 0u);
  EXPECT_LE(arena.committed(), uint64_t(4) << 21);  // a few empty slabs stay
  // Everything has merged again: the whole reserve is one piece.
  Piece all = arena.allocate((uint64_t(64) << 20) - (uint64_t(4) << 20), owner);
  EXPECT_TRUE(all);
  arena.release(all, owner);
}

TEST_F(ArenaTest, FullArenaThrowsAndStaysUsable) {
  Arena arena(backend, uint64_t(4) << 20);
  ArenaOwner owner;
  Piece a = arena.allocate(uint64_t(3) << 20, owner);
  EXPECT_THROW(arena.allocate(uint64_t(2) << 20, owner), Error);
  EXPECT_EQ(owner.live, uint64_t(3) << 20);
  arena.release(a, owner);
  Piece b = arena.allocate(uint64_t(3) << 20, owner);
  EXPECT_TRUE(b);
  arena.release(b, owner);
}

}  // namespace
}  // namespace sluice
