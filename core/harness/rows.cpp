// See rows.h.
#include "core/harness/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/byte_kinds.h"
#include "core/eval/request.h"
#include "core/report/statistics.h"

namespace sluice {
namespace {

constexpr uint64_t kSeed = 1234;  // of the bootstrap

using Runs = std::vector<const ScoredRun*>;

// Means, but for perplexities, which are of sums.
double metric_value(const MetricInfo& metric, size_t at, std::span<const ScoredSample* const> samples) {
  RunningMean mean;
  double sum = 0, weights = 0;
  for (const ScoredSample* s : samples) {
    mean.add(s->values[at]);
    sum += s->values[at], weights += s->weights[at];
  }
  if (metric.counts()) return mean.mean();
  const double per = -sum / weights;
  return metric.name == "bits_per_byte" ? per / std::log(2.0) : std::exp(per);
}

std::vector<const ScoredSample*> all_samples(const ScoredRun& run) {
  std::vector<const ScoredSample*> samples;
  for (const ScoredSample& s : run.samples) samples.push_back(&s);
  return samples;
}

// Samples of one run with those of the baseline's that asked the same.
struct Pairs {
  std::vector<const ScoredSample*> here, baseline;
};

Pairs pair_samples(const ScoredRun& run, const ScoredRun& baseline) {
  std::map<std::pair<uint64_t, std::string>, const ScoredSample*> known;
  for (const ScoredSample& s : baseline.samples) known[{s.doc_id, s.key}] = &s;
  Pairs pairs;
  for (const ScoredSample& s : run.samples)
    if (const auto found = known.find({s.doc_id, s.key}); found != known.end())
      pairs.here.push_back(&s), pairs.baseline.push_back(found->second);
  return pairs;
}

// Figures of one metric over subtasks: weighed by questions, or as a plain mean of the subtasks.
double combine(std::span<const double> values, std::span<const uint64_t> sizes, bool by_size) {
  const std::vector<uint64_t> equal(sizes.size(), 1);
  return weighted_mean(values, by_size ? sizes : std::span<const uint64_t>(equal));
}

void set_value(MetricRow& row, size_t at, const Runs& runs) {
  const bool by_size = runs[0]->info.weight_by_size;
  std::vector<double> values, errors;
  std::vector<uint64_t> sizes;
  uint64_t invalid = 0, all = 0;
  for (const ScoredRun* run : runs) {
    const auto samples = all_samples(*run);
    values.push_back(metric_value(row.metric, at, samples));
    std::vector<double> each;
    for (const ScoredSample* s : samples) each.push_back(s->values[at]), invalid += s->invalid[at];
    errors.push_back(mean_stderr(each));
    sizes.push_back(samples.size());
    all += samples.size();
  }
  row.invalid = double(invalid) / double(all);
  row.value = combine(values, sizes, by_size);
  if (!row.metric.counts()) return;
  row.error = runs.size() == 1 ? errors[0] : by_size ? pooled_stderr(errors, sizes) : unweighted_stderr(errors);
}

void set_difference(MetricRow& row, size_t at, const Runs& runs, std::span<const Pairs> pairs) {
  const bool by_size = runs[0]->info.weight_by_size;
  std::vector<double> here, baseline;
  std::vector<uint64_t> sizes;
  uint64_t n = 0, parts = 0;
  for (const Pairs& p : pairs) {
    if (p.here.empty()) continue;
    here.push_back(metric_value(row.metric, at, p.here));
    baseline.push_back(metric_value(row.metric, at, p.baseline));
    sizes.push_back(p.here.size());
    n += p.here.size(), parts++;
  }
  if (n == 0) return;
  MetricDifference& d = row.difference;
  row.baseline = combine(baseline, sizes, by_size);
  d.difference = combine(here, sizes, by_size) - row.baseline;
  if (!row.metric.counts()) return;
  // A plain mean of subtasks is one over questions that weigh as their subtask's size says.
  std::vector<double> is, was, weighted_is, weighted_was;
  uint64_t right = 0;
  for (const Pairs& p : pairs) {
    const double weight = by_size || p.here.empty() ? 1 : double(n) / double(parts * p.here.size());
    for (size_t i = 0; i < p.here.size(); i++) {
      is.push_back(p.here[i]->values[at]), was.push_back(p.baseline[i]->values[at]);
      weighted_is.push_back(weight * is.back()), weighted_was.push_back(weight * was.back());
      right += was.back() >= 0.5;
    }
  }
  d.flips = count_flips(was, is);
  d.p = mcnemar_p(*d.flips);
  d.interval = bootstrap_difference(weighted_was, weighted_is, kSeed);
  double chance = 0;
  for (size_t i = 0; i < pairs.size(); i++) chance += runs[i]->info.chance * double(pairs[i].here.size()) / double(n);
  row.floor = at_floor(right, n, chance);
}

void set_divergence(EvalRow& row, std::span<const Pairs> pairs) {
  std::vector<double> at;
  RunningMean mean;
  for (const Pairs& p : pairs)
    for (size_t i = 0; i < p.here.size(); i++)
      if (const auto first = first_divergence(p.baseline[i]->tokens, p.here[i]->tokens))
        at.push_back(*first), mean.add(*first);
  row.diverged = at.size();
  row.divergence_mean = mean.mean();
  row.divergence_median = percentile(at, 0.5);
}

KvBytes mean_of(std::span<const ScoredSample* const> samples) {
  KvBytes kv;
  if (samples.empty()) return kv;
  double stored = 0, f16 = 0, kept = 0;
  std::map<std::string, double> kinds;
  for (const ScoredSample* s : samples) {
    stored += double(s->stored), f16 += double(s->f16), kept += s->kept;
    kv.peak_bytes = std::max(kv.peak_bytes, s->peak);
    for (const KindBytes& b : s->bytes) kinds[b.kind] += double(b.stored);
  }
  const double n = double(samples.size());
  kv.bytes = uint64_t(std::llround(stored / n)), kv.bytes_f16 = uint64_t(std::llround(f16 / n));
  kv.tokens_kept = kept / n;
  kv.stored = stored > 0 || f16 == 0;  // else the codec was simulated (core/eval/sample_bytes.cpp)
  if (kv.stored) kv.ratio = stored / f16, kv.bits_per_element = 16 * kv.ratio;
  for (const std::string_view kind : kKindNames)
    kv.by_kind.push_back({std::string(kind), uint64_t(std::llround(kinds[std::string(kind)] / n))});
  return kv;
}

void set_samples(EvalRow& row, const Runs& runs) {
  std::vector<const ScoredSample*> all;
  double generated = 0, truncated = 0, degenerate = 0, after_prompt = 0, kept = 0, prompts = 0, seen = 0;
  RunningMean compressed;
  uint64_t least = UINT64_MAX;
  for (const ScoredRun* run : runs)
    for (const ScoredSample& s : run->samples) {
      all.push_back(&s);
      generated += double(s.tokens.size()), truncated += s.truncated, degenerate += s.degenerate;
      const double tokens = run->info.token_bytes ? double(s.f16) / double(run->info.token_bytes) : kUnknown;
      after_prompt += s.kept_after_prompt, prompts += std::min(tokens, double(s.prompt_tokens));
      kept += s.kept, seen += tokens;
      row.too_short += s.too_short;
      if (s.too_short) continue;
      compressed.add(double(s.compressed));
      least = std::min(least, s.compressed);
    }
  const double n = double(all.size());
  row.samples = all.size();
  if (row.generates) row.generated = generated / n, row.truncated = truncated / n, row.degenerate = degenerate / n;
  row.compressed = compressed.mean();
  row.least_compressed = least == UINT64_MAX ? 0 : least;
  row.kept_after_prompt = after_prompt / prompts, row.kept = kept / seen;
  row.kv = mean_of(all);
}

// Tokens of a text are no independent draws: errors are those of whole texts.
void set_fidelity(EvalRow& row, const Runs& runs) {
  Fidelity fidelity;
  std::vector<uint64_t> sizes;
  std::vector<double> klds, nlls, differences, changes;  // sums, by text
  for (const ScoredRun* run : runs)
    for (const ScoredSample& s : run->samples) {
      if (s.forced.empty()) continue;
      sizes.push_back(s.forced.size());
      for (auto* sums : {&klds, &nlls, &differences, &changes}) sums->push_back(0);
      for (const TokenScore& t : s.forced) {
        fidelity.add({t.nll, t.kld, 0, t.same_top > 0.5f, t.reference_nll});
        klds.back() += t.kld, nlls.back() += t.nll, differences.back() += double(t.nll) - t.reference_nll;
        changes.back() += std::exp(-double(t.nll)) - std::exp(-double(t.reference_nll));
      }
    }
  if (sizes.empty()) return;
  FidelityFigures& f = row.fidelity = fidelity.figures();
  f.kld_se = grouped_stderr(klds, sizes), f.dp.se = grouped_stderr(changes, sizes);
  f.ppl_se = f.ppl * grouped_stderr(nlls, sizes), f.ppl_ratio_se = f.ppl_ratio * grouped_stderr(differences, sizes);
}

EvalRow make_row(const Runs& runs, std::span<const ScoredRun> baseline) {
  const RunInfo& info = runs[0]->info;
  EvalRow row;
  row.version = runs[0]->version, row.protocol = runs[0]->protocol, row.unverified = info.unverified;
  row.shots = info.shots, row.generates = info.generates, row.changes = info.changes;
  std::vector<Pairs> pairs;  // [runs]
  for (const ScoredRun* run : runs) {
    row.total += run->info.total;
    const auto other = std::find_if(baseline.begin(), baseline.end(), [&](auto& b) { return b.name == run->name; });
    pairs.push_back(other == baseline.end() ? Pairs{} : pair_samples(*run, *other));
    if (other == baseline.end()) continue;
    const uint64_t both = pairs.back().here.size();
    row.paired += both;
    row.only_here += run->samples.size() - both, row.only_baseline += other->samples.size() - both;
  }
  set_samples(row, runs);
  set_fidelity(row, runs);
  for (size_t at = 0; at < info.metrics.size(); at++) {
    MetricRow& metric = row.metrics.emplace_back();
    metric.metric = info.metrics[at];
    set_value(metric, at, runs);
    set_difference(metric, at, runs, pairs);
  }
  if (row.generates) set_divergence(row, pairs);
  return row;
}

void name_row(EvalRow& row, std::string name, std::string alias, uint32_t depth) {
  row.name = std::move(name), row.alias = std::move(alias), row.depth = depth;
}

// Below a subtask's row, its questions by what the fields of their records say, in order of appearance.
void add_parts(std::vector<EvalRow>& rows, const ScoredRun& run, std::span<const ScoredRun> baseline) {
  std::vector<std::string> parts;
  for (const ScoredSample& s : run.samples)
    if (!s.part.empty() && std::find(parts.begin(), parts.end(), s.part) == parts.end()) parts.push_back(s.part);
  const uint32_t depth = rows.back().depth + 1;
  for (const std::string& part : parts) {
    ScoredRun some = run;
    std::erase_if(some.samples, [&](const ScoredSample& s) { return s.part != part; });
    const auto total = run.info.part_totals.find(part);
    some.info.total = total == run.info.part_totals.end() ? some.samples.size() : total->second;
    rows.push_back(make_row({&some}, baseline));
    name_row(rows.back(), run.name + "[" + part + "]", part, depth);
    rows.back().part = true, rows.back().only_baseline = 0;
  }
}

}  // namespace

std::vector<EvalRow> eval_rows(std::span<const ScoredRun> runs, std::span<const ScoredRun> baseline) {
  std::vector<EvalRow> rows;
  std::vector<std::string> tasks;
  std::map<std::string, Runs> of_task;
  for (const ScoredRun& run : runs) {
    if (run.samples.empty()) continue;
    if (!of_task.count(run.info.task)) tasks.push_back(run.info.task);
    of_task[run.info.task].push_back(&run);
  }
  for (const std::string& task : tasks) {
    const Runs& members = of_task[task];
    const bool alone = members.size() == 1 && members[0]->name == task;
    rows.push_back(make_row(members, baseline));
    name_row(rows.back(), task, task, 0);
    if (alone) {
      add_parts(rows, *members[0], baseline);
      continue;
    }
    rows.back().version = members[0]->info.group_version;
    std::vector<std::string> groups;
    for (const ScoredRun* run : members)
      if (std::find(groups.begin(), groups.end(), run->info.group) == groups.end()) groups.push_back(run->info.group);
    const size_t top = rows.size() - 1;
    for (const std::string& group : groups) {
      Runs inside;
      for (const ScoredRun* run : members)
        if (run->info.group == group) inside.push_back(run);
      const bool named = !group.empty() && group != task;
      if (named) {
        rows[top].children.push_back(group);
        rows.push_back(make_row(inside, baseline));
        rows.back().version = inside[0]->info.group_version;
        const std::string prefix = task + "_";
        name_row(rows.back(), group, group.starts_with(prefix) ? group.substr(prefix.size()) : group, 1);
      }
      const size_t above = rows.size() - 1;
      for (const ScoredRun* run : inside) {
        rows[named ? above : top].children.push_back(run->name);
        rows.push_back(make_row({run}, baseline));
        name_row(rows.back(), run->name, run->info.alias, named ? 2 : 1);
        add_parts(rows, *run, baseline);
      }
    }
  }
  return rows;
}

KvBytes mean_bytes(std::span<const ScoredRun> runs) {
  std::vector<const ScoredSample*> all;
  for (const ScoredRun& run : runs)
    for (const ScoredSample& s : run.samples) all.push_back(&s);
  return mean_of(all);
}

}  // namespace sluice
