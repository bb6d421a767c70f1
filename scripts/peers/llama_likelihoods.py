#!/usr/bin/env python3
"""Holds the log-likelihoods that `sluice eval --out DIR` has stored of choices against llama.cpp's on the same weights:
every choice of every sample, prompts as they were asked. Needs the package llama-cpp-python.

  llama_likelihoods.py MODEL.gguf DIR [--task mmlu_anatomy] [-t 2]

Prints JSON: choices compared, mean and largest difference, and in how many questions the best choice is the same one.
llama.cpp rounds activations to 8 bits for quantized weights, as `--precision fast` does.
"""
import argparse
import json
import pathlib
import sqlite3
import sys


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("store", type=pathlib.Path, help="a folder of sluice eval")
    parser.add_argument("--task", default="%", help="a task, % for all (LIKE)")
    parser.add_argument("--policy", default="full")
    parser.add_argument("-t", type=int, default=2, help="threads")
    return parser.parse_args()


def samples(o):
    store = sqlite3.connect(f"file:{o.store / 'samples.sqlite'}?mode=ro", uri=True)
    for prompt, choices, responses in store.execute(
            "SELECT p.text, arguments, responses FROM samples JOIN runs USING(run) JOIN texts p ON p.sha256 = prompt "
            "WHERE policy = ? AND task LIKE ? AND arguments LIKE '["%' ORDER BY run, doc_id", (o.policy, o.task)):
        yield prompt, json.loads(choices), [r[0][0] for r in json.loads(responses)]


def main():
    o = options()
    try:
        import llama_cpp
    except ImportError:
        sys.exit("llama_likelihoods: needs the package llama-cpp-python")
    import numpy as np
    model = llama_cpp.Llama(o.model, n_ctx=0, n_threads=o.t, n_threads_batch=o.t, logits_all=True, verbose=False)

    def tokens(text):
        return model.tokenize(text.encode(), add_bos=True, special=False)

    def log_prob(context, whole):
        """Of the tokens of `whole` beyond those of `context`."""
        shared = 0
        while shared < min(len(model._input_ids), len(whole) - 1) and model._input_ids[shared] == whole[shared]:
            shared += 1
        model.n_tokens = shared
        model.eval(whole[shared:])
        total = 0.0
        for at in range(len(context), len(whole)):
            logits = model.scores[at - 1].astype(np.float64)
            peak = logits.max()
            total += logits[whole[at]] - peak - np.log(np.exp(logits - peak).sum())
        return total

    differences, same, questions = [], 0, 0
    for prompt, choices, ours in samples(o):
        theirs = []
        for choice in choices:
            bare = prompt.rstrip()
            theirs.append(log_prob(tokens(bare), tokens(bare + prompt[len(bare):] + choice)))
        differences += [abs(a - b) for a, b in zip(ours, theirs)]
        same += int(np.argmax(ours) == np.argmax(theirs))
        questions += 1
    if not questions:
        sys.exit(f"llama_likelihoods: {o.store} has no choices of {o.task} under {o.policy}")
    print(json.dumps({"questions": questions, "choices": len(differences), "mean_difference": float(np.mean(differences)),
                      "largest_difference": float(np.max(differences)), "same_best": same}))


if __name__ == "__main__":
    main()
