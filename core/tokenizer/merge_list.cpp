// Looks up both sides and the product of every merge.
#include "core/tokenizer/merge_list.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/text.h"

namespace sluice {

MergeList::MergeList(const Vocabulary& vocabulary) {
  ids_.reserve(vocabulary.tokens.size());
  for (const bool special : {false, true})
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
      if ((vocabulary.kinds[id] == TokenKind::kControl) == special) ids_.emplace(vocabulary.tokens[id], int32_t(id));

  merges.reserve(vocabulary.merges.size());
  std::string product;
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const std::string& text = vocabulary.merges[rank];
    const size_t space = text.find(' ', 1);
    if (text.empty() || space == std::string::npos || space + 1 == text.size())
      throw Error(fmt::format("merge {} of the vocabulary is \"{}\"; it must be two tokens with a space between", rank,
                              printable(text)));
    const std::string_view left = std::string_view(text).substr(0, space);
    const std::string_view right = std::string_view(text).substr(space + 1);
    product.assign(left).append(right);
    const int32_t ids[] = {id_of(left), id_of(right), id_of(product)};
    for (const auto& [id, name] :
         {std::pair(ids[0], left), std::pair(ids[1], right), std::pair(ids[2], std::string_view(product))})
      if (id < 0)
        throw Error(fmt::format("merge {} of the vocabulary is \"{}\", but there is no token \"{}\"", rank,
                                printable(text), printable(name)));
    merges.push_back({uint32_t(ids[0]), uint32_t(ids[1]), uint32_t(ids[2])});
  }
}

int32_t MergeList::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

}  // namespace sluice
