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
    """What is known of survivors: (file, before, after) -> why."""
    if not file.is_file():
        return {}
    return {(entry['file'], entry['before'], entry['after']): entry['why'] for entry in json.loads(file.read_text())}


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
            if result['verdict'] == 'survived':
                result['why'] = explained.get((result['file'], result['before'], result['after']))
        self.results, self.passed_over, self.seed = results, passed_over, seed

    def killed_percent(self):
        killed = sum(result['verdict'] == 'killed' for result in self.results)
        return 100 * killed / max(len(self.results), 1)

    def text(self):
        killers = collections.Counter(result['check'] for result in self.results if result['verdict'] == 'killed')
        lines = [table(self.results), '', 'Killed by: ' + ', '.join(
            f'{check} {count}' for check, count in killers.most_common()), '']
        survivors = [result for result in self.results if result['verdict'] == 'survived']
        for result in survivors:
            lines += [f'survived: {result["file"]}:{result["line"]} [{result["rule"]}]', f'  - {result["before"]}',
                      f'  + {result["after"]}', f'  explained: {result["why"]}' if result['why'] else '  NOT EXPLAINED']
        unexplained = sum(not result['why'] for result in survivors)
        lines += [f'{len(self.results)} mutants of seed {self.seed}: {len(self.results) - len(survivors)} killed '
                  f'({self.killed_percent():.1f} %), {len(survivors)} survived, of which {unexplained} unexplained. '
                  f'Passed over: {self.passed_over["does not compile"]} that do not compile, '
                  f'{self.passed_over["same code"]} that compile to the same code.']
        return '\n'.join(lines)

    def json(self):
        return json.dumps({'seed': self.seed, 'killed_percent': self.killed_percent(), 'passed_over': self.passed_over,
                           'mutants': self.results}, indent=1) + '\n'
