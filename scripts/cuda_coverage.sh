#!/usr/bin/env bash
# Prints the share of the CUDA kernels' lines that the tests run on the emulated GPU, file by file, and fails below 80 %.
# usage: scripts/cuda_coverage.sh [BUILD_FOLDER]. Compiles the emulated GPU once more, with gcov; needs no toolkit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-build/cuda-coverage}
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSLUICE_CUDA=OFF -DSLUICE_CUDA_COVERAGE=ON > /dev/null
cmake --build "$folder" --target cuda_tests > /dev/null
find "$folder" -name '*.gcda' -delete
"$folder/bin/cuda_tests" --gtest_brief=1
object=$(find "$folder" -path '*cuda_emulation.dir*' -name 'runtime.cpp.gcda')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && gcov "$object" > /dev/null)
# A line of a template counts as run if any of its instances ran it; gcov's summary line does that.
awk -F: '
  FNR == 1 { name = FILENAME; sub(/\.gcov$/, "", name); sub(/.*\//, "", name) }
  { count = $1; gsub(/[ *]/, "", count); key = name ":" $2 + 0 }
  count ~ /^[0-9]+$/ { seen[key] = 1; ran[key] = 1 }
  count ~ /^#####|^=====/ { seen[key] = 1 }
  END {
    for (k in seen) { split(k, part, ":"); all[part[1]]++; if (k in ran) hit[part[1]]++ }
    for (f in all) { printf "%-14s %4d of %4d lines\n", f, hit[f], all[f]; a += all[f]; h += hit[f] }
    printf "device lines run on the host: %.1f %%\n", 100 * h / a
    exit h < 0.8 * a
  }' $(for f in attention.h lanes.h matmul.h rows.h verbs.h weights.h; do ls "$work/$f.gcov"; done)
