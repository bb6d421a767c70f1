# The kit as third parties get it: installed, its templates built and tested as they are copied, the documentation's
# code really run, and the headers under nvcc where there is one.
add_executable(write_tiny_model support/write_tiny_model.cpp support/tiny_model.cpp)
target_include_directories(write_tiny_model PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(write_tiny_model PRIVATE sluice_model sluice_quant)
target_compile_options(write_tiny_model PRIVATE ${test_optimization})

set(sdk_tools -D BUILD=${PROJECT_BINARY_DIR} -D CONFIG=$<CONFIG> -D SOURCE=${PROJECT_SOURCE_DIR}
    -D C_COMPILER=${CMAKE_C_COMPILER} -D CXX_COMPILER=${CMAKE_CXX_COMPILER} -D GENERATOR=${CMAKE_GENERATOR}
    -D TINY_MODEL=$<TARGET_FILE:write_tiny_model>)
add_test(NAME install COMMAND ${CMAKE_COMMAND} ${sdk_tools} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/install
         -P ${CMAKE_CURRENT_SOURCE_DIR}/install_check.cmake)
add_test(NAME documented_policies COMMAND ${CMAKE_COMMAND} ${sdk_tools} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/documented
         -P ${CMAKE_CURRENT_SOURCE_DIR}/docs_check.cmake)
set_tests_properties(install documented_policies PROPERTIES LABELS checks TIMEOUT 300)

# Libraries that take a program down, plugins of other ages than the host's, and one that talks oddly of itself.
function(sdk_fixtures group)
  unset(SLUICE_PLUGIN_OUTPUT)  # not to be installed
  foreach(name ${ARGN})
    sluice_add_plugin(${group}_${name} ${CMAKE_CURRENT_SOURCE_DIR}/bad_plugins/${group}/${name}.c)
    set_target_properties(${group}_${name} PROPERTIES OUTPUT_NAME ${name}
                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${group}_plugins)
    foreach(tests plugins_tests cli_tests)
      add_dependencies(${tests} ${group}_${name})
    endforeach()
  endforeach()
  string(TOUPPER ${group} upper)
  foreach(tests plugins_tests cli_tests)
    target_compile_definitions(${tests} PRIVATE SLUICE_${upper}_PLUGINS="${CMAKE_CURRENT_BINARY_DIR}/${group}_plugins")
  endforeach()
endfunction()
sdk_fixtures(deadly crash_in_constructor crash_in_entry exit_in_constructor hang_in_entry wild_names crash_at_exit)
sdk_fixtures(hung hang_in_select falls)
sdk_fixtures(odd odd_texts)
sdk_fixtures(skew older same newer both next)

find_program(nvcc nvcc HINTS /usr/local/cuda/bin)
if(nvcc)
  add_test(NAME headers_nvcc
           COMMAND ${nvcc} -x cu -std=c++17 -Werror all-warnings -I ${PROJECT_SOURCE_DIR}/plugins -c
                   -o ${CMAKE_CURRENT_BINARY_DIR}/headers_nvcc.o ${CMAKE_CURRENT_SOURCE_DIR}/abi_cxx_test.cc)
else()
  add_test(NAME headers_nvcc COMMAND ${CMAKE_COMMAND} -E echo "skipped: there is no nvcc on this machine")
endif()
set_tests_properties(headers_nvcc PROPERTIES LABELS checks SKIP_REGULAR_EXPRESSION "skipped: ")
