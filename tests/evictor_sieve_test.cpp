// sieve against SIEVE as a linked list, its published trace, and what tokens add to it: a recent window, sinks,
// batches, prompts.
#include <list>

#include "tests/support/evictor_driver.h"

namespace sluice::testing {
namespace {

// SIEVE as it is told: a list from the tail (oldest) to the head, a bit per object, a hand that may be nowhere.
struct ListSieve {
  struct Object {
    uint32_t position;
    bool visited;
  };
  std::list<Object> queue;
  std::list<Object>::iterator hand = queue.end();  // end: nowhere
  size_t moves = 0;

  void insert(uint32_t position, bool visited) { queue.push_back({position, visited}); }
  void hit(uint32_t position) {
    for (Object& o : queue)
      if (o.position == position) o.visited = true;
  }
  uint32_t evict() {
    auto at = hand == queue.end() ? queue.begin() : hand;
    while (at->visited) {
      at->visited = false, moves++;
      if (++at == queue.end()) at = queue.begin();
    }
    const uint32_t victim = at->position;
    hand = queue.erase(at);
    return victim;
  }
  // n victims; an object whose bit this batch cleared is spared until no other is left.
  Positions evict(uint32_t n) {
    Positions victims;
    std::set<uint32_t> spared;
    for (uint32_t i = 0; i < n; i++) {
      auto at = hand == queue.end() ? queue.begin() : hand;
      while (spared.size() < queue.size() && (at->visited || spared.count(at->position))) {
        if (at->visited) spared.insert(at->position), at->visited = false, moves++;
        if (++at == queue.end()) at = queue.begin();
      }
      victims.push_back(at->position);
      spared.erase(at->position);
      hand = queue.erase(at);
    }
    return victims;
  }
};

const Parameters kBare{{"recent", 0}, {"sinks", 0}};

// Attention that marks exactly the given positions.
Attention hits(const std::set<uint32_t>& positions) {
  return [positions](uint32_t, uint32_t p) { return positions.count(p) ? 1.0f : 0.5f; };
}

// The trace of four places: each access is a hit, or evicts (when full) and enters as a new object.
TEST(EvictorSieve, FollowsThePublishedTrace) {
  const Instance module = make_evictor("sieve", kBare);
  EvictorDriver driver(module, {.capacity = 8, .budget = 4});
  std::map<char, uint32_t> position;
  std::map<uint32_t, char> name;
  std::string evicted;
  for (char object : std::string("ABCDAEFBGADHE")) {
    if (position.count(object)) {
      driver.observe(1, hits({position[object]}));
      evicted += '-';
      continue;
    }
    char victim = '.';
    if (position.size() == 4) {
      victim = name.at(driver.select(1)[0].at(0));
      position.erase(victim);
    }
    position[object] = driver.next_position(), name[driver.next_position()] = object;
    driver.insert(1);
    evicted += victim;
  }
  EXPECT_EQ(evicted, "....-BCDE-FBG");
  std::string left;
  for (uint32_t p : driver.live(0)) left += name.at(p);
  EXPECT_EQ(left, "ADHE");
}

// Oracle 17: a million operations; the hand is often nowhere when objects enter, since victims are often the newest.
TEST(EvictorSieve, EqualsTheListOnAMillionOperations) {
  const Instance module = make_evictor("sieve", kBare);
  EvictorDriver driver(module, {.capacity = 24, .budget = 20}, 3);
  ListSieve list;
  std::mt19937_64 random(42);
  size_t nowhere_then_insert = 0;
  bool was_nowhere = false;
  for (uint32_t operation = 0; operation < 1'000'000; operation++) {
    const uint64_t dice = random() % 8;
    if (list.queue.size() < 2 || (dice < 3 && list.queue.size() < 20)) {
      nowhere_then_insert += was_nowhere;
      list.insert(driver.next_position(), false);
      driver.insert(1);
      was_nowhere = false;
    } else if (dice < 5) {
      std::set<uint32_t> marked;
      for (const auto& o : list.queue)
        if (random() % 3 == 0) marked.insert(o.position);
      for (uint32_t p : marked) list.hit(p);
      driver.observe(1, hits(marked));
    } else {
      const uint32_t victim = list.evict();
      ASSERT_EQ(driver.select(1)[0].at(0), victim) << "operation " << operation;
      was_nowhere = list.hand == list.queue.end();
    }
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(nowhere_then_insert, 1000u);
}

// Batches, sinks and a recent window on top of the list.
TEST(EvictorSieve, EqualsTheListWithBatchesAndARecentWindow) {
  for (uint32_t keep : {0u, 1u})
    for (uint32_t interval : {1u, 4u, 16u})
      for (double dense : {0.2, 0.6, 0.95}) {  // share of tokens that an interval marks; at .95 the one-lap rule acts
        constexpr uint32_t kSinks = 4, kRecent = 12, kBudget = 48;
        const Instance module = make_evictor(
            "sieve", {{"recent", int(kRecent)}, {"sinks", int(kSinks)}, {"alpha", 1.5}, {"entry_bit", int(keep)}});
        EvictorDriver driver(module, {.capacity = 80, .budget = kBudget, .interval = interval}, 3);
        ListSieve list;
        std::deque<ListSieve::Object> recent;
        size_t evictions = 0, hits = 0, rows = 0;
        for (uint32_t step = 0; step < 300; step++) {
          const Attention attention = [&](uint32_t l, uint32_t p) { return noise(step, l, p) < dense ? 1.5f : 1.49f; };
          const uint32_t first = driver.next_position();
          const Positions victims = driver.step(interval, attention)[0];
          for (uint32_t p = std::max(first, kSinks); p < first + interval; p++) recent.push_back({p, false});
          for (; recent.size() > kRecent; recent.pop_front())
            list.insert(recent.front().position, keep && recent.front().visited);
          for (auto& o : recent) o.visited |= attention(0, o.position) >= 1.5f;
          for (auto& o : list.queue) o.visited |= attention(0, o.position) >= 1.5f;
          for (const auto& o : recent) hits += attention(0, o.position) >= 1.5f;
          for (const auto& o : list.queue) hits += attention(0, o.position) >= 1.5f;
          if (recent.size() + list.queue.size()) rows += recent.size() + list.queue.size() - 1;
          ASSERT_EQ(victims, list.evict(uint32_t(victims.size()))) << "step " << step << " interval " << interval;
          evictions += victims.size();
        }
        EXPECT_GT(evictions, 250u * interval);
        // What reports show is what happened.
        std::map<std::string, Counter> counters;
        for (const Counter& c : module.counters()) counters[c.name] = c;
        // The driver lets the newest token see itself, which attention with skip_self does not: so hits may
        // exceed rows - 1 by the newest token's own.
        EXPECT_EQ(counters.at("hit rate").denominator, double(rows));
        EXPECT_LE(counters.at("hit rate").numerator, double(hits + kSinks * 300));
        EXPECT_EQ(counters.at("moves per eviction").numerator, double(list.moves));
        EXPECT_EQ(counters.at("moves per eviction").denominator, double(evictions));
      }
}

TEST(EvictorSieve, CountsHitsAndOldestVictims) {
  const Instance module = make_evictor("sieve", {{"recent", 0}, {"sinks", 1}});
  EvictorDriver driver(module, {.lanes = 2, .capacity = 16, .budget = 8});
  driver.insert(9);
  // Per lane: 8 tokens besides the sink, of which the newest is seen by nobody; 3 of the 7 are hit.
  driver.observe(1, [](uint32_t, uint32_t p) { return p == 1 || p == 2 || p == 5 ? 1.0f : 0.0f; });
  EXPECT_EQ(driver.select(2), (std::vector<Positions>{{3, 4}, {3, 4}}));
  EXPECT_EQ(driver.select(1), (std::vector<Positions>{{6}, {6}}));  // passes 5
  EXPECT_EQ(driver.select(3), (std::vector<Positions>{{7, 8, 1}, {7, 8, 1}}));
  const auto counters = module.counters();
  ASSERT_EQ(counters.size(), 3u);
  EXPECT_EQ(counters[0].name, "hit rate");
  EXPECT_EQ(counters[0].numerator, 6);
  EXPECT_EQ(counters[0].denominator, 14);
  EXPECT_EQ(counters[1].name, "moves per eviction");
  EXPECT_EQ(counters[1].numerator, 6);  // 1, 2 and 5, in both lanes
  EXPECT_EQ(counters[1].denominator, 12);
  EXPECT_EQ(counters[2].name, "victim was the oldest");
  EXPECT_EQ(counters[2].numerator, 2);  // position 1 in the end
}

TEST(EvictorSieve, AsksForPeaksInDecodingAndSumsOfAPrompt) {
  const Instance module = make_evictor("sieve", {{"sinks", 6}});
  sluice_signal wanted{};
  module.table<sluice_evictor>().signal(module.self(), 0, &wanted);
  EXPECT_EQ(wanted.kind, uint32_t(SLUICE_PEAK));
  EXPECT_EQ(wanted.skip_first, 6u);
  EXPECT_EQ(wanted.skip_self, 1u);
  module.table<sluice_evictor>().signal(module.self(), 1, &wanted);
  EXPECT_EQ(wanted.kind, uint32_t(SLUICE_SUM));
  EXPECT_EQ(wanted.window, 0u);
}

// A prompt: sinks and recent stay, the rest leaves by lowest sum, oldest first where equal; then all marks are
// clear and the hand starts at the oldest.
TEST(EvictorSieve, RanksAPromptBySums) {
  const Instance module = make_evictor("sieve", {{"recent", 4}, {"sinks", 2}});
  EvictorDriver driver(module, {.lanes = 2, .capacity = 20, .budget = 12, .prompt = 1}, 7);
  driver.insert(20);
  driver.observe(12, [](uint32_t lane, uint32_t p) { return lane == 0 ? float(p % 5) : float(20 - p); });
  driver.observe(8, [](uint32_t lane, uint32_t p) { return lane == 0 ? float(p % 5) : 0.0f; });
  auto victims = driver.select(8);
  for (Positions& lane : victims) std::sort(lane.begin(), lane.end());
  EXPECT_EQ(victims[0], (Positions{2, 5, 6, 7, 10, 11, 12, 15}));  // sums 0: 5 10 15, 2: 6 11, 4: 2 7 12 (oldest)
  EXPECT_EQ(victims[1], (Positions{8, 9, 10, 11, 12, 13, 14, 15}));
  driver.resize(16, true);
  // In lane 0 the queue is 3 4 8 9 13 14, in lane 1 2 ... 7; nobody is marked.
  driver.insert(1);
  EXPECT_EQ(driver.select(1), (std::vector<Positions>{{3}, {2}}));
  EXPECT_EQ(driver.select(1), (std::vector<Positions>{{4}, {3}}));
}

// A prompt in pieces: evictions between them, so that tokens find slots of others.
TEST(EvictorSieve, RanksAPromptInChunks) {
  const Instance module = make_evictor("sieve", {{"recent", 0}, {"sinks", 0}});
  EvictorDriver driver(module, {.capacity = 6, .budget = 4, .prompt = 1});
  driver.insert(6);
  driver.observe(6, [](uint32_t, uint32_t p) { return p < 2 ? 5.0f - float(p) : 10.0f; });
  Positions victims = driver.select(2)[0];
  std::sort(victims.begin(), victims.end());
  EXPECT_EQ(victims, (Positions{0, 1}));
  driver.insert(2);
  driver.observe(2, [](uint32_t, uint32_t p) { return p < 6 ? 0.0f : 3.0f; });
  victims = driver.select(2)[0];
  std::sort(victims.begin(), victims.end());
  EXPECT_EQ(victims, (Positions{6, 7}));
}

// Marks and hand of decoding do not outlive a second prompt.
TEST(EvictorSieve, StartsAnewAfterASecondPrompt) {
  const Instance module = make_evictor("sieve", kBare);
  EvictorDriver driver(module, {.capacity = 16, .budget = 8});
  driver.insert(6);
  driver.observe(1, hits({0, 3}));
  EXPECT_EQ(driver.select(1)[0], Positions{1});  // the hand is at 2 now
  driver.resize(20, true, 1);
  driver.insert(2);
  driver.observe(2, [](uint32_t, uint32_t p) { return float(p + 1); });
  EXPECT_EQ(driver.select(1)[0], Positions{0});
  driver.resize(16, true);
  EXPECT_EQ(driver.select(3)[0], (Positions{2, 3, 4}));
}

TEST(EvictorSieve, ResizeKeepsMarksAndHandWhileDecoding) {
  const Instance module = make_evictor("sieve", kBare);
  EvictorDriver driver(module, {.capacity = 10, .budget = 8});
  driver.insert(8);
  driver.observe(1, hits({0, 4, 6}));
  EXPECT_EQ(driver.select(3)[0], (Positions{1, 2, 3}));
  driver.resize(200, true);
  EXPECT_EQ(driver.select(2)[0], (Positions{5, 7}));  // the head went: the hand is nowhere
  driver.insert(2);
  driver.resize(9, true);
  EXPECT_EQ(driver.select(1)[0], (Positions{0}));
}

TEST(EvictorSieve, EntryBitSaysWhetherRecentMarksCount) {
  for (int keep : {0, 1}) {
    const Instance module = make_evictor("sieve", {{"recent", 2}, {"sinks", 0}, {"entry_bit", keep}});
    EvictorDriver driver(module, {.capacity = 10, .budget = 4});
    driver.insert(2);
    driver.observe(1, hits({0}));
    driver.insert(2);  // 0 and 1 join the queue
    EXPECT_EQ(driver.select(1)[0], Positions{keep ? 1u : 0u});
  }
}

TEST(EvictorSieve, AlphaIsTheThresholdItself) {
  const Instance module = make_evictor("sieve", {{"recent", 0}, {"sinks", 0}, {"alpha", 2.0}});
  EvictorDriver driver(module, {.capacity = 10, .budget = 4});
  driver.insert(3);
  driver.observe(1, [](uint32_t, uint32_t p) { return p == 0 ? 2.0f : p == 1 ? std::nextafter(2.0f, 0.0f) : 0.0f; });
  EXPECT_EQ(driver.select(1)[0], Positions{1});
}

// A prompt's sums come from many queries: heavy tokens anywhere, more weight on old ones (more queries saw them),
// and a locality that fades. What SIEVE keeps must not simply be the newest.
TEST(EvictorSieve, KeepsMoreOfAPromptThanItsEnd) {
  constexpr uint32_t kTokens = 1024, kBudget = 256, kInterval = 16, kKept = kBudget - kInterval + 1, kLanes = 4;
  const Instance module = make_evictor("sieve");
  EvictorDriver driver(module,
                       {.lanes = kLanes, .capacity = kTokens, .budget = kBudget, .interval = kInterval, .prompt = 1});
  driver.insert(kTokens);
  // A query at i pays 1/(i - p + 8) to its neighbourhood and a share of what is left to every heavy token.
  driver.observe(kTokens, [](uint32_t lane, uint32_t p) {
    double sum = noise(1, lane, p) < 0.1 ? 0.01 * (kTokens - p) : 0.0;
    for (uint32_t i = p; i < kTokens; i++) sum += 1.0 / (i - p + 8);
    return float(sum);
  });
  driver.select(kTokens - kKept);
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    size_t newest = 0;
    for (uint32_t p : driver.live(lane)) newest += p >= kTokens - kKept;
    EXPECT_LT(newest, 0.8 * kKept);
    EXPECT_GE(newest, 32u);
  }
}

TEST(EvictorSieve, TakesTwoBytesAndABitPerSlotOnceThePromptIsRead) {
  const Instance module = make_evictor("sieve");
  const sluice_lanes decode{0, 4, 1024, 800, 16, 0}, prompt{0, 4, 1024, 800, 16, 1};
  const auto& table = module.table<sluice_evictor>();
  EXPECT_EQ(table.state_size(module.self(), &decode), 4u * (2 * 1024 + 1024 / 8 + 4 + 4));
  EXPECT_EQ(table.state_size(module.self(), &prompt), 4u * (2 * 1024 + 1024 / 8 + 4 + 4 + 4 * 1024));
}

}  // namespace
}  // namespace sluice::testing
