// Recognizes the normalizers, pre-tokenizers and post-processors that the supported models are written with.
#include <fmt/format.h>

#include <array>

#include "core/base/text.h"
#include "core/tokenizer/tokenizer_json.h"

namespace sluice {
namespace {

constexpr std::string_view kSpace = "\u2581";

// The published expressions that stand in tokenizer.json files; pretokenizer.cpp has them in words.
struct Expression {
  std::string_view text, pre;
};
constexpr std::array<Expression, 3> kExpressions = {{
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "llama-bpe"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt-2"},
}};

// The parts of a "Sequence", or the one part there is, or nothing.
std::vector<JsonNode> parts(const JsonNode& root, std::string_view key, std::string_view list) {
  const auto node = root.find(key);
  if (!node) return {};
  if (node->at("type").text() != "Sequence") return {*node};
  return node->at(list).items();
}

[[noreturn]] void refuse(const JsonNode& node, std::string_view what) {
  node.fail(fmt::format("{} \"{}\" is not supported, or not in this place or with these settings", what,
                        printable(node.at("type").text())));
}

struct Normalizers {
  bool prepend = false, replace = false, nfc = false;
};

Normalizers read_normalizers(const JsonNode& root) {
  Normalizers found;
  for (const JsonNode& part : parts(root, "normalizer", "normalizers")) {
    const std::string_view type = part.at("type").text();
    if (type == "NFC") {
      found.nfc = true;
    } else if (type == "Prepend" && part.at("prepend").text() == kSpace) {
      found.prepend = true;
    } else if (type == "Replace" && part.at("pattern").text_or("String", "") == " " &&
               part.at("content").text() == kSpace) {
      found.replace = true;
    } else {
      refuse(part, "normalizer");
    }
  }
  return found;
}

// Returns whether the byte form is used, and names the pre-tokenizer then.
bool read_byte_level(const std::vector<JsonNode>& pre_tokenizers, Vocabulary& vocabulary) {
  if (pre_tokenizers.empty()) return false;
  const JsonNode& last = pre_tokenizers.back();
  if (last.at("type").text() != "ByteLevel") return false;
  if (last.flag_or("add_prefix_space", true)) last.fail("add_prefix_space = true is not supported");
  const bool use_regex = last.flag_or("use_regex", true);
  if (pre_tokenizers.size() == 1) {
    if (!use_regex) last.fail("use_regex = false without a \"Split\" before it is not supported");
    vocabulary.pre = "gpt-2";
    return true;
  }
  const JsonNode& first = pre_tokenizers.front();
  if (pre_tokenizers.size() > 2) refuse(pre_tokenizers[1], "pre-tokenizer");
  if (first.at("type").text() == "Digits" && first.flag_or("individual_digits", false) && use_regex) {
    vocabulary.pre = "smollm";
    return true;
  }
  if (first.at("type").text() != "Split" || use_regex) refuse(first, "pre-tokenizer");
  if (first.at("behavior").text() != "Isolated" || first.flag_or("invert", false))
    first.fail("only the behavior \"Isolated\", not inverted, is supported");
  const JsonNode pattern = first.at("pattern").at("Regex");
  for (const Expression& expression : kExpressions)
    if (pattern.text() == expression.text) vocabulary.pre = expression.pre;
  if (vocabulary.pre.empty())
    pattern.fail(fmt::format("the expression {} is not known; known are those of Llama-3, Qwen2 and GPT-2",
                             printable(pattern.text(), 200)));
  return true;
}

void read_metaspace(const JsonNode& node, Vocabulary& vocabulary) {
  if (node.at("type").text() != "Metaspace" || node.at("replacement").text() != kSpace) refuse(node, "pre-tokenizer");
  if (node.flag_or("split", true)) node.fail("split = true is not supported");
  const std::string_view scheme =
      node.text_or("prepend_scheme", node.flag_or("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    node.fail(fmt::format("prepend_scheme \"{}\" is not known; known are always, first, never", printable(scheme)));
  vocabulary.add_space_prefix = scheme != "never";
  vocabulary.space_prefix = scheme == "first" ? Vocabulary::SpacePrefix::kStartUnlessSpace
                                              : Vocabulary::SpacePrefix::kEverySegmentUnlessSpace;
}

}  // namespace

void read_cutting(const JsonNode& root, Vocabulary& vocabulary) {
  const Normalizers normalizers = read_normalizers(root);
  const std::vector<JsonNode> pre_tokenizers = parts(root, "pre_tokenizer", "pretokenizers");
  if (read_byte_level(pre_tokenizers, vocabulary)) {
    if (normalizers.prepend || normalizers.replace) root.fail("normalizer: spaces are replaced before byte-level BPE");
    vocabulary.model = Vocabulary::Model::kByteBpe;
    vocabulary.normalize_nfc = normalizers.nfc;
    vocabulary.add_space_prefix = false;
    return;
  }
  vocabulary.model = Vocabulary::Model::kMergeBpe;
  if (normalizers.nfc) root.fail("normalizer: \"NFC\" is supported for byte-level BPE only");
  if (pre_tokenizers.size() > 1) refuse(pre_tokenizers[1], "pre-tokenizer");
  if (pre_tokenizers.size() == 1) {
    if (normalizers.prepend || normalizers.replace) root.fail("normalizer: spaces are replaced twice");
    return read_metaspace(pre_tokenizers[0], vocabulary);
  }
  if (!normalizers.replace)
    root.fail(
        "nothing says how spaces are written: neither a \"ByteLevel\" or \"Metaspace\" pre-tokenizer nor a "
        "\"Replace\" normalizer");
  vocabulary.add_space_prefix = normalizers.prepend;
}

void read_post_processor(const JsonNode& root, Vocabulary& vocabulary) {
  for (const JsonNode& part : parts(root, "post_processor", "processors")) {
    const std::string_view type = part.at("type").text();
    if (type == "ByteLevel") continue;
    if (type != "TemplateProcessing") refuse(part, "post-processor");
    bool behind_text = false;
    for (const JsonNode& item : part.at("single").items()) {
      if (item.find("Sequence")) {
        behind_text = true;
        continue;
      }
      const JsonNode token = item.at("SpecialToken").at("id");
      const std::string name(token.text());
      int32_t& id = behind_text ? vocabulary.eos : vocabulary.bos;
      bool& add = behind_text ? vocabulary.add_eos : vocabulary.add_bos;
      if (add) token.fail("more than one special token on one side of the text is not supported");
      for (size_t i = 0; i < vocabulary.tokens.size() && !add; ++i)
        if (vocabulary.tokens[i] == name) id = int32_t(i), add = true;
      if (!add) token.fail(fmt::format("the vocabulary has no token \"{}\"", printable(name)));
    }
  }
}

}  // namespace sluice
