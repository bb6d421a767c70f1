// See eval_gates.h.
#include "apps/eval_gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <variant>

#include "core/base/error.h"
#include "core/tasks/metrics.h"

namespace sluice {
namespace {

constexpr double kEndless = std::numeric_limits<double>::infinity();

enum Of { kAll, kCounts, kTexts };  // rows that have the figure: all, of metrics that count, of generations

// Of a row whatever its metrics, or of one of them.
using Figure = std::variant<double (*)(const EvalRow&), double (*)(const MetricRow&)>;

struct Field {
  const char* name;
  Figure of;
  double lowest = 0, highest = kEndless;
  bool compares = false;  // with the baseline
  Of rows = kAll;
  bool forces = false;  // measured with --fidelity only
};
double flips_of(const MetricRow& m, uint64_t Flips::*way) {
  return m.difference.flips ? double(*m.difference.flips.*way) : kUnknown;
}
constexpr Field kFields[] = {
    {"difference", [](const MetricRow& m) { return m.difference.difference; }, -kEndless, kEndless, true},
    {"difference_low", [](const MetricRow& m) { return m.difference.interval.low; }, -1, 1, true, kCounts},
    {"difference_high", [](const MetricRow& m) { return m.difference.interval.high; }, -1, 1, true, kCounts},
    {"flips_lost", [](const MetricRow& m) { return flips_of(m, &Flips::lost); }, 0, kEndless, true, kCounts},
    {"flips_won", [](const MetricRow& m) { return flips_of(m, &Flips::won); }, 0, kEndless, true, kCounts},
    {"mcnemar_p", [](const MetricRow& m) { return m.difference.p; }, 0, 1, true, kCounts},
    {"diverged", [](const EvalRow& r) { return double(r.diverged); }, 0, kEndless, true, kTexts},
    // Texts that are the same differ nowhere.
    {"divergence_median", [](const EvalRow& r) { return r.diverged > 0 ? r.divergence_median : kEndless; }, 0, kEndless,
     true, kTexts},
    {"kld", [](const EvalRow& r) { return r.fidelity.kld_mean; }, 0, kEndless, true, kAll, true},
    {"kld_p99", [](const EvalRow& r) { return r.fidelity.kld_p99; }, 0, kEndless, true, kAll, true},
    {"same_top", [](const EvalRow& r) { return r.fidelity.same_top; }, 0, 1, true, kAll, true},
    {"ppl_ratio", [](const EvalRow& r) { return r.fidelity.ppl_ratio; }, 0, kEndless, true, kAll, true},
    {"generated", [](const EvalRow& r) { return r.generated; }, 0, kEndless, false, kTexts},
    {"truncated", [](const EvalRow& r) { return r.truncated; }, 0, 1, false, kTexts},
    {"invalid", [](const MetricRow& m) { return m.invalid; }, 0, 1, false, kTexts},
    {"degenerate", [](const EvalRow& r) { return r.degenerate; }, 0, 1, false, kTexts},
    {"too_short", [](const EvalRow& r) { return double(r.too_short); }},
    {"tokens_kept", [](const EvalRow& r) { return r.kept; }, 0, 1},
    {"bytes", [](const EvalRow& r) { return r.kv.stored ? double(r.kv.bytes) : kUnknown; }},
    {"peak_bytes", [](const EvalRow& r) { return r.kv.stored ? double(r.kv.peak_bytes) : kUnknown; }},
    {"ratio", [](const EvalRow& r) { return r.kv.ratio; }},
    {"bits_per_element", [](const EvalRow& r) { return r.kv.bits_per_element; }},
};

const Field* find_field(std::string_view name) {
  const auto found =
      std::find_if(std::begin(kFields), std::end(kFields), [&](const Field& f) { return f.name == name; });
  return found == std::end(kFields) ? nullptr : found;
}

bool of_metric(const Field* field) { return !field || field->of.index() == 1; }

double figure(const Field* field, const EvalRow& row, const MetricRow& m) {
  if (!field) return m.value;
  return of_metric(field) ? std::get<1>(field->of)(m) : std::get<0>(field->of)(row);
}

// Whether the gate is one on this row's metric; `field`: what find_field() says of it.
bool concerns(const Gate& gate, const Field* field, const EvalRow& row, const MetricRow& m) {
  if (!field) return m.metric.name == gate.field;
  return field->rows == kAll || (field->rows == kCounts ? m.metric.counts() : row.generates);
}

}  // namespace

std::vector<Gate> parse_eval_gates(std::span<const std::string> texts) {
  std::vector<GateField> fields;
  for (const TaskKind kind : {TaskKind::kGenerate, TaskKind::kMultipleChoice, TaskKind::kPerplexity})
    for (const std::string_view name : metrics_of(kind))
      fields.push_back({std::string(name), 0, is_perplexity(name) ? kEndless : 1});
  for (const Field& field : kFields) fields.push_back({field.name, field.lowest, field.highest});
  return parse_gates(texts, fields);
}

bool compares(const Gate& gate) {
  const Field* field = find_field(gate.field);
  return field && field->compares;
}

bool needs_fidelity(const Gate& gate) {
  const Field* field = find_field(gate.field);
  return field && field->forces;
}

bool is_metric(const Gate& gate) { return find_field(gate.field) == nullptr; }

bool applies(const Gate& gate, bool generates, bool counts) {
  const Field* field = find_field(gate.field);
  return !field || field->rows == kAll || (field->rows == kCounts ? counts : generates);
}

bool any_row_has(const Gate& gate, std::span<const EvalRow> rows) {
  const Field* field = find_field(gate.field);
  for (const EvalRow& row : rows)
    for (const MetricRow& m : row.metrics)
      if (concerns(gate, field, row, m)) return true;
  return false;
}

int judge(std::span<const Gate> gates, const std::string& who, std::span<const EvalRow> rows) {
  int code = kExitOk;
  for (const Gate& gate : gates) {
    const Field* field = find_field(gate.field);
    for (const EvalRow& row : rows) {
      if (row.depth > 0) continue;
      for (const MetricRow& m : row.metrics) {
        if (!concerns(gate, field, row, m)) continue;
        std::string name = (who.empty() ? "" : who + " ") + row.name;
        if (of_metric(field)) name += " " + m.metric.key();
        if (!passes(gate, name, figure(field, row, m))) code = kExitGate;
        if (!of_metric(field)) break;
      }
    }
  }
  return code;
}

}  // namespace sluice
