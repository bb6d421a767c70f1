// The evictor python: its H2O chooses the victims of the one in C over whole runs, states fork and move, and what is
// wrong with a file is said where it stands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cli_program.h"
#include "support/run_setup.h"
#include "support/scratch_folder.h"
#include "support/tiny_model.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::RunSetup;

using Bits = std::vector<std::vector<float>>;                  // logits [token][vocab]
using Kept = std::vector<std::vector<std::vector<uint32_t>>>;  // positions [token][layer * heads + head][]
const std::string kH2o = std::string(SLUICE_SOURCE) + "/configs/python/h2o.py";

// Tests that need the plugin and NumPy; elsewhere they say what is missing.
class PythonEvictor : public ::testing::Test {
 protected:
  static constexpr uint32_t kPrompt = 70, kTokens = 200;
  void SetUp() override {
    if (*SLUICE_PYTHON_LACKS) GTEST_SKIP() << "python evictor: " << SLUICE_PYTHON_LACKS;
    testing::TinyModel tiny;
    tiny.heads = 4, tiny.kv_heads = 2, tiny.head_dim = 32, tiny.width = 128, tiny.ffn = 192, tiny.layers = 3;
    testing::write_tiny_gguf(folder / "tiny.gguf", tiny);
    for (uint32_t i = 0; i < kTokens; i++) tokens.push_back(int32_t((i * 37 + i * i) % tiny.vocab));
    setup.emplace(folder / "tiny.gguf", 256);
  }
  std::string write(const std::string& name, const std::string& text) const {
    testing::put_bytes(folder / name, text);
    return (folder / name).string();
  }
  static std::vector<std::string> python(const std::string& file, const std::string& parameters,
                                         std::vector<std::string> more) {
    more.insert(more.end(),
                {"evictor.name=python", "evictor.file=" + file, "evictor.parameters=\"" + parameters + "\""});
    return more;
  }

  Bits feed(SequenceCache& cache, uint32_t first, uint32_t last, Kept* kept = nullptr) {
    Bits bits;
    const LogitSink keep = [&](std::span<const LogitRow> rows) {
      for (const LogitRow& row : rows) bits.emplace_back(row.logits.begin(), row.logits.end());
    };
    const sluice_geometry& geometry = setup->engine->geometry();
    const auto look = [&] {
      if (!kept) return;
      kept->emplace_back();
      for (uint32_t layer = 0; layer < geometry.layers; layer++)
        for (uint32_t h = 0; h < geometry.kv_heads; h++) kept->back().push_back(cache.live_positions(layer, h));
    };
    if (first == 0) {
      setup->engine->prompt({&cache, std::span(tokens).subspan(0, kPrompt), Want::kLast}, nullptr, true, keep);
      look();
    }
    for (uint32_t t = std::max(first, kPrompt); t < last; t++) {
      const Feed one{&cache, std::span(tokens).subspan(t, 1), Want::kLast};
      setup->engine->step({&one, 1}, true, keep);
      look();
    }
    return bits;
  }

  // A run of a file with this class body, whose words follow `class Evictor:`.
  Error run(const std::string& body, const std::string& parameters = "") {
    const std::string file = write("my_policy.py", "import numpy as np\nclass Evictor:\n" + body);
    return error_of([&] {
      auto cache = setup->cache(python(file, parameters, {"cache.budget=40", "cache.interval=4"}), kTokens);
      feed(*cache, 0, kTokens);
    });
  }

  testing::ScratchFolder folder;
  std::vector<int32_t> tokens;
  std::optional<RunSetup> setup;
};

TEST_F(PythonEvictor, H2oChoosesTheVictimsOfItsTwinOverWholeRuns) {
  struct Case {
    std::vector<std::string> in_c;
    std::string in_python;
    std::vector<std::string> cache;
  };
  const Case cases[] = {
      {{}, "", {"cache.budget=40", "cache.interval=1"}},
      {{}, "", {"cache.budget=40", "cache.interval=4"}},
      {{"evictor.recent=8", "evictor.sinks=4"}, "recent = 8, sinks = 4", {"cache.budget=33", "cache.interval=7"}},
      {{"evictor.recent=\"25%\"", "evictor.decay=0.9"},
       "recent = 0.25, decay = 0.9",
       {"cache.budget=40", "cache.interval=4"}},
      {{"evictor.recent=8"}, "recent = 8", {"cache.budget=40", "cache.interval=1", "cache.granularity=layer"}},
      {{"evictor.recent=8"},
       "recent = 8",
       {"cache.budget=60", "cache.interval=4", "codec.group=32", "codec.buffer=32", "codec.name=gear"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.in_python + " " + c.cache[1] + " " + c.cache.back());
    std::vector<std::string> settings = c.cache;
    settings.push_back("evictor.name=h2o");
    settings.insert(settings.end(), c.in_c.begin(), c.in_c.end());
    auto twin = setup->cache(settings, kTokens), mine = setup->cache(python(kH2o, c.in_python, c.cache), kTokens);
    Kept want, got;
    const Bits bits = feed(*twin, 0, kTokens, &want), own = feed(*mine, 0, kTokens, &got);
    ASSERT_EQ(want.size(), 1 + kTokens - kPrompt);
    for (size_t t = 0; t < want.size(); t++) ASSERT_EQ(got[t], want[t]) << "after step " << t;
    // Victims are named in another order, so tokens may lie in other slots; one at a time they cannot.
    if (c.cache[1] == "cache.interval=1") {
      EXPECT_EQ(own, bits);
    }
    // Heads differ, and more than the oldest left.
    EXPECT_NE(want.back()[0], want.back().back());
    EXPECT_LT(want.back()[0].front(), kTokens - 60);
  }
}

TEST_F(PythonEvictor, ForksGoOnAsTheOriginal) {
  auto cache = setup->cache(python(kH2o, "decay = 0.9", {"cache.budget=40", "cache.interval=4"}), kTokens);
  feed(*cache, 0, 110);
  SequenceCache fork(*cache);
  Kept a, b;
  const Bits original = feed(*cache, 110, kTokens, &a);
  EXPECT_EQ(feed(fork, 110, kTokens, &b), original);
  EXPECT_EQ(a, b);
}

// From the run's start to select(): (class body, parameters, what is said).
TEST_F(PythonEvictor, SaysWhatIsWrongAndWhere) {
  const std::string init = "  def __init__(self, geometry, recent=1): pass\n", sum = "  signal = 'sum'\n",
                    observe = sum + "  def observe(self, state, lanes, queries, signal): pass\n",
                    choose = "  def select(self, state, lanes, n): return ";
  const struct {
    std::string body, parameters;
    std::vector<std::string> said;
  } cases[] = {
      {"  def f(:\n", "", {"create", "my_policy.py:3: SyntaxError", "def f(:"}},
      {init, "", {"create", "class Evictor in ", "my_policy.py has no select()"}},
      {init + "  def selct(self): pass\n", "", {"has no select() (did you mean \"selct\"?)"}},
      {sum + choose + "[]\n", "", {"has no observe()"}},
      {init + choose + "[]\n", "recnt = 3", {"has no \"recnt\"; it takes: recent (did you mean \"recent\"?)"}},
      {init + choose + "[]\n", "3", {"values by name, as in \"recent = 0.5", "not \"3\""}},
      {"  signal = 'sums'\n" + choose + "[]\n", "", {"signal of Evictor", "is 'sums'; right would be"}},
      {"  signal = {'kind': 'sum', 'skip_first': -1}\n" + choose + "[]\n",
       "",
       {"signal of Evictor", "'skip_first': -1}; right would be"}},
      {"  signal = {'kind': 'sum', 'window': 2**32}\n" + choose + "[]\n",
       "",
       {"'window': 4294967296}; right would be"}},
      {"  signal = {'kind': 'sum', 'window': float('inf')}\n" + choose + "[]\n",
       "",
       {"'window': inf}; right would be"}},
      {"  import nosuchmodule\n", "", {"ModuleNotFoundError", "nosuchmodule", "my_policy.py:3 in Evictor"}},
      {"  exit(3)\n", "", {"SystemExit: 3", "my_policy.py:3 in Evictor"}},
      {"  raise KeyboardInterrupt\n", "", {"KeyboardInterrupt", "my_policy.py:3"}},
      {"  def state(self, lanes): return {'a': 3}\n" + choose + "[]\n",
       "",
       {"reset", "state() in ", "returned {'a': 3}"}},
      {"  def reset(self, state, lanes): raise ValueError('budget %d' % lanes.budget)\n" + choose + "[]\n",
       "",
       {"reset", "ValueError: budget 40 (at ", "my_policy.py:3 in reset"}},
      {observe + choose + "self.go()\n  def go(self): return 1 / 0\n",
       "",
       {"select: ZeroDivisionError: division by zero (at ", "my_policy.py:6 in go, called from ",
        "my_policy.py:5 in select)"}},
      {choose + "None\n", "", {"returned nothing; right would be slots of shape (2, "}},
      {choose + "np.zeros((2, n + 1), int)\n", "", {"returned an array of shape (2, "}},
      {choose + "np.zeros((2, n))\n", "", {"returned float64; right would be integers"}},
      {choose + "[[1], [1, 2]]\n", "", {"lists of different lengths"}},
      {choose + "np.full((2, n), 5)\n", "", {"names slot 5 of lane 0 twice"}},
      {choose + "np.arange(2 * n).reshape(2, n) + 10**6\n",
       "",
       {"names slot 1000000 in lane 0; there are slots 0 to "}},
      // In verbs that cannot fail, the next select() says it.
      {sum + "  def observe(self, state, lanes, queries, signal): state.scor = 1\n" + choose + "[]\n",
       "",
       {"select: AttributeError: the state has no \"scor\"", "my_policy.py:4 in observe"}},
      {"  def insert(self, state, lanes, slots, positions): self.kept = state.positions[0]\n" + choose + "[]\n",
       "",
       {"insert() in ", "keeps an array of its state beyond the call"}},
      {"  def state(self, lanes): return {'a': ('int8', lanes.capacity)}\n" + choose +
           "np.argsort(np.where(state.positions < 0, 10**6, state.positions))[:, :n]\n",
       "",
       {"so that Evictor needs a resize()"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.body + c.parameters);
    const Error error = run(c.body, c.parameters);
    for (const std::string& said : c.said) EXPECT_THAT(error.what(), HasSubstr(said));
    EXPECT_THAT(error.what(), HasSubstr("evictor python, "));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    EXPECT_EQ(error.code(), kExitUsage);
  }
}

// Entries per slot start at zero and move with their token; assigning writes the host's memory.
TEST_F(PythonEvictor, ArraysFollowTheirTokens) {
  const Error error = run(
      "  def state(self, lanes): return {'born': ('int64', (lanes.count, lanes.capacity)), 'steps': ('int32', ())}\n"
      "  def insert(self, state, lanes, slots, positions):\n"
      "    assert not np.take_along_axis(state.born, slots, 1).any()\n"
      "    np.put_along_axis(state.born, slots, positions + 1, 1)\n"
      "    state.steps = state.steps + len(positions)\n"
      "    live = state.positions >= 0\n"
      "    assert (state.born[live] == state.positions[live] + 1).all()\n"
      "    assert state.steps == positions[-1] + 1, (int(state.steps), positions)\n"
      "  def select(self, state, lanes, n):\n"
      "    if state.steps > 190: raise ValueError('seen %d' % state.steps)\n"
      "    return np.argsort(np.where(state.positions < 0, 10**6, state.positions))[:, :n]\n");
  EXPECT_THAT(error.what(), HasSubstr("select: ValueError: seen 19"));
}

// What lies beside a file is found while the file runs and its Evictor is made, and by no other file.
TEST_F(PythonEvictor, FilesAreNoneOfEachOthersBusiness) {
  const std::string policy =
      "import sys\nclass Evictor:\n"
      "  def __init__(self, geometry, tell):\n"
      "    if tell == 1: import lies_beside\n"
      "    if tell == 2: import lies_elsewhere\n"
      "    self.before = list(sys.path)\n"
      "  def reset(self, state, lanes): raise ValueError('%s at %d' % (__file__, len(self.before) - len(sys.path)))\n"
      "  def select(self, state, lanes, n): return []\n";
  std::filesystem::create_directory(folder / "other");
  const std::string file = write("same.py", policy), other = write("other/same.py", policy);
  write("lies_beside.py", ""), write("other/lies_elsewhere.py", "");
  const auto said = [&](const std::string& of, int tell) {
    return std::string(error_of([&] {
                         auto cache = setup->cache(
                             python(of, "tell = " + std::to_string(tell), {"cache.budget=40", "cache.interval=4"}),
                             kTokens);
                         feed(*cache, 0, kTokens);
                       }).what());
  };
  EXPECT_THAT(said(file, 0), HasSubstr(file + " at 1"));
  // Before either is imported, and with that known to all.
  EXPECT_THAT(said(other, 1), HasSubstr("No module named 'lies_beside'"));
  EXPECT_THAT(said(file, 2), HasSubstr("No module named 'lies_elsewhere'"));
  EXPECT_THAT(said(file, 1), HasSubstr(file + " at 1"));
  EXPECT_THAT(said(other, 2), HasSubstr(other + " at 1"));
}

// A file that came later under the same name did not take the first one's place.
TEST_F(PythonEvictor, FilesOfOneNameAreTwoModules) {
  const std::string policy =
      "import sys\nclass Evictor:\n"
      "  def reset(self, state, lanes): pass\n"
      "  def select(self, state, lanes, n): raise ValueError(sys.modules[type(self).__module__].__file__)\n";
  std::filesystem::create_directory(folder / "other");
  const std::string file = write("twin.py", policy), other = write("other/twin.py", policy);
  auto first = setup->cache(python(file, "", {"cache.budget=40", "cache.interval=4"}), kTokens);
  auto second = setup->cache(python(other, "", {"cache.budget=40", "cache.interval=4"}), kTokens);
  EXPECT_THAT(error_of([&] { feed(*first, 0, kTokens); }).what(), HasSubstr("ValueError: " + file));
  EXPECT_THAT(error_of([&] { feed(*second, 0, kTokens); }).what(), HasSubstr("ValueError: " + other));
}

TEST_F(PythonEvictor, TheFileIsFoundBesideTheConfiguration) {
  write("my_policy.py", read_file(kH2o));
  const std::string page =
      write("mine.toml",
            "[model]\npath = \"tiny.gguf\"\n[cache]\nbudget = 24\ninterval = 4\n[evictor]\nname = \"python\"\n"
            "file = \"my_policy.py\"\n");
  const std::vector<std::string> words = {"compare",
                                          page,
                                          "--no-speed",
                                          "--tokens",
                                          "48",
                                          "--text",
                                          "one two three four five six seven eight nine ten eleven twelve thirteen"};
  const testing::Outcome good = testing::sluice(words);
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("| mine "));

  // What a file prints is no result.
  write("my_policy.py", "print('hello')\n" + read_file(kH2o));
  const testing::Outcome loud = testing::sluice(words);
  EXPECT_EQ(loud.code, 0);
  EXPECT_EQ(loud.out, good.out);
  EXPECT_THAT(loud.err, HasSubstr("hello"));

  write("my_policy.py", "class Evictor:\n  pass\n");
  const testing::Outcome bad = testing::sluice(words);
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("my_policy.py has no select()"));

  std::filesystem::remove(folder / "my_policy.py");
  const testing::Outcome absent = testing::sluice(words);
  EXPECT_EQ(absent.code, 2);
  EXPECT_THAT(absent.err,
              AllOf(HasSubstr("cannot read " + (folder / "my_policy.py").string()), HasSubstr("No such file")));

  // Where NumPy cannot be imported.
  write("numpy.py", "raise ImportError('no numpy at all')\n");
  const testing::Outcome without = testing::sluice(words, {"PYTHONPATH=" + folder.path().string()});
  EXPECT_EQ(without.code, 2);
  EXPECT_THAT(without.err, AllOf(HasSubstr("needs NumPy, which "), HasSubstr("no numpy at all"),
                                 HasSubstr("apt install python3-numpy")));
}

}  // namespace
}  // namespace sluice
