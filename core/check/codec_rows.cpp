// Checks of a codec's rows: which sizes it serves, how near they come back, and what becomes of the numbers at the ends
// of what F16 can hold.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check/codec_checks.h"
#include "core/plugins/host.h"
#include "sluice/half.h"

namespace sluice::check {

namespace {

constexpr float kMostHalf = 65504;

double squares(const Rows& x) {
  double sum = 0;
  for (float v : x) sum += double(v) * v;
  return sum;
}

double squared_difference(const Rows& a, const Rows& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}

void expect_finite(const Rows& back, const std::string& what) {
  for (float v : back)
    if (!std::isfinite(v)) fail(fmt::format("{} decode to {}", what, v));
}

// An encode() that may be refused.
struct Attempt {
  sluice_status status;
  bool within;  // the memory it was given
  Coded coded;
};
Attempt try_encode(const CodecProbe& codec, uint32_t side, const Rows& x) {
  Attempt attempt{SLUICE_OK, true, {block_of(side, x, codec.head_dim), Guarded()}};
  const uint32_t rows = attempt.coded.block.rows;
  const Guarded scratch(codec.scratch(side, rows, 0)), to(codec.bound(side, rows));
  size_t bytes = 0;
  attempt.status =
      codec.table().encode(codec.self(), &attempt.coded.block, x.data(), scratch.data(), to.data(), &bytes);
  attempt.within = scratch.intact() && to.intact() && bytes <= to.size();
  attempt.coded.memory = Guarded(std::min(bytes, to.size() + Guarded::kGuard));
  std::memcpy(attempt.coded.memory.data(), to.data(), attempt.coded.memory.size());
  return attempt;
}

}  // namespace

void codec_create(const Subject& subject) {
  const auto& table = *static_cast<const sluice_codec*>(subject.module->table);
  std::string refusals;
  uint32_t served = 0;
  for (const uint32_t head_dim : kWideHeadDims) {
    HostState host(*subject.registry, *subject.module, nullptr);
    const sluice_geometry geometry = CodecProbe::geometry(head_dim);
    void* self = nullptr;
    const sluice_status status =
        host.run_create([&] { return table.create(&host.table, &geometry, subject.values.data(), &self); });
    if (status == SLUICE_OK) {
      expect(self != nullptr, "create() succeeded but gave no instance");
      table.destroy(self);
      host.parts.clear();  // what it forgot of them goes with it
      expect(host.bytes == 0, fmt::format("destroy() leaves {} bytes of host->alloc behind", host.bytes.load()));
      served++;
      continue;
    }
    const std::string message = host.take_message();
    expect(status == SLUICE_UNSUPPORTED || status == SLUICE_INVALID,
           fmt::format("create() fails with status {} at head_dim {}; a size that it does not serve is "
                       "SLUICE_UNSUPPORTED",
                       status, head_dim));
    expect(!message.empty(), fmt::format("create() refuses head_dim {} without a message to host->fail()", head_dim));
    refusals += (refusals.empty() ? "" : "; ") + message;
  }
  expect(served > 0, "create() refuses every usual head size: " + refusals);
}

void codec_plan(const Subject& subject) {
  each_size(subject, kHeadDims, kWatchNothing, [](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const sluice_codec_plan plan = codec.plan(side), again = codec.plan(side);
      const std::string where = "plan() of " + side_text(codec, side);
      constexpr uint32_t kMost = 1u << 20;
      expect(
          plan.block_rows >= 1 && plan.max_rows >= plan.block_rows && plan.max_rows <= kMost && plan.residual <= kMost,
          fmt::format("{} asks for blocks of {} rows, {} more that stay dense and at most {} rows in a block; "
                      "blocks hold 1 to {} rows and no more stay dense",
                      where, plan.block_rows, plan.residual, plan.max_rows, kMost));
      expect(plan.max_rows % plan.block_rows == 0, fmt::format("{} has max_rows {}, which is no multiple of block_rows "
                                                               "{}",
                                                               where, plan.max_rows, plan.block_rows));
      expect(plan.exact <= 1, fmt::format("{} has exact {}; it is 0 or 1", where, plan.exact));
      expect(std::isfinite(plan.tolerance) && plan.tolerance >= 0 && (plan.exact || plan.tolerance > 0),
             fmt::format("{} promises a tolerance of {}; a codec that is not exact has some", where, plan.tolerance));
      expect(plan.block_rows == again.block_rows && plan.residual == again.residual &&
                 plan.max_rows == again.max_rows && plan.exact == again.exact && plan.tolerance == again.tolerance,
             where + " gives another answer when it is asked again");
    }
  });
}

// The error of few numbers varies with the draw, and the promise is of its size on the whole: small blocks are judged
// several at a time, some 4,000 numbers in all.
void codec_tolerance(const Subject& subject) {
  each_size(subject, kWideHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const sluice_codec_plan plan = codec.plan(side);
      std::vector<uint32_t> counts = row_counts(plan);
      counts.push_back(most_rows(plan));
      for (const uint32_t rows : counts)
        for (const uint32_t prompt : {0u, 1u}) {
          if (rows > plan.block_rows && !prompt) continue;  // only a prompt fills longer blocks
          const uint32_t blocks = std::clamp(4096 / (rows * codec.head_dim), 1u, 16u);
          double error = 0, size = 0;
          for (uint32_t b = 0; b < blocks; b++) {
            const Rows x = random_rows(rows, codec.head_dim, subject.seed + 31 * rows + b);
            error += squared_difference(x, codec.decode(codec.encode(side, x, subject.seed + b, prompt)));
            size += squares(x);
          }
          const double relative = std::sqrt(error / size);
          expect(relative <= plan.tolerance || (plan.exact && relative == 0),
                 fmt::format("decode() of {} {} rows of {} is {:.4g} off, the promised tolerance is {:.4g}", rows,
                             prompt ? "prompt" : "decoded", side_text(codec, side), relative, plan.tolerance));
        }
    }
  });
}

void codec_exact(const Subject& subject) {
  bool claimed = false;
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    Rows all;
    for (uint32_t bits = 0; bits < 0x10000; bits++)
      if ((bits & 0x7C00) != 0x7C00) all.push_back(sluice_from_half(uint16_t(bits)));
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const sluice_codec_plan plan = codec.plan(side);
      if (!plan.exact) continue;
      claimed = true;
      const size_t room = size_t(plan.block_rows) * codec.head_dim;
      for (size_t first = 0; first < all.size(); first += room) {
        Rows x(all.begin() + ptrdiff_t(first), all.begin() + ptrdiff_t(std::min(all.size(), first + room)));
        x.resize(room);
        const Rows back = codec.decode(codec.encode(side, x));
        for (size_t i = 0; i < x.size(); i++)
          if (back[i] != x[i])
            fail(
                fmt::format("plan() of {} says exact, but {} comes back as {}", side_text(codec, side), x[i], back[i]));
      }
    }
  });
  if (!claimed) skip("plan() promises no exactness");
}

void codec_ranges(const Subject& subject) {
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    const uint32_t d = codec.head_dim;
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const sluice_codec_plan plan = codec.plan(side);
      const uint32_t rows = std::min(plan.block_rows + 5, most_rows(plan));
      const Coded coded = codec.encode(side, key_like_rows(rows, d, subject.seed + 3), subject.seed, 1);
      const Rows all = codec.decode(coded);
      for (uint32_t first = 0; first < rows; first += 7)
        for (const uint32_t count : {1u, 5u, rows - first}) {
          if (count > std::min(64u, rows - first)) continue;
          const Rows part = codec.decode(coded, first, count);
          expect(std::memcmp(part.data(), all.data() + size_t(first) * d, part.size() * sizeof(float)) == 0,
                 fmt::format("decode() of rows {} to {} of {} gives other bits than decoding all of the block", first,
                             first + count - 1, side_text(codec, side)));
        }
    }
  });
}

void codec_extremes(const Subject& subject) {
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    const uint32_t d = codec.head_dim;
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const uint32_t rows = codec.plan(side).block_rows;
      const auto try_rows = [&](const Rows& x, const std::string& what) {
        for (const uint32_t prompt : {0u, 1u})
          expect_finite(codec.decode(codec.encode(side, x, subject.seed, prompt)), what);
      };
      for (const float constant : {0.0f, 3.0f, -0.125f, kMostHalf, -kMostHalf, 0x1p-24f})
        try_rows(Rows(size_t(rows) * d, constant), fmt::format("rows of nothing but {}", constant));
      for (const float scale : {1e-7f, 1e-5f, 20000.0f}) {
        Rows x = random_rows(rows, d, subject.seed + 8, scale);
        for (float& v : x) v = std::clamp(v, -kMostHalf, kMostHalf);
        try_rows(x, fmt::format("rows of size {}", scale));
      }
      Rows outliers = random_rows(rows, d, subject.seed + 9), ends = outliers;
      for (size_t i = 0; i < outliers.size(); i += 97) outliers[i] = i % 2 ? 1e4f : -1e4f;
      ends.front() = kMostHalf, ends.back() = -kMostHalf;
      try_rows(outliers, "rows with outliers of 1e4");
      try_rows(ends, "rows with both ends of F16");
    }
  });
}

void codec_nonfinite(const Subject& subject) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  each_size(subject, kHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      const Rows plain = random_rows(codec.plan(side).block_rows, codec.head_dim, subject.seed + 2);
      const bool tidy = try_encode(codec, side, plain).within;  // otherwise codec-bounds and codec-scratch tell
      for (const float bad : {kNan, kInf, -kInf})
        for (const bool all : {false, true}) {
          Rows x = plain;
          if (all) std::fill(x.begin(), x.end(), bad);
          x[3] = bad, x[x.size() / 2] = bad, x.back() = bad;
          const Attempt attempt = try_encode(codec, side, x);
          const std::string what = fmt::format("encode() of {} with {}", side_text(codec, side), bad);
          expect(attempt.within || !tidy, what + " writes beyond its memory");
          if (attempt.status != SLUICE_OK) {
            const std::string message = static_cast<HostState*>(codec.instance().host()->ctx)->take_message();
            expect(!message.empty(), fmt::format("{} fails with status {} and no message", what, attempt.status));
            continue;
          }
          for (const float v : codec.decode(attempt.coded))
            if (!std::isfinite(v)) fail(fmt::format("{} is accepted, and decode() gives {}", what, v));
        }
    }
  });
}

}  // namespace sluice::check
