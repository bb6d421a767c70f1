# Installs the kit into a fresh folder, moves it, and builds the template against it as a third party would: a
# project of its own, C only. Then asks for versions that must be refused. Called by ctest with BUILD, CONFIG, WORK,
# C_COMPILER, GENERATOR.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed:\n${output}")
  endif()
endfunction()

run("install" ${CMAKE_COMMAND} --install ${BUILD} --config ${CONFIG} --component sdk --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/moved)
file(GLOB_RECURSE template ${WORK}/moved/*/my_evictor.c)
get_filename_component(template ${template} DIRECTORY)
file(COPY ${template}/ DESTINATION ${WORK}/mine)

set(configure ${CMAKE_COMMAND} -G ${GENERATOR} -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_PREFIX_PATH=${WORK}/moved
              -DCMAKE_BUILD_TYPE=Release "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror" -S ${WORK}/mine -B)
run("configure" ${configure} ${WORK}/mine/build)
run("build" ${CMAKE_COMMAND} --build ${WORK}/mine/build)
if(NOT EXISTS ${WORK}/mine/build/my_evictor.sluice.so)
  message(FATAL_ERROR "no my_evictor.sluice.so was built")
endif()

find_program(nm nm)
if(nm)
  execute_process(COMMAND ${nm} -D --defined-only ${WORK}/mine/build/my_evictor.sluice.so OUTPUT_VARIABLE symbols)
  string(REGEX REPLACE "[0-9a-f]+ [A-Za-z] " "" symbols "${symbols}")
  string(STRIP "${symbols}" symbols)
  if(NOT symbols STREQUAL "sluice_plugin_entry")
    message(FATAL_ERROR "the plugin exports: ${symbols}")
  endif()
endif()

# Before 1.0 another minor version is another boundary.
file(READ ${WORK}/mine/CMakeLists.txt project)
foreach(version 0.2 1.0)
  string(REGEX REPLACE "Sluice [0-9.]+ CONFIG" "Sluice ${version} CONFIG" other "${project}")
  file(WRITE ${WORK}/mine/CMakeLists.txt "${other}")
  execute_process(COMMAND ${configure} ${WORK}/mine/build${version} RESULT_VARIABLE status ERROR_VARIABLE output
                  OUTPUT_QUIET)
  if(status EQUAL 0 OR NOT output MATCHES "requested version \"${version}\"")
    message(FATAL_ERROR "version ${version} was not refused as it should be:\n${output}")
  endif()
endforeach()
