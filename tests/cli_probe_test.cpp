// Libraries that would take the program down: each is listed with its reason, and verdicts are remembered.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "core/base/file.h"
#include "core/plugins/probe.h"
#include "core/plugins/registry.h"
#include "support/scratch_folder.h"
#include "support/test_module.h"

namespace sluice {
namespace {

using namespace testing;
namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path deadly(const std::string& name) { return fs::path(SLUICE_DEADLY_PLUGINS) / (name + ".sluice.so"); }
fs::path idle() { return fs::path(SLUICE_BAD_PLUGINS) / "idle.sluice.so"; }
Prober prober(double seconds = 60) { return {.command = {SLUICE_PROGRAM, "plugin", "probe"}, .seconds = seconds}; }
// One whose child fails whatever it is given.
Prober broken_prober() { return {.command = {"/bin/false"}}; }

TEST(Probe, NamesEachDeath) {
  const Prober child = prober();
  EXPECT_EQ(probe_library(child, idle()), "");
  EXPECT_EQ(probe_library(child, deadly("crash_in_constructor")), "crashes when it is loaded (Aborted (signal 6))");
  EXPECT_EQ(probe_library(child, deadly("crash_in_entry")), "crashes when it is loaded (Aborted (signal 6))");
  EXPECT_EQ(probe_library(child, deadly("exit_in_constructor")), "ends the program when it is loaded (exit code 0)");
  // Sanitizers turn a bad access into an exit.
  EXPECT_THAT(probe_library(child, deadly("wild_names")), HasSubstr(" when its modules are looked at ("));
  EXPECT_EQ(probe_library(child, deadly("crash_at_exit")), "crashes when the program ends (Aborted (signal 6))");
}

TEST(Probe, WaitsNoLongerThanItsLimit) {
  EXPECT_EQ(probe_library(prober(0.5), deadly("hang_in_entry")), "does not come back within 0.5 s when it is loaded");
}

// What cannot be loaded takes nothing down: the loader's own words are better.
TEST(Probe, LeavesRefusalsToTheLoader) {
  for (const char* name : {"no_entry", "missing_symbol", "null_entry", "bad_magic", "wrong_layout"})
    EXPECT_EQ(probe_library(prober(), fs::path(SLUICE_BAD_PLUGINS) / (std::string(name) + ".sluice.so")), "") << name;
}

TEST(Probe, RemembersWhatPassedAndWhatDidNot) {
  ScratchFolder cache, folder;
  Prober child = prober(), broken = broken_prober();
  child.cache = broken.cache = cache / "deep";
  const fs::path library = folder / "x.sluice.so";
  fs::copy_file(idle(), library);
  EXPECT_EQ(probe_library(child, library), "");
  EXPECT_EQ(probe_library(broken, library), "") << "its child was started";
  broken.again = true;
  EXPECT_EQ(probe_library(broken, library), "") << "what passed is not tried again";

  // Other contents under the same name.
  fs::copy_file(deadly("crash_in_entry"), library, fs::copy_options::overwrite_existing);
  broken.again = false;
  EXPECT_EQ(probe_library(child, library), "crashes when it is loaded (Aborted (signal 6))");
  EXPECT_EQ(probe_library(broken, library), "crashes when it is loaded (Aborted (signal 6))");
  broken.again = true;
  EXPECT_THAT(probe_library(broken, library), HasSubstr("exit code 1")) << "asked again, it was not tried";
}

TEST(Probe, BearsACacheThatCannotBeWritten) {
  Prober child = prober();
  child.cache = "/proc/no/such/place";
  EXPECT_EQ(probe_library(child, idle()), "");
}

class Probed : public ::testing::Test {
 protected:
  std::map<std::string, std::string> reasons(const fs::path& folder, const Prober& child) {
    const std::vector<fs::path> folders = {folder};
    const Registry registry(folders, pool_, &child);
    std::map<std::string, std::string> result;
    for (const Module& module : registry.modules()) result[module.name] = module.reason;
    return result;
  }
  ThreadPool pool_{1};
};

TEST_F(Probed, AFolderOfThemHarmsNothing) {
  ScratchFolder folder;
  for (const char* name : {"crash_in_constructor", "crash_in_entry", "exit_in_constructor", "wild_names"})
    fs::copy_file(deadly(name), folder / (std::string(name) + ".sluice.so"));
  fs::copy_file(idle(), folder / "idle.sluice.so");
  auto reason = reasons(folder.path(), prober());
  EXPECT_EQ(reason.size(), 5u);
  EXPECT_EQ(reason["idle"], "");
  EXPECT_THAT(reason["crash_in_constructor"], HasSubstr("when it is loaded"));
  EXPECT_THAT(reason["exit_in_constructor"], HasSubstr("ends the program"));
  EXPECT_THAT(reason["wild_names"], HasSubstr("when its modules are looked at"));
}

// The plugins beside the program (here: the test) start without a child.
TEST_F(Probed, OwnFoldersAreTrusted) {
  ScratchFolder folder;
  fs::copy_file(idle(), folder / "idle.sluice.so");
  EXPECT_THAT(reasons(folder.path(), broken_prober())["idle"], HasSubstr("ends the program"));
  EXPECT_EQ(reasons(SLUICE_PLUGINS, broken_prober())["recent"], "");
}

TEST_F(Probed, OtherMachinesAndOtherFilesHaveTheirSentences) {
  ScratchFolder folder;
  const std::string sound = read_file(idle());
  const auto write = [&](const char* name, auto&& change) {
    std::string bytes = sound;
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    change(header);
    std::memcpy(bytes.data(), &header, sizeof header);
    put_bytes(folder / (std::string(name) + ".sluice.so"), bytes);
  };
  const bool here_is_x86 = [&] {
    Elf64_Ehdr header;
    std::memcpy(&header, sound.data(), sizeof header);
    return header.e_machine == EM_X86_64;
  }();
  write("other", [&](Elf64_Ehdr& h) { h.e_machine = here_is_x86 ? EM_AARCH64 : EM_X86_64; });
  write("narrow", [](Elf64_Ehdr& h) { h.e_ident[EI_CLASS] = ELFCLASS32; });
  write("object", [](Elf64_Ehdr& h) { h.e_type = ET_REL; });
  write("program", [](Elf64_Ehdr& h) { h.e_type = ET_EXEC; });
  auto reason = reasons(folder.path(), prober());
  EXPECT_EQ(reason["other"], here_is_x86 ? "was built for AArch64, this machine is x86-64"
                                         : "was built for x86-64, this machine is AArch64");
  EXPECT_EQ(reason["narrow"], "has addresses of 32 bits, this program's have 64");
  EXPECT_EQ(reason["object"], "is an object file and no shared library; link it with -shared");
  EXPECT_EQ(reason["program"], "is no shared library; link it with -shared");
}

}  // namespace
}  // namespace sluice
