# The CUDA backend on the emulated GPU: all of its host code and every kernel, without a driver. Built where the plugin
# itself is.
get_property(sources GLOBAL PROPERTY sluice_cuda_emulated)
if(NOT sources)
  return()
endif()
# Tests look into the emulated GPU, so it is part of their program; the program `sluice` loads it as a plugin.
set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "-O2;-fno-strict-aliasing")
sluice_tests(cuda LABEL "cuda" LIBS sluice_run sluice_check SOURCES ${sources} support/tiny_model.cpp)
target_link_libraries(cuda_tests PRIVATE Sluice::plugin)
block()
  unset(SLUICE_PLUGIN_OUTPUT)
  sluice_add_plugin(cuda_emulated ${sources})
endblock()
target_include_directories(cuda_emulated PRIVATE ${PROJECT_SOURCE_DIR})
set_target_properties(cuda_emulated PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/emulated)
