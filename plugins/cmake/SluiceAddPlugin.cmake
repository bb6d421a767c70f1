# sluice_add_plugin(NAME SOURCES...): a plugin NAME.sluice.so that exports sluice_plugin_entry and nothing
# else. Used by this tree and, from the installed package, by third parties. Where the program is known
# (SLUICE_PROGRAM), a test check_NAME runs `sluice plugin check` on it. A NAME.trace.json beside the first source goes
# along with the library.
function(sluice_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE Sluice::plugin)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".sluice.so" C_VISIBILITY_PRESET hidden
                        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  # sluice/kernels.h promises the same bits everywhere: products are fused only where it says so.
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:-ffp-contract=off>)
  if(SLUICE_PLUGIN_OUTPUT)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${SLUICE_PLUGIN_OUTPUT})
    install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/sluice COMPONENT sluice)
  endif()
  # Hidden visibility does not cover what libstdc++ declares visible; the version script does.
  set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin_exports.map)
  target_link_options(${name} PRIVATE -Wl,--version-script=${script} -Wl,-z,nodelete)
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${script})
  if(NOT SLUICE_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  cmake_path(ABSOLUTE_PATH ARGV1 BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE trace)
  cmake_path(REPLACE_FILENAME trace ${name}.trace.json)
  # One that is made later makes CMake look again; CMAKE_CONFIGURE_DEPENDS would pass over what is not there yet.
  file(GLOB traces CONFIGURE_DEPENDS ${trace})
  if(EXISTS ${trace})
    get_target_property(folder ${name} LIBRARY_OUTPUT_DIRECTORY)
    if(NOT folder)
      set(folder ${CMAKE_CURRENT_BINARY_DIR})
    endif()
    configure_file(${trace} ${folder}/${name}.trace.json COPYONLY)
    if(SLUICE_PLUGIN_OUTPUT)
      install(FILES ${trace} DESTINATION ${CMAKE_INSTALL_LIBDIR}/sluice COMPONENT sluice)
    endif()
  endif()
  if(SLUICE_PROGRAM)
    add_test(NAME check_${name} COMMAND ${SLUICE_PROGRAM} plugin check $<TARGET_FILE:${name}>)
  endif()
endfunction()
