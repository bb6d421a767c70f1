// The style sheet and the script of the comparison page, built in from assets/ by CMake.
#pragma once

#include <string_view>

namespace sluice {

extern const std::string_view kReportCss;
extern const std::string_view kReportJs;

}  // namespace sluice
