#!/bin/sh
# Runs the AVX-512 VNNI kernels of the cpu backend against the portable ones with the AVX-512 operations computed in
# plain C++ (tests/avx512/immintrin.h): for machines that do not have them. Needs AVX2.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
if ! grep -q avx2 /proc/cpuinfo; then
  echo "avx512_check: skipped, this processor has no AVX2"
  exit 77
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
compile() {
  source=$1
  shift
  ${CXX:-g++} -std=c++20 -O1 -ffp-contract=off -Wall -Wextra -Werror -I"$root" -I"$root/plugins" "$@" \
    -c "$root/$source" -o "$build/$(basename "$source" .cpp).o"
}
compile backends/cpu/isa/portable.cpp -Wno-psabi
compile backends/cpu/isa/avx512vnni.cpp -Wno-psabi -mavx2 -mfma -mf16c -I"$root/tests/avx512"
compile tests/kernels/kernel_check.cpp -DTABLE=kAvx512Vnni
${CXX:-g++} "$build"/*.o -o "$build/kernel_check"
"$build/kernel_check"
echo "avx512_check: passed"
