// Configuration files: bad letters, bad syntax, and for every key of the schema values that it does not take.
#include <fmt/format.h>

#include "core/config/schema.h"
#include "fuzz/damage.h"

namespace sluice::fuzz {
using testing::FuzzRandom;

std::string sound_config() {
  return R"(# A sound file.
name = "sound"

[cache]
budget = "20%"
interval = 4

[evictor]
name = "h2o"
recent = "50%"
sinks = 2

[sampler]
temperature = 0.5
)";
}

std::vector<Damage> damaged_configs() {
  FuzzRandom random(105);
  std::vector<Damage> list;
  const auto add = [&](const std::string& what, const std::string& text) {
    list.push_back({"TOML", what, {{"x.toml", text}}, "x.toml", "x.toml", "x\\.toml:[0-9]+:[0-9]+: "});
  };
  const std::string sound = sound_config();
  for (const size_t at : lengths_below(sound.size(), 10, random)) {
    const char byte = random.next() % 2 ? '\xFF' : '\xC0';
    add(fmt::format("no UTF-8 at byte {}", at), std::string(sound).insert(at, 1, byte));
  }
  for (const size_t at : lengths_below(sound.size(), 6, random))
    add(fmt::format("a control character at byte {}", at),
        std::string(sound).insert(at, 1, char(random.next() % 8 + 1)));
  for (const Key& key : schema_keys()) {
    // No key takes a date, or a table.
    const char* value = random.next() % 2 ? "1979-05-27" : "{ x = 1 }";
    if (key.path == "layers.range") continue;
    add(fmt::format("{} is {}", key.path, value), fmt::format("{} = {}\n", key.path, value));
  }
  for (const char* bad : {"[cache",
                          "name = \"open\n",
                          "name = 'open",
                          "= 3",
                          "[cache]\nbudget = \n",
                          "[cache]\n[cache]\n",
                          "a = 1\na = 2\n",
                          "[cache]\nbudgt = 4\n",
                          "[cash]\n",
                          "[evictor]\nname = \"h2\"\n",
                          "[evictor]\nsinks = 1\n",
                          "cache.budget = 8\n[evictor]\nname = \"h2o\"\nsinks = -1\n",
                          "cache.budget = 8\n[evictor]\nname = \"h2o\"\nrecent = \"200%\"\n",
                          "cache.budget = 8\n[evictor]\nname = \"h2o\"\nsinks = 99999999999999999999\n",
                          "cache.budget = 8\n[evictor]\nname = \"h2o\"\ndecay = nan\n",
                          "[[layers]]\n",
                          "[[layers]]\nrange = \"3-1\"\n",
                          "extends = \"x.toml\"\n",
                          "extends = \"absent.toml\"\n",
                          "[sweep]\na = []\n",
                          "[sweep]\n[[sweep.variant]]\n"})
    add(fmt::format("\"{}\"", bad), bad);
  for (const char* open : {"[", "{a=", "[{b.c="}) {
    std::string deep = "name = ";
    for (int i = 0; i < 20000; ++i) deep += open;
    add(fmt::format("20000 times \"{}\"", open), deep);
  }
  std::string dots = "[a";
  for (int i = 0; i < 50000; ++i) dots += ".a";
  add("a key of 50001 parts", dots + "]\n");
  return list;
}

}  // namespace sluice::fuzz
