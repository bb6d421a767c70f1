// A vocabulary's merges as ids: "left right" looked up once, with what is wrong in them said by number.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace sluice {

struct MergeList {
  struct Merge {
    uint32_t left, right, product;
  };
  // Throws Error for a merge that is not two tokens which make a third. Refers to `vocabulary`.
  explicit MergeList(const Vocabulary& vocabulary);
  // -1 if no token is written so. Tokens that text cannot make (control) are found too, after all others.
  int32_t id_of(std::string_view token) const;

  std::vector<Merge> merges;  // by rank

 private:
  std::unordered_map<std::string_view, int32_t> ids_;
};

}  // namespace sluice
