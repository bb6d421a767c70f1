// See cache_driver.h: the backend and the codec that it names, and attention in double precision, written once more.
#include "support/cache_driver.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "sluice/half.h"

namespace sluice::testing {
namespace {

// ---- a backend that is memory and nothing else ---------------------------------------------------------------

struct Reservation {
  uint64_t bytes;
};

sluice_status backend_create(const sluice_host*, const sluice_value*, void** self) {
  static int only;
  *self = &only;
  return SLUICE_OK;
}
sluice_status buffer_create(void*, uint32_t, uint64_t bytes, void** address) {
  // One page in front remembers the size, so that the rest stays aligned to pages.
  auto* p = static_cast<std::byte*>(
      mmap(nullptr, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (p == MAP_FAILED) return SLUICE_NO_MEMORY;
  reinterpret_cast<Reservation*>(p)->bytes = bytes + 4096;
  *address = p + 4096;
  return SLUICE_OK;
}
void buffer_destroy(void*, void* address) {
  auto* p = static_cast<std::byte*>(address) - 4096;
  munmap(p, reinterpret_cast<Reservation*>(p)->bytes);
}
sluice_status commit(void*, void* address, uint64_t bytes, int32_t keep) {
  if (!keep) madvise(address, bytes, MADV_DONTNEED);
  return SLUICE_OK;
}

// ---- a codec that changes nothing ----------------------------------------------------------------------------

struct Identity {
  uint32_t head_dim, block_rows, padding;
  const sluice_host* host;
};

sluice_status identity_create(const sluice_host* host, const sluice_geometry* g, const sluice_value* params,
                              void** self) {
  auto* i = static_cast<Identity*>(host->alloc(host, sizeof(Identity), 8));
  *i = {g->head_dim, uint32_t(params[0].i), uint32_t(params[1].i), host};
  *self = i;
  return SLUICE_OK;
}
size_t identity_bytes(const void* self, uint32_t rows) {
  return size_t(rows) * static_cast<const Identity*>(self)->head_dim * 2;
}

size_t identity_padding(const void* self) { return static_cast<const Identity*>(self)->padding; }

const sluice_codec kIdentity = {
    identity_create,
    [](void* self) {
      const sluice_host* host = static_cast<Identity*>(self)->host;
      host->free(host, self);
    },
    [](const void* self, uint32_t, sluice_codec_plan* p) {
      *p = {static_cast<const Identity*>(self)->block_rows, 0, 1u << 20, 1, 0};
    },
    [](const void* self, uint32_t, uint32_t rows) { return identity_bytes(self, rows) + identity_padding(self); },
    [](const void*, uint32_t, uint32_t, uint32_t) { return size_t(0); },
    [](const void* self, const sluice_block* b, const float* rows, void*, void* dst, size_t* bytes) {
      *bytes = identity_bytes(self, b->rows);
      for (size_t i = 0; i < *bytes / 2; i++) static_cast<uint16_t*>(dst)[i] = sluice_to_half(rows[i]);
      std::memset(static_cast<char*>(dst) + *bytes, 0, identity_padding(self));
      *bytes += identity_padding(self);
      return sluice_status(SLUICE_OK);
    },
    [](const void* self, const sluice_block*, const void* src, uint32_t first, uint32_t count, float* rows) {
      const uint32_t d = static_cast<const Identity*>(self)->head_dim;
      for (uint32_t i = 0; i < count * d; i++)
        rows[i] = sluice_from_half(static_cast<const uint16_t*>(src)[size_t(first) * d + i]);
      return sluice_status(SLUICE_OK);
    },
    [](const void* self, const sluice_block* b, const void*, sluice_account* a) {
      *a = {};
      a->codes = identity_bytes(self, b->rows), a->padding = identity_padding(self);
    },
    [](const void* self, const sluice_block*, void* src, const uint32_t* keep, uint32_t n, size_t* bytes) {
      const size_t row = identity_bytes(self, 1);
      for (uint32_t i = 0; i < n; i++)
        std::memmove(static_cast<char*>(src) + i * row, static_cast<char*>(src) + keep[i] * row, row);
      *bytes = n * row + identity_padding(self);
      return sluice_status(SLUICE_OK);
    },
    nullptr,
    nullptr};

float half_rounded(float x) { return sluice_from_half(sluice_to_half(x)); }

}  // namespace

const sluice_plugin& memory_backend_plugin() {
  static const sluice_backend table = [] {
    // A table without NULLs, as the registry demands: what the cache never calls ends the process.
    sluice_backend b;
    void (*const never)() = [] { std::abort(); };
    for (size_t i = 0; i < sizeof b / sizeof never; i++)
      std::memcpy(reinterpret_cast<char*>(&b) + i * sizeof never, &never, sizeof never);
    b.create = backend_create, b.destroy = [](void*) {};
    b.buffer_create = buffer_create, b.buffer_destroy = buffer_destroy, b.commit = commit;
    return b;
  }();
  static const sluice_module module = {SLUICE_BACKEND, &table,   SLUICE_BACKEND_LAYOUT,     0,
                                       nullptr,        "memory", "memory and nothing else", "1",
                                       nullptr,        nullptr};
  static const sluice_module* const modules[] = {&module};
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
  return plugin;
}

const sluice_plugin& identity_codec_plugin() {
  static const sluice_param params[] = {
      {"block_rows", "rows coded together", nullptr, SLUICE_INT, 0, {16}, {1}, {1024}},
      {"padding",
       "bytes after the rows, which make a thin block dearer than its rows",
       nullptr,
       SLUICE_INT,
       0,
       {0},
       {0},
       {4096}}};
  static const sluice_module module = {SLUICE_CODEC, &kIdentity, SLUICE_CODEC_LAYOUT,    2,
                                       params,       "identity", "F16 rows as they are", "1",
                                       nullptr,      nullptr};
  static const sluice_module* const modules[] = {&module};
  static const sluice_plugin plugin = {SLUICE_MAGIC, SLUICE_ABI, sizeof(sluice_plugin), 1, modules, "test"};
  return plugin;
}

std::unique_ptr<Policy> make_policy(Registry& registry, const PolicyOptions& o) {
  auto policy = std::make_unique<Policy>();
  policy->name = "test", policy->geometry = {o.layers, o.heads, o.kv_heads, o.head_dim, o.max_context};
  policy->interval = o.interval, policy->chunk = o.chunk, policy->compact = o.compact,
  policy->layer_granularity = o.layer_granularity;
  policy->instances.reserve(3);
  auto make = [&](const char* id, const std::string& name,
                  const std::map<std::string, sluice_value>& params) -> const Instance* {
    if (name.empty()) return nullptr;
    const sluice_module& module = registry.find(id, name);
    std::vector<sluice_value> values;
    for (uint32_t i = 0; i < module.param_count; i++) {
      const auto at = params.find(module.params[i].name);
      values.push_back(at == params.end() ? module.params[i].initial : at->second);
    }
    policy->instances.push_back(registry.create_policy(module, policy->geometry, values));
    return &policy->instances.back();
  };
  LayerPolicy layer;
  if (const Instance* evictor = make(SLUICE_EVICTOR, o.evictor, o.evictor_params)) set_evictor(layer, *evictor);
  layer.codec[0] = make(SLUICE_CODEC, o.key_codec, o.codec_params),
  layer.codec[1] = make(SLUICE_CODEC, o.value_codec, o.codec_params);
  for (uint32_t side : {0u, 1u})
    if (layer.codec[side])
      layer.codec[side]->table<sluice_codec>().plan(layer.codec[side]->self(), side, &layer.plan[side]);
  policy->layers.assign(o.layers, layer);
  return policy;
}

float Rows::at(uint32_t what, uint32_t layer, uint32_t position, uint32_t head, uint32_t channel) const {
  uint64_t x = (uint64_t(position < shared ? 1 : seed) << 48) ^ (uint64_t(what) << 44) ^ (uint64_t(layer) << 38) ^
               (uint64_t(head) << 32) ^ (uint64_t(position) << 10) ^ channel;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull, x = (x ^ x >> 27) * 0x94D049BB133111EBull, x ^= x >> 31;
  return half_rounded(float(double(x >> 11) / 9007199254740992.0 * 4 - 2));
}

CacheDriver::CacheDriver(const Policy& policy, Arena& arena, uint32_t* identity, uint32_t budget, uint32_t max_tokens,
                         Rows rows)
    : cache(policy, arena, identity, budget, max_tokens),
      outputs(policy.geometry.layers),
      policy_(policy),
      rows_(rows) {}

CacheDriver::CacheDriver(const CacheDriver& o)
    : cache(o.cache), outputs(o.outputs), policy_(o.policy_), rows_(o.rows_) {}

void CacheDriver::write_rows(uint32_t layer, uint32_t n, const std::vector<sluice_store>& places, uint32_t first) {
  const sluice_geometry& g = policy_.geometry;
  for (uint32_t h = 0; h < g.kv_heads; h++)
    for (uint32_t side : {0u, 1u}) {
      std::vector<sluice_span> spans(cache.dense_spans(layer, h, side, nullptr));
      cache.dense_spans(layer, h, side, spans.data());
      for (uint32_t i = 0; i < n; i++) {
        const sluice_store& to = places[i * g.kv_heads + h];
        const uint32_t row = side ? to.v_row : to.k_row;
        auto* dst =
            static_cast<uint16_t*>(const_cast<void*>(spans[row / kSegmentRows].src)) + row % kSegmentRows * g.head_dim;
        for (uint32_t c = 0; c < g.head_dim; c++)
          dst[c] = sluice_to_half(rows_.at(side ? kRowV : kRowK, layer, first + i, h, c));
        uint32_t& pos = cache.slot_pos(layer)[h * cache.slot_stride(layer) + to.slot];
        if (pos != first + i) pos = first + i;
      }
    }
}

std::map<uint32_t, std::vector<float>> CacheDriver::visible(uint32_t layer, uint32_t head, uint32_t side) const {
  const uint32_t d = policy_.geometry.head_dim;
  std::map<uint32_t, std::vector<float>> rows;
  const uint32_t* pos = cache.slot_pos(layer) + head * cache.slot_stride(layer);
  auto add = [&](const sluice_span& s, uint32_t r, std::vector<float> row) {
    const uint32_t slot = s.slot_base + (s.slots ? s.slots[r] : r);
    EXPECT_LT(slot, cache.slots(layer));
    if (slot >= cache.slots(layer) || pos[slot] == SLUICE_FREE || pos[slot] >= cache.seen() + (1u << 20)) return;
    EXPECT_TRUE(rows.emplace(pos[slot], std::move(row)).second)
        << "two rows of side " << side << " for position " << pos[slot];
  };
  std::vector<sluice_span> dense(cache.dense_spans(layer, head, side, nullptr));
  cache.dense_spans(layer, head, side, dense.data());
  for (const sluice_span& s : dense)
    for (uint32_t r = 0; r < s.rows; r++) {
      std::vector<float> row(d);
      for (uint32_t c = 0; c < d; c++)
        row[c] = sluice_from_half(static_cast<const uint16_t*>(s.src)[size_t(r) * d + c]);
      add(s, r, row);
    }
  const auto coded = cache.coded_spans(layer, head, side);
  for (uint32_t i = 0; i < coded.size(); i++) {
    const Instance& codec = *policy_.layers[layer].codec[side];
    const sluice_block b = cache.block(layer, head, side, i);
    EXPECT_EQ(b.rows, coded[i].rows);
    std::vector<float> x(size_t(b.rows) * d);
    for (uint32_t first = 0; first < b.rows; first += 64)
      EXPECT_EQ(codec.table<sluice_codec>().decode(codec.self(), &b, coded[i].src, first, std::min(64u, b.rows - first),
                                                   &x[size_t(first) * d]),
                SLUICE_OK);
    for (uint32_t r = 0; r < b.rows; r++) add(coded[i], r, {&x[size_t(r) * d], &x[size_t(r) * d] + d});
  }
  return rows;
}

// Softmax probabilities and their weighted sum for one query, over (position -> row) maps.
static std::map<uint32_t, double> probabilities(const std::vector<float>& q,
                                                const std::map<uint32_t, std::vector<float>>& k, uint32_t position) {
  std::map<uint32_t, double> p;
  double top = -INFINITY, sum = 0;
  for (const auto& [at, row] : k) {
    if (at > position) continue;
    double s = 0;
    for (size_t c = 0; c < q.size(); c++) s += double(q[c]) * row[c];
    p[at] = s / std::sqrt(double(q.size()));
    top = std::max(top, p[at]);
  }
  for (auto& [at, s] : p) sum += s = std::exp(s - top);
  for (auto& [at, s] : p) s /= sum;
  return p;
}

void CacheDriver::keep_queries(uint32_t layer, uint32_t first) {
  const QueryWindow window = cache.window(layer);
  for (uint32_t i = 0; i < window.count; i++)
    for (uint32_t h = 0; h < policy_.geometry.heads; h++)
      for (uint32_t c = 0; c < policy_.geometry.head_dim; c++)
        window.rows[(size_t(i) * policy_.geometry.heads + h) * policy_.geometry.head_dim + c] =
            rows_.at(kRowQ, layer, first + window.first + i, h, c);
}

void CacheDriver::attend(uint32_t layer, uint32_t first, uint32_t n, bool prompt) {
  const sluice_geometry& g = policy_.geometry;
  const uint32_t per = g.heads / g.kv_heads, d = g.head_dim, stride = cache.slot_stride(layer);
  outputs[layer].assign(size_t(g.heads) * d, 0);
  for (uint32_t h = 0; h < g.kv_heads; h++) {
    const auto k = visible(layer, h, SLUICE_KEY), v = visible(layer, h, SLUICE_VALUE);
    EXPECT_EQ(k.size(), v.size());
    std::map<uint32_t, uint32_t> slot_at;
    for (uint32_t s = 0; s < cache.slots(layer); s++) slot_at[cache.slot_pos(layer)[h * stride + s]] = s;
    for (uint32_t t = first; t < first + n; t++)
      for (uint32_t j = 0; j < per; j++) {
        std::vector<float> q(d);
        for (uint32_t c = 0; c < d; c++) q[c] = rows_.at(kRowQ, layer, t, h * per + j, c);
        const auto p = probabilities(q, k, t);
        if (t + 1 == first + n)
          for (const auto& [at, w] : p)
            for (uint32_t c = 0; c < d; c++) outputs[layer][(h * per + j) * d + c] += w * v.at(at)[c];
        float* signal = cache.signal(layer);
        if (!signal) continue;
        const sluice_signal& want = policy_.layers[layer].signal[prompt];
        double mean = 0, count = 0;
        auto counts = [&](uint32_t at) { return at >= want.skip_first && !(want.skip_self && at == t); };
        for (const auto& [at, w] : p)
          if (counts(at)) mean += w, count++;
        for (const auto& [at, w] : p) {
          if (!counts(at)) continue;
          float& x = signal[h * stride + slot_at.at(at)];
          if (want.kind == SLUICE_SUM) x += float(w);
          if (want.kind == SLUICE_PEAK && mean > 0) x = std::max(x, float(w * count / mean));
        }
      }
  }
}

void CacheDriver::check_ledger() {
  const Ledger ledger = cache.ledger();
  EXPECT_EQ(ledger.total() - policy_.plugin_bytes(), cache.owner().live);
  for (uint32_t i = 0; i < kKinds; i++)
    EXPECT_LE(ledger.bytes[i], ledger.total()) << kKindNames[i] << " is less than nothing";
  checked_ledgers++;
}

void CacheDriver::step(uint32_t n) {
  const sluice_geometry& g = policy_.geometry;
  const uint32_t first = cache.seen();
  cache.check_step(n);
  cache.begin(n);
  for (uint32_t l = 0; l < g.layers; l++) {
    std::vector<sluice_store> places(n * g.kv_heads);
    cache.place(l, places.data());
    write_rows(l, n, places, first);
    keep_queries(l, first);
    attend(l, first, n, false);
  }
  for (uint32_t l = 0; l < g.layers; l++) cache.end_layer(l);
  cache.end();
  check_ledger();
}

void CacheDriver::prompt(uint32_t n, const CacheDriver* prefix) {
  const sluice_geometry& g = policy_.geometry;
  const uint32_t first = prefix ? prefix->cache.seen() : cache.seen();
  cache.begin(n, prefix ? &prefix->cache : nullptr);
  for (uint32_t l = 0; l < g.layers; l++) {
    cache.open_prompt(l);
    std::vector<sluice_store> places(n * g.kv_heads);
    cache.place(l, places.data());
    write_rows(l, n, places, first);
    keep_queries(l, first);
    attend(l, first, n, true);
    cache.end_prompt_layer(l);
  }
  cache.end();
  check_ledger();
}

std::vector<double> CacheDriver::expected(uint32_t layer,
                                          const std::vector<std::vector<uint32_t>>& positions_by_head) const {
  const sluice_geometry& g = policy_.geometry;
  const uint32_t per = g.heads / g.kv_heads, d = g.head_dim, t = cache.seen() - 1;
  std::vector<double> out(size_t(g.heads) * d, 0);
  for (uint32_t h = 0; h < g.kv_heads; h++) {
    std::map<uint32_t, std::vector<float>> k;
    for (uint32_t at : positions_by_head[h]) {
      auto& row = k[at];
      for (uint32_t c = 0; c < d; c++) row.push_back(rows_.at(kRowK, layer, at, h, c));
    }
    for (uint32_t j = 0; j < per; j++) {
      std::vector<float> q(d);
      for (uint32_t c = 0; c < d; c++) q[c] = rows_.at(kRowQ, layer, t, h * per + j, c);
      for (const auto& [at, w] : probabilities(q, k, t))
        for (uint32_t c = 0; c < d; c++) out[(h * per + j) * d + c] += w * rows_.at(kRowV, layer, at, h, c);
    }
  }
  return out;
}

}  // namespace sluice::testing
