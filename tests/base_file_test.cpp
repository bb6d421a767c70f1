// Maps, whole files, and outputs that appear complete or not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "support/scratch_folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using sluice::testing::error_of;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  size_t entries() const {
    return size_t(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }
  sluice::testing::ScratchFolder folder_;
};

TEST_F(FileTest, WrittenFileIsReadBack) {
  const fs::path path = folder_ / "a";
  write_file(path, "some text");
  EXPECT_EQ(read_file(path), "some text");
  const MappedFile map(path);
  EXPECT_EQ(map.size(), 9u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(map.bytes().data()), map.size()), "some text");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, NothingIsLeftWithoutCommit) {
  const fs::path path = folder_ / "a";
  write_file(path, "old");
  {
    AtomicFile file(path);
    file.write(std::string(3 << 20, 'x'));
    EXPECT_EQ(file.written(), uint64_t(3 << 20));
    EXPECT_EQ(entries(), 2u);  // the temporary stands beside the target
  }
  EXPECT_EQ(entries(), 1u);
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(FileTest, TargetIsReplacedAtCommitOnly) {
  const fs::path path = folder_ / "a";
  write_file(path, "old");
  AtomicFile file(path);
  file.write("new");
  EXPECT_EQ(read_file(path), "old");
  file.commit();
  EXPECT_EQ(read_file(path), "new");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, LinkKeepsPointingAtItsFile) {
  write_file(folder_ / "a", "old");
  fs::create_symlink(folder_ / "a", folder_ / "link");
  write_file(folder_ / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_file(folder_ / "a"), "new");
}

TEST_F(FileTest, PermissionsOfTheTargetStay) {
  const fs::path path = folder_ / "a";
  write_file(path, "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  write_file(path, "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(FileTest, FullDiskIsAnErrorWithExitOne) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  AtomicFile file("/dev/full");
  const Error error = error_of([&] {
    file.write("x");
    file.commit();
  });
  EXPECT_EQ(error.code(), kExitFailed);
  EXPECT_THAT(error.what(), HasSubstr("/dev/full: cannot be written: No space left on device"));
  EXPECT_TRUE(fs::exists("/dev/full"));
}

TEST_F(FileTest, PipesAndDevicesAreWrittenDirectly) {
  write_file("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(FileTest, FolderThatDoesNotExist) {
  const Error error = error_of([&] { write_file(folder_ / "none/a", "x"); });
  EXPECT_EQ(error.code(), kExitFailed);
  EXPECT_THAT(error.what(), HasSubstr("none/a: cannot be created: No such file or directory"));
}

TEST_F(FileTest, UnreadableInputsAreNamed) {
  EXPECT_THAT(error_of([&] { read_file(folder_ / "none"); }).what(), HasSubstr("none: cannot be opened: No such file"));
  EXPECT_THAT(error_of([&] { read_file(folder_.path()); }).what(), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { MappedFile map(folder_.path()); }).what(), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { MappedFile map("/dev/null"); }).what(), HasSubstr("not a regular file"));
  const std::filesystem::path pipe = folder_ / "pipe";  // nobody will ever write to it
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { MappedFile map(pipe); }).what(), HasSubstr("not a regular file"));
  EXPECT_EQ(error_of([&] { MappedFile map(folder_ / "none"); }).code(), kExitUsage);
}

TEST_F(FileTest, LimitOfReadFile) {
  write_file(folder_ / "a", std::string(100, 'x'));
  EXPECT_EQ(read_file(folder_ / "a", 100).size(), 100u);
  EXPECT_THAT(error_of([&] { read_file(folder_ / "a", 99); }).what(), HasSubstr("larger than 99 bytes"));
}

TEST_F(FileTest, EmptyFile) {
  write_file(folder_ / "a", "");
  EXPECT_EQ(read_file(folder_ / "a"), "");
  EXPECT_EQ(MappedFile(folder_ / "a").size(), 0u);
}

TEST_F(FileTest, MapMovesAndHintsChangeNothing) {
  std::string text(3 * 4096 + 7, 'x');
  text[4096] = 'y';
  write_file(folder_ / "a", text);
  MappedFile first(folder_ / "a");
  const std::byte* const data = first.bytes().data();
  MappedFile second = std::move(first);
  EXPECT_EQ(first.size(), 0u);
  EXPECT_EQ(second.bytes().data(), data);
  second.drop_range(0, UINT64_MAX);
  second.drop_range(UINT64_MAX, 1);
  EXPECT_EQ(second.bytes()[4096], std::byte('y'));
  EXPECT_EQ(second.bytes()[text.size() - 1], std::byte('x'));
}

}  // namespace
}  // namespace sluice
