// Checks of what a codec's verbs cost on the step path: allocations, time, and whether a device can take them over.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/check/allocations.h"
#include "core/check/codec_checks.h"
#include "core/check/codec_lane.h"
#include "core/plugins/interfaces.h"

namespace sluice::check {

namespace {

// One full block with all that its verbs need, so that calls in between take no memory of ours.
struct Calls {
  Calls(const CodecProbe& probe, uint32_t side, uint64_t seed)
      : codec(probe),
        table(probe.table()),
        rows(key_like_rows(probe.plan(side).block_rows, probe.head_dim, seed)),
        block(block_of(side, rows, probe.head_dim, seed)),
        scratch(probe.scratch(side, block.rows, 0)),
        to(probe.bound(side, block.rows)),
        back(64 * size_t(probe.head_dim)),
        lane(probe, side, seed),
        in(lane.queries(SLUICE_TILE, seed)),
        out(SLUICE_TILE * lane.outputs()),
        tile(probe.tile(side, SLUICE_TILE, lane.spans(), lane.stride(), tile_scratch)) {
    for (uint32_t r = 1; r < block.rows; r++) keep.push_back(r);
  }

  void encode() { last |= table.encode(codec.self(), &block, rows.data(), scratch.data(), to.data(), &bytes); }
  void decode() {
    for (uint32_t first = 0; first < block.rows; first += 64)
      last |= table.decode(codec.self(), &block, to.data(), first, std::min(64u, block.rows - first), back.data());
  }
  void account() { table.account(codec.self(), &block, to.data(), &itemised); }
  void retain() { last |= table.retain(codec.self(), &block, to.data(), keep.data(), uint32_t(keep.size()), &bytes); }
  void attend() {
    last |= block.side == SLUICE_KEY ? table.dot(codec.self(), &tile, in.data(), out.data())
                                     : table.accumulate(codec.self(), &tile, in.data(), out.data());
  }

  const CodecProbe& codec;
  const sluice_codec& table;
  Rows rows;
  sluice_block block;
  Guarded scratch, to, tile_scratch;
  std::vector<float> back;
  CodedLane lane;
  std::vector<float> in, out;
  sluice_tile tile;
  std::vector<uint32_t> keep;
  sluice_account itemised{};
  size_t bytes = 0;
  sluice_status last = SLUICE_OK;
};

struct Verb {
  const char* name;
  void (Calls::*call)();
};

std::vector<Verb> verbs_of(const sluice_codec& table, uint32_t side) {
  std::vector<Verb> verbs = {{"encode", &Calls::encode}, {"decode", &Calls::decode}, {"account", &Calls::account}};
  if (table.dot) verbs.push_back({side == SLUICE_KEY ? "dot" : "accumulate", &Calls::attend});
  if (table.retain) verbs.push_back({"retain", &Calls::retain});  // the last: it changes the block
  return verbs;
}

}  // namespace

void codec_allocations(const Subject& subject) {
  redirect_allocations();
  each_size(subject, kFewHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      // The first round is not counted: the host makes room for counters when a name is new.
      Calls first(codec, side, subject.seed), calls(codec, side, subject.seed);
      for (const Verb& verb : verbs_of(codec.table(), side)) {
        (first.*verb.call)();
        const uint64_t bytes = codec.instance().plugin_bytes();
        AllocationWatch watch;
        (calls.*verb.call)();
        const uint64_t taken = watch.stop();
        expect(calls.last == SLUICE_OK, fmt::format("{}() of {} fails", verb.name, side_text(codec, side)));
        expect(taken == 0 && codec.instance().plugin_bytes() == bytes,
               fmt::format("{}() of {} allocates {} times in a call; whatever it needs is scratch()'s to name",
                           verb.name, side_text(codec, side), std::max<uint64_t>(taken, 1)));
      }
    }
  });
}

// Far above what any built-in codec takes on a slow machine: a step codes few rows, a prompt thousands.
void codec_speed(const Subject& subject) {
  constexpr double kMicrosecondsPerRow = 500;
  each_size(subject, kFewHeadDims, kWatchNothing, [&](const CodecProbe& codec) {
    for (const uint32_t side : {SLUICE_KEY, SLUICE_VALUE}) {
      Calls calls(codec, side, subject.seed);
      for (const Verb& verb : {Verb{"encode", &Calls::encode}, Verb{"decode", &Calls::decode}}) {
        const auto start = std::chrono::steady_clock::now();
        (calls.*verb.call)();
        const double each =
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() /
            calls.block.rows;
        if (each > kMicrosecondsPerRow)
          warn(fmt::format("{}() of {} takes {:.0f} us per row; above {:.0f} a prompt waits for its codec", verb.name,
                           side_text(codec, side), each, kMicrosecondsPerRow));
      }
    }
  });
}

void codec_cuda(const Subject& subject) {
  const Extension extension = find_extension(*subject.module, SLUICE_CODEC_CUDA);
  if (!extension.reason.empty()) fail(extension.reason);
  if (!extension.table) skip("it offers no " SLUICE_CODEC_CUDA ": on a CUDA backend it would be simulated");
  skip("no CUDA backend is at hand to compare its device verbs on");
}

}  // namespace sluice::check
