// Conversations to the text a model was trained on, by the chat template (Jinja) that its file carries. The engine
// covers what the templates of Llama-2/3, Mistral, Qwen2, SmolLM2 and TinyLlama need; the rest is refused by name.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/vocabulary.h"

namespace sluice {

struct ChatMessage {
  std::string role, content;
};

struct ChatOptions {
  bool add_generation_prompt = true;  // end with what makes the model answer
  std::optional<std::time_t> now;     // what a template takes for today; the current time if absent
};

struct RenderedChat {
  std::string text;
  std::vector<TextRange> data;  // what comes from the messages, sorted
};

// As Jinja2 renders it with trim_blocks and lstrip_blocks, which is how templates are written. Throws Error "chat
// template line 3, column 7: ..." for what the engine does not support and where the template refuses.
RenderedChat render_chat_marked(std::string_view chat_template, std::span<const ChatMessage> messages,
                                const Vocabulary& vocabulary, const ChatOptions& options);
std::string render_chat(std::string_view chat_template, std::span<const ChatMessage> messages,
                        const Vocabulary& vocabulary, bool add_generation_prompt);

// Ids of the conversation by the vocabulary's own template. Only the template's control tokens become control ids;
// what users wrote is plain text, whatever it looks like. Throws Error if the vocabulary has no template.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                 const ChatOptions& options = {});

}  // namespace sluice
