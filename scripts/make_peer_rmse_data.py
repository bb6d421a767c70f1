"""Makes tests/data/quant/peer_rmse.json: the squared errors that ggml's quantizers (without an importance matrix) leave.

Two sources: numbers from a small integer generator that the test repeats, and matrices of the real model as they are
stored (flattened, cut to a multiple of 256). Figures are sqrt(mean (x - x')^2) / sqrt(mean x^2).
Usage: python3 scripts/make_peer_rmse_data.py LIBGGML_BASE_SO MODEL_GGUF [OUT]
"""
import ctypes
import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

TYPES = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.IQ4_NL, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K]
TENSORS = [f"blk.{layer}.{part}.weight" for layer in (0, 29) for part in ("ffn_down", "attn_q", "attn_v")]


def bell(n):
    """Sums of twelve 16-bit numbers of splitmix64, about 0: nearly normal, exact in float32."""
    with np.errstate(over="ignore"):
        state = np.uint64(0x5EED) + np.arange(1, 3 * n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    parts = np.stack([(z >> np.uint64(16 * i)) & np.uint64(0xFFFF) for i in range(4)], 1).astype(np.int64)
    sums = parts.reshape(n, 12).sum(1) - 6 * 65535
    return sums.astype(np.float32) / np.float32(65536 * 64)


def main():
    lib = ctypes.CDLL(sys.argv[1])
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]

    def rmse(x, kind):
        x = np.ascontiguousarray(x.reshape(-1)[: x.size // 256 * 256], dtype=np.float32)
        block, size = GGML_QUANT_SIZES[kind]
        out = np.zeros(x.size // block * size, np.uint8)
        assert lib.ggml_quantize_chunk(int(kind), x.ctypes.data, out.ctypes.data, 0, x.size // 256, 256, None) == out.size
        y = dequantize(out.reshape(1, -1), kind).reshape(-1).astype(np.float64)
        return float(np.sqrt(((y - x) ** 2).mean() / (x.astype(np.float64) ** 2).mean()))

    sources = {"bell": bell(256 * 256)}
    for t in GGUFReader(sys.argv[2]).tensors:
        if t.name in TENSORS:
            sources[t.name] = dequantize(t.data, t.tensor_type)
    result = {name: {kind.name: float(f"{rmse(x, kind):.6g}") for kind in TYPES} for name, x in sources.items()}
    out = Path(sys.argv[3] if len(sys.argv) > 3 else Path(__file__).parent.parent / "tests/data/quant/peer_rmse.json")
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
