// Fused attention. Tiles of up to kQueryTile queries of a lane are independent jobs; where there are too few of them
// for the threads and the cache is long, the spans of a tile are jobs of their own and their parts are merged in order.
// Either way the same kernels run in the same order per query, so a query's bits depend on its lane alone.
#include "backends/cpu/attention.h"

namespace sluice::cpu {
namespace {

struct Fused {
  const Backend& backend;
  const AttentionKernels& kernels;
  const sluice_group& group;
  const sluice_mat& q;
  const uint32_t* positions;
  const sluice_signal* wanted;  // NULL: no signal
  float* signal;
  const sluice_mat& out;
  Softmax* statistics;    // [rows of the batch][heads], for signals that are added later; else NULL
  uint32_t lanes, tiles;  // tiles: of a lane, at most
  size_t stride;          // floats of a score row, a multiple of 16
};

// Where a tile's work lies: floats q [kQueryTile][wide], part [kQueryTile][wide], scores [kQueryTile][stride].
struct TileMemory {
  float *q, *part, *scores;
};
TileMemory tile_memory(float* at, uint32_t head_dim) {
  const size_t wide = size_t(kQueryTile) * padded_dim(head_dim);
  return {at, at + wide, at + 2 * wide};
}
size_t tile_floats(uint32_t head_dim, size_t stride) { return kQueryTile * (2 * padded_dim(head_dim) + stride); }

struct Tile {
  LaneTask task;
  uint32_t first, count;   // queries
  uint32_t last_position;  // the newest that any of its queries has
  uint32_t visible;        // slots from here on are seen by none

  Tile(const Fused& f, uint32_t job) : task(f.group, job / f.tiles) {
    first = job % f.tiles * kQueryTile;
    count = first < task.queries ? std::min(kQueryTile, task.queries - first) : 0;
    last_position = 0;
    visible = task.slots.slots;
    if (count == 0) return;
    for (uint32_t t = task.row(first); t <= task.row(first + count - 1); t++) {
      last_position = std::max(last_position, f.positions[t]);
    }
    while (visible > 0 && task.slots.pos[visible - 1] > last_position) visible--;
  }
  // What the kernels see: slots that none of the queries sees are cut off.
  LaneSlots slots() const { return {task.slots.pos, visible}; }
};

// Do the lane's signals come straight from its score rows? Only if one tile has all its queries: they are in order.
bool direct_signal(const Fused& f, const LaneTask& task) { return f.wanted && task.queries <= kQueryTile; }

void soften(const Fused& f, const Tile& tile, uint32_t i, float* row) {
  const LaneTask& task = tile.task;
  const uint32_t query = tile.first + i, position = f.positions[task.row(query)];
  Softmax result;
  f.kernels.softmax(tile.slots(), position, f.group.scale, row, &result);
  if (!f.wanted || !f.statistics || direct_signal(f, task) || !task.feeds_signal(query)) return;
  if (f.wanted->kind == SLUICE_PEAK) result.share = f.kernels.share(tile.slots(), position, *f.wanted, row);
  f.statistics[size_t(task.row(query)) * f.group.heads + task.head(query)] = result;
}

void add_direct_signal(const Fused& f, const Tile& tile, const float* scores) {
  for (uint32_t i = 0; i < tile.count; i++) {
    if (!tile.task.feeds_signal(tile.first + i)) continue;
    const float* row = scores + i * f.stride;
    const uint32_t position = f.positions[tile.task.row(tile.first + i)];
    const float share = f.wanted->kind == SLUICE_PEAK ? f.kernels.share(tile.slots(), position, *f.wanted, row) : 0;
    f.kernels.signal(tile.slots(), position, *f.wanted, share, row, f.signal + tile.task.lane->slot_at);
  }
}

void clear_output(const Fused& f, const Tile& tile) {
  for (uint32_t i = 0; i < tile.count; i++) {
    std::memset(tile.task.at(f.out, tile.first + i), 0, f.group.head_dim * sizeof(float));
  }
}

void whole_tile(const Fused& f, uint32_t job, float* memory) {
  const Tile tile(f, job);
  if (tile.count == 0) return;
  const LaneTask& task = tile.task;
  const TileMemory m = tile_memory(memory, f.group.head_dim);
  load_queries(task, f.q, tile.first, tile.count, m.q);
  for (const sluice_span* span = task.k_begin(); span < task.k_end(); span++) {
    f.kernels.scores(m.q, tile.count, f.group.head_dim, *span, tile.slots(), tile.last_position, m.scores, f.stride);
  }
  for (uint32_t i = 0; i < tile.count; i++) soften(f, tile, i, m.scores + i * f.stride);
  if (direct_signal(f, task)) add_direct_signal(f, tile, m.scores);
  clear_output(f, tile);
  for (const sluice_span* span = task.v_begin(); span < task.v_end(); span++) {
    f.kernels.mix(m.scores, f.stride, tile.count, f.group.head_dim, *span, tile.slots(), m.part);
    merge(task, m.part, tile.first, tile.count, f.out);
  }
}

// ---- few tiles, many spans --------------------------------------------------------------------------

// `memory`: for every tile its TileMemory, then parts [spans][kQueryTile][wide].
void split_tiles(const Fused& f, uint32_t spans, float* memory) {
  const uint32_t jobs = f.lanes * f.tiles;
  const size_t part_floats = size_t(kQueryTile) * padded_dim(f.group.head_dim);
  const size_t per_tile = tile_floats(f.group.head_dim, f.stride) + spans * part_floats;
  const auto memory_of = [&](uint32_t job) { return memory + job * per_tile; };
  const auto parts_of = [&](uint32_t job) { return memory_of(job) + tile_floats(f.group.head_dim, f.stride); };

  parallel(f.backend, jobs, [&](uint32_t job) {
    const Tile tile(f, job);
    load_queries(tile.task, f.q, tile.first, tile.count, tile_memory(memory_of(job), f.group.head_dim).q);
    clear_output(f, tile);
  });
  parallel(f.backend, jobs * spans, [&](uint32_t i) {
    const Tile tile(f, i / spans);
    if (tile.count == 0 || i % spans >= tile.task.lane->k_count) return;
    const TileMemory m = tile_memory(memory_of(i / spans), f.group.head_dim);
    f.kernels.scores(m.q, tile.count, f.group.head_dim, tile.task.k_begin()[i % spans], tile.slots(),
                     tile.last_position, m.scores, f.stride);
  });
  parallel(f.backend, jobs * kQueryTile, [&](uint32_t i) {
    const Tile tile(f, i / kQueryTile);
    const TileMemory m = tile_memory(memory_of(i / kQueryTile), f.group.head_dim);
    if (i % kQueryTile < tile.count) soften(f, tile, i % kQueryTile, m.scores + i % kQueryTile * f.stride);
  });
  parallel(f.backend, jobs * (spans + 1), [&](uint32_t i) {
    const uint32_t job = i / (spans + 1), span = i % (spans + 1);
    const Tile tile(f, job);
    if (tile.count == 0) return;
    const TileMemory m = tile_memory(memory_of(job), f.group.head_dim);
    if (span == spans) {
      if (direct_signal(f, tile.task)) add_direct_signal(f, tile, m.scores);
    } else if (span < tile.task.lane->v_count) {
      f.kernels.mix(m.scores, f.stride, tile.count, f.group.head_dim, tile.task.v_begin()[span], tile.slots(),
                    parts_of(job) + span * part_floats);
    }
  });
  for (uint32_t job = 0; job < jobs; job++) {
    const Tile tile(f, job);
    for (uint32_t span = 0; tile.count > 0 && span < tile.task.lane->v_count; span++) {
      merge(tile.task, parts_of(job) + span * part_floats, tile.first, tile.count, f.out);
    }
  }
}

// ---- signals of prompts -----------------------------------------------------------------------------

void add_scattered_signal(const Fused& f, const LaneTask& task, const sluice_span& span, uint32_t position, float share,
                          const float* weights) {
  float* signal = f.signal + task.lane->slot_at;
  for (uint32_t r = 0; r < span.rows; r++) {
    const uint32_t slot = span.slot_base + span.slots[r];
    if (slot >= task.slots.slots) continue;
    const uint32_t p = task.slots.pos[slot];
    if (p > position || p < f.wanted->skip_first || (f.wanted->skip_self && p == position)) continue;
    if (f.wanted->kind == SLUICE_PEAK) {
      signal[slot] = std::max(signal[slot], weights[r] * share);
    } else {
      signal[slot] += weights[r];
    }
  }
}

// The weights of one K span's rows are computed again, query by query, oldest first, and added to the signal: jobs
// share no slot, and every slot gets its numbers in the order that decoding row by row would have given.
void span_signal(const Fused& f, const LaneTask& task, const sluice_span& span, float* memory) {
  const uint32_t from = std::max(task.part->signal_from, task.part->first) - task.part->first;
  const TileMemory m = tile_memory(memory, f.group.head_dim);
  uint32_t rows = span.rows;  // those that can hold something
  if (!span.slots) rows = span.slot_base < task.slots.slots ? std::min(rows, task.slots.slots - span.slot_base) : 0;
  uint32_t oldest = SLUICE_FREE;
  for (uint32_t r = 0; r < rows; r++) {
    const uint32_t slot = span.slot_base + (span.slots ? span.slots[r] : r);
    if (slot < task.slots.slots) oldest = std::min(oldest, task.slots.pos[slot]);
  }
  for (uint32_t first = from * task.per_token; first < task.queries; first += kQueryTile) {
    const uint32_t n = std::min(kQueryTile, task.queries - first);
    uint32_t last_position = 0;
    for (uint32_t i = 0; i < n; i++) last_position = std::max(last_position, f.positions[task.row(first + i)]);
    if (oldest > last_position) continue;
    load_queries(task, f.q, first, n, m.q);
    f.kernels.row_scores(m.q, n, f.group.head_dim, span, task.slots, last_position, m.scores, f.stride);
    for (uint32_t i = 0; i < n; i++) {
      float* w = m.scores + i * f.stride;
      const uint32_t position = f.positions[task.row(first + i)];
      const Softmax& s = f.statistics[size_t(task.row(first + i)) * f.group.heads + task.head(first + i)];
      f.kernels.row_weights(span, task.slots, position, f.group.scale, s, w);
      if (span.slots) {
        add_scattered_signal(f, task, span, position, s.share, w);
      } else {
        f.kernels.signal({task.slots.pos + span.slot_base, rows}, position, *f.wanted, s.share, w,
                         f.signal + task.lane->slot_at + span.slot_base);
      }
    }
  }
}

}  // namespace

sluice_status attention(void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                        const uint32_t* positions, const sluice_signal* wanted, float* signal, const sluice_mat* out) {
  const Backend& backend = backend_of(self);
  if (const sluice_status status = check_group(backend, "attention", *group)) return status;
  const auto no_memory = [&] {
    return fail(backend, SLUICE_NO_MEMORY, "attention: no memory for score rows of %u slots", group->max_slots);
  };
  const bool signals = wants_signal(wanted, signal);
  const uint32_t most_queries = group->max_count * (group->heads / group->kv_heads);
  Fused f{backend,
          *backend.kernels->attention,
          *group,
          *q,
          positions,
          signals ? wanted : nullptr,
          signal,
          *out,
          nullptr,
          group->sequences * group->kv_heads,
          (most_queries + kQueryTile - 1) / kQueryTile,
          (size_t(std::max(group->max_slots, group->segment_rows)) + 15) / 16 * 16};
  if (f.lanes == 0 || f.tiles == 0) return SLUICE_OK;
  uint32_t spans = 0;  // of a lane's side, at most
  for (uint32_t i = 0; i < f.lanes; i++) spans = std::max({spans, group->lanes[i].k_count, group->lanes[i].v_count});
  if (signals && f.tiles > 1) {
    f.statistics =
        static_cast<Softmax*>(reserve(backend, queue->statistics, size_t(q->rows) * group->heads * sizeof(Softmax)));
    if (!f.statistics) return no_memory();
  }
  const uint32_t jobs = f.lanes * f.tiles;
  const size_t floats = tile_floats(group->head_dim, f.stride);
  if (!prepare_workspaces(backend, *queue, floats * sizeof(float))) return no_memory();
  constexpr uint32_t kLong = 3;  // spans from which four forks cost less than an idle thread
  // Room for as many spans as the group may come to have, before they are there: later steps allocate nothing.
  const bool few = backend.threads > 1 && jobs < 4 * backend.threads;
  float* memory = nullptr;
  if (few) {
    const size_t part_floats = size_t(kQueryTile) * padded_dim(group->head_dim);
    const size_t room = std::max<size_t>(spans, (group->max_slots + group->segment_rows - 1) / group->segment_rows);
    memory = static_cast<float*>(reserve(backend, queue->shared, jobs * (floats + room * part_floats) * sizeof(float)));
    if (!memory) return no_memory();
  }
  if (few && spans >= kLong) {
    split_tiles(f, spans, memory);
  } else {
    parallel(backend, jobs, [&](uint32_t job) {
      const OwnWorkspace own(*queue);
      whole_tile(f, job, own.floats());
    });
  }
  if (f.statistics) {
    parallel(backend, f.lanes * spans, [&](uint32_t i) {
      const LaneTask task(*group, i / spans);
      if (direct_signal(f, task) || i % spans >= task.lane->k_count) return;
      const OwnWorkspace own(*queue);
      span_signal(f, task, task.k_begin()[i % spans], own.floats());
    });
  }
  return SLUICE_OK;
}

}  // namespace sluice::cpu
