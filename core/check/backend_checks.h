// The checks of backends, by the file they stand in. backend_checks.cpp names them and says what each promises.
#pragma once

#include "core/check/backend_probe.h"

namespace sluice::check {

// backend_memory.cpp
void backend_create(const Subject& subject);
void backend_buffers(const Subject& subject);
void backend_cache(const Subject& subject);
void backend_freed(const Subject& subject);
void backend_weights(const Subject& subject);

// backend_matmul.cpp
void backend_matmul_exact(const Subject& subject);
void backend_matmul_fast(const Subject& subject);
void backend_embed(const Subject& subject);
void backend_batch(const Subject& subject);
void backend_threads(const Subject& subject);
void backend_queues(const Subject& subject);

// backend_rows.cpp
void backend_rmsnorm(const Subject& subject);
void backend_silu(const Subject& subject);
void backend_add(const Subject& subject);
void backend_rope(const Subject& subject);

// backend_attention.cpp
void backend_kv_store(const Subject& subject);
void backend_attention(const Subject& subject);
void backend_verbs(const Subject& subject);
void backend_evicted(const Subject& subject);
void backend_sequences(const Subject& subject);
void backend_attention_threads(const Subject& subject);

// backend_signal.cpp
void backend_signal_sum(const Subject& subject);
void backend_signal(const Subject& subject);

// backend_replay.cpp
void backend_replay(const Subject& subject);

}  // namespace sluice::check
