// Puts the pieces together: special tokens are cut out first, the rest goes to the model's BPE, and ids turn back
// into bytes by a table.
#include "core/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "core/base/error.h"
#include "core/tokenizer/byte_bpe.h"
#include "core/tokenizer/space_bpe.h"
#include "core/tokenizer/special_tokens.h"
#include "core/tokenizer/unicode.h"

namespace sluice {
namespace {

std::variant<ByteBpe, SpaceBpe> make_bpe(const Vocabulary& vocabulary) {
  check_vocabulary(vocabulary, "vocabulary");
  if (vocabulary.model == Vocabulary::Model::kByteBpe) return ByteBpe(vocabulary);
  return SpaceBpe(vocabulary);
}

bool written_only_if_asked(TokenKind kind) { return kind == TokenKind::kControl || kind == TokenKind::kUnknown; }

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  std::variant<ByteBpe, SpaceBpe> bpe;
  TokenFinder special;              // control and user-defined tokens
  std::vector<std::string> pieces;  // [vocab] bytes of each token

  explicit Impl(Vocabulary given) : vocabulary(std::move(given)), bpe(make_bpe(vocabulary)) {
    const bool byte_level = vocabulary.model == Vocabulary::Model::kByteBpe;
    const bool sentencepiece = vocabulary.model == Vocabulary::Model::kSentencePiece;
    pieces.reserve(vocabulary.tokens.size());
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      const TokenKind kind = vocabulary.kinds[id];
      const std::string& token = vocabulary.tokens[id];
      const bool plain = kind == TokenKind::kNormal || kind == TokenKind::kUnused || kind == TokenKind::kByte;
      if (byte_level)
        pieces.push_back(plain ? ByteBpe::bytes_of(token) : token);
      else
        pieces.push_back(SpaceBpe::bytes_of(vocabulary, id));
      // SentencePiece's own user-defined symbols are found within the escaped text, by the BPE itself.
      if (written_only_if_asked(kind) || (kind == TokenKind::kUserDefined && !sentencepiece))
        special.add(token, int32_t(id));
    }
  }

  void encode_text(std::string_view text, bool at_start, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    if (const auto* bytes = std::get_if<ByteBpe>(&bpe))
      bytes->encode(text, ids);
    else
      std::get<SpaceBpe>(bpe).encode(text, at_start, ids);
  }

  // The next special token at or after `at` that shares no byte with `data`.
  std::optional<TokenFinder::Match> next_special(std::string_view text, size_t at,
                                                 std::span<const TextRange> data) const {
    for (const TextRange& range : data) {
      if (range.end <= at) continue;
      const size_t limit = std::min(range.begin, text.size());
      if (at < limit)
        if (const auto match = special.find(text.substr(0, limit), at)) return match;
      at = std::max(at, range.end);
    }
    return special.find(text, at);
  }

  std::vector<int32_t> encode(std::string_view text, bool parse_special, std::span<const TextRange> data) const {
    std::vector<int32_t> ids;
    size_t at = 0;
    while (parse_special) {
      const auto match = next_special(text, at, data);
      if (!match) break;
      std::string_view before = text.substr(at, match->begin - at);
      if (contains(vocabulary.strip_left, match->id)) before = without_trailing_space(before);
      encode_text(before, at == 0, ids);
      ids.push_back(match->id);
      at = match->end;
      if (contains(vocabulary.strip_right, match->id)) at = past_space(text, at);
    }
    encode_text(text.substr(at), at == 0, ids);
    return ids;
  }

  static size_t past_space(std::string_view text, size_t at) {
    for (Character c; (c = character_at(text, at)).length != 0 && c.kind == CharClass::kSpace;) at += c.length;
    return at;
  }

  static std::string_view without_trailing_space(std::string_view text) {
    size_t end = 0;
    for (size_t at = 0; at < text.size();) {
      const Character c = character_at(text, at);
      at += c.length;
      if (c.kind != CharClass::kSpace) end = at;
    }
    return text.substr(0, end);
  }
};

Tokenizer::Tokenizer(Vocabulary vocabulary) : impl_(std::make_unique<Impl>(std::move(vocabulary))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  return impl_->encode(text, parse_special, {});
}

std::vector<int32_t> Tokenizer::encode_template(std::string_view text, std::span<const TextRange> data) const {
  return impl_->encode(text, true, data);
}

std::vector<int32_t> Tokenizer::encode_prompt(std::string_view text, bool parse_special) const {
  std::vector<int32_t> ids = encode(text, parse_special);
  const Vocabulary& v = impl_->vocabulary;
  if (v.add_bos && v.bos >= 0 && (ids.empty() || ids.front() != v.bos)) ids.insert(ids.begin(), v.bos);
  if (v.add_eos && v.eos >= 0) ids.push_back(v.eos);
  return ids;
}

std::string Tokenizer::piece(int32_t id, bool special) const {
  if (id < 0 || size_t(id) >= impl_->pieces.size())
    throw Error(fmt::format("token id {} is outside the vocabulary of {} tokens", id, impl_->pieces.size()));
  if (!special && written_only_if_asked(impl_->vocabulary.kinds[size_t(id)])) return {};
  return impl_->pieces[size_t(id)];
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool special) const {
  const Vocabulary& v = impl_->vocabulary;
  bool prefix = v.model != Vocabulary::Model::kByteBpe && v.add_space_prefix;
  std::string text;
  for (const int32_t id : ids) {
    const std::string bytes = piece(id, special);
    const bool control = written_only_if_asked(v.kinds[size_t(id)]);
    const bool drop = prefix && !control && bytes.starts_with(' ');
    if (!control && !bytes.empty()) prefix = false;
    text.append(bytes, drop ? 1 : 0, std::string::npos);
  }
  return text;
}

bool Tokenizer::ends_generation(int32_t id) const {
  const Vocabulary& v = impl_->vocabulary;
  return id >= 0 && (id == v.eos || contains(v.end_of_generation, id));
}

const Vocabulary& Tokenizer::vocabulary() const { return impl_->vocabulary; }

}  // namespace sluice
