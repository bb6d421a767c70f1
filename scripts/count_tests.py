#!/usr/bin/env python3
"""Adds up a folder of results of scripts/test.sh: steps.tsv and what ctest wrote per preset as JUnit XML. Prints
failures and the reasons of skips, then the count alone on the last line. Exits 1 if anything failed."""
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as xml


def reason(output):
    """What a skipped test said: the line after GoogleTest's place, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line, following in zip(lines, lines[1:]):
        if re.search(r':\d+: Skipped$', line):
            return following
    return lines[-1] if lines else 'it did not say why'


def main():
    folder = pathlib.Path(sys.argv[1])
    passed, failed, skipped = 0, [], collections.defaultdict(list)
    for line in (folder / 'steps.tsv').read_text().splitlines():
        state, name, text = line.split('\t')
        if state == 'passed':
            passed += 1
        elif state == 'failed':
            failed.append(f'{name}: {text}')
        else:
            skipped[text].append(name)
    for file in sorted(folder.glob('*.xml')):
        for case in xml.parse(file).getroot().iter('testcase'):
            name = f'{file.stem}: {case.get("name")}'
            output = case.findtext('system-out') or ''
            if case.get('status') == 'run':
                passed += 1
            elif case.get('status') in ('notrun', 'disabled') or case.find('skipped') is not None:
                skipped[reason(output)].append(name)
            else:
                failed.append(name)
    print()
    for text, names in skipped.items():
        more = f' and {len(names) - 1} more' if len(names) > 1 else ''
        print(f'skipped: {names[0]}{more}: {text}')
    for name in failed:
        print(f'FAILED: {name}')
    print('All that could be tested passed.' if not failed else 'Something failed.')
    count = sum(len(names) for names in skipped.values())
    print(f'{passed} passed, {len(failed)} failed, {count} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
