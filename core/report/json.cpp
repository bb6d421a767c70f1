// See json.h: field by field, in the order of docs/output.md.
#include "core/report/json.h"

#include <cmath>

#include "core/report/format.h"
#include "core/report/verdict.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

template <class T>
ordered_json maybe(const std::optional<T>& x) {
  return x ? ordered_json(*x) : ordered_json(nullptr);
}

// Rows and bytes of every lane where an evictor shares its budget out; null where all lanes hold alike.
ordered_json lanes_json(const KvBytes& kv) {
  ordered_json rows = ordered_json::array(), bytes = rows;
  bool alike = true;
  for (const auto& layer : kv.lanes) {
    ordered_json layer_rows = ordered_json::array(), layer_bytes = layer_rows;
    for (const LaneUse& lane : layer) {
      layer_rows.push_back(lane.rows), layer_bytes.push_back(lane.bytes);
      alike = alike && lane.rows == kv.lanes[0][0].rows;
    }
    rows.push_back(layer_rows), bytes.push_back(layer_bytes);
  }
  if (alike) return nullptr;
  return {{"rows", rows}, {"bytes", bytes}};
}

ordered_json change_json(const ProbabilityChange& dp) {
  ordered_json out = {
      {"mean", number_or_null(dp.mean)}, {"se", number_or_null(dp.se)}, {"rms", number_or_null(dp.rms)}};
  for (size_t i = 0; i < kChangePercentiles; i++) out[std::string(kChangeNames[i])] = number_or_null(dp.percentiles[i]);
  return out;
}

ordered_json attention_json(const AttentionFigures& attention) {
  ordered_json error = ordered_json::array(), mass = ordered_json::array();
  for (const double e : attention.output_error) error.push_back(number_or_null(e));
  for (const auto& layer : attention.mass_kept) {
    ordered_json& lanes = mass.emplace_back(ordered_json::array());
    for (const double m : layer) lanes.push_back(number_or_null(m));
  }
  return {{"positions", attention.positions},
          {"output_error", error},
          {"mass_kept", attention.mass_kept.empty() ? ordered_json(nullptr) : mass}};
}

}  // namespace

ordered_json number_or_null(double x) { return std::isfinite(x) ? ordered_json(x) : ordered_json(nullptr); }

ordered_json to_json(const KvBytes& kv) {
  ordered_json out;
  out["stored"] = kv.stored;
  if (!kv.stored) {  // what is only claimed is not printed
    for (const char* field : {"bytes", "bytes_f16", "ratio", "bits_per_element"}) out[field] = nullptr;
    out["tokens_kept"] = number_or_null(kv.tokens_kept);
    out["peak_bytes"] = nullptr;
    out["by_kind"] = ordered_json::object();
    out["lanes"] = nullptr;
    return out;
  }
  out["bytes"] = kv.bytes;
  out["bytes_f16"] = kv.bytes_f16;
  out["ratio"] = number_or_null(kv.ratio);
  out["bits_per_element"] = number_or_null(kv.bits_per_element);
  out["tokens_kept"] = number_or_null(kv.tokens_kept);
  out["peak_bytes"] = kv.peak_bytes;
  ordered_json& by_kind = out["by_kind"] = ordered_json::object();
  for (const auto kind : kKindNames) by_kind[std::string(kind)] = uint64_t(0);
  for (const auto& [kind, bytes] : kv.by_kind) by_kind[kind] = bytes;
  out["lanes"] = lanes_json(kv);
  return out;
}

void add_fidelity(ordered_json& out, const FidelityFigures& f) {
  out["nll_mean"] = number_or_null(f.nll_mean);
  out["ppl"] = number_or_null(f.ppl);
  out["ppl_se"] = number_or_null(f.ppl_se);
  out["kld_mean"] = number_or_null(f.kld_mean);
  out["kld_se"] = number_or_null(f.kld_se);
  out["kld_median"] = number_or_null(f.kld_median);
  out["kld_p99"] = number_or_null(f.kld_p99);
  out["kld_max"] = number_or_null(f.kld_max);
  out["same_top"] = number_or_null(f.same_top);
  out["ppl_ratio"] = number_or_null(f.ppl_ratio);
  out["ppl_ratio_se"] = number_or_null(f.ppl_ratio_se);
  out["dp"] = change_json(f.dp);
}

ordered_json to_json(const PolicyResult& row) {
  ordered_json out;
  out["policy"] = clean_utf8(row.policy);
  out["mode"] = row.mode;
  out["tokens"] = row.tokens;
  out["compressed_before_scoring"] = row.compressed_before_scoring;
  add_fidelity(out, row);
  out["first_divergence"] = maybe(row.first_divergence);
  out["tok_s"] = row.tok_s && row.kv.stored ? number_or_null(*row.tok_s) : ordered_json(nullptr);
  out["kv"] = to_json(row.kv);
  ordered_json& stats = out["stats"] = ordered_json::object();
  for (const Stat& stat : row.stats) stats[clean_utf8(stat.name)] = number_or_null(stat.value);
  out["codec"] = clean_utf8(row.codec);
  out["evictor"] = clean_utf8(row.evictor);
  out["positions"] = row.positions;
  out["settings"] = clean_utf8(row.settings);
  out["reference"] = row.reference;
  ordered_json& curve = out["kld_curve"] = ordered_json::array();
  for (const CurveBin& bin : row.kld_curve)
    curve.push_back({{"first", bin.first}, {"last", bin.last}, {"kld", number_or_null(bin.kld)}});
  out["attention"] = row.attention ? attention_json(*row.attention) : ordered_json(nullptr);
  return out;
}

ordered_json to_json(const Comparison& comparison) {
  ordered_json out;
  out["version"] = comparison.version;
  out["date"] = comparison.date;
  out["model"] = {{"name", clean_utf8(comparison.model)},
                  {"weight_type", comparison.weight_type},
                  {"parameters", comparison.parameters},
                  {"bytes", comparison.weight_bytes}};
  out["text"] = clean_utf8(comparison.text);
  out["tokens"] = comparison.tokens;
  out["budget"] = clean_utf8(comparison.budget);
  out["machine"] = clean_utf8(comparison.machine);
  out["backend"] = {{"name", comparison.backend},
                    {"kernel", comparison.kernel},
                    {"threads", comparison.threads},
                    {"precision", comparison.precision}};
  out["note"] = clean_utf8(comparison.note);
  out["memory"] = {{"weights", comparison.memory.weights},
                   {"activations", comparison.memory.activations},
                   {"workspace", comparison.memory.workspace},
                   {"rss_peak", comparison.memory.rss_peak}};
  ordered_json& policies = out["policies"] = ordered_json::array();
  for (size_t i = 0; i < comparison.policies.size(); ++i) {
    ordered_json row = to_json(comparison.policies[i]);
    const auto nearest = nearest_in_bytes(comparison, i);
    row["nearest_in_bytes"] = nearest ? ordered_json(clean_utf8(comparison.policies[*nearest].policy)) : nullptr;
    policies.push_back(std::move(row));
  }
  ordered_json& front = out["pareto_front"] = ordered_json::array();
  for (const size_t i : pareto_front(comparison)) front.push_back(clean_utf8(comparison.policies[i].policy));
  out["verdict"] = clean_utf8(verdict_text(comparison));
  return out;
}

}  // namespace sluice
