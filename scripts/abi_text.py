#!/usr/bin/env python3
"""Prints the text hash of every published interface (FNV-1a over its structs without comments and
white space). With --fix it writes them into the headers. tests/abi_test.cpp computes the same."""
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / 'plugins' / 'sluice'
INTERFACES = {
    'SLUICE_HOST_STATS_TEXT': ('plugin.h', 'sluice_host_stats'),
    'SLUICE_EVICTOR_TEXT': ('policy.h', 'sluice_geometry sluice_lanes sluice_signal sluice_evictor'),
    'SLUICE_CODEC_TEXT': ('policy.h', 'sluice_geometry sluice_span sluice_block sluice_codec_plan sluice_account '
                                      'sluice_tile sluice_codec'),
    'SLUICE_CODEC_CUDA_TEXT': ('policy.h', 'sluice_span sluice_cuda_blocks sluice_codec_cuda'),
    'SLUICE_BACKEND_TEXT': ('backend.h', 'sluice_span sluice_signal sluice_device sluice_mat sluice_part sluice_lane '
                                         'sluice_group sluice_store sluice_backend'),
    'SLUICE_BACKEND_REPLAY_TEXT': ('backend.h', 'sluice_backend_replay'),
    'SLUICE_BACKEND_PRESENCE_TEXT': ('backend.h', 'sluice_backend_presence'),
    'SLUICE_EVICTOR_ROWS_TEXT': ('extensions.h', 'sluice_rows sluice_evictor_rows'),
    'SLUICE_EVICTOR_WINDOW_TEXT': ('extensions.h', 'sluice_rows sluice_evictor_window'),
    'SLUICE_EVICTOR_BUDGET_TEXT': ('extensions.h', 'sluice_rows sluice_evictor_budget'),
    'SLUICE_HOST_MODULES_TEXT': ('extensions.h', 'sluice_part_module sluice_host_modules'),
}


def fnv1a(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def main():
    headers = {name: (FOLDER / name).read_text() for name in ('plugin.h', 'policy.h', 'backend.h', 'extensions.h')}
    bare = re.sub(r'/\*.*?\*/', '', ''.join(headers.values()), flags=re.S)
    wrong = 0
    for macro, (header, names) in INTERFACES.items():
        structs = ''.join(re.search(r'typedef struct %s \{.*?\} %s;' % (n, n), bare, flags=re.S).group(0)
                          for n in names.split())
        want = '0x%08Xu' % fnv1a(re.sub(r'\s+', '', structs))
        have = re.search(r'#define %s +(0x[0-9A-F]{8}u)' % macro, headers[header]).group(1)
        if have != want and '--fix' in sys.argv:
            headers[header] = re.sub(r'(#define %s +)0x[0-9A-F]{8}u' % macro, r'\g<1>' + want, headers[header])
            (FOLDER / header).write_text(headers[header])
            have = want
        wrong += have != want
        print(macro, want, 'ok' if have == want else 'differs from the header: ' + have)
    return wrong != 0


if __name__ == '__main__':
    sys.exit(main())
