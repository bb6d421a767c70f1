#!/usr/bin/env bash
# Fuzzes the readers of files and parameters: builds the fuzzers (clang, libFuzzer, address and undefined-behaviour
# sanitizers), runs each for SECONDS (60) on a copy of its corpus, and prints executions, line coverage of the files it
# is about, and crashes. --keep reduces what was found to what adds coverage and puts it into tests/fuzz/corpus.
# What crashed is left in build/fuzz-out. Exits 77 where clang is missing, 1 on a crash or coverage below 80 %.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=60 keep=0
for argument in "$@"; do
  case $argument in
    --keep) keep=1 ;;
    *[!0-9]* | "") echo "usage: scripts/fuzz.sh [SECONDS] [--keep]" >&2 && exit 2 ;;
    *) seconds=$argument ;;
  esac
done
for tool in clang++ llvm-profdata llvm-cov; do
  command -v $tool > /dev/null || { echo "no $tool here: the fuzzers need clang and LLVM's tools" && exit 77; }
done
if ! printf 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
  clang++ -fsanitize=fuzzer -x c++ - -o /dev/null 2> /dev/null; then
  echo "this clang has no libFuzzer" && exit 77
fi

out=build/fuzz-out
rm -rf $out
mkdir -p $out/tmp
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
cmake --preset fuzz > $out/build.log 2>&1 && cmake --build --preset fuzz --parallel "$(nproc)" --target fuzzers \
  >> $out/build.log 2>&1 || { tail -n 40 $out/build.log && exit 1; }
export LLVM_PROFILE_FILE=$out/unused.profraw
# A copy: the tree changes only with --keep.
cp -r tests/fuzz/corpus $out/corpus
build/fuzz/bin/write_fuzz_seeds $out/corpus

# Which files each target is about.
parser() {
  case $1 in
    gguf) echo core/model/gguf{,_keys,_model,_value,_vocabulary}.cpp ;;
    safetensors) echo core/model/safetensors.cpp ;;
    huggingface) echo core/model/huggingface{,_config,_names}.cpp core/base/json_file.cpp ;;
    tokenizer_json) echo core/tokenizer/{tokenizer_json,tokenizer_json_parts,tokenizer_config,json_node}.cpp ;;
    tokenizer_model) echo core/tokenizer/sentencepiece_file.cpp ;;
    toml) echo core/config/{tree,toml_depth,expand,parse,mistakes}.cpp ;;
    parameters) echo core/config/{params,part_params}.cpp ;;
    task) echo core/tasks/{task_file,table_reader,template_text,records,documents,prepare,load_tasks,shots}.cpp ;;
  esac
}
targets="gguf safetensors huggingface tokenizer_json tokenizer_model toml parameters task"

# Inputs are small, so nothing that they ask for may be large: one piece of memory above 64 MiB is a crash.
options="-max_len=4096 -timeout=5 -malloc_limit_mb=64 -rss_limit_mb=512 -print_final_stats=1 -seed=1"
export TMPDIR=$PWD/$out/tmp ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
[[ -d /dev/shm ]] && TMPDIR=$(mktemp -d /dev/shm/sluice_fuzz.XXXXXX)
trap 'rm -rf "$TMPDIR"' EXIT

run() { # run TARGET: fuzzes it
  mkdir -p $out/"$1"/found $out/"$1"/crashes
  LLVM_PROFILE_FILE=$out/$1/%m.profraw build/fuzz/bin/fuzz_"$1" $options -max_total_time="$seconds" \
    -dict=tests/fuzz/"$1".dict -artifact_prefix=$out/"$1"/crashes/ $out/"$1"/found $out/corpus/"$1" \
    > $out/"$1"/log 2>&1 < /dev/null || true
}
for target in $targets; do
  run "$target" &
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n || true; done
done
wait

failed=0
printf '%-16s %12s %10s %8s %10s\n' target executions coverage crashes inputs
for target in $targets; do
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' $out/$target/log)
  crashes=$(find $out/$target/crashes -type f | wc -l)
  # A crash leaves no coverage; the corpus is run once more for it.
  if ! llvm-profdata merge -sparse $out/$target/*.profraw -o $out/$target/profdata 2> /dev/null; then
    LLVM_PROFILE_FILE=$out/$target/corpus.profraw build/fuzz/bin/fuzz_$target $options -runs=0 $out/corpus/$target \
      > /dev/null 2>&1 < /dev/null || true
    llvm-profdata merge -sparse $out/$target/corpus.profraw -o $out/$target/profdata
  fi
  llvm-cov report build/fuzz/bin/fuzz_$target -instr-profile=$out/$target/profdata > $out/$target/coverage
  # Lines and missed lines are columns 8 and 9; paths may stand there in another form.
  lines=$(awk -v wanted="$(parser $target)" 'BEGIN { split(wanted, files) }
    { for (i in files) if (substr($1, length($1) - length(files[i]) + 1) == files[i]) { all += $8; missed += $9 } }
    END { printf "%.1f%%", all ? 100 * (all - missed) / all : 0 }' $out/$target/coverage)
  printf '%-16s %12s %10s %8s %10s\n' $target "${executions:-none}" "$lines" "$crashes" "$(ls $out/$target/found | wc -l)"
  if ((crashes)) || [[ -z $executions ]] || awk "BEGIN {exit !(${lines%\%} < 80)}"; then failed=1; fi
done

if ((keep)); then
  for target in $targets; do
    mkdir -p $out/$target/kept
    # What was written by hand stays, and only what it does not reach is added.
    cp $out/corpus/$target/{seed,bad}_* $out/$target/kept
    build/fuzz/bin/fuzz_$target $options -merge=1 -use_counters=0 $out/$target/kept $out/corpus/$target $out/$target/found \
      > $out/$target/merge.log 2>&1 < /dev/null
    rm -r tests/fuzz/corpus/$target
    mv $out/$target/kept tests/fuzz/corpus/$target
  done
fi
((failed == 0)) || { echo "fuzz: a crash, no executions, or coverage below 80 %; see $out" && exit 1; }
echo "fuzz: no crash"
