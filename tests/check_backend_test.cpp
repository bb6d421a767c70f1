// The checks of backends checked: the cpu backend with one function spoiled fails exactly the check which is about it.
#include <set>
#include <utility>

#include "tests/backend_fixture.h"
#include "tests/support/check_runner.h"

namespace sluice::testing {
namespace {

const sluice_backend* cpu;  // the table that is spoiled
sluice_queue* exact_queue;  // of the backend created last
sluice_queue* used_queue;   // by the last product

sluice_status note_queue(void* self, uint32_t exact, sluice_queue** queue) {
  const sluice_status status = cpu->queue_create(self, exact, queue);
  if (exact) exact_queue = *queue;
  return status;
}

void scale(const sluice_mat* m, float factor) {
  for (size_t i = 0; i < size_t(m->rows) * m->cols; i++) m->data[i] *= factor;
}
// One unit in the last place: within every tolerance, and other bits.
void nudge(const sluice_mat* m) { m->data[0] = std::nextafter(m->data[0], 1e30f); }

struct BadBackend {
  const char* name;
  const char* check;
  const char* says;  // part of the sentence
  void (*spoil)(sluice_backend& table);
};
const BadBackend kBadBackends[] = {
    {"nothing_spoiled", nullptr, "", [](sluice_backend&) {}},
    {"nameless", "backend-create", "leaves name or kernels empty",
     [](sluice_backend& table) {
       table.device = [](void* self, sluice_device* device) {
         const sluice_status status = cpu->device(self, device);
         device->kernels[0] = 0;
         return status;
       };
     }},
    {"dirty_buffers", "backend-buffers", "memory that is not zero",
     [](sluice_backend& table) {
       table.buffer_create = [](void* self, uint32_t use, uint64_t bytes, void** address) {
         const sluice_status status = cpu->buffer_create(self, use, bytes, address);
         if (use == SLUICE_USE_ACTIVATIONS) *static_cast<char*>(*address) = 1;
         return status;
       };
     }},
    {"fills_nothing", "backend-buffers", "where write() and fill() left 9",
     [](sluice_backend& table) {
       table.fill = [](void*, sluice_queue*, void*, uint8_t, uint64_t) { return sluice_status(SLUICE_OK); };
     }},
    {"keeps_ranges", "backend-cache", "given back with memory that is not zero",
     [](sluice_backend& table) {
       table.commit = [](void* self, void* address, uint64_t bytes, int32_t keep) {
         return keep ? cpu->commit(self, address, bytes, keep) : sluice_status(SLUICE_OK);
       };
     }},
    {"keeps_buffers", "backend-freed", "buffer_create() and buffer_destroy()",
     [](sluice_backend& table) { table.buffer_destroy = [](void*, void*) {}; }},
    {"takes_any_type", "backend-weights", "which GGUF does not have",
     [](sluice_backend& table) {
       table.weight_type = [](void* self, uint32_t type) { return type > 1000 ? 1 : cpu->weight_type(self, type); };
     }},
    {"inexact", "backend-matmul-exact", "on an exact queue",
     [](sluice_backend& table) {
       table.matmul = [](void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                         const sluice_mat* out) {
         const sluice_status status = cpu->matmul(self, queue, x, w, out);
         if (queue == exact_queue) scale(out, 1.001f);
         return status;
       };
     }},
    {"too_fast", "backend-matmul-fast", "on a fast queue",
     [](sluice_backend& table) {
       table.matmul = [](void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                         const sluice_mat* out) {
         const sluice_status status = cpu->matmul(self, queue, x, w, out);
         if (queue != exact_queue) scale(out, 1.1f);
         return status;
       };
     }},
    {"batch_dependent", "backend-batch", "other bits in a batch of 3",
     [](sluice_backend& table) {
       table.matmul = [](void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                         const sluice_mat* out) {
         const sluice_status status = cpu->matmul(self, queue, x, w, out);
         if (x->rows == 3) nudge(out);
         return status;
       };
     }},
    {"queues_meet", "backend-queues", "while the exact one is in use",
     [](sluice_backend& table) {
       table.matmul = [](void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* w,
                         const sluice_mat* out) {
         const sluice_status status = cpu->matmul(self, queue, x, w, out);
         if (x->rows == 3 && x->cols == 256 && std::exchange(used_queue, queue) != queue) nudge(out);
         return status;
       };
     }},
    {"embeds_nearly", "backend-embed", "is not what the file says",
     [](sluice_backend& table) {
       table.embed = [](void* self, sluice_queue* queue, const sluice_weight* w, const uint32_t* tokens,
                        const sluice_mat* out) {
         const sluice_status status = cpu->embed(self, queue, w, tokens, out);
         nudge(out);
         return status;
       };
     }},
    {"other_epsilon", "backend-rmsnorm", "rmsnorm(), row",
     [](sluice_backend& table) {
       table.rmsnorm = [](void* self, sluice_queue* queue, const sluice_mat* x, const sluice_weight* gain,
                          float epsilon,
                          const sluice_mat* out) { return cpu->rmsnorm(self, queue, x, gain, 10 * epsilon, out); };
     }},
    {"gate_is_up", "backend-silu", "silu_mul() of",
     [](sluice_backend& table) {
       table.silu_mul = [](void* self, sluice_queue* queue, const sluice_mat* gate, const sluice_mat* up,
                           const sluice_mat* out) { return cpu->silu_mul(self, queue, up, gate, out); };
     }},
    {"forgets_bias", "backend-add", "add() of a bias",
     [](sluice_backend& table) {
       table.add = [](void* self, sluice_queue* queue, const sluice_mat* a, const sluice_mat* b,
                      const sluice_mat* out) {
         const sluice_status status = cpu->add(self, queue, a, b, out);
         if (b->rows == 1 && a->rows > 1) out->data[size_t(a->rows - 1) * a->cols] = 0;
         return status;
       };
     }},
    {"keeps_frequency", "backend-rope", "after a frequency changed",
     [](sluice_backend& table) {
       table.rope = [](void* self, sluice_queue* queue, const sluice_mat* x, const uint32_t* positions,
                       const float* frequency, uint32_t head_dim) {
         static Floats first;
         if (first.empty()) first.assign(frequency, frequency + head_dim / 2);
         return cpu->rope(self, queue, x, positions, first.data(), head_dim);
       };
     }},
    {"loses_signs", "backend-kv-store", "the nearest half is 0x8000",
     [](sluice_backend& table) {
       table.kv_store = [](void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* k,
                           const sluice_mat* v, const uint32_t* positions, const sluice_store* places) {
         for (size_t i = 0; i < size_t(k->rows) * k->cols; i++)
           if (k->data[i] == 0) k->data[i] = 0;  // -0 becomes 0
         return cpu->kv_store(self, queue, group, k, v, positions, places);
       };
     }},
    {"eight_heads", "backend-attention", "8 query heads on a lane",
     [](sluice_backend& table) {
       table.attention = [](void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                            const uint32_t* positions, const sluice_signal* wanted, float* signal,
                            const sluice_mat* out) {
         const sluice_status status = cpu->attention(self, queue, group, q, positions, wanted, signal, out);
         if (group->heads / group->kv_heads == 8) scale(out, 1.001f);
         return status;
       };
     }},
    {"verbs_differ", "backend-verbs", "attn_mix()",
     [](sluice_backend& table) {
       table.attn_mix = [](void* self, sluice_queue* queue, const sluice_group* group, uint32_t first, uint32_t lanes,
                           const float* scores, const sluice_mat* out) {
         const sluice_status status = cpu->attn_mix(self, queue, group, first, lanes, scores, out);
         if (group->head_dim == 64) scale(out, 1.001f);
         return status;
       };
     }},
    {"sees_something", "backend-evicted", "sees no slot gives 5",
     [](sluice_backend& table) {
       table.attention = [](void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                            const uint32_t* positions, const sluice_signal* wanted, float* signal,
                            const sluice_mat* out) {
         const sluice_status status = cpu->attention(self, queue, group, q, positions, wanted, signal, out);
         if (out->data[0] == 0) out->data[0] = 5;
         return status;
       };
     }},
    {"chunks_differ", "backend-sequences", "in chunks of seven",
     [](sluice_backend& table) {
       table.attention = [](void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                            const uint32_t* positions, const sluice_signal* wanted, float* signal,
                            const sluice_mat* out) {
         const sluice_status status = cpu->attention(self, queue, group, q, positions, wanted, signal, out);
         if (q->rows == 7) nudge(out);
         return status;
       };
     }},
    {"sums_twice", "backend-signal-sum", "gathers a SUM of",
     [](sluice_backend& table) {
       table.attention = [](void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                            const uint32_t* positions, const sluice_signal* wanted, float* signal,
                            const sluice_mat* out) {
         const sluice_status status = cpu->attention(self, queue, group, q, positions, wanted, signal, out);
         if (group->head_dim == 32 && group->spans[0].slots && wanted && wanted->kind == SLUICE_SUM &&
             wanted->skip_first == 0)
           signal[group->spans[0].slots[0]] *= 2;
         return status;
       };
     }},
    {"counts_a_sink", "backend-signal", "by definition it is 0",
     [](sluice_backend& table) {
       table.attention = [](void* self, sluice_queue* queue, const sluice_group* group, const sluice_mat* q,
                            const uint32_t* positions, const sluice_signal* wanted, float* signal,
                            const sluice_mat* out) {
         sluice_signal less = wanted ? *wanted : sluice_signal{};
         if (less.kind == SLUICE_SUM && less.skip_first == 2) less.skip_first = 1;
         return cpu->attention(self, queue, group, q, positions, &less, signal, out);
       };
     }},
};

void PrintTo(const BadBackend& bad, std::ostream* out) { *out << bad.name; }

class BackendCheck : public ::testing::TestWithParam<BadBackend> {};
INSTANTIATE_TEST_SUITE_P(Bad, BackendCheck, ::testing::ValuesIn(kBadBackends),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(BackendCheck, FailsExactlyWhatItBreaks) {
  CpuPlugins plugins(1);
  cpu = static_cast<const sluice_backend*>(plugins.module().table);
  sluice_backend table = *cpu;
  table.queue_create = note_queue;
  GetParam().spoil(table);
  sluice_module module = plugins.module();
  module.table = &table;
  const Options options;
  const check::Subject subject{{}, &module, &plugins.registry, cpu_values(plugins.module(), options), 1};
  std::set<std::string> failed, expected;
  if (GetParam().check) expected = {GetParam().check};
  for (const check::Check& each : check::backend_checks()) {
    const Finding found = run_check(each, subject);
    if (!found.bad()) continue;
    failed.emplace(each.name);
    EXPECT_NE(found.why.find(GetParam().says), std::string::npos) << each.name << ": " << found.why;
  }
  EXPECT_EQ(failed, expected);
}

TEST(BackendCheckList, EveryCheckThatCanFailIsFailedByABackend) {
  // The cpu's own threads do not show; it records no steps.
  std::set<std::string> broken = {"backend-threads", "backend-attention-threads", "backend-replay"};
  for (const BadBackend& bad : kBadBackends)
    if (bad.check) broken.emplace(bad.check);
  for (const check::Check& each : check::backend_checks()) {
    EXPECT_FALSE(each.promise.empty()) << each.name;
    EXPECT_TRUE(broken.count(std::string(each.name))) << each.name;
  }
}

}  // namespace
}  // namespace sluice::testing
