# The evictor `python`, where CPython's headers and its shared library are. An interpreter that has NumPy is preferred,
# because files need it when they run; -DPython3_EXECUTABLE=... or -DPython3_ROOT_DIR=... chooses another.
block()
  if(NOT Python3_EXECUTABLE AND NOT Python3_ROOT_DIR)
    find_program(SLUICE_PYTHON_IN_PATH python3 NO_CACHE)
    foreach(candidate ${SLUICE_PYTHON_IN_PATH} /usr/bin/python3)
      execute_process(COMMAND ${candidate} -c "import numpy, sys; print(sys.executable)" OUTPUT_VARIABLE executable
                      OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
      if(status EQUAL 0)
        set(Python3_EXECUTABLE ${executable})
        break()
      endif()
    endforeach()
  endif()
  set(Python3_USE_STATIC_LIBS FALSE)  # modules such as NumPy's look for its symbols in the process
  find_package(Python3 3.9 QUIET COMPONENTS Interpreter Development.Embed)
  if(NOT Python3_FOUND)
    message(STATUS "python evictor: not built (no Python headers)")
    return()
  endif()
  message(STATUS "python evictor: Python ${Python3_VERSION}, ${Python3_EXECUTABLE}")

  set(folder ${CMAKE_CURRENT_LIST_DIR})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/glue.py)
  file(READ ${folder}/glue.py SLUICE_GLUE)
  configure_file(${folder}/glue.hpp.in ${CMAKE_CURRENT_BINARY_DIR}/python/glue.hpp @ONLY)
  sluice_add_plugin(python ${folder}/python.cpp ${folder}/interpreter.cpp)
  # The executable tells the library where its modules are.
  execute_process(COMMAND ${Python3_EXECUTABLE} -c "import sys; print(sys.executable)"
                  OUTPUT_VARIABLE executable OUTPUT_STRIP_TRAILING_WHITESPACE)
  target_compile_definitions(python PRIVATE SLUICE_PYTHON="${executable}")
  target_include_directories(python PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/python)
  target_link_libraries(python PRIVATE Python3::Python ${CMAKE_DL_LIBS})
  set_target_properties(python PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON SLUICE_INTERPRETER ${executable})
endblock()
