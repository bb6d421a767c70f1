// See evictor_driver.h.
#include "core/check/evictor_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/check/allocations.h"
#include "core/plugins/interfaces.h"

namespace sluice::check {
namespace {

constexpr uint32_t kGuardWord = 0xA5A5A5A5;
constexpr size_t kGuardWords = 8, kMostBytes = size_t(1) << 30;

template <class Table>
const Table* offered(const Instance& evictor, const char* id) {
  return static_cast<const Table*>(find_extension(evictor.module(), id).table);
}

// Numbers for the evictor to write, between guard words.
class GuardedWords {
 public:
  explicit GuardedWords(size_t count) : words_(count + 2 * kGuardWords, kGuardWord) {}
  uint32_t* data() { return words_.data() + kGuardWords; }
  std::vector<uint32_t> taken(const char* verb, const char* what) const {
    const auto intact = [](auto from) {
      return std::all_of(from, from + kGuardWords, [](uint32_t w) { return w == kGuardWord; });
    };
    expect(intact(words_.begin()) && intact(words_.end() - kGuardWords),
           fmt::format("{}() wrote past the {} {} that it was asked for", verb, words_.size() - 2 * kGuardWords, what));
    return {words_.begin() + kGuardWords, words_.end() - kGuardWords};
  }

 private:
  std::vector<uint32_t> words_;
};

size_t checked_size(size_t bytes) {
  expect(bytes <= kMostBytes, fmt::format("state_size() asks for {} bytes", bytes));
  return bytes;
}

}  // namespace

EvictorDriver::EvictorDriver(const Instance& evictor, const Shape& shape, uint64_t slot_seed, const Habits& habits)
    : evictor_(&evictor),
      rows_table_(habits.offers_rows ? offered<sluice_evictor_rows>(evictor, SLUICE_EVICTOR_ROWS) : nullptr),
      window_(offered<sluice_evictor_window>(evictor, SLUICE_EVICTOR_WINDOW)),
      budget_(offered<sluice_evictor_budget>(evictor, SLUICE_EVICTOR_BUDGET)),
      habits_(habits),
      rows_(shape.layer, shape.kv_heads ? shape.kv_heads : shape.lanes, kHeadDim, shape.lanes, shape.capacity),
      random_(slot_seed) {
  lanes_ = {shape.layer, shape.lanes, shape.capacity, shape.budget, shape.interval, shape.prompt};
  const size_t bytes = table().state_size(self(), &lanes_);
  state_ = GuardedState(checked_size(bytes));
  evictor.check(table().reset(self(), state_.data(), &lanes_), "reset");
  after("reset");
  free_.resize(shape.lanes);
  for (auto& free : free_) {
    free.resize(shape.capacity);
    std::iota(free.begin(), free.end(), 0);
    if (slot_seed != 1) std::shuffle(free.begin(), free.end(), random_);
  }
}

// A call of the step path.
template <class Call>
auto EvictorDriver::on_step(Call&& call) {
  if (habits_.moves) state_.move();
  struct Counting {  // until the call is over, whatever it returns
    uint64_t& sum;
    std::optional<AllocationWatch> watch = {};
    ~Counting() {
      if (watch) sum += watch->stop();
    }
  } counting{allocations_};
  if (habits_.counts_allocations) counting.watch.emplace();
  return call();
}

void EvictorDriver::after(const char* verb) {
  if (const std::string where = state_.damage(); !where.empty()) fail(fmt::format("{}() wrote {}", verb, where));
  if (!rows_.mistake().empty()) fail(fmt::format("{}() {}", verb, rows_.mistake()));
}

void EvictorDriver::insert(uint32_t n) {
  std::vector<uint32_t> slots(size_t(lanes_.count) * n), positions(n);
  for (uint32_t i = 0; i < n; i++) positions[i] = next_++;
  for (uint32_t lane = 0; lane < lanes_.count; lane++)
    for (uint32_t i = 0; i < n; i++) {
      if (free_[lane].empty()) throw std::logic_error("more tokens are inserted than the capacity holds");
      const uint32_t slot = free_[lane].front();
      free_[lane].pop_front();
      slots[size_t(lane) * n + i] = slot;
      rows_.tokens[lane][slot] = positions[i];
    }
  on_step([&] { table().insert(self(), state_.data(), &lanes_, n, slots.data(), positions.data()); });
  after("insert");
  if (!rows_table_) return;
  const sluice_rows& rows = rows_.reader();
  on_step([&] { rows_table_->inserted(self(), state_.data(), &lanes_, n, slots.data(), positions.data(), &rows); });
  after("inserted");
}

void EvictorDriver::observe(uint32_t queries, const Attention& attention) {
  sluice_signal wanted{};
  table().signal(self(), lanes_.prompt, &wanted);
  if (wanted.kind == SLUICE_NO_SIGNAL) return;
  std::vector<float> signal(size_t(lanes_.count) * lanes_.capacity, 0.0f);
  for (uint32_t lane = 0; lane < lanes_.count; lane++)
    for (uint32_t s = 0; s < lanes_.capacity; s++) {
      const uint32_t token = rows_.tokens[lane][s];
      if (token != SLUICE_FREE && token >= wanted.skip_first)
        signal[size_t(lane) * lanes_.capacity + s] = attention(lane, token);
    }
  on_step([&] { table().observe(self(), state_.data(), &lanes_, queries, signal.data()); });
  after("observe");
}

void EvictorDriver::look_back(uint32_t queries) {
  if (!window_) return;
  const uint32_t count = std::min(queries, window_->size(self()));
  const uint32_t heads = kQueriesPerHead * rows_.reader().kv_heads;
  std::vector<float> all(size_t(heads) * count * kHeadDim);
  std::vector<uint32_t> positions(count);
  for (uint32_t i = 0; i < count; i++) positions[i] = next_ - count + i;
  for (uint32_t h = 0; h < heads; h++)
    for (uint32_t i = 0; i < count; i++) rows_.query(h, positions[i], &all[(size_t(h) * count + i) * kHeadDim]);
  const sluice_rows& rows = rows_.reader();
  on_step([&] { window_->observe(self(), state_.data(), &lanes_, count, all.data(), positions.data(), &rows); });
  after("window observe");
}

sluice_status EvictorDriver::call_select(uint32_t n, uint32_t* victims) {
  const sluice_rows& rows = rows_.reader();
  return on_step([&] {
    return rows_table_ ? rows_table_->select(self(), state_.data(), &lanes_, n, &rows, victims)
                       : table().select(self(), state_.data(), &lanes_, n, victims);
  });
}

sluice_status EvictorDriver::try_select(uint32_t n) {
  GuardedWords victims(size_t(lanes_.count) * n);
  const sluice_status status = call_select(n, victims.data());
  after("select");
  victims.taken("select", "victims");
  return status;
}

std::vector<Positions> EvictorDriver::select(uint32_t n) {
  GuardedWords victims(size_t(lanes_.count) * n);
  const sluice_status status = call_select(n, victims.data());
  if (status == SLUICE_UNSUPPORTED && ragged()) skip("select() serves only hosts that split by head");
  evictor_->check(status, "select");
  after("select");
  return take(victims.taken("select", "victims"), std::vector<uint32_t>(lanes_.count, n));
}

std::vector<Positions> EvictorDriver::select_split(uint32_t total) {
  std::vector<uint32_t> live;
  for (uint32_t lane = 0; lane < lanes_.count; lane++) live.push_back(uint32_t(slots_by_position(lane).size()));
  GuardedWords split(lanes_.count), victims(total);
  evictor_->check(
      on_step([&] { return budget_->split(self(), state_.data(), &lanes_, live.data(), total, split.data()); }),
      "split");
  after("split");
  const std::vector<uint32_t> counts = split.taken("split", "counts");
  uint64_t sum = 0;
  for (uint32_t lane = 0; lane < lanes_.count; lane++) {
    sum += counts[lane];
    expect(counts[lane] < live[lane],
           fmt::format("split() takes {} of the {} tokens of lane {}", counts[lane], live[lane], lane));
  }
  expect(sum == total, fmt::format("split() takes {} tokens where {} must go", sum, total));
  const sluice_rows& rows = rows_.reader();
  const sluice_status status =
      on_step([&] { return budget_->select(self(), state_.data(), &lanes_, counts.data(), &rows, victims.data()); });
  evictor_->check(status, "ragged select");
  after("ragged select");
  return take(victims.taken("ragged select", "victims"), counts);
}

std::vector<Positions> EvictorDriver::take(const std::vector<uint32_t>& victims, const std::vector<uint32_t>& counts) {
  std::vector<Positions> positions(lanes_.count);
  size_t next = 0;
  for (uint32_t lane = 0; lane < lanes_.count; lane++)
    for (uint32_t i = 0; i < counts[lane]; i++) {
      const uint32_t slot = victims[next++];
      if (slot == kGuardWord)
        throw WrongVictims(fmt::format("select() names {} of {} victims of lane {}", i, counts[lane], lane));
      if (slot >= lanes_.capacity)
        throw WrongVictims(fmt::format("victim {} of lane {} is slot {} of {}", i, lane, slot, lanes_.capacity));
      if (rows_.tokens[lane][slot] == SLUICE_FREE)
        throw WrongVictims(
            fmt::format("slot {}, victim {} of lane {}, holds no token or was named twice", slot, i, lane));
      positions[lane].push_back(rows_.tokens[lane][slot]);
      rows_.tokens[lane][slot] = SLUICE_FREE;
      if (habits_.reuses_late)
        free_[lane].push_back(slot);
      else
        free_[lane].push_front(slot);
    }
  return positions;
}

void EvictorDriver::resize(uint32_t capacity, bool shuffled, uint32_t prompt) {
  sluice_lanes to = lanes_;
  to.capacity = capacity, to.prompt = prompt;
  std::vector<uint32_t> map(size_t(lanes_.count) * lanes_.capacity, SLUICE_FREE);
  std::vector<std::vector<uint32_t>> tokens(lanes_.count, std::vector<uint32_t>(capacity, SLUICE_FREE));
  for (uint32_t lane = 0; lane < lanes_.count; lane++) {
    const std::vector<uint32_t> live = slots_by_position(lane);
    std::vector<uint32_t> fresh(capacity);
    if (live.size() > capacity) throw std::logic_error("more tokens live than the new capacity holds");
    std::iota(fresh.begin(), fresh.end(), 0);
    if (shuffled) std::shuffle(fresh.begin(), fresh.end(), random_);
    for (size_t i = 0; i < live.size(); i++) {
      map[size_t(lane) * lanes_.capacity + live[i]] = fresh[i];
      tokens[lane][fresh[i]] = rows_.tokens[lane][live[i]];
    }
    free_[lane].assign(fresh.begin() + ptrdiff_t(live.size()), fresh.end());
  }
  GuardedState state(checked_size(table().state_size(self(), &to)));
  if (habits_.moves) state_.move();
  table().resize(self(), state.data(), &to, state_.data(), &lanes_, map.data());
  after("resize");
  rows_.tokens = std::move(tokens), lanes_ = to;
  std::swap(state_, state);
  after("resize");
}

std::vector<uint32_t> EvictorDriver::slots_by_position(uint32_t lane) const {
  const std::vector<uint32_t>& tokens = rows_.tokens[lane];
  std::vector<uint32_t> slots;
  for (uint32_t s = 0; s < lanes_.capacity; s++)
    if (tokens[s] != SLUICE_FREE) slots.push_back(s);
  std::sort(slots.begin(), slots.end(), [&](uint32_t a, uint32_t b) { return tokens[a] < tokens[b]; });
  return slots;
}

Positions EvictorDriver::live(uint32_t lane) const {
  Positions positions;
  for (uint32_t s : slots_by_position(lane)) positions.push_back(rows_.tokens[lane][s]);
  return positions;
}

std::vector<Positions> EvictorDriver::step(uint32_t n, const Attention& attention) {
  insert(n);
  observe(n, attention);
  const auto count = uint32_t(live(0).size());
  const uint32_t target = lanes_.budget - lanes_.interval + 1;
  return count > lanes_.budget ? select(count - target) : std::vector<Positions>(lanes_.count);
}

float noise(uint64_t step, uint32_t lane, uint32_t position) {
  uint64_t x = (step << 40) + (uint64_t(lane) << 32) + position + 0x9E3779B97F4A7C15u;
  for (int round = 0; round < 3; round++) x = (x ^ x >> 29) * 0xBF58476D1CE4E5B9u;
  return float(x >> 40) / float(1 << 24);
}

}  // namespace sluice::check
