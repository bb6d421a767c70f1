#!/usr/bin/env python3
"""Writes tests/data/tokenizer: small vocabularies trained on the text below, and what the reference libraries make
of many texts with them.

    pip install tokenizers sentencepiece regex
    scripts/make_tokenizer_data.py [--shared DIR]

Folders get a tokenizer.json or tokenizer.model; vectors.json holds the ids of TEXTS for each, made by Hugging Face
tokenizers or SentencePiece. splits.json holds, for each pre-tokenizer, where the published regular expressions cut,
made by the regex package. With --shared also tinystories_656k.json (ids of TEXTS) and shared_splits.json (cuts of
the 46 texts that lie in the shared folder) are written; those vocabularies and texts are not kept here.
"""
import argparse
import io
import json
import pathlib

import regex
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# What the vocabularies are trained on.
CORPUS = """The water comes down from the hills and stops at the gate. When the gate is raised, the water runs on.
A keeper lives beside the gate; he's there in the morning and she'll be there at night. They've counted 1234 boats.
In spring the river is high, in summer it's low, and in autumn the leaves lie on the water like little letters.
"How many boats came through today?" asks the keeper. "Twelve," says the boy, "and I don't know where they're going."
The old keeper told the boy: write down what you see, throw away what you don't need, and keep the rest small.
So the boy wrote: 3 boats with wood, 4 boats with stone, 5 boats with nothing at all. Then he closed the book.
Das Wasser fließt über die Schwelle, und der Wärter zählt die Boote. Les bateaux passent, l'écluse se ferme.
Вода идёт через ворота. 水は門を通る。 El agua pasa por la puerta.
if (water > gate) { open(gate); } else { close(gate); }  // 2 spaces
\tindented with a tab\n\n\nafter three newlines      after six spaces
"""

TEXTS = [
    "", " ", "  ", "   ", "    ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "  \n\n  x", "a  b   c    d", " a", "  a", "a ", "a  ", "a\n",
    "The water comes down from the hills.", "the gate's keepers' boats aren't they've we'll I'd I'm you're", "THE GATE'S KEEPERS AREN'T WE'LL I'D",
    "it\u2019s not 's'S'\u017f '\u017f 'LL 'Ve 'x ' '' 'r 'v 'l", "1 12 123 1234 12345 1234567 a1b22c333 1.5e-7 3,141", "\u0663\u0664\u0665 \u216b \u00b2\u00bd \u0e53 \U0001d7d8",
    "if (x > 3) { y = x->z[0]; }  // ok!!", "!!!???... --- ===\n\n### ```\n", " !\r\n\r\n ?\n", "a\t\tb\t c \t d", "tab\tnew\nline\r\nend\r",
    "Das Wasser fl\u00ef\u00dft \u00fcber die Schwelle, \u00dcBER ALLES", "\u0412\u043e\u0434\u0430 \u0438\u0434\u0451\u0442 \u0447\u0435\u0440\u0435\u0437 \u0432\u043e\u0440\u043e\u0442\u0430.", "\u6c34\u306f\u9580\u3092\u901a\u308b\u3002\u6c34 \u6c34", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0928\u092e\u0938\u094d\u0924\u0947 \u1780\u17b6\u1793\u17cb", "e\u0301 \u00e9 n\u0303 \u00f1 \u1e0d\u0307 \u212b \uac00 \u1100\u1161", "\U0001f680\U0001f469\u200d\U0001f680 \u2705\ufe0f \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd",
    "\u00a0x\u00a0\u00a0y \u2003z \u3000w\u2028v\u2029u\u0085t\u200bs\ufeffr", "\x1c\x1d\x1e\x1f \x00\x01\x7f", "\x0b\x0c a\x0bb", "\u2581 \u2581\u2581x y\u2581z", "_ __ a_b \u203f \u00aa\u00ba \u02b0 \u2160 \u24b6",
    "\ufffd \ufffe \uffff \U0010ffff \ue000 \U000e0001", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " " * 17 + "x", "-" * 33, "=" * 8 + "\n" * 5, "antidisestablishmentarianism waterwaterwater",
    "sluice  sluices unsluiced sluice", "<|end|>", "<|end|><|end|>", "The gate<|end|> opens", "a <|end|> b", "<|endx|> <|end|x|>", "<|start|>user\nhi<|end|>\n", "<tool>x</tool> <tool>",
    "x <mask> y<mask>", "<unk><s></s> <0x41>", "a<sep>b <sep> c", "  <|end|>  x",
]

HERE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer"


def special(text, **settings):
    return AddedToken(text, normalized=False, special=True, **settings)


def byte_level(pre, alphabet, size, normalizer=None, use_regex=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([CORPUS], trainer)
    tokenizer.add_special_tokens([special("<|end|>"), special("<|endx|>"), special("<|start|>"), special("<mask>", lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    return tokenizer


def save(tokenizer, name, config, change=None):
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(tokenizer.to_str())
    if change:
        change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def add_whole_word(content):
    """A token that no merges lead to: only ignore_merges finds it."""
    content["model"]["ignore_merges"] = True
    content["model"]["vocab"]["\u0120sluice"] = len(content["model"]["vocab"])
    for token in content["added_tokens"]:
        token["id"] += 1
    content["post_processor"]["processors"][1]["special_tokens"]["<|start|>"]["ids"][0] += 1


def byte_level_tokenizers():
    full = pre_tokenizers.ByteLevel.alphabet()
    seen = sorted({c for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(CORPUS) for c in piece})

    def split(expression):
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated", False),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    smollm = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    template = "{% for m in messages %}{{ '<|start|>' + m.role + '\n' + m.content + '<|end|>' + '\n' }}{% endfor %}"
    config = {"eos_token": "<|end|>", "add_bos_token": False, "chat_template": template}
    result = {
        "gpt2": save(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), full, 420), "gpt2", config),
        "smollm": save(byte_level(smollm, seen, 300), "smollm", config),
        "qwen2": save(byte_level(split(QWEN2), full, 420, normalizers.NFC()), "qwen2", config),
    }
    llama = byte_level(split(LLAMA3), full, 420)
    llama.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|start|> $A", pair="<|start|> $A <|start|> $B", special_tokens=[("<|start|>", llama.token_to_id("<|start|>"))])])
    result["llama3"] = save(llama, "llama3", {"bos_token": "<|start|>", "eos_token": {"content": "<|end|>"}}, add_whole_word)
    return result


def merge_tokenizers():
    def make(bytes_too, normalizer, pre):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=bytes_too))
        tokenizer.normalizer = normalizer
        if pre:
            tokenizer.pre_tokenizer = pre
        tokens = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if bytes_too else [])
        trainer = trainers.BpeTrainer(vocab_size=len(tokens) + 180, special_tokens=tokens, show_progress=False, max_token_length=12)
        tokenizer.train_from_iterator([CORPUS], trainer)
        content = json.loads(tokenizer.to_str())
        content["added_tokens"] = [t for t in content["added_tokens"] if t["id"] < 3]
        tokenizer = Tokenizer.from_str(json.dumps(content))
        tokenizer.add_special_tokens([special("<|end|>")])
        return tokenizer

    replace = normalizers.Replace(" ", "\u2581")
    prepend = normalizers.Sequence([normalizers.Prepend("\u2581"), replace])
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}

    def no_split(content):
        content["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
        content["normalizer"] = None

    return {
        "merge_bytes": save(make(True, prepend, None), "merge_bytes", config),
        "merge_metaspace": save(make(True, prepend, None), "merge_metaspace", config, no_split),
        "merge_unknown": save(make(False, prepend, None), "merge_unknown", config),
    }


def sentencepiece_models():
    result = {}
    for name, settings in {
        "spm_bytes": dict(byte_fallback=True, vocab_size=480, user_defined_symbols=["<sep>", "\u2581\u2581\u2581"]),
        "spm_unknown": dict(byte_fallback=False, vocab_size=200, add_dummy_prefix=False),
    }.items():
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS.split("\n")), model_writer=out, model_type="bpe", normalization_rule_name="identity",
            remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, character_coverage=0.98, minloglevel=2, num_threads=1, **settings)
        (HERE / name).mkdir(parents=True, exist_ok=True)
        (HERE / name / "tokenizer.model").write_bytes(out.getvalue())
        result[name] = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    return result


def cuts(expression, text, digits_apart=False):
    """Where each piece ends, in bytes."""
    pieces = regex.findall(r"\p{N}|\P{N}+", text) if digits_apart else [text]
    words = [word for piece in pieces for word in regex.findall(expression, piece)]
    assert "".join(words) == text
    ends, at = [], 0
    for word in words:
        at += len(word.encode())
        ends.append(at)
    return ends


def all_cuts(text):
    return {"gpt-2": cuts(GPT2, text), "smollm": cuts(GPT2, text, True), "llama-bpe": cuts(LLAMA3, text), "qwen2": cuts(QWEN2, text)}


def write(name, content):
    (HERE / name).write_text(json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace('{"text"', '\n{"text"') + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--shared", type=pathlib.Path)
    arguments = arguments.parse_args()
    HERE.mkdir(parents=True, exist_ok=True)
    libraries = {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__, "regex": regex.__version__}

    vectors = {}
    for name, tokenizer in (byte_level_tokenizers() | merge_tokenizers()).items():
        vectors[name] = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in TEXTS]
    for name, model in sentencepiece_models().items():
        vectors[name] = [{"text": text, "ids": model.encode(text)} for text in TEXTS]
    write("vectors.json", {"made_by": libraries, "vectors": vectors})
    write("splits.json", {"made_by": libraries, "splits": [{"text": text, "cuts": all_cuts(text)} for text in TEXTS]})

    if arguments.shared:
        tiny = Tokenizer.from_file(str(arguments.shared / "data/models/tinystories-656K/tokenizer.json"))
        texts = [text for text in TEXTS if "<unk>" not in text]
        write("tinystories_656k.json", {"made_by": libraries, "vectors": [
            {"text": text, "ids": tiny.encode(text, add_special_tokens=False).ids} for text in texts]})
        raw = (arguments.shared / "data/tokenizers/ggml-vocab-llama-bpe.gguf.inp").read_bytes().decode()
        write("shared_splits.json", {"made_by": libraries, "cuts": [all_cuts(text) for text in raw.split("\n__ggml_vocab_test__\n")[:46]]})


if __name__ == "__main__":
    main()
