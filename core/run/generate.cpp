// See generate.h: the loop of feeding and picking, and which bytes of the text may be shown yet.
#include "core/run/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

// Bytes of `text` that end no character too early.
size_t whole_characters(std::string_view text) {
  size_t end = text.size();
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); back++) {
    const auto byte = uint8_t(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    if (length > back) end = text.size() - back;
    break;
  }
  return end;
}

// Bytes of `text` that could not be the beginning of a stop string.
size_t before_stop(std::string_view text, std::span<const std::string> stops) {
  size_t end = text.size();
  for (const std::string& stop : stops)
    for (size_t n = std::min(stop.size() - 1, text.size()); n > 0; n--)
      if (text.substr(text.size() - n) == std::string_view(stop).substr(0, n)) {
        end = std::min(end, text.size() - n);
        break;
      }
  return end;
}

// Rows that are no numbers make logits that are none, and the model is not to blame.
std::string codec_hint(const Policy& policy) {
  for (const LayerPolicy& layer : policy.layers)
    for (const Instance* codec : layer.codec)
      if (codec)
        return fmt::format("; or {} gives rows that are no numbers, which `sluice plugin check {}` would tell",
                           codec->who(), codec->module().name);
  return "";
}

}  // namespace

Generation generate(Engine& engine, SequenceCache& cache, std::span<const int32_t> prompt, Sampler& sampler,
                    const GenerateOptions& options) {
  using Clock = std::chrono::steady_clock;
  if (prompt.empty()) throw Error("the prompt is empty: nothing to continue");
  if (cache.seen() + prompt.size() + options.tokens > cache.max_tokens() + 1)
    throw Error(fmt::format("{} tokens held + {} of the prompt + {} to generate exceed the {} this run was made for",
                            cache.seen(), prompt.size(), options.tokens, cache.max_tokens()));
  Generation g;
  int32_t next = 0;
  const LogitSink sink = [&](std::span<const LogitRow> rows) {
    try {
      next = sampler.pick(rows.back().logits);
    } catch (const Error& error) {
      throw Error(error.what() + codec_hint(cache.policy()), error.code());
    }
  };
  auto start = Clock::now();
  engine.feed_prompt(cache, prompt, Want::kLast, options.exact, sink);
  g.prompt_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  start = Clock::now();
  size_t shown = 0;
  g.ended_by = "limit";
  auto show = [&](size_t end) {
    if (end > shown && options.stream) options.stream(std::string_view(g.text).substr(shown, end - shown));
    shown = std::max(shown, end);
  };
  g.tokens.reserve(options.tokens);
  // After nothing but BOS the first token begins the text: SentencePiece's prefix space is not part of it.
  const Vocabulary& vocabulary = engine.tokenizer().vocabulary();
  const bool begins_text = cache.seen() == 1 && prompt.back() == vocabulary.bos && vocabulary.add_space_prefix &&
                           vocabulary.model != Vocabulary::Model::kByteBpe;
  while (g.tokens.size() < options.tokens) {
    if (options.stop && *options.stop) {
      g.ended_by = "interrupt";
      break;
    }
    if (!options.ignore_end && engine.tokenizer().ends_generation(next)) {
      g.ended_by = "end token";
      break;
    }
    g.tokens.push_back(next);
    std::string piece = engine.tokenizer().piece(next, options.ignore_end);
    if (g.tokens.size() == 1 && begins_text && !piece.empty() && piece[0] == ' ') piece.erase(0, 1);
    g.text += piece;
    if (cut_at_stops(g.text, options.stops)) {
      g.ended_by = "stop string";
      break;
    }
    show(std::min(whole_characters(g.text), before_stop(g.text, options.stops)));
    if (g.tokens.size() == options.tokens) break;
    const int32_t fed = next;
    const Feed step{&cache, {&fed, 1}, Want::kLast};
    engine.step({&step, 1}, options.exact, sink);
    g.decode_steps++;
  }
  show(g.text.size());
  g.decode_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return g;
}

}  // namespace sluice
