# The kit as third parties get it: installed, its templates built and tested as they are copied, the documentation's
# code really run, and the headers under nvcc where there is one.
add_executable(write_tiny_model support/write_tiny_model.cpp support/tiny_model.cpp)
target_include_directories(write_tiny_model PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(write_tiny_model PRIVATE sluice_model)
target_compile_options(write_tiny_model PRIVATE ${test_optimization})

set(sdk_tools -D BUILD=${PROJECT_BINARY_DIR} -D CONFIG=$<CONFIG> -D SOURCE=${PROJECT_SOURCE_DIR}
    -D C_COMPILER=${CMAKE_C_COMPILER} -D CXX_COMPILER=${CMAKE_CXX_COMPILER} -D GENERATOR=${CMAKE_GENERATOR}
    -D TINY_MODEL=$<TARGET_FILE:write_tiny_model>)
add_test(NAME install COMMAND ${CMAKE_COMMAND} ${sdk_tools} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/install
         -P ${CMAKE_CURRENT_SOURCE_DIR}/install_check.cmake)
add_test(NAME documented_policies COMMAND ${CMAKE_COMMAND} ${sdk_tools} -D WORK=${CMAKE_CURRENT_BINARY_DIR}/documented
         -P ${CMAKE_CURRENT_SOURCE_DIR}/docs_check.cmake)
set_tests_properties(install documented_policies PROPERTIES LABELS unit TIMEOUT 300)

find_program(nvcc nvcc HINTS /usr/local/cuda/bin)
if(nvcc)
  add_test(NAME headers_nvcc
           COMMAND ${nvcc} -x cu -std=c++17 -Werror all-warnings -I ${PROJECT_SOURCE_DIR}/plugins -c
                   -o ${CMAKE_CURRENT_BINARY_DIR}/headers_nvcc.o ${CMAKE_CURRENT_SOURCE_DIR}/abi_cxx_test.cc)
else()
  add_test(NAME headers_nvcc COMMAND ${CMAKE_COMMAND} -E echo "skipped: there is no nvcc on this machine")
endif()
set_tests_properties(headers_nvcc PROPERTIES LABELS unit SKIP_REGULAR_EXPRESSION "skipped: ")
