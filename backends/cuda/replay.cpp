// Steps that are recorded once and run again: what is asked of a queue between begin() and end() becomes one graph,
// which the device runs without the host's help.
#include "backends/cuda/cuda.h"

namespace sluice::cuda {
namespace {

sluice_status begin(void* self, sluice_queue* queue) {
  const Backend& backend = backend_of(self);
  if (queue->recording) return fail(backend, SLUICE_INVALID, "begin: the queue records already");
  const sluice_status status = answer(backend, backend.gpu->record(queue->stream), "begin");
  queue->recording = status == SLUICE_OK;
  return status;
}

sluice_status end(void* self, sluice_queue* queue, void** step) {
  const Backend& backend = backend_of(self);
  if (!queue->recording) return fail(backend, SLUICE_INVALID, "end: the queue does not record");
  queue->recording = false;
  return answer(backend, backend.gpu->recorded(queue->stream, step), "end");
}

sluice_status run(void* self, sluice_queue* queue, void* step) {
  const Backend& backend = backend_of(self);
  if (queue->recording) return fail(backend, SLUICE_INVALID, "run: the queue is recording");
  return answer(backend, backend.gpu->replay(step, queue->stream), "run");
}

void destroy(void* self, void* step) { backend_of(self).gpu->forget(step); }

}  // namespace

constexpr sluice_backend_replay kReplay = {SLUICE_BACKEND_REPLAY_LAYOUT, 0, begin, end, run, destroy};

}  // namespace sluice::cuda
