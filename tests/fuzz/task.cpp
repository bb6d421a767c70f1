// A task file and, behind the line "---", the data that it names: TOML, templates, expressions, JSON Lines, JSON, CSV
// and pages of WikiText. Loading puts them together: every prompt is built. See targets.h.
#include "core/tasks/task.h"

#include "fuzz/targets.h"
#include "support/scratch_folder.h"

namespace sluice::fuzz {

std::string task(std::string_view bytes) {
  static const testing::ScratchFolder folder;
  const Halves parts = halves(bytes);
  testing::put_bytes(folder / "x.toml", parts.first);
  testing::put_bytes(folder / "x.data", parts.second);
  TaskOptions options;
  options.data = folder.path();
  options.limit = 8;
  return refusal([&] { load_task((folder / "x.toml").string(), options); });
}

}  // namespace sluice::fuzz
