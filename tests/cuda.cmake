# The CUDA backend: its host code and every kernel on the emulated GPU, on any machine, and where the plugin was built what
# a machine with a toolkit and no driver can say of it.
if(NOT SLUICE_SANITIZE)  # sanitizers do not follow the fibers that are its threads
  get_property(sources GLOBAL PROPERTY sluice_cuda_emulated)
  option(SLUICE_CUDA_COVERAGE "count the lines of kernels that the emulated GPU runs (scripts/cuda_coverage.sh)" OFF)
  set(options -O2)
  if(SLUICE_CUDA_COVERAGE)
    set(options -O1 -fno-inline --coverage)
  endif()
  # Compiled once for the tests, which look into the emulated GPU, and for the program, which loads it as a plugin.
  # Kernels read numbers where bytes stand, as they do on a GPU.
  add_library(cuda_emulation OBJECT ${sources})
  target_compile_options(cuda_emulation PRIVATE ${options} -fno-strict-aliasing)
  target_include_directories(cuda_emulation PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(cuda_emulation PRIVATE Sluice::plugin)
  set_target_properties(cuda_emulation PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

  sluice_tests(cuda LABEL cuda LIBS sluice_run sluice_check
               SOURCES $<TARGET_OBJECTS:cuda_emulation> support/tiny_model.cpp)
  target_link_libraries(cuda_tests PRIVATE Sluice::plugin $<$<BOOL:${SLUICE_CUDA_COVERAGE}>:gcov>)
  add_dependencies(cuda_tests cpu h2o sieve recent uniform group gear cuda_emulated)
  block()
    unset(SLUICE_PLUGIN_OUTPUT)
    sluice_add_plugin(cuda_emulated $<TARGET_OBJECTS:cuda_emulation>)
  endblock()
  set(emulated ${CMAKE_CURRENT_BINARY_DIR}/emulated)
  set_target_properties(cuda_emulated PROPERTIES LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY ${emulated})
  target_link_libraries(cuda_emulated PRIVATE $<$<BOOL:${SLUICE_CUDA_COVERAGE}>:gcov>)
  target_compile_definitions(cuda_tests PRIVATE SLUICE_EMULATED="${emulated}" SLUICE_PROGRAM="$<TARGET_FILE:sluice>")
endif()

add_custom_target(cuda_checks)
if(TARGET cuda_tests)
  add_dependencies(cuda_checks cuda_tests)
endif()
if(TARGET cuda)
  add_custom_target(cuda_plugin_checks DEPENDS cuda cpu sluice)
  add_dependencies(cuda_checks cuda_plugin_checks)
  find_package(Python3 COMPONENTS Interpreter)
  if(Python3_Interpreter_FOUND)
    get_property(version GLOBAL PROPERTY sluice_cuda_version)
    add_test(NAME cuda_registers
             COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/cuda_registers.py ${SLUICE_CUDA_REPORT}
                     ${CMAKE_CURRENT_SOURCE_DIR}/data/cuda_registers.tsv ${version})
    set_tests_properties(cuda_registers PROPERTIES LABELS "cuda;cuda-plugin" SKIP_RETURN_CODE 77)
  endif()
  add_test(NAME cuda_without_driver
           COMMAND ${CMAKE_COMMAND} -DSLUICE=$<TARGET_FILE:sluice> -DPLUGIN=$<TARGET_FILE:cuda>
                   -DWORK=${CMAKE_CURRENT_BINARY_DIR}/cuda_without_driver
                   -P ${CMAKE_CURRENT_SOURCE_DIR}/cuda_without_driver.cmake)
  set_tests_properties(cuda_without_driver PROPERTIES LABELS "cuda;cuda-plugin" SKIP_REGULAR_EXPRESSION "^-- skipped")
endif()
