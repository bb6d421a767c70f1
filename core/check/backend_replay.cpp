// Check of recorded steps, for backends that offer them: a step that is run again computes what the same calls would.
#include "core/check/backend_checks.h"
#include "core/plugins/interfaces.h"
#include "sluice/gguf_types.h"

namespace sluice::check {

void backend_replay(const Subject& subject) {
  constexpr uint32_t kWidth = 64;
  const Extension extension = find_extension(*subject.module, SLUICE_BACKEND_REPLAY);
  if (!extension.reason.empty()) fail(extension.reason);
  if (!extension.table) skip("it offers no " SLUICE_BACKEND_REPLAY);
  const auto& replay = *static_cast<const sluice_backend_replay*>(extension.table);
  BackendProbe backend(subject);
  const Weight w(backend, SLUICE_GGUF_F32, kWidth, kWidth, subject.seed);
  const sluice_mat in = backend.put(random_mat(3, kWidth, subject.seed)), product = backend.room(3, kWidth),
                   out = backend.room(3, kWidth);
  const auto calls = [&] {
    backend.check(backend.table->matmul(backend.self, backend.exact, &in, w.weight, &product), "matmul");
    backend.check(backend.table->add(backend.self, backend.exact, &product, &in, &out), "add");
  };
  void* recorded = nullptr;
  backend.check(replay.begin(backend.self, backend.exact), "begin");
  calls();
  backend.check(replay.end(backend.self, backend.exact, &recorded), "end");
  for (uint64_t round = 1; round <= 3; round++) {
    const Mat x = random_mat(3, kWidth, subject.seed + round);
    backend.upload(in.data, x.data.data(), x.data.size() * sizeof(float));
    backend.check(replay.run(backend.self, backend.exact, recorded), "run");
    const Mat replayed = backend.get(out);
    calls();
    expect(replayed.data == backend.get(out).data, "run() of a recorded step gives other numbers than the calls do");
  }
  replay.destroy(backend.self, recorded);
}

}  // namespace sluice::check
