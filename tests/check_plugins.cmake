# The plugins that tests/*_check_test.cpp runs the checks on: each breaks one promise, and has a folder of its own since
# all have one name.
set(bad_codecs ${CMAKE_CURRENT_BINARY_DIR}/bad_codecs)
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bad_plugins/check/codec_*.c)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  string(REGEX REPLACE "^codec_" "" name ${name})
  block()
    unset(SLUICE_PLUGIN_OUTPUT)  # not to be installed
    sluice_add_plugin(test_codec_${name} ${source})
  endblock()
  set_target_properties(test_codec_${name} PROPERTIES OUTPUT_NAME ${name}
                        LIBRARY_OUTPUT_DIRECTORY ${bad_codecs}/${name})
  target_compile_definitions(test_codec_${name} PRIVATE _DEFAULT_SOURCE)
  target_link_libraries(test_codec_${name} PRIVATE m)
  add_dependencies(codec_tests test_codec_${name})
endforeach()
target_compile_definitions(codec_tests PRIVATE SLUICE_BAD_CODECS="${bad_codecs}")
