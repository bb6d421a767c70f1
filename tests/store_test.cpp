// A store gives back what was put in, to one writer and any readers; what cannot be opened or written is told with the
// right exit code and stays as it was.
#include "core/store/store.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "support/scratch_folder.h"
#include "support/store_samples.h"

namespace sluice {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::sample;
using testing::ScratchFolder;

RunRecord record(const std::string& policy = "gear2") {
  return {policy, "gsm8k_cot", "3", "lm-eval", {{"model", "abc"}, {"bits", "2"}}, "[codec]\n", R"({"n": 1})"};
}

TEST(Sha256, GivesThePublishedDigest) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // A field's length is part of it.
  EXPECT_NE(Sha256().add_field("ab").add_field("c").hex(), Sha256().add_field("a").add_field("bc").hex());
}

TEST(Store, GivesBackWhatWasPutIn) {
  const ScratchFolder folder;
  const SampleRecord first = sample(7), second = sample(3);
  {
    Store store = Store::to_write(folder / "out" / "a");
    const int64_t run = store.begin_run(record());
    store.add(run, first), store.add(run, second);
    EXPECT_EQ(store.begin_run(record()), run);
    EXPECT_NE(store.begin_run(record("gear4")), run);
  }
  Store store = Store::to_read(folder / "out" / "a");
  const std::vector<StoredRun> runs = store.runs();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].record.key(), record().key());
  EXPECT_EQ(runs[0].record.identity, record().identity);
  EXPECT_EQ(runs[0].record.details, R"({"n": 1})");
  EXPECT_EQ(runs[0].samples, 2u);
  const std::vector<SampleRecord> samples = store.samples(runs[0].run);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(testing::dump(samples[0]), testing::dump(second)) << "in order of doc_id";
  EXPECT_EQ(testing::dump(samples[1]), testing::dump(first));
  EXPECT_EQ(store.done(runs[0].run),
            (std::set<std::pair<uint64_t, std::string>>{{3, second.prompt_key()}, {7, first.prompt_key()}}));
  EXPECT_TRUE(store.samples(runs[1].run).empty());
}

TEST(Store, FidelityGoesWithItsSample) {
  const ScratchFolder folder;
  Store store = Store::to_write(folder.path());
  const int64_t run = store.begin_run(record()), other = store.begin_run(record("gear4"));
  const SampleRecord s = sample(7);
  store.add(run, s);
  FidelityRecord f{7, s.prompt_key(), "abc", {{1, 0.5f, 0.25f, 1}, {3, 0.5f, 0.75f, 0}}};
  store.add_fidelity(run, f);
  f.doc_id = 8;  // of no sample
  store.add_fidelity(run, f);
  EXPECT_TRUE(store.fidelity(other).empty());
  std::vector<FidelityRecord> found = store.fidelity(run);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].doc_id, 7u);
  EXPECT_EQ(found[0].prompt_key, s.prompt_key());
  EXPECT_EQ(found[0].answer, "abc");
  ASSERT_EQ(found[0].tokens.size(), 2u);
  EXPECT_EQ(found[0].tokens[1].nll, 3);
  EXPECT_EQ(found[0].tokens[1].kld, 0.75f);
  EXPECT_EQ(found[0].tokens[1].same_top, 0);
  // The means stand beside them, for people.
  Database file(folder / "samples.sqlite", Database::Open::kRead);
  Statement means(file, "SELECT tokens, nll, reference_nll, kld, same_top FROM fidelity");
  ASSERT_TRUE(means.step());
  EXPECT_EQ(means.number(0), 2);
  EXPECT_EQ(means.real(1), 2);
  EXPECT_EQ(means.real(2), 0.5);
  EXPECT_EQ(means.real(3), 0.5);
  EXPECT_EQ(means.real(4), 0.5);
  f.doc_id = 7, f.answer = "abd", f.tokens.clear();
  store.add_fidelity(run, f);
  found = store.fidelity(run);
  ASSERT_EQ(found.size(), 1u) << "the last one counts";
  EXPECT_TRUE(found[0].tokens.empty());
  store.add(run, s);
  EXPECT_TRUE(store.fidelity(run).empty()) << "a sample made anew was not measured";
}

// Whatever an answer follows from makes another run; what does not, does not.
TEST(Store, ResumingNeverMixes) {
  const std::string key = record().key();
  RunRecord other = record();
  other.config = "# another comment", other.details = "{}";
  EXPECT_EQ(other.key(), key);
  const std::vector<std::function<void(RunRecord&)>> changes = {[](RunRecord& r) { r.policy = "x"; },
                                                                [](RunRecord& r) { r.task = "gsm8k"; },
                                                                [](RunRecord& r) { r.task_version = "4"; },
                                                                [](RunRecord& r) { r.protocol = "gear"; },
                                                                [](RunRecord& r) { r.identity[0].second = "abd"; },
                                                                [](RunRecord& r) { r.identity.pop_back(); },
                                                                [](RunRecord& r) {
                                                                  r.identity[0] = {"modela", "bc"};
                                                                }};
  for (const auto& change : changes) {
    RunRecord changed = record();
    change(changed);
    EXPECT_NE(changed.key(), key);
  }
  // The same document with another prompt is another sample.
  const ScratchFolder folder;
  Store store = Store::to_write(folder.path());
  const int64_t run = store.begin_run(record());
  SampleRecord a = sample(1), b = a;
  b.arguments = R"([{"until": ["Q:"], "max_gen_toks": 128}])";
  store.add(run, a);
  EXPECT_FALSE(store.done(run).count({1, b.prompt_key()}));
  store.add(run, b);
  EXPECT_EQ(store.samples(run).size(), 2u);
  // The same again takes the place of what was there.
  a.responses = R"([["another"]])", a.filtered.pop_back(), a.bytes.pop_back();
  store.add(run, a);
  ASSERT_EQ(store.samples(run).size(), 2u);
  EXPECT_EQ(testing::dump(store.samples(run)[1]), testing::dump(a));
}

TEST(Store, ASecondWriterIsToldWhoTheFirstIs) {
  const ScratchFolder folder;
  Store store = Store::to_write(folder.path());
  const Error error = error_of([&] { Store::to_write(folder.path()); });
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_THAT(error.what(), HasSubstr(fmt::format("process {} on ", getpid())));
  EXPECT_THAT(error.what(), HasSubstr("one writer at a time"));
}

TEST(Store, ReadersSeeWhatIsCommittedBesideAWriter) {
  const ScratchFolder folder;
  Store store = Store::to_write(folder.path());
  const int64_t run = store.begin_run(record());
  Store one = Store::to_read(folder.path()), two = Store::to_read(Store::file_in(folder.path()));
  for (uint64_t i = 0; i < 5; i++) {
    store.add(run, sample(i));
    EXPECT_EQ(one.samples(run).size(), i + 1);
    EXPECT_EQ(two.runs()[0].samples, i + 1);
  }
  EXPECT_THROW(one.add(run, sample(9)), Error);
}

TEST(Store, WhatIsNoStoreOfOursIsLeftAlone) {
  const ScratchFolder folder;
  const std::filesystem::path file = Store::file_in(folder.path());
  const auto refuses = [&](const char* why) {
    const std::string before = read_file(file);
    for (const bool write : {true, false}) {
      const Error error = error_of([&] { write ? Store::to_write(folder.path()) : Store::to_read(folder.path()); });
      EXPECT_THAT(error.what(), HasSubstr(why)) << write;
      EXPECT_EQ(error.code(), kExitUsage);
    }
    EXPECT_EQ(read_file(file), before);
  };
  testing::put_bytes(file, std::string(5000, 'x'));
  refuses("is damaged or no store");
  std::filesystem::remove(file);
  { Database(file, Database::Open::kCreate).execute("CREATE TABLE t(x)"); }
  refuses("no store of Sluice");
  std::filesystem::remove(file);
  { Store::to_write(folder.path()); }
  { Database(file, Database::Open::kWrite).execute("PRAGMA user_version = 99"); }
  refuses("is a store of version 99, made by Sluice");
}

TEST(Store, ADamagedStoreIsNoticedBeforeItIsWritten) {
  const ScratchFolder folder;
  const std::filesystem::path file = Store::file_in(folder.path());
  {
    Store store = Store::to_write(folder.path());
    const int64_t run = store.begin_run(record());
    for (uint64_t i = 0; i < 40; i++) store.add(run, sample(i));
  }
  std::string bytes = read_file(file);
  for (size_t at = 3 * 4096; at < 6 * 4096; at++) bytes[at] = char(at * 31);
  testing::put_bytes(file, bytes);
  const Error error = error_of([&] { Store::to_write(folder.path()); });
  EXPECT_THAT(error.what(), HasSubstr("is damaged"));
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_EQ(read_file(file), bytes);
  std::filesystem::resize_file(file, 10000);
  EXPECT_THAT(error_of([&] { Store::to_write(folder.path()); }).what(), HasSubstr("damaged"));
}

TEST(Store, AFolderThatCannotBeWrittenIsTold) {
  const ScratchFolder folder;
  testing::put_bytes(folder / "file", "x");
  for (const std::filesystem::path& place :
       {folder / "file", folder / "file" / "out", std::filesystem::path("/proc/x")}) {
    const Error error = error_of([&] { Store::to_write(place); });
    EXPECT_EQ(error.code(), kExitUsage) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(place.string()));
  }
  const Error error = error_of([&] { Store::to_read(folder / "nothing"); });
  EXPECT_EQ(error.code(), kExitUsage);
  EXPECT_THAT(error.what(), HasSubstr("there is no store here"));
}

// No file may grow beyond a limit, as on a disk that is full: in a child, whose samples up to then must be there.
TEST(Store, AFullDiskLosesNothingThatWasFinished) {
  const ScratchFolder folder;
  { Store::to_write(folder.path()).begin_run(record()); }
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{2000000, 2000000};
    setrlimit(RLIMIT_FSIZE, &limit);
    uint64_t done = 0;
    int code = 0;
    try {
      Store store = Store::to_write(folder.path());
      const int64_t run = store.begin_run(record());
      for (; done < 1000; done++) store.add(run, sample(done));
    } catch (const Error& error) {
      code = error.code() * 10 +
             (std::string(error.what()).find("what was finished before is in the store") != std::string::npos);
    }
    if (write(ends[1], &done, sizeof done) != sizeof done) _exit(99);
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  uint64_t done = 0;
  ASSERT_EQ(read(ends[0], &done, sizeof done), ssize_t(sizeof done));
  close(ends[0]), close(ends[1]);
  EXPECT_EQ(WEXITSTATUS(status), kExitUsage * 10 + 1);
  EXPECT_GT(done, 10u);
  EXPECT_LT(done, 1000u);
  Store store = Store::to_write(folder.path());  // which looks for damage
  const std::vector<SampleRecord> samples = store.samples(store.begin_run(record()));
  ASSERT_EQ(samples.size(), done);
  for (uint64_t i = 0; i < done; i++) EXPECT_EQ(testing::dump(samples[i]), testing::dump(sample(i)));
}

TEST(Store, AFilesHashIsKeptUntilTheFileChanges) {
  const ScratchFolder folder;
  Store store = Store::to_write(folder / "out");
  const std::filesystem::path file = folder / "model";
  testing::put_bytes(file, "abc");
  EXPECT_EQ(store.file_sha256(file), sha256_hex("abc"));
  EXPECT_EQ(store.file_sha256(file), sha256_hex("abc"));
  testing::put_bytes(file, "abcd");
  EXPECT_EQ(store.file_sha256(file), sha256_hex("abcd"));
  EXPECT_THROW(store.file_sha256(folder / "none"), Error);
}

}  // namespace
}  // namespace sluice
