// See tokenizer_files.h. Of SentencePiece's protocol buffer only the fields that readers look at are written.
#include "core/convert/tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/model/gguf_vocabulary.h"
#include "core/tokenizer/readers.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kJson = "tokenizer.json", kSentencePiece = "tokenizer.model";
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, as SentencePiece writes a space

// Where the tokenizer of a folder lies; the path itself if it is no folder.
fs::path tokenizer_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  for (const std::string_view name : {kJson, kSentencePiece}) {
    if (fs::exists(path / name)) return path / name;
  }
  throw Error(fmt::format("{}: holds neither {} nor {}", path.string(), kJson, kSentencePiece));
}

bool is_gguf(const fs::path& file) { return file.extension() == ".gguf"; }

void put_varint(std::string& to, uint64_t value) {
  for (; value >= 128; value >>= 7) to += char(uint8_t(value | 128));
  to += char(uint8_t(value));
}

void put_number(std::string& to, uint32_t field, uint64_t value) {
  put_varint(to, field << 3);
  put_varint(to, value);
}

void put_bytes(std::string& to, uint32_t field, std::string_view bytes) {
  put_varint(to, field << 3 | 2);
  put_varint(to, bytes.size());
  to += bytes;
}

void put_float(std::string& to, uint32_t field, float value) {
  put_varint(to, field << 3 | 5);
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) to += char(uint8_t(bits >> shift));
}

std::string sentencepiece_file(const Vocabulary& vocabulary) {
  std::string file;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    std::string piece;
    put_bytes(piece, 1, vocabulary.tokens[id]);
    put_float(piece, 2, vocabulary.scores[id]);
    if (vocabulary.kinds[id] != TokenKind::kNormal) put_number(piece, 3, uint64_t(vocabulary.kinds[id]));
    put_bytes(file, 1, piece);
  }
  std::string trainer, normalizer;
  put_number(trainer, 3, 2);   // model_type: BPE
  put_number(trainer, 35, 1);  // byte_fallback
  // Ids are 32-bit; negative ones are sign-extended.
  put_number(trainer, 40, uint64_t(int64_t(vocabulary.unknown)));
  put_number(trainer, 41, uint64_t(int64_t(vocabulary.bos)));
  put_number(trainer, 42, uint64_t(int64_t(vocabulary.eos)));
  put_number(trainer, 43, uint64_t(int64_t(vocabulary.pad)));
  put_bytes(normalizer, 1, "identity");
  put_number(normalizer, 3, vocabulary.add_space_prefix);
  put_number(normalizer, 4, 0);  // remove_extra_whitespaces
  put_number(normalizer, 5, 1);  // escape_whitespaces
  put_bytes(file, 2, trainer);
  put_bytes(file, 3, normalizer);
  return file;
}

}  // namespace

Vocabulary read_any_vocabulary(const fs::path& path) {
  const fs::path file = tokenizer_file(path);
  if (is_gguf(file)) return read_gguf_vocabulary(file);
  if (file.filename() == kJson) return read_tokenizer_json(file.has_parent_path() ? file.parent_path() : ".");
  if (file.extension() == ".json")
    throw Error(fmt::format("{}: expected a file named {}, since others beside it belong to it", file.string(), kJson));
  return read_sentencepiece(file);
}

Vocabulary made_up_vocabulary(uint32_t tokens) {
  assert(tokens >= 300);
  Vocabulary vocabulary;
  vocabulary.model = Vocabulary::Model::kSentencePiece;
  const auto add = [&](std::string text, TokenKind kind, float score) {
    if (vocabulary.tokens.size() == tokens) return;
    vocabulary.tokens.push_back(std::move(text));
    vocabulary.kinds.push_back(kind);
    vocabulary.scores.push_back(score);
  };
  add("<unk>", TokenKind::kUnknown, 0);
  add("<s>", TokenKind::kControl, 0);
  add("</s>", TokenKind::kControl, 0);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), TokenKind::kByte, 0);
  constexpr std::string_view kLetters = "etaoinshrdlucmfwypvbgkqjxz";
  size_t grown = vocabulary.tokens.size();  // the first piece that has not been lengthened yet
  const auto add_piece = [&](std::string text) {
    add(std::move(text), TokenKind::kNormal, -float(vocabulary.tokens.size()));
  };
  add_piece(std::string(kSpace));
  for (const char letter : kLetters) add_piece(std::string(1, letter));
  for (; vocabulary.tokens.size() < tokens; ++grown) {
    const std::string shorter = vocabulary.tokens[grown];
    for (const char letter : kLetters) add_piece(shorter + letter);
  }
  vocabulary.unknown = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  vocabulary.end_of_generation = {2};
  vocabulary.add_bos = true;
  return vocabulary;
}

void write_tokenizer(const fs::path& folder, const Vocabulary& vocabulary, const fs::path& source) {
  const fs::path file = source.empty() ? fs::path() : tokenizer_file(source);
  if (!file.empty() && !is_gguf(file)) {
    const bool json = file.filename() == kJson;
    write_file(folder / (json ? kJson : kSentencePiece), read_file(file));
    for (const char* companion : {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
      const fs::path beside = file.parent_path() / companion;
      if (fs::exists(beside)) write_file(folder / companion, read_file(beside));
    }
    return;
  }
  if (vocabulary.model != Vocabulary::Model::kSentencePiece)
    throw Error(
        fmt::format("{}: its vocabulary (byte-level BPE) cannot be written for a Hugging Face folder; give the "
                    "model's tokenizer.json instead",
                    source.string()));
  write_file(folder / kSentencePiece, sentencepiece_file(vocabulary));
}

}  // namespace sluice
