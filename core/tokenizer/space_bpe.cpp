// Both models share symbols, byte fallback and the space prefix; they differ in how the table of merges is made.
#include "core/tokenizer/space_bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tokenizer/merge_list.h"
#include "core/tokenizer/unicode.h"

namespace sluice {
namespace {

constexpr uint32_t kNoSymbol = ~uint32_t(0);
constexpr std::string_view kSpace = "\u2581";
// Every way to part a piece is tried; no real piece comes near, and a lying file must not cost hours.
constexpr size_t kLongestPiece = 512;

// The byte of "<0x0A>", or -1.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = -1;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? byte : -1;
}

// Whether text can become this token by characters and merges.
bool mergeable(TokenKind kind) {
  return kind == TokenKind::kNormal || kind == TokenKind::kUserDefined || kind == TokenKind::kUnused;
}

}  // namespace

SpaceBpe::SpaceBpe(const Vocabulary& vocabulary)
    : add_space_prefix_(vocabulary.add_space_prefix),
      space_prefix_(vocabulary.space_prefix),
      unknown_(vocabulary.unknown < 0 ? kNoSymbol : uint32_t(vocabulary.unknown)),
      vocabulary_size_(uint32_t(vocabulary.tokens.size())) {
  byte_ids_.fill(kNoSymbol);
  for (uint32_t id = 0; id < vocabulary_size_; ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (vocabulary.kinds[id] == TokenKind::kByte) {
      const int byte = byte_of(token);
      if (byte < 0)
        throw Error(
            fmt::format("token {} is of the byte type, but written \"{}\", not as <0x0A>", id, printable(token)));
      if (byte_ids_[size_t(byte)] == kNoSymbol) byte_ids_[size_t(byte)] = id;
    } else if (mergeable(vocabulary.kinds[id])) {
      const Character c = character_at(token, 0);
      if (c.length != 0 && c.valid && c.length == token.size()) characters_.insert(c.value, 0, {id, 0});
    }
  }
  if (vocabulary.model == Vocabulary::Model::kSentencePiece)
    add_pieces(vocabulary);
  else
    add_merges(vocabulary);
}

// Two symbols may join if together they are written as a piece; the piece's score is the order.
void SpaceBpe::add_pieces(const Vocabulary& vocabulary) {
  std::vector<float> order;
  std::unordered_map<std::string_view, uint32_t> symbols;
  std::vector<uint32_t> pieces;
  for (uint32_t id = 0; id < vocabulary_size_; ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (token.empty() || !mergeable(vocabulary.kinds[id]) || !valid_utf8(token)) continue;
    if (token.size() > kLongestPiece)
      throw Error(fmt::format("piece {} has {} bytes; at most {} are supported", id, token.size(), kLongestPiece));
    if (vocabulary.kinds[id] == TokenKind::kUserDefined) user_defined_.add(token, int32_t(id));
    if (!symbols.emplace(token, id).second) continue;
    pieces.push_back(id);
    order.push_back(vocabulary.scores[id]);
  }
  std::sort(order.begin(), order.end(), std::greater<float>());
  order.erase(std::unique(order.begin(), order.end()), order.end());

  for (const uint32_t id : pieces) {
    const std::string_view piece = vocabulary.tokens[id];
    for (size_t at = 0; at < piece.size();) {
      const Character c = character_at(piece, at);
      const std::string_view character = piece.substr(at, c.length);
      const uint32_t symbol = vocabulary_size_ + uint32_t(part_characters_.size());
      if (symbols.emplace(character, symbol).second) {
        characters_.insert(c.value, 0, {symbol, 0});
        part_characters_.emplace_back(character);
      }
      at += c.length;
    }
  }

  for (const uint32_t id : pieces) {
    const std::string_view piece = vocabulary.tokens[id];
    const float score = vocabulary.scores[id];
    const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<float>());
    const uint32_t rank = uint32_t(place - order.begin());
    bool formed = false;
    Character before = character_at(piece, 0);
    for (size_t at = before.length; at < piece.size();) {
      const Character after = character_at(piece, at);
      const auto left = symbols.find(piece.substr(0, at)), right = symbols.find(piece.substr(at));
      if (left != symbols.end() && right != symbols.end()) {
        merger_.add(left->second, right->second, rank, id, characters_.find(before.value, 0)->rank,
                    characters_.find(after.value, 0)->rank);
        formed = true;
      }
      before = after;
      at += after.length;
    }
    if (formed && vocabulary.kinds[id] == TokenKind::kUnused) merger_.add_transient(id);
  }
}

void SpaceBpe::add_merges(const Vocabulary& vocabulary) {
  const MergeList list(vocabulary);
  std::vector<uint32_t> symbols;
  const auto edge = [&](uint32_t id, bool last) {
    if (vocabulary.kinds[id] == TokenKind::kByte) return id;
    symbols.clear();
    append_symbols(vocabulary.tokens[id], symbols);
    return symbols.empty() ? id : last ? symbols.back() : symbols.front();
  };
  for (uint32_t rank = 0; rank < list.merges.size(); ++rank) {
    const auto& [left, right, product] = list.merges[rank];
    const uint32_t last_of_left = edge(left, true);
    merger_.add(left, right, rank, product, last_of_left, edge(right, false));
  }
}

std::string SpaceBpe::escape(std::string_view text, bool at_start) const {
  const bool spaced = text.starts_with(' ') || text.starts_with(kSpace);
  const bool wanted = space_prefix_ == Vocabulary::SpacePrefix::kEverySegment ||
                      (!spaced && (at_start || space_prefix_ == Vocabulary::SpacePrefix::kEverySegmentUnlessSpace));
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 2);
  if (add_space_prefix_ && wanted && !text.empty()) escaped = kSpace;
  for (const char c : text) {
    if (c == ' ')
      escaped += kSpace;
    else
      escaped += c;
  }
  return escaped;
}

void SpaceBpe::append_bytes(std::string_view character, std::vector<uint32_t>& symbols) const {
  const auto has_token = [&](char byte) { return byte_ids_[uint8_t(byte)] != kNoSymbol; };
  if (std::all_of(character.begin(), character.end(), has_token)) {
    for (const char byte : character) symbols.push_back(byte_ids_[uint8_t(byte)]);
  } else if (unknown_ != kNoSymbol && (symbols.empty() || symbols.back() != unknown_)) {
    symbols.push_back(unknown_);  // one for a run of them
  }
}

void SpaceBpe::append_symbols(std::string_view text, std::vector<uint32_t>& symbols) const {
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const PairTable::Value* symbol = c.valid ? characters_.find(c.value, 0) : nullptr;
    if (symbol)
      symbols.push_back(symbol->rank);
    else
      append_bytes(text.substr(at, c.length), symbols);
    at += c.length;
  }
}

void SpaceBpe::encode(std::string_view text, bool at_start, std::vector<int32_t>& ids) const {
  const std::string escaped = escape(text, at_start);
  Merger::Scratch scratch;
  std::vector<uint32_t> symbols, merged;
  const auto merge = [&](std::string_view part) {
    symbols.clear();
    append_symbols(part, symbols);
    merger_.merge(symbols, scratch, merged);
  };
  size_t at = 0;
  if (!user_defined_.empty()) {
    while (const auto found = user_defined_.find(escaped, at)) {
      merge(std::string_view(escaped).substr(at, found->begin - at));
      merged.push_back(uint32_t(found->id));
      at = found->end;
    }
  }
  merge(std::string_view(escaped).substr(at));

  symbols.clear();
  for (const uint32_t symbol : merged) {
    if (symbol >= vocabulary_size_)
      append_bytes(part_characters_[symbol - vocabulary_size_], symbols);
    else if (symbol != unknown_ || symbols.empty() || symbols.back() != unknown_)
      symbols.push_back(symbol);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::string SpaceBpe::bytes_of(const Vocabulary& vocabulary, size_t id) {
  const std::string_view token = vocabulary.tokens[id];
  const TokenKind kind = vocabulary.kinds[id];
  if (kind == TokenKind::kByte) return std::string(1, char(byte_of(token)));
  if (!mergeable(kind)) return std::string(token);
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const bool space = token.substr(at).starts_with(kSpace);
    bytes += space ? ' ' : token[at];
    at += space ? kSpace.size() : 1;
  }
  return bytes;
}

}  // namespace sluice
