# Tests of `sluice bench`: its arithmetic by given numbers and its protocol with small drivers. Speed is never tested.
sluice_tests(bench LABEL checks LIBS sluice_bench SOURCES support/tiny_model.cpp)
if(TARGET bench_tests AND built_plugins)
  add_dependencies(bench_tests ${built_plugins})
endif()
