// The merging loop against the definition carried out word for word, and the tables it stands on.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/tokenizer/merges.h"
#include "core/tokenizer/special_tokens.h"

namespace sluice {
namespace {

struct Rules {
  std::map<std::pair<uint32_t, uint32_t>, std::pair<uint32_t, uint32_t>> merges;  // pair to {rank, product}
  std::map<uint32_t, std::vector<uint32_t>> spelled;                              // symbol to single symbols
};

// Products are words over the letters 0 to 3; one word is one symbol, however it is made.
Rules random_rules(std::mt19937& random, uint32_t count) {
  Rules rules;
  std::map<std::vector<uint32_t>, uint32_t> symbols;
  for (uint32_t letter = 0; letter < 4; ++letter) rules.spelled[letter] = {letter}, symbols[{letter}] = letter;
  for (uint32_t rank = 0; rank < count; ++rank) {
    const uint32_t left = uint32_t(random() % rules.spelled.size()), right = uint32_t(random() % rules.spelled.size());
    std::vector<uint32_t> word = rules.spelled[left];
    word.insert(word.end(), rules.spelled[right].begin(), rules.spelled[right].end());
    if (word.size() > 6) continue;
    const auto [entry, added] = symbols.emplace(word, uint32_t(rules.spelled.size()));
    if (added) rules.spelled[entry->second] = word;
    rules.merges.emplace(std::pair(left, right), std::pair(rank / 2, entry->second));  // some ranks are equal
  }
  return rules;
}

std::vector<uint32_t> by_definition(const Rules& rules, std::vector<uint32_t> symbols) {
  for (;;) {
    size_t best = symbols.size();
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = rules.merges.find({symbols[i], symbols[i + 1]});
      if (found == rules.merges.end()) continue;
      if (best == symbols.size() || found->second.first < rules.merges.at({symbols[best], symbols[best + 1]}).first)
        best = i;
    }
    if (best == symbols.size()) return symbols;
    symbols[best] = rules.merges.at({symbols[best], symbols[best + 1]}).second;
    symbols.erase(symbols.begin() + long(best) + 1);
  }
}

TEST(Merger, DoesWhatTheDefinitionSays) {
  std::mt19937 random(3);
  size_t merged = 0;
  for (int round = 0; round < 300; ++round) {
    const Rules rules = random_rules(random, 2 + uint32_t(random() % 24));
    Merger merger;
    for (const auto& [pair, result] : rules.merges)
      merger.add(pair.first, pair.second, result.first, result.second, rules.spelled.at(pair.first).back(),
                 rules.spelled.at(pair.second).front());
    Merger::Scratch scratch;
    for (int i = 0; i < 20; ++i) {
      std::vector<uint32_t> symbols(random() % 40), out;
      for (uint32_t& symbol : symbols) symbol = uint32_t(random() % 4);
      merger.merge(symbols, scratch, out);
      ASSERT_EQ(out, by_definition(rules, symbols));
      merged += symbols.size() - out.size();
    }
  }
  EXPECT_GT(merged, 1000u);
}

TEST(Merger, AppendsToWhatIsThere) {
  Merger merger;
  merger.add(1, 2, 0, 3, 1, 2);
  Merger::Scratch scratch;
  std::vector<uint32_t> out = {1};
  merger.merge(std::vector<uint32_t>{2, 1, 2}, scratch, out);
  EXPECT_EQ(out, (std::vector<uint32_t>{1, 2, 3}));
  merger.merge({}, scratch, out);
  EXPECT_EQ(out.size(), 3u);
}

TEST(PairTable, KeepsWhatWasPutInFirst) {
  PairTable table;
  EXPECT_EQ(table.find(1, 2), nullptr);
  for (uint32_t i = 0; i < 5000; ++i) EXPECT_TRUE(table.insert(i, i * 7, {i, i + 1}));
  for (uint32_t i = 0; i < 5000; ++i) {
    EXPECT_FALSE(table.insert(i, i * 7, {0, 0}));
    ASSERT_NE(table.find(i, i * 7), nullptr);
    EXPECT_EQ(table.find(i, i * 7)->product, i + 1);
    EXPECT_EQ(table.find(i, i * 7 + 1), nullptr);
  }
}

TEST(TokenFinder, FindsTheLeftmostAndLongest) {
  TokenFinder finder;
  EXPECT_TRUE(finder.empty());
  EXPECT_FALSE(finder.find("abc", 0));
  finder.add("", 9);
  EXPECT_TRUE(finder.empty());
  finder.add("<a>", 1);
  finder.add("<a><b>", 2);
  finder.add("a><b", 3);
  finder.add("<a>", 4);  // the first one holds
  const auto check = [&](std::string_view text, size_t at, size_t begin, size_t end, int32_t id) {
    const auto match = finder.find(text, at);
    ASSERT_TRUE(match) << text;
    EXPECT_EQ(match->begin, begin);
    EXPECT_EQ(match->end, end);
    EXPECT_EQ(match->id, id);
  };
  check("x<a>", 0, 1, 4, 1);
  check("x<a><b>", 0, 1, 7, 2);
  check("x<a><b", 0, 1, 4, 1);
  check("x<a><b>", 2, 2, 6, 3);
  EXPECT_FALSE(finder.find("x<a><", 2));
  EXPECT_FALSE(finder.find("<a", 0));
}

}  // namespace
}  // namespace sluice
