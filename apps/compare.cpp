// `sluice compare` and `sluice ppl`: policies in lockstep over one text, as a table, JSON and an HTML page.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>

#include "apps/commands.h"
#include "apps/gates.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/report/html.h"
#include "core/report/json.h"
#include "core/report/table.h"
#include "core/run/lockstep.h"

namespace sluice {
namespace {

po::options_description comparison_options() {
  po::options_description options = config_options();
  options.add(output_options()).add(text_options());
  options.add_options()("tokens", po::value<std::string>()->value_name("N"),
                        "input tokens used (default 1024, or all of a shorter text)")(
      "mode", po::value<std::string>()->value_name("M"),
      "decode (default): token by token through the cache; chunked: --chunk rows a step")(
      "chunk", po::value<std::string>()->value_name("N"), "rows of a chunk in chunked mode (default 256)")(
      "details", "a second table: ratios of perplexity, percentiles of the change of probability")(
      "attention", po::value<std::string>()->value_name("N"),
      "look into attention at every Nth token: error of its output by layer, share of it on tokens still kept")(
      "fail-if", po::value<std::vector<std::string>>()->composing()->value_name("GATE"),
      "exit 3 if a policy's figure is beyond, as in 'kld>0.05' or 'same_top<0.9'; may repeat");
  options.add(precision_options("exact"));
  return options;
}

struct Job {
  std::vector<int32_t> tokens;
  std::string text_name;
  uint32_t chunk = 1;
  uint32_t attention_every = 0;
  bool exact = true, details = false;
  std::vector<Gate> gates;
  bool reference_is_judged = false;  // by the gates, as any row
};

Job read_job(const Words& words) {
  Job job;
  job.gates = parse_gates(words.list("fail-if"));
  const bool chunked = words.choice("mode", "decode", "decode|chunked") == "chunked";
  if (words.has("chunk") && !chunked) throw Error(words.command + ": --chunk belongs to --mode chunked");
  job.chunk = chunked ? uint32_t(words.integer("chunk", 256, 1, 4096)) : 1;
  if (words.has("attention") && chunked)
    throw Error(words.command + ": --attention looks at single tokens: it belongs to --mode decode");
  job.attention_every = words.has("attention") ? uint32_t(words.integer("attention", 16, 1, 1 << 20)) : 0;
  job.details = words.has("details") || words.has("attention");
  job.exact = words.choice("precision", "exact", "exact|fast") == "exact";
  job.text_name = words.has("file") ? std::filesystem::path(words.text("file")).filename().string() : "--text";
  return job;
}

// The first tokens of the text. Of a long text only a beginning is tokenized, longer and longer until it has tokens
// to spare: the last ones of a beginning may differ from those of the whole.
std::vector<int32_t> read_tokens(const Words& words, const Tokenizer& tokenizer, uint32_t limit) {
  constexpr uint32_t kSpare = 64;
  const std::string text = input_text(words);
  std::vector<int32_t> tokens;
  for (size_t bytes = size_t(limit) * 16; tokens.size() < limit + kSpare; bytes *= 2) {
    const std::string_view beginning = whole_characters(text, bytes);
    tokens = tokenizer.encode_prompt(beginning);
    if (beginning.size() == text.size()) break;
  }
  if (tokens.size() < 2)
    throw Error(
        fmt::format("{}: the text has {} tokens; at least 2 are needed to score one", words.command, tokens.size()));
  if (words.has("tokens") && tokens.size() < limit)
    fmt::print(stderr, "sluice: the text has {} tokens, {} were asked for\n", tokens.size(), limit);
  if (tokens.size() > limit) tokens.resize(limit);
  return tokens;
}

// The eviction budget in words, if all that evict have the same.
std::string shared_budget(std::span<const LockstepPolicy> entries, uint32_t tokens) {
  std::string shared;
  for (const LockstepPolicy& entry : entries) {
    const uint32_t kept = budget_tokens(*entry.config, *entry.policy, tokens);
    if (kept == 0) continue;  // evicts nothing
    const Budget& budget = *entry.config->cache.budget;
    std::string text = fmt::format("{} tokens", kept);
    if (budget.unit == Budget::Unit::kShare) text = fmt::format("{:g}% = {}", 100 * budget.amount, text);
    if (budget.unit == Budget::Unit::kBytes) text = fmt::format("{} = {}", human_bytes(uint64_t(budget.amount)), text);
    if (!shared.empty() && shared != text) return "";
    shared = text;
  }
  return shared;
}

// `publish` writes the finished rows if a plugin hangs, falls or fails.
Comparison compare(Session& s, Job& job, bool speed, const Words& words,
                   const std::function<void(const Comparison&)>& publish) {
  const uint32_t limit = uint32_t(words.integer("tokens", 1024, 2, 1 << 20));
  LockstepOptions options;
  options.exact = job.exact, options.chunk = job.chunk, options.speed = speed, options.stop = &interrupt_flag();
  options.attention_every = job.attention_every;
  load_model(s, limit + options.speed_room());
  Engine& engine = *s.engine;
  if (job.attention_every > 0 && !engine.device().immediate)
    throw Error(
        fmt::format("{}: --attention reads the cache's rows, which backend {} keeps in a memory of its own; use "
                    "backend cpu",
                    words.command, s.configs.front().backend.name));
  job.tokens = read_tokens(words, engine.tokenizer(), limit);
  std::vector<std::unique_ptr<Policy>> policies;
  for (Config& config : s.configs) {
    if (job.chunk > 1)
      config.cache.chunked = true, config.cache.chunk = job.chunk;
    else
      config.cache.chunked = false;
    policies.push_back(build_policy(*s.registry, config, engine.geometry(), engine.simulates_codecs()));
  }
  std::vector<LockstepPolicy> entries;
  bool reference = false;
  for (size_t i = 0; i < policies.size(); i++) {
    const bool full = !reference && keeps_all(*policies[i]);
    reference |= full;
    entries.push_back({&s.configs[i], policies[i].get(), full});
  }
  const bool beyond = job.tokens.size() > engine.hyper().context;
  const bool streams = beyond && std::any_of(policies.begin(), policies.end(), [](auto& p) { return p->endless(); });
  const bool alone = streams && job.reference_is_judged && !reference;  // the full cache is no measure for a stream
  if (beyond)
    fmt::print(stderr, "sluice: {} tokens are more than the {} this model was trained on{}\n", job.tokens.size(),
               engine.hyper().context,
               alone ? ": a full cache is no measure for rolling positions there, and there is no KLD"
               : streams
                   ? "; rows with rolling positions stay within that, the reference they are held against does not"
                   : "");
  // Without an F16 row there is nothing to measure against: one is added.
  std::unique_ptr<Config> added;
  if (!reference && !alone) {
    added = std::make_unique<Config>(reference_config(s.configs.front()));
    policies.push_back(build_policy(*s.registry, *added, engine.geometry(), engine.simulates_codecs()));
    entries.insert(entries.begin(), {added.get(), policies.back().get(), true});
  }

  if (!job.gates.empty() && !job.reference_is_judged &&
      std::all_of(entries.begin(), entries.end(), [](const LockstepPolicy& e) { return e.reference; }))
    throw Error(
        fmt::format("{}: no row can fail --fail-if '{}': the only one is the reference that others are measured "
                    "against; `sluice ppl` judges a policy alone",
                    words.command, job.gates.front().text));

  Progress progress(job.tokens.size(), fmt::format("{} policies", entries.size()));
  options.progress = [&](uint64_t tokens, const std::string& note) { progress.advance(tokens, note); };

  const auto conclude = [&](std::vector<PolicyResult> rows) {
    progress.clear();
    Comparison c;
    c.policies = std::move(rows);
    c.version = SLUICE_VERSION, c.date = date_text();
    c.model = engine.hyper().name, c.weight_type = weight_types(engine.file());
    c.parameters = parameter_count(engine.file()), c.weight_bytes = engine.weight_file_bytes();
    c.text = job.text_name, c.tokens = job.tokens.size();
    c.machine = machine_name(), c.backend = s.configs.front().backend.name, c.kernel = engine.device().kernels;
    c.threads = s.threads(), c.precision = job.exact ? "exact" : "fast";
    if (!job.exact)
      c.note =
          "fast: activations rounded to 8 bits move the distribution by themselves, which hides differences of that "
          "size; use --precision exact to compare policies.";
    if (c.policies.front().tokens + 1 < job.tokens.size())
      c.note += fmt::format("{}Interrupted: {} of {} tokens were scored.", c.note.empty() ? "" : " ",
                            c.policies.front().tokens, job.tokens.size() - 1);
    c.budget = shared_budget(entries, uint32_t(job.tokens.size()));
    c.byte_pairs = {{"gear", "group"}};  // gear spends bytes on repairing what group leaves
    c.memory = memory_use(engine);
    return c;
  };
  const HangGuard::Block kept(*s.hang_guard);
  options.offer = [&](std::function<std::vector<PolicyResult>()> so_far) {
    s.hang_guard->keep([&, so_far = std::move(so_far)] { publish(conclude(so_far())); });
  };
  options.failed = [&](std::vector<PolicyResult> rows) {
    publish(conclude(std::move(rows)));
    fmt::print(stderr, "sluice: the result is partial\n");
  };
  return conclude(run_lockstep(engine, entries, job.tokens, options));
}

// What stands on stdout.
std::string comparison_text(const Comparison& comparison, Format format, bool details) {
  std::string text = comparison_table(comparison, format);
  if (details && (format == Format::kText || format == Format::kMarkdown))
    text += "\n" + details_table(comparison, format);
  return text;
}

// A wrong path is told before the work, and so is one that would replace what is read.
void check_report_path(const Words& words, const Config& config) {
  const std::filesystem::path page = words.text("html");
  if (page.empty()) throw Error("compare: --html takes the name of a file, not an empty one");
  std::vector<std::filesystem::path> inputs(words.positional.begin(), words.positional.end());
  if (words.has("file")) inputs.push_back(words.text("file"));
  inputs.push_back(find_model(config.model, config.model_place));
  for (const std::filesystem::path& input : inputs) {
    std::error_code missing;  // then it is no input either
    if (std::filesystem::is_regular_file(page, missing) && std::filesystem::equivalent(page, input, missing))
      throw Error(fmt::format("compare: --html {} would replace its own input {}", page.string(), input.string()));
  }
  if (page.has_parent_path()) {
    std::error_code error;
    std::filesystem::create_directories(page.parent_path(), error);
    if (error)
      throw Error(fmt::format("compare: --html {}: cannot create {}: {}", page.string(), page.parent_path().string(),
                              error.message()));
  }
  AtomicFile writable(page);
}

void write_report(const std::string& path, const Comparison& c) {
  AtomicFile file(path);
  file.write(html_report(c));
  file.commit();
  fmt::print(stderr, "sluice: wrote {}\n", path);
}

}  // namespace

int run_compare(std::span<const std::string> args) {
  po::options_description options = comparison_options();
  options.add_options()("html", po::value<std::string>()->value_name("OUT"), "also write a page with table and plots")(
      "no-speed", "do not measure tok/s of each policy afterwards");
  const auto words = parse_words("compare", args, options, {{"CONFIG"}, 1, true});
  if (!words) return kExitOk;
  const std::string format = output_format(*words);
  Job job = read_job(*words);
  for (const Gate& gate : job.gates)
    if (gate.field == "tok_s" && words->has("no-speed"))
      throw Error(fmt::format("compare: --no-speed measures no tok_s, which --fail-if '{}' is to judge", gate.text));
  Session session = open_configs(words->positional, words->overrides());
  if (words->has("html")) check_report_path(*words, session.configs.front());
  const auto publish = [&](const Comparison& comparison) {
    if (words->has("html")) {
      if (comparison.policies.front().tokens > 0)
        write_report(words->text("html"), comparison);
      else
        fmt::print(stderr, "sluice: nothing was scored: {} was not written\n", words->text("html"));
    }
    write_stdout(comparison_text(comparison, parse_format(format), job.details));
  };
  const Comparison comparison = compare(session, job, !words->has("no-speed"), *words, publish);
  publish(comparison);
  if (interrupted()) return partial_result();
  std::vector<PolicyResult> judged = comparison.policies;
  std::erase_if(judged, [](const PolicyResult& row) { return row.reference; });
  return judge(job.gates, judged);
}

int run_ppl(std::span<const std::string> args) {
  const auto words = parse_words("ppl", args, comparison_options(), {{"CONFIG"}, 0, false});
  if (!words) return kExitOk;
  const std::string format = output_format(*words);
  Job job = read_job(*words);
  job.reference_is_judged = true;  // an uncompressed configuration is its own reference
  for (const Gate& gate : job.gates)
    if (gate.field == "tok_s")
      throw Error(fmt::format("ppl: --fail-if '{}' cannot be judged: ppl measures no speed", gate.text));
  Session session = open_configs(words->positional, words->overrides());
  if (session.configs.size() > 1)
    throw Error(fmt::format("ppl: {} holds {} policies; `sluice compare` takes several", words->positional[0],
                            session.configs.size()));
  const auto publish = [&](const Comparison& comparison) {
    // Before the policy's row stands the reference, if it is not one itself.
    write_stdout(format == "json" ? to_json(comparison.policies.back()).dump(2) + "\n"
                                  : comparison_text(comparison, parse_format(format), job.details));
  };
  const Comparison comparison = compare(session, job, false, *words, publish);
  publish(comparison);
  if (interrupted()) return partial_result();
  return judge(job.gates, {&comparison.policies.back(), 1});
}

}  // namespace sluice
