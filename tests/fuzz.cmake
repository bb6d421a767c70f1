# Hostile input in the usual tests: the fuzzers' entries over their corpora and a short seeded mutation of them, and
# damaged files as a user meets them, through the program. The fuzzers themselves are fuzz/CMakeLists.txt, which needs
# clang.
sluice_tests(fuzz LABEL unit LIBS sluice_model sluice_quant sluice_config sluice_tasks
             SOURCES support/tiny_model.cpp support/allocation_watch.cpp fuzz/gguf.cpp fuzz/safetensors.cpp
                     fuzz/huggingface.cpp fuzz/tokenizer_json.cpp fuzz/tokenizer_model.cpp fuzz/toml.cpp
                     fuzz/parameters.cpp fuzz/task.cpp fuzz/seeds.cpp)
sluice_tests(damage LABEL checks LIBS sluice_model sluice_quant sluice_config
             SOURCES support/tiny_model.cpp support/allocation_watch.cpp fuzz/damaged_models.cpp
                     fuzz/damaged_tokenizers.cpp fuzz/damaged_configs.cpp fuzz/damaged_plugins.cpp)
target_compile_definitions(damage_tests PRIVATE SLUICE_PROGRAM="$<TARGET_FILE:sluice>"
                           SLUICE_SOUND_PLUGIN="$<TARGET_FILE:h2o>")
add_dependencies(damage_tests sluice ${built_plugins})
