// `sluice bench --pair A --pair B` and `--versus CMD`: two things in turns, and whether one of them is faster.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/bench_modes.h"
#include "apps/bench_table.h"
#include "apps/interrupt.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/bench/pair.h"
#include "core/bench/peer.h"
#include "core/report/format.h"

namespace sluice {
namespace {

struct PairLine {
  std::string policy, against;
  BenchTest test;
  PairFigures figures;
  KvBytes kv;
  std::optional<KvBytes> against_kv;  // none of a peer's
  uint32_t threads = 0;
  std::string kernel, against_kernel, precision, model, weights;
  std::shared_ptr<const RoofPair> roofs;
};

std::vector<Field> pair_fields(const PairLine& line) {
  const Spread ratio = spread(line.figures.ratios);
  const auto known = [](const KvBytes& kv) { return kv.bytes ? Cell(kv.bytes, human_bytes(kv.bytes)) : Cell(); };
  std::vector<Field> f;
  f.push_back(text_field("policy", "policy", line.policy));
  f.push_back(text_field("against", "against", line.against));
  f.push_back(text_field("test", "test", test_name(line.test)));
  f.push_back(count_field("n_prompt", "", line.test.prompt));
  f.push_back(count_field("n_gen", "", line.test.generate));
  f.push_back({{"depth", "depth"},
               Cell(uint64_t(line.test.depth), fmt::format("{}{}", line.test.depth, line.test.tiled ? " tiled" : ""))});
  f.push_back(text_field("depth_by", "", line.test.tiled ? "tiling" : "prefill"));
  f.push_back(count_field("threads", "threads", line.threads));
  f.push_back(count_field("batch", "batch", line.test.batch));
  f.push_back(decimal_field("tok_s", "tok/s", spread(line.figures.speeds[0]).median, 2));
  f.push_back(decimal_field("against_tok_s", "against tok/s", spread(line.figures.speeds[1]).median, 2));
  f.push_back({{"ratio", "ratio"},
               std::isfinite(ratio.median)
                   ? Cell(ratio.median, fmt::format("{:.3f} ({:.3f} to {:.3f})", ratio.median, ratio.low, ratio.high))
                   : Cell()});
  f.push_back({{"ratio_low", ""}, Cell(ratio.low)});
  f.push_back({{"ratio_high", ""}, Cell(ratio.high)});
  f.push_back(count_field("pairs", "pairs", line.figures.ratios.size()));
  f.push_back(count_field("dropped", "dropped", line.figures.dropped));
  f.push_back(text_field("verdict", "verdict", std::string(verdict_of(line.figures.ratios))));
  f.push_back({{"kv_bytes", "KV stored"}, known(line.kv)});
  f.push_back({{"kv_ratio", "of F16"}, Cell(line.kv.ratio, percent_text(line.kv.ratio))});
  f.push_back({{"against_kv_bytes", "against KV"}, line.against_kv ? known(*line.against_kv) : Cell()});
  f.push_back(text_field("kernel", "kernel", line.kernel));
  f.push_back({{"against_kernel", "", false}, line.against_kernel.empty() ? Cell() : Cell(line.against_kernel)});
  f.push_back(text_field("precision", "precision", line.precision));
  f.push_back(text_field("model", "", line.model));
  f.push_back(text_field("weight_type", "", line.weights));
  add_void_fields(f, line.roofs ? *line.roofs : RoofPair{});
  return f;
}

// Where the one policy of a file runs.
struct Player {
  Session* session;
  const Config* config;
  std::unique_ptr<Policy> policy;
  std::vector<int32_t> tokens;

  Player(Session& s, const Config& c)
      : session(&s), config(&c), policy(timed_policy(s, c)), tokens(bench_tokens(s.engine->hyper().vocab)) {}
  Trial trial(const Words& words, const BenchTest& test) const {
    return Trial(*session->engine, *config, *policy, test, wants_exact(words, *config), tokens, &interrupt_flag());
  }
};

void want_one(const Session& session, const std::string& file) {
  if (session.configs.size() != 1)
    throw Error(
        fmt::format("bench: {} holds {} policies; what is timed in turns is one", file, session.configs.size()));
}

// Whether one engine can run both: the same model, and the same to tell the backend.
bool same_engine(const Session& a, const Session& b) {
  const Config &x = a.configs.front(), &y = b.configs.front();
  const auto model = [](const Config& c) {
    return std::filesystem::weakly_canonical(find_model(c.model, c.model_place));
  };
  const auto backend = [](const Session& s) {
    const ModuleChoice& choice = s.configs.front().backend;
    return describe_choice(s.registry->find(SLUICE_BACKEND, choice.name, choice.place.text), choice);
  };
  return model(x) == model(y) && backend(a) == backend(b);
}

// Sessions that live at the same time: one if one engine serves both, else two, of which the last one's guard watches
// over both: there is one at a time in a process.
std::vector<Session> open_pair(const std::vector<std::string>& files, const std::vector<std::string>& overrides,
                               uint32_t context) {
  std::vector<Session> sessions;
  for (const std::string& file : files) {
    if (!sessions.empty()) sessions.back().hang_guard.reset();
    sessions.push_back(open_configs({&file, 1}, overrides));
    want_one(sessions.back(), file);
  }
  if (files.size() == 2 && same_engine(sessions[0], sessions[1])) {
    sessions.clear();
    sessions.push_back(open_configs(files, overrides));
  }
  for (Session& session : sessions) load_model(session, context);
  return sessions;
}

// What is measured against: the other policy, or the peer.
struct Opponent {
  const Player* side = nullptr;
  Peer* peer = nullptr;
};

PairLine play(const Words& words, const BenchPlan& plan, const BenchTest& test, const Player& own,
              const Opponent& opponent, const std::function<void(uint32_t)>& pair_done) {
  PairLine line;
  const Engine& engine = *own.session->engine;
  line.policy = own.config->name, line.test = test, line.threads = own.session->threads();
  line.kernel = own.session->engine->device().kernels, line.model = own.session->engine->hyper().name;
  line.precision = wants_exact(words, *own.config) ? "exact" : "fast", line.weights = weight_types(engine.file());
  Trial first = own.trial(words, test);
  std::optional<Trial> second;
  if (opponent.side) second.emplace(opponent.side->trial(words, test));
  line.figures =
      alternate([&] { return trial_slice(first); },
                [&] { return second ? trial_slice(*second) : opponent.peer->turn(); }, plan.repeats_or(9), pair_done);
  line.kv = first.kv();
  if (second) {
    line.against = opponent.side->config->name, line.against_kv = second->kv();
    line.against_kernel = opponent.side->session->engine->device().kernels;
  } else {
    line.against = opponent.peer->description();
  }
  return line;
}

std::vector<std::string> command_words(const std::string& text) {
  try {
    return po::split_unix(text);
  } catch (const std::exception& error) {
    throw Error(fmt::format("--versus \"{}\": {}", printable(text), error.what()));
  }
}

}  // namespace

int bench_pair(const Words& words) {
  const BenchPlan plan = parse_bench_plan(words, true);
  const bool versus = words.has("versus");
  std::vector<std::string> files = words.list("pair");
  if (!versus && files.size() != 2)
    throw Error(fmt::format("bench: --pair is given twice, once for each of the two; here {} time(s)", files.size()));
  if (!versus && !words.positional.empty())
    throw Error(fmt::format("bench: with --pair, \"{}\" is one configuration too many", words.positional.front()));
  if (versus && words.positional.size() > 1)
    throw Error(fmt::format("bench: --versus is measured against one configuration, not {}", words.positional.size()));
  if (versus && (plan.tests.size() > 1 || plan.threads.size() > 1))
    throw Error(
        fmt::format("bench: a driver measures one test, as its own command line says; these are {} (give one "
                    "number each for -p or -n, -d, -t and --batch)",
                    plan.tests.size() * plan.threads.size()));
  if (versus) files = words.positional;
  // In a pair the second is measured against the first, in the order in which one says it.
  const size_t own = versus ? 0 : 1;
  BenchOutput output("pairs", plan.format, pair_fields({}));
  for (const uint32_t t : plan.threads) {
    if (interrupted()) break;
    std::vector<Session> sessions;
    if (files.empty()) {
      sessions.push_back(open_session({}, with_threads(words, t), plan.context));
    } else {
      sessions = open_pair(files, with_threads(words, t), plan.context);
    }
    Session& home = sessions.back();
    const std::string instructions = home.engine->device().kernels;
    std::vector<Player> sides;
    for (Session& session : sessions)
      for (const Config& config : session.configs) sides.emplace_back(session, config);
    const auto roofs = roof_before(*home.pool, instructions, plan.roof);
    std::optional<Peer> peer;  // after the roof, which is not to be measured while it loads
    if (versus) {
      peer.emplace(command_words(words.text("versus")), words.number("versus-limit", 600, 0.1, 1e6), &interrupt_flag());
    }
    Progress progress(plan.tests.size() * plan.repeats_or(9), "pairs");
    const HangGuard::Block kept(*home.hang_guard);
    home.hang_guard->keep([&] {
      progress.clear();
      output.publish();
    });
    for (const BenchTest& test : plan.tests) {
      try {
        const Opponent opponent{versus ? nullptr : &sides[1 - own], versus ? &*peer : nullptr};
        PairLine line = play(words, plan, test, sides[own], opponent,
                             [&](uint32_t pair) { progress.advance(1, fmt::format("pair {}", pair)); });
        line.roofs = roofs;
        output.add([line] { return pair_fields(line); }, line.kv);
      } catch (const Error&) {
        if (!interrupted()) throw;
        break;
      }
    }
    progress.clear();
    peer.reset();
    if (!interrupted()) roof_after(*roofs, *home.pool, instructions);
  }
  output.publish();
  return interrupted() ? partial_result() : kExitOk;
}

}  // namespace sluice
