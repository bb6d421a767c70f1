// The page around the charts: heading, verdict, table, details and conditions, and the data itself.
#include "core/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/text.h"
#include "core/report/assets.h"
#include "core/report/attention_figures.h"
#include "core/report/charts.h"
#include "core/report/format.h"
#include "core/report/json.h"
#include "core/report/table.h"
#include "core/report/verdict.h"

namespace sluice {
namespace {

constexpr std::string_view kMissing = "–";

std::string sample(const Look& look) {
  return fmt::format(R"(<svg class="sample" viewBox="0 0 14 14" aria-hidden="true">{}</svg>)", marker(look, 7, 7, 4.6));
}

// A figure that carries the value JSON has; an unknown one carries none.
std::string figure(std::string_view element, std::string_view field, const std::string& value, const std::string& shown,
                   std::string_view more = {}) {
  return fmt::format(R"(<{0} data-field="{1}" data-value="{2}">{3}{4}</{0}>)", element, field, html_text(value),
                     value.empty() ? std::string(kMissing) : html_text(shown), value.empty() ? "" : more);
}

std::string cell(std::string_view field, double value, const std::string& shown, std::string_view more = {}) {
  return figure("td", field, exact_text(value), shown, more);
}

std::string cell(std::string_view field, bool known, uint64_t value, const std::string& shown) {
  return figure("td", field, known ? fmt::format("{}", value) : "", shown);
}

std::string spread_text(double se, const std::string& shown) {
  return std::isfinite(se) && se > 0 ? fmt::format(R"(<span class="se"> ± {}</span>)", shown) : "";
}

struct Heading {
  std::string_view title, hint;
};
constexpr std::string_view kSpeed = "tok/s";
constexpr Heading kHeadings[] = {
    {"Policy", ""},
    {"KV bytes", "bytes the cache holds at the end, everything counted"},
    {"of F16", "KV bytes over those of an F16 cache that keeps all"},
    {"bits / el.", "stored bits per element of the whole, uncompressed cache"},
    {"kept", "mean rows per lane at the end"},
    {"Perplexity", "with its standard error"},
    {"KLD", "mean Kullback-Leibler divergence from the reference in nats, with its standard error"},
    {"p99", "99th percentile of KLD"},
    {"max", "largest KLD of a position"},
    {"same top", "share of positions whose most likely token is the reference's"},
    {kSpeed, "decoding alone at the final depth, fast arithmetic"}};

std::string policy_cell(const Comparison& comparison, size_t i, const Look& look) {
  const PolicyResult& row = comparison.policies[i];
  std::string below;
  if (never_acted(row)) {
    below = R"(<small class="nearest">never acted on a scored token</small>)";
  } else if (const auto nearest = nearest_in_bytes(comparison, i)) {
    const PolicyResult& beside = comparison.policies[*nearest];
    below = fmt::format(R"(<small class="nearest" data-nearest="{}">nearest in bytes: {}<br>{}, KLD {}</small>)",
                        html_text(beside.policy), html_text(beside.policy), human_bytes(beside.kv.bytes),
                        divergence_text(beside.kld_mean));
  } else if (row.reference) {
    below = R"(<small class="nearest">the reference</small>)";
  }
  return fmt::format(R"(<th scope="row">{}<span class="name">{}</span>{}</th>)", sample(look), html_text(row.policy),
                     below);
}

std::string table_section(const Comparison& comparison, const std::vector<Look>& looks,
                          const std::vector<size_t>& front) {
  // A column that no row fills is left out.
  const bool timed = std::any_of(comparison.policies.begin(), comparison.policies.end(),
                                 [](const PolicyResult& row) { return row.kv.stored && row.tok_s; });
  std::string head;
  for (const Heading& heading : kHeadings) {
    if (heading.title == kSpeed && !timed) continue;
    head += fmt::format(R"(<th scope="col"><button type="button" class="sort" title="{}">{}</button></th>)",
                        heading.hint, heading.title);
  }
  std::string body;
  for (size_t i = 0; i < comparison.policies.size(); ++i) {
    const PolicyResult& row = comparison.policies[i];
    const KvBytes& kv = row.kv;
    const double unknown_if_simulated = kv.stored ? 0 : kUnknown;
    const double ratio = kv.ratio + unknown_if_simulated, bits = kv.bits_per_element + unknown_if_simulated;
    const double tok_s = row.tok_s.value_or(kUnknown) + unknown_if_simulated;
    const bool best = std::find(front.begin(), front.end(), i) != front.end();
    body += fmt::format(R"(<tr data-index="{}" data-policy="{}"{}>{})", i, html_text(row.policy),
                        best ? R"( class="on-front")" : "", policy_cell(comparison, i, looks[i]));
    body += kv.stored ? cell("kv.bytes", true, kv.bytes, human_bytes(kv.bytes))
                      : R"(<td data-field="kv.bytes" data-value="" class="quiet">simulated</td>)";
    body += cell("kv.ratio", ratio, percent_text(ratio));
    body += cell("kv.bits_per_element", bits, fixed_text(bits, 2));
    body += cell("kv.tokens_kept", kv.tokens_kept, fixed_text(kv.tokens_kept, 0));
    body += cell("ppl", row.ppl, fixed_text(row.ppl, 2), spread_text(row.ppl_se, fixed_text(row.ppl_se, 2)));
    body += cell("kld_mean", row.kld_mean, divergence_text(row.kld_mean),
                 spread_text(row.kld_se, divergence_error_text(row.kld_mean, row.kld_se)));
    body += cell("kld_p99", row.kld_p99, divergence_text(row.kld_p99));
    body += cell("kld_max", row.kld_max, divergence_text(row.kld_max));
    body += cell("same_top", row.same_top, percent_text(row.same_top));
    if (timed) body += cell("tok_s", tok_s, fixed_text(tok_s, 1));
    body += "</tr>\n";
  }
  return fmt::format(
      R"(<section aria-labelledby="h-table"><h2 id="h-table">All rows</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="h-table"><table id="policies"><thead><tr>{}</tr></thead><tbody>
{}</tbody></table></div><p class="note">Bold rows have fewest bytes for their quality. KLD is measured position by position against the reference row on the same text, in nats. Click a heading to sort.</p></section>
)",
      head, body);
}

std::string winners_section(const Comparison& comparison, const std::vector<Look>& looks) {
  constexpr std::string_view kShares[] = {"½", "¼", "⅛", "1⁄16"};
  const auto winners = winners_by_budget(comparison);
  std::string tiles;
  for (size_t i = 0; i < winners.size(); ++i) {
    if (!winners[i].row) continue;
    const size_t index = *winners[i].row;
    const PolicyResult& row = comparison.policies[index];
    tiles += fmt::format(
        R"(<li class="tile" data-index="{}"><p class="under">within <b>{}</b> of F16's bytes</p><p class="who">{}{}</p><p class="figures"><span>KLD {}</span><span>{}</span><span>same top {}</span></p></li>)",
        index, kShares[i], sample(looks[index]), html_text(row.policy), divergence_text(row.kld_mean),
        human_bytes(row.kv.bytes), percent_text(row.same_top));
  }
  return fmt::format(R"(<section class="verdict" aria-label="verdict"><p class="sentence">{}</p>{}</section>
)",
                     html_text(front_text(comparison)),
                     tiles.empty() ? "" : fmt::format(R"(<ul class="tiles">{}</ul>)", tiles));
}

std::string fact(std::string_view name, std::string_view field, const std::string& value, const std::string& shown) {
  if (value.empty()) return "";
  return fmt::format("<div><dt>{}</dt>{}</div>", name, figure("dd", field, value, shown));
}

std::string fact(std::string_view name, std::string_view field, double value, const std::string& shown) {
  return fact(name, field, exact_text(value), shown);
}

std::string fact(std::string_view name, std::string_view field, const std::string& value) {
  return fact(name, field, value, value);
}

std::string number_fact(std::string_view name, std::string_view field, uint64_t value, const std::string& shown) {
  return fact(name, field, fmt::format("{}", value), shown);
}

std::string kinds_table(const KvBytes& kv) {
  if (!kv.stored) return R"(<p class="note">Simulated: this codec stores nothing that could be counted or timed.</p>)";
  std::string rows;
  for (const auto& [kind, bytes] : kv.by_kind) {
    if (bytes == 0) continue;
    std::string words = kind;
    std::replace(words.begin(), words.end(), '_', ' ');
    rows += fmt::format(R"(<tr><th scope="row">{}</th>{}<td>{}</td></tr>)", html_text(words),
                        figure("td", "kv.by_kind." + kind, fmt::format("{}", bytes), count_text(bytes)),
                        percent_text(double(bytes) / double(std::max<uint64_t>(1, kv.bytes))));
  }
  return fmt::format(
      R"(<table class="kinds"><thead><tr><th scope="col">kind</th><th scope="col">bytes</th><th scope="col">share</th></tr></thead><tbody>{}</tbody></table>)",
      rows);
}

// Layer by layer; empty where nobody looked.
std::string attention_table(const PolicyResult& row) {
  if (!row.attention || row.reference) return "";
  const AttentionFigures& attention = *row.attention;
  std::string rows;
  for (size_t l = 0; l < attention.output_error.size(); l++) {
    const MassKept kept = mass_kept(attention, l);
    rows += fmt::format(R"(<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>)", l,
                        percent_text(attention.output_error[l]), percent_text(kept.mean), percent_text(kept.least));
  }
  return fmt::format(
      R"(<table class="kinds"><thead><tr><th scope="col">layer</th><th scope="col">attention's error</th><th scope="col">attention kept</th><th scope="col">least lane</th></tr></thead><tbody>{}</tbody></table>)",
      rows);
}

std::string details_of(const PolicyResult& row, size_t index, const Look& look) {
  std::string facts;
  facts += fact("settings", "settings", clean_utf8(row.settings));
  facts += fact("mode", "mode", row.mode);
  facts += number_fact("positions scored", "tokens", row.tokens, count_text(row.tokens));
  facts += number_fact("compressed before scoring", "compressed_before_scoring", row.compressed_before_scoring,
                       count_text(row.compressed_before_scoring));
  facts += fact("mean NLL", "nll_mean", row.nll_mean, fixed_text(row.nll_mean, 5));
  facts += fact("KLD median", "kld_median", row.kld_median, divergence_text(row.kld_median));
  facts += fact("ppl / reference's", "ppl_ratio", row.ppl_ratio, plus_minus_text(row.ppl_ratio, row.ppl_ratio_se, 4));
  facts += fact("Δp mean", "dp.mean", row.dp.mean, percent_text(row.dp.mean, 3));
  facts += fact("Δp rms", "dp.rms", row.dp.rms, percent_text(row.dp.rms, 2));
  if (row.first_divergence)
    facts += number_fact("first other top token", "first_divergence", *row.first_divergence,
                         "position " + count_text(*row.first_divergence));
  if (row.kv.stored)
    facts += number_fact("peak KV bytes", "kv.peak_bytes", row.kv.peak_bytes, human_bytes(row.kv.peak_bytes));
  for (const Stat& stat : row.stats)
    facts += fact(html_text(stat.name), "stats." + html_text(stat.name), stat.value, fmt::format("{:.4g}", stat.value));
  return fmt::format(
      R"(<details data-index="{}" data-policy="{}"><summary>{}<span class="name">{}</span><span class="quiet">{}</span></summary><div class="body"><dl class="facts">{}</dl>{}</div></details>
)",
      index, html_text(row.policy), sample(look), html_text(row.policy), html_text(row.settings), facts,
      kinds_table(row.kv) + attention_table(row));
}

std::string details_section(const Comparison& comparison, const std::vector<Look>& looks) {
  std::string all;
  for (size_t i = 0; i < comparison.policies.size(); ++i) all += details_of(comparison.policies[i], i, looks[i]);
  return fmt::format(
      R"(<section aria-labelledby="h-details"><h2 id="h-details">Row by row</h2><div class="details">{}</div></section>
)",
      all);
}

std::string conditions_section(const Comparison& c) {
  std::string facts;
  facts += fact("model", "model.name", clean_utf8(c.model));
  facts += fact("weights", "model.weight_type", c.weight_type);
  facts += number_fact("weight bytes", "model.bytes", c.weight_bytes, human_bytes(c.weight_bytes));
  if (c.parameters > 0) facts += number_fact("parameters", "model.parameters", c.parameters, count_text(c.parameters));
  facts += fact("text", "text", clean_utf8(c.text));
  facts += number_fact("tokens", "tokens", c.tokens, count_text(c.tokens));
  facts += fact("eviction budget", "budget", clean_utf8(c.budget));
  facts += fact("machine", "machine", clean_utf8(c.machine));
  facts += fact("backend", "backend.name", c.backend);
  facts += fact("kernel", "backend.kernel", c.kernel);
  facts += number_fact("threads", "backend.threads", c.threads, count_text(c.threads));
  facts += fact("precision", "backend.precision", c.precision);
  facts += number_fact("activations", "memory.activations", c.memory.activations, human_bytes(c.memory.activations));
  facts += number_fact("workspace", "memory.workspace", c.memory.workspace, human_bytes(c.memory.workspace));
  facts += number_fact("peak resident memory", "memory.rss_peak", c.memory.rss_peak, human_bytes(c.memory.rss_peak));
  facts += fact("date", "date", c.date);
  facts += fact("Sluice", "version", c.version);
  return fmt::format(
      R"(<section aria-labelledby="h-conditions"><h2 id="h-conditions">Conditions</h2><dl class="facts wide" id="conditions">{}</dl></section>
)",
      facts);
}

std::string masthead(const Comparison& c) {
  std::string about =
      fmt::format("{} rows, {} tokens of {}", c.policies.size(), count_text(c.tokens), html_text(c.text));
  for (const std::string* part : {&c.machine, &c.date})
    if (!part->empty()) about += " · " + html_text(*part);
  return fmt::format(
      R"(<header><div><p class="kicker">KV-cache comparison</p><h1>{}{}</h1><p class="about">{}</p></div><div class="tools"><button type="button" id="theme" aria-label="switch between light and dark">Dark</button><button type="button" id="save-csv" hidden>CSV</button><button type="button" id="save-json" hidden>JSON</button></div></header>
{})",
      html_text(c.model),
      c.weight_type.empty() ? "" : fmt::format(R"( <span class="quiet">{}</span>)", html_text(c.weight_type)), about,
      c.note.empty() ? "" : fmt::format("<p class=\"caution\" role=\"note\">{}</p>\n", html_text(c.note)));
}

std::string figure_section(std::string_view id, std::string_view title, std::string_view caption,
                           const std::string& chart, std::string_view tools = {}) {
  return fmt::format(
      R"(<section aria-labelledby="h-{0}"><div class="heading"><h2 id="h-{0}">{1}</h2>{2}</div><figure><div class="scroll">{3}</div><figcaption>{4}</figcaption></figure></section>
)",
      id, title, tools, chart, caption);
}

// Inside <script> only "</" and "<!--" are dangerous; an escaped "<" is the same JSON and the same CSV once decoded.
std::string script_json(const nlohmann::ordered_json& value) {
  std::string out;
  for (const char c : value.dump()) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string html_report(const Comparison& comparison) {
  const auto looks = looks_of(comparison);
  const auto front = pareto_front(comparison);
  std::string out = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
)";
  out += fmt::format("<title>{} · KV-cache comparison</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
                     html_text(comparison.model), kReportCss);
  out += masthead(comparison);
  out += winners_section(comparison, looks);
  out += table_section(comparison, looks, front);
  out += figure_section("quality", "Quality against bytes",
                        "Each row by what it stores and how far it strays. Whiskers are one standard error.",
                        quality_chart(comparison));
  out += figure_section(
      "bytes", "Where the bytes go",
      "Every byte the cache holds at the end of the run, by what it is for; the scale is the share of F16.",
      bytes_chart(comparison),
      R"(<button type="button" id="compose" class="small" aria-pressed="false" hidden>composition</button>)");
  out += figure_section("positions", "Divergence over position",
                        "A line that rises says the error grows with the context. Click a name to hide or show its "
                        "line, double-click to see it alone.",
                        position_chart(comparison));
  if (const std::string chart = attention_chart(comparison); !chart.empty())
    out += figure_section("attention", "What attention loses, layer by layer",
                          "How far each layer's attention output is from the reference row's, over that output's norm. "
                          "Errors of earlier layers are in it, since each row goes its own way.",
                          chart);
  out += details_section(comparison, looks);
  out += conditions_section(comparison);
  out += "</main>\n<div id=\"tip\" role=\"status\" hidden></div>\n";
  out += fmt::format(R"(<script type="application/json" id="comparison">{}</script>
<script type="application/json" id="csv">{}</script>
<script>{}</script>
</body>
</html>
)",
                     script_json(to_json(comparison)),
                     script_json(nlohmann::ordered_json(clean_utf8(comparison_table(comparison, Format::kCsv)))),
                     kReportJs);
  return out;
}

}  // namespace sluice
