#!/usr/bin/env python3
"""Black-box tests of the built program: what it prints where, exit statuses, results beside the goldens.

    cli.py --minke PATH --tools DIR --work DIR

Uses the tiny checkpoints in tests/golden, and SmolLM2 where the model store has it (else those tests print
SKIPPED). Needs nothing but Python. Ends with "N passed, N failed"; the exit status is 1 when one failed.
"""

import argparse
import array
import csv
import json
import math
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
TINY_MOE = GOLDEN / "tiny_moe"
SHAPES = GOLDEN.parent.parent / "data" / "shapes"
TOLERANCE = 2e-4  # of the largest |logit|
FOOTER = re.compile(r"prefill [\d,]+ tokens( [\d,.]+ tok/s)? \| decode [\d,]+ tokens( [\d,.]+ tok/s)?"
                    r"( \| guesses [\d,]+ of [\d,]+ right)? \| cache \d+\n$")


class Suite:
    def __init__(self, minke, work):
        self.minke, self.work = minke, work
        self.passed = self.failed = 0
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MINKE_") or k == "MINKE_MODELS"}

    def check(self, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}{': ' if detail else ''}{str(detail)[:600]}")

    def run(self, *args, stdin=b"", env=None, timeout=300):
        """stdin: bytes, or None for /dev/null."""
        feed = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run([self.minke, *map(str, args)], capture_output=True, timeout=timeout,
                              env={**self.env, **(env or {})}, **feed)

    def fails(self, what, status, pattern, *args, **kwargs):
        result = self.run(*args, **kwargs)
        text = result.stderr.decode()
        good = result.returncode == status and re.search(pattern, text) and text.startswith("minke: ")
        self.check(what, good, f"status {result.returncode}, {text}")


def read_floats(path):
    values = array.array("f")
    values.frombytes(pathlib.Path(path).read_bytes())
    return values


def tiny(name):
    return GOLDEN / "tiny" / name


def tiny_gguf(name):
    path = GOLDEN / "tiny_gguf" / f"{name}.gguf"
    return path if path.exists() else next((GOLDEN / "tiny_gguf").glob(f"{name}-00001-of-*.gguf"))


def logits_of(suite, model, name, *flags):
    out = suite.work / "out.f32"
    result = suite.run("eval", "logits", model, "--ids", f"@{tiny(name)}/ids.json", "-o", out, *flags)
    return out.read_bytes() if result.returncode == 0 else result.stderr


def test_logits(suite):
    for entry in json.loads((GOLDEN / "tiny" / "manifest.json").read_text())["checkpoints"]:
        name = entry["name"]
        reference = read_floats(tiny(name) / "logits.f32")
        for model in (tiny(name), tiny_gguf(name)):
            got = logits_of(suite, model, name)
            values = array.array("f")
            if len(got) == len(reference) * 4:
                values.frombytes(got)
            error = max((abs(a - b) for a, b in zip(values, reference)), default=math.inf)
            suite.check(f"logits {model}", len(values) == len(reference) and error <= TOLERANCE * entry["max_abs_logit"],
                        f"difference {error}, {got[:200] if not values else ''}")


def test_same_bits(suite):
    for name in ("llama_llama3", "qwen3_yarn", "qwen2_bf16"):
        for numerics in ("exact", "fast"):
            base = logits_of(suite, tiny(name), name, "--numerics", numerics)
            for flags in (["--chunk", 1], ["--chunk", 7], ["--threads", 1], ["--threads", 3, "--chunk", 64]):
                got = logits_of(suite, tiny(name), name, "--numerics", numerics, *flags)
                suite.check(f"bits of {name} {numerics} {flags}", got == base)
        for isa in ("scalar", "avx2", "avx512"):
            got = logits_of(suite, tiny(name), name, "--isa", isa)
            if b"not" in got[:400] and got.startswith(b"minke: "):
                print(f"SKIPPED: {isa} cannot run here")
                continue
            suite.check(f"bits of {name} with {isa}", got == logits_of(suite, tiny(name), name))


def test_logits_ids(suite):
    model = tiny("llama")
    a = suite.run("eval", "logits", model, "--ids", "1,2,3", "-o", "-")
    b = suite.run("eval", "logits", model, "--ids", "@-", "-o", "-", stdin=b"[1, 2, 3]\n")
    c = suite.run("eval", "logits", model, "--ids", "1 2 3", "-o", "/dev/stdout")
    suite.check("logits to stdout", len(a.stdout) == 3 * 271 * 4, a.stderr)
    suite.check("ids from standard input", a.stdout == b.stdout, b.stderr)
    suite.check("logits to /dev/stdout", a.stdout == c.stdout, c.stderr)
    suite.fails("no ids", 2, "--ids: there are none", "eval", "logits", model, "--ids", "[]", "-o", "-")
    suite.fails("a word as id", 1, 'id 2: expected a token id, got "x"', "eval", "logits", model, "--ids", "1,x", "-o", "-")
    suite.fails("id out of range", 1, "271", "eval", "logits", model, "--ids", "1,271", "-o", "-")
    target = suite.work / "never.f32"
    suite.fails("result of a failure", 1, "", "eval", "logits", model, "--ids", "1,271", "-o", target)
    suite.check("no file after a failure", not target.exists() and not pathlib.Path(f"{target}.part").exists())


def test_convert(suite):
    for name in ("qwen3_yarn", "llama_llama3_bf16"):
        for model in (tiny(name), tiny_gguf(name)):
            out = suite.work / "m.minke"
            out.unlink(missing_ok=True)
            made = suite.run("convert", model, "-o", out)
            suite.check(f"convert {model}", made.returncode == 0 and not made.stdout and b"tensors" in made.stderr, made.stderr)
            for numerics in ("exact", "fast"):
                suite.check(f"bits of {model} converted, {numerics}",
                            logits_of(suite, out, name, "--numerics", numerics) ==
                            logits_of(suite, model, name, "--numerics", numerics))
    verified = suite.run("convert", "--verify", out)
    suite.check("verify", verified.returncode == 0 and b"all as they were written" in verified.stderr, verified.stderr)
    show = json.loads(suite.run("show", "--json", out).stdout)
    suite.check("show of a tiled file", (show["format"], show["made_from"]) == ("tiled", "gguf"), show)
    suite.fails("convert to a file that is there", 1, "something of that name", "convert", tiny("llama"), "-o", out)
    suite.fails("convert of a tiled file", 1, "tiled already", "convert", out, "-o", suite.work / "n.minke")
    suite.fails("convert without OUT", 2, "--output", "convert", tiny("llama"))
    suite.fails("convert to another ending", 2, ".minke", "convert", tiny("llama"), "-o", suite.work / "m.gguf")
    suite.fails("verify and convert", 2, "--verify", "convert", tiny("llama"), "--verify", out)
    data = bytearray(out.read_bytes())
    data[-100] ^= 1
    out.write_bytes(data)
    suite.fails("verify of a damaged file", 1, "damaged", "convert", "--verify", out)
    out.write_bytes(data[:-1])
    suite.fails("a tiled file cut short", 1, "file size", "show", out)
    suite.check("no parts left", not list(suite.work.glob("*.part")))


def test_usage(suite):
    suite.fails("unknown command", 2, 'no command "frob"', "frob")
    suite.fails("unknown flag", 2, "frob", "run", "x", "--frob")
    suite.fails("missing model", 2, "MODEL", "run")
    suite.fails("flag out of range", 2, "--temp", "run", "x", "y", "--temp", "-1")
    suite.fails("bad numerics", 2, "--numerics", "run", "x", "y", "--numerics", "loose")
    suite.fails("missing file", 1, "no_such_model", "show", "./no_such_model.gguf")
    suite.fails("missing store name", 1, "not in the store", "show", "no-such-model")
    suite.fails("eval without what", 2, "minke eval --help", "eval")
    for args in (["--help"], ["run", "--help"], ["eval", "ppl", "--help"]):
        result = suite.run(*args)
        suite.check(f"help {args}", result.returncode == 0 and b"Usage: minke" in result.stdout and not result.stderr)
    version = suite.run("--version")
    suite.check("version", re.match(rb"minke \d+\.\d+\.\d+\n(GCC|Clang) ", version.stdout), version.stdout)
    suite.check("no arguments", suite.run().returncode == 2)


def raw(model, *more):
    return ["run", model, "--raw", "-p", "abc", "-n", "12", "--seed", "5", *more]


def test_run(suite):
    model = tiny_gguf("qwen2")
    plain = suite.run(*raw(model))
    suite.check("reply", plain.returncode == 0 and plain.stdout and FOOTER.search(plain.stderr.decode()), plain.stderr)
    suite.check("start line", re.search(rb"minke: .*thread.*, fast, KV bf16, context ", plain.stderr), plain.stderr)
    quiet = suite.run(*raw(model, "-q"))
    suite.check("quiet", quiet.stdout == plain.stdout and not quiet.stderr, quiet.stderr)
    again = json.loads(suite.run(*raw(model, "--json")).stdout)
    suite.check("json has the same reply", again["content"] == plain.stdout.decode(errors="replace"), again)
    suite.check("json has the counts", again["output_tokens"] == 12 and again["finish_reason"] == "length" and
                len(again["ids"]) == 12 and again["seed"] == 5 and again["prompt_tokens"] == 3, again)
    other = json.loads(suite.run("run", model, "--raw", "-p", "abc", "-n", "12", "--seed", "6", "--json").stdout)
    suite.check("another seed, another reply", other["ids"] != again["ids"])
    drawn = [json.loads(suite.run("run", model, "--raw", "-p", "abc", "-n", "1", "--json").stdout)["seed"] for _ in "ab"]
    suite.check("seeds are drawn anew", drawn[0] != drawn[1])
    greedy = [json.loads(suite.run("run", model, "--raw", "-p", "abc", "-n", "9", "--temp", "0", "--json", *flags).stdout)
              ["ids"] for flags in ([], ["--threads", "1"], ["--isa", "scalar", "--threads", "3"])]
    suite.check("greedy is the same with any threads and kernels", greedy[0] == greedy[1] == greedy[2], greedy)
    verbose = suite.run(*raw(model, "-v"))
    suite.check("verbose tells the seed", b"seed 5" in verbose.stderr, verbose.stderr)


def test_prompts(suite):
    model = tiny_gguf("qwen2")
    count = lambda *args, **kw: json.loads(suite.run("run", model, "--raw", "-n", "1", "--json", *args, **kw).stdout)["prompt_tokens"]
    text = suite.work / "prompt.txt"
    text.write_text("xyz\n")
    suite.check("prompt from a pipe, exactly as it is with --raw", count(stdin=b"xyz\n") == 4)
    suite.check("prompt from a file", count("-f", text) == 4)
    suite.check("argument and pipe", count("abc", stdin=b"xyz") == 3 + 2 + 3)
    suite.check("-p leaves standard input alone", count("-p", "abc", stdin=b"xyz") == 3)
    suite.fails("nothing to say", 2, "no prompt", "run", model, "--raw", stdin=None)
    suite.fails("both -p and -f", 2, "", "run", model, "-p", "x", "-f", text)
    suite.fails("a missing prompt file", 1, "nothing-here", "run", model, "-f", "nothing-here")
    suite.fails("prompt over the context", 1, r"prompt has 40 tokens.*context holds 30(.|\n)*--ctx-size",
                "run", model, "--raw", "-c", "30", "-p", "a b c d " * 5)
    suite.fails("too little memory", 1, "not enough memory", "run", model, "--raw", "-p", "x", "--memory", "1kB")


def test_environment(suite):
    model = tiny_gguf("qwen2")
    base = ["run", model, "--raw", "-p", "abc", "--json"]
    flagged = json.loads(suite.run(*base, "-n", "4", "--seed", "9").stdout)
    env = {"MINKE_MAX_TOKENS": "4", "MINKE_SEED": "9", "MINKE_THREADS": "1"}
    suite.check("flags from the environment", json.loads(suite.run(*base, env=env).stdout)["ids"] == flagged["ids"])
    winner = json.loads(suite.run(*base, "-n", "2", env=env).stdout)
    suite.check("the flag wins", winner["output_tokens"] == 2)
    suite.fails("a bad value in the environment", 2, "--temp", *base, env={"MINKE_TEMP": "hot"})
    suite.check("and only where it is asked for", suite.run("list", env={"MINKE_TEMP": "hot"}).returncode == 0)


def test_streams(suite):
    model = tiny_gguf("qwen2")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([suite.minke, *map(str, raw(model, "-q"))], stdout=full, stderr=subprocess.PIPE,
                                    env=suite.env)
        suite.check("a full disk", result.returncode == 1 and b"No space left" in result.stderr, result.stderr)
    for args in (raw(model, "-q"), ["list"], ["show", model, "--tensors"], ["tokenize", model, "x"]):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([suite.minke, *map(str, args)], stdout=writer, stderr=subprocess.PIPE, env=suite.env)
        os.close(writer)
        suite.check(f"closed pipe {args[0]}", result.returncode == 0 and not result.stderr, result.stderr)


def test_interrupt(suite):
    process = subprocess.Popen([suite.minke, "run", str(tiny_gguf("qwen2")), "--raw", "-p", "abc", "--temp", "0", "-c",
                                "200000", "--repeat-penalty", "1.5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=suite.env)
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    suite.check("Ctrl-C ends the reply with its footer", process.returncode == 130 and
                FOOTER.search(errors.decode()), (process.returncode, errors))
    logits = suite.work / "interrupted.f32"
    ids = suite.work / "ids.txt"
    ids.write_text(" ".join(["5", "6", "7", "9"] * 5000))
    process = subprocess.Popen([suite.minke, "eval", "logits", str(tiny_gguf("qwen2")), "--ids", f"@{ids}", "-o",
                                str(logits), "--chunk", "8"], stderr=subprocess.PIPE, env=suite.env)
    part = logits.with_name(logits.name + ".part")
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    suite.check("Ctrl-C leaves no half-written logits", process.returncode == 130 and not logits.exists() and
                not part.exists(), (process.returncode, errors))


def test_tokenize(suite):
    model = tiny_gguf("qwen2")
    text = "Ünïcode 你好\r\n  tab\t<|eos|> end".encode()
    ids = json.loads(suite.run("tokenize", model, stdin=text).stdout)
    back = suite.run("detokenize", model, stdin=json.dumps(ids).encode())
    suite.check("round trip", back.stdout == text, back.stdout)
    words = suite.run("detokenize", model, *ids)
    suite.check("ids as arguments", words.stdout == text, words.stderr)
    special = json.loads(suite.run("tokenize", model, "--special", stdin=text).stdout)
    suite.check("control text is text unless --special", 2 not in ids and special.count(2) == 1, (ids, special))
    skipped = suite.run("detokenize", model, "--skip-special", *special)
    suite.check("--skip-special", skipped.stdout == text.replace(b"<|eos|>", b""), skipped.stdout)
    suite.check("empty text", suite.run("tokenize", model, "").stdout == b"[]\n")
    lines = ["a\nb", "", "你好 \U0001f600", "<|eos|>", "list"]
    stdin = "".join(json.dumps(line) + "\n" for line in lines).encode()
    result = suite.run("tokenize", model, "--lines", stdin=stdin)
    single = [json.loads(suite.run("tokenize", model, "--", line).stdout) for line in lines]
    suite.check("--lines equals one by one", [json.loads(l) for l in result.stdout.splitlines()] == single, result.stderr)
    back = suite.run("detokenize", model, "--lines", stdin=result.stdout)
    suite.check("detokenize --lines", [json.loads(l) for l in back.stdout.splitlines()] == lines, back.stderr)
    wrong = suite.run("tokenize", model, "--lines", stdin=b'"a"\n"b\n"c"\n')
    suite.check("a wrong line is named, the ones before are printed", wrong.returncode == 1 and
                wrong.stdout == b"[64]\n".replace(b"64", str(single_id(suite, model)).encode()) and b"line 2" in wrong.stderr,
                (wrong.stdout, wrong.stderr))
    suite.fails("not a string", 1, "line 1: expected a JSON string", "tokenize", model, "--lines", stdin=b"5\n")
    suite.fails("not an id", 1, 'line 2: id 2: expected a token id, got "x"', "detokenize", model, "--lines", stdin=b"[1]\n[1,x]\n")
    suite.fails("id without meaning", 1, "not in the vocabulary", "detokenize", model, 999999)


def single_id(suite, model):
    return json.loads(suite.run("tokenize", model, "a").stdout)[0]


def reference_perplexity(suite, model, text, bos):
    """The rule, computed here from eval logits."""
    ids = json.loads(suite.run("tokenize", model, stdin=text).stdout)
    step = 512 - len(bos)
    total = count = 0
    for start in range(0, len(ids) - step + 1, step):
        window = bos + ids[start:start + step]
        out = suite.work / "window.f32"
        suite.run("eval", "logits", model, "--ids", ",".join(map(str, window)), "-o", out)
        values = read_floats(out)
        vocab = len(values) // 512
        for position in range(256, 512):
            row = values[(position - 1) * vocab:position * vocab]
            top = max(row)
            total += math.log(math.fsum(math.exp(v - top) for v in row)) + top - row[window[position]]
            count += 1
    return math.exp(total / count), count


def test_perplexity(suite):
    text = (GOLDEN.parent / "data" / "text" / "en-8k.txt").read_bytes()[:1700]
    path = suite.work / "text.txt"
    path.write_bytes(text)
    for model, bos in ((tiny_gguf("qwen2"), []), (with_bos(suite, "llama"), [1])):  # <|bos|> is id 1
        one = json.loads(suite.run("run", model, "--raw", "-p", "a", "-n", "1", "--json").stdout)
        suite.check(f"BOS of {model}", one["prompt_tokens"] == 1 + len(bos), one)
        result = suite.run("eval", "ppl", model, "-f", path, "--numerics", "exact", "--json")
        if result.returncode != 0:
            suite.check(f"perplexity of {model}", False, result.stderr)
            continue
        got = json.loads(result.stdout)
        expected, count = reference_perplexity(suite, model, text, bos)
        suite.check(f"perplexity of {model}", got["tokens"] == count and abs(got["perplexity"] / expected - 1) < 1e-5,
                    (got, expected, count))
    kl = json.loads(suite.run("eval", "kl", tiny_gguf("qwen2"), "-f", path, "--json").stdout)
    suite.check("divergence", 0 < kl["mean_kl"] < 0.05 and kl["tokens"] > 0, kl)
    path.write_bytes(text[:300])
    suite.fails("too short a text", 1, "do not fill a window of 512", "eval", "ppl", tiny_gguf("qwen2"), "-f", path)


def with_bos(suite, name):
    """A tiny GGUF whose add_bos_token says true."""
    data = bytearray(tiny_gguf(name).read_bytes())
    key = b"tokenizer.ggml.add_bos_token"
    at = data.index(key) + len(key)
    assert data[at:at + 5] == b"\x07\0\0\0\0", "a bool that is false"
    data[at + 4] = 1
    path = suite.work / f"{name}-bos.gguf"
    path.write_bytes(data)
    return path


def test_show(suite):
    for model in (tiny("qwen3_yarn"), tiny_gguf("qwen3_yarn")):
        report = json.loads(suite.run("show", model, "--json", "--tensors").stdout)
        total = sum(math.prod(t["shape"]) for t in report["tensors"])
        suite.check(f"parameters of {model}", report["parameters"] == total == sum(g["parameters"] for g in report["tensor_groups"]),
                    (report["parameters"], total))
        suite.check("architecture and rope", report["architecture"] == "qwen3" and report["config"]["rope"]["scaling"] == "yarn")
        suite.check("speed is measured", report["read_bandwidth"] > 1e8 and
                    0 < report["decode_tokens_per_second"] < report["decode_tokens_per_second_limit"] and
                    report["prefill_tokens_per_second"] > 0)
    text = suite.run("show", tiny("llama"))
    suite.check("show without a tokenizer", text.returncode == 0 and b"none: " in text.stdout, text.stderr)
    tensors = suite.run("show", tiny("llama"), "--tensors").stdout.decode()
    suite.check("tensors", "model.embed_tokens.weight" in tensors and "[271, " in tensors, tensors)
    messages = json.dumps([{"role": "tool", "content": "x"}]).encode()
    suite.fails("a role that is none", 1, "messages\\[0\\].role", "show", tiny_gguf("qwen2"), "--encoding", "chatml",
                "--render", "-", stdin=messages)
    suite.fails("nothing to render", 1, "no messages", "show", tiny_gguf("qwen2"), "--encoding", "chatml", "--render", "-",
                stdin=b"[]")


# Facts of published models: parameters, active ones, bytes of the file, cache bytes a token, prediction tensors.
PUBLISHED = {
    "deepseek-v3": (671.0e9, 36.6e9, 673e9, 61 * 576 * 2, 1564),
    "deepseek-v2": (235.7e9, 20.9e9, 471e9, 60 * 576 * 2, 0),
    "deepseek-v2-lite": (15.7e9, 2.45e9, 31.4e9, 27 * 576 * 2, 0),
    "glm-4.7-flash": (29.9e9, 3.58e9, 59.9e9, 47 * 576 * 2, 212),
    "kimi-k2": (1026.4e9, 31.7e9, 1029e9, 61 * 576 * 2, 0),
    "qwen3-30b-a3b": (30.5e9, 3.04e9, 61.1e9, 48 * 2 * 4 * 128 * 2, 0),
    "deepseek-moe-16b": (16.4e9, 2.62e9, 32.8e9, 28 * 2 * 16 * 128 * 2, 0),
    "deepseek-r1-distill-qwen-1.5b": (1.777e9, 1.544e9, 3.55e9, 28 * 2 * 2 * 128 * 2, 0),
}


def test_show_config(suite):
    for name, (total, active, file_bytes, kv, nextn) in PUBLISHED.items():
        report = json.loads(suite.run("show", SHAPES / f"{name}.json", "--json").stdout)
        suite.check(f"parameters of {name}", abs(report["parameters"] / total - 1) < 3e-3, report["parameters"])
        suite.check(f"active of {name}", abs(report["active_parameters"] / active - 1) < 5e-3, report["active_parameters"])
        suite.check(f"bytes of {name}", abs(report["file_bytes"] / file_bytes - 1) < 3e-3, report["file_bytes"])
        suite.check(f"cache of {name}", report["kv_bytes_per_token"] == kv, report["kv_bytes_per_token"])
        suite.check(f"prediction layer of {name}", report["nextn"]["tensors"] == nextn, report["nextn"])
        suite.check(f"share of {name}", abs(report["share_per_token"] * report["weight_bytes"] - report["bytes_per_token"]) < 1e3)
        suite.check(f"contexts of {name}", [m["context"] for m in report["memory"]]
                    == [n for n in (4096, 32768) if n < report["context_length"]] + [report["context_length"]])
    v3 = SHAPES / "deepseek-v3.json"
    text = suite.run("show", v3).stdout.decode()
    for wanted in ("not here; as the configuration says, in fp8", "8 of 256 per token", "671.03 B, 36.63 B active",
                   "1 prediction layer, 1,564 tensors", "not used yet", "128 heads over a latent of 512"):
        suite.check(f"show V3: {wanted}", wanted in text, text)
    q4 = json.loads(suite.run("show", v3, "--type", "q4_k_m", "--json").stdout)
    suite.check("V3 in q4_k_m", q4["planned"] == "q4_k_m" and abs(q4["file_bytes"] / 404.4e9 - 1) < 3e-3
                and q4["parameters"] == 671026419200, (q4["planned"], q4["file_bytes"], q4["parameters"]))
    folder = suite.work / "config-only"
    folder.mkdir(exist_ok=True)
    shutil.copy(v3, folder / "config.json")
    alone = json.loads(suite.run("show", folder, "--json").stdout)
    suite.check("a folder with config.json alone", alone["planned"] == "fp8" and alone["parameters"] == 671026419200)
    suite.fails("--type with weights", 2, "has weights", "show", tiny("llama"), "--type", "q8_0")
    suite.fails("an unknown type", 2, "q4_k_m", "show", v3, "--type", "q9")
    fp8 = json.loads(suite.run("show", TINY_MOE / "deepseek_v3_fp8", "--json", "--tensors").stdout)
    parameters = sum(math.prod(t["shape"]) for t in fp8["tensors"] if not t["name"].endswith("_scale_inv"))
    suite.check("FP8 scales are no parameters", fp8["parameters"] == parameters and fp8["planned"] is None,
                (fp8["parameters"], parameters))
    mtp = json.loads(suite.run("show", TINY_MOE / "deepseek_v3_mtp", "--json", "--tensors").stdout)
    layer = f"model.layers.{mtp['config']['layers']}."
    own = [t for t in mtp["tensors"] if t["name"].startswith(layer)]
    suite.check("prediction tensors of a checkpoint", own and mtp["nextn"]["tensors"] == len(own)
                and mtp["nextn"]["bytes"] == sum(t["bytes"] for t in own), mtp["nextn"])


def test_gen(suite):
    out = suite.work / "gen"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    config = TINY_MOE / "deepseek_v2_lite"
    for name, flags in (("a.gguf", ()), ("b.gguf", ("-t", "1")), ("c.gguf", ("--seed", "2")), ("d.gguf", ("--std", "0.5"))):
        result = suite.run("gen", config, "-o", out / name, *flags)
        suite.check(f"gen {name}", result.returncode == 0, result.stderr)
    digest = [(out / f"{n}.gguf").read_bytes() for n in "abcd"]
    suite.check("the same seed, the same bytes", digest[0] == digest[1] and len(set(digest)) == 3)
    suite.run("eval", "logits", out / "a.gguf", "--ids", "1,2,3,4", "-o", out / "logits.f32")
    logits = read_floats(out / "logits.f32")
    suite.check("finite logits of ordinary size", all(math.isfinite(x) for x in logits) and 0.05 < max(map(abs, logits)) < 50,
                max(map(abs, logits)))
    suite.check("gen fp8", suite.run("gen", config, "-o", out / "fp8", "--type", "fp8", "--layers", "2",
                                     "--shard-size", "100kB").returncode == 0)
    report = json.loads(suite.run("show", out / "fp8", "--json").stdout)
    suite.check("its layers and types", report["config"]["layers"] == 2
                and any(g["type"] == "F8_E4M3" for g in report["tensor_groups"]), report["tensor_groups"])
    suite.fails("a name that is taken", 1, "there is something of that name", "gen", config, "-o", out / "a.gguf")
    suite.fails("fp8 in a GGUF", 2, "a GGUF cannot hold it", "gen", config, "-o", out / "x.gguf", "--type", "fp8")
    suite.fails("q4_k_m in safetensors", 2, "safetensors cannot hold it", "gen", config, "-o", out / "x", "--type", "q4_k_m")
    suite.fails("more layers than there are", 2, "--layers", "gen", config, "-o", out / "x.gguf", "--layers", "99")
    suite.fails("a full disk", 1, "bytes are needed", "gen", SHAPES / "kimi-k2.json", "-o", out / "k2")
    suite.fails("a folder that is not there", 1, "nowhere", "gen", config, "-o", out / "nowhere" / "x.gguf")
    process = subprocess.Popen([suite.minke, "gen", str(SHAPES / "deepseek-r1-distill-qwen-1.5b.json"), "-o", str(out / "stopped.gguf")],
                               stderr=subprocess.PIPE, env=suite.env)
    while not (out / "stopped.gguf.part").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate()
    suite.check("Ctrl-C leaves nothing", process.returncode == 130 and not list(out.glob("stopped*")), list(out.glob("stopped*")))


def test_many_shards(suite):
    """V3's real shape as published: 91 thousand tensors in about 160 files; the data are holes."""
    out = suite.work / "v3-sparse"
    shutil.rmtree(out, ignore_errors=True)
    result = suite.run("gen", SHAPES / "deepseek-v3.json", "-o", out, "--sparse")
    suite.check("gen --sparse", result.returncode == 0, result.stderr)
    shards = sorted(out.glob("*.safetensors"))
    start = time.monotonic()
    report = json.loads(suite.run("show", out, "--json").stdout)
    seconds = time.monotonic() - start
    tensors = sum(g["tensors"] for g in report["tensor_groups"]) + report["nextn"]["tensors"]
    print(f"V3: {tensors} tensors in {len(shards)} shards opened and measured in {seconds:.2f} s")
    suite.check("tensors and shards", tensors > 91000 and 155 <= len(shards) <= 170, (tensors, len(shards)))
    suite.check("opened in seconds", seconds < 15, seconds)  # 3 s alone on two cores of an AMD EPYC
    shard = shards[40]
    with open(shard, "r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        file.seek(0)
        text = file.read(8 + length)
        name = re.search(rb'"(model\.layers\.\d+\.mlp\.experts\.\d+\.up_proj\.weight)"', text)[1]
        at = text.index(b'"F8_E4M3"', text.index(name))
        file.seek(at)
        file.write(b'"F8_E5M2"')
    suite.fails("a wrong type: shard and tensor", 1, f"{re.escape(shard.name)}: tensor '{re.escape(name.decode())}'", "show", out)
    os.truncate(shard, 1 << 20)
    suite.fails("a short shard", 1, re.escape(shard.name), "show", out)
    shard.unlink()
    suite.fails("a missing shard", 1, re.escape(shard.name) + ": the shard is missing", "show", out)
    shutil.rmtree(out)


LLAMA_BENCH_KEYS = """build_commit build_number cpu_info gpu_info backends model_filename model_type model_size
    model_n_params n_batch n_ubatch n_threads cpu_mask cpu_strict poll type_k type_v n_gpu_layers n_cpu_moe split_mode
    main_gpu no_kv_offload flash_attn devices tensor_split tensor_buft_overrides use_mmap embeddings no_op_offload
    n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts stddev_ts samples_ns samples_ts""".split()


def test_bench(suite):
    model = tiny_gguf("qwen2")
    bench = ["bench", model, "-p", "16,32", "-n", "4", "-d", "0,8", "-r", "3", "-t", "1-2", "-pg", "8,2"]
    result = suite.run(*bench, "-o", "json")
    tests = json.loads(result.stdout)
    shapes = [(t["n_threads"], t["n_depth"], t["n_prompt"], t["n_gen"]) for t in tests]
    expected = [(threads, depth, *lengths) for threads in (1, 2) for depth in (0, 8)
                for lengths in ((16, 0), (32, 0), (0, 4), (8, 2))]
    suite.check("bench: tests and their order", shapes == expected, shapes)
    suite.check("bench: llama-bench's keys", all(set(LLAMA_BENCH_KEYS) <= set(t) for t in tests),
                [set(LLAMA_BENCH_KEYS) - set(t) for t in tests])
    for t in tests:
        tokens = t["n_prompt"] + t["n_gen"]
        rates = [1e9 * tokens / ns for ns in t["samples_ns"]]
        good = (len(rates) == 3 and all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(rates, t["samples_ts"]))
                and math.isclose(t["avg_ts"], sum(rates) / 3, rel_tol=1e-3) and t["avg_ts"] > 0
                and abs(t["avg_ns"] - sum(t["samples_ns"]) / 3) <= 1
                and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", t["test_time"]) is not None)
        suite.check("bench: samples and their means", good, t)
    suite.check("bench: what was run", tests[0]["model_type"].startswith("qwen2 ") and tests[0]["cpu_info"]
                and tests[0]["model_filename"] == str(model) and tests[0]["type_k"] == "bf16", tests[0])
    lines = suite.run("bench", "-m", model, "-p", "8", "-n", "0", "-r", "1", "-o", "jsonl", "-ngl", "99", "-fa", "1")
    suite.check("bench: JSON lines; flags for devices are taken and named", len(lines.stdout.splitlines()) == 1
                and json.loads(lines.stdout)["n_prompt"] == 8 and b"--n-gpu-layers" in lines.stderr, lines.stderr)
    table = suite.run("bench", model, model, "-p", "8", "-n", "2", "-r", "2", "-oe", "csv", "-ub", "4")
    rows = table.stdout.decode().splitlines()
    suite.check("bench: table", rows[0].startswith("| model ") and len(rows) == 8 and rows[-1].startswith("build: ")
                and re.search(r"\| +pp8 \| +[\d.]+ ± [\d.]+ \|$", rows[2]), table.stdout)
    read = list(csv.DictReader(table.stderr.decode().splitlines()))
    suite.check("bench: -oe", len(read) == 4 and read[0]["n_ubatch"] == "4" and float(read[0]["avg_ts"]) > 0, table.stderr)
    layer = suite.run("bench", "--layer", "deepseek-r1-distill-qwen-1.5b", "--rows", "1", "-d", "64", "--types", "Q4_K",
                      "-r", "1", "--bandwidth", "100", "-o", "json")
    parts = json.loads(layer.stdout) if layer.returncode == 0 else []
    suite.check("bench --layer: a name in data/shapes", {"attention"} <= {p["part"] for p in parts}
                and any(p.get("projected_bandwidth") == 100e9 for p in parts), layer.stderr or parts)
    frontiers = suite.run("bench", model, "--frontiers", "16,32,64", "-n", "2", "-r", "2")
    read = list(csv.DictReader(frontiers.stdout.decode().splitlines()))
    suite.check("bench: frontiers", [(r["n_ctx"], r["n_prompt"]) for r in read] == [("16", "16"), ("32", "16"), ("64", "32")]
                and all(float(r["prefill_ts"]) > 0 and float(r["decode_ts"]) > 0 for r in read), frontiers.stdout)
    suite.fails("bench: no model", 2, "which model", "bench")
    suite.fails("bench: a length that is none", 2, '-p: expected numbers from 0 .*got "x"', "bench", model, "-p", "x")
    suite.fails("bench: nothing to do", 2, "leave nothing", "bench", model, "-p", "0", "-n", "0")
    suite.fails("bench: keys and values of two types", 1, "one type for keys and values", "bench", model, "-ctk", "f32",
                "-ctv", "bf16")
    suite.fails("bench: a context that does not fit", 1, "memory|context", "bench", model, "-p", "64m", "--memory", "100MB")


def test_bench_interrupt(suite):
    process = subprocess.Popen([suite.minke, "bench", str(tiny_gguf("qwen2")), "-p", "8", "-n", "8", "-r", "300",
                                "--progress", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=suite.env)
    for line in process.stderr:
        if b"tg8, run 5 " in line:
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    tests = json.loads(out)
    suite.check("bench: Ctrl-C prints what is there", process.returncode == 130 and len(tests) == 2
                and len(tests[0]["samples_ns"]) == 300 and 5 <= len(tests[1]["samples_ns"]) < 300,
                (process.returncode, [len(t["samples_ns"]) for t in tests]))


def test_store(suite):
    store = suite.work / "store"
    shutil.rmtree(store, ignore_errors=True)
    (store / "tiny").mkdir(parents=True)
    shutil.copy(tiny_gguf("qwen2"), store / "tiny" / "model.gguf")
    env = {"MINKE_MODELS": str(store)}
    rows = json.loads(suite.run("list", "--json", env=env).stdout)
    suite.check("list", [r["name"] for r in rows] == ["tiny"] and rows[0]["format"] == "gguf", rows)
    suite.check("ls is list", b"tiny" in suite.run("ls", env=env).stdout)
    suite.check("a store name is a MODEL", suite.run("tokenize", "tiny", "x", env=env).returncode == 0)
    suite.fails("rm asks", 1, "--yes", "rm", "tiny", env=env, stdin=None)
    suite.check("rm --yes", suite.run("rm", "tiny", "--yes", env=env).returncode == 0 and not (store / "tiny").exists())
    suite.fails("rm of nothing", 1, "tiny", "rm", "tiny", "--yes", env=env)
    empty = suite.run("list", env=env)
    suite.check("an empty store", empty.returncode == 0 and not empty.stdout and b"fetch-model" in empty.stderr)
    suite.check("an empty store as JSON", suite.run("list", "--json", env=env).stdout == b"[]\n")


def test_doctor(suite):
    result = suite.run("doctor")
    suite.check("doctor", result.returncode == 0 and all(word in result.stdout for word in (b"kernels", b"threads", b"store")))
    report = json.loads(suite.run("doctor", "--json").stdout)
    limits = report["limits"]
    suite.check("doctor --json: threads and why", report["threads"] == limits[-1]["threads"] <= report["allowed_processors"]
                and report["threads_reason"].startswith(f"{report['threads']}: "), report)
    suite.check("doctor --json: limits", limits[0]["threads"] == 1 and
                all(1e8 < limit["read_bandwidth"] < 1e13 and limit["fp32"] > 1e8 and limit["int8"] > 1e8 for limit in limits),
                limits)
    types = [path["type"] for path in report["paths"]]
    suite.check("doctor --json: the path of every type", len(set(types)) == len(types) and {"Q4_K", "BF16"} <= set(types)
                and all(path["fast"] and path["exact"].startswith("fp32") for path in report["paths"]), report["paths"])
    pinned = subprocess.run(["taskset", "-c", str(min(os.sched_getaffinity(0))), suite.minke, "doctor", "--json"],
                            capture_output=True, env=suite.env) if shutil.which("taskset") else None
    suite.check("doctor: one processor allowed, one thread", pinned is None or json.loads(pinned.stdout)["threads"] == 1, pinned)


def test_bench_kernels(suite):
    result = suite.run("bench", "--kernels", "--types", "Q4_K,BF16", "--rows", "1,64", "-t", "1", "-o", "json")
    tests = json.loads(result.stdout)
    suite.check("bench --kernels", [(t["type"], t["n_rows"]) for t in tests] == [("BF16", 1), ("BF16", 64), ("Q4_K", 1), ("Q4_K", 64)]
                or [(t["type"], t["n_rows"]) for t in tests] == [("Q4_K", 1), ("Q4_K", 64), ("BF16", 1), ("BF16", 64)], result.stderr)
    for t in tests:
        operations = 2 * t["n_rows"] * t["n_outputs"] * t["n_inputs"] / t["seconds"]
        suite.check("bench --kernels: figures fit together", math.isclose(operations, t["operations_per_second"], rel_tol=1e-6)
                    and math.isclose(t["weight_bytes"] / t["seconds"], t["bytes_per_second"], rel_tol=1e-6)
                    and math.isclose(operations / t["arithmetic_limit"], t["arithmetic_share"], rel_tol=1e-6), t)
    suite.fails("bench --kernels: no such type", 2, "--types", "bench", "--kernels", "--types", "Q9")


def test_bench_layer(suite):
    model = GOLDEN / "tiny_moe" / "deepseek_v3"
    flags = ["bench", "--layer", model, "--rows", "1,8", "-d", "64,128", "-t", "1", "--types", "BF16"]
    parts = json.loads(suite.run(*flags, "--bandwidth", "100", "-o", "json").stdout)
    config = json.loads((model / "config.json").read_text())
    shapes = [(p["part"], p["n_tokens"], p["n_ctx"], p["projected_bandwidth"] > 0) for p in parts]
    expected = [row for n in (1, 8) for row in [("feed-forward", n, 0, False)] + [
        (part, n, c, at) for c in (64, 128) for part, at in (("attention", False), ("model", False), ("model", True))]]
    suite.check("bench --layer: parts", shapes == expected, shapes)
    layers = config["num_hidden_layers"]
    whole = next(p for p in parts if p["part"] == "model")
    attention = next(p for p in parts if p["part"] == "attention")
    suite.check("bench --layer: the model is more than its attention", whole["seconds"] > layers * attention["seconds"] > 0
                and math.isclose(whole["tokens_per_second"] * whole["seconds"], 1, rel_tol=1e-6), (whole, attention))
    suite.fails("bench --layer: too little memory", 1, r"one layer of .* needs .* and 1.00 MB are available", *flags, "--memory", "1MB")
    suite.fails("bench --layer: no such shape", 1, "nowhere", "bench", "--layer", "nowhere")


def smollm2(suite):
    rows = json.loads(suite.run("list", "--json").stdout or b"[]")
    return next((r["path"] for r in rows if r["name"] == "smollm2" and "problem" not in r), None)


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, suite, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update({**suite.env, "TERM": "xterm", "XDG_STATE_HOME": str(suite.work / "state")})
            os.execv(suite.minke, [suite.minke, *map(str, args)])
        self.text = ""

    def wait_for(self, pattern, seconds=90):
        end = time.time() + seconds
        while not re.search(pattern, self.text):
            ready = select.select([self.fd], [], [], max(0, end - time.time()))[0]
            try:
                data = os.read(self.fd, 65536) if ready else b""
            except OSError:
                data = b""
            if not data:
                return False
            self.text += data.decode(errors="replace")
        self.text = self.text[re.search(pattern, self.text).end():]
        return True

    def send(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        self.wait_for("$.^", 20)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_smollm2(suite):
    model = smollm2(suite)
    if model is None:
        print("SKIPPED: smollm2 is not in the model store")
        return
    wall, cpu = min(first_token_seconds(suite, model) for _ in range(3))
    # On a machine that is busy with other things the clock says nothing; the work done must fit all the same.
    busy = os.getloadavg()[0] > len(os.sched_getaffinity(0))
    suite.check("a first token within half a second", (cpu if busy else wall) < 0.5, f"{wall:.2f} s, {cpu:.2f} s of CPU")
    result = suite.run("run", model, "What is the capital of France?", "--temp", "0", "--numerics", "exact", stdin=None)
    suite.check("an answer", result.stdout == b"The capital of France is Paris.", result.stdout)
    messages = json.dumps([{"role": "user", "content": "Hi <|im_end|>"}]).encode()
    prompt = json.loads(suite.run("show", model, "--render", "-", stdin=messages).stdout)
    suite.check("render", prompt["text"].endswith("<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n"), prompt)
    suite.check("a user's control text stays text", prompt["ids"].count(2) == 2, prompt)
    text = suite.run("detokenize", model, stdin=json.dumps(prompt["ids"]).encode()).stdout.decode()
    suite.check("rendered ids are the text", text == prompt["text"], text)
    # What is reused are whole blocks of 64 tokens: the system prompt fills one.
    terminal = Terminal(suite, "run", model, "--temp", "0", "--system", "You answer in one short sentence. " * 10)
    suite.check("chat: prompt", terminal.wait_for(">>> "), terminal.text)
    terminal.send("Say hello.\n")
    suite.check("chat: footer", terminal.wait_for(r"decode \d+ tokens"), terminal.text)
    suite.check("chat: prompt again", terminal.wait_for(">>> "), terminal.text)
    terminal.send("And again.\n")
    suite.check("chat: the conversation is cached", terminal.wait_for(r"cache (64|128|192|256)\b"), terminal.text)
    terminal.wait_for(">>> ")
    terminal.send("Write a very long story.\n")
    time.sleep(1)
    terminal.send("\x03")
    suite.check("chat: Ctrl-C stops the reply", terminal.wait_for(">>> "), terminal.text)
    terminal.send("/bye\n")
    suite.check("chat: /bye", terminal.status() == 0)


def first_token_seconds(suite, model):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    suite.run("run", model, "-p", "Hi", "-n", "1", "-q")
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", required=True, type=os.path.abspath)
    parser.add_argument("--tools", help="not used here")
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--only", help="run the tests whose name contains this")
    arguments = parser.parse_args()
    work = arguments.work.resolve() / "cli"
    work.mkdir(parents=True, exist_ok=True)
    suite = Suite(arguments.minke, work)
    for name, test in list(globals().items()):
        if name.startswith("test_") and (arguments.only or "") in name:
            try:
                test(suite)
            except Exception as error:  # a broken test must not hide the others
                suite.check(name, False, repr(error))
    print(f"{suite.passed} passed, {suite.failed} failed")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
