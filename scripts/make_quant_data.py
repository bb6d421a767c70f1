"""Makes tests/data/quant/blocks.bin: blocks of all weight types and the values the Python package `gguf` gives them.

The file is a sequence of records, little-endian:
  uint32 type, uint32 values, uint32 block_bytes, then block_bytes bytes, then `values` float32 numbers.
Usage: python3 scripts/make_quant_data.py [OUT]
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

TYPES = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL]
# Where a block keeps its F16 numbers.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0]}
# +-0, +-2^-24, the largest subnormal, the smallest normal, 1, -1/3, +-65504, infinity
EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xB555, 0x7BFF, 0xFBFF, 0x7C00]


def blocks_of(kind, rng):
    block, size = GGML_QUANT_SIZES[kind]
    if kind == T.F32:
        edges = np.array([0x00000000, 0x80000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000], np.uint32)
        return np.concatenate([edges, rng.standard_normal(24).astype(np.float32).view(np.uint32)]).view(np.uint8)
    if block == 1:  # every exponent and sign, no NaN
        bits = (np.arange(0, 65536, 97) & 0xFFFF).astype(np.uint16)
        exponent, mantissa = (0x7C00, 0x3FF) if kind == T.F16 else (0x7F80, 0x7F)
        bits = bits[~(((bits & exponent) == exponent) & ((bits & mantissa) != 0))]
        return np.concatenate([np.array(EDGES, np.uint16) if kind == T.F16 else np.array([0, 0x8000, 1, 0x7F80], np.uint16), bits]).view(np.uint8)
    out = []
    for edge in EDGES:
        b = rng.integers(0, 256, size, dtype=np.uint8)
        for at in SCALES[kind]:
            b[at:at + 2] = np.array([edge], np.uint16).view(np.uint8)
        out.append(b)
    for fill in (0x00, 0xFF):  # the least and the largest codes and sub-scales
        b = np.full(size, fill, np.uint8)
        for at in SCALES[kind]:
            b[at:at + 2] = np.array([0x2E66 + at], np.uint16).view(np.uint8)
        out.append(b)
    for _ in range(4 if block == 256 else 16):
        b = rng.integers(0, 256, size, dtype=np.uint8)
        for at in SCALES[kind]:
            b[at:at + 2] = np.array([rng.normal(0, 0.05)], np.float16).view(np.uint8)
        out.append(b)
    return np.concatenate(out)


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests/data/quant/blocks.bin")
    rng = np.random.default_rng(2024)
    with out.open("wb") as f:
        for kind in TYPES:
            data = blocks_of(kind, rng)
            with np.errstate(all="ignore"):
                values = dequantize(data.reshape(1, -1), kind).astype(np.float32).reshape(-1)
            f.write(struct.pack("<III", int(kind), values.size, data.size))
            f.write(data.tobytes())
            f.write(values.tobytes())
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
