"""Tests of scripts/mutant_sites.py and of what scripts/mutants.py makes of a tree: which sites a source has, that
comments, strings and tables are left alone, and that a seed says it all."""
import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'scripts'))
from mutant_builds import Builder, Tree  # noqa: E402
from mutant_sites import NAMES, in_order, mutated, sites_of  # noqa: E402
from mutants import Memory  # noqa: E402

SOURCE = r'''
/* a < b, i + 1, min(a, b); x = 1; */
#include "x < y + 1.h"
#define LONG(a) if (a < 1) \
  return a + 1
enum { FIRST = 1, SECOND };
static const char* const text = "a < b && c == 1";
static void run(int* x, int n, const char* name) {
  if (n == 0) return; // n < 1
  for (int i = 0; i < n; i++) {
    x[i] = x[i] * 2;
    if (x[i] > n + 1) continue;
    store(x, n, "a == b", 'c');
  }
  std::vector<int> list = std::max(n, 7);
  total += -n;
}
static const sluice_param params[] = {{"low", 1 + 1, 2 < 3, "min"}};
'''


def found(rule, text=SOURCE):
    return [(site.line, site.after) for site in sites_of('x.cpp', text) if site.rule == rule]


class Sites(unittest.TestCase):
    def test_every_rule_finds_its_own(self):
        self.assertEqual(found('comparison'), [(9, 'if (n != 0) return; // n < 1'),
                                               (10, 'for (int i = 0; i <= n; i++) {'),
                                               (12, 'if (x[i] >= n + 1) continue;')])
        self.assertEqual(found('off by one'), [(11, 'x[i + 1] = x[i] * 2;'), (11, 'x[i] = x[i + 1] * 2;'),
                                               (12, 'if (x[i + 1] > n + 1) continue;'), (12, 'if (x[i] > n) continue;')])
        self.assertEqual(found('short loop'), [(10, 'for (int i = 1; i < n; i++) {'),
                                               (10, 'for (int i = 0; i + 1 < n; i++) {')])
        self.assertEqual(found('stale state'), [(11, '(void)0;'), (13, '(void)0;'), (16, '(void)0;')])
        self.assertEqual(found('min/max'), [(15, 'std::vector<int> list = std::min(n, 7);')])
        self.assertEqual(found('early return'), [(8, 'static void run(int* x, int n, const char* name) { return;'),
                                                 (9, 'if (0 && n == 0) return; // n < 1'),
                                                 (12, 'if (0 && x[i] > n + 1) continue;'),
                                                 (12, 'if (x[i] > n + 1) break;')])
        self.assertEqual(found('swap'), [(12, 'if (x[i] > n - 1) continue;'), (13, 'store(n, x, "a == b", \'c\');'),
                                         (15, 'std::vector<int> list = std::max(7, n);'), (16, 'total -= -n;'),
                                         (16, 'total += n;')])
        self.assertEqual(found('constant'), [(9, 'if (n == 1) return; // n < 1'), (11, 'x[i] = x[i] * 3;'),
                                             (15, 'std::vector<int> list = std::max(n, 8);')])

    def test_each_site_changes_its_place_and_nothing_else(self):
        for site in sites_of('x.cpp', SOURCE):
            text = mutated(SOURCE, site)
            self.assertNotEqual(text, SOURCE)
            self.assertEqual(text[:site.start], SOURCE[:site.start])
            self.assertEqual(text[site.start + len(site.new):], SOURCE[site.end:])

    def test_comments_strings_lines_of_the_preprocessor_and_tables_stay(self):
        for text in ('/* x = a < b; */', '// x = a < b;', 'static const char* t = "a < b";', '#if A < 1 \\\n + 1\n#endif',
                     'static const sluice_param p[] = {{"a", 1 + 1}};', 'enum { A = 1, B = A + 1 };',
                     'void f() { /* for (int i = 0; i < 3; i++) */ }', 'void f(int a, int b = 1);',
                     'struct s { int a, b; };'):
            self.assertEqual([site for site in sites_of('x.cpp', text) if site.rule != 'early return'], [], text)


class Order(unittest.TestCase):
    def test_a_seed_says_it_all(self):
        tree = Tree(ROOT)
        sites = [site for file in tree.files() for site in sites_of(file, (ROOT / file).read_text())]
        self.assertGreater(len(sites), 1000)
        order = in_order(sites, 1)
        self.assertEqual(order, in_order(sites, 1))
        self.assertNotEqual(order[:120], in_order(sites, 2)[:120])
        self.assertEqual(sorted(order), sorted(sites))
        # No file or rule is missed, and none has much more than its share.
        sample = order[:120]
        for part, most in (('file', 12), ('rule', 30)):
            counts = collections.Counter(getattr(site, part) for site in sample)
            self.assertEqual(set(counts), {getattr(site, part) for site in sites}, part)
            self.assertLessEqual(max(counts.values()), most, part)
        self.assertEqual({site.rule for site in sample}, set(NAMES))

    def test_the_parts_of_policies_are_found(self):
        tree = Tree(ROOT)
        self.assertEqual(tree.plugins_with('policies/gear/block.hpp'), ['gear'])
        self.assertIn('sieve', tree.plugins_with('plugins/sluice/order.h'))
        self.assertIn('uniform', tree.plugins_with('plugins/sluice/affine.hpp'))
        self.assertNotIn('plugins/sluice/policy.h', tree.files())  # its text is hashed

    def test_the_program_lists_the_same_twice_and_refuses_other_files(self):
        line = [sys.executable, '-B', ROOT / 'scripts/mutants.py', '--list', '--count', '30', '--seed', '3']
        lists = [subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout for _ in range(2)]
        self.assertEqual(*lists)
        self.assertEqual(lists[0].count('\n  - '), 30)
        wrong = subprocess.run([*line, '--only', 'policies/h2o'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, check=False)
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn('policies/h2o/h2o.c', wrong.stderr)


@unittest.skipUnless(shutil.which('cc'), 'there is no cc')
class Originals(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def builder(self, name, text, age=0, compiler='cc'):
        """Of a tree with one policy, in a work folder that all share."""
        source = self.folder / name / 'policies/one/one.c'
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        os.utime(source, (1e9 - age, 1e9 - age))
        (self.folder / name / 'policies/CMakeLists.txt').write_text('sluice_add_plugin(one one/one.c)\n')
        return Builder(Tree(self.folder / name), self.folder / 'work', {'.c': compiler, '.cpp': 'cc'})

    def test_trees_that_share_a_work_folder_have_originals_of_their_own(self):
        first = self.builder('first', 'int one(void) { return 1; }\n').original('policies/one/one.c')
        older = self.builder('older', 'int one(void) { return 2; }\n', age=1e6).original('policies/one/one.c')
        self.assertFalse(first.read_bytes() == older.read_bytes(), 'the object of another tree')
        again = self.builder('again', 'int one(void) { return 1; }\n', age=-1e6).original('policies/one/one.c')
        self.assertEqual(again, first)

    def test_another_compiler_is_another_original_and_another_result(self):
        other = self.folder / 'cc'
        other.symlink_to(shutil.which('cc'))
        (self.folder / 'program').write_text('a program')
        places, keys = set(), set()
        for compiler in ('cc', other):
            builder = self.builder('tree', 'int one(void) { return 1; }\n', compiler=compiler)
            places.add(builder.original('policies/one/one.c'))
            keys.add(Memory(builder, self.folder / 'program').key(['one']).hexdigest())
        self.assertEqual((len(places), len(keys)), (2, 2))


if __name__ == '__main__':
    unittest.main()
