// Chat templates against strings that Jinja2 made (tests/data/chat), what the engine refuses and how it says so, and
// ids in which nothing that a user wrote becomes a control token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/chat_template.h"
#include "support/shared_data.h"

namespace sluice {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<ChatMessage> messages_of(const json& list) {
  std::vector<ChatMessage> messages;
  for (const json& message : list) messages.push_back({message["role"], message["content"]});
  return messages;
}

Vocabulary vocabulary_of(const json& tokens) {
  Vocabulary vocabulary;
  const auto add = [&](const char* name, int32_t& id) {
    if (!tokens.contains(name)) return;
    id = int32_t(vocabulary.tokens.size());
    vocabulary.tokens.push_back(tokens[name]);
  };
  add("bos_token", vocabulary.bos);
  add("eos_token", vocabulary.eos);
  add("unk_token", vocabulary.unknown);
  add("pad_token", vocabulary.pad);
  return vocabulary;
}

class ChatData : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(ChatData, IsWhatJinjaRenders) {
  const json data = json::parse(read_file(GetParam()));
  const Vocabulary vocabulary = vocabulary_of(data["tokens"]);
  const std::string chat_template = data["template"];
  ASSERT_FALSE(data["cases"].empty());
  for (const json& test : data["cases"]) {
    SCOPED_TRACE(test["name"].get<std::string>());
    const std::vector<ChatMessage> messages = messages_of(test["messages"]);
    const ChatOptions options{test["add_generation_prompt"], std::time_t(data["now"])};
    if (test.contains("error")) {
      EXPECT_THROW(render_chat_marked(chat_template, messages, vocabulary, options), Error) << test["error"];
      continue;
    }
    try {
      const RenderedChat chat = render_chat_marked(chat_template, messages, vocabulary, options);
      EXPECT_EQ(chat.text, test["rendered"].get<std::string>());
      EXPECT_TRUE(std::is_sorted(chat.data.begin(), chat.data.end(),
                                 [](const TextRange& a, const TextRange& b) { return a.end <= b.begin && a.end < b.end; }));
    } catch (const Error& error) {
      ADD_FAILURE() << error.what() << "\nJinja renders " << test["rendered"];
    }
  }
}

std::vector<std::filesystem::path> chat_files() {
  std::vector<std::filesystem::path> files;
  const char* named = std::getenv("SLUICE_CHAT_DATA");
  for (const auto& entry : std::filesystem::directory_iterator(named ? named : SLUICE_TEST_DATA "/chat"))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Files, ChatData, ::testing::ValuesIn(chat_files()), [](const auto& info) {
  std::string name = info.param.stem().string();
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(uint8_t(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace sluice
