// What a model file says about its tokenizer, whatever the file's format: GGUF metadata, tokenizer.json
// and tokenizer.model are all read into this. How text is cut with it is tokenizer.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

enum class TokenKind : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct Vocabulary {
  enum class Model {
    kSentencePiece,  // BPE by piece scores, U+2581 for spaces, byte fallback (Llama-1/2, Mistral, TinyLlama)
    kByteBpe,        // merges over bytes mapped to printable characters (GPT-2, Llama-3, SmolLM2, Qwen2)
    kMergeBpe,       // merges over characters, U+2581 for spaces, byte fallback (HF exports of SentencePiece BPE)
  } model = Model::kSentencePiece;
  std::string pre;  // GGUF's tokenizer.ggml.pre: "llama-bpe", "gpt-2", "smollm", "qwen2"; empty for SentencePiece
  std::vector<std::string> tokens;  // [vocab] as stored (byte-level form for kByteBpe)
  std::vector<float> scores;        // [vocab] for kSentencePiece
  std::vector<TokenKind> kinds;     // [vocab]
  std::vector<std::string> merges;  // "left right"
  int32_t bos = -1, eos = -1, unknown = -1, pad = -1;
  std::vector<int32_t> end_of_generation;  // ids that end an answer; loaders add eos, eot, eom
  bool add_bos = false, add_eos = false;
  bool add_space_prefix = true;
  // Where add_space_prefix puts its space. kSentencePiece and GGUF mean the first; Hugging Face's "Metaspace"
  // leaves text alone that starts with a space, and may do so only at the very start of the text.
  enum class SpacePrefix { kEverySegment, kEverySegmentUnlessSpace, kStartUnlessSpace };
  SpacePrefix space_prefix = SpacePrefix::kEverySegment;
  bool ignore_merges = false;  // a word that is a token is taken whole (Llama-3; implied by pre = "llama-bpe")
  bool normalize_nfc = false;  // text is brought into Unicode's form C first (implied by pre = "qwen2")
  // Control or user-defined tokens that swallow the white space before or after them.
  std::vector<int32_t> strip_left, strip_right;
  std::string chat_template;  // Jinja, empty if there is none
};

// Adds eos and the control tokens whose names are known to end an answer or a turn ("<|eot_id|>",
// "<|im_end|>", "<|endoftext|>" ...) to end_of_generation, each once. For loaders, when all else is filled.
void add_known_end_tokens(Vocabulary& vocabulary);

// Throws Error, beginning with `where`, unless the parts fit together: sizes, ids within the vocabulary,
// finite scores.
void check_vocabulary(const Vocabulary& vocabulary, const std::string& where);

}  // namespace sluice
