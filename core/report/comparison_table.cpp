// A comparison as a table: what stands in which column, for people and for programs. How a table is written is
// table.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/report/attention_figures.h"
#include "core/report/format.h"
#include "core/report/json.h"
#include "core/report/table.h"
#include "core/report/verdict.h"

namespace sluice {
namespace {

template <class T>
Cell when(bool known, T value, std::string shown = {}) {
  return known ? Cell(value, std::move(shown)) : Cell(std::monostate{}, "-");
}

struct Field {
  Column column;
  Cell cell;
};

// One policy's row. Rows of CSV, JSON lines and SQL are flat: members of kv come as kv_*, kinds as kv_by_kind_*.
std::vector<Field> fields_of(const Comparison& comparison, const PolicyResult& row, const PolicyResult* nearest) {
  const KvBytes& kv = row.kv;
  const bool stored = kv.stored;
  std::vector<Field> fields = {
      {{"policy", "policy", false}, row.policy},
      {{"mode", "", false}, row.mode},
      {{"kv_stored", ""}, stored},
      {{"kv_bytes", "KV bytes"}, stored ? Cell(kv.bytes, human_bytes(kv.bytes)) : Cell(std::monostate{}, "simulated")},
      {{"kv_bytes_f16", ""}, when(stored, kv.bytes_f16)},
      {{"kv_ratio", "of F16"}, when(stored, kv.ratio, percent_text(kv.ratio))},
      {{"kv_bits_per_element", "bits/element"}, when(stored, kv.bits_per_element, fixed_text(kv.bits_per_element, 2))},
      {{"kv_tokens_kept", "tokens kept"}, {kv.tokens_kept, fixed_text(kv.tokens_kept, 0)}},
      {{"kv_peak_bytes", ""}, when(stored, kv.peak_bytes)},
      {{"tokens", ""}, row.tokens},
      {{"compressed_before_scoring", ""}, row.compressed_before_scoring},
      {{"nll_mean", ""}, row.nll_mean},
      {{"ppl", "ppl"}, {row.ppl, plus_minus_text(row.ppl, row.ppl_se)}},
      {{"ppl_se", ""}, row.ppl_se},
      {{"kld_mean", "KLD mean"}, {row.kld_mean, never_acted(row) ? "never acted" : divergence_text(row.kld_mean)}},
      {{"kld_se", ""}, row.kld_se},
      {{"kld_median", ""}, row.kld_median},
      {{"kld_p99", "KLD p99"}, {row.kld_p99, divergence_text(row.kld_p99)}},
      {{"kld_max", "KLD max"}, {row.kld_max, divergence_text(row.kld_max)}},
      {{"same_top", "same top"}, {row.same_top, percent_text(row.same_top)}},
      {{"ppl_ratio", ""}, row.ppl_ratio},
      {{"ppl_ratio_se", ""}, row.ppl_ratio_se},
      {{"dp_mean", ""}, row.dp.mean},
      {{"dp_se", ""}, row.dp.se},
      {{"dp_rms", ""}, row.dp.rms},
      {{"first_divergence", ""}, when(row.first_divergence.has_value(), row.first_divergence.value_or(0))},
      {{"tok_s", "tok/s"}, when(stored && row.tok_s, row.tok_s.value_or(0), fixed_text(row.tok_s.value_or(0), 1))},
      {{"nearest_in_bytes", "", false}, nearest ? Cell(nearest->policy) : Cell()},
      {{"codec", "", false}, row.codec},
      {{"evictor", "", false}, row.evictor},
      {{"positions", "", false}, row.positions},
      {{"settings", "", false}, row.settings},
      {{"model", "", false}, comparison.model},
      {{"weight_type", "", false}, comparison.weight_type},
      {{"text", "", false}, comparison.text},
      {{"backend", "", false}, comparison.backend},
      {{"kernel", "", false}, comparison.kernel},
      {{"threads", ""}, uint64_t(comparison.threads)},
      {{"precision", "", false}, comparison.precision},
      {{"version", "", false}, comparison.version},
      {{"date", "", false}, comparison.date}};
  for (const auto kind : kKindNames) {
    const auto found = std::find_if(kv.by_kind.begin(), kv.by_kind.end(), [&](auto& k) { return k.first == kind; });
    const uint64_t bytes = found == kv.by_kind.end() ? 0 : found->second;
    fields.push_back({{"kv_by_kind_" + std::string(kind), ""}, when(stored, bytes)});
  }
  for (size_t i = 0; i < kChangePercentiles; i++)
    fields.push_back({{fmt::format("dp_{}", kChangeNames[i]), ""}, row.dp.percentiles[i]});
  const AttentionFigures none, &attention = row.attention ? *row.attention : none;
  fields.push_back({{"attention_error", ""}, mean_error(attention)});
  fields.push_back({{"attention_kept", ""}, mass_kept(attention).mean});
  return fields;
}

// A codec that spends bytes on repairing its rounding is only fairly judged beside a plainer one of like size.
std::string notes_for_people(const Comparison& comparison, bool markdown) {
  std::string out;
  const std::string bullet = markdown ? "- " : "";
  for (size_t i = 0; i < comparison.policies.size(); ++i) {
    const auto nearest = nearest_in_bytes(comparison, i);
    if (!nearest || never_acted(comparison.policies[i])) continue;
    const PolicyResult &row = comparison.policies[i], &beside = comparison.policies[*nearest];
    out += fmt::format("{}{} ({}, KLD {}): nearest in bytes {} ({}, KLD {})\n", bullet, row.policy,
                       human_bytes(row.kv.bytes), divergence_text(row.kld_mean), beside.policy,
                       human_bytes(beside.kv.bytes), divergence_text(beside.kld_mean));
  }
  if (!out.empty()) out = "\n" + out;
  const std::string verdict = verdict_text(comparison);
  if (!verdict.empty()) out += "\n" + verdict + "\n";
  if (!comparison.note.empty()) out += "\n" + comparison.note + "\n";
  return out;
}

}  // namespace

std::string comparison_table(const Comparison& comparison, Format format) {
  if (format == Format::kJson) return to_json(comparison).dump(2) + "\n";
  Table table{"comparison", {}, {}};
  for (const Field& field : fields_of(comparison, {}, nullptr)) table.columns.push_back(field.column);
  for (size_t i = 0; i < comparison.policies.size(); ++i) {
    const auto nearest = nearest_in_bytes(comparison, i);
    auto& cells = table.rows.emplace_back();
    for (Field& field :
         fields_of(comparison, comparison.policies[i], nearest ? &comparison.policies[*nearest] : nullptr))
      cells.push_back(std::move(field.cell));
  }
  std::string out = write_table(table, format);
  if (format == Format::kText || format == Format::kMarkdown)
    out += notes_for_people(comparison, format == Format::kMarkdown);
  return out;
}

}  // namespace sluice
