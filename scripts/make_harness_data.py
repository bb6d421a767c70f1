#!/usr/bin/env python3
"""Writes what tests compare core/tasks with, from stock lm-eval and from Python itself.

    python3 -m venv VENV && VENV/bin/pip install lm-eval==0.4.13 datasets scipy      # torch is not needed
    VENV/bin/python scripts/make_harness_data.py --data DIR [--generations FILE.jsonl]

configs/tasks/shots/*.json   the harness's few-shot texts
tests/data/tasks/prompts.json    SHA-256 of prompts and choices that the harness builds, on the sample (configs/tasks/sample)
                                 and on the official sets in DIR, 40 questions of each; task overrides say only where data lies
tests/data/tasks/scores.jsonl    texts, and what the harness's filters and metrics make of them
tests/data/tasks/python.json     Python's random, re and str on chosen arguments
tests/data/tasks/statistics.json what SciPy and the harness say of figures

Generations are made from templates with a seed. FILE.jsonl adds real ones: {"task", "document", "text"} a line, the document as
the data has it.
"""
import argparse
import csv
import hashlib
import json
import logging
import os
import pathlib
import random
import re
import tempfile

os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import lm_eval
from lm_eval.api.metrics import mean_stderr, pooled_sample_stderr
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

logging.disable(logging.WARNING)
HARNESS = pathlib.Path(lm_eval.__file__).parent / "tasks"
TREE = pathlib.Path(__file__).resolve().parents[1]
OUT = TREE / "tests/data/tasks"
MMLU_LETTERS = "ABCD"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def config_of(path):
    return load_yaml(HARNESS / path)


# ---- few-shot texts

def write(path, value, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, **kwargs) + "\n")


def write_shots():
    folder = TREE / "configs/tasks/shots"
    write(folder / "gsm8k_cot.json", config_of("gsm8k/gsm8k-cot.yaml")["fewshot_config"]["samples"], indent=1)
    for name, pattern in (("mmlu_flan_cot", "mmlu/flan_cot_fewshot/mmlu_*.yaml"), ("bbh_cot", "bbh/cot_fewshot/[a-z]*.yaml")):
        shots = {}
        for file in sorted(HARNESS.glob(pattern)):
            config = load_yaml(file)
            shots[config["dataset_name"]] = {"description": config["description"],
                                             "shots": config["fewshot_config"]["samples"]}
        write(folder / f"{name}.json", shots, indent=1)


# ---- prompts

def mmlu_records(file):
    with open(file, newline="", encoding="utf-8") as rows:
        return [{"question": r[0], "subject": "", "choices": r[1:5], "answer": MMLU_LETTERS.index(r[5])}
                for r in csv.reader(rows)]


def jsonl_records(file):
    return [json.loads(line) for line in open(file, encoding="utf-8") if line.strip()]


def arc_records(file):
    return [{"id": r["id"], "question": r["question"]["stem"], "answerKey": r["answerKey"],
             "choices": {key: [c[key] for c in r["question"]["choices"]] for key in ("text", "label")}}
            for r in jsonl_records(file)]


def piqa_records(file, labels):
    return [dict(r, label=int(label)) for r, label in zip(jsonl_records(file), open(labels))]


def bbh_records(file):
    return json.load(open(file, encoding="utf-8"))["examples"]


def build(path, splits, scratch, shots=None):
    """The harness's task over records of ours: the data's place is all that is changed."""
    files = {}
    for split, records in splits.items():
        file = scratch / f"{split}.jsonl"
        file.write_text("".join(json.dumps(r) + "\n" for r in records))
        files[split] = str(file)
    config = config_of(path)
    for key in ("tag", "group", "task_alias"):
        config.pop(key, None)
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files, "cache_dir": str(scratch / "cache")})
    # Splits that these prompts do not use may be absent.
    for key in ("training_split", "validation_split"):
        if config.get(key) and config[key] not in files:
            config.pop(key)
    task = ConfigurableTask(config=config)
    if shots is not None:
        task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    return task


def prompts_of(task, limit):
    task.build_all_requests(limit=limit)
    documents = {}
    for instance in task.instances:
        document = documents.setdefault(instance.doc_id, {"prompt": instance.args[0], "choices": []})
        if task.OUTPUT_TYPE == "multiple_choice":
            document["choices"].append(instance.args[1])
    return [{"id": i, "prompt": sha(d["prompt"]), "bytes": len(d["prompt"].encode()),
             "choices": sha("\0".join(d["choices"]))} for i, d in documents.items()]


def prompts_from(data, limit, subjects, tasks, sample):
    result = []

    def add(name, path, splits, shots=None, **more):
        with tempfile.TemporaryDirectory() as scratch:
            task = build(path, splits, pathlib.Path(scratch), shots)
            result.append({"task": name, "shots": shots, "documents": prompts_of(task, limit), **more})

    test = jsonl_records(data / "gsm8k/test.jsonl")
    train_file = data / "gsm8k/train.jsonl"
    train = jsonl_records(train_file if train_file.exists() else data / "gsm8k/train_first1000.jsonl")
    add("gsm8k_cot", "gsm8k/gsm8k-cot.yaml", {"test": test})
    add("gsm8k_cot_zeroshot", "gsm8k/gsm8k-cot-zeroshot.yaml", {"test": test, "train": train})
    # With the first thousand of the training set where all of it is not at hand: the drawing is the same.
    add("gsm8k", "gsm8k/gsm8k.yaml", {"test": test, "train": train}, train=len(train))
    for subject in subjects:
        splits = {"test": mmlu_records(data / f"mmlu/test/{subject}_test.csv"),
                  "dev": mmlu_records(data / f"mmlu/dev/{subject}_dev.csv")}
        add(f"mmlu_{subject}", f"mmlu/default/mmlu_{subject}.yaml", splits, 5)
        add(f"mmlu_flan_cot_fewshot_{subject}", f"mmlu/flan_cot_fewshot/mmlu_{subject}.yaml", splits)
        # The test questions stand in for a validation split that is not at hand.
        validation = data / f"mmlu/val/{subject}_val.csv"
        add(f"mmlu_flan_cot_zeroshot_{subject}", f"mmlu/flan_cot_zeroshot/mmlu_{subject}.yaml",
            {"validation": mmlu_records(validation) if validation.exists() else splits["test"], "dev": splits["dev"]}, 0)
    for task in tasks:
        add(f"bbh_cot_fewshot_{task}", f"bbh/cot_fewshot/{task}.yaml", {"test": bbh_records(data / f"bbh/tasks/{task}.json")})
    if sample:
        hellaswag = {"train": jsonl_records(data / "hellaswag/hellaswag_train.jsonl"),
                     "validation": jsonl_records(data / "hellaswag/hellaswag_val.jsonl")}
        add("hellaswag", "hellaswag/hellaswag.yaml", hellaswag, 0)
        add("hellaswag", "hellaswag/hellaswag.yaml", hellaswag, 2)
        piqa = piqa_records(data / "piqa/dev.jsonl", data / "piqa/dev-labels.lst")
        add("piqa", "piqa/piqa.yaml", {"train": piqa, "validation": piqa}, 0)
        for kind in ("easy", "challenge"):
            stem = f"arc/ARC-{kind.capitalize()}"
            splits = {s: arc_records(data / f"{stem}-{n}.jsonl") for s, n in (("train", "Train"), ("test", "Test"))}
            add(f"arc_{kind}", f"arc/arc_{kind}.yaml", splits, 0)
            add(f"arc_{kind}", f"arc/arc_{kind}.yaml", splits, 3)
    return result


# ---- filters and metrics

QUIRKS = [
    "The answer is 18.", "The answer is 18", "The answer is 5", "The answer is $18.", "The answer is 1,234.",
    "it is 5, and so...", "18... done", "The answer is (C", "The answer is (C).", "So the answer is (B)",
    "So the answer is (B). ", "so the answer is (B).", "The answer is -5.", "the answer is -5.\n", "#### 18", "#### 1,000.",
    "So the answer is True.", "So the answer is valid.\n\nQ: another", "", " ", "\n", ".", "[invalid]", "The answer is .",
    "The answer is 3.50.", "The answer is 1.000,00.", "$5.00", "-$5", "The answer is ١٢.", "5\u20285", "The answer is 7\r\n.",
    "The answer is 7\x85.", "the answer is a\u2028b.", "so the answer is x\x0b.", "Answer: (A) or (B)", "answer: B", ": C", ":\x1fD",
    "the final answer: (A).", "The final answer: (A).", "The answer: B.", "The answer is İI.", "The answer is ΑΣ.",
    "So the answer is Ⅷ.", "the answer is  yes .", "the answer is\xa0(A).", "the answer is (A).\x00", "The answer is 12\x00.",
    "Statement 1 is true. The answer is (A). Q: Next question The answer is (B).", "</s> The answer is 4.",
    "So 5 * 4 = 20. The answer is 20.</s>junk 7", "<|im_end|>9", "Q: The answer is 9.", "1.2.3.4", "...,,,$$$", "12,", "$", "-",
    "answer is answer is (D).", "the answer is the answer is 4.", "The answer is 50%.", "The answer is 4 apples.",
    "The answer is 1/2.", "The answer is 10:30.", "\ufeffThe answer is 3.", "The answer is \u22123.", "（C）", "(c)", "(AB)",
]

CLAIMS = ["The answer is {a}.", "The answer is {a}", "the answer is {a}.", "So the answer is {a}.", "So the answer is {a}",
          "#### {a}", "The answer is ${a}.", "The answer is: {a}", "Therefore {a}", "The answer is {a} .", "answer: {a}",
          "The answer is {a}. ", "The final answer: {a}.", "= {a}", "\\boxed{{{a}}}", "The answer is {a}.\n\n", "**{a}**"]
STEPS = ["There are {n} of them.", "{n} + {m} = {k}.", "First we find {n}, then {m}.", "It costs ${n}.50.", "That is 1,{n}00 in all.",
         "Let us see...", "Quietly, we go on.", "Option ({c}) is wrong, since {n} > {m}.", "we refer to ({c})", "Q is a letter.",
         "In -{n} days", "Naïve, 5×3; “quoted” — {n}…", "He said: {c}.", "\tTabs\tand {n}\u3000wide spaces", ""]
TAILS = ["", "", "\n", "\n\nQ: How many?\nA: The answer is 3.", " Q: And now?", "</s>", "<|im_end|>\n", "\nQuestion: next\n#### 4",
         " and so on...", "\r\n", " 7", "\n\n"]


def generations(task, target, choices, count, rng):
    """Texts that a model could have said of a question with this answer."""
    texts = []
    for _ in range(count):
        steps = " ".join(rng.choice(STEPS) for _ in range(rng.randrange(4)))
        right = target if rng.random() < 0.5 else rng.choice(["(A)", "(B)", "12", "7", "True", "No", "1,000", "3.5", "-4"])
        claim = rng.choice(CLAIMS)
        if choices and rng.random() < 0.3:
            claim, right = "{a}", rng.choice(choices)
        values = dict(n=rng.randrange(2, 90), m=rng.randrange(2, 90), k=rng.randrange(100), c=rng.choice("ABCD"))
        texts.append(steps.format(**values) + rng.choice([" ", "\n", ""]) + claim.format(a=right.strip()) + rng.choice(TAILS))
    return texts


def cut(text, stops):
    for stop in stops:
        text = text.split(stop)[0]
    return text


class Answers:
    """The harness's own filters and metric of a task, on one text at a time."""

    def __init__(self, name, path, documents):
        self.name = name
        with tempfile.TemporaryDirectory() as scratch:
            splits = {split: documents for split in ("test", "train", "dev", "validation")}
            self.task = build(path, splits, pathlib.Path(scratch), 0)
        self.documents = [dict(d) for d in documents]

    def score(self, document, text):
        task = self.task
        stops = task.config.generation_kwargs["until"]
        result = {}
        for ensemble in task._filters:
            responses = [[cut(text, stops)]]
            for make in ensemble.filters:
                responses = list(make().apply(responses, [document]))
            result[ensemble.name] = [responses[0], task.process_results(document, [responses[0]])["exact_match"]]
        return result


def scores(extra):
    rng = random.Random(20240117)
    gsm = [{"question": "q", "answer": f"so\n#### {a}"} for a in ("18", "5", "1,234", "-5", "20", "3.50", "12", "$7")]
    mmlu = [{"question": "q", "subject": "", "choices": c, "answer": a} for c, a in (
        (["Femur", "Tibia", "Ulna", "Sternum"], 2), (["True, True", "False, False", "True, False", "False, True"], 0),
        (["guilty", "guilty of romance", "7", "the answer is 7"], 1), (["...", "$5.00", "(A)", "a b"], 3),
        (["İstanbul", "ΟΔΟΣ", "x+y|z", "12"], 1), (["same", "same", "other", ""], 3))]
    bbh = [{"input": "q", "target": t} for t in ("(B)", "True", "valid", "] ) )", "apple pear", "Yes", "-219", "no")]
    tasks = [("gsm8k_cot", "gsm8k/gsm8k-cot.yaml", gsm), ("gsm8k", "gsm8k/gsm8k.yaml", gsm),
             ("gsm8k_cot_zeroshot", "gsm8k/gsm8k-cot-zeroshot.yaml", gsm),
             ("mmlu_flan_cot_fewshot", "mmlu/flan_cot_fewshot/mmlu_anatomy.yaml", mmlu),
             ("mmlu_flan_cot_zeroshot", "mmlu/flan_cot_zeroshot/mmlu_anatomy.yaml", mmlu),
             ("bbh_cot_fewshot", "bbh/cot_fewshot/snarks.yaml", bbh)]
    lines = []
    for name, path, documents in tasks:
        answers = Answers(name, path, documents)
        cases = [(d, text) for text in QUIRKS for d in documents[:2]]
        for document in documents:
            target = {"g": document.get("answer"), "b": document.get("target")}.get(name[0])
            target = f"({MMLU_LETTERS[document['answer']]})" if name[0] == "m" else str(target).split("#### ")[-1]
            cases += [(document, t) for t in generations(name, target, document.get("choices"), 40, rng)]
        cases += [(one["document"], one["text"]) for one in extra if one["task"] == name]
        for document, text in cases:
            target = str(answers.task.doc_to_target(document))
            lines.append({"task": name, "target": target, "choices": document.get("choices"), "text": text,
                          "filters": {k: [p, int(s)] for k, (p, s) in answers.score(document, text).items()}})
    return lines


# ---- Python and statistics

EXPRESSIONS = [
    r"The answer is (\-?[0-9\.\,]+).", r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"(?<=answer is )(.*)(?=.)", r"(?s).*#### ", r"\.$", r"\d+",
    r"\s+", r"\w+", r"\bis\b", r"\Bs", r"^.", r".$", r"(?m)^.", r"(?m).$", r".", r"(?s).", r"[^\s]+", r"[\d\-x]+", r"[[&]+", r"[]a]+",
    r"a{,2}b", r"{", r"a{x}", r"}", r"\x41|\u00e9", r"(?i)ANSWER", r"(?:a|b)+", r"(?P<word>an)(?P=word)?", r"(a)(b)?", r"\S+$", r"\Z",
    r"[\W_]+", r"é+", r"[à-ü]+", r"\.\.", r"x*", r"\$", r"(?i:the) answer", r"\[.*?\]", r"a|ab", r"[a\]b]+", r"\0", r"(.)\1",
]
TEXTS = ["", "a", "The answer is 18.", "the answer is 5\n", "aab ab b a{x} { } {2}", "one\ntwo\r\nthree\n", "tab\tnbsp\xa0fs\x1cend",
         "x\u2028y\x85z\x0bw\x0cv\n", "é É Ünïcode ₂ ² Ⅷ ١٢ _x", "[a] [[&]] ]a] $5.00 1,234...", "anan an banana", "aabb\n\n", "A\x00b",
         "5...\n", "word-word is, this", "😀 emoji 😀😀"]


def python_data():
    sampled = []
    for seed, count, take in ((1234, 7473, 5), (1234, 1000, 5), (1234, 24, 5), (1234, 21, 5), (1234, 22, 5), (0, 10, 3), (1234, 285, 8),
                              (1234, 90, 6), (1234, 86, 6), (1234, 2000, 64), (2**40 + 7, 50, 4), (1, 1, 1), (5, 100000, 20)):
        rng = random.Random(seed)
        sampled.append({"seed": seed, "count": count, "take": take, "draws": [rng.sample(range(count), take) for _ in range(6)]})
    found = [{"pattern": p, "text": t, "found": [list(m) if isinstance(m, tuple) else [m] for m in re.findall(p, t)],
              "removed": re.sub(p, "", t)} for p in EXPRESSIONS for t in TEXTS]
    bad = [p for p in ("(", ")", "[", "a{2,1}", "*a", r"\q", r"[\q]", "(?P<a>b", "a\\", r"\x4", "(?<=a*)b", "a(?i)b", r"(?P=x)", "(?Z)", "[b-a]")]
    for p in bad:
        try:
            re.compile(p)
            raise SystemExit(f"Python takes {p}")
        except re.error:
            pass
    texts = TEXTS + ["ΑΣ ΣΑΣ", "İI", "ǆ Ǆ", "ß", "\x1c a \x85", "\u2003b\u3000", "HE Then", "éA", "“q” ‘x’—…!", "ŉx", "ﬁX"]
    strings = [{"text": t, "strip": t.strip(), "lower": t.lower(), "capitalize": t.capitalize(), "length": len(t)} for t in texts]
    return {"sample": sampled, "find": found, "bad": bad, "text": strings}


def statistics_data():
    from scipy import stats
    rng = random.Random(7)
    means = []
    for n in (2, 3, 10, 200):
        values = [rng.randrange(2) for _ in range(n)]
        means.append({"values": values, "stderr": mean_stderr(values)})
    values = [rng.random() for _ in range(50)]
    means.append({"values": values, "stderr": mean_stderr(values)})
    pooled = []
    for k in (1, 2, 5):
        sizes = [rng.randrange(2, 300) for _ in range(k)]
        errors = [rng.random() / 10 for _ in range(k)]
        pooled.append({"sizes": sizes, "stderrs": errors, "pooled": float(pooled_sample_stderr(errors, sizes))})
    mcnemar = [{"lost": a, "won": b, "p": stats.binomtest(a, a + b, 0.5).pvalue if a + b else 1.0}
               for a, b in ((0, 0), (1, 0), (0, 5), (3, 3), (10, 2), (40, 61), (200, 150), (1, 999), (700, 640))]
    intervals = []
    for right, n in ((0, 10), (1, 40), (10, 40), (20, 80), (193, 1319), (40, 40), (26, 100)):
        low, high = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        intervals.append({"right": right, "n": n, "low": low, "high": high})
    return {"mean": means, "pooled": pooled, "mcnemar": mcnemar, "wilson": intervals}


def wikitext_data(data):
    module = {}
    exec((HARNESS / "wikitext/preprocess_wikitext.py").read_text(), module)
    text = (data / "wikitext2/wiki.test.raw").read_text(encoding="utf-8")
    pages, page = [], []
    for line in text.split("\n"):
        marks = line.replace("= = =", "===").replace("= =", "==").strip()
        if marks.startswith("= ") and marks.endswith(" ="):
            pages.append("\n".join(page))
            page = []
        page.append(line)
    pages.append("\n".join(page))
    result = []
    for page in pages:
        if not page.strip():
            continue
        scored = module["process_results"]({"page": page}, (0.0,))
        result.append({"text": sha(module["wikitext_detokenizer"]({"page": page})), "words": scored["word_perplexity"][1],
                       "bytes": scored["byte_perplexity"][1]})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the official sets, as scripts/get_data.sh lays them")
    parser.add_argument("--generations", type=pathlib.Path, help="real generations to score as well")
    words = parser.parse_args()
    sample = TREE / "configs/tasks/sample"
    write_shots()
    write(OUT / "python.json", python_data())
    write(OUT / "statistics.json", statistics_data(), indent=1)
    extra = jsonl_records(words.generations) if words.generations else []
    lines = scores(extra)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "scores.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    print(len(lines), "texts scored")
    prompts = {
        "sample": prompts_from(sample, 40, ["anatomy"], ["boolean_expressions", "snarks", "word_sorting"], True),
        "official": prompts_from(words.data, 40, ["abstract_algebra", "anatomy", "conceptual_physics", "high_school_us_history", "world_religions"],
                                 ["boolean_expressions", "snarks", "word_sorting"], False),
        "wikitext": {"sample": wikitext_data(sample), "official": wikitext_data(words.data)},
    }
    write(OUT / "prompts.json", prompts)
    print(sum(len(t["documents"]) for part in ("sample", "official") for t in prompts[part]), "prompts")


if __name__ == "__main__":
    main()
