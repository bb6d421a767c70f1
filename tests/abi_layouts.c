/* All headers of the SDK in one C file, compiled as C99, C11 and C17 without a warning; and the layout numbers as
 * a C compiler sees them, for abi_test.cpp to compare with C++'s. */
#include "sluice/attention.h"
#include "sluice/backend.h"
#include "sluice/extensions.h"
#include "sluice/gguf_types.h"
#include "sluice/kernels.h"
#include "sluice/order.h"
#include "sluice/part.h"
#include "sluice/plugin.h"
#include "sluice/policy.h"

const uint32_t* abi_layouts_of_c(void);

const uint32_t* abi_layouts_of_c(void) {
  static uint32_t layouts[12]; /* as many as there are tables, and a zero behind them */
  layouts[0] = SLUICE_HOST_STATS_LAYOUT;
  layouts[1] = SLUICE_EVICTOR_LAYOUT;
  layouts[2] = SLUICE_CODEC_LAYOUT;
  layouts[3] = SLUICE_CODEC_CUDA_LAYOUT;
  layouts[4] = SLUICE_BACKEND_LAYOUT;
  layouts[5] = SLUICE_BACKEND_REPLAY_LAYOUT;
  layouts[6] = SLUICE_BACKEND_PRESENCE_LAYOUT;
  layouts[7] = SLUICE_EVICTOR_ROWS_LAYOUT;
  layouts[8] = SLUICE_EVICTOR_WINDOW_LAYOUT;
  layouts[9] = SLUICE_EVICTOR_BUDGET_LAYOUT;
  layouts[10] = SLUICE_HOST_MODULES_LAYOUT;
  return layouts;
}
