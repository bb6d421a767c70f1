# Looks for a CUDA toolkit: nvcc on PATH or in CUDACXX, then in the usual folders, then as the packages of NVIDIA for
# Python in the environment that SLUICE_CUDA_PYTHON names. Sets cuda_nvcc, cuda_version, cuda_includes and
# cuda_cublas_folder, or cuda_missing to what is missing.
set(SLUICE_CUDA_PYTHON "" CACHE PATH "a Python environment with the packages of the CUDA toolkit")
unset(cuda_missing)

# Every folder that may be the root of a toolkit, or of a part of one: packages of version 12 have a folder each.
set(roots /usr/local/cuda /opt/cuda)
file(GLOB numbered LIST_DIRECTORIES true /usr/local/cuda-*)
list(APPEND roots ${numbered})
set(parts "")
if(SLUICE_CUDA_PYTHON)
  file(GLOB parts LIST_DIRECTORIES true ${SLUICE_CUDA_PYTHON}/lib/python3*/site-packages/nvidia/*)
endif()

find_program(SLUICE_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_PATH ${parts} ${roots} PATH_SUFFIXES bin
             DOC "the CUDA compiler")
if(NOT SLUICE_NVCC)
  set(cuda_missing "no nvcc on PATH, in /usr/local/cuda or in SLUICE_CUDA_PYTHON")
  return()
endif()
set(cuda_nvcc ${SLUICE_NVCC})
file(REAL_PATH ${cuda_nvcc} real)
cmake_path(GET real PARENT_PATH folder)
cmake_path(GET folder PARENT_PATH root)
set(roots ${root} ${parts})

set(cuda_includes "")
foreach(header cuda_runtime.h cublas_v2.h crt/host_defines.h)
  unset(found)
  find_path(found ${header} HINTS ${roots} PATH_SUFFIXES include targets/x86_64-linux/include targets/sbsa-linux/include
            NO_CACHE NO_DEFAULT_PATH)
  if(NOT found)
    set(cuda_missing "${cuda_nvcc} is there, but ${header} is not")
    return()
  endif()
  list(APPEND cuda_includes ${found})
endforeach()
list(REMOVE_DUPLICATES cuda_includes)

set(suffixes lib64 lib targets/x86_64-linux/lib targets/sbsa-linux/lib)
# Only its folder, for the plugin to look in at run time; it need not be there now.
set(cuda_cublas_folder "")
foreach(place ${roots})
  foreach(suffix ${suffixes})
    file(GLOB library ${place}/${suffix}/libcublas.so.*)
    if(library AND NOT cuda_cublas_folder)
      set(cuda_cublas_folder ${place}/${suffix})
    endif()
  endforeach()
endforeach()

execute_process(COMMAND ${cuda_nvcc} --version OUTPUT_VARIABLE text RESULT_VARIABLE failed ERROR_VARIABLE error)
if(failed)
  set(cuda_missing "${cuda_nvcc} does not run: ${error}")
  return()
endif()
string(REGEX MATCH "release ([0-9.]+)" text "${text}")
set(cuda_version ${CMAKE_MATCH_1})
# C++20 in device code; and from 12 on, choosing a device makes its context the thread's.
if(cuda_version VERSION_LESS 12.0)
  set(cuda_missing "${cuda_nvcc} is of CUDA ${cuda_version}; 12.0 or newer is needed")
endif()
