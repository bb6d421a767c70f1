# What test scripts share: running commands, and saying what went wrong. Include it with WORK set: a folder of the
# test's own, which starts empty.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

# run(WHAT COMMAND...): it must succeed. Its output, both streams, is left in `output`.
function(run what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE status OUTPUT_VARIABLE text
                  ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} ended with ${status}:\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

# fails(WHAT CODE REGEX COMMAND...): it must end with that code, and say so.
function(fails what code regex)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE status OUTPUT_VARIABLE text
                  ERROR_VARIABLE text)
  if(NOT status EQUAL code OR NOT text MATCHES "${regex}")
    message(FATAL_ERROR "${what} ended with ${status}, not ${code}, or without \"${regex}\":\n${text}")
  endif()
endfunction()

# expect(WHAT TEXT REGEX)
function(expect what text regex)
  if(NOT text MATCHES "${regex}")
    message(FATAL_ERROR "${what}: no \"${regex}\" in\n${text}")
  endif()
endfunction()
