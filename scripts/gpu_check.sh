#!/usr/bin/env bash
# Everything there is to check of the CUDA backend on a machine with a GPU, in one go and under eight minutes: build,
# the checks of `sluice plugin check`, the same text under the cpu and the cuda backend, compute-sanitizer where it is,
# speed and memory tables. Needs no network: models are made by `sluice synth`. Writes OUT/gpu_check.json; exits with 1
# if a step failed. --dry-run runs every step with the cpu backend in CUDA's place, on a smaller model.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

backend=cuda preset=cuda out=build/gpu-check program="" tokens=256 layers=8 shape=smollm2-135m speed_shape=llama2-7b
usage() { echo "usage: scripts/gpu_check.sh [--dry-run] [--program SLUICE] [--out FOLDER]" >&2 && exit 2; }
while (($#)); do
  case $1 in
    --dry-run) backend=cpu preset=release tokens=48 layers=2 speed_shape=smollm2-135m ;;
    --program) program=${2:-} && shift ;;
    --out) out=${2:-} && shift ;;
    *) usage ;;
  esac
  shift || usage
done
mkdir -p "$out"
began=$SECONDS failed=0 steps=""

note() { # note NAME STATUS SECONDS DETAIL
  local detail
  detail=$(printf '%s' "$4" | tr -d '\000-\037"\\')
  steps+="${steps:+,}\n    {\"step\": \"$1\", \"status\": \"$2\", \"seconds\": $3, \"detail\": \"$detail\"}"
  printf '%-28s %-8s %4s s  %s\n' "$1" "$2" "$3" "$4"
}
step() { # step NAME COMMAND...; its last line is the detail
  local name=$1 from=$SECONDS log=$out/${1// /-}.log
  shift
  if "$@" > "$log" 2>&1; then
    note "$name" passed $((SECONDS - from)) "$(tail -n 1 "$log")"
  else
    note "$name" failed $((SECONDS - from)) "$(tail -n 1 "$log")"
    failed=1
    return 1
  fi
}

finish() {
  local card="none" driver="none"
  if [[ $backend == cuda ]] && command -v nvidia-smi > /dev/null; then
    card=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
  fi
  printf '{\n  "backend": "%s",\n  "card": "%s",\n  "driver": "%s",\n  "seconds": %s,\n  "steps": [%b\n  ],\n  "bench": %s\n}\n' \
    "$backend" "$card" "$driver" $((SECONDS - began)) "$steps" \
    "$(if [[ -s $out/bench.json ]]; then cat "$out/bench.json"; else echo null; fi)" > "$out/gpu_check.json"
  echo "written: $out/gpu_check.json, $((SECONDS - began)) s"
  exit $failed
}

build() {
  cmake --preset $preset -DSLUICE_TESTS=OFF && cmake --build --preset $preset --parallel "$(nproc)"
}
if [[ -z $program ]]; then
  step "build" build || finish
  program=build/$preset/bin/sluice
fi

step "device" bash -c "'$program' plugin list | grep -E '^$backend +sluice.backend'" || finish
step "plugin check" "$program" plugin check $backend --only-failed
step "model" "$program" synth --shape $shape --layers $layers --type Q4_0 --force "$out/model.gguf" || finish

# The same words for everybody; a random model finds them as good as any.
for ((i = 0; i < 200; i++)); do echo "line $i of a text that nobody will read for its own sake"; done > "$out/text.txt"
policy() { # policy NAME LINES...
  local file=$out/$1.toml
  printf 'name = "%s"\n' "$1" > "$file"
  shift
  printf '%s\n' "$@" >> "$file"
}
policy h2o '[cache]' 'budget = 32' 'interval = 4' '[evictor]' 'name = "h2o"'
policy sieve '[cache]' 'budget = 32' 'interval = 4' '[evictor]' 'name = "sieve"' 'recent = 8'
policy gear2 '[codec]' 'name = "gear"' 'bits = 2' 'group = 32' 'buffer = 32'
figures() { # figures BACKEND MARK
  "$program" compare "$out/h2o.toml" "$out/sieve.toml" "$out/gear2.toml" -m "$out/model.gguf" \
    --file "$out/text.txt" --tokens $tokens --no-speed -o csv --set backend.name="$1" > "$out/$1-$2.csv" || return 1
}
# NLL and KLD of every policy on both backends; they differ by what float sums in another order make of F16 rows.
agree() {
  figures cpu a && figures $backend b || return 1
  awk -F, -v most=1e-3 '
    FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    NR == FNR { kld[$1] = $at["kld_mean"]; nll[$1] = $at["nll_mean"]; kept[$1] = $at["kv_tokens_kept"]; next }
    {
      d = $at["kld_mean"] - kld[$1]; e = $at["nll_mean"] - nll[$1]
      if (d < 0) d = -d
      if (e < 0) e = -e
      if (d > worst) worst = d
      if (e > worst) worst = e
      if ($at["kv_tokens_kept"] != kept[$1]) { print $1 " keeps other tokens"; bad = 1 }
      n++
    }
    END { printf "%d policies, KLD and NLL differ by at most %.2g\n", n, worst; exit bad || n == 0 || worst > most }
  ' "$out/cpu-a.csv" "$out/$backend-b.csv"
}
step "cpu against $backend" agree

if [[ $backend == cpu ]]; then
  note "compute-sanitizer" skipped 0 "a dry run"
elif command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck; do
    step "$tool" compute-sanitizer --tool $tool --error-exitcode 1 "$program" plugin check cuda --in-process \
      --include 'backend-(attention|verbs|signal|kv-store)$'
  done
else
  note "compute-sanitizer" skipped 0 "not installed"
fi

speed() {
  "$program" synth --shape $speed_shape --layers $layers --type Q4_0 --force "$out/speed.gguf" &&
    "$program" bench -m "$out/speed.gguf" -p 512 -n 32 -d 0,1024 -r 2 --set backend.name=$backend -o json > "$out/bench.json" &&
    "$program" bench -m "$out/speed.gguf" -p 0 -n 16 -d 256 -r 1 --batch 1,4,16 --set backend.name=$backend -o md
}
quick_speed() {
  "$program" bench -m "$out/model.gguf" -p 32 -n 8 -d 0,64 -r 1 --set backend.name=$backend -o json > "$out/bench.json"
}
if [[ $backend == cpu ]]; then step "bench" quick_speed; else step "bench" speed; fi

# How many sequences fit a card of some size, by twos, per policy whose rows are stored as they are counted.
policy full
policy h2o20 '[cache]' 'budget = "20%"' '[evictor]' 'name = "h2o"'
fill() { # fill MODEL CAP DEPTH
  local name b fits line=""
  for name in full h2o20; do
    for ((b = 1, fits = 0; b <= 1024; b *= 2)); do
      "$program" bench "$out/$name.toml" -m "$1" -p 0 -n 1 -d "$3" --depth-by tiling -r 1 --no-roof --batch $b -o csv \
        --set backend.name=$backend --set backend.memory="$2" > "$out/fill.csv" 2> "$out/fill.err" || break
      fits=$b
    done
    if ! grep -q "memory allows" "$out/fill.err"; then
      cat "$out/fill.err" && echo "$name: a batch of $b should have filled $2" && return 1
    fi
    line+="${line:+, }$name $fits"
  done
  echo "sequences of $3 tokens that fit $2: $line"
}
if [[ $backend == cpu ]]; then
  step "memory until full" fill "$out/model.gguf" 64MiB 256
else
  step "memory until full" fill "$out/speed.gguf" 4GB 1500
fi

# A cap is kept, and says what would fit.
capped() {
  if "$program" run -m "$out/model.gguf" --text "too much" -n 4 --set backend.name=$backend --set backend.memory=8MiB; then
    echo "a run in 8 MiB should have failed" && return 1
  fi 2>&1 | tee "$out/cap.txt"
  grep -q "memory allows 8.00 MiB" "$out/cap.txt"
}
step "memory cap" capped
finish
