// What every codec must do, whatever its method: each test runs for each configuration and head size of the list
// below, on both sides. Numbered oracles are those of the algorithms page.
#include <algorithm>
#include <numeric>
#include <thread>

#include "tests/support/codec_driver.h"

namespace sluice::testing {
namespace {

struct Case {
  std::string name;
  CodecParameters params;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
  for (const auto& [key, value] : c.params) {
    *out << ' ' << key << '=';
    std::visit([&](const auto& v) { *out << v; }, value);
  }
}

// group = 0 stands for head_dim where that is small, else 64.
std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (int bits : {2, 3, 4, 8}) {
    for (const char* axis : {"token", "channel", "tensor"})
      cases.push_back({"uniform", {{"bits", bits}, {"axis", axis}}});
    cases.push_back({"group", {{"bits", bits}, {"group", 32}, {"residual", 64}}});
    cases.push_back({"group", {{"bits", bits}, {"group", 0}, {"residual", 192}, {"value_window", "sliding"}}});
    cases.push_back({"gear", {{"bits", bits}, {"group", 0}, {"buffer", 192}}});
    cases.push_back({"gear", {{"bits", bits}, {"backbone", "uniform"}, {"rank_decode", 4}}});
  }
  cases.push_back({"gear", {{"group", 32}, {"outliers", 0}}});
  cases.push_back({"gear", {{"group", 32}, {"rank", 0}, {"rank_decode", 0}, {"outliers", 0.1}}});
  cases.push_back({"gear", {{"group", 32}, {"rank", 16}, {"rank_decode", 16}, {"outliers", 0.5}}});
  return cases;
}

class CodecContract : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr uint32_t kHeadDims[] = {32, 64, 96, 128, 256};
  CodecDriver driver(uint32_t head_dim) const {
    CodecParameters params = GetParam().params;
    if (const auto group = params.find("group"); group != params.end() && std::get<int>(group->second) == 0)
      group->second = head_dim == 96 ? 96 : head_dim >= 64 ? 64 : 32;
    return {GetParam().name, params, head_dim};
  }
};
INSTANTIATE_TEST_SUITE_P(All, CodecContract, ::testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param.name + "_" + std::to_string(info.index); });

double norm(const Rows& x) {
  double sum = 0;
  for (float v : x) sum += double(v) * v;
  return std::sqrt(sum);
}
Rows difference(const Rows& a, const Rows& b) {
  Rows d(a.size());
  for (size_t i = 0; i < a.size(); i++) d[i] = a[i] - b[i];
  return d;
}

double largest(const Rows& x) {
  double most = 0;
  for (float v : x) most = std::max(most, double(std::fabs(v)));
  return most;
}

std::vector<uint32_t> row_counts(const sluice_codec_plan& plan) {
  std::vector<uint32_t> counts = {1, 2, 3, 31, 33, plan.block_rows, plan.block_rows + 1, 2 * plan.block_rows};
  if (plan.block_rows > 1) counts.push_back(plan.block_rows - 1);
  for (uint32_t& n : counts) n = std::min(n, plan.max_rows);
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

TEST_P(CodecContract, PlanIsOneThatTheHostCanFollow) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    for (uint32_t side : {0u, 1u}) {
      const sluice_codec_plan plan = codec.plan(side);
      EXPECT_GE(plan.block_rows, 1u);
      EXPECT_EQ(plan.max_rows % plan.block_rows, 0u);
      EXPECT_GE(plan.max_rows, plan.block_rows);
      EXPECT_EQ(plan.exact, 0u);
      EXPECT_GT(plan.tolerance, 0);
    }
  }
}

// Every number of rows is coded within bound() and scratch(), accounted for to the byte, and decoded.
TEST_P(CodecContract, CodesAnyNumberOfRowsWithinTheTolerance) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    for (uint32_t side : {0u, 1u})
      for (uint32_t prompt : {0u, 1u})
        for (uint32_t rows : row_counts(codec.plan(side))) {
          const Rows x = random_rows(rows, codec.head_dim, rows);
          const Coded coded = codec.encode(side, x, rows, prompt);
          const Rows back = codec.decode(coded);
          EXPECT_LE(norm(difference(x, back)), codec.plan(side).tolerance * norm(x))
              << "side " << side << " rows " << rows;
        }
  }
}

TEST_P(CodecContract, LargestPromptBlock) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    for (uint32_t side : {0u, 1u}) {
      const sluice_codec_plan plan = codec.plan(side);
      const Rows x = random_rows(plan.max_rows, codec.head_dim, 5);
      const Rows back = codec.decode(codec.encode(side, x, 9, 1));
      EXPECT_LE(norm(difference(x, back)), plan.tolerance * norm(x));
    }
  }
}

TEST_P(CodecContract, AnyRangeOfRowsDecodesAlike) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows + 5, d = codec.head_dim;
      const Coded coded = codec.encode(side, key_like_rows(rows, d, 3));
      const Rows all = codec.decode(coded);
      for (uint32_t first = 0; first < rows; first += 7)
        for (uint32_t count : {1u, 5u, rows - first}) {
          if (count > std::min(64u, rows - first)) continue;
          const Rows part = codec.decode(coded, first, count);
          ASSERT_EQ(std::memcmp(part.data(), all.data() + size_t(first) * d, part.size() * sizeof(float)), 0);
        }
    }
  }
}

// Oracle 12: the same rows and seed give the same bytes, whatever else was coded before, and on any thread.
TEST_P(CodecContract, O12_BlocksAreIndependentOfEachOther) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows;
      std::vector<Rows> inputs;
      std::vector<std::vector<unsigned char>> alone(4), together(4);
      for (uint32_t i = 0; i < 4; i++) {
        inputs.push_back(key_like_rows(rows, codec.head_dim, i));
        alone[i] = codec.encode(side, inputs[i], 7 + i).bytes();
      }
      std::vector<std::thread> threads;
      for (uint32_t i = 0; i < 4; i++)
        threads.emplace_back([&, i] { together[3 - i] = codec.encode(side, inputs[3 - i], 7 + 3 - i).bytes(); });
      for (std::thread& thread : threads) thread.join();
      EXPECT_EQ(alone, together);
    }
  }
}

// Oracle 13: reading never writes.
TEST_P(CodecContract, O13_ReadingLeavesBlocksAlone) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t side : {0u, 1u}) {
      const Coded coded = codec.encode(side, key_like_rows(codec.plan(side).block_rows, d, 4));
      const auto before = coded.bytes();
      codec.decode(coded);
      codec.account(coded);
      const std::vector<sluice_span> spans = {{coded.memory.data(), nullptr, 0, coded.block.rows}};
      Guarded scratch;
      const sluice_tile tile = codec.tile(side, 2, spans, coded.block.rows, scratch);
      std::vector<float> a(2 * std::max(d, coded.block.rows), 0.5f), b(2 * std::max(d, coded.block.rows), 0.0f);
      side == SLUICE_KEY ? codec.dot(tile, a.data(), b.data()) : codec.accumulate(tile, a.data(), b.data());
      EXPECT_EQ(before, coded.bytes());
    }
  }
}

// Oracles 9.A and 21: rows that stay decode to the same bits, however often and down to one.
TEST_P(CodecContract, O21_RetainedRowsKeepTheirBits) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t side : {0u, 1u})
      for (uint32_t prompt : {0u, 1u}) {
        const uint32_t rows = std::max(130u, codec.plan(side).block_rows);
        Coded coded = codec.encode(side, key_like_rows(rows, d, 11), 3, prompt);
        Rows expected = codec.decode(coded);
        std::mt19937 random(side + 2 * prompt);
        for (uint32_t round = 0; coded.block.rows > 1; round++) {
          // One row at first, later a third of them, at the end one by one; rounds of runs empty whole groups.
          const uint32_t n = coded.block.rows;
          const uint32_t drop = round < 3 || n < 6 ? 1 : std::max(1u, n / 3);
          std::vector<uint32_t> all(n), keep;
          std::iota(all.begin(), all.end(), 0);
          if (round % 3 == 1) {
            const uint32_t from = random() % (n - drop + 1);
            for (uint32_t r = 0; r < n; r++)
              if (r < from || r >= from + drop) keep.push_back(r);
          } else {
            std::shuffle(all.begin(), all.end(), random);
            keep.assign(all.begin() + drop, all.end());
            std::sort(keep.begin(), keep.end());
          }
          Rows left;
          for (uint32_t r : keep)
            left.insert(left.end(), expected.begin() + size_t(r) * d, expected.begin() + size_t(r + 1) * d);
          expected = left;
          codec.retain(coded, keep);
          const Rows back = codec.decode(coded);
          ASSERT_EQ(std::memcmp(back.data(), expected.data(), back.size() * sizeof(float)), 0)
              << "side " << side << " round " << round << " rows " << coded.block.rows;
        }
      }
  }
}

// Errors of sums of factors times numbers, relative to sum |factor| * largest number of the block, which bounds what
// codes count. A factor is split at 2^-22 of the largest, a code spans at most twice the largest number: of n terms
// each errs by at most 2^-21 of the largest factor, n * 2^-21 <= 3e-5 in all for a chunk of 64 rows (where one weight
// outweighs all others), and sqrt(n / 3) * 2^-21 = 2e-6 on average; as a
// chunk's channels share the errors of its weights, an average over few queries may be three times that.
struct SumErrors {
  double worst = 0, squares = 0, sizes = 0;
  void add(double got, double sum, double size) {
    worst = std::max(worst, std::fabs(got - sum) / size);
    squares += (got - sum) * (got - sum), sizes += size * size;
  }
  double mean() const { return std::sqrt(squares / sizes); }
};

// dot and accumulate against the decoded rows in double, over blocks of several sizes, thinned ones among them, with
// scattered and running slots; other columns stay untouched. Also oracle 4.
TEST_P(CodecContract, O04_AttentionOnCodesIsThatOnDecodedRows) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t queries : {1u, 3u, 16u})
      for (uint32_t side : {0u, 1u}) {
        std::vector<Coded> blocks;
        for (uint32_t i = 0; i < 4; i++) {
          const uint32_t rows = i == 1 ? std::min(3 * codec.plan(side).block_rows, codec.plan(side).max_rows)
                                       : codec.plan(side).block_rows;
          blocks.push_back(codec.encode(side, key_like_rows(rows, d, i), i, i % 2));
        }
        std::vector<uint32_t> keep;
        for (uint32_t r = 0; r < blocks[1].block.rows; r++)
          if (r % 3 || r > 100) keep.push_back(r);
        if (!keep.empty() && keep.size() < blocks[1].block.rows) codec.retain(blocks[1], keep);

        std::vector<uint16_t> scattered(blocks[2].block.rows);
        for (uint32_t r = 0; r < scattered.size(); r++) scattered[r] = uint16_t((r * 37 + 11) % 2048);
        std::vector<sluice_span> spans;
        uint32_t base = 3;
        for (const Coded& b : blocks) {
          const bool runs = &b != &blocks[2];
          spans.push_back({b.memory.data(), runs ? nullptr : scattered.data(), runs ? base : 4096, b.block.rows});
          if (runs) base += b.block.rows + 2;
        }
        ASSERT_LT(base, 4096u);
        const size_t stride = 4096 + 2048;
        std::mt19937_64 engine(queries);
        std::normal_distribution<float> normal;
        const auto column = [&](const sluice_span& s, uint32_t r) { return s.slot_base + (s.slots ? s.slots[r] : r); };

        SumErrors error;
        Guarded scratch;
        const sluice_tile tile = codec.tile(side, queries, spans, stride, scratch);
        if (side == SLUICE_KEY) {
          std::vector<float> q(size_t(queries) * d);
          for (float& v : q) v = normal(engine);
          std::vector<float> scores(queries * stride, -77);
          codec.dot(tile, q.data(), scores.data());
          std::vector<char> written(stride);
          for (uint32_t s = 0; s < spans.size(); s++) {
            const Rows k = codec.decode(blocks[s]);
            const double most = largest(k);
            for (uint32_t r = 0; r < spans[s].rows; r++) {
              written[column(spans[s], r)] = 1;
              for (uint32_t i = 0; i < queries; i++) {
                double sum = 0, size = 0;
                for (uint32_t c = 0; c < d; c++) {
                  sum += double(q[i * d + c]) * k[size_t(r) * d + c];
                  size += std::fabs(q[i * d + c]) * most;
                }
                error.add(scores[i * stride + column(spans[s], r)], sum, size);
              }
            }
          }
          for (uint32_t i = 0; i < queries; i++)
            for (size_t c = 0; c < stride; c++) {
              ASSERT_TRUE(written[c] || scores[i * stride + c] == -77) << "a column without a row was written";
            }
        } else {
          std::vector<float> weights(queries * stride), out(size_t(queries) * d, 0.25f);
          for (float& w : weights) w = std::exp(4 * normal(engine)) / 1000;
          codec.accumulate(tile, weights.data(), out.data());
          std::vector<double> sum(size_t(queries) * d, 0.25), size(size_t(queries) * d, 0.25);
          for (uint32_t s = 0; s < spans.size(); s++) {
            const Rows v = codec.decode(blocks[s]);
            const double most = largest(v);
            for (uint32_t i = 0; i < queries; i++)
              for (uint32_t r = 0; r < spans[s].rows; r++)
                for (uint32_t c = 0; c < d; c++) {
                  const double weight = weights[i * stride + column(spans[s], r)];
                  sum[i * d + c] += weight * v[size_t(r) * d + c], size[i * d + c] += weight * most;
                }
          }
          for (size_t k = 0; k < sum.size(); k++) error.add(out[k], sum[k], size[k]);
        }
        EXPECT_LE(error.worst, 3e-5) << "side " << side << " queries " << queries;
        EXPECT_LE(error.mean(), 7e-6) << "side " << side << " queries " << queries;
        EXPECT_TRUE(scratch.intact()) << "attention wrote past its scratch";
      }
  }
}

// A result has the same bits whichever queries share the tile and however the spans are cut into calls.
TEST_P(CodecContract, TilesAndCutsChangeNoBit) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim, queries = 16;
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows;
      std::vector<Coded> blocks;
      for (uint32_t i = 0; i < 5; i++) blocks.push_back(codec.encode(side, key_like_rows(rows, d, i), i));
      std::vector<sluice_span> spans;
      for (uint32_t i = 0; i < 5; i++) spans.push_back({blocks[i].memory.data(), nullptr, i * rows, rows});
      const size_t stride = 5 * rows, in = side == SLUICE_KEY ? d : stride, result = side == SLUICE_KEY ? stride : d;
      std::vector<float> given(queries * in), whole(queries * result), parts(queries * result);
      std::mt19937_64 engine(1);
      std::normal_distribution<float> normal;
      for (float& g : given) g = side == SLUICE_KEY ? normal(engine) : std::exp(3 * normal(engine));
      const auto run = [&](uint32_t first_query, uint32_t n, uint32_t first_span, uint32_t count,
                           std::vector<float>& to) {
        Guarded scratch;
        const std::vector<sluice_span> cut(spans.begin() + first_span, spans.begin() + first_span + count);
        const sluice_tile tile = codec.tile(side, n, cut, stride, scratch);
        const float* from = given.data() + first_query * in;
        float* const at = to.data() + first_query * result;
        side == SLUICE_KEY ? codec.dot(tile, from, at) : codec.accumulate(tile, from, at);
      };
      run(0, queries, 0, 5, whole);
      for (const auto& [tile, cut] : {std::pair{1u, 5u}, {1u, 1u}, {3u, 2u}, {16u, 1u}, {7u, 4u}}) {
        std::fill(parts.begin(), parts.end(), 0.0f);
        for (uint32_t q = 0; q < queries; q += tile)
          for (uint32_t s = 0; s < 5; s += cut) run(q, std::min(tile, queries - q), s, std::min(cut, 5 - s), parts);
        ASSERT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0)
            << "tiles of " << tile << ", cuts of " << cut;
      }
    }
  }
}

// What half floats cannot hold becomes what they can, and is counted.
TEST_P(CodecContract, NonFiniteNumbersAreReplacedAndCounted) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows;
      Rows bad = random_rows(rows, d, 2), good = bad;
      const size_t at[] = {3, 40 % bad.size(), bad.size() - 1};
      bad[at[0]] = std::nanf(""), good[at[0]] = 0;
      bad[at[1]] = INFINITY, good[at[1]] = 65504;
      bad[at[2]] = -INFINITY, good[at[2]] = -65504;
      const auto expected = codec.encode(side, good).bytes();
      EXPECT_EQ(codec.encode(side, bad).bytes(), expected);
      for (float v : codec.decode(codec.encode(side, bad))) ASSERT_TRUE(std::isfinite(v));
    }
    bool counted = false;
    for (const Counter& c : codec.instance().counters())
      if (c.name == "non-finite values per block") counted = c.numerator == 3 * c.denominator && c.denominator == 4;
    EXPECT_TRUE(counted);
  }
}

// Oracle 1 at block level: no NaN for constant, tiny and huge rows, and constants come back exactly.
TEST_P(CodecContract, O01_ConstantTinyAndHugeRows) {
  for (const uint32_t head_dim : kHeadDims) {
    SCOPED_TRACE(head_dim);
    const CodecDriver codec = driver(head_dim);
    const uint32_t d = codec.head_dim;
    for (uint32_t side : {0u, 1u}) {
      const uint32_t rows = codec.plan(side).block_rows;
      for (float constant : {0.0f, 3.0f, -0.125f, 65504.0f, -65504.0f, 5.9604645e-8f}) {
        const Rows x(size_t(rows) * d, constant);
        ASSERT_EQ(codec.decode(codec.encode(side, x)), x) << constant;
      }
      for (float scale : {1e-7f, 1e-5f, 20000.0f}) {
        const Rows x = random_rows(rows, d, 8, scale);
        Rows clamped = x;
        for (float& v : clamped) v = std::clamp(v, -65504.0f, 65504.0f);
        for (float v : codec.decode(codec.encode(side, clamped))) ASSERT_TRUE(std::isfinite(v));
      }
    }
  }
}

}  // namespace
}  // namespace sluice::testing
