// Damaged files as a user meets them: the program refuses every one with exit code 2 (a list of plugins names it and
// goes on), says which file and where, and takes no more than 64 MiB. Prints what was refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli_program.h"
#include "core/model/model_file.h"
#include "core/model/model_tokenizer.h"
#include "fuzz/damage.h"
#include "support/allocation_watch.h"

namespace sluice {
namespace {

using namespace testing;
using fuzz::Damage;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kMostMemory = uint64_t(64) << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;  // the program is slow to start, and its memory is not its own
#else
constexpr bool kSanitized = false;
#endif

struct Row {
  int files = 0, refused = 0;
  uint64_t peak = 0;
};

class Damaged : public ::testing::Test {
 protected:
  static void TearDownTestSuite() {
    int files = 0;
    std::string table = fmt::format("{:<30} {:>6} {:>8} {:>12}\n", "damaged", "files", "refused", "peak memory");
    for (const auto& [kind, row] : rows_) {
      table += fmt::format("{:<30} {:>6} {:>8} {:>8} MiB\n", kind, row.files, row.refused, row.peak >> 20);
      files += row.files;
    }
    if (files > 0) fmt::print("{}{} files\n", table, files);
  }

  // Written to a folder of its own; the path that the program is given.
  std::filesystem::path write(const Damage& damage, const ScratchFolder& folder) {
    for (const auto& [name, bytes] : damage.files) put_bytes(folder / name, bytes);
    return damage.opened.empty() ? folder.path() : folder / damage.opened;
  }

  void judge(const Damage& damage, const std::string& message) {
    EXPECT_THAT(message, HasSubstr(damage.blamed));
    EXPECT_TRUE(std::regex_search(message, std::regex(damage.place))) << message.substr(0, 1000);
    EXPECT_LT(message.size(), 20000u);
  }

  // Through the program, as `words` and the path. A plugin is found in its folder and asked for by its name.
  void expect_refused(const Damage& damage, std::vector<std::string> words) {
    SCOPED_TRACE(damage.kind + ": " + damage.what);
    const ScratchFolder folder;
    const std::filesystem::path path = write(damage, folder);
    words.push_back(words[0] == "plugin" ? damage.opened.substr(0, damage.opened.find('.')) : path.string());
    const Outcome outcome = sluice(words, {"SLUICE_PLUGIN_PATH=" + folder.path().string()});
    Row& row = rows_[damage.kind];
    row.files++;
    row.refused += outcome.code == kExitUsage;
    EXPECT_EQ(outcome.code, kExitUsage) << outcome.err << outcome.out.substr(0, 1000);
    judge(damage, outcome.err);
    if (kSanitized) return;
    row.peak = std::max(row.peak, outcome.peak);
    EXPECT_LT(outcome.peak, kMostMemory);
  }

  // Here, where memory can be told byte by byte.
  void expect_refused_here(const Damage& damage) {
    SCOPED_TRACE(damage.kind + ": " + damage.what);
    const ScratchFolder folder;
    const std::filesystem::path path = write(damage, folder);
    const AllocationWatch watch;
    const Error error = error_of([&] { make_tokenizer(*ModelFile::open(path)); });
    EXPECT_LT(watch.peak(), kMostMemory);
    EXPECT_EQ(error.code(), kExitUsage);
    judge(damage, error.what());
  }

  void models(const std::vector<Damage>& list) {
    for (size_t i = 0; i < list.size(); ++i) {
      expect_refused_here(list[i]);
      if (!kSanitized || i % 8 == 0) expect_refused(list[i], {"inspect"});
    }
  }

  static std::map<std::string, Row> rows_;
};
std::map<std::string, Row> Damaged::rows_;

TEST_F(Damaged, TwoHundredFilesAtLeast) {
  size_t files = fuzz::damaged_plugins(read_file(SLUICE_SOUND_PLUGIN)).size();
  for (const auto& make : {fuzz::damaged_gguf, fuzz::damaged_safetensors, fuzz::damaged_folders,
                           fuzz::damaged_tokenizers, fuzz::damaged_configs})
    files += make().size();
  EXPECT_GE(files, 200u);
}

// What the damage is done to is refused nowhere, so it is the damage that is refused.
TEST_F(Damaged, SoundFilesAreNotRefused) {
  for (const Damage& sound : fuzz::undamaged()) {
    const ScratchFolder folder;
    const std::string path = write(sound, folder).string();
    const bool config = path.ends_with(".toml");
    const Outcome outcome = config ? sluice({"config", "check", path}) : sluice({"inspect", path});
    EXPECT_EQ(outcome.code, kExitOk) << sound.kind << ": " << outcome.err;
  }
}

TEST_F(Damaged, Gguf) { models(fuzz::damaged_gguf()); }
TEST_F(Damaged, Safetensors) { models(fuzz::damaged_safetensors()); }
TEST_F(Damaged, Folders) { models(fuzz::damaged_folders()); }
TEST_F(Damaged, Tokenizers) { models(fuzz::damaged_tokenizers()); }

TEST_F(Damaged, Configs) {
  const std::vector<Damage> list = fuzz::damaged_configs();
  for (size_t i = 0; i < list.size(); ++i)
    if (!kSanitized || i % 8 == 0) expect_refused(list[i], {"config", "check"});
}

TEST_F(Damaged, Plugins) {
  const std::vector<Damage> list = fuzz::damaged_plugins(read_file(SLUICE_SOUND_PLUGIN));
  for (size_t i = 0; i < list.size(); ++i)
    if (!kSanitized || i % 8 == 0) expect_refused(list[i], {"plugin", "describe"});
}

// A list of plugins says why each is not one, and ends well.
TEST_F(Damaged, ListedPlugins) {
  const ScratchFolder folder;
  const std::vector<Damage> list = fuzz::damaged_plugins(read_file(SLUICE_SOUND_PLUGIN));
  for (const Damage& damage : list) write(damage, folder);
  const Outcome outcome = sluice({"plugin", "list", "--json"}, {"SLUICE_PLUGIN_PATH=" + folder.path().string()});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  const nlohmann::json rows = nlohmann::json::parse(outcome.out);
  for (const Damage& damage : list) {
    SCOPED_TRACE(damage.opened + ": " + damage.what);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const nlohmann::json& r) {
      return r["library"].get<std::string>().ends_with("/" + damage.opened);
    });
    ASSERT_NE(row, rows.end());
    ASSERT_FALSE((*row)["available"]);
    EXPECT_THAT(row->at("reason").get<std::string>(), Not(HasSubstr("crashes"))) << "it came to the loader";
  }
  if (!kSanitized) {
    EXPECT_LT(outcome.peak, kMostMemory);
  }
}

}  // namespace
}  // namespace sluice
