# The evaluation's runner on a generated model, the store of its samples, and what they add up to.
sluice_tests(eval LABEL checks LIBS sluice_eval sluice_quant SOURCES support/tiny_model.cpp support/cache_driver.cpp)
sluice_tests(store LABEL checks LIBS sluice_store)
sluice_tests(harness LABEL checks LIBS sluice_harness)
