# What tests of traces and of the mutator need: plugins that keep every promise and choose otherwise, and Python.
set(trace_plugins ${CMAKE_CURRENT_BINARY_DIR}/trace_plugins)
if(TARGET check_tests)
  foreach(name other_choice other_codes)
    block()
      unset(SLUICE_PLUGIN_OUTPUT)  # not to be installed
      sluice_add_plugin(test_${name} ${CMAKE_CURRENT_SOURCE_DIR}/bad_plugins/trace/${name}.c)
    endblock()
    set_target_properties(test_${name} PROPERTIES OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${trace_plugins})
    target_link_libraries(test_${name} PRIVATE m)
    add_dependencies(check_tests test_${name})
  endforeach()
  target_compile_definitions(check_tests PRIVATE SLUICE_TRACE_PLUGINS="${trace_plugins}")
endif()

find_package(Python3 3.8 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME mutant_sites COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/mutants/sites_test.py)
  set_tests_properties(mutant_sites PROPERTIES LABELS unit TIMEOUT 60)
  # The sample of docs/mutants.md is larger and held to 90 %; this one says that script and checker still do their work.
  add_test(NAME mutants COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/scripts/mutants.py --count 24 --least 75
           --build ${PROJECT_BINARY_DIR} --work ${CMAKE_CURRENT_BINARY_DIR}/mutants --cc ${CMAKE_C_COMPILER}
           --cxx ${CMAKE_CXX_COMPILER})
  set_tests_properties(mutants PROPERTIES LABELS long TIMEOUT 3600)
endif()
