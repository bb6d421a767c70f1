#!/usr/bin/env bash
# Builds and tests everything that this machine can: release with warnings as errors and all tests, the unit tests
# again under address and undefined-behaviour sanitizers, CUDA for one architecture where a toolkit is. Under 30 minutes
# on two cores. --all adds the long tests, all tests and longer fuzzing under the sanitizers (but for tests on the real
# model: the tiny ones run the same code in a hundredth of the time), the thread sanitizer, NEON under emulation, counts
# of instructions, and the fuzzers where clang is. Safe to repeat. Lists what was skipped and why; the last line counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=0
for argument in "$@"; do
  case $argument in
    --all) all=1 ;;
    *) echo "usage: scripts/test.sh [--all]" >&2 && exit 2 ;;
  esac
done

# One cache of compiled files for all folders that this tree is checked out in.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
jobs=$(nproc)
real_model='Real(Model|Text)'  # in names of tests that take minutes without a sanitizer
results=build/test-results
rm -rf $results
mkdir -p $results
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

# A step is a test of its own in the count: built or not, checked or not.
note() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> $results/steps.tsv; }
step() { # step NAME COMMAND...
  local name=$1 began=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    note passed "$name" ""
    echo "== $name: done in $((SECONDS - began)) s"
  else
    note failed "$name" "$*"
    echo "== $name: FAILED after $((SECONDS - began)) s"
    return 1
  fi
}
skip() {
  echo "== $1: skipped, $2"
  note skipped "$1" "$2"
}

scripted() { # scripted NAME SCRIPT WORDS...; 77 means that something is missing here, and the last line says what
  local name=$1 status=0
  shift
  echo "== $name"
  "$@" > "$results/script.log" 2>&1 || status=$?
  cat "$results/script.log"
  case $status in
    0) note passed "$name" "" ;;
    77) skip "$name" "$(tail -n 1 "$results/script.log")" ;;
    *) note failed "$name" "$*" ;;
  esac
}

build() { # build PRESET TARGET CMAKE_OPTIONS...
  local preset=$1 target=$2
  shift 2
  cmake --preset "$preset" "$@" > "$results/$preset.configure.log" 2>&1 || {
    cat "$results/$preset.configure.log"
    return 1
  }
  cmake --build --preset "$preset" --parallel "$jobs" --target "$target"
}
run_tests() { # run_tests PRESET CTEST_OPTIONS...; its tests are counted one by one, not as a step
  local preset=$1 name="tests, $1"
  shift
  echo "== $name"
  ctest --preset "$preset" --parallel "$jobs" --output-junit "$PWD/$results/$preset.xml" "$@" || true
  [[ -s $results/$preset.xml ]] || note failed "$name" "ctest ended without results"
}

step "set-up" scripts/setup.sh || { echo "0 passed, 1 failed, 0 skipped" && exit 1; }
scripts/get_model.sh || skip "real model" "it could not be fetched; the tests that need it are skipped"

if step "release build" build release all -DSLUICE_TESTS=ON -DSLUICE_WERROR=ON -DSLUICE_CUDA=OFF; then
  if ((all)); then
    run_tests release
  else
    run_tests release --label-exclude long
    skip "tests labelled long" "they take minutes and gigabytes: scripts/test.sh --all runs them"
  fi
fi

if step "asan build" build asan "$( ((all)) && echo all || echo unit_tests)" -DSLUICE_WERROR=ON; then
  if ((all)); then
    SLUICE_FUZZ_ROUNDS=${SLUICE_FUZZ_ROUNDS:-6} run_tests asan --label-exclude long --exclude-regex "$real_model"
  else
    run_tests asan --label-regex unit
  fi
fi

if ! command -v "${CUDACXX:-nvcc}" > /dev/null && ! ls /usr/local/cuda*/bin/nvcc > /dev/null 2>&1; then
  skip "CUDA build" "no CUDA toolkit here (nvcc)"
else
  # The plugin alone: its kernels and its host code were tested by the release build.
  if step "CUDA build" build cuda cuda_plugin_checks -DSLUICE_WERROR=ON \
    -DCMAKE_CUDA_ARCHITECTURES="${SLUICE_CUDA_ARCHITECTURES:-86}"; then
    run_tests cuda --label-regex cuda-plugin
  fi
fi

if ((all)); then
  if step "tsan build" build tsan all -DSLUICE_WERROR=ON; then run_tests tsan --label-exclude long --exclude-regex "$real_model"; fi
  scripted "NEON under emulation" scripts/neon_check.sh
  scripted "instruction counts" scripts/instruction_counts.py
  scripted "fuzzing" scripts/fuzz.sh 20
  scripted "check on a GPU, dry" scripts/gpu_check.sh --dry-run --program build/release/bin/sluice
fi
scripted "AVX-512 in plain C++" scripts/avx512_check.sh

python3 scripts/count_tests.py $results
