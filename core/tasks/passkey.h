// A number hidden in a long text, to be asked for at its end: documents made up from a seed, of chosen lengths, with
// the number at chosen depths. What a policy throws away it cannot answer.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tasks/records.h"
#include "core/tasks/task_file.h"

namespace sluice {

// Records of `text` (all before the question), `passkey`, `words`, `depth`: `count` times one for each length and
// depth, so that the first ones are of all kinds.
std::vector<Record> passkey_records(const PasskeySpec& spec, uint64_t seed);

}  // namespace sluice
