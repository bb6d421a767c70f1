# The built plugin on a machine without an NVIDIA driver: it loads, is listed with the reason, and is checked as far as it
# can be. Called by ctest (cuda.cmake).
include(${CMAKE_CURRENT_LIST_DIR}/script_tools.cmake)

run("sluice plugin list" ${SLUICE} plugin list)
if(output MATCHES "(^|\n)cuda +sluice.backend")
  message(STATUS "skipped: this machine has a GPU that the plugin can use")
  return()
endif()
expect("sluice plugin list" "${output}" "\nunavailable:\n")
if(NOT output MATCHES "\ncuda +[^\n]*cuda.sluice.so: ([^\n]+; [^\n]+)\n")
  message(FATAL_ERROR "cuda is not listed with cause and remedy:\n${output}")
endif()
set(reason "${CMAKE_MATCH_1}")

run("what can be checked" ${SLUICE} plugin check ${PLUGIN} --only-failed)
execute_process(COMMAND ${SLUICE} plugin check ${PLUGIN} OUTPUT_VARIABLE output ERROR_QUIET)
string(FIND "${output}" "${reason}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "checks of the plugin should be skipped because of \"${reason}\":\n${output}")
endif()

run("a model" ${SLUICE} synth --shape smollm2-135m --layers 1 --type Q4_0 ${WORK}/model.gguf)
fails("a run" 2 "backend cuda" ${SLUICE} run -m ${WORK}/model.gguf --text some -n 1 --set backend.name=cuda)
run("a run on the cpu" ${SLUICE} run -m ${WORK}/model.gguf --text some -n 1)
message(STATUS "${reason}")
