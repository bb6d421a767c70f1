# Installs the kit into a fresh folder and builds every example that lies in it as a project of its own. Called by ctest
# with BUILD, CONFIG, WORK, C_COMPILER, CXX_COMPILER, GENERATOR.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed:\n${output}")
  endif()
endfunction()

run("install" ${CMAKE_COMMAND} --install ${BUILD} --config ${CONFIG} --component sdk --prefix ${WORK}/kit)
file(GLOB_RECURSE projects ${WORK}/kit/*/sluice/plugins/examples/*/CMakeLists.txt)
if(NOT projects)
  message(FATAL_ERROR "the kit holds no examples")
endif()
foreach(project ${projects})
  get_filename_component(folder ${project} DIRECTORY)
  get_filename_component(name ${folder} NAME)
  run("configuring ${name}" ${CMAKE_COMMAND} -G ${GENERATOR} -DCMAKE_C_COMPILER=${C_COMPILER}
      -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_PREFIX_PATH=${WORK}/kit -DCMAKE_BUILD_TYPE=Release
      "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror" -S ${folder} -B ${WORK}/${name})
  run("building ${name}" ${CMAKE_COMMAND} --build ${WORK}/${name})
  file(GLOB configs ${folder}/*.toml)
  if(NOT EXISTS ${WORK}/${name}/${name}.sluice.so OR NOT EXISTS ${folder}/README.md OR NOT configs)
    message(FATAL_ERROR "${name}: its plugin, its README.md or its configuration is missing")
  endif()
endforeach()
