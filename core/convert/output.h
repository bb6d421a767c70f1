// What all converters do with their outputs: rows made by many threads and written in order with bounded memory, and
// the checks before anything is written.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "core/plugins/thread_pool.h"

namespace sluice {

// Calls make(first, count, out) for pieces of rows [0, rows) on the pool's threads, `out` being room for count rows of
// row_bytes, and write(bytes) on the caller's thread for all rows in order. Pieces are whole rows, some megabytes in
// flight; where they begin does not depend on the number of threads.
void stream_rows(uint64_t rows, uint64_t row_bytes, ThreadPool& pool,
                 const std::function<void(uint64_t first, uint64_t count, std::byte* out)>& make,
                 const std::function<void(std::span<const std::byte> bytes)>& write);

// Error unless `out` may be written: it is not `in`, does not exist or `force` allows to replace it, is no folder, and
// the disk has room for `bytes`. `in` may be empty.
void check_output(const std::filesystem::path& in, const std::filesystem::path& out, bool force, uint64_t bytes);

// Error unless `folder` is one and its disk has room for `bytes`; `out` is what the message speaks of.
void check_room(const std::filesystem::path& folder, const std::filesystem::path& out, uint64_t bytes);

// Error with exit code 1 when *stop is set; stop may be NULL.
void check_interrupt(const std::atomic<bool>* stop, const std::filesystem::path& out);

}  // namespace sluice
