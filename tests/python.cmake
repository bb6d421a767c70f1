# The evictor python: its tests, which say what is missing where they are skipped, and the checker on a file in Python.
set(lacks "not built (no Python headers)")
if(TARGET python)
  get_target_property(interpreter python SLUICE_INTERPRETER)
  execute_process(COMMAND ${interpreter} -c "import numpy" RESULT_VARIABLE status ERROR_QUIET)
  set(lacks "")
  if(NOT status EQUAL 0)
    set(lacks "${interpreter} has no NumPy")
  endif()
endif()

sluice_tests(python LABEL checks LIBS sluice_run sluice_quant SOURCES support/tiny_model.cpp)
target_compile_definitions(python_tests PRIVATE SLUICE_PYTHON_LACKS="${lacks}" SLUICE_PROGRAM="$<TARGET_FILE:sluice>")
add_dependencies(python_tests sluice ${built_plugins})

# All checks but the one that Python cannot pass: it takes memory in every call.
if(lacks)
  add_test(NAME check_python_h2o COMMAND ${CMAKE_COMMAND} -E echo "skipped: python evictor: ${lacks}")
else()
  add_test(NAME check_python_h2o COMMAND sluice plugin check $<TARGET_FILE:python>
           --set file=${PROJECT_SOURCE_DIR}/configs/python/h2o.py --include "^(?!evictor-allocations)")
endif()
set_tests_properties(check_python_h2o PROPERTIES LABELS checks TIMEOUT 300 SKIP_REGULAR_EXPRESSION "skipped: ")
