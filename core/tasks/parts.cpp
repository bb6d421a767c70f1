// See parts.h.
#include "core/tasks/parts.h"

#include "core/base/text.h"

namespace sluice {

std::string part_name(const nlohmann::ordered_json& record, const std::vector<std::string>& fields) {
  std::vector<std::string> values;
  for (const std::string& field : fields) {
    const auto found = record.is_object() ? record.find(field) : record.end();
    if (found == record.end()) return "";
    values.push_back(field + "=" + (found->is_string() ? found->get<std::string>() : found->dump()));
  }
  return join(values);
}

}  // namespace sluice
