// Drives one evictor through the C table as a host would, its extensions included, and checks on every call what no
// evictor may do: write outside its state or its victims, name dead slots or one twice. Whoever drives speaks of
// positions; slots are the driver's business. What is found ends the drive with an Outcome (check.h).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/check/check.h"
#include "core/check/guarded_state.h"
#include "core/check/synthetic_rows.h"

namespace sluice::check {

inline constexpr uint32_t kHeadDim = 64, kQueriesPerHead = 2;  // of the model that rows come from

struct Shape {
  uint32_t lanes = 1, capacity = 64, budget = 32, interval = 1, layer = 0, prompt = 0;
  uint32_t kv_heads = 0;  // of the model; 0: as many as lanes
};

// How the host behaves where it is free to.
struct Habits {
  bool moves = true;                // the state, before each call
  bool reuses_late = true;          // slots that died last are named last; false: first
  bool counts_allocations = false;  // of insert, observe and select
  bool offers_rows = true;          // false: knows no sluice.evictor.rows/1
};

using Positions = std::vector<uint32_t>;
// What lane `lane` paid to the token at `position` since the last observation.
using Attention = std::function<float(uint32_t lane, uint32_t position)>;

// The evictor named tokens that may not be named.
struct WrongVictims : Outcome {
  explicit WrongVictims(const std::string& why) : Outcome(Verdict::kFail, why) {}
};

class EvictorDriver {
 public:
  // Throws Error with the evictor's words when reset() refuses. A slot seed other than 1 shuffles the slots.
  EvictorDriver(const Instance& evictor, const Shape& shape, uint64_t slot_seed = 1, const Habits& habits = {});

  const sluice_lanes& lanes() const { return lanes_; }
  const GuardedState& state() const { return state_; }
  uint32_t next_position() const { return next_; }
  uint64_t allocations() const { return allocations_; }
  bool ragged() const { return budget_ != nullptr && budget_->ragged != 0; }

  void insert(uint32_t n);  // the next n positions
  // What it asked not to see it is not shown.
  void observe(uint32_t queries, const Attention& attention);
  // A prompt's last `queries` tokens, for those that offer sluice.evictor.window/1.
  void look_back(uint32_t queries);
  // Victims' positions per lane, in the order in which they were named.
  std::vector<Positions> select(uint32_t n);
  // The status alone, for calls that must fail; what was said is left for Instance::check().
  sluice_status try_select(uint32_t n);
  // `total` tokens over all lanes, as the evictor splits them. Only where ragged().
  std::vector<Positions> select_split(uint32_t total);

  // As the host does after a prompt (or before one): all live tokens get new slots; shuffled, or by position.
  void resize(uint32_t capacity, bool shuffled, uint32_t prompt = 0);

  Positions live(uint32_t lane) const;  // ascending
  // One round of decoding: `n` tokens come, are observed, and what exceeds the budget leaves.
  std::vector<Positions> step(uint32_t n, const Attention& attention);

  void set_rows(RowNumber numbers) { rows_.set(std::move(numbers)); }
  uint64_t rows_read() const { return rows_.read_count(); }
  // The next reads of rows fail, as a host's may.
  void break_rows() { rows_.break_reads(); }

 private:
  const sluice_evictor& table() const { return evictor_->table<sluice_evictor>(); }
  const void* self() const { return evictor_->self(); }
  template <class Call>
  auto on_step(Call&& call);
  void after(const char* verb);
  std::vector<uint32_t> slots_by_position(uint32_t lane) const;
  std::vector<Positions> take(const std::vector<uint32_t>& victims, const std::vector<uint32_t>& counts);
  sluice_status call_select(uint32_t n, uint32_t* victims);

  const Instance* evictor_;
  const sluice_evictor_rows* rows_table_ = nullptr;  // NULL: not offered
  const sluice_evictor_window* window_ = nullptr;
  const sluice_evictor_budget* budget_ = nullptr;
  sluice_lanes lanes_{};
  Habits habits_;
  GuardedState state_;
  SyntheticRows rows_;                      // which token stands in which slot, and its rows
  std::vector<std::deque<uint32_t>> free_;  // [lanes] slots, in the order in which they will be named
  std::mt19937_64 random_;
  uint32_t next_ = 0;
  uint64_t allocations_ = 0;
};

// Attention that is a function of step, lane and position alone: the same whatever slots the tokens have. In [0, 1).
float noise(uint64_t step, uint32_t lane, uint32_t position);

}  // namespace sluice::check
