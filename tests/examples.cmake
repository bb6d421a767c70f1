# The example plugins: each against a slow reference, all of them through the contract of their kind and the checker, and
# each folder as a stranger's project against an installed kit.
get_property(example_folders DIRECTORY ${PROJECT_SOURCE_DIR}/plugins/examples PROPERTY SUBDIRECTORIES)
foreach(folder ${example_folders})
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  list(APPEND example_plugins ${targets})
endforeach()
set(example_output ${PROJECT_BINARY_DIR}/lib/sluice-examples)

sluice_tests(example LABEL unit LIBS sluice_check)
foreach(program example_tests evictor_tests codec_tests config_tests check_tests)
  if(TARGET ${program})
    target_compile_definitions(${program} PRIVATE SLUICE_EXAMPLES="${example_output}")
    add_dependencies(${program} ${example_plugins})
  endif()
endforeach()
if(TARGET example_tests)
  target_compile_definitions(example_tests PRIVATE SLUICE_TEST_PLUGINS="${CMAKE_CURRENT_BINARY_DIR}/plugins")
  add_dependencies(example_tests h2o recent random)
endif()

foreach(plugin ${example_plugins})
  add_test(NAME check_${plugin} COMMAND sluice plugin check $<TARGET_FILE:${plugin}> ${check_limit})
  set_tests_properties(check_${plugin} PROPERTIES LABELS checks TIMEOUT ${test_timeout}
                       ENVIRONMENT "SLUICE_PLUGIN_PATH=${example_output}")  # their parts are examples too
endforeach()

add_test(NAME install_examples COMMAND ${CMAKE_COMMAND} -D BUILD=${PROJECT_BINARY_DIR} -D CONFIG=$<CONFIG>
         -D WORK=${CMAKE_CURRENT_BINARY_DIR}/install_examples -D C_COMPILER=${CMAKE_C_COMPILER}
         -D CXX_COMPILER=${CMAKE_CXX_COMPILER} -D GENERATOR=${CMAKE_GENERATOR}
         -P ${CMAKE_CURRENT_SOURCE_DIR}/install_examples.cmake)
set_tests_properties(install_examples PROPERTIES LABELS checks TIMEOUT ${test_timeout})
