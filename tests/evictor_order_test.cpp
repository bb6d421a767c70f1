// sluice/order.h by itself: order of age under removals, renumbering and both widths of slot ids.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "sluice/order.h"

namespace sluice::testing {
namespace {

struct Orders {
  explicit Orders(uint32_t count, uint32_t capacity) : lanes{0, count, capacity, 1, 1, 0} {
    bytes.resize(sluice_order_bytes(&lanes) / 8 + 1, 0);
    bytes.back() = 0xA5A5A5A5A5A5A5A5u;
  }
  ~Orders() { EXPECT_EQ(bytes.back(), 0xA5A5A5A5A5A5A5A5u) << "wrote behind its bytes"; }
  sluice_order lane(uint32_t l) const { return sluice_order_open(bytes.data(), &lanes, l); }
  std::vector<uint32_t> slots(uint32_t l) const {
    std::vector<uint32_t> list;
    for (uint32_t rank = 0; rank < *lane(l).live; rank++) list.push_back(sluice_order_slot(lane(l), rank));
    return list;
  }

  sluice_lanes lanes;
  std::vector<uint64_t> bytes;
};

class Order : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Capacities, Order, ::testing::Values(1u, 7u, 65535u, 65536u, 65537u));

TEST_P(Order, HoldsEverySlotOfEveryLane) {
  Orders orders(3, GetParam());
  std::vector<uint32_t> all(GetParam());
  std::iota(all.begin(), all.end(), 0);
  for (uint32_t l = 0; l < 3; l++)
    for (uint32_t s : all) sluice_order_append(orders.lane(l), GetParam() - 1 - s);
  std::reverse(all.begin(), all.end());
  for (uint32_t l = 0; l < 3; l++) EXPECT_EQ(orders.slots(l), all);
  EXPECT_EQ(sluice_order_remove(orders.lane(1), 0), GetParam() - 1);
  EXPECT_EQ(sluice_order_at(orders.lane(1), 0), SLUICE_FREE);
  EXPECT_EQ(sluice_order_at(orders.lane(0), 0), GetParam() - 1);
  sluice_order_close(orders.lane(1), 0, 1);
  EXPECT_EQ(orders.slots(0), all);
  all.erase(all.begin());
  EXPECT_EQ(orders.slots(1), all);
}

TEST(Order, ClosesAnyGaps) {
  std::mt19937 random(5);
  for (uint32_t round = 0; round < 2000; round++) {
    const uint32_t tokens = 1 + random() % 20;
    Orders orders(1, 20);
    std::vector<uint32_t> slots(20), left;
    std::iota(slots.begin(), slots.end(), 0);
    std::shuffle(slots.begin(), slots.end(), random);
    slots.resize(tokens);
    for (uint32_t s : slots) sluice_order_append(orders.lane(0), s);
    uint32_t gaps = 0, first = tokens;
    for (uint32_t rank = 0; rank < tokens; rank++) {
      if (random() % 3) {
        left.push_back(slots[rank]);
      } else {
        sluice_order_remove(orders.lane(0), rank);
        first = std::min(first, rank), gaps++;
      }
    }
    sluice_order_close(orders.lane(0), first - (first ? random() % (first + 1) : 0), gaps);
    ASSERT_EQ(orders.slots(0), left);
  }
}

TEST(Order, TakesTheLowestOldestFirst) {
  std::mt19937 random(6);
  for (uint32_t round = 0; round < 2000; round++) {
    const uint32_t tokens = 2 + random() % 18, candidates = 1 + random() % tokens, n = 1 + random() % candidates;
    Orders orders(1, 20);
    std::vector<uint32_t> slots(20);
    std::iota(slots.begin(), slots.end(), 0);
    std::shuffle(slots.begin(), slots.end(), random);
    slots.resize(tokens);
    std::vector<float> scores(20);
    for (float& s : scores) s = float(random() % 5);
    for (uint32_t s : slots) sluice_order_append(orders.lane(0), s);
    // The plain way: a stable sort by score of what is in order of age.
    std::vector<uint32_t> expected(slots.begin(), slots.begin() + candidates), victims(n), left;
    std::stable_sort(expected.begin(), expected.end(), [&](uint32_t a, uint32_t b) { return scores[a] < scores[b]; });
    expected.resize(n);
    std::sort(expected.begin(), expected.end());
    for (uint32_t s : slots)
      if (!std::binary_search(expected.begin(), expected.end(), s)) left.push_back(s);
    sluice_order_take_lowest(orders.lane(0), scores.data(), candidates, n, victims.data());
    std::sort(victims.begin(), victims.end());
    ASSERT_EQ(victims, expected);
    ASSERT_EQ(orders.slots(0), left);
  }
}

TEST(Order, MovesToOtherSlotsAndAnotherWidth) {
  Orders narrow(2, 8), wide(2, 70000);
  for (uint32_t s : {5u, 2u, 7u}) sluice_order_append(narrow.lane(1), s);
  std::vector<uint32_t> map(8, SLUICE_FREE);
  map[5] = 69999, map[2] = 0, map[7] = 65535;
  sluice_order_move(wide.lane(1), narrow.lane(1), map.data());
  EXPECT_EQ(wide.slots(1), (std::vector<uint32_t>{69999, 0, 65535}));
  EXPECT_TRUE(wide.slots(0).empty());
}

}  // namespace
}  // namespace sluice::testing
