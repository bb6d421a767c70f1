// See tables.h: tables for people and flat ones for programs. JSON is in json.cpp.
#include "core/harness/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/text.h"
#include "core/harness/json.h"
#include "core/report/format.h"

namespace sluice {
namespace {

struct Field {
  Column column;
  Cell cell;
};

Cell shown(double value, std::string text) { return {value, std::isnan(value) ? "-" : std::move(text)}; }
Cell share(double value) { return shown(value, percent_text(value)); }

// Shares of right answers in percent, perplexities as they are.
std::string score_text(const MetricRow& m, double value, double error) {
  if (std::isnan(value)) return "-";
  if (!m.metric.counts()) return fixed_text(value, 3);
  if (std::isnan(error)) return fixed_text(100 * value, 1) + " %";
  return fmt::format("{:.1f} ± {:.1f} %", 100 * value, 100 * error);
}

std::string difference_text(const MetricRow& m) {
  const MetricDifference& d = m.difference;
  if (std::isnan(d.difference)) return "-";
  if (!m.metric.counts()) return fmt::format("{:+.3f}", d.difference);
  return fmt::format("{:+.1f} [{:+.1f}, {:+.1f}]", 100 * d.difference, 100 * d.interval.low, 100 * d.interval.high);
}

Cell flips(const MetricRow& m, uint64_t Flips::*way) {
  return m.difference.flips ? Cell(*m.difference.flips.*way) : Cell();
}

std::string p_text(double p) { return p < 0.0001 ? "<0.0001" : fixed_text(p, p < 0.1 ? 4 : 2); }

// The harness's own table.
Table harness_table(const EvalPolicyResult& policy) {
  Table table{"results",
              {{"", "Tasks", false},
               {"", "Version"},
               {"", "Filter", false},
               {"", "n-shot"},
               {"", "Metric", false},
               {"", " ", false},
               {"", "Value"},
               {"", " ", false},
               {"", "Stderr"}},
              {}};
  for (const EvalRow& row : policy.rows) {
    bool first = true;
    for (const MetricRow& m : row.metrics) {
      const std::string alias = row.depth == 0 ? row.name : std::string(row.depth, ' ') + "- " + row.alias;
      table.rows.push_back(
          {first ? alias : " ", first ? row.version : " ", m.metric.filter + (m.metric.added ? " (ours)" : ""),
           uint64_t(row.shots), m.metric.name, std::string(m.metric.higher_is_better() ? "↑" : "↓"),
           Cell(m.value, fmt::format("{:.4f}", m.value)), std::string("±"),
           std::isnan(m.error) ? Cell(std::string("N/A")) : Cell(m.error, fmt::format("{:.4f}", m.error))});
      first = false;
    }
  }
  return table;
}

std::string notes(const EvalPolicyResult& policy, const EvalRow& row, const MetricRow& m) {
  std::vector<std::string> notes;
  if (policy.reference) notes.push_back("baseline");
  if (m.floor) notes.push_back("floor");
  if (!row.unverified.empty()) notes.push_back("unverified");
  if (row.too_short > 0 && row.too_short == row.samples)
    notes.push_back("never acted");
  else if (row.too_short > 0)
    notes.push_back(fmt::format("{} of {} too short", row.too_short, row.samples));
  if (m.metric.added) notes.push_back("ours");
  if (!row.changes.empty()) notes.push_back("with " + join(row.changes));
  return join(notes);
}

std::vector<Field> costs(const EvalRow& row) {
  return {
      {{"tokens_kept", "tokens kept"}, share(row.kept)},
      {{"bits_per_element", "bits/element"}, shown(row.kv.bits_per_element, fixed_text(row.kv.bits_per_element, 2))},
      {{"kv_bytes", "KV bytes"},
       row.kv.stored ? Cell(row.kv.bytes, human_bytes(row.kv.bytes)) : Cell(std::monostate{}, "simulated")},
      {{"generated", "generated"}, shown(row.generated, fixed_text(row.generated, 1))},
      {{"truncated", "truncated"}, share(row.truncated)}};
}

std::vector<Field> difference_fields(const MetricRow& m) {
  const MetricDifference& d = m.difference;
  return {{{"difference", "difference [95 %]"}, shown(d.difference, difference_text(m))},
          {{"difference_low", ""}, d.interval.low},
          {{"difference_high", ""}, d.interval.high},
          {{"flips_lost", "lost"}, flips(m, &Flips::lost)},
          {{"flips_won", "won"}, flips(m, &Flips::won)},
          {{"mcnemar_p", "McNemar p"}, shown(d.p, p_text(d.p))}};
}

void append(std::vector<Field>& to, std::vector<Field> more) {
  for (Field& field : more) to.push_back(std::move(field));
}

// `titled`: people see them too, in a table of their own.
std::vector<Field> fidelity_fields(const FidelityFigures& f, bool titled) {
  const auto title = [&](const char* text) { return titled ? text : ""; };
  const std::string kld = divergence_text(f.kld_mean);
  return {
      {{"kld_mean", title("KLD")},
       shown(f.kld_mean, std::isnan(f.kld_se) ? kld : kld + " ± " + divergence_error_text(f.kld_mean, f.kld_se))},
      {{"kld_se", ""}, f.kld_se},
      {{"kld_median", ""}, f.kld_median},
      {{"kld_p99", title("p99")}, shown(f.kld_p99, divergence_text(f.kld_p99))},
      {{"kld_max", ""}, f.kld_max},
      {{"same_top", title("same top")}, share(f.same_top)},
      {{"ppl_ratio", title("ppl / baseline's")}, shown(f.ppl_ratio, plus_minus_text(f.ppl_ratio, f.ppl_ratio_se, 3))},
      {{"dp_mean", ""}, f.dp.mean},
      {{"dp_rms", title("Δp rms")}, share(f.dp.rms)}};
}

std::vector<Field> fields_of(const EvalResult& result, const EvalPolicyResult& policy, const EvalRow& row,
                             const MetricRow& m) {
  std::vector<Field> fields = {
      {{"policy", "policy", false}, policy.policy},
      {{"reference", ""}, policy.reference},
      {{"task", "task", false}, row.name},
      {{"level", ""}, uint64_t(row.depth)},
      {{"part", "", false}, row.part ? Cell(row.alias) : Cell()},
      {{"protocol", "protocol", false}, Cell(row.protocol, fmt::format("{} {}", row.protocol, row.version))},
      {{"version", "", false}, row.version},
      {{"shots", ""}, uint64_t(row.shots)},
      {{"samples", "n"}, row.samples},
      {{"total", ""}, row.total},
      {{"metric", "", false}, m.metric.name},
      {{"filter", "", false}, m.metric.filter},
      {{"", "metric", false},
       m.metric.filter == "none" ? m.metric.name : fmt::format("{},{}", m.metric.name, m.metric.filter)},
      {{"added", ""}, m.metric.added},
      {{"value", "score"}, Cell(m.value, score_text(m, m.value, m.error))},
      {{"stderr", ""}, m.error},
  };
  if (!policy.reference)
    append(fields, difference_fields(m));
  else
    append(fields, difference_fields(MetricRow{}));
  fields.push_back({{"floor", ""}, m.floor});
  append(fields, fidelity_fields(row.fidelity, false));
  append(fields, costs(row));
  append(fields, {{{"invalid", "invalid"}, row.generates ? share(m.invalid) : Cell(std::monostate{}, "-")},
                  {{"degenerate", "degenerate"}, share(row.degenerate)},
                  {{"compressed_before_scoring", "compressed before scoring"},
                   shown(row.compressed, fixed_text(row.compressed, 0))},
                  {{"too_short", ""}, row.too_short},
                  {{"", "notes", false}, notes(policy, row, m)},
                  {{"kept_after_prompt", ""}, row.kept_after_prompt},
                  {{"kv_bytes_f16", ""}, row.kv.stored ? Cell(row.kv.bytes_f16) : Cell()},
                  {{"kv_ratio", ""}, row.kv.ratio},
                  {{"kv_peak_bytes", ""}, row.kv.stored ? Cell(row.kv.peak_bytes) : Cell()},
                  {{"diverged", ""}, row.diverged},
                  {{"divergence_mean", ""}, row.divergence_mean},
                  {{"divergence_median", ""}, row.divergence_median},
                  {{"unverified", "", false}, row.unverified.empty() ? Cell() : Cell(row.unverified)},
                  {{"settings", "", false}, policy.settings},
                  {{"model", "", false}, result.model},
                  {{"weight_type", "", false}, result.weight_type},
                  {{"precision", "", false}, result.precision},
                  {{"sluice", "", false}, result.version},
                  {{"date", "", false}, result.date}});
  for (const std::string_view kind : kKindNames) {
    const auto found =
        std::find_if(row.kv.by_kind.begin(), row.kv.by_kind.end(), [&](auto& k) { return k.first == kind; });
    fields.push_back({{"kv_by_kind_" + std::string(kind), ""},
                      found == row.kv.by_kind.end() ? Cell(uint64_t(0)) : Cell(found->second)});
  }
  return fields;
}

void add_row(Table& table, std::vector<Field> fields) {
  if (table.rows.empty())
    for (const Field& field : fields) table.columns.push_back(field.column);
  std::vector<Cell>& cells = table.rows.emplace_back();
  for (Field& field : fields) cells.push_back(std::move(field.cell));
}

// Of the baseline's answers, led through each policy's cache; a row for all metrics of a task.
Table fidelity_table(const EvalResult& result) {
  Table table{"fidelity", {}, {}};
  for (const EvalPolicyResult& policy : result.policies)
    for (const EvalRow& row : policy.rows) {
      if (row.fidelity.tokens == 0 || (row.depth > 0 && !row.part)) continue;
      std::vector<Field> fields = {{{"policy", "policy", false}, policy.policy},
                                   {{"task", "task", false}, row.name},
                                   {{"tokens", "tokens"}, row.fidelity.tokens}};
      append(fields, fidelity_fields(row.fidelity, true));
      add_row(table, std::move(fields));
    }
  return table;
}

bool for_people(Format format) { return format == Format::kText || format == Format::kMarkdown; }

// What the marks of the table mean, where they stand.
std::string footnotes(const EvalResult& result) {
  std::set<std::string> seen;
  std::string text;
  bool floor = false, acted = true, changed = false;
  for (const EvalPolicyResult& policy : result.policies)
    for (const EvalRow& row : policy.rows) {
      if (row.depth > 0) continue;
      changed |= !row.changes.empty();
      for (const MetricRow& m : row.metrics) floor |= m.floor;
      acted &= row.too_short < row.samples || row.too_short == 0;
      if (!row.unverified.empty() && seen.insert(row.name).second)
        text += fmt::format("unverified: {}: {}\n", row.name, row.unverified);
    }
  if (floor)
    text +=
        "floor: the baseline's 95 % interval holds what guessing gives; such a score ranks nothing, its flips and the "
        "first divergence say more, and so does the KLD of --fidelity\n";
  if (changed)
    text += "with ...: asked in another way than the protocol says, and not to be compared with its published scores\n";
  if (!acted) text += "never acted: every sequence was too short for the policy to compress anything\n";
  return text.empty() ? "" : "\n" + text;
}

}  // namespace

const EvalPolicyResult* EvalResult::baseline() const {
  for (const EvalPolicyResult& policy : policies)
    if (policy.reference) return &policy;
  return nullptr;
}

std::string eval_table(const EvalResult& result, Format format) {
  if (format == Format::kJson) return eval_json(result).dump(2) + "\n";
  std::string out;
  if (for_people(format))
    for (const EvalPolicyResult& policy : result.policies) {
      if (policy.rows.empty()) continue;
      out += fmt::format("{}{} ({}), {}\n\n", format == Format::kMarkdown ? "### " : "", policy.policy, policy.settings,
                         result.model);
      out += write_table(harness_table(policy), format) + "\n";
    }
  Table table{"eval", {}, {}};
  for (const EvalPolicyResult& policy : result.policies)
    for (const EvalRow& row : policy.rows) {
      if (for_people(format) && row.depth > 0 && !row.part) continue;
      for (const MetricRow& m : row.metrics) add_row(table, fields_of(result, policy, row, m));
    }
  if (table.rows.empty()) return for_people(format) ? "no question was answered\n" : "";
  const EvalPolicyResult* baseline = result.baseline();
  if (for_people(format) && baseline)
    out += fmt::format("{}Against {}, on the same questions\n\n", format == Format::kMarkdown ? "### " : "",
                       baseline->policy);
  out += write_table(table, format);
  if (!for_people(format)) return out;
  if (const Table forced = fidelity_table(result); !forced.rows.empty())
    out += fmt::format("\n{}{}'s answers, token by token\n\n", format == Format::kMarkdown ? "### " : "",
                       baseline ? baseline->policy : "the baseline") +
           write_table(forced, format);
  out += footnotes(result);
  if (!result.note.empty()) out += "\n" + result.note + "\n";
  return out;
}

std::string difference_table(std::span<const PolicyDifference> differences, Format format) {
  if (format == Format::kJson) return difference_json(differences).dump(2) + "\n";
  Table table{"diff", {}, {}};
  for (const PolicyDifference& pair : differences)
    for (const EvalRow& row : pair.rows)
      for (const MetricRow& m : row.metrics) {
        const double b = m.baseline + m.difference.difference;
        std::vector<Field> fields = {
            {{"a", "A", false}, pair.a},
            {{"b", "B", false}, pair.b},
            {{"task", "task", false}, Cell(row.name, std::string(row.depth, ' ') + row.name)},
            {{"level", ""}, uint64_t(row.depth)},
            {{"metric", "", false}, m.metric.name},
            {{"filter", "", false}, m.metric.filter},
            {{"", "metric", false},
             m.metric.filter == "none" ? m.metric.name : fmt::format("{},{}", m.metric.name, m.metric.filter)},
            {{"value_a", "A's score"}, Cell(m.baseline, score_text(m, m.baseline, kUnknown))},
            {{"value_b", "B's score"}, Cell(b, score_text(m, b, kUnknown))}};
        append(fields, difference_fields(m));
        append(fields,
               {{{"floor", ""}, m.floor},
                {{"paired", "in both"}, row.paired},
                {{"only_a", "only in A"}, row.only_baseline},
                {{"only_b", "only in B"}, row.only_here},
                {{"diverged", "texts that differ"}, row.generates ? Cell(row.diverged) : Cell()},
                {{"divergence_mean", "first at token, mean"},
                 shown(row.divergence_mean, fixed_text(row.divergence_mean, 1))},
                {{"divergence_median", "median"}, shown(row.divergence_median, fixed_text(row.divergence_median, 1))}});
        add_row(table, std::move(fields));
      }
  std::string out = write_table(table, format);
  if (!for_people(format)) return out;
  for (const PolicyDifference& pair : differences)
    if (!pair.identity.empty()) out += fmt::format("\n{} and {} differ in: {}\n", pair.a, pair.b, join(pair.identity));
  return out;
}

}  // namespace sluice
