// The comparison page: one file without any reference outside itself, readable from file://, on paper, without
// scripts, in light and dark. Figures stand in data-* attributes exactly as to_json() writes them.
#pragma once

#include <string>

#include "core/report/result.h"

namespace sluice {

std::string html_report(const Comparison& comparison);

}  // namespace sluice
