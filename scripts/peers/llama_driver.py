#!/usr/bin/env python3
"""A driver for `sluice bench --versus`: llama.cpp through llama-cpp-python's low-level API (docs/bench.md has the
protocol). Loads a GGUF file, fills its cache to a depth, and answers every "go" with tokens and seconds of a decode or
of a prompt. Needs the package llama-cpp-python, nothing else.

  llama_driver.py MODEL.gguf -t 2 -n 64 -d 4096 -fa 0
  llama_driver.py MODEL.gguf -t 2 -p 512 -fa 1 -ctk q8_0 -ctv q8_0
"""
import argparse
import ctypes
import os
import sys
import time

CACHE_TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
BATCH = 512        # tokens in one call of llama_decode
TILE = 64          # tokens that are truly prefilled where the depth is tiled


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-t", type=int, default=1, help="threads")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-n", type=int, help="tokens to decode")
    what.add_argument("-p", type=int, help="tokens of a prompt")
    parser.add_argument("-d", type=int, default=0, help="tokens in the cache before")
    parser.add_argument("--depth-by", choices=["prefill", "tiling"], default="prefill")
    parser.add_argument("-fa", type=int, choices=[0, 1], default=0, help="flash attention")
    parser.add_argument("-ctk", choices=CACHE_TYPES, default="f16", help="type of K in the cache")
    parser.add_argument("-ctv", choices=CACHE_TYPES, default="f16", help="type of V in the cache")
    parser.add_argument("--no-repack", action="store_true", help="leave the weights as they are in the file")
    return parser.parse_args()


def fail(text):
    print(f"llama_driver: {text}", file=sys.stderr)
    sys.exit(1)


class Llama:
    def __init__(self, api, o):
        self.api, self.o = api, o
        api.llama_backend_init()
        model_params = api.llama_model_default_params()
        model_params.n_gpu_layers = 0
        if o.no_repack:
            if not hasattr(model_params, "use_extra_bufts"):
                fail("--no-repack: this llama-cpp-python has no use_extra_bufts")
            model_params.use_extra_bufts = False
        self.model = api.llama_model_load_from_file(o.model.encode(), model_params)
        if not self.model:
            fail(f"{o.model} cannot be loaded")
        context = api.llama_context_default_params()
        room = o.d + (o.n or o.p) + TILE  # a tile may stand out
        context.n_ctx = (room + 255) // 256 * 256
        context.n_batch = context.n_ubatch = BATCH
        if o.depth_by == "tiling":
            context.n_seq_max, context.kv_unified = 2, True
        context.n_threads = context.n_threads_batch = o.t
        context.type_k, context.type_v = (getattr(api, "GGML_TYPE_" + t.upper()) for t in (o.ctk, o.ctv))
        if hasattr(context, "flash_attn_type"):
            context.flash_attn_type = o.fa  # 0: off, 1: on; auto is neither
        else:
            context.flash_attn = bool(o.fa)
        self.context = api.llama_init_from_model(self.model, context)
        if not self.context:
            fail("no context: a V cache that is not f16 needs -fa 1")
        self.memory = api.llama_get_memory(self.context)
        self.vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.batch = api.llama_batch_init(BATCH, 0, 1)

    def token(self, i):  # any do for speed: those that sluice bench takes
        return (i % 509 * 7919 + 13) % self.vocab

    def feed(self, first, count, logits):
        """Tokens first .. first + count - 1, in batches; logits of the last one if wanted."""
        for start in range(first, first + count, BATCH):
            n = min(BATCH, first + count - start)
            batch = self.batch
            batch.n_tokens = n
            for i in range(n):
                batch.token[i], batch.pos[i] = self.token(start + i), start + i
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                batch.logits[i] = 1 if logits and start + i == first + count - 1 else 0
            status = self.api.llama_decode(self.context, batch)
            if status != 0:
                fail(f"llama_decode ended with {status}")
        self.api.llama_synchronize(self.context)

    def fill(self):
        if self.o.d == 0:
            return
        if self.o.depth_by == "prefill" or self.o.d <= TILE:
            return self.feed(0, self.o.d, False)
        # The cells of a short prompt, saved once, come back as a second sequence, move to later positions, and join the
        # first.
        api = self.api
        self.feed(0, TILE, False)
        size = api.llama_state_seq_get_size(self.context, 0)
        state = (ctypes.c_uint8 * size)()
        if api.llama_state_seq_get_data(self.context, state, size, 0) != size:
            fail("the cache cannot be saved, so it cannot be tiled; use --depth-by prefill")
        for start in range(TILE, self.o.d, TILE):
            if api.llama_state_seq_set_data(self.context, state, size, 1) == 0:
                fail("the cache cannot be tiled; use --depth-by prefill")
            api.llama_memory_seq_add(self.memory, 1, 0, -1, start)
            api.llama_memory_seq_cp(self.memory, 1, 0, -1, -1)
            api.llama_memory_seq_rm(self.memory, 1, -1, -1)

    def cut(self):
        self.api.llama_memory_seq_rm(self.memory, 0, self.o.d, -1)

    def go(self):
        o = self.o
        self.cut()
        start = time.perf_counter()
        if o.p:
            self.feed(o.d, o.p, True)
        else:
            for i in range(o.n):
                self.feed(o.d + i, 1, True)
        return (o.p or o.n), time.perf_counter() - start


def main():
    o = options()
    # Answers go to what was stdout; whatever the library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        import llama_cpp as api
    except ImportError:
        fail("no module llama_cpp; install the package llama-cpp-python")
    if not os.path.exists(o.model):
        fail(f"no file {o.model}")
    quiet = api.llama_log_callback(lambda level, text, data: None)
    api.llama_log_set(quiet, None)
    llama = Llama(api, o)
    llama.fill()
    print(f"# llama.cpp of llama-cpp-python {api.__version__}, -t {o.t} -fa {o.fa} -ctk {o.ctk} -ctv {o.ctv}, depth "
          f"{o.d} by {o.depth_by}", file=answers)
    for line in sys.stdin:
        if line.strip() != "go":
            fail(f"was told \"{line.strip()}\", knows \"go\"")
        tokens, seconds = llama.go()
        print(f"{tokens} {seconds:.9f}", file=answers)


if __name__ == "__main__":
    main()
