#!/usr/bin/env python3
"""Makes mutants of the built-in policies, runs `sluice plugin check` on each, and says which survive: a test of the
checker. A mutant is one small change of one source file (mutant_sites.py), built by itself (mutant_builds.py).

  scripts/mutants.py --count 120                    a seeded sample, balanced over files and rules
  scripts/mutants.py --only policies/h2o/h2o.c      of one file
  scripts/mutants.py --list --count 20              what would be tried

Results are kept in the work folder, so that a run that was ended goes on where it was. Survivors that are explained stand in tests/mutants/survivors.json. Exits 1 if fewer were killed than --least
says, or if an original fails."""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import mutant_report
from mutant_builds import Builder, Tree
from mutant_sites import in_order, mutated, sites_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Parameters that reach code which the defaults do not. A mutant is checked with each until it is killed.
VARIANTS = {
    'uniform': [[], ['axis=channel'], ['axis=tensor', 'bits=3']],
    'group': [[], ['value_window=sliding', 'residual=128']],
    'gear': [[], ['backbone=uniform'], ['outliers=0', 'rank=0'], ['outliers=0.1']],
    'h2o': [[], ['sinks=4', 'recent=8', 'decay=0.9']],
    'sieve': [[], ['entry_bit=keep', 'alpha=2', 'sinks=0']],
    'random': [[], ['seed=7', 'recent=0']],
    'recent': [[]],
}
PATIENT_SECONDS = 120  # of a check that ran out of time, when it is tried again with nothing beside it


class Memory:
    """What is known of a mutant, by all that its fate depends on."""

    def __init__(self, builder, program):
        self.tree, self.folder = builder.tree, builder.work / 'results'
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stamp = hashlib.sha256(program.read_bytes() + repr((VARIANTS, sorted(builder.makers.items()))).encode())
        self.known = {}

    def contents(self, file):
        if file not in self.known:
            self.known[file] = (self.tree.root / file).read_text()
        return self.known[file]

    def key(self, names, site=None):
        key = self.stamp.copy()
        sources = {source for name in names for source in self.tree.plugins[name]}
        for file in sorted(set().union(*(self.tree.reads[source] for source in sources))):
            text = self.contents(file)
            key.update((mutated(text, site) if site and file == site.file else text).encode())
        for trace in (self.tree.trace(name) for name in names):
            key.update(trace.read_bytes() if trace.is_file() else b'')
        return key

    def place(self, site):
        return self.folder / f'{self.key(self.tree.plugins_with(site.file), site).hexdigest()}.json'

    def recall(self, site):
        place = self.place(site)
        return json.loads(place.read_text()) if place.is_file() else None

    def keep(self, site, state, found):
        place = self.place(site)
        part = place.with_suffix('.part')
        part.write_text(json.dumps([state, found]))
        part.rename(place)


def check(program, library, settings, patient=False):
    """None if all checks pass, else {'check', 'verdict', 'reason'} of the first that does not."""
    line = [program, 'plugin', 'check', library, '--json', '--only-failed', '--first']
    for setting in settings:
        line += ['--set', setting]
    if patient:
        line += ['--limit', str(PATIENT_SECONDS)]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f'{" ".join(map(str, line))} ended with {done.returncode}:\n{done.stderr}')
    failed = json.loads(done.stdout)['checks']
    return {name: failed[0][name] for name in ('check', 'verdict', 'reason')} if failed else None


def judge(program, builds, patient=False):
    """How a mutant of `builds` ended: the first failure, with the plugin and parameters that showed it; None if there
    is none; or, where nothing was built, why."""
    states = set()
    for state, name, library in builds:
        states.add(state)
        for settings in VARIANTS.get(name, [[]]) if library else []:
            found = check(program, library, settings, patient)
            if found:
                return 'built', {**found, 'plugin': name, 'settings': settings}
    return ('built' if 'built' in states else states.pop()), None


def check_originals(builder, program, memory, plugins):
    failures = []
    for name in plugins:
        known = memory.folder / f'{memory.key([name]).hexdigest()}.original'
        if known.is_file():
            continue
        library = builder.library(name, builder.work / 'originals' / name)
        found = None
        for settings in VARIANTS.get(name, [[]]):
            found = check(program, library, settings)
            if found and found['verdict'] == 'TIMEOUT':
                found = check(program, library, settings, patient=True)
            if found:
                failures.append(f'{name} {" ".join(settings)}: {found["check"]} {found["verdict"]} {found["reason"]}')
                break
        if not found:
            known.touch()
    if failures:
        raise SystemExit('What is to be mutated fails as it is:\n  ' + '\n  '.join(failures))


class Progress:
    def __init__(self, wanted):
        self.wanted, self.start = wanted, time.monotonic()

    def tell(self, results):
        done = len(results)
        killed = sum(result['verdict'] != 'survived' for result in results)
        seconds = time.monotonic() - self.start
        left = seconds / max(done, 1) * (self.wanted - done)
        print(f'{done}/{self.wanted} mutants, {killed} killed, {seconds:.0f} s, about {left:.0f} s left', file=sys.stderr)


def try_mutants(order, count, builder, program, memory, jobs):
    """Results of the first `count` mutants that are other programs, and how many sites gave none."""
    waiting, results, passed_over = iter(order), [], {'same code': 0, 'does not compile': 0}
    progress = Progress(min(count, len(order)))

    def one(site, place):
        known = memory.recall(site)
        return site, *(known or judge(program, builder.build(site, builder.work / f'mutant{place}')))

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running, late, places = {}, [], list(range(jobs))
        while True:
            while places and len(results) + len(late) + len(running) < count:
                site = next(waiting, None)
                if site is None:
                    break
                place = places.pop()
                running[pool.submit(one, site, place)] = place
            if not running:
                break
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                places.append(running.pop(future))
                site, state, found = future.result()
                hangs = found and found['verdict'] == 'TIMEOUT' and not memory.recall(site)
                if not hangs:
                    memory.keep(site, state, found)
                if state != 'built':
                    passed_over[state] += 1
                elif hangs:
                    late.append(site)
                else:
                    results.append(mutant_report.result_of(site, found))
                    progress.tell(results)
    # Busy machines make slow checks; what hangs by itself hangs alone as well.
    for site in late:
        state, found = judge(program, builder.build(site, builder.work / 'mutant0'), patient=True)
        memory.keep(site, state, found)
        results.append(mutant_report.result_of(site, found))
        progress.tell(results)
    turns = {(site.file, site.start, site.end, site.new): i for i, site in enumerate(order)}
    results.sort(key=lambda result: turns[result['file'], *result['place']])
    return results, passed_over


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--seed', type=int, default=1, help='of the sample (1)')
    parser.add_argument('--count', type=int, default=120, help='mutants to try (120)')
    parser.add_argument('--only', action='append', default=[], metavar='FILE', help='of this file; may be repeated')
    parser.add_argument('--jobs', type=int, default=1, help='mutants at a time (1)')
    parser.add_argument('--least', type=float, default=90, metavar='PERCENT', help='of those that are not equivalent that must be killed (90)')
    parser.add_argument('--build', type=pathlib.Path, default=ROOT / 'build/release', metavar='FOLDER',
                        help='where bin/sluice is (build/release)')
    parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / 'sluice-mutants',
                        metavar='FOLDER', help='for what is built and found')
    parser.add_argument('--json', type=pathlib.Path, metavar='FILE', help='write the results there as well')
    parser.add_argument('--list', action='store_true', help='say what would be tried, and end')
    parser.add_argument('--cc', default='cc')
    parser.add_argument('--cxx', default='c++')
    return parser.parse_args()


def main():
    words = parse()
    tree = Tree(ROOT)
    files = tree.files()
    for file in words.only:
        if file not in files:
            raise SystemExit(f'--only {file}: mutants are made of {", ".join(files)}')
    files = words.only or files
    order = in_order([site for file in files for site in sites_of(file, (ROOT / file).read_text())], words.seed)
    if words.list:
        for site in order[:words.count]:
            print(f'{site.file}:{site.line} [{site.rule}]\n  - {site.before}\n  + {site.after}')
        print(f'{len(order)} sites')
        return 0
    program = (words.build / 'bin/sluice').resolve()
    if not program.is_file():
        raise SystemExit(f'there is no {program}; build it, or say where it is with --build')
    words.work.mkdir(parents=True, exist_ok=True)
    work = words.work.resolve()
    os.nice(10)
    builder = Builder(tree, work, {'.c': words.cc, '.cpp': words.cxx})
    memory = Memory(builder, program)
    check_originals(builder, program, memory, sorted({name for file in files for name in tree.plugins_with(file)}))
    results, passed_over = try_mutants(order, words.count, builder, program, memory, words.jobs)
    report = mutant_report.Report(results, passed_over, ROOT / 'tests/mutants/survivors.json', words.seed)
    print(report.text())
    if words.json:
        words.json.write_text(report.json())
    return 0 if report.score() >= words.least else 1


if __name__ == '__main__':
    sys.exit(main())
