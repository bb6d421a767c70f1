// What this processor is and can do.
#pragma once

namespace sluice::cpu {

const char* processor_name();      // as it calls itself
const char* processor_features();  // those that kernels are chosen by, for messages

}  // namespace sluice::cpu
