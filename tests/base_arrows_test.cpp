// Which folder may include which: the arrows of the architecture. The include path is the whole tree, so only this
// test keeps them from turning back.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace sluice {
namespace {

using Folders = std::set<std::string>;

// A core folder and those below it that it may use, besides sluice/ (the boundary).
const std::map<std::string, Folders> kCore = {
    {"base", {}},
    {"plugins", {"base"}},
    {"quant", {"base"}},
    {"tokenizer", {"base"}},
    {"config", {"base", "plugins"}},
    {"report", {"base"}},
    {"tasks", {"base", "config"}},
    {"eval", {"base", "cache", "config", "model", "plugins", "report", "run", "tokenizer"}},
    {"store", {"base"}},
    {"harness", {"base", "eval", "model", "report", "run", "store", "tasks", "tokenizer"}},
    {"model", {"base", "plugins", "tokenizer"}},
    {"cache", {"base", "plugins"}},
    {"bench", {"base", "cache", "check", "config", "plugins", "report", "run"}},
    {"check", {"base", "cache", "config", "convert", "model", "plugins", "quant", "run"}},
    {"convert", {"base", "model", "plugins", "quant", "tokenizer"}},
    {"run", {"base", "cache", "config", "model", "plugins", "report", "tokenizer"}},
};

// Every `#include "..."` below a folder of the tree: file and what it names.
std::vector<std::pair<std::string, std::string>> includes_below(const std::string& folder) {
  static const std::regex pattern("^#include \"([^\"]+)\"");
  std::vector<std::pair<std::string, std::string>> found;
  const std::filesystem::path tree = SLUICE_SOURCE;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tree / folder)) {
    const std::string kind = entry.path().extension().string();
    if (kind != ".cpp" && kind != ".h" && kind != ".hpp" && kind != ".c" && kind != ".cu") continue;
    std::ifstream file(entry.path());
    std::smatch match;
    for (std::string line; std::getline(file, line);)
      if (std::regex_search(line, match, pattern))
        found.emplace_back(std::filesystem::relative(entry.path(), tree).string(), match[1]);
  }
  return found;
}

bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

TEST(Arrows, CoreFoldersUseOnlyThoseBelowThem) {
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(SLUICE_SOURCE) / "core")) {
    if (!entry.is_directory()) continue;
    const std::string name = entry.path().filename().string();
    ASSERT_TRUE(kCore.count(name)) << "core/" << name << " has no place in the table";
    for (const auto& [file, included] : includes_below("core/" + name)) {
      EXPECT_FALSE(starts_with(included, "apps/") || starts_with(included, "backends/") ||
                   starts_with(included, "policies/"))
          << file << " includes " << included;
      if (!starts_with(included, "core/")) continue;
      const std::string other = included.substr(5, included.find('/', 5) - 5);
      EXPECT_TRUE(other == name || kCore.at(name).count(other)) << file << " includes " << included;
    }
  }
}

TEST(Arrows, NothingPointsBackAcrossTheBoundary) {
  for (const char* folder : {"plugins", "policies", "backends"})
    for (const auto& [file, included] : includes_below(folder)) {
      EXPECT_FALSE(starts_with(included, "core/") || starts_with(included, "apps/"))
          << file << " includes " << included;
      const bool same_backend =
          starts_with(included, "backends/") && starts_with(file, included.substr(0, included.find('/', 9)));
      EXPECT_TRUE(!starts_with(included, "backends/") || same_backend) << file << " includes " << included;
      EXPECT_FALSE(starts_with(included, "policies/")) << file << " includes " << included;
    }
}

}  // namespace
}  // namespace sluice
