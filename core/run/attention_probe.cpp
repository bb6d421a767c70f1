// See attention_probe.h: sums in double, each lane's by one thread.
#include "core/run/attention_probe.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/run/attention.h"
#include "sluice/half.h"

namespace sluice {
namespace {

double squares(const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += double(x[i]) * x[i];
  return sum;
}

double squared_distance(const float* x, const float* y, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double(x[i]) - y[i]) * (double(x[i]) - y[i]);
  return sum;
}

// Scores become probabilities.
void softmax(std::vector<double>& scores) {
  const double peak = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - peak);
  for (double& s : scores) s /= sum;
}

}  // namespace

AttentionProbe::AttentionProbe(Engine& engine, bool exact, std::vector<const SequenceCache*> caches)
    : engine_(engine), exact_(exact), caches_(std::move(caches)), geometry_(engine.geometry()) {
  output_.resize(geometry_.layers);
  difference_.assign(caches_.size(), std::vector<double>(geometry_.layers));
  mass_.assign(caches_.size(), std::vector<double>(uint64_t(geometry_.layers) * geometry_.kv_heads));
  lanes_.resize(geometry_.kv_heads);
  engine_.attention(exact_).watch = [this](uint32_t layer, const Activations& a) {
    if (looking_) see(layer, a);
  };
}

AttentionProbe::~AttentionProbe() { engine_.attention(exact_).watch = nullptr; }

void AttentionProbe::see(uint32_t layer, const Activations& a) {
  assert(a.mix.rows == caches_.size());
  const size_t width = a.mix.cols;
  output_[layer] += squares(a.mix.data, width);
  bool evicting = false;
  for (size_t c = 1; c < caches_.size(); c++) {
    difference_[c][layer] += squared_distance(a.mix.data + c * width, a.mix.data, width);
    evicting |= evicts(c, layer);
  }
  if (evicting)
    engine_.registry().pool().each(geometry_.kv_heads, [&](uint32_t head) { see_lane(layer, head, a.q.data); });
  if (layer + 1 == geometry_.layers) positions_++;
}

// The reference's probabilities, from its own keys, and what of them lies on the tokens that each of the others holds.
void AttentionProbe::see_lane(uint32_t layer, uint32_t head, const float* queries) {
  const SequenceCache& reference = *caches_[0];
  const uint32_t d = geometry_.head_dim, per = geometry_.heads / geometry_.kv_heads;
  const uint32_t* const positions = reference.slot_pos(layer) + uint64_t(head) * reference.slot_stride(layer);
  Lane& lane = lanes_[head];
  const uint32_t tokens = reference.seen() + 1;  // that of this step among them
  lane.mass.assign(tokens, 0);
  std::vector<sluice_span> spans(reference.dense_spans(layer, head, SLUICE_KEY, nullptr));
  reference.dense_spans(layer, head, SLUICE_KEY, spans.data());
  for (uint32_t i = 0; i < per; i++) {
    const float* const query = queries + (uint64_t(head) * per + i) * d;
    lane.scores.assign(tokens, -INFINITY);
    for (const sluice_span& span : spans)
      for (uint32_t r = 0; r < span.rows; r++) {
        const uint32_t position = positions[span.slot_base + r];
        if (position >= tokens) continue;
        const auto* half = static_cast<const uint16_t*>(span.src) + uint64_t(r) * d;
        double dot = 0;
        for (uint32_t c = 0; c < d; c++) dot += double(query[c]) * sluice_from_half(half[c]);
        lane.scores[position] = dot / std::sqrt(double(d));
      }
    softmax(lane.scores);
    for (uint32_t t = 0; t < tokens; t++) lane.mass[t] += lane.scores[t] / per;
  }
  for (size_t c = 1; c < caches_.size(); c++) {
    if (!evicts(c, layer)) continue;
    double& kept = mass_[c][uint64_t(layer) * geometry_.kv_heads + head];
    for (const uint32_t position : caches_[c]->live_positions(layer, head)) kept += lane.mass[position];
  }
}

AttentionFigures AttentionProbe::figures(size_t index) const {
  AttentionFigures f;
  f.positions = positions_;
  bool evicting = false;
  for (uint32_t l = 0; l < geometry_.layers; l++) {
    f.output_error.push_back(std::sqrt(difference_[index][l] / output_[l]));
    evicting |= evicts(index, l);
  }
  if (!evicting) return f;
  for (uint32_t l = 0; l < geometry_.layers; l++) {
    std::vector<double>& lanes = f.mass_kept.emplace_back();
    for (uint32_t h = 0; h < geometry_.kv_heads; h++)
      lanes.push_back(evicts(index, l) ? mass_[index][uint64_t(l) * geometry_.kv_heads + h] / double(positions_) : 1);
  }
  return f;
}

}  // namespace sluice
