#!/usr/bin/env python3
"""Asks llama.cpp's server the generation questions of an evaluation that `sluice eval --out DIR` has answered, with as
many parallel slots, its prompt cache, and the same stop strings, and prints what that took. Needs a llama-server binary.

  llama_server.py --server build/bin/llama-server MODEL.gguf DIR --parallel 16 -t 2 [--task gsm8k_cot]

Prints JSON: questions, seconds from the first question to the last answer, tokens generated, tokens per second, peak
resident memory of the server, and how many texts are equal to the store's.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("store", type=pathlib.Path, help="a folder of sluice eval")
    parser.add_argument("--server", required=True)
    parser.add_argument("--task", default="gsm8k_cot")
    parser.add_argument("--policy", default="full", help="whose texts are compared")
    parser.add_argument("--parallel", type=int, default=16)
    parser.add_argument("-t", type=int, default=2, help="threads")
    parser.add_argument("--context", type=int, default=2048, help="tokens of a slot")
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("more", nargs="*", help="further words for the server, after --")
    return parser.parse_args()


def questions(o):
    """(prompt, stops, most tokens, our text) of each sample."""
    store = sqlite3.connect(f"file:{o.store / 'samples.sqlite'}?mode=ro", uri=True)
    rows = store.execute(
        "SELECT p.text, arguments, responses FROM samples JOIN runs USING(run) JOIN texts p ON p.sha256 = prompt "
        "WHERE task = ? AND policy = ? ORDER BY doc_id", (o.task, o.policy)).fetchall()
    if not rows:
        sys.exit(f"llama_server: {o.store} has no samples of {o.task} under {o.policy}")
    for prompt, arguments, responses in rows:
        how = json.loads(arguments)[0]
        yield prompt, how["until"], how["max_gen_toks"], json.loads(responses)[0][0]


def post(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=3600) as answer:
        return json.load(answer)


def wait_until_ready(o, server):
    for _ in range(600):
        if server.poll() is not None:
            sys.exit("llama_server: the server ended before it was ready")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{o.port}/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    sys.exit("llama_server: the server is not ready after two minutes")


def peak_bytes(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def main():
    o = options()
    asked = list(questions(o))
    command = [o.server, "-m", o.model, "-t", str(o.t), "-np", str(o.parallel), "-c", str(o.context * o.parallel),
               "--port", str(o.port), "--host", "127.0.0.1", "--no-webui", *o.more]
    print("llama_server:", " ".join(command), file=sys.stderr)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(o, server)

        def ask(question):
            prompt, stops, most, ours = question
            answer = post(o.port, "/completion", {"prompt": prompt, "n_predict": most, "stop": stops, "temperature": 0,
                                                  "cache_prompt": True})
            return answer["content"], answer["tokens_predicted"], ours

        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(o.parallel) as pool:
            answers = list(pool.map(ask, asked))
        seconds = time.monotonic() - began
        tokens = sum(n for _, n, _ in answers)
        print(json.dumps({"questions": len(answers), "seconds": round(seconds, 2), "tokens": tokens,
                          "tok_s": round(tokens / seconds, 2), "rss_peak": peak_bytes(server),
                          "equal_texts": sum(text == ours for text, _, ours in answers)}))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
