#!/usr/bin/env python3
"""Black-box tests of `minke run` on DeepSeek's family: R1's and V3.1's prompts and defaults, Kimi-K2's tokenizer.

    cli_deepseek.py --minke PATH --work DIR

Uses the tiny checkpoints in tests/golden, with vocabularies made here. Needs nothing but Python. Ends with
"N passed, N failed"; the exit status is 1 when one failed.
"""

import argparse
import json
import pathlib
import shutil
import struct
import sys

from cli import GOLDEN, Suite

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # GGUF's number of a type: bytes
STRING, ARRAY, INT, BOOL = 8, 9, 5, 7
CONTROL = 3  # a token's type
# Where DeepSeek's tokens stand is the vocabulary's business: here none has the id of a real one.
R1_TOKENS = {0: "<｜▁pad▁｜>", 1: "<｜begin▁of▁sentence｜>", 2: "<｜end▁of▁sentence｜>", 258: "<｜place▁holder▁no▁0｜>",
             259: "<｜User｜>", 260: "<｜Assistant｜>", 261: "<think>", 262: "</think>"}
BOS, USER, ASSISTANT, THINK, END_THINK = 1, 259, 260, 261, 262


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def strings(values):
    return struct.pack("<IQ", STRING, len(values)) + b"".join(map(string, values))


class Gguf:
    """A GGUF's metadata as raw values; the tensors stay bytes."""

    def __init__(self, path):
        self.data, self.at, self.keys = path.read_bytes(), 24, {}
        self.tensors, count = struct.unpack_from("<QQ", self.data, 8)
        for _ in range(count):
            name = self.take_string()
            kind = self.take("<I")
            start = self.at
            self.skip(kind)
            self.keys[name] = (kind, self.data[start:self.at])
        self.infos = self.at
        for _ in range(self.tensors):
            self.take_string()
            dimensions = self.take("<I")
            self.at += 8 * dimensions + 4 + 8
        self.header_end, self.bytes_at = self.at, -(-self.at // 32) * 32

    def take(self, form):
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def take_string(self):
        size = self.take("<Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip(self, kind):
        if kind == STRING:
            self.take_string()
        elif kind == ARRAY:
            inner, count = self.take("<I"), self.take("<Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.at += SIZES[kind]

    def strings(self, key):
        raw = self.keys[key][1]
        values, at = [], 12
        while at < len(raw):
            size = struct.unpack_from("<Q", raw, at)[0]
            values.append(raw[at + 8:at + 8 + size].decode())
            at += 8 + size
        return values

    def write(self, path):
        out = b"GGUF" + struct.pack("<IQQ", 3, self.tensors, len(self.keys))
        for name, (kind, value) in self.keys.items():
            out += string(name) + struct.pack("<I", kind) + value
        out += self.data[self.infos:self.header_end]
        path.write_bytes(out + bytes(-len(out) % 32) + self.data[self.bytes_at:])
        return path


def with_tokens(suite, name, tokens, **metadata):
    """tiny_moe_gguf/deepseek_v3 with other tokens in its vocabulary, no merges, and V3's pre-tokenizer."""
    gguf = Gguf(GOLDEN / "tiny_moe_gguf" / "deepseek_v3.gguf")
    vocabulary = gguf.strings("tokenizer.ggml.tokens")
    types = [1] * len(vocabulary)
    for token, spelling in tokens.items():
        vocabulary[token], types[token] = spelling, CONTROL
    gguf.keys["tokenizer.ggml.tokens"] = (ARRAY, strings(vocabulary))
    gguf.keys["tokenizer.ggml.token_type"] = (ARRAY, struct.pack(f"<IQ{len(types)}i", INT, len(types), *types))
    gguf.keys["tokenizer.ggml.merges"] = (ARRAY, strings([]))
    gguf.keys["tokenizer.ggml.pre"] = (STRING, string(metadata.get("pre", "deepseek-v3")))
    gguf.keys["tokenizer.ggml.add_bos_token"] = (BOOL, b"\x01")  # the prompt has it already
    return gguf.write(suite.work / f"{name}.gguf")


def prompt_ids(suite, model, messages, *flags):
    done = suite.run("show", model, "--render", "-", *flags, stdin=json.dumps(messages).encode())
    return json.loads(done.stdout)["ids"] if done.returncode == 0 else done.stderr


def test_r1(suite):
    model = with_tokens(suite, "r1", R1_TOKENS)
    done = suite.run("run", model, "Hi", "-n", "5", "-v", "--seed", "1", "--json", "-c", "64", stdin=None)
    said = done.stderr.decode()
    suite.check("R1's defaults", "temperature 0.6, top-p 0.95, seed 1 (defaults as advised for deepseek-r1)" in said, said)
    suite.check("R1's encoding", "encoding deepseek-r1" in said, said)
    suite.check("no advice without a system prompt", "advises" not in said, said)
    reply = json.loads(done.stdout or b"{}")
    ids = prompt_ids(suite, model, [{"role": "user", "content": "Hi"}])
    suite.check("one BOS, and the prompt opens <think>", len(ids) == 7 and ids[:2] == [BOS, USER] and
                ids[4:6] == [ASSISTANT, THINK] and ids.count(BOS) == 1, ids)
    suite.check("run says the same prompt", reply.get("prompt_tokens") == 7, reply)
    thought = json.loads(suite.run("run", model, "Hi", "-n", "5", "--json", "-c", "64", "--logit-bias", f"{END_THINK}=-100",
                                   "--think-max", "-1", stdin=None).stdout)
    suite.check("the reply begins inside the thinking", thought["ids"] and END_THINK not in thought["ids"] and
                thought["thinking"] and not thought["content"], thought)
    system = suite.run("run", model, "Hi", "--system", "Be brief.", "-n", "2", "-c", "64", stdin=None)
    suite.check("a system prompt is taken, and the advice said", system.returncode == 0 and
                b"without a system prompt" in system.stderr and b"temperature 0.6" in system.stderr, system.stderr)
    warm = suite.run("run", model, "Hi", "--temp", "1.5", "-v", "-n", "2", "-c", "64", stdin=None)
    suite.check("not forced", b"temperature 1.5" in warm.stderr, warm.stderr)
    spelt = prompt_ids(suite, model, [{"role": "user", "content": "<think>"}])
    suite.check("a user's <think> is text", spelt.count(THINK) == 1, spelt)
    off = prompt_ids(suite, model, [{"role": "user", "content": "Hi"}], "--think", "off")
    suite.check("--think off closes the block", THINK in off and END_THINK in off, off)


def test_v31(suite):
    model = with_tokens(suite, "v31", {**R1_TOKENS, 257: "<｜search▁begin｜>"})
    hi = [{"role": "user", "content": "Hi"}]
    chat, thinking = prompt_ids(suite, model, hi), prompt_ids(suite, model, hi, "--think", "on")
    suite.check("V3.1 does not think unless asked", chat[-2:] == [ASSISTANT, END_THINK], chat)
    suite.check("V3.1 thinks", thinking[-2:] == [ASSISTANT, THINK] and thinking[:-1] == chat[:-1], thinking)


def kimi(suite):
    folder = suite.work / "kimi"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(GOLDEN / "tiny_moe" / "kimi_k2", folder)
    (folder / "tiktoken.model").write_text("IQ== 0\n")
    return folder


def test_kimi(suite):
    folder = kimi(suite)
    suite.fails("Kimi-K2's tokenizer", 1, r"tiktoken\.model: expected a tokenizer\.json(.|\n)*hint: .*eval logits --ids",
                "run", folder, "Hi")
    (folder / "tiktoken.model").rename(folder / "tokenizer.model")
    suite.fails("a SentencePiece vocabulary", 1, r"tokenizer\.model: expected a tokenizer\.json", "run", folder, "Hi")
    out = suite.work / "kimi.f32"
    logits = suite.run("eval", "logits", folder, "--ids", f"@{folder}/ids.json", "-o", out)
    suite.check("Kimi-K2's logits need no tokenizer", logits.returncode == 0 and
                out.stat().st_size == (folder / "logits.f32").stat().st_size, logits.stderr)
    gguf = with_tokens(suite, "kimi", {}, pre="kimi-k2")
    suite.fails("Kimi-K2's pre-tokenizer in a GGUF", 1, r"tokenizer\.ggml\.pre: no pre-tokenizer .*kimi-k2", "run", gguf, "Hi")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    work = arguments.work.resolve() / "cli_deepseek"
    work.mkdir(parents=True, exist_ok=True)
    suite = Suite(arguments.minke, work)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            try:
                test(suite)
            except Exception as error:  # a broken test must not hide the others
                suite.check(name, False, repr(error))
    print(f"{suite.passed} passed, {suite.failed} failed")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
