// Checks that all others of an evictor rest on: it can be made, stays within its memory, and names victims that are
// there. Whether its choices repeat is evictor_repetition.cpp's business, extreme sizes and signals
// evictor_limits.cpp's.
#include <fmt/format.h>

#include <cstring>

#include "core/check/evictor_checks.h"
#include "core/check/evictor_trial.h"
#include "core/plugins/host.h"

namespace sluice::check {
namespace {

const sluice_evictor& table_of(const Subject& subject) {
  return *static_cast<const sluice_evictor*>(subject.module->table);
}

constexpr Habits kPlain{.moves = false, .reuses_late = false};

void refuse_too_many(const Subject& subject, uint32_t lanes) {
  const Trial trial(subject, lanes, 4);
  EvictorDriver driver = trial.driver(1, kPlain);
  driver.insert(20);
  driver.observe(20, trial.attention(0));
  const GuardedState before = driver.state();
  const sluice_status status = driver.try_select(21);
  const std::string what = fmt::format("21 victims of 20 tokens in {} lanes", lanes);
  if (status == SLUICE_OK) fail("select() claims to name " + what);
  expect(!static_cast<HostState*>(trial.evictor.host()->ctx)->take_message().empty(),
         fmt::format("select() refuses {} with status {} and gives no message", what, status));
  expect(driver.state() == before, fmt::format("select() refuses {} and changes its state", what));
}

}  // namespace

void evictor_create(const Subject& subject) {
  HostState host(*subject.registry, *subject.module, nullptr);
  const sluice_geometry geometry{3, 4, 2, kHeadDim, 4096};
  const auto create = [&](void*& self) {
    const sluice_status status =
        host.run_create([&] { return table_of(subject).create(&host.table, &geometry, subject.values.data(), &self); });
    if (status == SLUICE_OK) {
      expect(self != nullptr, "create() succeeds and gives no instance");
      return;
    }
    const std::string said = host.take_message();
    expect(!said.empty(), fmt::format("create() returns status {} and gives no message", status));
    if (status == SLUICE_UNSUPPORTED)
      skip("create() needs what this host does not offer: " + said + "; --path FOLDER says where other plugins are");
    fail("create() refuses these parameters: " + said);
  };
  void *one = nullptr, *other = nullptr;
  create(one);
  create(other);
  table_of(subject).destroy(other);
  table_of(subject).destroy(one);
  host.parts.clear();  // what it forgot of them goes with it
  expect(host.bytes == 0, fmt::format("destroy() leaves {} bytes of host->alloc behind", host.bytes.load()));
}

void evictor_signal(const Subject& subject) {
  const Instance evictor = make_instance(subject, 2);
  for (uint32_t prompt : {0u, 1u}) {
    sluice_signal once, again;
    std::memset(&once, 0, sizeof once);
    std::memset(&again, 0, sizeof again);
    table_of(subject).signal(evictor.self(), prompt, &once);
    table_of(subject).signal(evictor.self(), prompt, &again);
    expect(once.kind <= SLUICE_PEAK, fmt::format("signal() wants kind {}, which there is not", once.kind));
    expect(once.skip_self <= 1, fmt::format("signal() sets skip_self to {}", once.skip_self));
    expect(std::memcmp(&once, &again, sizeof once) == 0, "signal() wants another signal when it is asked again");
  }
}

void evictor_memory(const Subject& subject) {
  const Trial trial(subject, 2, 4);
  EvictorDriver driver = trial.driver(1, kPlain);
  const sluice_lanes lanes = driver.lanes();
  expect(table_of(subject).state_size(trial.evictor.self(), &lanes) == driver.state().size(),
         "state_size() gives another size when it is asked again");
  try {
    for (uint32_t step = 0; step < 100; step++) driver.step(4, trial.attention(step));
  } catch (const WrongVictims&) {
    // evictor-victims tells.
  }
}

void evictor_victims(const Subject& subject) {
  for (uint32_t interval : {1u, 4u}) {
    const Trial trial(subject, 2, interval);
    EvictorDriver driver = trial.driver(1, kPlain);
    for (uint32_t step = 0; step < 200; step++) driver.step(interval, trial.attention(step));
  }
}

void evictor_number(const Subject& subject) {
  const Trial trial(subject, 2, 16);
  const uint32_t live = trial.shape.budget + 16, must = live - (trial.shape.budget - 15);
  // The most it gives, between what it must and all but one.
  const auto gives = [&](uint32_t n) {
    EvictorDriver driver = trial.driver(1, kPlain);
    driver.insert(live);
    driver.observe(live, trial.attention(0));
    return driver.try_select(n) == SLUICE_OK;
  };
  uint32_t most = must, refused = live;
  expect(gives(must),
         fmt::format("select() refuses {} victims of {} tokens, though budget and interval ask for them", must, live));
  if (gives(live - 1)) most = live - 1;
  while (most + 1 < refused && most != live - 1) {
    const uint32_t middle = (most + refused) / 2;
    (gives(middle) ? most : refused) = middle;
  }
  for (uint32_t n : {1u, 2u, 5u, 7u, must, most}) {
    EvictorDriver driver = trial.driver(1, kPlain);
    driver.insert(live);
    driver.observe(live, trial.attention(1));
    driver.select(n);
    // It goes on from there as well.
    for (uint32_t step = 2; step < 20; step++) {
      while (driver.live(0).size() + 16 > trial.shape.capacity) driver.select(1);
      driver.step(16, trial.attention(step));
    }
  }
}

void evictor_refusals(const Subject& subject) {
  for (uint32_t lanes : {2u, 1u}) refuse_too_many(subject, lanes);

  // Budgets that leave nothing after an eviction.
  const Trial trial(subject, 2, 4);
  for (uint32_t budget : {1u, 3u, 15u}) {
    Shape narrow = trial.shape;
    narrow.budget = budget, narrow.interval = 16, narrow.capacity = budget + 16;
    sluice_lanes lanes{narrow.layer, narrow.lanes, narrow.capacity, narrow.budget, narrow.interval, 0};
    GuardedState state(table_of(subject).state_size(trial.evictor.self(), &lanes));
    const sluice_status status = table_of(subject).reset(trial.evictor.self(), state.data(), &lanes);
    const std::string said = static_cast<HostState*>(trial.evictor.host()->ctx)->take_message();
    expect(status == SLUICE_OK || !said.empty(),
           fmt::format("reset() refuses budget {} at interval 16 with status {} and gives no message", budget, status));
  }
}

void evictor_budget(const Subject& subject) {
  for (uint32_t interval : {1u, 3u, 4u, 16u}) {
    const Trial trial(subject, 2, interval);
    EvictorDriver driver = trial.driver(1, kPlain);
    for (uint32_t step = 0; step < 1500 / interval + 100; step++) {
      driver.step(interval, trial.attention(step));
      for (uint32_t lane = 0; lane < trial.shape.lanes; lane++)
        expect(driver.live(lane).size() <= trial.shape.budget,
               fmt::format("lane {} holds {} tokens at budget {}", lane, driver.live(lane).size(), trial.shape.budget));
    }
  }
}

}  // namespace sluice::check
