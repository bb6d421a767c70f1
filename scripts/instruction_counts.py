#!/usr/bin/env python3
"""Counts the instructions of one call of each hot kernel under callgrind, and compares them with the table in
tests/data/instruction_counts.json. They hardly vary, so one that grows by more than a percent is a change of the
code. The table holds for one compiler: another one's counts differ, and are skipped. With --update it is written
anew. Exits with 77 where nothing can be compared; the last line says why.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests/data/instruction_counts.json"
MARGIN = 0.01  # of a count that varies by a thousandth at most

# Valgrind 3.19 knows no AVX-512, and what kernels of that set compute is seen by other tests.
ISA = "avx2"
PLAIN = [
    f"{t}_{k}" for t in ("q4_0", "q4_1", "q8_0", "q4_k", "q6_k", "f16") for k in ("gemv", "gemm")
] + ["rmsnorm", "silu_mul", "f16_dot", "softmax", "f16_accumulate", "f16_attention"]
CODEC = ["codec_dot", "codec_accumulate", "codec_encode_k", "codec_encode_v"]
CODECS = {"uniform": ["bits=8"], "uniform4": ["bits=4"], "group": ["bits=4"], "gear": ["bits=2"]}


def skip(why):
    print(f"instruction counts: {why}")
    sys.exit(77)


def compiler(build):
    """ "GNU 12.2.0", as CMake found it."""
    for file in sorted(build.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")):
        text = file.read_text()
        found = [re.search(rf'set\(CMAKE_CXX_COMPILER_{key} "([^"]*)"\)', text) for key in ("ID", "VERSION")]
        if all(found):
            return " ".join(f.group(1) for f in found)
    skip(f"{build} is no build folder")


def settings_of(kernel):
    """The settings that give a kernel of the table, "gear/codec_dot" or "q4_0_gemv"."""
    if "/" not in kernel:
        return []
    codec = kernel.split("/")[0]
    return [f"codec.name={codec.rstrip('0123456789')}"] + [f"codec.{p}" for p in CODECS[codec]]


def count(build, kernel, calls, folder):
    """Instructions of the whole program with so many calls."""
    out = pathlib.Path(folder) / "callgrind.out"
    command = [
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(build / "bin/sluice"), "bench", "--kernel",
        kernel.split("/")[-1], "--kernel-data", "cache", "--no-roof", "-t", "1", "-r", str(calls), "-o", "json",
        "--set", f"backend.isa={ISA}", "--set", "plugins.limit=0",  # a watchdog's thread looks as often as time allows
    ]
    for setting in settings_of(kernel):
        command += ["--set", setting]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": folder, "XDG_CACHE_HOME": folder}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode != 0:
        if "does not have it" in run.stderr:
            skip(f"this processor has no {ISA}")
        raise RuntimeError(f"{' '.join(command)}\n{run.stderr}")
    return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M).group(1))


def per_call(build, kernel):
    """What is done once falls out of the difference. What is left is the printing of times, a few hundred."""
    with tempfile.TemporaryDirectory() as folder:
        once = count(build, kernel, 1, folder)
        for calls in (4, 2000):
            more = count(build, kernel, 1 + calls, folder) - once
            if more > 1_000_000:
                break
        return more / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--only", action="append", metavar="KERNEL", help="may be repeated")
    parser.add_argument("--update", action="store_true", help="write the table instead of comparing with it")
    o = parser.parse_args()
    if not shutil.which("valgrind"):
        skip("there is no valgrind")
    if not (o.build / "bin/sluice").exists():
        skip(f"{o.build} has no program")
    kernels = o.only or PLAIN + [f"{codec}/{kernel}" for codec in CODECS for kernel in CODEC]
    here = compiler(o.build)
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"compiler": here, "isa": ISA, "instructions": {}}
    known = table["instructions"]
    if o.update:
        if table["compiler"] != here and o.only:
            sys.exit(f"instruction counts: the table is of {table['compiler']}; update all of it")
        table["compiler"] = here
        fresh = {kernel: round(per_call(o.build, kernel)) for kernel in kernels}
        table["instructions"] = {**known, **fresh} if o.only else fresh
        TABLE.write_text(json.dumps(table, indent=2) + "\n")
        print(f"{TABLE}: {len(fresh)} kernels")
        return
    if table["compiler"] != here:
        skip(f"the table holds for {table['compiler']}, and this is {here}")
    worse = 0
    missing = [kernel for kernel in kernels if kernel not in known]
    for kernel in kernels:
        if kernel in missing:
            continue
        now, before = per_call(o.build, kernel), known[kernel]
        change = now / before - 1
        mark = "MORE" if change > MARGIN else "fewer: --update keeps it so" if change < -MARGIN else ""
        worse += change > MARGIN
        print(f"{kernel:24} {before:12} {round(now):12} {100 * change:+7.2f} % {mark}")
    if missing:
        print(f"not in the table, so not compared: {', '.join(missing)}; --update --only KERNEL adds one")
        if len(missing) == len(kernels):
            skip("none of these kernels is in the table")
    if worse:
        sys.exit(f"instruction counts: {worse} kernels take more than {100 * MARGIN:g} % more instructions a call")
    print("instruction counts: passed")


if __name__ == "__main__":
    main()
