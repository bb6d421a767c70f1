// Looks into attention while policies run in lockstep with a reference that keeps all: how far each layer's output is
// from the reference's, and how much of the reference's attention goes to tokens that a policy holds no more. Looking
// costs what the reference's attention costs, so it is done at some of the positions only.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/report/result.h"
#include "core/run/engine.h"

namespace sluice {

class AttentionProbe {
 public:
  // `caches` are fed together, a token each, in this order; the first is the reference's. They outlive the probe, and
  // there is one probe at a time. Needs a device whose memory is the host's.
  AttentionProbe(Engine& engine, bool exact, std::vector<const SequenceCache*> caches);
  ~AttentionProbe();
  AttentionProbe(const AttentionProbe&) = delete;

  // Whether to look at the steps from now on.
  void look(bool at_next) { looking_ = at_next; }
  // Of caches[index], over the steps it looked at.
  AttentionFigures figures(size_t index) const;

 private:
  void see(uint32_t layer, const Activations& a);
  void see_lane(uint32_t layer, uint32_t head, const float* queries);
  bool evicts(size_t index, uint32_t layer) const { return caches_[index]->evicting(layer); }

  Engine& engine_;
  bool exact_, looking_ = false;
  std::vector<const SequenceCache*> caches_;
  sluice_geometry geometry_;
  uint64_t positions_ = 0;
  // Sums over the positions, of squares and of shares.
  std::vector<double> output_;                   // [layers]
  std::vector<std::vector<double>> difference_;  // [caches][layers]
  std::vector<std::vector<double>> mass_;        // [caches][layers * kv_heads]
  struct Lane {
    std::vector<double> scores, mass;  // [tokens]: of one head; the mean over the heads that share the lane
  };
  std::vector<Lane> lanes_;  // [kv_heads]
};

}  // namespace sluice
