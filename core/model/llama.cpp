// Llama (Touvron et al., 2023): pre-norm blocks of grouped-query attention with rotary positions and a SwiGLU
// feed-forward network. Qwen2 adds biases to q, k and v.
#include "core/model/llama.h"

namespace sluice {
namespace {

void project(const Ops& ops, sluice_mat x, const sluice_weight* w, sluice_mat bias, sluice_mat out) {
  ops.matmul(x, w, out);
  if (bias.data) ops.add(out, bias, out);
}

}  // namespace

void llama_block(const Ops& ops, const Hyperparameters& p, const Weights& weights, uint32_t layer, const Activations& a,
                 const Positions& positions, Attention& attention) {
  const LayerWeights& w = weights.layers[layer];

  // x += Wo attention(Wq n, Wk n, Wv n),  n = norm(x)
  ops.rmsnorm(a.x, w.attn_norm, p.rms_epsilon, a.h);
  project(ops, a.h, w.q, w.q_bias, a.q);
  project(ops, a.h, w.k, w.k_bias, a.k);
  project(ops, a.h, w.v, w.v_bias, a.v);
  ops.rope(a.q, positions.q, weights.rope_frequency, p.head_dim);
  ops.rope(a.k, positions.k, weights.rope_frequency, p.head_dim);
  attention.attend(layer, a, positions.text);
  ops.matmul(a.mix, w.o, a.h);
  ops.add(a.x, a.h, a.x);

  // x += Wdown (silu(Wgate n) * Wup n),  n = norm(x)
  ops.rmsnorm(a.x, w.ffn_norm, p.rms_epsilon, a.h);
  ops.matmul(a.h, w.gate, a.gate);
  ops.matmul(a.h, w.up, a.up);
  ops.silu_mul(a.gate, a.up, a.gate);
  ops.matmul(a.gate, w.down, a.h);
  ops.add(a.x, a.h, a.x);
}

void llama_logits(const Ops& ops, const Hyperparameters& p, const Weights& weights, sluice_mat x, const uint32_t* rows,
                  sluice_mat h, sluice_mat logits) {
  ops.gather(x, rows, h);
  ops.rmsnorm(h, weights.output_norm, p.rms_epsilon, h);
  ops.matmul(h, weights.output, logits);
}

}  // namespace sluice
