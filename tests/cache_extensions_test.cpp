// What evictors get through sluice/extensions.h, at the level of the cache: rows as attention reads them, a prompt's
// last queries, budgets per layer and head; and what is said where an evictor does not keep to it.
#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "core/base/error.h"
#include "support/cache_setup.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using testing::CacheDriver;
using ::testing::ElementsAre;
using testing::ExtensionHooks;
using ::testing::HasSubstr;
using testing::hooks;
using testing::PolicyOptions;
using testing::Rows;

struct CacheExtensions : testing::CacheSetup {
  CacheExtensions() { hooks = {}; }
  ~CacheExtensions() override { hooks = {}; }
};

std::vector<float> read(const sluice_rows& rows, uint32_t head, uint32_t side, const std::vector<uint32_t>& slots) {
  std::vector<float> out(slots.size() * rows.head_dim);
  EXPECT_EQ(rows.read(&rows, head, side, uint32_t(slots.size()), slots.data(), out.data()), SLUICE_OK);
  return out;
}

std::vector<float> stored(const Rows& rows, uint32_t side, uint32_t layer, uint32_t position, uint32_t head,
                          uint32_t head_dim) {
  std::vector<float> row(head_dim);
  for (uint32_t c = 0; c < head_dim; c++)
    row[c] = rows.at(side ? testing::kRowV : testing::kRowK, layer, position, head, c);
  return row;
}

// ---- rows ----------------------------------------------------------------------------------------------------

// Dense rows are what was stored, coded ones what decode() makes of them: asked singly, all at once, in any order.
TEST_F(CacheExtensions, RowsAreThoseThatAttentionReads) {
  struct Stack {
    const char *key, *value;
    bool layer_granularity;
    int padding;  // of an identity block, which then goes to the side list as soon as it loses rows
  };
  uint64_t rescued = 0;
  const Stack stacks[] = {{"", "", false, 0},         {"identity", "identity", false, 0},
                          {"", "identity", false, 0}, {"identity", "identity", false, 256},
                          {"gear", "gear", false, 0}, {"uniform", "", true, 0},
                          {"", "", true, 0}};
  for (const Stack& stack : stacks) {
    SCOPED_TRACE(std::string(stack.key) + "+" + stack.value + (stack.layer_granularity ? " by layer" : ""));
    PolicyOptions o;
    o.evictor = "test-rows", o.interval = 4, o.layers = 2, o.key_codec = stack.key, o.value_codec = stack.value;
    o.layer_granularity = stack.layer_granularity, o.codec_params["padding"].i = stack.padding;
    if (o.key_codec == "gear") o.codec_params["group"].i = 32, o.codec_params["buffer"].i = 32;
    if (o.key_codec == "uniform") o.codec_params["block_rows"].i = 16;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 72);
    uint64_t looked = 0, fresh = 0, selections = 0;
    hooks.inserted = [&](const sluice_lanes& lanes, uint32_t n, const uint32_t* slots, const uint32_t* positions,
                         const sluice_rows& rows) {
      ASSERT_EQ(rows.kv_heads, 2u);
      ASSERT_EQ(rows.head_dim, 32u);
      for (uint32_t h : {0u, 1u})
        for (uint32_t side : {0u, 1u}) {
          const uint32_t* of_lane = slots + size_t(lanes.count == 1 ? 0 : h) * n;
          // A row that has waited for its evictor may be coded already; a prompt's are not.
          for (uint32_t i = 0; i < n; i++)
            if (lanes.prompt || !policy->layers[0].codec[side]) {
              ASSERT_EQ(read(rows, h, side, {of_lane[i]}), stored({}, side, lanes.layer, positions[i], h, 32));
            }
          fresh += n;
        }
    };
    hooks.selecting = [&](const sluice_lanes& lanes, const sluice_rows& rows) {
      if (selections++ % 5) return;
      for (uint32_t h : {0u, 1u})
        for (uint32_t side : {0u, 1u}) {
          const auto want = d.visible(lanes.layer, h, side);
          const uint32_t* pos = d.cache.slot_pos(lanes.layer) + h * d.cache.slot_stride(lanes.layer);
          std::vector<uint32_t> slots;
          for (uint32_t s = 0; s < lanes.capacity; s++)
            if (pos[s] != SLUICE_FREE) slots.push_back(s);
          for (bool backwards : {false, true}) {
            if (backwards) std::reverse(slots.begin(), slots.end());
            const std::vector<float> all = read(rows, h, side, slots);
            for (size_t i = 0; i < slots.size(); i++) {
              const std::vector<float> row(&all[i * 32], &all[i * 32] + 32);
              ASSERT_EQ(row, want.at(pos[slots[i]])) << "position " << pos[slots[i]];
              ASSERT_EQ(read(rows, h, side, {slots[i]}), row);
              if (!policy->layers[0].codec[side]) {
                ASSERT_EQ(row, stored({}, side, lanes.layer, pos[slots[i]], h, 32));
              }
            }
          }
          looked += slots.size();
        }
    };
    d.prompt(130);
    for (uint32_t t = 0; t < 240; t++) d.step();
    EXPECT_GT(looked, 5000u);
    EXPECT_GT(fresh, 1000u);
    const CacheCounters c = d.cache.counters();
    EXPECT_EQ(c.decoded > 0, o.key_codec != "" || o.value_codec != "") << "rows of coded sides are decoded, no others";
    rescued += c.rescued;
  }
  EXPECT_GT(rescued, 0u) << "side lists were read too";
}

// Whose rows decide decides the same: the largest keys of each lane leave.
TEST_F(CacheExtensions, SelectWithRowsReplacesTheEvictorsOwn) {
  for (const char* codec : {"", "identity"}) {
    PolicyOptions o;
    o.evictor = "test-rows", o.interval = 4, o.key_codec = o.value_codec = codec;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 48);
    auto largest = [](uint32_t head, const std::set<uint32_t>& alive) {
      auto size = [&](uint32_t position) {
        float sum = 0;
        for (float x : stored({}, SLUICE_KEY, 0, position, head, 32)) sum += x * x;
        return sum;
      };
      return *std::max_element(alive.begin(), alive.end(), [&](uint32_t a, uint32_t b) { return size(a) < size(b); });
    };
    std::vector<std::set<uint32_t>> alive(2);
    auto settle = [&](uint32_t seen, uint32_t came) {
      for (uint32_t h : {0u, 1u}) {
        for (uint32_t p = seen - came; p < seen; p++) alive[h].insert(p);
        if (alive[h].size() > 48)
          while (alive[h].size() > 45) alive[h].erase(largest(h, alive[h]));
        ASSERT_EQ(d.cache.live_positions(0, h), std::vector<uint32_t>(alive[h].begin(), alive[h].end())) << seen;
      }
    };
    d.prompt(80), settle(80, 80);
    for (uint32_t t = 81; t < 200; t++) d.step(), settle(t, 1);
    EXPECT_NE(alive[0], alive[1]);
  }
}

// ---- the window ----------------------------------------------------------------------------------------------

struct SeenWindow {
  uint32_t layer, prompt;
  std::vector<uint32_t> positions;
};

struct CacheWindow : CacheExtensions {
  std::vector<SeenWindow> seen;
  CacheWindow() {
    hooks.window = [this](const sluice_lanes& lanes, uint32_t n, const float* queries, const uint32_t* positions,
                          const sluice_rows&) {
      seen.push_back({lanes.layer, lanes.prompt, std::vector<uint32_t>(positions, positions + n)});
      for (uint32_t h = 0; h < 4; h++)
        for (uint32_t i = 0; i < n; i++)
          for (uint32_t c = 0; c < 32; c++)
            ASSERT_EQ(queries[(size_t(h) * n + i) * 32 + c],
                      Rows{}.at(testing::kRowQ, lanes.layer, positions[i], h, c));
    };
  }
  static std::vector<uint32_t> range(uint32_t first, uint32_t last) {
    std::vector<uint32_t> list(last - first);
    std::iota(list.begin(), list.end(), first);
    return list;
  }
  void expect_seen(uint32_t prompt, const std::vector<uint32_t>& positions) {
    ASSERT_EQ(seen.size(), 2u);
    for (uint32_t l : {0u, 1u}) {
      EXPECT_EQ(seen[l].layer, l);
      EXPECT_EQ(seen[l].prompt, prompt);
      EXPECT_EQ(seen[l].positions, positions);
    }
    seen.clear();
  }
};

TEST_F(CacheWindow, HandsOverTheLastQueriesOfAPrompt) {
  PolicyOptions o;
  o.evictor = "test-window", o.interval = 4, o.layers = 2;
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 48);
  d.prompt(70), expect_seen(1, range(54, 70));
  for (uint32_t t = 0; t < 10; t++) d.step();
  EXPECT_TRUE(seen.empty()) << "decoded tokens are no prompt";
  d.prompt(5), expect_seen(1, range(80, 85));  // a second turn, shorter than the window
  CacheDriver fork(d);
  fork.prompt(1), expect_seen(1, {85});
  EXPECT_EQ(d.cache.live_positions(1, 0).back(), 84u);
}

TEST_F(CacheWindow, AChunkCountsAsAPromptOfItsOwn) {
  PolicyOptions o;
  o.evictor = "test-window", o.interval = 4, o.layers = 2, o.chunk = 24;
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 48);
  for (uint32_t first : {0u, 24u, 48u, 72u}) d.step(24), expect_seen(0, range(first + 8, first + 24));
  d.step(7), expect_seen(0, range(96, 103));
  d.step(1);
  EXPECT_TRUE(seen.empty()) << "a chunk of one is a decoded token";
}

TEST_F(CacheWindow, ComesAfterInsertAndBeforeSelect) {
  PolicyOptions o;
  o.evictor = "test-window", o.interval = 4;
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 48);
  hooks.log = true;
  d.prompt(70);
  EXPECT_THAT(hooks.calls, ElementsAre("insert", "window", "select"));
  // What the window said decides: what it gave the lowest scores has left.
  const auto kept = d.cache.live_positions(0, 0);
  EXPECT_EQ(kept.size(), 45u);
  std::map<uint32_t, double> score;
  for (uint32_t p = 0; p < 54; p++)
    for (uint32_t h : {0u, 1u})
      for (uint32_t t = 54; t < 70; t++)
        for (uint32_t c = 0; c < 32; c++)
          score[p] += double(Rows{}.at(testing::kRowQ, 0, t, h, c)) * Rows{}.at(testing::kRowK, 0, p, 0, c);
  double left = -1e9, stayed = 1e9;
  for (const auto& [p, s] : score)
    if (std::binary_search(kept.begin(), kept.end(), p))
      stayed = std::min(stayed, s);
    else
      left = std::max(left, s);
  EXPECT_GE(stayed, left - 1e-3) << "scores were summed in float";
}

TEST_F(CacheWindow, ASharedPrefixLeavesRoomForIt) {
  PolicyOptions o;
  o.evictor = "test-window", o.interval = 4, o.layers = 2;
  const auto policy = make_policy(registry, o);
  const Policy watched = snapshot_policy(*policy);
  CacheDriver snapshot = driver(watched, 0), whole = driver(*policy, 48), shared = driver(*policy, 48),
              close = driver(*policy, 48);
  snapshot.prompt(40);
  EXPECT_TRUE(seen.empty());
  whole.prompt(70), expect_seen(1, range(54, 70));
  shared.prompt(30, &snapshot), expect_seen(1, range(54, 70));
  for (uint32_t t = 0; t < 60; t++) {
    ASSERT_EQ(whole.outputs, shared.outputs);
    whole.step(), shared.step();
  }
  try {
    close.prompt(15, &snapshot);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("evictor test-window looks at the last 16 tokens of a prompt, so as many must "
                                    "follow a shared prefix; here 15 do"));
    EXPECT_EQ(e.code(), kExitUsage);
  }
}

// ---- budgets -------------------------------------------------------------------------------------------------

TEST_F(CacheExtensions, LayersGetTheirShares) {
  for (const char* codec : {"", "identity"}) {
    PolicyOptions o;
    o.evictor = "test-layers", o.interval = 4, o.layers = 3, o.key_codec = o.value_codec = codec;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 40);  // 60, 40 and 20
    d.prompt(100);
    for (uint32_t l = 0; l < 3; l++)
      for (uint32_t h : {0u, 1u}) EXPECT_EQ(d.cache.live_positions(l, h).size(), 60 - 20 * l - 3) << "layer " << l;
    uint64_t peak[3] = {};
    for (uint32_t t = 0; t < 60; t++) {
      d.step();
      EXPECT_LE(d.cache.tokens_kept(), 40);
      for (uint32_t l = 0; l < 3; l++) peak[l] = std::max<uint64_t>(peak[l], d.cache.live_positions(l, 1).size());
    }
    EXPECT_THAT(peak, ElementsAre(60, 40, 20));
    EXPECT_LT(d.cache.slots(2), d.cache.slots(0)) << "tables are sized by the layer's budget";
  }
}

// Heads hold different counts; attention is right for each; memory is what they hold.
TEST_F(CacheExtensions, HeadsGetTheirShares) {
  for (const char* codec : {"", "identity"}) {
    SCOPED_TRACE(codec);
    hooks = {};
    PolicyOptions o;
    o.evictor = "test-ragged", o.interval = 4, o.key_codec = o.value_codec = codec, o.kv_heads = 4;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, 50);
    d.prompt(120);
    std::vector<size_t> counts;
    auto count = [&] {
      counts.clear();
      for (uint32_t h = 0; h < 4; h++) counts.push_back(d.cache.live_positions(0, h).size());
      return std::accumulate(counts.begin(), counts.end(), size_t(0));
    };
    EXPECT_EQ(count(), 4u * 47);
    EXPECT_THAT(counts, ElementsAre(18, 37, 57, 76)) << "one to two to three to four";
    EXPECT_EQ(d.cache.tokens_kept(), 47);
    const Ledger ledger = d.cache.ledger();
    const uint64_t row = 2 * 32 * sizeof(uint16_t);
    EXPECT_EQ(ledger[Kind::kTail] + ledger[Kind::kCodes], 4 * 47 * row);
    EXPECT_LE(ledger[Kind::kSlack], 4 * 16 * row + 1024) << "no room of tokens that left";
    for (uint32_t t = 0; t < 300; t++) {
      std::vector<std::vector<uint32_t>> before;
      for (uint32_t h = 0; h < 4; h++) {
        before.push_back(d.cache.live_positions(0, h));
        before.back().push_back(d.cache.seen());
      }
      if (t == 100) hooks.reversed = true;
      d.step();
      const auto want = d.expected(0, before);
      for (size_t i = 0; i < want.size(); i++) ASSERT_NEAR(d.outputs[0][i], want[i], 1e-9) << "step " << t;
      ASSERT_LE(count(), 4u * 50);
      uint32_t rows = 0;  // that have room
      for (uint32_t h = 0; h < 4; h++)
        for (uint32_t side : {0u, 1u}) {
          std::vector<sluice_span> spans(d.cache.dense_spans(0, h, side, nullptr));
          d.cache.dense_spans(0, h, side, spans.data());
          for (const sluice_span& s : spans) rows += s.rows;
        }
      ASSERT_LE(rows, 2 * (4 * 50 + 4 * (5 + 16 + 5))) << "step " << t;
    }
    EXPECT_GT(counts[0], 2 * counts[3]) << "who had most has least now";
  }
}

// However lanes differ, and however few tokens a sequence was made for, every token finds a slot.
TEST_F(CacheExtensions, LanesThatDifferHaveSlotsUntilTheEnd) {
  for (const char* codec : {"", "identity"})
    for (uint32_t chunk : {0u, 8u})
      for (uint32_t most : {97u, 128u, 200u}) {
        SCOPED_TRACE(std::string(codec) + " chunk " + std::to_string(chunk) + " of " + std::to_string(most));
        hooks = {};
        PolicyOptions o;
        o.evictor = "test-ragged", o.interval = 16, o.key_codec = o.value_codec = codec, o.kv_heads = 4;
        o.chunk = chunk;
        const auto policy = make_policy(registry, o);
        CacheDriver d = driver(*policy, 40, most);
        d.prompt(20);
        while (d.cache.seen() < most) {
          if (d.cache.seen() > 80) hooks.reversed = true;
          d.step(std::min(std::max(chunk, 1u), most - d.cache.seen()));
          size_t held = 0;
          for (uint32_t h = 0; h < 4; h++) {
            const auto alive = d.cache.live_positions(0, h);
            ASSERT_EQ(std::set<uint32_t>(alive.begin(), alive.end()).size(), alive.size());
            ASSERT_LE(alive.size(), d.cache.slots(0));
            held += alive.size();
          }
          ASSERT_LE(held, 4 * 40u);
        }
      }
}

// What a head does not keep is memory that is not there: with the same mean, and with a mean of half.
TEST_F(CacheExtensions, RaggedLanesCostWhatTheyHold) {
  PolicyOptions o;
  o.interval = 1, o.head_dim = 128;
  auto bytes = [&](const char* evictor, uint32_t budget) {
    o.evictor = evictor;
    const auto policy = make_policy(registry, o);
    CacheDriver d = driver(*policy, budget);
    d.prompt(400);
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t h = 0; h < o.kv_heads; h++) {
      const uint64_t rows = d.cache.lane_rows(0, h), held = d.cache.lane_bytes(0, h);
      EXPECT_EQ(rows, d.cache.live_positions(0, h).size());
      EXPECT_GE(held, rows * 2 * o.head_dim * 2);
      EXPECT_LE(held, (rows + 128) * 2 * o.head_dim * 2);  // a lane's last segment may be half empty
      least = std::min(least, held), most = std::max(most, held);
    }
    EXPECT_EQ(most > least, std::string(evictor) == "test-ragged");
    const Ledger ledger = d.cache.ledger();
    return ledger[Kind::kTail] + ledger[Kind::kSlack];
  };
  const double even = double(bytes("test-rows", 192)), ragged = double(bytes("test-ragged", 192)),
               half = double(bytes("test-ragged", 96));
  EXPECT_NEAR(ragged / even, 1, 0.05);
  EXPECT_NEAR(half / even, 0.5, 0.05);
}

TEST_F(CacheExtensions, ForksGoOnAsTheOriginal) {
  for (const char* evictor : {"test-rows", "test-window", "test-layers", "test-ragged"})
    for (const char* codec : {"", "gear"}) {
      SCOPED_TRACE(std::string(evictor) + "+" + codec);
      PolicyOptions o;
      o.evictor = evictor, o.interval = 4, o.layers = 2, o.key_codec = o.value_codec = codec;
      if (*codec) o.codec_params["group"].i = 32, o.codec_params["buffer"].i = 32;
      const auto policy = make_policy(registry, o);
      CacheDriver d = driver(*policy, 72);
      d.prompt(100);
      for (uint32_t t = 0; t < 30; t++) d.step();
      CacheDriver fork(d);
      for (uint32_t t = 0; t < 100; t++) {
        d.step(), fork.step();
        ASSERT_EQ(d.outputs, fork.outputs) << "step " << t;
      }
      EXPECT_EQ(d.cache.ledger().bytes, fork.cache.ledger().bytes);
      for (uint32_t h : {0u, 1u}) EXPECT_EQ(d.cache.live_positions(1, h), fork.cache.live_positions(1, h));
    }
}

// ---- parts ---------------------------------------------------------------------------------------------------

// An evictor that leaves everything to a part of it is that part, with its bytes and its counters.
TEST_F(CacheExtensions, AWholeOfOnePartIsThatPart) {
  for (const char* name : {"h2o", "sieve"}) {
    PolicyOptions o;
    o.evictor = name, o.interval = 4, o.evictor_params["recent"].i = 9;
    const auto alone = make_policy(registry, o);
    o.evictor = "test-part", o.evictor_params.clear();
    o.evictor_params["part"].s = name, o.evictor_params["with"].s = "recent = 9";
    const auto whole = make_policy(registry, o);
    CacheDriver a = driver(*alone, 40), b = driver(*whole, 40);
    a.cache.record_victims(0), b.cache.record_victims(0);
    a.prompt(60), b.prompt(60);
    for (uint32_t t = 0; t < 100; t++) a.step(), b.step();
    EXPECT_EQ(a.outputs, b.outputs);
    EXPECT_GT(a.cache.recorded_victims()[0].size(), 60u);
    EXPECT_EQ(a.cache.recorded_victims(), b.cache.recorded_victims());
    EXPECT_EQ(whole->plugin_bytes(), alone->plugin_bytes() + sizeof(testing::extension_evictor::Whole));
    const auto want = alone->instances[0].counters(), have = whole->instances[0].counters();
    ASSERT_EQ(have.size(), want.size());
    EXPECT_EQ(want.empty(), std::string(name) == "h2o");
    for (size_t i = 0; i < want.size(); i++) EXPECT_EQ(have[i].numerator, want[i].numerator) << want[i].name;
  }
}

TEST_F(CacheExtensions, PartsGoWithTheirOwner) {
  for (const char* lie : {"", "leak"}) {
    hooks = {}, hooks.lie = lie;
    PolicyOptions o;
    o.evictor = "test-part", o.evictor_params["part"].s = "test-part-too",
    o.evictor_params["with"].s = "part = \"test-rows\"";
    auto policy = make_policy(registry, o);
    EXPECT_EQ(hooks.destroyed, 0);
    EXPECT_EQ(policy->plugin_bytes(),
              2 * sizeof(testing::extension_evictor::Whole) + sizeof(testing::extension_evictor::Self));
    policy.reset();
    EXPECT_EQ(hooks.destroyed, 1) << lie;
  }
}

TEST_F(CacheExtensions, PartsAreCheckedAsAConfigurationIs) {
  auto refusal = [&](const char* part, const char* with) -> std::string {
    PolicyOptions o;
    o.evictor = "test-part", o.evictor_params["part"].s = part, o.evictor_params["with"].s = with;
    try {
      make_policy(registry, o);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), kExitUsage) << e.what();
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("h2o", ""), "accepted");
  EXPECT_EQ(refusal("h2o", "recent = \"25%\", sinks = 2"), "accepted");
  EXPECT_EQ(refusal("h2o", "recnt = 4"),
            "evictor test-part, create: parameters of evictor h2o: [evictor] has no \"recnt\"; h2o takes: recent, "
            "sinks, decay (did you mean \"recent\"?)");
  EXPECT_THAT(
      refusal("h2o", "recent = true, sinks = -1"),
      AllOf(HasSubstr("[evictor] recent takes tokens"), HasSubstr("; parameters of evictor h2o: [evictor] sinks")));
  EXPECT_THAT(refusal("h2o", "recent = [1]"), HasSubstr("recent takes a single value, not an array"));
  EXPECT_THAT(refusal("h2o", "recent = 4 } more = { a = 1"), HasSubstr("is not of the form"));
  EXPECT_THAT(refusal("h2o", "recent = 4 }\nmore = { a = 1"), HasSubstr("it has several lines"));
  EXPECT_THAT(refusal("h20", ""), HasSubstr("test-part, create: there is no evictor \"h20\" (did you mean \"h2o\"?)"));
  EXPECT_THAT(refusal("test-part", "part = \"h2o\""),
              HasSubstr("evictor test-part would contain itself (test-part in test-part)"));
  EXPECT_THAT(refusal("test-part-too", "part = \"test-part\""),
              HasSubstr("evictor test-part would contain itself (test-part in test-part-too in test-part)"));
  // What a part says later reaches the user as its owner's words.
  PolicyOptions o;
  o.evictor = "test-part", o.evictor_params["part"].s = "h2o", o.evictor_params["with"].s = "recent = 100";
  const auto policy = make_policy(registry, o);
  CacheDriver d = driver(*policy, 40);
  try {
    d.step();
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("evictor test-part, reset: evictor h2o: h2o: recent 100 and sinks"));
  }
  const sluice_host* host = policy->instances[0].host();
  const auto* modules = static_cast<const sluice_host_modules*>(host->extension(host, SLUICE_HOST_MODULES));
  sluice_part_module part{};
  EXPECT_EQ(modules->create(host, SLUICE_EVICTOR, "h2o", &policy->geometry, "", &part), SLUICE_INTERNAL)
      << "only create() makes parts";
}

// ---- what must not be ----------------------------------------------------------------------------------------

TEST_F(CacheExtensions, LiesAreNamed) {
  auto failure = [&](const char* evictor, const char* lie, int code) {
    hooks.lie = lie;
    const uint64_t live = arena->live();
    std::string text = "nothing was noticed";
    try {
      PolicyOptions o;
      o.evictor = evictor, o.interval = 4, o.layers = 2;
      const auto policy = make_policy(registry, o);
      CacheDriver d = driver(*policy, 40);
      d.prompt(70);
      for (uint32_t t = 0; t < 20; t++) d.step();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      text = e.what();
    }
    EXPECT_EQ(arena->live(), live) << lie;
    return text;
  };
  for (const char* honest : {"test-rows", "test-window", "test-layers", "test-ragged"})
    EXPECT_EQ(failure(honest, "", 0), "nothing was noticed");
  EXPECT_THAT(
      failure("test-rows", "slot", kExitFailed),
      HasSubstr("evictor test-rows, rows.inserted: reads the row of slot 70 in kv head 0, which holds no token"));
  EXPECT_THAT(failure("test-rows", "head", kExitFailed),
              HasSubstr("evictor test-rows, rows.inserted: reads rows of kv head 2, side 0; there are 2 heads"));
  EXPECT_THAT(failure("test-rows", "twice", kExitFailed),
              HasSubstr("evictor test-rows, rows.select: victim 1 of lane 0 is slot"));
  EXPECT_THAT(failure("test-ragged", "twice", kExitFailed),
              HasSubstr("evictor test-ragged, budget.select: victim 1 of lane 0 is slot"));
  EXPECT_THAT(failure("test-ragged", "counts", kExitFailed),
              HasSubstr("evictor test-ragged, budget.split: its counts for layer 0 add up to 67 tokens, 66 are to "
                        "leave"));
  EXPECT_THAT(failure("test-ragged", "all", kExitFailed),
              HasSubstr("evictor test-ragged, budget.split: 70 tokens are to leave lane 0 of layer 0, which holds 70; "
                        "one at least stays"));
  EXPECT_THAT(failure("test-layers", "sum", kExitFailed),
              HasSubstr("evictor test-layers, budget.layer: its budgets of 2 layers add up to 82 tokens per lane, more "
                        "than 2 times 40 = 80"));
  EXPECT_THAT(failure("test-layers", "small", kExitUsage),
              HasSubstr("evictor test-layers, budget.layer: gives layer 0 a budget of 3 tokens, less than the interval "
                        "of 4"));
  EXPECT_THAT(
      failure("test-window", "window", kExitFailed),
      HasSubstr("evictor test-window, window.size: wants the last 257 queries of a prompt; it may be 1 to 256"));
}

TEST_F(CacheExtensions, HeadsOfOneLaneHaveNoSharesOfTheirOwn) {
  PolicyOptions o;
  o.evictor = "test-ragged", o.layer_granularity = true;
  const auto policy = make_policy(registry, o);
  try {
    driver(*policy, 40);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), kExitUsage);
    EXPECT_THAT(e.what(), HasSubstr("evictor test-ragged gives the heads of a layer budgets of their own"));
    EXPECT_THAT(e.what(), HasSubstr("granularity = \"head\""));
  }
}

}  // namespace
}  // namespace sluice
