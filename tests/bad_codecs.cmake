# The plugins that check_codec_test.cpp runs the checks on: each breaks one promise. They have one name, so each has a
# folder of its own.
set(bad_codecs ${CMAKE_CURRENT_BINARY_DIR}/bad_codecs)
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bad_plugins/codec/*.c)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  block()
    unset(SLUICE_PLUGIN_OUTPUT)  # not to be installed
    sluice_add_plugin(test_codec_${name} ${source})
  endblock()
  set_target_properties(test_codec_${name} PROPERTIES OUTPUT_NAME ${name}
                        LIBRARY_OUTPUT_DIRECTORY ${bad_codecs}/${name})
  target_compile_definitions(test_codec_${name} PRIVATE _DEFAULT_SOURCE)
  target_link_libraries(test_codec_${name} PRIVATE m)
  list(APPEND bad_codec_targets test_codec_${name})
endforeach()
if(TARGET check_tests)
  add_dependencies(check_tests ${bad_codec_targets} ${built_plugins})
  target_compile_definitions(check_tests PRIVATE SLUICE_BAD_CODECS="${bad_codecs}")
endif()
