// tokenizer.json: the model's vocabulary and merges and the added tokens, every id checked before it is used as
// an index.
#include "core/tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/tokenizer/readers.h"
#include "core/tokenizer/tokenizer_config.h"

namespace sluice {
namespace {

// Ids may leave holes, as extended vocabularies do, but a file must not make us reserve memory it does not fill.
constexpr int64_t kMostHoles = 65536;

void set_token(Vocabulary& vocabulary, int64_t id, std::string_view token, TokenKind kind) {
  if (size_t(id) >= vocabulary.tokens.size()) {
    vocabulary.tokens.resize(size_t(id) + 1);
    vocabulary.kinds.resize(size_t(id) + 1, TokenKind::kUnused);
  }
  vocabulary.tokens[size_t(id)] = token;
  vocabulary.kinds[size_t(id)] = kind;
}

void refuse_model(const JsonNode& model) {
  const std::string_view type = model.text_or("type", "BPE");
  if (type != "BPE") model.fail(fmt::format("the type \"{}\" is not supported; BPE is", printable(type)));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!model.text_or(key, "").empty()) model.fail(fmt::format("\"{}\" is not supported", key));
  if (const auto dropout = model.find("dropout")) {
    double value = 0;
    if (dropout->element().get(value) || value != 0) dropout->fail("must be 0 or null: nothing is dropped at random");
  }
}

void read_vocabulary(const JsonNode& model, Vocabulary& vocabulary) {
  const JsonNode node = model.at("vocab");
  simdjson::dom::object entries;
  if (node.element().get(entries)) node.fail("must be an object of tokens and ids");
  const int64_t most = int64_t(std::distance(entries.begin(), entries.end())) + kMostHoles;
  const bool bytes = model.flag_or("byte_fallback", false);
  for (const auto [token, value] : entries) {
    int64_t id = -1;
    if (value.get(id) || id < 0 || id >= most)
      node.fail(fmt::format("the id of \"{}\" must be an integer from 0 to {}", printable(token), most - 1));
    if (size_t(id) < vocabulary.tokens.size() && vocabulary.kinds[size_t(id)] != TokenKind::kUnused)
      node.fail(fmt::format("the tokens \"{}\" and \"{}\" have the same id {}",
                            printable(vocabulary.tokens[size_t(id)]), printable(token), id));
    const bool byte = bytes && token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
    set_token(vocabulary, id, token, byte ? TokenKind::kByte : TokenKind::kNormal);
  }
}

void read_merges(const JsonNode& model, Vocabulary& vocabulary) {
  const JsonNode node = model.at("merges");
  simdjson::dom::array entries;
  if (node.element().get(entries)) node.fail("must be a list of pairs of tokens");
  for (const simdjson::dom::element entry : entries) {
    std::string_view text, left, right;
    simdjson::dom::array pair;
    if (!entry.get(text)) {
      vocabulary.merges.emplace_back(text);
    } else if (!entry.get(pair) && pair.size() == 2 && !pair.at(0).get(left) && !pair.at(1).get(right)) {
      if (left.find(' ') != left.npos || right.find(' ') != right.npos)
        node.fail(fmt::format("merge {}: tokens that contain a space are not supported", vocabulary.merges.size()));
      vocabulary.merges.push_back(fmt::format("{} {}", left, right));
    } else {
      node.fail(fmt::format("merge {} must be a text or a pair of texts", vocabulary.merges.size()));
    }
  }
}

void read_added_tokens(const JsonNode& root, Vocabulary& vocabulary) {
  const auto added = root.find("added_tokens");
  if (!added) return;
  const std::vector<JsonNode> items = added->items();
  const int64_t most = int64_t(vocabulary.tokens.size() + items.size()) + kMostHoles;
  for (const JsonNode& item : items) {
    const int64_t id = item.at("id").integer();
    if (id < 0 || id >= most) item.at("id").fail(fmt::format("must be an id from 0 to {}", most - 1));
    if (item.flag_or("single_word", false)) item.fail("single_word = true is not supported");
    if (item.flag_or("lstrip", false)) vocabulary.strip_left.push_back(int32_t(id));
    if (item.flag_or("rstrip", false)) vocabulary.strip_right.push_back(int32_t(id));
    const bool special = item.flag_or("special", false);
    set_token(vocabulary, id, item.at("content").text(), special ? TokenKind::kControl : TokenKind::kUserDefined);
  }
}

void read_unknown(const JsonNode& model, Vocabulary& vocabulary) {
  const auto unknown = model.find("unk_token");
  if (!unknown) return;
  const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), unknown->text());
  if (found == vocabulary.tokens.end())
    unknown->fail(fmt::format("the vocabulary has no token \"{}\"", printable(unknown->text())));
  vocabulary.unknown = int32_t(found - vocabulary.tokens.begin());
}

}  // namespace

Vocabulary read_tokenizer_json(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  simdjson::dom::parser parser;
  const JsonNode root(file, parse_json(file, parser));
  const JsonNode model = root.at("model");
  Vocabulary vocabulary;
  refuse_model(model);
  read_vocabulary(model, vocabulary);
  read_merges(model, vocabulary);
  read_added_tokens(root, vocabulary);
  read_cutting(root, vocabulary);
  read_unknown(model, vocabulary);
  vocabulary.ignore_merges = model.flag_or("ignore_merges", false);
  // With single bytes to fall back on an unknown token is never made of text, and the file means it as such.
  if (vocabulary.model == Vocabulary::Model::kMergeBpe && vocabulary.unknown >= 0)
    vocabulary.kinds[size_t(vocabulary.unknown)] = TokenKind::kUnknown;

  read_post_processor(root, vocabulary);
  read_tokenizer_config(folder, vocabulary);
  vocabulary.add_bos = vocabulary.add_bos && vocabulary.bos >= 0;
  vocabulary.add_eos = vocabulary.add_eos && vocabulary.eos >= 0;
  add_known_end_tokens(vocabulary);
  check_vocabulary(vocabulary, file.string());
  return vocabulary;
}

}  // namespace sluice
