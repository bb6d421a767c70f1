#!/usr/bin/env python3
"""Holds what ptxas says of the CUDA kernels (registers, bytes spilled) against the table of the tree.

usage: cuda_registers.py REPORT TABLE CUDA_VERSION [--write]

The table is for one architecture and one version of the toolkit, which its first line names; with others, or without a
table, there is nothing to compare, and the exit code is 77. More registers or spills than the table says fail; fewer only ask for
--write, which makes the table anew.
"""
import os
import re
import sys

ARCHITECTURE = 'sm_86'


def read_report(path):
    """{kernel: (registers, spilled bytes)} of ARCHITECTURE."""
    found, kernel, spilled = {}, None, 0
    for line in open(path):
        entry = re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line)
        if entry:
            kernel = entry.group(1) if entry.group(2) == ARCHITECTURE else None
        spill = re.search(r'(\d+) bytes spill stores, (\d+) bytes spill loads', line)
        if spill:
            spilled = int(spill.group(1)) + int(spill.group(2))
        used = re.search(r'Used (\d+) registers', line)
        if used and kernel:
            found[kernel] = (int(used.group(1)), spilled)
    return found


def main():
    report, table, version = sys.argv[1:4]
    now = read_report(report)
    title = f'{ARCHITECTURE}, CUDA {version}: kernel, registers, bytes spilled'
    if not now:
        print(f'nothing to compare: this build is not for {ARCHITECTURE}')
        return 77
    if '--write' in sys.argv:
        with open(table, 'w') as file:
            file.write('# ' + title + '\n')
            for name, (registers, spilled) in sorted(now.items()):
                file.write(f'{name}\t{registers}\t{spilled}\n')
        return 0
    if not os.path.exists(table):
        print(f'nothing to compare: {table} is not there; make it with --write')
        return 77
    lines = open(table).read().splitlines()
    if lines[0] != '# ' + title:
        print(f'nothing to compare: the table is of {lines[0][2:].split(":")[0]}, this build of CUDA {version}')
        return 77
    then = {name: (int(registers), int(spilled)) for name, registers, spilled in (line.split('\t') for line in lines[1:])}
    worse = 0
    for name in sorted(now.keys() | then.keys()):
        if name not in now or name not in then:
            print(f'{name}: {"new" if name in now else "gone"}; update the table with --write')
            worse += 1
        elif now[name][0] > then[name][0] or now[name][1] > then[name][1]:
            print(f'{name}: {now[name][0]} registers, {now[name][1]} bytes spilled; the table says {then[name]}')
            worse += 1
    most = max(now.items(), key=lambda item: item[1][0])
    print(f'{len(now)} kernels, {sum(s for _, s in now.values())} bytes spilled, at most {most[1][0]} registers ({most[0]})')
    return worse > 0


if __name__ == '__main__':
    sys.exit(main())
