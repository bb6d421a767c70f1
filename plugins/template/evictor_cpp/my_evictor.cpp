// my_evictor: a copy-me evictor. It keeps the first `sinks` tokens and evicts those that the last observation saw
// least of. Replace what observe() keeps and choose() does by your idea; the rest is what every evictor needs.
#include <sluice/order.h>

#include <sluice/guard.hpp>

namespace {

using namespace sluice;

struct MyEvictor {
  const sluice_host* host;
  uint32_t sinks;
};

enum { kSinks, kParams };

const MyEvictor& evictor(const void* self) { return *static_cast<const MyEvictor*>(self); }

// State: float seen[count][capacity], what a slot's token got at last; then the order of age of each lane. All of it
// lies in the host's block, holds no pointers, and starts as zeros.
struct Lane {
  float* seen;
  sluice_order order;

  Lane(const void* state, const sluice_lanes* lanes, uint32_t lane)
      : seen(static_cast<float*>(const_cast<void*>(state)) + size_t(lane) * lanes->capacity),
        order(sluice_order_open(seen + size_t(lanes->count - lane) * lanes->capacity, lanes, lane)) {}
};

sluice_status create(const sluice_host* host, const sluice_geometry*, const sluice_value* params, void** self) {
  // What is thrown in guard() becomes a status and a message.
  return guard(host, [&] { *self = host_new<MyEvictor>(host, MyEvictor{host, uint32_t(params[kSinks].i)}); });
}

void destroy(void* self) { host_delete(evictor(self).host, static_cast<MyEvictor*>(self)); }

// The sum of attention since the last observe(); policy.h lists the other signals.
void wants(const void*, uint32_t /*prompt*/, sluice_signal* wanted) {
  *wanted = {};
  wanted->kind = SLUICE_SUM;
}

size_t state_size(const void*, const sluice_lanes* lanes) {
  return size_t(lanes->count) * lanes->capacity * sizeof(float) + sluice_order_bytes(lanes);
}

sluice_status reset(const void* self, void* /*zeros are an empty state*/, const sluice_lanes* lanes) {
  return sluice_check_kept(evictor(self).host, "my_evictor", lanes, 0, evictor(self).sinks);
}

// The tokens get other slots in another block: carry everything over.
void resize(const void*, void* state, const sluice_lanes* lanes, const void* old, const sluice_lanes* old_lanes,
            const uint32_t* slots) {
  for (uint32_t l = 0; l < lanes->count; l++) {
    const Lane to(state, lanes, l), from(old, old_lanes, l);
    const uint32_t* map = slots + size_t(l) * old_lanes->capacity;
    sluice_order_move(to.order, from.order, map);
    for (uint32_t rank = 0; rank < *from.order.live; rank++) {
      const uint32_t slot = sluice_order_slot(from.order, rank);
      to.seen[map[slot]] = from.seen[slot];
    }
  }
}

void insert(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, const uint32_t* slots,
            const uint32_t* positions) {
  for (uint32_t l = 0; l < lanes->count; l++) {
    const Lane lane(state, lanes, l);
    for (uint32_t i = 0; i < n; i++)
      if (positions[i] >= evictor(self).sinks) sluice_order_append(lane.order, slots[size_t(l) * n + i]);
  }
}

void observe(const void*, void* state, const sluice_lanes* lanes, uint32_t /*queries*/, const float* signal) {
  memcpy(state, signal, size_t(lanes->count) * lanes->capacity * sizeof(float));
}

sluice_status choose(const void* self, void* state, const sluice_lanes* lanes, uint32_t n, uint32_t* victims) {
  return guard(evictor(self).host, [&] {
    if (n == 0) return;
    for (uint32_t l = 0; l < lanes->count; l++)
      if (*Lane(state, lanes, l).order.live < n)
        throw Failure(SLUICE_INVALID, "my_evictor: asked for more victims than may leave");
    for (uint32_t l = 0; l < lanes->count; l++) {
      const Lane lane(state, lanes, l);
      sluice_order_take_lowest(lane.order, lane.seen, *lane.order.live, n, victims + size_t(l) * n);
    }
  });
}

// What TOML, --set and `sluice plugin describe` know of it.
const sluice_evictor table = {create, destroy, wants, state_size, reset, resize, insert, observe, choose};
const sluice_param params[kParams] = {
    {"sinks", "first tokens of the sequence that never leave", nullptr, SLUICE_INT, 0, {4}, {0}, {4096}},
};
const sluice_module my_module = {SLUICE_EVICTOR,
                                 &table,
                                 SLUICE_EVICTOR_LAYOUT,
                                 kParams,
                                 params,
                                 "my_evictor",
                                 "evicts what the last queries looked at least",
                                 "0.1",
                                 nullptr,
                                 nullptr};
const sluice_module* const modules[] = {&my_module};
const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "my_evictor 0.1"};

}  // namespace

const sluice_plugin* sluice_plugin_entry(void) { return &plugin; }
