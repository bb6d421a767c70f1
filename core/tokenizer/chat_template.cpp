// Hands a conversation to the template engine under the names that templates expect.
#include "core/tokenizer/chat_template.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/template_evaluator.h"

namespace sluice {
namespace {

// A role is normally a word that templates build tags of; only an unusual one could smuggle in a control token.
bool plain_word(std::string_view role) {
  return std::all_of(role.begin(), role.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace

RenderedChat render_chat_marked(std::string_view chat_template, std::span<const ChatMessage> messages,
                                const Vocabulary& vocabulary, const ChatOptions& options) {
  jinja::List list;
  for (const ChatMessage& message : messages) {
    jinja::Dict entry;
    entry.set("role", jinja::MarkedText(message.role, !plain_word(message.role)));
    entry.set("content", jinja::MarkedText(message.content, true));
    list.push_back(std::move(entry));
  }
  jinja::Variables variables;
  variables["messages"] = std::move(list);
  variables["add_generation_prompt"] = options.add_generation_prompt;
  variables["tools"] = jinja::None{};
  variables["documents"] = jinja::None{};
  const auto token = [&](const char* name, int32_t id) {
    if (id >= 0 && size_t(id) < vocabulary.tokens.size())
      variables[name] = jinja::MarkedText(vocabulary.tokens[size_t(id)]);
  };
  token("bos_token", vocabulary.bos);
  token("eos_token", vocabulary.eos);
  token("unk_token", vocabulary.unknown);
  token("pad_token", vocabulary.pad);

  const jinja::Template parsed = jinja::parse(chat_template);
  const std::time_t now = options.now.value_or(std::time(nullptr));
  const jinja::MarkedText text = jinja::Evaluator(parsed, std::move(variables), now).run();
  return {text.bytes(), text.data_ranges()};
}

std::string render_chat(std::string_view chat_template, std::span<const ChatMessage> messages,
                        const Vocabulary& vocabulary, bool add_generation_prompt) {
  return render_chat_marked(chat_template, messages, vocabulary, {add_generation_prompt, std::nullopt}).text;
}

std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                 const ChatOptions& options) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  if (vocabulary.chat_template.empty())
    throw Error("the model file has no chat template, so it cannot be used for a chat; give the prompt as plain text");
  const RenderedChat chat = render_chat_marked(vocabulary.chat_template, messages, vocabulary, options);
  return tokenizer.encode_template(chat.text, chat.data);
}

}  // namespace sluice
