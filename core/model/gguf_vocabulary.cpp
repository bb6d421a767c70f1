// See gguf_vocabulary.h. Where keys are absent, the defaults are those that writers of GGUF files rely on.
#include "core/model/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {
namespace {

constexpr uint32_t kNoToken = 0xFFFFFFFFu;  // some writers store -1 for "none"

int32_t token_id(const GgufFile& file, std::string_view key, size_t tokens, int32_t otherwise) {
  const GgufEntry* const entry = file.find(key);
  if (!entry) return otherwise;
  if (entry->type == GgufType::kInt32 && integer_at(*entry, 0) == -1) return -1;
  const uint32_t id = file.unsigned_value(key).value();
  if (id == kNoToken) return -1;
  if (id >= tokens)
    file.fail(*entry, fmt::format("is {}, but the vocabulary has {} tokens (0 to {})", id, tokens, tokens - 1));
  return int32_t(id);
}

Vocabulary::Model read_model(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.model";
  const std::optional<std::string_view> name = file.text(kKey);
  if (!name) throw Error(fmt::format("{}: has no key \"{}\": the file holds no tokenizer", file.path().string(), kKey));
  if (*name == "llama") return Vocabulary::Model::kSentencePiece;
  if (*name == "gpt2") return Vocabulary::Model::kByteBpe;
  file.fail(*file.find(kKey), fmt::format("is \"{}\", which is not supported; supported: \"llama\" (SentencePiece), "
                                          "\"gpt2\" (byte-level BPE)",
                                          printable(*name)));
}

std::vector<TokenKind> read_kinds(const GgufFile& file, size_t tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  const std::optional<std::vector<int32_t>> numbers = file.integers(kKey);
  std::vector<TokenKind> kinds(tokens, TokenKind::kNormal);
  if (!numbers) return kinds;
  const GgufEntry& entry = *file.find(kKey);
  if (numbers->size() != tokens) file.fail(entry, fmt::format("has {} entries for {} tokens", numbers->size(), tokens));
  for (size_t id = 0; id < tokens; id++) {
    const int32_t number = (*numbers)[id];
    if (number < 0 || number > 6) file.fail(entry, fmt::format("entry {} is {}, expected 0 to 6", id, number));
    if (number > 0) kinds[id] = TokenKind(number);  // 0 means that the writer did not say
  }
  return kinds;
}

}  // namespace

Vocabulary read_vocabulary(const GgufFile& file) {
  Vocabulary vocabulary;
  vocabulary.model = read_model(file);
  const bool sentence_piece = vocabulary.model == Vocabulary::Model::kSentencePiece;
  const auto missing = [&](std::string_view key) {
    return Error(fmt::format("{}: has no key \"{}\", which its tokenizer needs", file.path().string(), key));
  };

  std::optional<std::vector<std::string>> tokens = file.texts("tokenizer.ggml.tokens");
  if (!tokens) throw missing("tokenizer.ggml.tokens");
  vocabulary.tokens = std::move(*tokens);
  const size_t count = vocabulary.tokens.size();
  if (count == 0 || count > size_t(INT32_MAX))
    file.fail(*file.find("tokenizer.ggml.tokens"), "is empty, expected at least one token");
  vocabulary.kinds = read_kinds(file, count);
  if (sentence_piece) {
    std::optional<std::vector<float>> scores = file.floats("tokenizer.ggml.scores");
    if (!scores) throw missing("tokenizer.ggml.scores");
    vocabulary.scores = std::move(*scores);
    if (vocabulary.scores.size() != count)
      file.fail(*file.find("tokenizer.ggml.scores"),
                fmt::format("has {} entries for {} tokens", vocabulary.scores.size(), count));
  } else {
    std::optional<std::vector<std::string>> merges = file.texts("tokenizer.ggml.merges");
    if (!merges) throw missing("tokenizer.ggml.merges");
    vocabulary.merges = std::move(*merges);
    vocabulary.pre = file.text("tokenizer.ggml.pre").value_or("default");
  }

  vocabulary.bos = token_id(file, "tokenizer.ggml.bos_token_id", count, sentence_piece && count > 1 ? 1 : -1);
  vocabulary.eos = token_id(file, "tokenizer.ggml.eos_token_id", count, sentence_piece && count > 2 ? 2 : -1);
  vocabulary.unknown = token_id(file, "tokenizer.ggml.unknown_token_id", count, sentence_piece ? 0 : -1);
  vocabulary.pad = token_id(file, "tokenizer.ggml.padding_token_id", count, -1);
  const bool llama3 = vocabulary.pre == "llama-bpe" || vocabulary.pre == "llama3" || vocabulary.pre == "llama-v3";
  vocabulary.add_bos =
      file.boolean("tokenizer.ggml.add_bos_token").value_or((sentence_piece || llama3) && vocabulary.bos >= 0);
  vocabulary.add_eos = file.boolean("tokenizer.ggml.add_eos_token").value_or(false);
  vocabulary.add_space_prefix = file.boolean("tokenizer.ggml.add_space_prefix").value_or(sentence_piece);
  vocabulary.chat_template = file.text("tokenizer.chat_template").value_or("");
  for (const std::string_view key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const int32_t id = token_id(file, key, count, -1);
    auto& ends = vocabulary.end_of_generation;
    if (id >= 0 && std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  }
  add_known_end_tokens(vocabulary);
  check_vocabulary(vocabulary, file.path().string());
  return vocabulary;
}

Vocabulary read_gguf_vocabulary(const std::filesystem::path& path) { return read_vocabulary(GgufFile(path)); }

}  // namespace sluice
