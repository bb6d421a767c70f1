#!/bin/sh
# Builds the kernels of the cpu backend for AArch64 and runs them against the portable ones under qemu-user. Needs
# aarch64-linux-gnu-g++ and qemu-aarch64; says so and ends with 77 where they are missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${AARCH64_CXX:-aarch64-linux-gnu-g++}
emulator=${QEMU_AARCH64:-qemu-aarch64}
for tool in "$compiler" "$emulator"; do
  if ! command -v "$tool" > /dev/null; then
    echo "neon_check: skipped, there is no $tool"
    exit 77
  fi
done
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
compile() {
  source=$1
  shift
  "$compiler" -std=c++20 -O2 -ffp-contract=off -Wall -Wextra -Wpedantic -Werror -I"$root" -I"$root/plugins" "$@" \
    -c "$root/$source" -o "$build/$(basename "$source" .cpp).o"
}
compile backends/cpu/isa/portable.cpp -Wno-psabi
compile backends/cpu/isa/neon.cpp -march=armv8.2-a+dotprod
compile tests/kernels/kernel_check.cpp -DTABLE=kNeon
"$compiler" -static "$build"/*.o -o "$build/kernel_check"
"$emulator" -cpu max "$build/kernel_check"
# The rest of the backend has to compile for it, too.
for source in cpu features memory weights matmul elementwise attention attention_verbs; do
  compile "backends/cpu/$source.cpp" -fPIC
done
echo "neon_check: passed"
