// The Llama graph, once for all backends: a block over rows of activations, and the way from activations to
// logits. What the rows are (a batch of decoded tokens, a tile of a prompt) and how attention reads its caches
// is the caller's business.
#pragma once

#include <cstdint>

#include "core/model/model_file.h"
#include "core/model/ops.h"
#include "core/model/weights.h"

namespace sluice {

// Activations of `rows` rows, on the device.
struct Activations {
  sluice_mat x;         // [rows][width] the residual stream
  sluice_mat h;         // [rows][width] what a norm or a projection gives
  sluice_mat q, mix;    // [rows][heads * head_dim]
  sluice_mat k, v;      // [rows][kv_heads * head_dim]
  sluice_mat gate, up;  // [rows][ffn_width]
};

// Positions of the rows, on the device: in the text, which say what a row sees, and those that RoPE turns q and k by.
// All are the same unless positions are counted within the cache.
struct Positions {
  const uint32_t *text, *q, *k;
};

// Stores k and v of the rows in their caches and writes softmax(q K') V to mix.
struct Attention {
  virtual void attend(uint32_t layer, const Activations& a, const uint32_t* positions) = 0;  // in the text

 protected:
  ~Attention() = default;
};

// One transformer block: a.x becomes the block's output.
void llama_block(const Ops& ops, const Hyperparameters& p, const Weights& weights, uint32_t layer, const Activations& a,
                 const Positions& positions, Attention& attention);

// Logits [n][vocab] of the rows x[rows[0..n)]; h is room for [n][width].
void llama_logits(const Ops& ops, const Hyperparameters& p, const Weights& weights, sluice_mat x, const uint32_t* rows,
                  sluice_mat h, sluice_mat logits);

}  // namespace sluice
