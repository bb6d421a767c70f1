// Byte-level BPE: the byte alphabet, the tables made from a vocabulary, and the walk over a text's words.
#include "core/tokenizer/byte_bpe.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/merge_list.h"
#include "core/tokenizer/unicode.h"

namespace sluice {
namespace {

// GPT-2's alphabet: bytes that are printable in Latin-1 stand for themselves, the others follow from U+0100 on.
constexpr bool printable(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<uint32_t, 256> character{};  // [byte]
  std::array<int32_t, 324> byte{};        // [code point] -1 where it stands for no byte
};

constexpr Alphabet kAlphabet = [] {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    alphabet.character[byte] = printable(byte) ? byte : next++;
    alphabet.byte[alphabet.character[byte]] = int32_t(byte);
  }
  return alphabet;
}();

}  // namespace

std::string ByteBpe::bytes_of(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const Character c = character_at(token, at);
    if (!c.valid || c.value >= kAlphabet.byte.size() || kAlphabet.byte[c.value] < 0) return std::string(token);
    bytes += char(kAlphabet.byte[c.value]);
    at += c.length;
  }
  return bytes;
}

ByteBpe::ByteBpe(const Vocabulary& vocabulary)
    : pre_(pre_tokenizer_of(vocabulary.pre)), normalize_nfc_(vocabulary.normalize_nfc || pre_ == PreTokenizer::kQwen2) {
  const MergeList list(vocabulary);
  for (uint32_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(character, kAlphabet.character[byte]);
    byte_ids_[byte] = list.id_of(character);
  }
  const auto edge = [&](uint32_t id, bool last) {
    const std::string bytes = bytes_of(vocabulary.tokens[id]);
    const int32_t symbol = bytes.empty() ? -1 : byte_ids_[uint8_t(last ? bytes.back() : bytes.front())];
    return symbol < 0 ? id : uint32_t(symbol);
  };
  for (uint32_t rank = 0; rank < list.merges.size(); ++rank) {
    const auto& [left, right, product] = list.merges[rank];
    merger_.add(left, right, rank, product, edge(left, true), edge(right, false));
  }
  if (!vocabulary.ignore_merges && pre_ != PreTokenizer::kLlama3) return;
  for (uint32_t id = 0; id < vocabulary.tokens.size(); ++id)
    if (vocabulary.kinds[id] == TokenKind::kNormal) whole_.emplace(bytes_of(vocabulary.tokens[id]), id);
}

void ByteBpe::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::string normalized;
  const auto beyond_ascii = [](char c) { return uint8_t(c) >= 0x80; };
  if (normalize_nfc_ && std::any_of(text.begin(), text.end(), beyond_ascii)) {
    normalized = normalize_nfc(text);
    text = normalized;
  }
  Merger::Scratch scratch;
  std::vector<uint32_t> symbols, out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(pre_, text, begin);
    encode_word(text.substr(begin, end - begin), scratch, symbols, out);
    begin = end;
  }
  ids.insert(ids.end(), out.begin(), out.end());
}

void ByteBpe::encode_word(std::string_view word, Merger::Scratch& scratch, std::vector<uint32_t>& symbols,
                          std::vector<uint32_t>& out) const {
  if (!whole_.empty()) {
    const auto found = whole_.find(word);
    if (found != whole_.end()) return out.push_back(found->second);
  }
  symbols.clear();
  for (const char byte : word)
    if (byte_ids_[uint8_t(byte)] >= 0) symbols.push_back(uint32_t(byte_ids_[uint8_t(byte)]));
  merger_.merge(symbols, scratch, out);
}

}  // namespace sluice
