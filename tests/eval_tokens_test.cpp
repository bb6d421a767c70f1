// Texts as tokens: where contexts end, what windows a document has, and which prefix a run's requests may share.
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/eval/snapshots.h"
#include "core/eval/tokens.h"
#include "support/eval_setup.h"

namespace sluice {
namespace {

using Tokens = std::vector<int32_t>;
using EvalTokens = testing::EvalSetup;

TEST_F(EvalTokens, SpacesAtAContextsEndBelongToTheContinuation) {
  const Tokenizer tokenizer(testing::tiny_vocabulary(320));
  const TokenPair plain = encode_pair(tokenizer, "Answer:", " A"), moved = encode_pair(tokenizer, "Answer: ", "A");
  EXPECT_EQ(plain.context, tokenizer.encode_prompt("Answer:"));
  Tokens whole = plain.context;
  whole.insert(whole.end(), plain.continuation.begin(), plain.continuation.end());
  EXPECT_EQ(whole, tokenizer.encode_prompt("Answer: A"));
  EXPECT_EQ(moved.context, plain.context);
  EXPECT_EQ(moved.continuation, plain.continuation);
  const int32_t bos = tokenizer.vocabulary().bos;
  EXPECT_EQ(encode_pair(tokenizer, "", "A").context, Tokens{bos});
  EXPECT_EQ(encode_pair(tokenizer, "", "A").continuation, tokenizer.encode("A"));
  EXPECT_THROW(encode_pair(tokenizer, "Answer:", ""), Error);
}

TEST_F(EvalTokens, EveryTokenOfADocumentIsScoredInOneWindow) {
  const Tokenizer tokenizer(testing::tiny_vocabulary(320));
  const std::string text = "ten bytes and some more";
  const Tokens tokens = tokenizer.encode_prompt(text);
  for (uint32_t most = 1; most < tokens.size() + 3; most++) {
    Tokens scored;
    for (const Window& w : rolling_windows(tokenizer, text, most)) {
      ASSERT_LE(w.tokens.size(), most + 1);
      ASSERT_GE(w.given, 1u);
      scored.insert(scored.end(), w.tokens.begin() + w.given, w.tokens.end());
      // What is given is what lies before it in the text.
      const size_t first = scored.size() - (w.tokens.size() - w.given);
      for (uint32_t i = 0; i < w.given; i++) {
        const int64_t at = int64_t(first) - w.given + i;
        EXPECT_EQ(w.tokens[i], at < 0 ? tokenizer.vocabulary().bos : tokens[size_t(at)]);
      }
      if (first > 0) {
        EXPECT_EQ(w.tokens.size(), most + 1) << "a later window takes all the context there is room for";
      }
    }
    EXPECT_EQ(scored, tokens) << most;
  }
}

TEST_F(EvalTokens, ALongTextLosesItsBeginning) {
  Tokens tokens{1, 2, 3, 4, 5};
  EXPECT_FALSE(truncate_left(tokens, 5));
  EXPECT_TRUE(truncate_left(tokens, 2));
  EXPECT_EQ(tokens, (Tokens{4, 5}));
}

TEST_F(EvalTokens, ThePrefixIsOfTokensAndLeavesWhatPoliciesMustSee) {
  use({{}, {"evictor.name=test-window", "cache.budget=40", "cache.interval=4"}});
  ask(3, [](EvalRequest& r) { r.want = Generate{4, {}}; });
  const std::vector<EvalJob> all = jobs;
  const auto prefix = [&] { return shared_prefix(policies, requests, jobs, options); };
  EXPECT_EQ(prefix(), kShared);
  // Tokens that text boundaries do not show: one prompt is the same text cut otherwise.
  requests[1].prompt[kShared - 5]++;
  EXPECT_EQ(prefix(), kShared - 5);
  requests[1].truncated = true;
  EXPECT_EQ(prefix(), kShared) << "one that was truncated spoils nothing";
  // 16 tokens that the second policy looks at must follow.
  requests[2].prompt.resize(kShared + 10);
  EXPECT_EQ(prefix(), kShared - 6);
  jobs = {{0, 0}, {0, 2}};
  EXPECT_EQ(prefix(), kShared);
  requests[2].prompt.resize(kShared);
  EXPECT_EQ(prefix(), kShared - 1) << "something must follow";
  options.share_prefix = false;
  EXPECT_EQ(prefix(), 0u);
  options.share_prefix = true;
  jobs = {{0, 0}};
  EXPECT_EQ(prefix(), 0u) << "alone there is nothing to share";
  jobs = all;
  requests[0].prompt[3]++;
  EXPECT_EQ(prefix(), 0u) << "not worth a snapshot";
  // The last tokens of what is scored are decoded.
  ask(3, [](EvalRequest& r) { r.want = Score{{{7}}}; });
  jobs = {{0, 0}, {0, 1}};
  EXPECT_EQ(prefix(), kShared + 20 - 32 - 1);
}

TEST_F(EvalTokens, GenerationsDivergeWhereTheyFirstDiffer) {
  const Tokens a{1, 2, 3};
  EXPECT_EQ(first_divergence(a, a), std::nullopt);
  EXPECT_EQ(first_divergence(a, Tokens{1, 5, 3}), 1u);
  EXPECT_EQ(first_divergence(a, Tokens{1, 2}), 2u);
  EXPECT_EQ(first_divergence(a, Tokens{1, 2, 3, 4}), 3u);
  EXPECT_EQ(first_divergence({}, {}), std::nullopt);
}

}  // namespace
}  // namespace sluice
