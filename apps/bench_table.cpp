// See bench_table.h.
#include "apps/bench_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/bench_plan.h"
#include "apps/output.h"
#include "core/base/text.h"
#include "core/report/format.h"

namespace sluice {

std::string RoofPair::reason() const {
  if (!wanted) return {};
  return after ? roof_change(before, *after) : "the tests ended before this machine was measured again";
}

std::shared_ptr<RoofPair> roof_before(ThreadPool& pool, std::string_view instructions, bool wanted) {
  auto roofs = std::make_shared<RoofPair>();
  roofs->wanted = wanted;
  if (wanted) roofs->before = measure_roof(pool, instructions);
  return roofs;
}

void roof_after(RoofPair& roofs, ThreadPool& pool, std::string_view instructions) {
  if (!roofs.wanted) return;
  roofs.after = measure_roof(pool, instructions);
  const Roof &a = roofs.before, &b = *roofs.after;
  std::string text = fmt::format("sluice: {} threads read {:.1f} GB/s before and {:.1f} GB/s after the tests",
                                 pool.threads(), a.bandwidth / 1e9, b.bandwidth / 1e9);
  if (std::isfinite(a.multiply.floats))
    text += fmt::format(", and multiply {:.0f} and {:.0f} GOP/s in integers, {:.0f} and {:.0f} in floats",
                        a.multiply.integers / 1e9, b.multiply.integers / 1e9, a.multiply.floats / 1e9,
                        b.multiply.floats / 1e9);
  if (const std::string why = roofs.reason(); !why.empty())
    text += fmt::format("\nsluice: void: {}, a change of more than a tenth", why);
  fmt::print(stderr, "{}\n", text);
}

Field share_field(const char* key, const char* title, double share) {
  return {{key, title}, std::isfinite(share) ? Cell(share, fmt::format("{:.0f} %", 100 * share)) : Cell()};
}

Field decimal_field(const char* key, const char* title, double x, int decimals) {
  return {{key, title}, std::isfinite(x) ? Cell(x, fixed_text(x, decimals)) : Cell()};
}

Field text_field(const char* key, const char* title, std::string text) {
  return {{key, title, false}, Cell(std::move(text))};
}

Field count_field(const char* key, const char* title, uint64_t n) { return {{key, title}, Cell(n)}; }

void add_void_fields(std::vector<Field>& fields, const RoofPair& roofs) {
  const std::string why = roofs.reason();
  fields.push_back(
      {{"void", "void", false}, roofs.wanted ? Cell(!why.empty(), why.empty() ? "no" : "yes: " + why) : Cell()});
  fields.push_back({{"void_reason", "", false}, why.empty() ? Cell() : Cell(why)});
}

double multiply_share(const Roof& roof, double integer_ops, double float_ops) {
  double share = 0;
  if (integer_ops > 0) share += integer_ops / roof.multiply.integers;
  if (float_ops > 0) share += float_ops / roof.multiply.floats;
  return share;
}

std::vector<Field> bench_fields(const BenchLine& line) {
  const BenchRow& row = line.row;
  const BenchTest& test = row.test;
  const bool decode = test.generate > 0;
  const Roof roof = line.roofs ? line.roofs->between() : Roof{};
  const auto decoding = [&](double x) { return decode ? x : kUnknown; };
  const double ops = line.cost.integer_ops + line.cost.float_ops;
  // Seconds that the roof allows a token: memory and arithmetic go on at once.
  const double multiplying = multiply_share(roof, line.cost.integer_ops, line.cost.float_ops);
  const double reading = line.cost.bytes / roof.bandwidth;
  const double ideal = 1 / (std::isfinite(multiplying) ? std::max(multiplying, reading) : decoding(reading));
  std::vector<Field> f;
  f.push_back(text_field("policy", "policy", line.policy));
  f.push_back(text_field("test", "test", test_name(test)));
  f.push_back(count_field("n_prompt", "", test.prompt));
  f.push_back(count_field("n_gen", "", test.generate));
  f.push_back(
      {{"depth", "depth"}, Cell(uint64_t(test.depth), fmt::format("{}{}", test.depth, test.tiled ? " tiled" : ""))});
  f.push_back(text_field("depth_by", "", test.tiled ? "tiling" : "prefill"));
  f.push_back(count_field("threads", "threads", line.threads));
  f.push_back(count_field("batch", "batch", test.batch));
  const std::string spread = std::isfinite(row.tok_s_sd) ? fmt::format(" ± {:.2f}", row.tok_s_sd) : "";
  f.push_back({{"tok_s", "tok/s"}, Cell(row.tok_s, fmt::format("{:.2f}{}", row.tok_s, spread))});
  f.push_back({{"tok_s_sd", ""}, Cell(row.tok_s_sd)});
  f.push_back(decimal_field("gb_s", "GB/s", row.gb_s, 1));
  f.push_back(share_field("bandwidth_share", "of bandwidth", row.gb_s * 1e9 / roof.bandwidth));
  f.push_back(decimal_field("gop_s", "GOP/s", row.tok_s * ops / 1e9, 1));
  f.push_back(share_field("multiply_share", "of multiply peak", row.tok_s * multiplying));
  f.push_back(decimal_field("ideal_tok_s", "", ideal, 2));
  f.push_back(share_field("ideal_share", "of ideal", row.tok_s / ideal));
  f.push_back(decimal_field("step_p99_ms", "p99 ms", row.step_p99 * 1e3, 2));
  f.push_back(decimal_field("step_max_ms", "max ms", row.step_max * 1e3, 2));
  f.push_back({{"kv_bytes", "KV stored"}, Cell(row.kv.bytes, human_bytes(row.kv.bytes))});
  f.push_back({{"kv_ratio", "of F16"}, Cell(row.kv.ratio, percent_text(row.kv.ratio))});
  f.push_back({{"rss_peak", "peak RSS"}, line.peak ? Cell(line.peak, human_bytes(line.peak)) : Cell()});
  f.push_back(decimal_field("calls_per_step", "calls", decoding(row.calls), 0));
  // As if all were made one after another.
  const double call_share = decoding(row.calls * line.call * row.tok_s / test.batch);
  f.push_back(
      {{"call_share", "of step"}, std::isfinite(call_share) ? Cell(call_share, percent_text(call_share, 2)) : Cell()});
  f.push_back(share_field("foreign_cpu", "foreign CPU", line.foreign));
  f.push_back(text_field("kernel", "kernel", line.kernel));
  f.push_back(text_field("precision", "precision", line.precision));
  f.push_back(text_field("positions", "", line.positions));
  f.push_back(text_field("model", "", line.model));
  f.push_back(text_field("weight_type", "", line.weights));
  f.push_back(decimal_field("roof_gb_s", "", roof.bandwidth / 1e9, 1));
  f.push_back(decimal_field("roof_integer_gop_s", "", roof.multiply.integers / 1e9, 1));
  f.push_back(decimal_field("roof_float_gop_s", "", roof.multiply.floats / 1e9, 1));
  add_void_fields(f, line.roofs ? *line.roofs : RoofPair{});
  return f;
}

void BenchOutput::publish() const {
  Table table;
  table.name = name_;
  for (const Field& field : empty_) table.columns.push_back(field.column);
  nlohmann::ordered_json objects = nlohmann::ordered_json::array();
  for (const Row& row : rows_) {
    auto& cells = table.rows.emplace_back();
    auto& object = objects.emplace_back(nlohmann::ordered_json::object());
    for (const Field& field : row.fields()) {
      cells.push_back(field.cell);
      if (!field.column.key.empty() && !field.column.key.starts_with("kv_"))
        object[field.column.key] = to_json(field.cell.value);
    }
    if (row.kv) object["kv"] = to_json(*row.kv);
  }
  // The array is called after what it holds, but for the table that came first.
  const std::string array = name_ == "bench" ? "rows" : name_;
  write_stdout(format_ == Format::kJson ? nlohmann::ordered_json{{array, objects}}.dump(2) + "\n"
                                        : write_table(table, format_));
}

}  // namespace sluice
