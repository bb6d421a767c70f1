// Drives one evictor through the C table as a host would, and checks on every call what no evictor may do:
// write outside its state or its victims, name dead slots or one twice. Between any two calls the state is
// moved to another address. Tests speak of positions; slots are the driver's business. An evictor that offers rows of
// K and V (sluice/extensions.h) is given them; what else it offers, tests call for.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/plugins/registry.h"
#include "sluice/extensions.h"

namespace sluice::testing {

inline ThreadPool& pool_of_one() {
  static ThreadPool pool(1);
  return pool;
}

inline Registry& built_plugins() {
  static const std::filesystem::path folders[] = {SLUICE_PLUGINS, SLUICE_TEST_PLUGINS, SLUICE_EXAMPLES};
  static Registry registry(folders, pool_of_one());
  registry.read_part_params_with(read_part_params);
  return registry;
}

struct Share {
  double percent;
};
using Parameter = std::variant<int, double, Share, const char*>;
using Parameters = std::map<std::string, Parameter>;

constexpr sluice_geometry kGeometry{2, 8, 4, 64, 4096};

// The module's defaults with some parameters set by name.
inline Instance make_evictor(const sluice_module& module, const Parameters& set = {}, uint32_t max_context = 4096) {
  std::vector<sluice_value> values;
  size_t used = 0;
  for (uint32_t p = 0; p < module.param_count; p++) {
    sluice_value value = module.params[p].initial;
    if (const auto found = set.find(module.params[p].name); found != set.end()) {
      used++;
      if (const int* i = std::get_if<int>(&found->second)) value.i = *i;
      if (const double* f = std::get_if<double>(&found->second)) value.f = *f;
      if (const Share* s = std::get_if<Share>(&found->second)) value.i = -int64_t(s->percent * 100);
      if (const char* const* s = std::get_if<const char*>(&found->second)) value.s = *s;
    }
    values.push_back(value);
  }
  if (used != set.size()) throw std::logic_error(std::string("no such parameter of ") + module.name);
  sluice_geometry geometry = kGeometry;
  geometry.max_context = max_context;
  return built_plugins().create_policy(module, geometry, values);
}
inline Instance make_evictor(const std::string& name, const Parameters& set = {}, uint32_t max_context = 4096) {
  return make_evictor(built_plugins().find(SLUICE_EVICTOR, name), set, max_context);
}
// The same evictor as a host sees it that knows no extensions.
inline Instance make_bare_evictor(const std::string& name, const Parameters& set = {}) {
  static std::deque<sluice_module> modules;  // instances point to them
  modules.push_back(built_plugins().find(SLUICE_EVICTOR, name));
  modules.back().extension = nullptr;
  return make_evictor(modules.back(), set);
}

// What a module offers beside its table, or NULL.
template <class Table>
const Table* offered(const Instance& evictor, const char* id, uint32_t layout) {
  const sluice_module& module = evictor.module();
  const auto* table = static_cast<const Table*>(module.extension ? module.extension(id) : nullptr);
  return table && table->layout == layout ? table : nullptr;
}

// State memory between guard bytes, at an address that changes with every move.
class State {
 public:
  explicit State(size_t bytes = 0) : bytes_(bytes) { place(); }
  State(const State& other) : bytes_(other.bytes_) {
    place();
    std::memcpy(data(), other.data(), bytes_);
  }
  State& operator=(const State& other) {
    if (this == &other) return *this;
    State copy(other);
    std::swap(memory_, copy.memory_), std::swap(offset_, copy.offset_), std::swap(bytes_, copy.bytes_);
    return *this;
  }

  unsigned char* data() const { return memory_.get() + offset_; }
  size_t size() const { return bytes_; }
  void move() {
    State copy(*this);
    std::memset(data(), 0xDB, bytes_);  // what still points here reads nonsense
    std::swap(memory_, copy.memory_), std::swap(offset_, copy.offset_);
  }
  bool guards_intact() const {
    const auto untouched = [](const unsigned char* at) {
      return std::all_of(at, at + kGuard, [](unsigned char b) { return b == 0xA5; });
    };
    return untouched(data() - kGuard) && untouched(data() + bytes_);
  }
  friend bool operator==(const State& a, const State& b) {
    return a.bytes_ == b.bytes_ && std::memcmp(a.data(), b.data(), a.bytes_) == 0;
  }

 private:
  static constexpr size_t kGuard = 64, kAlign = 64;
  void place() {
    memory_.reset(new unsigned char[bytes_ + 2 * kGuard + kAlign]);
    const auto address = reinterpret_cast<uintptr_t>(memory_.get()) + kGuard;
    offset_ = kGuard + (kAlign - address % kAlign) % kAlign;
    std::memset(data() - kGuard, 0xA5, bytes_ + 2 * kGuard);
    std::memset(data(), 0, bytes_);
  }
  std::unique_ptr<unsigned char[]> memory_;
  size_t offset_ = 0, bytes_ = 0;
};

struct Shape {
  uint32_t lanes = 1, capacity = 64, budget = 32, interval = 1, layer = 0, prompt = 0;
};

using Positions = std::vector<uint32_t>;
// What lane `lane` paid to the token at `position` since the last observation.
using Attention = std::function<float(uint32_t lane, uint32_t position)>;
// Number `c` of the K or V that kv head `head` holds of the token at `position`.
using RowNumber = std::function<float(uint32_t head, uint32_t side, uint32_t position, uint32_t c)>;

// Attention that is a function of step, lane and position alone: the same whatever slots the tokens have.
inline float noise(uint64_t step, uint32_t lane, uint32_t position) {
  uint64_t x = (step << 40) + (uint64_t(lane) << 32) + position + 0x9E3779B97F4A7C15u;
  for (int round = 0; round < 3; round++) x = (x ^ x >> 29) * 0xBF58476D1CE4E5B9u;
  return float(x >> 40) / float(1 << 24);
}

inline float noisy_row(uint32_t head, uint32_t side, uint32_t position, uint32_t c) {
  return 2 * noise(0, (2 * head + side) * 4096 + c, position) - 1;
}

class EvictorDriver {
 public:
  // Throws Error with the evictor's words when reset() refuses.
  EvictorDriver(const Instance& evictor, const Shape& shape, uint64_t slot_seed = 1)
      : evictor_(&evictor), random_(slot_seed) {
    lanes_ = {shape.layer, shape.lanes, shape.capacity, shape.budget, shape.interval, shape.prompt};
    state_ = State(table().state_size(self(), &lanes_));
    evictor.check(table().reset(self(), state_.data(), &lanes_), "reset");
    tokens_.assign(shape.lanes, std::vector<uint32_t>(shape.capacity, SLUICE_FREE));
    free_.resize(shape.lanes);
    for (auto& free : free_) {
      for (uint32_t s = 0; s < shape.capacity; s++) free.push_back(s);
      if (slot_seed != 1) std::shuffle(free.begin(), free.end(), random_);
    }
  }

  const sluice_lanes& lanes() const { return lanes_; }
  const State& state() const { return state_; }
  void set_rows(RowNumber numbers) { numbers_ = std::move(numbers); }
  uint32_t next_position() const { return next_; }

  // The next n positions enter. Slots that died last are named last, so they stay free a while.
  void insert(uint32_t n) {
    std::vector<uint32_t> slots(size_t(lanes_.count) * n), positions(n);
    for (uint32_t i = 0; i < n; i++) positions[i] = next_++;
    for (uint32_t lane = 0; lane < lanes_.count; lane++)
      for (uint32_t i = 0; i < n; i++) {
        ASSERT_FALSE(free_[lane].empty()) << "the test inserts more than the capacity";
        const uint32_t slot = free_[lane].front();
        free_[lane].pop_front();
        slots[size_t(lane) * n + i] = slot;
        tokens_[lane][slot] = positions[i];
      }
    state_.move();
    table().insert(self(), state_.data(), &lanes_, n, slots.data(), positions.data());
    check_guards("insert");
    if (const auto* with_rows = rows_table()) {
      state_.move();
      const sluice_rows rows = make_rows();
      with_rows->inserted(self(), state_.data(), &lanes_, n, slots.data(), positions.data(), &rows);
      check_guards("rows.inserted");
    }
  }

  void observe(uint32_t queries, const Attention& attention) {
    std::vector<float> signal(size_t(lanes_.count) * lanes_.capacity, 0.0f);
    for (uint32_t lane = 0; lane < lanes_.count; lane++)
      for (uint32_t s = 0; s < lanes_.capacity; s++)
        if (tokens_[lane][s] != SLUICE_FREE)
          signal[size_t(lane) * lanes_.capacity + s] = attention(lane, tokens_[lane][s]);
    state_.move();
    table().observe(self(), state_.data(), &lanes_, queries, signal.data());
    check_guards("observe");
  }

  // The status alone, for calls that must fail.
  sluice_status try_select(uint32_t n) {
    std::vector<uint32_t> victims(size_t(lanes_.count) * n);
    return call_select(n, victims.data());
  }

  // Victims' positions per lane, in the order in which they were named.
  std::vector<Positions> select(uint32_t n) {
    state_.move();
    return kill(std::vector<uint32_t>(lanes_.count, n), [&](uint32_t* victims) { return call_select(n, victims); });
  }

  // The same where heads have budgets of their own: `total` victims of all lanes.
  std::vector<Positions> select_split(uint32_t total) {
    const auto* budget = offered<sluice_evictor_budget>(*evictor_, SLUICE_EVICTOR_BUDGET, SLUICE_EVICTOR_BUDGET_LAYOUT);
    std::vector<uint32_t> counts(lanes_.count), held;
    for (uint32_t lane = 0; lane < lanes_.count; lane++) held.push_back(uint32_t(live(lane).size()));
    state_.move();
    evictor_->check(budget->split(self(), state_.data(), &lanes_, held.data(), total, counts.data()), "budget.split");
    check_guards("budget.split");
    uint32_t sum = 0;
    for (uint32_t lane = 0; lane < lanes_.count; lane++) {
      EXPECT_LT(counts[lane], held[lane]) << "lane " << lane << " would be empty";
      sum += counts[lane];
    }
    EXPECT_EQ(sum, total);
    state_.move();
    const sluice_rows rows = make_rows();
    return kill(counts, [&](uint32_t* victims) {
      return budget->select(self(), state_.data(), &lanes_, counts.data(), &rows, victims);
    });
  }

  // As the host does after a prompt (or before one): all live tokens get new slots; shuffled, or by position.
  void resize(uint32_t capacity, bool shuffled, uint32_t prompt = 0) {
    sluice_lanes to = lanes_;
    to.capacity = capacity, to.prompt = prompt;
    std::vector<uint32_t> map(size_t(lanes_.count) * lanes_.capacity, SLUICE_FREE);
    std::vector<std::vector<uint32_t>> tokens(lanes_.count, std::vector<uint32_t>(capacity, SLUICE_FREE));
    for (uint32_t lane = 0; lane < lanes_.count; lane++) {
      std::vector<uint32_t> live = slots_by_position(lane), fresh(capacity);
      ASSERT_LE(live.size(), capacity);
      for (uint32_t s = 0; s < capacity; s++) fresh[s] = s;
      if (shuffled) std::shuffle(fresh.begin(), fresh.end(), random_);
      for (size_t i = 0; i < live.size(); i++) {
        map[size_t(lane) * lanes_.capacity + live[i]] = fresh[i];
        tokens[lane][fresh[i]] = tokens_[lane][live[i]];
      }
      free_[lane].assign(fresh.begin() + ptrdiff_t(live.size()), fresh.end());
    }
    State state(table().state_size(self(), &to));
    table().resize(self(), state.data(), &to, state_.data(), &lanes_, map.data());
    check_guards("resize");
    tokens_ = std::move(tokens), state_ = state, lanes_ = to;
    check_guards("resize");
  }

  // Live positions of a lane, ascending.
  Positions live(uint32_t lane) const {
    Positions positions;
    for (uint32_t s : slots_by_position(lane)) positions.push_back(tokens_[lane][s]);
    return positions;
  }

  // One round of decoding: `n` tokens come, are observed, and what exceeds the budget leaves.
  std::vector<Positions> step(uint32_t n, const Attention& attention) {
    insert(n);
    observe(n, attention);
    const auto count = uint32_t(live(0).size());
    const uint32_t target = lanes_.budget - lanes_.interval + 1;
    return count > lanes_.budget ? select(count - target) : std::vector<Positions>(lanes_.count);
  }

 private:
  const sluice_evictor& table() const { return evictor_->table<sluice_evictor>(); }
  const void* self() const { return evictor_->self(); }
  void check_guards(const char* verb) const { EXPECT_TRUE(state_.guards_intact()) << verb << " wrote past its state"; }

  const sluice_evictor_rows* rows_table() const {
    return offered<sluice_evictor_rows>(*evictor_, SLUICE_EVICTOR_ROWS, SLUICE_EVICTOR_ROWS_LAYOUT);
  }
  sluice_rows make_rows() { return {this, lanes_.count, kGeometry.head_dim, read_rows}; }
  static sluice_status read_rows(const sluice_rows* rows, uint32_t head, uint32_t side, uint32_t count,
                                 const uint32_t* slots, float* out) {
    const auto* driver = static_cast<const EvictorDriver*>(rows->ctx);
    for (uint32_t i = 0; i < count; i++) {
      if (head >= rows->kv_heads || slots[i] >= driver->lanes_.capacity ||
          driver->tokens_[head][slots[i]] == SLUICE_FREE) {
        ADD_FAILURE() << "row of head " << head << ", slot " << slots[i] << " was read, where no token lives";
        return SLUICE_INVALID;
      }
      for (uint32_t c = 0; c < rows->head_dim; c++)
        *out++ = driver->numbers_(head, side, driver->tokens_[head][slots[i]], c);
    }
    return SLUICE_OK;
  }

  sluice_status call_select(uint32_t n, uint32_t* victims) {
    const sluice_rows rows = make_rows();
    if (const auto* with_rows = rows_table())
      return with_rows->select(self(), state_.data(), &lanes_, n, &rows, victims);
    return table().select(self(), state_.data(), &lanes_, n, victims);
  }

  // Lets the victims that `name` writes go: counts[lane] of each lane, one lane after the other.
  std::vector<Positions> kill(const std::vector<uint32_t>& counts,
                              const std::function<sluice_status(uint32_t*)>& name) {
    constexpr uint32_t kGuardWord = 0xA5A5A5A5;
    const size_t count = std::accumulate(counts.begin(), counts.end(), size_t(0));
    std::vector<uint32_t> victims(count + 16, kGuardWord);
    evictor_->check(name(victims.data() + 8), "select");
    check_guards("select");
    for (size_t i = 0; i < 8; i++) EXPECT_TRUE(victims[i] == kGuardWord && victims[8 + count + i] == kGuardWord);
    std::vector<Positions> positions(lanes_.count);
    const uint32_t* victim = victims.data() + 8;
    for (uint32_t lane = 0; lane < lanes_.count; lane++)
      for (uint32_t i = 0; i < counts[lane]; i++) {
        const uint32_t slot = *victim++;
        if (slot >= lanes_.capacity || tokens_[lane][slot] == SLUICE_FREE) {
          ADD_FAILURE() << "victim " << i << " of lane " << lane << " is slot " << slot
                        << ": out of range, dead, or named twice";
          return positions;
        }
        positions[lane].push_back(tokens_[lane][slot]);
        tokens_[lane][slot] = SLUICE_FREE;
        free_[lane].push_back(slot);
      }
    return positions;
  }

  std::vector<uint32_t> slots_by_position(uint32_t lane) const {
    std::vector<uint32_t> slots;
    for (uint32_t s = 0; s < lanes_.capacity; s++)
      if (tokens_[lane][s] != SLUICE_FREE) slots.push_back(s);
    std::sort(slots.begin(), slots.end(), [&](uint32_t a, uint32_t b) { return tokens_[lane][a] < tokens_[lane][b]; });
    return slots;
  }

  const Instance* evictor_;
  sluice_lanes lanes_{};
  State state_;
  std::vector<std::vector<uint32_t>> tokens_;  // [lanes][capacity] position in a slot
  std::vector<std::deque<uint32_t>> free_;     // [lanes] slots, the longest free first
  std::mt19937_64 random_;
  uint32_t next_ = 0;
  RowNumber numbers_ = noisy_row;
};

}  // namespace sluice::testing
