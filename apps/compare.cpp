// `sluice compare` and `sluice ppl`: policies in lockstep over one text, as a table, JSON and an HTML page.
#include <fmt/format.h>

#include <cstdio>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/progress.h"
#include "core/report/html.h"
#include "core/report/json.h"
#include "core/report/table.h"
#include "core/run/lockstep.h"

namespace sluice {
namespace {

po::options_description comparison_options() {
  po::options_description options = config_options();
  options.add(output_options()).add(text_options());
  options.add_options()
      ("tokens", po::value<std::string>()->value_name("N"), "input tokens used (default 1024, or all of a shorter text)")
      ("mode", po::value<std::string>()->value_name("M"), "decode (default): token by token through the cache; chunked: --chunk rows a step")
      ("chunk", po::value<std::string>()->value_name("N"), "rows of a chunk in chunked mode (default 256)")
      ("precision", po::value<std::string>()->value_name("P"), "exact (default): float activations; fast: as in generation")
      ("fail-if", po::value<std::vector<std::string>>()->composing()->value_name("GATE"), "exit 3 if a policy's figure is beyond, as in 'kld>0.05'; may repeat");
  return options;
}

struct Job {
  std::vector<int32_t> tokens;
  std::string text_name;
  uint32_t chunk = 1;
  bool exact = true;
  std::vector<Gate> gates;
};

Job read_job(const Words& words) {
  Job job;
  job.gates = parse_gates(words.list("fail-if"));
  const bool chunked = words.choice("mode", "decode", "decode|chunked") == "chunked";
  if (words.has("chunk") && !chunked) throw Error(words.command + ": --chunk belongs to --mode chunked");
  job.chunk = chunked ? uint32_t(words.integer("chunk", 256, 1, 4096)) : 1;
  job.exact = words.choice("precision", "exact", "exact|fast") == "exact";
  job.text_name = words.has("file") ? std::filesystem::path(words.text("file")).filename().string() : "--text";
  return job;
}

// The first tokens of the text. A long file is cut before it is tokenized: no token stands for less than a byte.
std::vector<int32_t> read_tokens(const Words& words, const Tokenizer& tokenizer, uint32_t limit) {
  std::string text = input_text(words);
  const size_t enough = size_t(limit) * 64;
  if (text.size() > enough) text.resize(enough);
  std::vector<int32_t> tokens = tokenizer.encode_prompt(text);
  if (tokens.size() < 2) throw Error(fmt::format("{}: the text has {} tokens; at least 2 are needed to score one", words.command, tokens.size()));
  if (words.has("tokens") && tokens.size() < limit)
    fmt::print(stderr, "sluice: the text has {} tokens, {} were asked for\n", tokens.size(), limit);
  if (tokens.size() > limit) tokens.resize(limit);
  return tokens;
}

Comparison compare(Session& s, Job& job, bool speed, const Words& words) {
  const uint32_t limit = uint32_t(words.integer("tokens", 1024, 2, 1 << 20));
  load_model(s, std::max(limit, 1024u) + 64);
  Engine& engine = *s.engine;
  job.tokens = read_tokens(words, engine.tokenizer(), limit);
  if (job.tokens.size() > engine.hyper().context)
    fmt::print(stderr, "sluice: {} tokens are more than the {} this model was trained on\n", job.tokens.size(), engine.hyper().context);

  std::vector<std::unique_ptr<Policy>> policies;
  for (Config& config : s.configs) {
    if (job.chunk > 1) config.cache.chunked = true, config.cache.chunk = job.chunk;
    else config.cache.chunked = false;
    policies.push_back(build_policy(*s.registry, config, engine.geometry()));
  }
  std::vector<LockstepPolicy> entries;
  bool reference = false;
  for (size_t i = 0; i < policies.size(); i++) {
    const bool full = !reference && keeps_all(*policies[i]);
    reference |= full;
    entries.push_back({&s.configs[i], policies[i].get(), full});
  }
  // Without an F16 row there is nothing to measure against: one is added.
  std::unique_ptr<Config> added;
  if (!reference) {
    added = std::make_unique<Config>(reference_config(s.configs.front()));
    policies.push_back(build_policy(*s.registry, *added, engine.geometry()));
    entries.insert(entries.begin(), {added.get(), policies.back().get(), true});
  }

  LockstepOptions options;
  options.exact = job.exact, options.chunk = job.chunk, options.speed = speed, options.stop = &interrupt_flag();
  Progress progress(job.tokens.size(), fmt::format("{} policies", entries.size()));
  options.progress = [&](uint64_t tokens, const std::string& note) { progress.advance(tokens, note); };

  Comparison c;
  c.policies = run_lockstep(engine, entries, job.tokens, options);
  progress.clear();
  c.version = SLUICE_VERSION, c.date = date_text();
  c.model = engine.hyper().name, c.weight_type = weight_types(engine.file());
  c.parameters = parameter_count(engine.file()), c.weight_bytes = engine.weight_file_bytes();
  c.text = job.text_name, c.tokens = job.tokens.size();
  c.machine = machine_name(), c.backend = s.configs.front().backend.name, c.kernel = engine.device().kernels;
  c.threads = s.threads(), c.precision = job.exact ? "exact" : "fast";
  if (!job.exact)
    c.note = "fast: activations rounded to 8 bits move the distribution by themselves, which hides differences of that size; use "
             "--precision exact to compare policies.";
  if (c.policies.front().tokens + 1 < job.tokens.size())
    c.note += fmt::format("{}Interrupted: {} of {} tokens were scored.", c.note.empty() ? "" : " ", c.policies.front().tokens, job.tokens.size() - 1);
  c.memory = memory_use(engine);
  return c;
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
  options.add_options()
      ("html", po::value<std::string>()->value_name("OUT"), "also write a page with table and plots")
      ("no-speed", "do not measure tok/s of each policy afterwards");
  const auto words = parse_words("compare", args, options, {{"CONFIG"}, 1, true});
  if (!words) return kExitOk;
  const std::string format = output_format(*words);
  Job job = read_job(*words);
  if (words->has("html")) AtomicFile writable(words->text("html"));  // a wrong path is told before the work
  Session session = open_configs(words->positional, words->overrides());
  const Comparison comparison = compare(session, job, !words->has("no-speed"), *words);
  if (words->has("html")) write_report(words->text("html"), comparison);
  const std::string table = comparison_table(comparison, parse_format(format));
  std::fwrite(table.data(), 1, table.size(), stdout);
  return judge(job.gates, comparison.policies);
}

int run_ppl(std::span<const std::string> args) {
  const auto words = parse_words("ppl", args, comparison_options(), {{"CONFIG"}, 0, false});
  if (!words) return kExitOk;
  const std::string format = output_format(*words);
  Job job = read_job(*words);
  Session session = open_configs(words->positional, words->overrides());
  if (session.configs.size() > 1)
    throw Error(fmt::format("ppl: {} holds {} policies; `sluice compare` takes several", words->positional[0], session.configs.size()));
  const Comparison comparison = compare(session, job, false, *words);
  const PolicyResult& row = comparison.policies.back();  // before it stands the reference, if it is not one itself
  if (format == "json") {
    fmt::print("{}\n", to_json(row).dump(2));
  } else {
    const std::string table = comparison_table(comparison, parse_format(format));
    std::fwrite(table.data(), 1, table.size(), stdout);
  }
  return judge(job.gates, comparison.policies);
}

}  // namespace sluice
