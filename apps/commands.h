// The commands' entry points, for the table in sluice.cpp.
#pragma once

#include <span>
#include <string>

namespace sluice {

int run_bench(std::span<const std::string> args);
int run_compare(std::span<const std::string> args);
int run_config(std::span<const std::string> args);
int run_diff(std::span<const std::string> args);
int run_eval(std::span<const std::string> args);
int run_inspect(std::span<const std::string> args);
int run_plugin(std::span<const std::string> args);
int run_plugin_check(std::span<const std::string> args);  // `sluice plugin check`
int run_plugin_trace(std::span<const std::string> args);  // `sluice plugin trace`
int run_plugin_try(std::span<const std::string> args);    // `sluice plugin try`
int run_ppl(std::span<const std::string> args);
int run_quantize(std::span<const std::string> args);
int run_run(std::span<const std::string> args);
int run_synth(std::span<const std::string> args);

}  // namespace sluice
