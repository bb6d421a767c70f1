// A Llama in double over stored keys and values, position by position, for caches that count positions anew: keys are
// kept as they were before RoPE and turned by their rank among the tokens that a lane still holds. Slow and plain.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sluice/half.h"
#include "support/tiny_model.h"

namespace sluice::testing {

class RollingReference {
 public:
  using Row = std::vector<double>;

  explicit RollingReference(const TinyModel& model) : m_(model) {
    for (TinyTensor& tensor : tiny_tensors(model)) weights_[tensor.name] = std::move(tensor);
    keys_.resize(m_.layers), values_.resize(m_.layers);
  }

  // Logits of the next token; held(layer, kv_head): positions of the tokens that it sees before itself, oldest first.
  Row next(int32_t token, const std::function<std::vector<uint32_t>(uint32_t layer, uint32_t kv_head)>& held) {
    const uint32_t d = m_.head_size(), per = m_.heads / m_.kv_heads;
    const TinyTensor& embedding = weights_.at("token_embd.weight");
    Row x(m_.width);
    for (uint32_t c = 0; c < m_.width; c++) x[c] = embedding.values[size_t(token) * m_.width + c];
    for (uint32_t l = 0; l < m_.layers; l++) {
      const std::string block = "blk." + std::to_string(l) + ".";
      const Row n = norm(x, block + "attn_norm.weight");
      const Row q = product(block + "attn_q.weight", n);
      keys_[l].push_back(halves(product(block + "attn_k.weight", n)));
      values_[l].push_back(halves(product(block + "attn_v.weight", n)));
      Row mix(q.size());
      for (uint32_t h = 0; h < m_.heads; h++) {
        std::vector<uint32_t> seen = held(l, h / per);
        seen.push_back(uint32_t(keys_[l].size() - 1));
        const Row query = turned({q.begin() + h * d, q.begin() + (h + 1) * d}, double(seen.size() - 1));
        Row w;
        for (size_t rank = 0; rank < seen.size(); rank++) {
          const auto key = keys_[l][seen[rank]].begin() + (h / per) * d;
          const Row k = halves(turned({key, key + d}, double(rank)));
          double score = 0;
          for (uint32_t c = 0; c < d; c++) score += query[c] * k[c];
          w.push_back(score / std::sqrt(double(d)));
        }
        const double top = *std::max_element(w.begin(), w.end());
        double sum = 0;
        for (double& v : w) sum += v = std::exp(v - top);
        for (size_t rank = 0; rank < seen.size(); rank++)
          for (uint32_t c = 0; c < d; c++) mix[h * d + c] += w[rank] / sum * values_[l][seen[rank]][(h / per) * d + c];
      }
      add(x, product(block + "attn_output.weight", mix));
      const Row f = norm(x, block + "ffn_norm.weight");
      Row gate = product(block + "ffn_gate.weight", f);
      const Row up = product(block + "ffn_up.weight", f);
      for (size_t i = 0; i < gate.size(); i++) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      add(x, product(block + "ffn_down.weight", gate));
    }
    return product("output.weight", norm(x, "output_norm.weight"));
  }

 private:
  Row product(const std::string& name, const Row& x) const {
    const TinyTensor& w = weights_.at(name);
    Row out(w.rows);
    for (uint32_t r = 0; r < w.rows; r++)
      for (uint32_t c = 0; c < w.cols; c++) out[r] += double(w.values[size_t(r) * w.cols + c]) * x[c];
    return out;
  }
  Row norm(const Row& x, const std::string& gain) const {
    double squares = 0;
    for (double v : x) squares += v * v;
    const double scale = 1 / std::sqrt(squares / double(x.size()) + 1e-5);
    Row out(x.size());
    for (size_t i = 0; i < x.size(); i++) out[i] = x[i] * scale * weights_.at(gain).values[i];
    return out;
  }
  Row turned(const Row& head, double position) const {
    Row out(head.size());
    for (size_t i = 0; i < head.size(); i += 2) {
      const double angle = position * std::pow(double(m_.rope_theta), -double(i) / double(head.size()));
      out[i] = head[i] * std::cos(angle) - head[i + 1] * std::sin(angle);
      out[i + 1] = head[i] * std::sin(angle) + head[i + 1] * std::cos(angle);
    }
    return out;
  }
  static Row halves(Row x) {
    for (double& v : x) v = sluice_from_half(sluice_to_half(float(v)));
    return x;
  }
  static void add(Row& x, const Row& y) {
    for (size_t i = 0; i < x.size(); i++) x[i] += y[i];
  }

  TinyModel m_;
  std::map<std::string, TinyTensor> weights_;
  std::vector<std::vector<Row>> keys_, values_;  // [layer][position][kv_heads * head_dim]
};

}  // namespace sluice::testing
