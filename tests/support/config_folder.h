// Configuration files for one test, and modules that they may name: evictors "h2o" and "recent", codecs "gear" and
// "group", backends "cpu" and "cuda", none of which does anything.
#pragma once

#include <fstream>
#include <limits>

#include "core/config/config.h"
#include "support/scratch_folder.h"
#include "support/test_module.h"

namespace sluice::testing {

class ConfigFolder {
 public:
  ConfigFolder() {
    h2o_.set_params({param("recent", SLUICE_TOKENS, int_value(SLUICE_PERCENT(50)), int_value(0), int_value(1 << 20)),
                     param("sinks", SLUICE_INT, int_value(0), int_value(0), int_value(64)),
                     param("decay", SLUICE_FLOAT, float_value(1), float_value(0), float_value(1))});
    gear_.set_params({param("bits", SLUICE_CHOICE, int_value(0), {}, {}, "2|3|4|8"),
                      param("backbone", SLUICE_CHOICE, int_value(0), {}, {}, "group|uniform"),
                      param("rank", SLUICE_INT, int_value(4), int_value(0), int_value(64)),
                      param("fast", SLUICE_BOOL, int_value(1)), param("note", SLUICE_STRING, text_value(""))});
    group_.set_params({param("bits", SLUICE_CHOICE, int_value(2), {}, {}, "2|3|4|8")});
    cpu_.set_params({param("threads", SLUICE_INT, int_value(0), int_value(0), int_value(1024))});
    keyed_.set_params({param("seed", SLUICE_INT, int_value(0), int_value(0), int_value(9), nullptr, true),
                       param("table", SLUICE_PATH, text_value(""))});
    for (const TestModule* module : {&h2o_, &recent_, &gear_, &group_, &cpu_, &cuda_, &keyed_}) {
      registry.add(module->plugin);
    }
  }

  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text;
    return folder / name;
  }
  std::vector<Config> load(const std::string& text, std::vector<std::string> overrides = {}) {
    return load_config(write("x.toml", text), overrides, &registry);
  }
  Config one(const std::string& text, std::vector<std::string> overrides = {}) {
    std::vector<Config> configs = load(text, std::move(overrides));
    EXPECT_EQ(configs.size(), 1u);
    return configs.at(0);
  }
  // What is wrong with x.toml, without the folder's name.
  std::string mistakes(const std::string& text, std::vector<std::string> overrides = {}) {
    return shortened(error_of([&] { load(text, std::move(overrides)); }).what());
  }
  std::string shortened(std::string text) const {
    const std::string prefix = folder.path().string() + "/";
    for (size_t at; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    return text;
  }

  ScratchFolder folder;
  ThreadPool pool{1};
  Registry registry{{}, pool};

 private:
  TestModule h2o_{"h2o"}, recent_{"recent"}, keyed_{"keyed"};
  TestModule gear_{"gear", SLUICE_CODEC, SLUICE_CODEC_LAYOUT}, group_{"group", SLUICE_CODEC, SLUICE_CODEC_LAYOUT};
  TestModule cpu_{"cpu", SLUICE_BACKEND, SLUICE_BACKEND_LAYOUT}, cuda_{"cuda", SLUICE_BACKEND, SLUICE_BACKEND_LAYOUT};
};

}  // namespace sluice::testing
