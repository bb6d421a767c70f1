// The results of evaluations on the disk: one SQLite file in an output folder, to which each sample is written whole as
// it ends. What is committed survives the death of the process; others may read meanwhile. docs/store.md describes it.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "core/store/records.h"
#include "core/store/schema.h"
#include "core/store/store_lock.h"

namespace sluice {

struct StoredRun {
  int64_t run = 0;
  RunRecord record;
  std::string began, ended;  // "2026-01-31T17:05:09Z": the run, its last sample; "" without one
  uint64_t samples = 0;
};

class Store {
 public:
  static std::filesystem::path file_in(const std::filesystem::path& folder) { return folder / "samples.sqlite"; }

  // Opens or makes the store of a folder, which is made if need be, and keeps other writers out until this goes.
  static Store to_write(const std::filesystem::path& folder);
  // Of a folder, or the file itself. Beside a writer each call sees what was committed before it.
  static Store to_read(const std::filesystem::path& place);

  // ---- writing
  // The run with this record's key, made if there is none. Its config and details are those given now.
  int64_t begin_run(const RunRecord& record);
  // In one transaction. A sample that is there already is replaced.
  void add(int64_t run, const SampleRecord& sample);
  // Of a sample that is there. What was known of it before is replaced.
  void add_fidelity(int64_t run, const FidelityRecord& record);
  void set_details(int64_t run, std::string_view json);
  // Of the file's contents; kept, so that a large file is not read again until its size, time or inode changes.
  std::string file_sha256(const std::filesystem::path& file);

  // ---- reading
  std::vector<StoredRun> runs();
  // What need not be done again: (doc_id, SampleRecord::prompt_key()).
  std::set<std::pair<uint64_t, std::string>> done(int64_t run);
  // In order of doc_id.
  std::vector<SampleRecord> samples(int64_t run);
  // Those that were measured, in order of doc_id.
  std::vector<FidelityRecord> fidelity(int64_t run);

 private:
  Store(std::unique_ptr<StoreLock> lock, std::unique_ptr<Database> database);
  std::string keep_text(std::string_view text);

  std::unique_ptr<StoreLock> lock_;  // goes last
  std::unique_ptr<Database> database_;
};

}  // namespace sluice
