// Checks of what an evictor offers beyond its table (sluice/extensions.h). The driver calls what is offered in all
// other checks too; here is what only these tables promise.
#include <fmt/format.h>

#include "core/check/evictor_checks.h"
#include "core/check/evictor_trial.h"
#include "core/plugins/host.h"
#include "core/plugins/interfaces.h"

namespace sluice::check {
namespace {

template <class Table>
const Table& table_of(const Subject& subject, const char* id) {
  const void* table = find_extension(*subject.module, id).table;
  if (!table) skip(fmt::format("it does not offer {}", id));
  return *static_cast<const Table*>(table);
}

void expect_message(const Instance& evictor, const char* verb, sluice_status status, const std::string& when) {
  HostState& host = *static_cast<HostState*>(evictor.host()->ctx);
  expect(status == SLUICE_OK || !host.take_message().empty(),
         fmt::format("{}() refuses with status {} and gives no message {}", verb, status, when));
}

}  // namespace

void extension_rows(const Subject& subject) {
  table_of<sluice_evictor_rows>(subject, SLUICE_EVICTOR_ROWS);
  for (uint32_t kv_heads : {0u, 4u}) {  // a lane per head; one lane for four heads
    const Trial trial(subject, kv_heads ? 1 : 3, 4, kv_heads);
    Shape wide = trial.shape;
    wide.capacity = 2 * trial.shape.budget, wide.prompt = 1;
    EvictorDriver driver(trial.evictor, wide);
    trial.prompt(driver, wide.capacity);
    trial.decode(driver, 60);
  }
  {  // Rows that have neither length nor direction.
    const Trial trial(subject, 3, 4);
    EvictorDriver driver = trial.driver();
    driver.set_rows([](uint32_t, uint32_t, uint32_t, uint32_t) { return 0.0f; });
    trial.decode(driver, 60);
  }
  // A host that knows nothing of rows is served, or told why not.
  const Trial trial(subject, 3, 4);
  EvictorDriver plain = trial.driver(1, {.offers_rows = false});
  plain.insert(trial.shape.budget + 1);
  plain.observe(trial.shape.budget + 1, trial.attention(0));
  expect_message(trial.evictor, "select", plain.try_select(4), "where there are no rows");
}

void extension_reads(const Subject& subject) {
  table_of<sluice_evictor_rows>(subject, SLUICE_EVICTOR_ROWS);
  const Trial trial(subject, 3, 4);
  EvictorDriver driver = trial.driver();
  trial.decode(driver, 30);
  driver.break_rows();
  while (driver.live(0).size() <= trial.shape.budget) driver.insert(1);
  const uint64_t before = driver.rows_read();
  const sluice_status status = driver.try_select(4);
  if (driver.rows_read() == before) return;  // it may do without
  expect(status != SLUICE_OK, "select() goes on although rows could not be read");
}

void extension_window(const Subject& subject) {
  const auto& window = table_of<sluice_evictor_window>(subject, SLUICE_EVICTOR_WINDOW);
  const Trial trial(subject, 3, 4);
  const uint32_t size = window.size(trial.evictor.self());
  expect(size >= 1 && size <= SLUICE_WINDOW_MOST,
         fmt::format("size() wants {} queries, not 1 to {}", size, SLUICE_WINDOW_MOST));
  for (uint32_t tokens : {1u, size, size + 1, 2 * trial.shape.budget + size}) {
    Shape wide = trial.shape;
    wide.capacity = tokens, wide.prompt = 1;
    EvictorDriver driver(trial.evictor, wide);
    trial.prompt(driver, tokens);
    if (driver.live(0).size() <= trial.shape.budget) trial.decode(driver, 40);
  }
  expect(window.size(trial.evictor.self()) == size, "size() changes during the life of an instance");
}

void extension_layers(const Subject& subject) {
  const auto& budgets = table_of<sluice_evictor_budget>(subject, SLUICE_EVICTOR_BUDGET);
  const Trial trial(subject, 2, 16);
  const void* self = trial.evictor.self();
  for (uint32_t budget : {trial.shape.budget, trial.shape.budget + 7, 4 * trial.shape.budget})
    for (uint32_t interval : {1u, 16u}) {
      uint64_t sum = 0;
      for (uint32_t layer = 0; layer < kLayers; layer++) {
        const uint32_t share = budgets.layer(self, layer, budget, interval);
        expect(share == budgets.layer(self, layer, budget, interval), "layer() answers otherwise when asked again");
        expect(share >= interval,
               fmt::format("layer() gives layer {} a budget of {} at interval {}", layer, share, interval));
        sum += share;
      }
      expect(sum <= uint64_t(kLayers) * budget,
             fmt::format("layer() shares out {} of {} layers times {}", sum, kLayers, budget));
    }
}

void extension_split(const Subject& subject) {
  if (!table_of<sluice_evictor_budget>(subject, SLUICE_EVICTOR_BUDGET).ragged) skip("its lanes hold equal counts");
  Record first;
  for (int again = 0; again < 2; again++) {
    const Trial trial(subject, 3, 4);
    Shape shape = trial.shape;
    shape.capacity = 3 * trial.shape.budget, shape.prompt = 1;
    EvictorDriver driver(trial.evictor, shape);
    Record record;
    const auto evict = [&] {
      uint32_t live = 0;
      for (uint32_t lane = 0; lane < 3; lane++) live += uint32_t(driver.live(lane).size());
      if (live > 3 * shape.budget) append(record, driver.select_split(live - 3 * (shape.budget - shape.interval + 1)));
    };
    driver.insert(shape.capacity);
    driver.observe(shape.capacity, trial.attention(0, 1));
    driver.look_back(shape.capacity);
    evict();
    driver.resize(3 * (shape.budget + shape.interval), false);
    for (uint32_t step = 0; step < 100; step++) {
      driver.insert(shape.interval);
      driver.observe(shape.interval, trial.attention(step));
      evict();
    }
    if (again) expect(record == first, "the same calls again give other victims");
    first = std::move(record);
  }
}

}  // namespace sluice::check
