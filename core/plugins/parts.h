// The service behind sluice.host.modules/1: instances that a module makes to be its parts. Who owns them and what
// becomes of their messages, bytes and counters is host.h's business.
#pragma once

#include "sluice/extensions.h"

namespace sluice {

// The table that host->extension(host, SLUICE_HOST_MODULES) gives.
const sluice_host_modules& host_modules();

}  // namespace sluice
