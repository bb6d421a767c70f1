// What parse.cpp shares with show.cpp: a merged table made into a Config.
#pragma once

#include "core/config/expand.h"

namespace sluice {

// Mistakes are added; the result is then not to be used.
Config parse_table(const Table& table, const std::string& name, const std::filesystem::path& file,
                   const Registry* registry, Mistakes& mistakes);

// The [codec] that serves one side: [codec] with [codec.key] or [codec.value] on top. Empty if there is none.
std::optional<Node> side_codec(const Node& codec, std::string_view side);
// What a [layers.codec] or [layers.evictor] means: the pipeline's table with the layers' on top.
Node layered(const Node* pipeline, const Node& layers);

}  // namespace sluice
