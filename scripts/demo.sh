#!/usr/bin/env bash
# From a bare Debian or Ubuntu to a report: sets up, builds, fetches the model, and compares sixteen policies over 512
# tokens of a novel. About ten minutes the first time; safe to repeat. Arguments go to `sluice compare`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cmake --preset release -DSLUICE_TESTS=OFF > /dev/null
cmake --build --preset release
scripts/get_model.sh

mkdir -p out
build/release/bin/sluice compare configs/demo.toml --file configs/text/pride_and_prejudice.txt --tokens 512 \
  --html out/compare.html "$@"
echo
echo "The report is $PWD/out/compare.html"
