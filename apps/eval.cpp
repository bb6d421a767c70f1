// `sluice eval`: tasks under several policies over one copy of the weights, resumable, into a store, a table and the
// harness's files. The steps are in the eval_* files; this one puts them in order.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "apps/commands.h"
#include "apps/eval_gates.h"
#include "apps/eval_tasks.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/harness/export.h"
#include "core/harness/tables.h"
#include "core/harness/work.h"
#include "core/run/lockstep.h"
#include "core/store/export.h"

namespace sluice {
namespace {

po::options_description eval_options() {
  po::options_description options = config_options();
  options.add(output_options());
  const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
  options.add_options()("tasks", po::value<std::vector<std::string>>()->composing()->value_name("T,..."),
                        "tasks, groups or subtasks by name, or task files; --list shows them")(
      "out", text("DIR"), "the folder of the store and of exported results")(
      "resume", "keep the samples that DIR has of this very run and make those that are missing")(
      "limit", text("N"), "the first N questions of each subtask, or a share of them as in 0.1")(
      "draw", text("N"), "N questions of each task, drawn at random, every subtask in proportion to its size")(
      "seed", text("S"), "of --draw (default 1234)")("max-tokens", text("N"),
                                                     "generate at most N tokens, where a task would have more")(
      "samples", text("FILE"), "questions by number, JSON as in {\"gsm8k_cot\": [0, 7]}")(
      "shots", text("N"),
      "examples before each question, instead of the tasks' own number; of single tasks: gsm8k_cot=3,mmlu=0")(
      "passkey-words", text("N,..."), "lengths of the passkey task's texts, instead of its own")(
      "passkey-depths", text("X,..."), "where the key is hidden: 0 at the beginning, 1 at the end")(
      "data", text("DIR"), "the folder with the tasks' data (default: $SLUICE_DATA, ~/.cache/sluice/data)")(
      "batch", text("N"), "sequences that run together (default: as many as memory allows, up to 16)")(
      "log-samples", "also export every sample, as the harness does")(
      "truncate", "cut prompts at their beginning even if none fits the context")(
      "fidelity",
      "also lead each policy through the baseline's answers, token by token: KL divergence, same top token, change of "
      "probability")("fast-stop", "end a text where its score is settled, in tasks that say when it is")(
      "fail-if", po::value<std::vector<std::string>>()->composing()->value_name("GATE"),
      "exit 3 if a policy's figure is beyond, as in 'flips_lost>5' or 'difference_low<-0.03'; may repeat")(
      "list", "show the tasks and end; with --tasks, the groups and subtasks of these")(
      "threads,t", text("N"), "short for --set backend.threads=N");
  options.add(precision_options("what backend.precision says, else fast"));
  return options;
}

// The policies of the configurations, and F16 rows that keep all if none of them does that.
struct Policies {
  std::unique_ptr<Config> added;
  std::vector<EvalEntry> entries;
  bool baseline_was_asked = true;
};

EvalEntry make_entry(Session& s, const Config& config) {
  EvalEntry entry;
  entry.name = config.name, entry.from = &config;
  entry.policy = build_policy(*s.registry, config, s.engine->geometry(), s.engine->simulates_codecs());
  // Of an evictor's share the tokens differ from question to question.
  entry.settings = keeps_all(*entry.policy) ? "F16, keeps all" : describe_policy(config, *entry.policy, 0);
  if (const auto& budget = config.cache.budget; budget && !keeps_all(*entry.policy))
    entry.settings += budget->unit == Budget::Unit::kShare    ? fmt::format(", budget {:g}%", 100 * budget->amount)
                      : budget->unit == Budget::Unit::kTokens ? fmt::format(", budget {:g} tokens", budget->amount)
                                                              : ", budget " + human_bytes(uint64_t(budget->amount));
  return entry;
}

Policies make_policies(Session& s, const Words& words) {
  Policies policies;
  for (const Config& config : s.configs) {
    policies.entries.push_back(make_entry(s, config));
    policies.entries.back().config = show_config(config.file, words.overrides(), s.registry.get());
  }
  const auto full = std::find_if(policies.entries.begin(), policies.entries.end(),
                                 [](const EvalEntry& e) { return keeps_all(*e.policy); });
  if (full != policies.entries.end()) {
    full->reference = true;
  } else {
    policies.added = std::make_unique<Config>(reference_config(s.configs.front()));
    EvalEntry entry = make_entry(s, *policies.added);
    entry.reference = true;
    entry.config = "# F16 rows, all kept: the baseline that every evaluation has\n";
    policies.entries.insert(policies.entries.begin(), std::move(entry));
    policies.baseline_was_asked = false;
  }
  return policies;
}

std::vector<TaskRequests> ask_all(const ChosenTasks& chosen, const Tokenizer& tokenizer,
                                  const RequestOptions& options) {
  std::vector<TaskRequests> asked;
  for (const Task& task : chosen.tasks)
    for (const Subtask& subtask : task.subtasks) {
      if (interrupted()) throw Interrupted();
      const bool again = std::any_of(asked.begin(), asked.end(),
                                     [&](const TaskRequests& a) { return a.subtask->name == subtask.name; });
      if (again) throw Error(fmt::format("eval: --tasks asks for {} twice", subtask.name));
      asked.push_back(make_requests(task, subtask, tokenizer, options, [&] {
        return shots_that_fit(task, subtask, chosen.options, tokenizer, options.context);
      }));
      if (asked.back().truncated > 0)
        fmt::print(stderr, "sluice: {}: {} of {} prompts do not fit the context of {} and lose their beginning\n",
                   subtask.name, asked.back().truncated, subtask.documents.size(), options.context);
    }
  return asked;
}

// A gate on a metric that no task has would never fail.
void check_gates(std::span<const Gate> gates, const ChosenTasks& chosen, bool fidelity) {
  for (const Gate& gate : gates) {
    if (needs_fidelity(gate) && !fidelity)
      throw Error(fmt::format("eval: --fail-if '{}' needs --fidelity, which measures {}", gate.text, gate.field));
    const bool some = std::any_of(chosen.tasks.begin(), chosen.tasks.end(), [&](const Task& task) {
      return applies(gate, task.kind == TaskKind::kGenerate, task.kind != TaskKind::kPerplexity);
    });
    if (!some)
      throw Error(fmt::format("eval: no row can fail --fail-if '{}': no task here has {}", gate.text, gate.field));
    std::vector<std::string> metrics;
    for (const Task& task : chosen.tasks)
      for (const std::string& key : task.metrics) metrics.push_back(key.substr(0, key.find(',')));
    if (is_metric(gate) && std::find(metrics.begin(), metrics.end(), gate.field) == metrics.end())
      throw Error(
          fmt::format("eval: no row can fail --fail-if '{}': none of these tasks has {}", gate.text, gate.field));
  }
}

// What compares needs something beside the baseline.
void check_comparisons(std::span<const Gate> gates, const Policies& policies, bool fidelity) {
  if (policies.entries.size() > 1) return;
  for (const Gate& gate : gates)
    if (compares(gate))
      throw Error(fmt::format("eval: no row can fail --fail-if '{}': the only policy is the baseline", gate.text));
  if (fidelity) throw Error("eval: --fidelity holds policies against the baseline, and the baseline is the only one");
}

void print_plan(const MemoryPlan& plan) {
  fmt::print(stderr,
             "sluice: memory at most {}: weights {}, activations {}, caches of {} sequence{} {}, shared prefixes {}, "
             "in passing {}, work space {}\n",
             human_bytes(plan.total()), human_bytes(plan.weights), human_bytes(plan.activations), plan.rows,
             plan.rows == 1 ? "" : "s", human_bytes(plan.caches), human_bytes(plan.snapshots),
             human_bytes(plan.passing), human_bytes(plan.workspace));
}

class Evaluation {
 public:
  Evaluation(Session& s, const Words& words, const EvalConfig& eval, ChosenTasks chosen, std::span<const Gate> gates)
      : s_(s), words_(words), chosen_(std::move(chosen)), free_(0) {
    EvalWork::How how;
    how.options.exact = wants_exact(words, s_.configs.front());
    how.options.score_window = eval.score_window;
    how.options.stop = &interrupt_flag();
    how.fast_stop = words.has("fast-stop"), how.resume = words.has("resume"), how.folder = words.text("out");
    const int64_t rows = words.integer("batch", eval.batch, words.has("batch") ? 1 : 0, 65536);
    check_gates(gates, chosen_, words.has("fidelity"));
    load_model(s_, 0, false);
    Engine& engine = *s_.engine;
    free_ = engine.device().memory_free;
    policies_ = make_policies(s_, words);
    check_comparisons(gates, policies_, words.has("fidelity"));
    RequestOptions options;
    options.context = std::min(engine.context(), engine.hyper().context);
    options.fast_stop = how.fast_stop, options.truncate = words.has("truncate");
    result_.context = options.context, result_.score_window = eval.score_window;
    result_.precision = how.options.exact ? "exact" : "fast";
    if (chosen_.options.limit) result_.limit = *chosen_.options.limit;
    if (chosen_.options.limit_share) result_.limit = *chosen_.options.limit_share;
    result_.draw = chosen_.draw, result_.draw_seed = chosen_.draw_seed, result_.fast_stop = how.fast_stop;
    std::vector<TaskRequests> asked = ask_all(chosen_, engine.tokenizer(), options);
    store_.emplace(Store::to_write(words.text("out")));  // nothing is made on the disk before all else is sound
    work_ = std::make_unique<EvalWork>(engine, *store_, policies_.entries, std::move(asked), how);
    if (const EvalWork::Others& others = work_->others(); others.samples > 0)
      fmt::print(stderr,
                 "sluice: {} also holds {} samples of these tasks and policies from other settings ({}); they stay and "
                 "are not part of this run\n",
                 Store::file_in(how.folder).string(), others.samples, join(others.differ_in));
    result_.batch = rows > 0 ? uint32_t(rows) : work_->most_rows(free_);
  }

  const Policies& policies() const { return policies_; }

  // Runs what is left. True if all of it was done.
  bool run(const std::function<void()>& publish_part) {
    if (work_->done() > 0)
      fmt::print(stderr, "sluice: {} sample{} there already, {} to be made\n", work_->done(),
                 work_->done() == 1 ? " is" : "s are", work_->left());
    if (work_->left() > 0) {
      const MemoryPlan plan = work_->plan(result_.batch);
      if (plan.total() > free_) refuse(plan);
      result_.planned_bytes = plan.total();
      print_plan(plan);
    }
    EvalWork::Result done;
    const HangGuard::Block kept(*s_.hang_guard);
    s_.hang_guard->keep(publish_part);
    try {
      work_->run(result_.batch, done);
      if (!done.interrupted && words_.has("fidelity")) {
        led_through_all_ = false;
        led_through_all_ = work_->force_answers(free_);
        done.interrupted = !led_through_all_;
      }
    } catch (const Error&) {
      take(done);
      publish_part();
      fmt::print(stderr, "sluice: the result is partial; finished samples are kept, --resume goes on\n");
      throw;
    }
    take(done);
    if (done.answered > 0)
      fmt::print(stderr, "sluice: {} sample{} in {:.1f} s{}; caches took {} at most\n", done.answered,
                 done.answered == 1 ? "" : "s", done.seconds,
                 done.generated > 0 ? fmt::format(", {} tokens generated, {:.1f} tok/s", done.generated,
                                                  double(done.generated) / done.seconds)
                                    : "",
                 human_bytes(done.cache_peak));
    return !done.interrupted;
  }

  // What the store has of this run by now, as figures; last() is what it said before.
  const EvalResult& last() const { return result_; }
  const EvalResult& result() {
    Engine& engine = *s_.engine;
    result_.version = SLUICE_VERSION, result_.date = date_text();
    result_.model = engine.hyper().name, result_.weight_type = weight_types(engine.file());
    result_.machine = machine_name(), result_.backend = s_.configs.front().backend.name;
    result_.kernel = engine.device().kernels, result_.threads = s_.threads();
    result_.memory = memory_use(engine);
    result_.policies.clear();
    std::vector<ScoredRun> baseline;
    for (size_t p = 0; p < policies_.entries.size(); p++)
      if (policies_.entries[p].reference) baseline = work_->scored(p);
    uint64_t answered = 0;
    for (size_t p = 0; p < policies_.entries.size(); p++) {
      const EvalEntry& entry = policies_.entries[p];
      EvalPolicyResult& policy = result_.policies.emplace_back();
      policy.policy = entry.name, policy.settings = entry.settings, policy.reference = entry.reference;
      const std::vector<ScoredRun> own = entry.reference ? std::vector<ScoredRun>{} : work_->scored(p);
      const std::vector<ScoredRun>& runs = entry.reference ? baseline : own;
      policy.rows = eval_rows(runs, baseline), policy.kv = mean_bytes(runs);
      for (const ScoredRun& run : runs) answered += run.samples.size();
    }
    const uint64_t all = work_->done() + work_->left();
    result_.complete = answered == all && led_through_all_;
    result_.note = answered < all      ? fmt::format("Partial: {} of {} samples are there.", answered, all)
                   : !led_through_all_ ? "Partial: not every policy was led through all of the baseline's answers."
                                       : "";
    return result_;
  }

  void write_files(double began) {
    const Engine& engine = *s_.engine;
    const ExportOrder order{words_.text("out"), engine.file().path(), export_time(), words_.has("log-samples"), began};
    for (const auto& file : export_results(*work_, result_, order))
      fmt::print(stderr, "sluice: wrote {}\n", file.string());
  }

 private:
  [[noreturn]] void refuse(const MemoryPlan& plan) {
    uint32_t fit = result_.batch;
    while (fit > 0 && work_->plan(fit).total() > free_) fit /= 2;
    throw Error(fmt::format("eval: {} sequence{} at a time take{} {} at most, but {} are free: {}", result_.batch,
                            result_.batch == 1 ? "" : "s", result_.batch == 1 ? "s" : "", human_bytes(plan.total()),
                            human_bytes(free_),
                            fit > 0 ? fmt::format("--batch {} fits", fit)
                                    : "not even one fits; show fewer examples (--shots), or use smaller weights"));
  }

  void take(const EvalWork::Result& done) {
    result_.asked = done.answered, result_.generated = done.generated, result_.seconds = done.seconds;
    result_.cache_peak = done.cache_peak;
  }

  Session& s_;
  const Words& words_;
  ChosenTasks chosen_;
  std::optional<Store> store_;
  uint64_t free_;
  bool led_through_all_ = true;  // as far as --fidelity asks for that
  Policies policies_;
  std::unique_ptr<EvalWork> work_;
  EvalResult result_;
};

int judge_result(std::span<const Gate> gates, const EvalResult& result, bool baseline_was_asked) {
  int code = kExitOk;
  const bool alone = result.policies.size() == 1 && baseline_was_asked;
  for (const EvalPolicyResult& policy : result.policies)
    if (!policy.reference || alone) code = std::max(code, judge(gates, policy.policy, policy.rows));
  return code;
}

}  // namespace

int run_eval(std::span<const std::string> args) {
  const auto words = parse_words("eval", args, eval_options(), {{"CONFIG"}, 0, true});
  if (!words) return kExitOk;
  const Format format = parse_format(output_format(*words));
  if (words->has("list")) {
    write_stdout(task_list(words->list("tasks"), format));
    return kExitOk;
  }
  if (words->text("out").empty()) throw Error("eval: needs --out DIR, where samples are kept (see `sluice help eval`)");
  const std::vector<Gate> gates = parse_eval_gates(words->list("fail-if"));
  const double began = double(std::time(nullptr));
  Session session = open_configs(words->positional, words->overrides());
  const EvalConfig eval = shared_eval(session.configs);
  ChosenTasks chosen = choose_tasks(*words, eval);
  Evaluation evaluation(session, *words, eval, std::move(chosen), gates);
  const auto publish = [&] { write_stdout(eval_table(evaluation.result(), format)); };
  const bool complete = evaluation.run(publish);
  publish();
  if (!complete) {
    fmt::print(stderr, "sluice: finished samples are kept, --resume goes on\n");
    return partial_result();
  }
  evaluation.write_files(began);
  return judge_result(gates, evaluation.last(), evaluation.policies().baseline_was_asked);
}

}  // namespace sluice
