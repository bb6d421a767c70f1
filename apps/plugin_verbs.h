// What `sluice plugin` does that is long enough for a file of its own; plugin.cpp has the rest.
#pragma once

#include "apps/options.h"

namespace sluice {

// new NAME: a folder with a policy to edit, made from the installed templates.
int new_plugin(const Words& words);

}  // namespace sluice
