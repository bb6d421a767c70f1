// What a comparison knows beyond its main table: how perplexities and the probabilities of the right tokens changed, as
// llama.cpp's --kl-divergence has it, and attention where it was looked into.
#include <fmt/format.h>

#include <algorithm>

#include "core/report/attention_figures.h"
#include "core/report/format.h"
#include "core/report/table.h"

namespace sluice {
namespace {

struct Field {
  const char* title = "";
  Cell cell;
};

std::string points(double share) { return fixed_text(100 * share, 2); }

// Of dp the percentiles that a table has room for.
constexpr size_t kShown[] = {2, 3, 6, 9, 10};
static_assert(kChangeNames[2] == "p1" && kChangeNames[6] == "median" && kChangeNames[10] == "p99");

std::vector<Field> fields_of(const PolicyResult& row, bool attention) {
  std::vector<Field> fields;
  const auto add = [&](const char* title, double value, std::string text) {
    Field& field = fields.emplace_back();
    field.title = title, field.cell.value = value, field.cell.shown = std::move(text);
  };
  fields.emplace_back().title = "policy";
  fields.back().cell.value = row.policy;
  add("ppl / reference's", row.ppl_ratio, plus_minus_text(row.ppl_ratio, row.ppl_ratio_se, 4));
  add("KLD median", row.kld_median, divergence_text(row.kld_median));
  add("Δp mean, points", row.dp.mean, plus_minus_text(100 * row.dp.mean, 100 * row.dp.se, 3));
  add("rms", row.dp.rms, points(row.dp.rms));
  constexpr const char* kTitles[] = {"1 %", "5 %", "median", "95 %", "99 %"};
  for (size_t i = 0; i < std::size(kShown); i++)
    add(kTitles[i], row.dp.percentiles[kShown[i]], points(row.dp.percentiles[kShown[i]]));
  if (!attention) return fields;
  const AttentionFigures none, &seen = row.attention ? *row.attention : none;
  const MassKept kept = mass_kept(seen);
  const double error = mean_error(seen);
  add("attention's error", error, percent_text(error));
  add("attention kept", kept.mean, percent_text(kept.mean));
  add("least lane", kept.least, percent_text(kept.least));
  return fields;
}

}  // namespace

std::string details_table(const Comparison& comparison, Format format) {
  const bool attention =
      std::any_of(comparison.policies.begin(), comparison.policies.end(), [](auto& row) { return row.attention; });
  Table table{"details", {}, {}};
  for (const Field& field : fields_of({}, attention))
    table.columns.push_back({"", field.title, !table.columns.empty()});
  for (const PolicyResult& row : comparison.policies) {
    std::vector<Cell>& cells = table.rows.emplace_back();
    for (Field& field : fields_of(row, attention)) cells.push_back(std::move(field.cell));
  }
  return write_table(table, format);
}

}  // namespace sluice
