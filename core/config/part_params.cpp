// See config.h: parameters that a module gives to another one, which it makes its part, checked as those of a file.
#include <fmt/format.h>

#include "core/base/text.h"
#include "core/config/params.h"
#include "core/config/tree.h"
#include "core/plugins/interfaces.h"

namespace sluice {

void read_part_params(const sluice_module& module, std::string_view text,
                      const std::function<void(std::span<const sluice_value>)>& use) {
  Mistakes mistakes;
  const std::string_view noun = interface_noun(module.interface_id);
  ModuleChoice choice{module.name, {fmt::format("parameters of {} {}", noun, module.name)}, {}};
  const Table table = read_pairs(text, choice.place.text, mistakes);
  for (const Table::Entry& entry : table.entries) {
    if (entry.node.scalar())
      choice.params[entry.key] = {entry.node.as_scalar(), entry.node.place, entry.key_place};
    else
      mistakes.add(choice.place,
                   fmt::format("[{}] {} takes a single value, not {}", noun, printable(entry.key), found(entry.node)));
  }
  mistakes.raise();
  const std::vector<sluice_value> values = check_params(module, choice, noun, mistakes);
  mistakes.raise();
  use(values);
}

}  // namespace sluice
