// `sluice run`: generates from a prompt or chats, streaming, and closes with what the cache held.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/output.h"
#include "apps/session.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/report/json.h"
#include "core/run/generate.h"
#include "core/run/kv_report.h"
#include "core/tokenizer/chat_template.h"

namespace sluice {
namespace {

struct Turn {
  std::string text;
  bool end = false;
};

// The next line a person types. Ends at end of file.
Turn ask() {
  if (isatty(STDIN_FILENO)) fmt::print(stderr, "\n> ");
  Turn turn;
  turn.end = !std::getline(std::cin, turn.text) || interrupted();
  return turn;
}

// Of a short text the cache holds more room than rows: a share of F16's bytes would speak of the room.
std::string stored_text(const KvBytes& kv) {
  if (!kv.stored) return "KV simulated, in F16";
  if (!(kv.ratio > 1))
    return fmt::format("KV {} stored, {:.1f} % of F16's {}", human_bytes(kv.bytes), 100 * kv.ratio,
                       human_bytes(kv.bytes_f16));
  constexpr std::string_view kBeside[] = {"padding", "positions",     "index", "signal",
                                          "plugin",  "evictor_state", "slack"};
  uint64_t beside = 0;
  for (const auto& [kind, bytes] : kv.by_kind)
    if (std::find(std::begin(kBeside), std::end(kBeside), kind) != std::end(kBeside)) beside += bytes;
  return fmt::format("KV {} stored, of it {} slack and bookkeeping (F16 rows alone: {})", human_bytes(kv.bytes),
                     human_bytes(beside), human_bytes(kv.bytes_f16));
}

void closing_line(const Generation& g, size_t prompt_tokens, const SequenceCache& cache) {
  const KvBytes kv = kv_bytes(cache);
  fmt::print(stderr, "\n[{} + {} tokens, prompt {:.1f} tok/s, decode {}, {}{}, ended by {}]\n", prompt_tokens,
             g.tokens.size(), prompt_tokens / std::max(g.prompt_seconds, 1e-9),
             g.decode_steps ? fmt::format("{:.1f} tok/s", g.decode_tok_s()) : "-", stored_text(kv),
             cache.rolling() ? fmt::format(", rolling positions, {:.0f} tokens kept", kv.tokens_kept) : "", g.ended_by);
}

}  // namespace

int run_run(std::span<const std::string> args) {
  po::options_description options = config_options();
  options.add(text_options());
  options.add_options()("json", "one JSON object instead of streamed text")(
      "n,n", po::value<std::string>()->value_name("N"),
      "tokens to generate at most (default 128, in a chat 512 a turn)")(
      "chat", "a conversation: --text or --file is the first message, further ones are lines of stdin; Ctrl-D leaves")(
      "system", po::value<std::string>()->value_name("S"), "the system message of a chat")(
      "stop", po::value<std::vector<std::string>>()->composing()->value_name("S"), "end at this string; may repeat")(
      "ignore-end", "go on after an end token")("parse-special", "control tokens in the text are control tokens");
  options.add(precision_options("backend.precision, else fast"));
  const auto words = parse_words("run", args, options, {{"CONFIG"}, 0, false});
  if (!words) return kExitOk;
  const bool chat = words->has("chat"), json = words->has("json");
  GenerateOptions generate_options;
  generate_options.tokens = uint32_t(words->integer("n", chat ? 512 : 128, 1, 1 << 20));
  generate_options.ignore_end = words->has("ignore-end");
  generate_options.stops = words->list("stop"), generate_options.stop = &interrupt_flag();
  for (const std::string& stop : generate_options.stops)
    if (stop.empty()) throw Error("run: --stop takes a text to end at, not an empty one");
  if (words->has("system") && !chat) throw Error("run: --system belongs to --chat");
  std::string text;
  if (!chat || words->has("text") || words->has("file")) text = input_text(*words);

  std::vector<std::string> files = words->positional;
  Session session = open_configs(files, words->overrides());
  if (session.configs.size() > 1)
    throw Error(fmt::format("run: {} holds {} policies; name one of them", files[0], session.configs.size()));
  const Config& config = session.configs.front();
  generate_options.exact = wants_exact(*words, config);
  load_model(session, 0);
  Engine& engine = *session.engine;
  const auto policy = build_policy(*session.registry, config, engine.geometry(), engine.simulates_codecs());
  const Vocabulary& vocabulary = engine.tokenizer().vocabulary();
  if (chat && vocabulary.chat_template.empty())
    throw Error(
        fmt::format("{}: this model has no chat template; run it without --chat", engine.file().path().string()));

  std::vector<ChatMessage> messages;
  if (words->has("system")) messages.push_back({"system", words->text("system")});
  std::vector<int32_t> prompt;
  std::vector<int32_t> held;  // the ids the cache has seen, in a chat
  if (chat) {
    if (text.empty()) {
      const Turn turn = ask();
      if (turn.end) return interrupted() ? partial_result() : kExitOk;
      text = turn.text;
    }
    messages.push_back({"user", text});
    prompt = encode_chat(engine.tokenizer(), messages);
  } else {
    prompt = engine.tokenizer().encode_prompt(text, words->has("parse-special"));
  }
  if (prompt.empty()) throw Error("run: the prompt is empty: nothing to continue");
  const uint32_t need = uint32_t(std::min<size_t>(prompt.size() + generate_options.tokens, 1u << 30));
  if (!chat && need > engine.context() && !policy->endless())
    throw Error(fmt::format(
        "run: the prompt has {} tokens; with {} to generate that exceeds the context of {}. Raise model.context (the "
        "model was trained on {}), or generate fewer",
        prompt.size(), generate_options.tokens, engine.context(), engine.hyper().context));
  // A chat whose positions roll goes on for about a million tokens; shares of it are of the context.
  constexpr uint32_t kEndless = 1u << 20;
  const uint32_t room = !chat ? need : policy->endless() ? kEndless : engine.context();
  const uint32_t budget = budget_tokens(config, *policy, chat ? engine.context() : need);
  auto cache = engine.create_cache(*policy, budget, room);
  Sampler sampler(config.sampler);
  if (!json)
    generate_options.stream = [](std::string_view piece) {
      write_stdout(piece);
      if (!flush_stdout()) throw OutputGone();
    };

  for (;;) {
    Generation g = generate(engine, *cache, prompt, sampler, generate_options);
    if (json) {
      nlohmann::ordered_json out = {{"text", g.text},
                                    {"tokens", g.tokens},
                                    {"prompt_tokens", prompt.size()},
                                    {"tok_s", number_or_null(g.decode_tok_s())},
                                    {"ended_by", g.ended_by},
                                    {"kernel", engine.device().kernels},
                                    {"positions", policy->positions()},
                                    {"kv", to_json(kv_bytes(*cache))}};
      write_stdout(out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
      if (!flush_stdout()) throw OutputGone();
    } else {
      if (g.text.empty() || g.text.back() != '\n') write_stdout("\n");
      if (!flush_stdout()) throw OutputGone();
      closing_line(g, prompt.size(), *cache);
    }
    if (!chat || interrupted()) break;
    // The cache has seen the prompt and all generated tokens but the last; the next prompt is what the template
    // adds to that.
    held.insert(held.end(), prompt.begin(), prompt.end());
    held.insert(held.end(), g.tokens.begin(), g.tokens.end());
    const Turn turn = ask();
    if (turn.end) break;
    messages.push_back({"assistant", g.text});
    messages.push_back({"user", turn.text});
    const std::vector<int32_t> whole = encode_chat(engine.tokenizer(), messages);
    size_t same = 0;
    while (same < whole.size() && same < cache->seen() && whole[same] == held[same]) same++;
    if (same < cache->seen()) {
      // The template tells the past otherwise than it was generated: start over.
      cache = engine.create_cache(*policy, budget, room);
      same = 0;
    }
    held.resize(same);
    prompt.assign(whole.begin() + std::ptrdiff_t(same), whole.end());
    if (cache->seen() + prompt.size() + generate_options.tokens > room) {
      fmt::print(stderr, "[the context of {} tokens is full: the conversation ends here]\n", room);
      break;
    }
  }
  return interrupted() ? partial_result() : kExitOk;
}

}  // namespace sluice
