// See block.h: fibers, and the order in which they have their turns.
#include "backends/cuda/emulate/block.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace sluice::cuda::emulate {
namespace {

constexpr uint32_t kMostThreads = 1024, kLanes = 32;
constexpr size_t kStack = 64 << 10;
constexpr size_t kGuard = 64;  // bytes behind shared memory
constexpr uint8_t kJunk = 0xFF, kGuardByte = 0xA5;

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "emulated kernel: %s\n", why);
  std::abort();
}

// ---- switching stacks -------------------------------------------------------------------------------

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
// swapcontext() asks the system about signals each time, which is most of a small kernel's run.
struct Context {
  void* stack_pointer = nullptr;
};
asm(R"(
.text
.type sluice_switch_stack, @function
sluice_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq (%rsi), %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sluice_switch_stack, .-sluice_switch_stack
)");
extern "C" void sluice_switch_stack(Context* from, const Context* to) __attribute__((visibility("hidden")));
void switch_to(Context& from, Context& to) { sluice_switch_stack(&from, &to); }
void prepare(Context& context, std::byte* stack, void (*entry)()) {
  auto* top = reinterpret_cast<void**>(stack + kStack);  // 16-byte aligned
  *--top = nullptr;                                      // where entry() would return to
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  context.stack_pointer = top;
}
#else
struct Context {
  ucontext_t context{};
};
void switch_to(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
void prepare(Context& context, std::byte* stack, void (*entry)()) {
  getcontext(&context.context);
  context.context.uc_stack.ss_sp = stack;
  context.context.uc_stack.ss_size = kStack;
  context.context.uc_link = nullptr;
  makecontext(&context.context, entry, 0);
}
#endif

// ---- threads ----------------------------------------------------------------------------------------

enum class State : uint8_t { kRuns, kAtBarrier, kAtShuffle, kDone };

struct Thread {
  Context context;
  State state = State::kDone;
  uint32_t shuffles = 0;  // so far: two sets of values take turns, as lanes come back one after another
};

struct Grid {
  Block now;
  void (*kernel)(const void*) = nullptr;
  const void* arguments = nullptr;
  std::byte* stacks = nullptr;
  std::unique_ptr<Thread[]> threads = std::make_unique<Thread[]>(kMostThreads);
  Context scheduler;
  float values[2][kMostThreads];  // of shuffles
  bool any = false;               // of any_of_block()
  std::vector<uint8_t> shared;

  Grid() {
    void* const memory = mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) stop("no memory for the stacks of its threads");
    stacks = static_cast<std::byte*>(memory);
  }
  void wait(State why) {
    Thread& self = threads[now.thread];
    self.state = why;
    switch_to(self.context, scheduler);
  }
};

Grid& grid() {
  static Grid* const g = new Grid;  // never destroyed: plugins stay loaded until the process ends
  return *g;
}

void thread_entry() {
  Grid& g = grid();
  g.kernel(g.arguments);
  g.wait(State::kDone);
  stop("a thread went on after its end");
}

void run_until_it_waits(Grid& g, uint32_t thread) {
  g.now.thread = thread;
  g.threads[thread].state = State::kRuns;
  switch_to(g.scheduler, g.threads[thread].context);
}

// A warp's lanes until all of them are at the block's barrier or done.
void run_warp(Grid& g, uint32_t first) {
  for (;;) {
    for (uint32_t lane = first; lane < first + kLanes; lane++)
      if (g.threads[lane].state != State::kDone) run_until_it_waits(g, lane);
    const auto in = [&](State state) {
      return std::count_if(&g.threads[first], &g.threads[first] + kLanes,
                           [&](const Thread& t) { return t.state == state; });
    };
    if (in(State::kAtShuffle) == 0) return;
    if (in(State::kAtShuffle) != kLanes) stop("a shuffle that not all lanes of a warp take part in");
  }
}

void run_block(Grid& g) {
  for (uint32_t t = 0; t < g.now.threads; t++) {
    prepare(g.threads[t].context, g.stacks + kStack * t, thread_entry);
    g.threads[t].state = State::kRuns, g.threads[t].shuffles = 0;
  }
  g.any = false;
  for (;;) {
    for (uint32_t first = 0; first < g.now.threads; first += kLanes) run_warp(g, first);
    const auto waiting = std::count_if(&g.threads[0], &g.threads[0] + g.now.threads,
                                       [](const Thread& t) { return t.state == State::kAtBarrier; });
    if (waiting == 0) return;
    if (waiting != g.now.threads) stop("a barrier that not all threads of a block reach");
  }
}

}  // namespace

const Block& block() { return grid().now; }

void sync_block() { grid().wait(State::kAtBarrier); }

bool any_of_block(bool is) {
  Grid& g = grid();
  // The first barrier gathers the votes; the second keeps them until all have read.
  g.any |= is;
  g.wait(State::kAtBarrier);
  const bool result = g.any;
  g.wait(State::kAtBarrier);
  g.any = false;
  g.wait(State::kAtBarrier);
  return result;
}

float shuffle_xor(float value, uint32_t mask) {
  Grid& g = grid();
  const uint32_t self = g.now.thread;
  float* const values = g.values[g.threads[self].shuffles++ % 2];
  values[self] = value;
  g.wait(State::kAtShuffle);
  return values[self ^ mask];
}

void run_grid(void (*kernel)(const void*), const void* arguments, uint32_t grid_x, uint32_t grid_y, uint32_t threads,
              uint32_t shared_bytes) {
  if (threads == 0 || threads % kLanes || threads > kMostThreads) stop("a block of an odd number of threads");
  Grid& g = grid();
  g.kernel = kernel, g.arguments = arguments;
  g.shared.resize(shared_bytes + kGuard + 16);
  auto* const shared = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(g.shared.data()) + 15) & ~uintptr_t(15));
  for (uint32_t y = 0; y < grid_y; y++)
    for (uint32_t x = 0; x < grid_x; x++) {
      g.now = {0, threads, x, y, grid_x, grid_y, shared};
      std::memset(shared, kJunk, shared_bytes);
      std::memset(shared + shared_bytes, kGuardByte, kGuard);
      run_block(g);
      for (size_t i = 0; i < kGuard; i++)
        if (shared[shared_bytes + i] != kGuardByte) stop("shared memory was written past its end");
    }
}

}  // namespace sluice::cuda::emulate
