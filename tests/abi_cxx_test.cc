// All headers of the SDK in one C++ file, compiled as C++11, C++17 and C++20 without a warning.
#include "sluice/attention.h"
#include "sluice/backend.h"
#include "sluice/extensions.h"
#include "sluice/gguf_types.h"
#include "sluice/kernels.h"
#include "sluice/order.h"
#include "sluice/part.h"
#include "sluice/plugin.h"
#include "sluice/policy.h"

static_assert(sizeof(sluice_value) == 8, "a value is eight bytes");
static_assert(sizeof(sluice_status) == 4, "a status is four bytes");
