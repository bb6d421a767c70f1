// See output.h.
#include "core/convert/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {

namespace fs = std::filesystem;

void stream_rows(uint64_t rows, uint64_t row_bytes, ThreadPool& pool,
                 const std::function<void(uint64_t, uint64_t, std::byte*)>& make,
                 const std::function<void(std::span<const std::byte>)>& write) {
  constexpr uint64_t kPieceBytes = uint64_t(1) << 18;
  const uint64_t piece = std::max<uint64_t>(1, kPieceBytes / std::max<uint64_t>(1, row_bytes));
  const uint64_t pieces = (rows + piece - 1) / piece, at_once = 8 * uint64_t(pool.threads());
  std::vector<std::byte> buffer(std::min(rows, piece * at_once) * row_bytes);
  for (uint64_t done = 0; done < pieces; done += at_once) {
    const uint64_t now = std::min(at_once, pieces - done);
    pool.each(uint32_t(now), [&](uint32_t i) {
      const uint64_t first = (done + i) * piece;
      make(first, std::min(piece, rows - first), buffer.data() + i * piece * row_bytes);
    });
    const uint64_t made = std::min((done + now) * piece, rows) - done * piece;
    write(std::span<const std::byte>(buffer.data(), made * row_bytes));
  }
}

void check_room(const fs::path& folder, const fs::path& out, uint64_t bytes) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(fmt::format("{}: there is no folder {}", out.string(), folder.string()));
  const fs::space_info space = fs::space(folder, ignored);
  if (!ignored && space.available < bytes)
    throw Error(fmt::format("{}: needs {}, but only {} are free there", out.string(), human_bytes(bytes),
                            human_bytes(space.available)),
                kExitFailed);
}

void check_output(const fs::path& in, const fs::path& out, bool force, uint64_t bytes) {
  std::error_code ignored;
  const fs::file_status status = fs::status(out, ignored);
  if (fs::exists(status)) {
    if (!in.empty() && fs::equivalent(in, out, ignored))
      throw Error(fmt::format("{}: is the input itself; name another file for the output", out.string()));
    if (fs::is_directory(status))
      throw Error(fmt::format("{}: is a folder, expected the name of a file", out.string()));
    if (!fs::is_regular_file(status)) return;  // a pipe or device is written directly and takes what it takes
    if (!force) throw Error(fmt::format("{}: exists already; --force replaces it", out.string()));
  }
  check_room(out.has_parent_path() ? out.parent_path() : fs::path("."), out, bytes);
}

void check_interrupt(const std::atomic<bool>* stop, const fs::path& out) {
  if (stop && stop->load(std::memory_order_relaxed))
    throw Error(fmt::format("interrupted; {} was not written", out.string()), kExitFailed);
}

}  // namespace sluice
