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
  std::string chat_template;  // Jinja, empty if there is none
};

}  // namespace sluice
