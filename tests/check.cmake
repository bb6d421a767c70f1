# What tests of the checker need: the liars of bad_plugins/check, the program, and a check of every plugin of the tree.
set(liars ${CMAKE_CURRENT_BINARY_DIR}/liars)
file(GLOB liar_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bad_plugins/check/*.c)
foreach(source ${liar_sources})
  get_filename_component(name ${source} NAME_WE)
  if(name STREQUAL leaked_symbol)
    add_library(liar_${name} MODULE ${source})  # without what keeps symbols in
    target_link_libraries(liar_${name} PRIVATE Sluice::plugin)
    set_target_properties(liar_${name} PROPERTIES PREFIX "" SUFFIX ".sluice.so")
  else()
    block()
      unset(SLUICE_PLUGIN_OUTPUT)  # not to be installed
      sluice_add_plugin(liar_${name} ${source})
    endblock()
  endif()
  set_target_properties(liar_${name} PROPERTIES OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${liars})
  list(APPEND liar_targets liar_${name})
endforeach()
if(TARGET check_tests)
  target_compile_definitions(check_tests PRIVATE SLUICE_PROGRAM="$<TARGET_FILE:sluice>" SLUICE_LIARS="${liars}"
                             SLUICE_BAD_PLUGINS="${fixtures}")
  add_dependencies(check_tests sluice ${liar_targets} test_missing_symbol test_no_entry test_null_entry)
endif()

foreach(plugin ${built_plugins} my_evictor)
  add_test(NAME check_${plugin} COMMAND sluice plugin check $<TARGET_FILE:${plugin}> ${check_limit})
  set_tests_properties(check_${plugin} PROPERTIES LABELS checks TIMEOUT ${test_timeout})
endforeach()
