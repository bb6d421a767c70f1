// The published structs: the hash of their text stands in the headers, their layout numbers stand here. Whoever
// edits a struct meets this test; docs/abi.md says what to do then. scripts/abi_text.py computes the same hashes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <regex>
#include <sstream>

#include "core/base/file.h"
#include "core/plugins/registry.h"
#include "sluice/backend.h"
#include "sluice/extensions.h"

extern "C" const uint32_t* abi_layouts_of_c(void);

namespace sluice {
namespace {

std::string header(const std::string& name) {
  return read_file(std::filesystem::path(SLUICE_SOURCE) / "plugins" / "sluice" / name);
}

std::string without_comments(const std::string& text) {
  std::string out;
  for (size_t from = 0; from < text.size();) {
    const size_t open = text.find("/*", from);
    out += text.substr(from, open == std::string::npos ? open : open - from);
    if (open == std::string::npos) break;
    from = text.find("*/", open) + 2;
  }
  return out;
}

uint32_t fnv1a(const std::string& text) {
  uint32_t hash = 0x811C9DC5u;
  for (const char c : text) hash = (hash ^ uint8_t(c)) * 0x01000193u;
  return hash;
}

// The struct's definition as it stands, without white space.
std::string struct_text(const std::string& bare, const std::string& name) {
  const size_t from = bare.find("typedef struct " + name + " {");
  const std::string end = "} " + name + ";";
  const size_t to = bare.find(end, from);
  if (from == std::string::npos || to == std::string::npos) return "";
  std::string text = bare.substr(from, to + end.size() - from);
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n' || c == '\t'; });
  return text;
}

struct Published {
  const char* id;
  const char* structs;  // in the order in which they are hashed
  uint32_t text, layout;
  uint32_t golden;  // x86-64 and aarch64
};

// Changed only with an entry in docs/decisions.md while the interfaces are drafts, never after the freeze.
const Published kPublished[] = {
    {SLUICE_HOST_STATS, "sluice_host_stats", SLUICE_HOST_STATS_TEXT, SLUICE_HOST_STATS_LAYOUT, 0x6F4D06AAu},
    {SLUICE_EVICTOR, "sluice_geometry sluice_lanes sluice_signal sluice_evictor", SLUICE_EVICTOR_TEXT,
     SLUICE_EVICTOR_LAYOUT, 0x99B6CBF0u},
    {SLUICE_CODEC, "sluice_geometry sluice_span sluice_block sluice_codec_plan sluice_account sluice_tile sluice_codec",
     SLUICE_CODEC_TEXT, SLUICE_CODEC_LAYOUT, 0xF9DC70A4u},
    {SLUICE_CODEC_CUDA, "sluice_span sluice_cuda_blocks sluice_codec_cuda", SLUICE_CODEC_CUDA_TEXT,
     SLUICE_CODEC_CUDA_LAYOUT, 0x68AB5877u},
    {SLUICE_BACKEND,
     "sluice_span sluice_signal sluice_device sluice_mat sluice_part sluice_lane sluice_group sluice_store "
     "sluice_backend",
     SLUICE_BACKEND_TEXT, SLUICE_BACKEND_LAYOUT, 0x30A5E606u},
    {SLUICE_BACKEND_REPLAY, "sluice_backend_replay", SLUICE_BACKEND_REPLAY_TEXT, SLUICE_BACKEND_REPLAY_LAYOUT,
     0x5EAFD5AFu},
    {SLUICE_BACKEND_PRESENCE, "sluice_backend_presence", SLUICE_BACKEND_PRESENCE_TEXT, SLUICE_BACKEND_PRESENCE_LAYOUT,
     0x9475D588u},
    {SLUICE_EVICTOR_ROWS, "sluice_rows sluice_evictor_rows", SLUICE_EVICTOR_ROWS_TEXT, SLUICE_EVICTOR_ROWS_LAYOUT,
     0x595FAF43u},
    {SLUICE_EVICTOR_WINDOW, "sluice_rows sluice_evictor_window", SLUICE_EVICTOR_WINDOW_TEXT,
     SLUICE_EVICTOR_WINDOW_LAYOUT, 0x756C550Eu},
    {SLUICE_EVICTOR_BUDGET, "sluice_rows sluice_evictor_budget", SLUICE_EVICTOR_BUDGET_TEXT,
     SLUICE_EVICTOR_BUDGET_LAYOUT, 0x9B843897u},
    {SLUICE_HOST_MODULES, "sluice_part_module sluice_host_modules", SLUICE_HOST_MODULES_TEXT,
     SLUICE_HOST_MODULES_LAYOUT, 0x586EC0B3u},
};

TEST(Abi, TextHashesMatchTheHeaders) {
  const std::string bare =
      without_comments(header("plugin.h") + header("policy.h") + header("backend.h") + header("extensions.h"));
  for (const Published& published : kPublished) {
    std::string text;
    std::istringstream names(published.structs);
    for (std::string name; names >> name;) {
      const std::string one = struct_text(bare, name);
      ASSERT_FALSE(one.empty()) << name;
      text += one;
    }
    EXPECT_EQ(fnv1a(text), published.text)
        << published.id << ": a published struct was edited; see docs/abi.md, then scripts/abi_text.py --fix";
  }
}

TEST(Abi, LayoutsAreTheGoldenOnes) {
  for (const Published& published : kPublished) {
    EXPECT_EQ(fmt::format("0x{:08X}", published.layout), fmt::format("0x{:08X}", published.golden)) << published.id;
  }
}

TEST(Abi, CSeesTheSameLayouts) {
  const uint32_t* c = abi_layouts_of_c();
  for (size_t i = 0; i < std::size(kPublished); ++i) EXPECT_EQ(c[i], kPublished[i].layout) << kPublished[i].id;
  EXPECT_EQ(c[std::size(kPublished)], 0u) << "a table that is in C's list alone";
}

TEST(Abi, EntryStructsKeepTheirSizes) {
  EXPECT_EQ(sizeof(sluice_host), 64u);
  EXPECT_EQ(sizeof(sluice_value), 8u);
  EXPECT_EQ(sizeof(sluice_param), 56u);
  EXPECT_EQ(sizeof(sluice_module), 72u);
  EXPECT_EQ(sizeof(sluice_plugin), 32u);
}

TEST(Abi, SharesRoundDown) {
  EXPECT_EQ(sluice_tokens(7, 100), 7u);
  EXPECT_EQ(sluice_tokens(SLUICE_PERCENT(50), 101), 50u);
  EXPECT_EQ(sluice_tokens(-1250, 100), 12u);
  EXPECT_EQ(sluice_tokens(SLUICE_PERCENT(100), 4294967295u), 4294967295u);
}

// Every plugin of this build, by what it shows to the loader.
TEST(Abi, PluginsExportTheirEntryOnly) {
  if (std::system("nm --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "nm is not installed";
  size_t seen = 0;
  std::error_code none;
  for (const auto& file : std::filesystem::directory_iterator(SLUICE_PLUGINS, none)) {
    if (!file.path().string().ends_with(".sluice.so")) continue;
    const std::string command = "nm -D --defined-only '" + file.path().string() + "' 2>/dev/null";
    std::FILE* pipe = popen(command.c_str(), "r");
    ASSERT_TRUE(pipe);
    std::string symbols;
    char line[4096];
    while (std::fgets(line, sizeof line, pipe)) {
      std::istringstream words(line);
      std::string address, kind, name;
      words >> address >> kind >> name;
      symbols += name + " ";
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
    EXPECT_EQ(symbols, "sluice_plugin_entry ") << file.path();
    ++seen;
  }
  EXPECT_GT(seen, 0u) << "no plugins in " << SLUICE_PLUGINS;
}

}  // namespace
}  // namespace sluice
