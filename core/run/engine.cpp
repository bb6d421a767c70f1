// See engine.h: batches laid out on the device, and the order in which cache, graph and policy have their turns.
#include "core/run/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "core/base/error.h"
#include "core/model/model_tokenizer.h"

namespace sluice {
namespace {

constexpr uint32_t kTileRows = 256;  // rows of a prompt that go through a block together
constexpr uint32_t kLogitRows = 32;  // rows whose logits are computed together

sluice_mat rows_of(const sluice_mat& m, uint32_t first, uint32_t rows) {
  return {m.data + uint64_t(first) * m.cols, rows, m.cols};
}

}  // namespace

struct Engine::Lane {
  Ops ops;
  CacheAttention attention;
  Lane(const Instance& backend, bool exact, ThreadPool& pool, Arena& arena, const sluice_geometry& g,
       const KeyRotation& rotation, bool immediate)
      : ops(backend, exact), attention(ops, pool, arena, g, rotation, immediate) {}
};

// Everything is sized for `rows` rows at a time; the residual stream of a prompt for `stream` rows.
struct Engine::Room {
  uint32_t rows = 0, logit_rows = 0, stream = 0;
  float *x = nullptr, *h = nullptr, *q = nullptr, *mix = nullptr, *k = nullptr, *v = nullptr, *gate = nullptr,
        *up = nullptr;
  float *logits = nullptr, *logit_h = nullptr, *stream_x = nullptr;
  uint32_t *tokens = nullptr, *positions = nullptr, *logit_row = nullptr;  // on the device
  uint32_t *q_ranks = nullptr, *k_ranks = nullptr;                         // what RoPE turns by where positions roll
  sluice_store* places = nullptr;                                          // [layers][rows][kv_heads], on the device
  std::vector<uint32_t> host_tokens, host_positions, host_q_ranks, host_k_ranks, host_logit_row;
  std::vector<sluice_store> host_places;
  std::vector<float> host_logits;  // where the device's memory is not the host's
  std::vector<BatchPart> parts;
  std::vector<std::pair<uint32_t, uint32_t>> wanted;  // (feed, row in feed) of logit_row
  std::vector<LogitRow> logit_rows_out;               // a tile of them, for the sink
  bool rolling = false;                               // some row's sequence counts positions anew

  // Row `row` of the batch is the i-th token that comes to `cache`. Stored keys of rolling sequences are not turned.
  void set_position(uint32_t row, const SequenceCache& cache, uint32_t position, uint32_t i) {
    host_positions[row] = position, host_q_ranks[row] = cache.first_rank() + i;
    host_k_ranks[row] = cache.rolling() ? 0 : position;
    rolling |= cache.rolling();
  }
};

Engine::Engine(Registry& registry, const Config& config, const Options& options)
    : registry_(registry), prompt_progress_(options.prompt_progress), stop_(options.stop) {
  file_ = ModelFile::open(find_model(config.model, config.model_place));
  tokenizer_ = make_tokenizer(*file_);
  context_ = options.context ? options.context : config.context;
  if (hyper().sliding_window && context_ > hyper().sliding_window)
    throw Error(
        fmt::format("{}: this model attends to a sliding window of {} tokens; a context of {} is not supported, set "
                    "model.context to {} or less",
                    file_->path().string(), hyper().sliding_window, context_, hyper().sliding_window));
  const sluice_module& module = registry.find(SLUICE_BACKEND, config.backend.name, config.backend.place.text);
  backend_ = registry.create_backend(module, resolve_params(module, config.backend));
  const auto& table = backend_.table<sluice_backend>();
  backend_.call("device", table.device, &device_);
  weights_ = std::make_unique<Weights>(backend_, *file_, options.progress);
  const uint64_t reserve = std::clamp<uint64_t>(device_.memory_total * 2, uint64_t(1) << 30, uint64_t(200) << 30);
  if (device_.immediate) {
    arena_ = std::make_unique<Arena>(backend_, reserve);
  } else {
    arena_ = std::make_unique<Arena>(reserve);
    rows_ = std::make_unique<RowStore>(backend_, reserve);
  }
  identity_ = row_arena().allocate(uint64_t(context_) * sizeof(uint32_t), identity_owner_);
  std::vector<uint32_t> identity(context_);
  std::iota(identity.begin(), identity.end(), 0u);
  rotation_ = std::make_unique<KeyRotation>(hyper().rope_frequency);
  fast_ = std::make_unique<Lane>(backend_, false, registry_.pool(), *arena_, geometry(), *rotation_, device_.immediate);
  exact_ = std::make_unique<Lane>(backend_, true, registry_.pool(), *arena_, geometry(), *rotation_, device_.immediate);
  fast_->ops.write(identity_.data, identity.data(), identity.size() * sizeof(uint32_t));
  fast_->ops.wait();
  room_ = std::make_unique<Room>();
}

Engine::~Engine() {
  while (!buffers_.empty()) drop_buffer(buffers_.begin()->first);
  exact_.reset(), fast_.reset();
  row_arena().release(identity_, identity_owner_);
  rows_.reset(), arena_.reset(), weights_.reset();
}

sluice_geometry Engine::geometry() const {
  const Hyperparameters& p = hyper();
  return {p.layers, p.heads, p.kv_heads, p.head_dim, context_};
}

std::unique_ptr<SequenceCache> Engine::create_cache(const Policy& policy, uint32_t budget, uint32_t max_tokens) {
  if (max_tokens > context_ && !policy.endless())
    throw Error(fmt::format(
        "{} tokens do not fit the context of {}: use fewer tokens or raise model.context (the model was trained on {})",
        max_tokens, context_, hyper().context));
  if (policy.rolling && rows_)
    throw Error(fmt::format(
        "policy {}: positions = \"rolling\" turns stored keys on the host, and the memory of this backend is not the "
        "host's; use backend \"cpu\" or absolute positions",
        policy.name));
  auto cache = std::make_unique<SequenceCache>(policy, *arena_, reinterpret_cast<uint32_t*>(identity_.data), budget,
                                               max_tokens, rows_.get());
  if (!policy.rolling) return cache;
  const uint32_t ranks = cache->step_ranks(), most = trained_positions();
  if (ranks > most)
    throw Error(fmt::format(
        "policy {}: positions = \"rolling\" counts the tokens that are kept, and a lane may come to {} with a "
        "step's own, more than the {} that the model was trained on; lower [cache] budget or chunk",
        policy.name, ranks, most));
  rotation_->reserve(ranks);
  return cache;
}

uint32_t Engine::trained_positions() const {
  return hyper().sliding_window ? std::min(hyper().sliding_window, hyper().context) : hyper().context;
}

// A whole prompt of a rolling sequence sees all of itself at once.
void Engine::check_ranks(const SequenceCache& cache, uint32_t first, uint32_t n) const {
  const Policy& policy = cache.policy();
  const uint32_t most = trained_positions(), step = std::max(policy.chunk, 1u);
  if (uint64_t(first) + n <= most) return;
  const uint32_t kept = cache.step_ranks() > step ? cache.step_ranks() - step : 0;
  const std::string chunk =
      fmt::format("set [cache] prefill = \"chunked\" and chunk to at most {}", most - std::min(kept, most - 1));
  throw Error(fmt::format("policy {}: a prompt of {} tokens at once{} exceeds the {} that the model was trained on; {}",
                          policy.name, n, first ? fmt::format(" after {} that are kept", first) : "", most,
                          policy.endless() ? chunk : "shorten it"));
}

Engine::Lane& Engine::lane(bool exact) { return exact ? *exact_ : *fast_; }

void* Engine::buffer(uint64_t bytes) {
  void* address = nullptr;
  const auto& table = backend_.table<sluice_backend>();
  backend_.call("buffer_create", table.buffer_create, SLUICE_USE_ACTIVATIONS, std::max<uint64_t>(bytes, 64), &address);
  try {
    buffers_.emplace(address, bytes);
  } catch (...) {
    backend_.call("buffer_destroy", table.buffer_destroy, address);
    throw;
  }
  activation_bytes_ += bytes;
  return address;
}

void Engine::drop_buffer(void* address) {
  const auto at = buffers_.find(address);
  if (at == buffers_.end()) return;
  backend_.call("buffer_destroy", backend_.table<sluice_backend>().buffer_destroy, address);
  activation_bytes_ -= at->second;
  buffers_.erase(at);
}

// Room shrinks to nothing before it grows, so that a failed allocation leaves no pointer to what is gone.
void Engine::make_room(uint32_t rows, uint32_t logit_rows) {
  Room& r = *room_;
  const Hyperparameters& p = hyper();
  auto again = [&](auto*& pointer, uint64_t count) {
    using T = std::remove_reference_t<decltype(*pointer)>;
    drop_buffer(std::exchange(pointer, nullptr));
    pointer = static_cast<T*>(buffer(count * sizeof(T)));
  };
  if (rows > r.rows) {
    r.rows = 0;
    const uint64_t n = rows, q = uint64_t(p.heads) * p.head_dim, kv = uint64_t(p.kv_heads) * p.head_dim;
    again(r.x, n * p.width), again(r.h, n * p.width);
    again(r.q, n * q), again(r.mix, n * q), again(r.k, n * kv), again(r.v, n * kv);
    again(r.gate, n * p.ffn_width), again(r.up, n * p.ffn_width);
    again(r.tokens, n), again(r.positions, n), again(r.logit_row, n), again(r.q_ranks, n), again(r.k_ranks, n);
    const uint64_t cells = uint64_t(p.layers) * p.kv_heads;
    again(r.places, cells * n);
    r.host_tokens.resize(n), r.host_positions.resize(n), r.host_logit_row.resize(n), r.host_places.resize(cells * n);
    r.host_q_ranks.resize(n), r.host_k_ranks.resize(n);
    r.wanted.reserve(n), r.parts.reserve(n);
    r.rows = rows;
  }
  if (logit_rows > r.logit_rows) {
    r.logit_rows = 0;
    again(r.logits, uint64_t(logit_rows) * p.vocab), again(r.logit_h, uint64_t(logit_rows) * p.width);
    if (!device_.immediate) r.host_logits.resize(uint64_t(logit_rows) * p.vocab);
    r.logit_rows_out.reserve(logit_rows);
    r.logit_rows = logit_rows;
  }
}

void Engine::make_stream(uint32_t rows) {
  Room& r = *room_;
  if (rows <= r.stream) return;
  r.stream = 0;
  drop_buffer(std::exchange(r.stream_x, nullptr));
  r.stream_x = static_cast<float*>(buffer(uint64_t(rows) * hyper().width * sizeof(float)));
  r.stream = rows;
}

void Engine::reserve(uint32_t step_rows, uint32_t prompt_tokens) {
  const uint32_t rows = std::max(step_rows, std::min(prompt_tokens, kTileRows));
  make_room(rows, std::min(rows, kLogitRows));
  make_stream(prompt_tokens);
}

Activations Engine::activations(uint32_t rows) {
  const Hyperparameters& p = hyper();
  const Room& r = *room_;
  const uint32_t q = p.heads * p.head_dim, kv = p.kv_heads * p.head_dim;
  return {
      {r.x, rows, p.width}, {r.h, rows, p.width},        {r.q, rows, q},           {r.mix, rows, q}, {r.k, rows, kv},
      {r.v, rows, kv},      {r.gate, rows, p.ffn_width}, {r.up, rows, p.ffn_width}};
}

// Logits of the rows that the feeds want, whose places in x stand in host_logit_row.
void Engine::run_logits(Lane& lane, sluice_mat x, const LogitSink& sink) {
  Room& r = *room_;
  const Hyperparameters& p = hyper();
  const uint32_t n = uint32_t(r.wanted.size());
  if (n == 0) return;
  lane.ops.write(r.logit_row, r.host_logit_row.data(), n * sizeof(uint32_t));
  for (uint32_t first = 0; first < n; first += r.logit_rows) {
    const uint32_t rows = std::min(r.logit_rows, n - first);
    sluice_mat h{r.logit_h, rows, p.width}, logits{r.logits, rows, p.vocab};
    llama_logits(lane.ops, p, *weights_, x, r.logit_row + first, h, logits);
    const float* host = r.logits;
    if (!device_.immediate) {
      lane.ops.read(r.logits, r.host_logits.data(), uint64_t(rows) * p.vocab * sizeof(float));
      lane.ops.wait();
      host = r.host_logits.data();
    }
    r.logit_rows_out.clear();
    for (uint32_t i = 0; i < rows; i++)
      r.logit_rows_out.push_back(
          {r.wanted[first + i].first, r.wanted[first + i].second, {host + uint64_t(i) * p.vocab, p.vocab}});
    sink(r.logit_rows_out);
  }
}

// The batch's positions on the device.
Positions Engine::write_positions(Lane& lane, uint32_t rows) {
  Room& r = *room_;
  lane.ops.write(r.positions, r.host_positions.data(), rows * sizeof(uint32_t));
  if (!r.rolling) return {r.positions, r.positions, r.positions};
  lane.ops.write(r.q_ranks, r.host_q_ranks.data(), rows * sizeof(uint32_t));
  lane.ops.write(r.k_ranks, r.host_k_ranks.data(), rows * sizeof(uint32_t));
  return {r.positions, r.q_ranks, r.k_ranks};
}

void Engine::step(std::span<const Feed> feeds, bool exact, const LogitSink& sink) {
  const Hyperparameters& p = hyper();
  Lane& lane = this->lane(exact);
  uint32_t rows = 0;
  for (const Feed& f : feeds) {
    f.cache->check_step(uint32_t(f.tokens.size()));  // before any begins
    rows += uint32_t(f.tokens.size());
  }
  make_room(rows, std::min(rows, kLogitRows));
  Room& r = *room_;
  r.parts.clear(), r.wanted.clear(), r.rolling = false;
  uint32_t row = 0;
  for (uint32_t i = 0; i < feeds.size(); i++) {
    const Feed& f = feeds[i];
    const uint32_t n = uint32_t(f.tokens.size());
    f.cache->begin(n);
    r.parts.push_back({f.cache, row, n, row, 0});
    for (uint32_t t = 0; t < n; t++, row++) {
      r.host_tokens[row] = uint32_t(f.tokens[t]);
      r.set_position(row, *f.cache, f.cache->seen() + t, t);
      if (f.want == Want::kAll || (f.want == Want::kLast && t + 1 == n)) {
        r.host_logit_row[r.wanted.size()] = row;
        r.wanted.push_back({i, t});
      }
    }
  }
  // Every layer of every cache makes room for its rows.
  const uint32_t caches = uint32_t(feeds.size());
  registry_.pool().each(caches * p.layers, [&](uint32_t i) {
    const BatchPart& part = r.parts[i % caches];
    const uint32_t layer = i / caches;
    part.cache->place(layer, &r.host_places[(uint64_t(layer) * rows + part.first) * p.kv_heads]);
  });
  if (rows_) rows_->finish();
  lane.ops.write(r.tokens, r.host_tokens.data(), rows * sizeof(uint32_t));
  const Positions positions = write_positions(lane, rows);
  lane.ops.write(r.places, r.host_places.data(), uint64_t(p.layers) * rows * p.kv_heads * sizeof(sluice_store));
  lane.attention.begin(r.parts, false);
  const Activations a = activations(rows);
  lane.ops.embed(weights_->embedding, r.tokens, a.x);
  for (uint32_t l = 0; l < p.layers; l++) {
    lane.attention.set_places(r.places + uint64_t(l) * rows * p.kv_heads);
    llama_block(lane.ops, p, *weights_, l, a, positions, lane.attention);
  }
  run_logits(lane, a.x, sink);
  lane.ops.wait();
  registry_.pool().each(caches * p.layers, [&](uint32_t i) { feeds[i % caches].cache->end_layer(i / caches); });
  for (const Feed& f : feeds) f.cache->end();
}

void Engine::prompt(const Feed& feed, const SequenceCache* prefix, bool exact, const LogitSink& sink) {
  const Hyperparameters& p = hyper();
  Lane& lane = this->lane(exact);
  SequenceCache& cache = *feed.cache;
  const uint32_t n = uint32_t(feed.tokens.size()), tile = std::min(n, kTileRows);
  if (cache.rolling()) {
    const uint32_t held = prefix ? prefix->seen() : cache.next_rank();
    check_ranks(cache, held, n);
    rotation_->reserve(held + n);
  }
  make_room(tile, std::min(n, kLogitRows));
  make_stream(n);
  Room& r = *room_;
  cache.begin(n, prefix);
  r.rolling = false;
  const uint32_t start = cache.seen() + (prefix ? prefix->seen() : 0);
  const sluice_mat stream{r.stream_x, n, p.width};
  for (uint32_t first = 0; first < n; first += tile) {
    const uint32_t rows = std::min(tile, n - first);
    for (uint32_t t = 0; t < rows; t++) r.host_tokens[t] = uint32_t(feed.tokens[first + t]);
    lane.ops.write(r.tokens, r.host_tokens.data(), rows * sizeof(uint32_t));
    lane.ops.embed(weights_->embedding, r.tokens, rows_of(stream, first, rows));
    if (!device_.immediate) lane.ops.wait();
  }
  std::vector<sluice_store> places(uint64_t(n) * p.kv_heads);
  for (uint32_t l = 0; l < p.layers; l++) {
    cache.open_prompt(l);
    cache.place(l, places.data());
    if (rows_) rows_->finish();
    const uint32_t window = cache.policy().layers[l].signal[1].window;
    const uint32_t signal_from = window && window < n ? n - window : 0;  // the first of this prompt's rows that count
    for (uint32_t first = 0; first < n; first += tile) {
      const uint32_t rows = std::min(tile, n - first);
      for (uint32_t t = 0; t < rows; t++) r.set_position(t, cache, start + first + t, first + t);
      const Positions positions = write_positions(lane, rows);
      lane.ops.write(r.places, &places[uint64_t(first) * p.kv_heads],
                     uint64_t(rows) * p.kv_heads * sizeof(sluice_store));
      const BatchPart part{&cache, 0, rows, signal_from > first ? std::min(signal_from - first, rows) : 0, first};
      lane.attention.begin({&part, 1}, true);
      lane.attention.set_places(r.places);
      Activations a = activations(rows);
      a.x = rows_of(stream, first, rows);
      llama_block(lane.ops, p, *weights_, l, a, positions, lane.attention);
      if (!device_.immediate) lane.ops.wait();
      tile_done(uint64_t(l) * n + first + rows, uint64_t(p.layers) * n);
    }
    lane.ops.wait();
    cache.end_prompt_layer(l);
  }
  const uint32_t first_wanted = feed.want == Want::kAll ? 0 : feed.want == Want::kLast ? n - 1 : n;
  for (uint32_t first = first_wanted; first < n; first += tile) {  // the row table holds a tile
    r.wanted.clear();
    for (uint32_t t = first; t < std::min(first + tile, n); t++) {
      r.host_logit_row[t - first] = t;
      r.wanted.push_back({0, t});
    }
    run_logits(lane, stream, sink);
    if (!device_.immediate) lane.ops.wait();
  }
  cache.end();
}

// Between two tiles of a prompt.
void Engine::tile_done(uint64_t done, uint64_t total) const {
  if (stop_ && *stop_) throw Interrupted();
  if (prompt_progress_) prompt_progress_(done, total);
}

void Engine::feed_prompt(SequenceCache& cache, std::span<const int32_t> tokens, Want want, bool exact,
                         const LogitSink& sink) {
  const uint32_t chunk = cache.policy().chunk;
  if (chunk == 0) return prompt({&cache, tokens, want}, nullptr, exact, sink);
  for (size_t first = 0; first < tokens.size(); first += chunk) {
    const auto rows = tokens.subspan(first, std::min<size_t>(chunk, tokens.size() - first));
    const bool last = first + rows.size() == tokens.size();
    const Feed feed{&cache, rows, last || want != Want::kLast ? want : Want::kNothing};
    step({&feed, 1}, exact, sink);
    tile_done(first + rows.size(), tokens.size());
  }
}

CacheAttention& Engine::attention(bool exact) { return lane(exact).attention; }

uint64_t Engine::workspace_bytes() const {
  return identity_owner_.live + rotation_->bytes() + fast_->attention.workspace_bytes() +
         exact_->attention.workspace_bytes();
}
uint64_t Engine::decoded_rows() const { return fast_->attention.decoded_rows() + exact_->attention.decoded_rows(); }

}  // namespace sluice
