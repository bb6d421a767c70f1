"""What scripts/mutants.py prints: a table of files and rules, and the mutants that no check noticed, with the reason
where one is known."""
import collections
import json
import pathlib

from mutant_sites import NAMES


def result_of(site, found):
    """`found`: the first failed check, None if there is none."""
    result = {'file': site.file, 'line': site.line, 'rule': site.rule, 'before': site.before, 'after': site.after,
              'place': [site.start, site.end, site.new], 'verdict': 'killed' if found else 'survived'}
    if found:
        result.update(check=found['check'], how=found['verdict'], reason=found['reason'], plugin=found['plugin'],
                      settings=found['settings'])
    return result


def load_explained(file):
    """What is known of survivors: (file, before, after) -> its entry, which says why, and whether it is `equivalent`:
    does in all cases what the original does."""
    if not file.is_file():
        return {}
    return {(entry['file'], entry['before'], entry['after']): entry for entry in json.loads(file.read_text())}


def table(results):
    """Killed of tried, by file and rule."""
    counts = collections.defaultdict(lambda: [0, 0])
    for result in results:
        for row in (result['file'], 'all'):
            for column in (result['rule'], 'all'):
                counts[row, column][0] += result['verdict'] == 'killed'
                counts[row, column][1] += 1
    columns = [*NAMES, 'all']
    rows = sorted({result['file'] for result in results}) + ['all']
    lines = ['| file | ' + ' | '.join(columns) + ' |', '|---' * (len(columns) + 1) + '|']
    for row in rows:
        cells = [f'{counts[row, column][0]}/{counts[row, column][1]}' if (row, column) in counts else ''
                 for column in columns]
        lines.append(f'| {row} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


class Report:
    def __init__(self, results, passed_over, explained_file, seed):
        explained = load_explained(pathlib.Path(explained_file))
        for result in results:
            entry = explained.get((result['file'], result['before'], result['after']))
            if result['verdict'] == 'survived':
                result['why'] = entry and entry['why']
                result['equivalent'] = bool(entry and entry['equivalent'])
        self.results, self.passed_over, self.seed = results, passed_over, seed
        self.survivors = [result for result in results if result['verdict'] == 'survived']
        self.killed = [result for result in results if result['verdict'] == 'killed']

    def killed_percent(self):
        return 100 * len(self.killed) / max(len(self.results), 1)

    def score(self):
        """Percent killed of the mutants that do something else."""
        others = len(self.results) - sum(result['equivalent'] for result in self.survivors)
        return 100 * len(self.killed) / max(others, 1)

    def text(self):
        killers = collections.Counter(result['check'] for result in self.killed)
        lines = [table(self.results), '', 'Killed by: ' + ', '.join(
            f'{check} {count}' for check, count in killers.most_common()), '']
        for result in self.survivors:
            lines += [f'survived: {result["file"]}:{result["line"]} [{result["rule"]}]', f'  - {result["before"]}',
                      f'  + {result["after"]}', f'  explained: {result["why"]}' if result['why'] else '  NOT EXPLAINED']
        equivalent = sum(result['equivalent'] for result in self.survivors)
        unexplained = sum(not result['why'] for result in self.survivors)
        lines += [f'{len(self.results)} mutants of seed {self.seed}: {len(self.killed)} killed '
                  f'({self.killed_percent():.1f} %), {killers["trace-same"]} of them by nothing before their traces; '
                  f'{len(self.survivors)} survived, {equivalent} of them equivalent, {unexplained} unexplained. '
                  f'Of those that are not equivalent {self.score():.1f} % were killed. '
                  f'Passed over: {self.passed_over["does not compile"]} that do not compile, '
                  f'{self.passed_over["same code"]} that compile to the same code.']
        return '\n'.join(lines)

    def json(self):
        return json.dumps({'seed': self.seed, 'killed_percent': self.killed_percent(), 'score': self.score(),
                           'passed_over': self.passed_over,
                           'mutants': self.results}, indent=1) + '\n'
