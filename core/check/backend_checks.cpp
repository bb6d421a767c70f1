// The list of backend checks in the order in which they run, each with its promise.
#include "core/check/backend_checks.h"

namespace sluice::check {

std::span<const Check> backend_checks() {
  static constexpr Check kChecks[] = {
      {"backend-create", "names its device and gives its memory back when it is destroyed", backend_create, 10, true},
      {"backend-buffers", "gives zeroed, aligned buffers and brings back what was written to them", backend_buffers},
      {"backend-cache", "backs ranges of a cache buffer with zeroed memory, and takes them back", backend_cache},
      {"backend-freed", "gives destroyed buffers and weights back", backend_freed, 30},
      {"backend-weights", "takes the weight types that it names, and refuses others with a message", backend_weights},
      {"backend-matmul-exact", "multiplies by weights of every type as sums in double would, within rounding",
       backend_matmul_exact, 60},
      {"backend-matmul-fast", "errs no more on a fast queue than activations of 8 bits explain", backend_matmul_fast,
       60},
      {"backend-embed", "looks up rows of every type as the file has them", backend_embed},
      {"backend-rmsnorm", "normalises rows as in double, in place too", backend_rmsnorm},
      {"backend-silu", "computes silu(gate) * up as in double", backend_silu},
      {"backend-add", "adds rows and biases, and gathers rows, without rounding twice", backend_add},
      {"backend-rope", "turns neighbouring pairs by position and frequency, also after either changed", backend_rope},
      {"backend-batch", "gives a row the same bits in any batch", backend_batch, 30},
      {"backend-threads", "multiplies to the same bits on any number of threads", backend_threads, 30},
      {"backend-queues", "keeps two queues apart, each with its precision", backend_queues},
      {"backend-kv-store", "stores rows as the nearest half floats at the places it is told", backend_kv_store},
      {"backend-attention", "attends as in double for any head size, group and order of slots", backend_attention, 60},
      {"backend-verbs", "attends by its three verbs as by one", backend_verbs, 30},
      {"backend-evicted", "does not see free slots, nor anything where all are free", backend_evicted},
      {"backend-sequences", "gives a sequence the same bits as a prompt or row by row, batched, alone or forked",
       backend_sequences, 60},
      {"backend-attention-threads", "attends to the same bits on any number of threads", backend_attention_threads, 30},
      {"backend-signal-sum", "gathers a SUM that adds up to query heads times queries", backend_signal_sum},
      {"backend-signal", "gathers SUM and PEAK as policy.h defines them, with sinks and self left out", backend_signal},
      {"backend-replay", "runs a recorded step again on what lies behind its addresses", backend_replay},
  };
  return kChecks;
}

}  // namespace sluice::check
