# Evaluation tasks: the library's tests, and the script that fetches test sets, against a server of the test's own.
sluice_tests(tasks LABEL unit LIBS sluice_tasks)

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME get_data
           COMMAND ${CMAKE_COMMAND} -DWORK=${CMAKE_CURRENT_BINARY_DIR}/get_data -DPYTHON=${Python3_EXECUTABLE}
                   -DSOURCE=${PROJECT_SOURCE_DIR} -P ${CMAKE_CURRENT_SOURCE_DIR}/get_data_check.cmake)
else()
  add_test(NAME get_data COMMAND ${CMAKE_COMMAND} -E echo "skipped: get_data.sh needs Python")
endif()
set_tests_properties(get_data PROPERTIES LABELS unit TIMEOUT 300 SKIP_REGULAR_EXPRESSION "skipped: ")
