// A tiny random model on a backend, and the policies under which checks let it decode: the module that is checked,
// alone or stacked on others that are found by their interface.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/check/check.h"
#include "core/run/engine.h"

namespace sluice::check {

// A module with its parameters.
struct Choice {
  const sluice_module* module = nullptr;  // NULL: nothing in its place
  std::vector<sluice_value> values;
};

using TokenLogits = std::vector<std::vector<float>>;  // [token][vocabulary]

class Pipeline {
 public:
  // Skips the check where no backend is at hand, or where the subject serves none of the usual head sizes.
  explicit Pipeline(const Subject& subject);
  Pipeline(const Pipeline&) = delete;

  bool evictor() const { return evictor_; }  // or a codec
  Engine& engine() { return *engine_; }
  Choice subject() const { return {subject_.module, subject_.values}; }
  // Usable modules of an interface besides the subject, with their defaults.
  std::vector<Choice> others(std::string_view interface_id) const;

  // The policy lives as long as the pipeline.
  const Policy& policy(const Choice& evictor, const Choice& key, const Choice& value, uint32_t interval = kInterval);
  // The subject alone, a codec on both sides.
  const Policy& own();
  const Policy& none() { return policy({}, {}, {}); }
  // A cache for kTokens, with a budget that the evictor does not refuse if there is one.
  std::unique_ptr<SequenceCache> cache(const Policy& policy);
  std::unique_ptr<SequenceCache> cache(const Policy& policy, uint32_t budget) {
    return engine_->create_cache(policy, budget, kTokens);
  }

  // Logits of tokens first .. last - 1, decoded one by one, or as one prompt.
  TokenLogits decode(SequenceCache& cache, uint32_t first, uint32_t last);
  TokenLogits prompt(SequenceCache& cache, uint32_t first, uint32_t last);
  std::span<const int32_t> tokens() const { return tokens_; }

  static constexpr uint32_t kTokens = 288, kPrompt = 150, kInterval = 4;

 private:
  void make_engine(uint32_t head_dim);
  Instance create(const Choice& choice) const;

  const Subject& subject_;
  bool evictor_ = false;
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<int32_t> tokens_;
};

bool same_bits(const TokenLogits& a, const TokenLogits& b);
// Empty if the ledger adds up to what the cache holds, else how far it is off.
std::string ledger_fault(const SequenceCache& cache);

}  // namespace sluice::check
