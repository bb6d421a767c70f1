// Drives a SequenceCache without a model: feeds rows that a test chooses, computes attention over what the cache
// shows in double precision, and hands the policy its signal. Independent of backends and of the graph.
#pragma once

#include <map>
#include <random>
#include <vector>

#include "core/cache/layer_cache.h"
#include "core/cache/sequence_cache.h"
#include "core/plugins/registry.h"

namespace sluice::testing {

// A backend that only has memory, and a codec that stores F16 rows as they are (exact; "identity").
const sluice_plugin& memory_backend_plugin();
const sluice_plugin& identity_codec_plugin();

// A policy made by hand. The registry outlives it.
struct PolicyOptions {
  uint32_t layers = 1, heads = 4, kv_heads = 2, head_dim = 32, max_context = 4096;
  std::string evictor, key_codec, value_codec;
  std::map<std::string, sluice_value> evictor_params, codec_params;  // by name, over the defaults
  uint32_t interval = 1, chunk = 0;
  double compact = 0.75;
  bool layer_granularity = false;
};
std::unique_ptr<Policy> make_policy(Registry& registry, const PolicyOptions& options);

// Values that F16 holds, by (what, position, head, channel): the same for every driver of one seed.
struct Rows {
  uint32_t seed = 1;
  uint32_t shared = 0;  // positions below have the rows of seed 1
  float at(uint32_t what, uint32_t layer, uint32_t position, uint32_t head, uint32_t channel) const;
};
enum : uint32_t { kRowK = 0, kRowV = 1, kRowQ = 2 };

class CacheDriver {
 public:
  CacheDriver(const Policy& policy, Arena& arena, uint32_t* identity, uint32_t budget, uint32_t max_tokens, Rows rows);
  explicit CacheDriver(const CacheDriver& other);  // a fork

  // Feeds n tokens as one step (a chunk), or as a whole prompt. out(layer, position, head) as below.
  void step(uint32_t n = 1);
  void prompt(uint32_t n, const CacheDriver* prefix = nullptr);

  SequenceCache cache;
  // Attention outputs [heads][head_dim] of the last token fed, by layer.
  std::vector<std::vector<double>> outputs;
  // Rows as the cache would decode them now, by position.
  std::map<uint32_t, std::vector<float>> visible(uint32_t layer, uint32_t head, uint32_t side) const;
  // What attention of the newest token is, given only these positions and the rows as they were fed.
  std::vector<double> expected(uint32_t layer, const std::vector<std::vector<uint32_t>>& positions_by_head) const;
  uint64_t checked_ledgers = 0;

 private:
  void write_rows(uint32_t layer, uint32_t n, const std::vector<sluice_store>& places, uint32_t first);
  void keep_queries(uint32_t layer, uint32_t first);
  void attend(uint32_t layer, uint32_t first, uint32_t n, bool prompt);
  void check_ledger();
  const Policy& policy_;
  Rows rows_;
};

}  // namespace sluice::testing
