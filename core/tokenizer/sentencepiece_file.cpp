// A reader of SentencePiece's tokenizer.model: the protocol buffer's wire format, checked byte by byte, and the few
// fields that decide how text is cut. Models that cut otherwise (unigram, normalizing) are refused by name.
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/tokenizer/readers.h"
#include "core/tokenizer/tokenizer_config.h"

namespace sluice {
namespace {

struct Field {
  uint32_t number = 0;
  uint64_t value = 0;      // of a varint or a fixed-size field
  std::string_view bytes;  // of a length-delimited field
  size_t offset = 0;       // in the file
};

// A message within the file; fields come in file order.
class Message {
 public:
  Message(const std::filesystem::path& file, std::string_view bytes, size_t offset)
      : file_(file), bytes_(bytes), offset_(offset) {}

  // The next field, or nothing at the end.
  std::optional<Field> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    Field field;
    field.offset = offset_ + at_;
    const uint64_t tag = varint();
    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) fail(field.offset, "there is no such field number");
    field.number = uint32_t(tag >> 3);
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed(8);
        break;
      case 2: {
        const uint64_t length = varint();
        if (length > bytes_.size() - at_)
          fail(field.offset, fmt::format("a field of {} bytes, but only {} are left", length, bytes_.size() - at_));
        field.offset = offset_ + at_;
        field.bytes = bytes_.substr(at_, length);
        at_ += length;
        break;
      }
      case 5:
        field.value = fixed(4);
        break;
      default:
        fail(field.offset, fmt::format("wire type {} is not used by SentencePiece", tag & 7));
    }
    return field;
  }

  Message inside(const Field& field) const { return {file_, field.bytes, field.offset}; }

  [[noreturn]] void fail(size_t offset, const std::string& what) const {
    throw Error(fmt::format("{}: offset {}: {}; this is no SentencePiece model, or it is damaged", file_.string(),
                            offset, what));
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ == bytes_.size()) fail(offset_ + at_, "the data ends within a number");
      const uint8_t byte = uint8_t(bytes_[at_++]);
      if (shift < 64) value |= uint64_t(byte & 0x7F) << shift;
      if (!(byte & 0x80)) return value;
    }
    fail(offset_ + at_, "a number longer than 10 bytes");
  }

  uint64_t fixed(size_t size) {
    if (bytes_.size() - at_ < size) fail(offset_ + at_, "the data ends within a number");
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t(uint8_t(bytes_[at_ + i])) << 8 * i;
    at_ += size;
    return value;
  }

  const std::filesystem::path& file_;
  std::string_view bytes_;
  size_t offset_ = 0, at_ = 0;
};

// Field numbers of sentencepiece_model.proto.
enum ModelField : uint32_t { kPieces = 1, kTrainer = 2, kNormalizer = 3 };
enum PieceField : uint32_t { kPiece = 1, kScore = 2, kType = 3 };
enum TrainerField : uint32_t {
  kModelType = 3,
  kWhitespaceAsSuffix = 24,
  kUnknownPiece = 45,
  kBosPiece = 46,
  kEosPiece = 47,
  kPadPiece = 48,
};
enum NormalizerField : uint32_t { kName = 1, kCharsMap = 2, kDummyPrefix = 3, kExtraWhitespace = 4, kEscape = 5 };

struct Settings {
  uint64_t model_type = 1;  // the proto's defaults, here and below
  bool suffix = false;
  std::string_view unknown = "<unk>", bos = "<s>", eos = "</s>", pad = "<pad>";
  std::string_view normalizer;
  bool charsmap = false, dummy_prefix = true, remove_whitespace = true, escape = true;
};

void read_piece(Message message, Vocabulary& vocabulary) {
  std::string_view text;
  float score = 0;
  TokenKind kind = TokenKind::kNormal;
  while (const auto field = message.next()) {
    if (field->number == kPiece) text = field->bytes;
    if (field->number == kScore) score = std::bit_cast<float>(uint32_t(field->value));
    if (field->number != kType) continue;
    if (field->value < 1 || field->value > 6)
      message.fail(field->offset, fmt::format("a piece of type {}; types are 1 to 6", field->value));
    kind = TokenKind(field->value);
  }
  vocabulary.tokens.emplace_back(text);
  vocabulary.scores.push_back(score);
  vocabulary.kinds.push_back(kind);
}

void read_trainer(Message message, Settings& settings) {
  while (const auto field = message.next()) {
    switch (field->number) {
      case kModelType:
        settings.model_type = field->value;
        break;
      case kWhitespaceAsSuffix:
        settings.suffix = field->value != 0;
        break;
      case kUnknownPiece:
        settings.unknown = field->bytes;
        break;
      case kBosPiece:
        settings.bos = field->bytes;
        break;
      case kEosPiece:
        settings.eos = field->bytes;
        break;
      case kPadPiece:
        settings.pad = field->bytes;
        break;
      default:
        break;
    }
  }
}

void read_normalizer(Message message, Settings& settings) {
  while (const auto field = message.next()) {
    switch (field->number) {
      case kName:
        settings.normalizer = field->bytes;
        break;
      case kCharsMap:
        settings.charsmap = !field->bytes.empty();
        break;
      case kDummyPrefix:
        settings.dummy_prefix = field->value != 0;
        break;
      case kExtraWhitespace:
        settings.remove_whitespace = field->value != 0;
        break;
      case kEscape:
        settings.escape = field->value != 0;
        break;
      default:
        break;
    }
  }
}

void refuse_unsupported(const std::filesystem::path& file, const Settings& settings) {
  constexpr std::string_view kTypes[] = {"of unknown type", "unigram", "BPE", "word", "character"};
  const auto refuse = [&](const std::string& what) { throw Error(fmt::format("{}: {}", file.string(), what)); };
  if (settings.model_type != 2)
    refuse(fmt::format("the model is {}; only SentencePiece's BPE is supported",
                       kTypes[settings.model_type < 5 ? settings.model_type : 0]));
  if (settings.charsmap)
    refuse(fmt::format("the normalizer \"{}\" is not supported; only \"identity\" is", printable(settings.normalizer)));
  if (settings.remove_whitespace) refuse("remove_extra_whitespaces is not supported");
  if (!settings.escape) refuse("escape_whitespaces = false is not supported");
  if (settings.suffix) refuse("treat_whitespace_as_suffix is not supported");
}

int32_t find(const Vocabulary& vocabulary, std::string_view piece, TokenKind kind) {
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    if (vocabulary.kinds[id] == kind && vocabulary.tokens[id] == piece) return int32_t(id);
  return -1;
}

}  // namespace

Vocabulary read_sentencepiece(const std::filesystem::path& file) {
  const std::string bytes = read_file(file, uint64_t(1) << 28);
  Vocabulary vocabulary;
  vocabulary.model = Vocabulary::Model::kSentencePiece;
  Settings settings;
  Message model(file, bytes, 0);
  while (const auto field = model.next()) {
    if (field->number == kPieces) read_piece(model.inside(*field), vocabulary);
    if (field->number == kTrainer) read_trainer(model.inside(*field), settings);
    if (field->number == kNormalizer) read_normalizer(model.inside(*field), settings);
  }
  if (vocabulary.tokens.empty()) model.fail(0, "no pieces");
  refuse_unsupported(file, settings);

  vocabulary.add_space_prefix = settings.dummy_prefix;
  vocabulary.unknown = find(vocabulary, settings.unknown, TokenKind::kUnknown);
  vocabulary.bos = find(vocabulary, settings.bos, TokenKind::kControl);
  vocabulary.eos = find(vocabulary, settings.eos, TokenKind::kControl);
  vocabulary.pad = find(vocabulary, settings.pad, TokenKind::kControl);
  vocabulary.add_bos = true;  // what the Llama tokenizers do unless tokenizer_config.json says otherwise
  read_tokenizer_config(file.parent_path(), vocabulary);
  vocabulary.add_bos = vocabulary.add_bos && vocabulary.bos >= 0;
  vocabulary.add_eos = vocabulary.add_eos && vocabulary.eos >= 0;
  add_known_end_tokens(vocabulary);
  check_vocabulary(vocabulary, file.string());
  return vocabulary;
}

}  // namespace sluice
