// See records.h.
#include "core/store/records.h"

#include "core/base/sha256.h"

namespace sluice {

std::string RunRecord::key() const {
  Sha256 sum;
  sum.add_field(policy).add_field(task).add_field(task_version).add_field(protocol);
  for (const auto& [name, value] : identity) sum.add_field(name).add_field(value);
  return sum.hex();
}

std::string SampleRecord::prompt_key() const {
  return Sha256().add_field(prompt).add_field(arguments).add_field(target).hex();
}

}  // namespace sluice
