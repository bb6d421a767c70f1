// What the host believes of a module's sizes, and what an evictor says of itself: see policy.h.
#include "core/cache/policy.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/plugins/interfaces.h"

namespace sluice {
uint64_t sane_bytes(const Instance& module, std::string_view verb, uint64_t bytes) {
  if (bytes > kMostBytes)
    throw Error(
        fmt::format("{}, {}: asks for {} bytes; more than {} is a mistake", module.who(), verb, bytes, kMostBytes),
        kExitFailed);
  return bytes;
}

void check_written(const Instance& codec, std::string_view verb, uint64_t bytes, uint64_t room) {
  if (bytes > room)
    throw Error(fmt::format("{}, {}: says it wrote {} bytes where it had {}", codec.who(), verb, bytes, room),
                kExitFailed);
}

void check_account(const Instance& codec, const sluice_account& a, uint64_t bytes) {
  uint64_t left = bytes;
  bool fits = true;
  for (const uint64_t part :
       {a.codes, a.scales, a.low_rank, a.outlier_values, a.outlier_indices, a.row_pointers, a.index, a.padding}) {
    fits = fits && part <= left;
    left -= fits ? part : 0;
  }
  if (fits && left == 0) return;
  throw Error(fmt::format("{}, account: its kinds add up to {} of a block's {} bytes", codec.who(),
                          fits ? fmt::to_string(bytes - left) : "more than all", bytes),
              kExitFailed);
}

void set_evictor(LayerPolicy& layer, const Instance& evictor) {
  layer.evictor = &evictor;
  for (uint32_t prompt : {0u, 1u})
    evictor.call("signal", evictor.table<sluice_evictor>().signal, prompt, &layer.signal[prompt]);
  const sluice_module& module = evictor.module();
  layer.rows = static_cast<const sluice_evictor_rows*>(find_extension(module, SLUICE_EVICTOR_ROWS).table);
  layer.window = static_cast<const sluice_evictor_window*>(find_extension(module, SLUICE_EVICTOR_WINDOW).table);
  layer.budget = static_cast<const sluice_evictor_budget*>(find_extension(module, SLUICE_EVICTOR_BUDGET).table);
  if (!layer.window) return;
  layer.window_size = evictor.call("window.size", layer.window->size);
  if (layer.window_size == 0 || layer.window_size > SLUICE_WINDOW_MOST)
    throw Error(fmt::format("{}, window.size: wants the last {} queries of a prompt; it may be 1 to {}", evictor.who(),
                            layer.window_size, SLUICE_WINDOW_MOST),
                kExitFailed);
}

}  // namespace sluice
