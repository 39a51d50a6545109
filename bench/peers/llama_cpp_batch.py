#!/usr/bin/env python3
"""llama.cpp serving many users at once through its batch interface: what `minke bench engine` measures, of llama.cpp.

    llama_cpp_batch.py -m FILE.gguf --users 16 --prompt 256 --output 64 -t 2

Needs the package llama-cpp-python (compare.py --install builds it). Distinct random prompts, a cold cache, replies of
full length, greedily: all prompts are handed over n_batch tokens at a time, each one's last token with its logits; then
every step decodes one token of each sequence. Tokens are drawn with numpy's argmax, and their time counts, as the
engine's own drawing does. Prints JSON with the keys of `minke bench engine --json`.
"""

import argparse
import ctypes
import json
import os
import random
import statistics
import sys
import time

import llama_cpp_bench


class Batch:
    def __init__(self, lc, capacity):
        self.lc, self.raw, self.capacity = lc, lc.llama_batch_init(capacity, 0, 1), capacity
        self.raw.n_tokens = 0

    def add(self, token, position, sequence, logits):
        at = self.raw.n_tokens
        self.raw.token[at], self.raw.pos[at], self.raw.n_seq_id[at] = token, position, 1
        self.raw.seq_id[at][0], self.raw.logits[at] = sequence, logits
        self.raw.n_tokens += 1
        return at

    def decode(self, context):
        if self.lc.llama_decode(context, self.raw) != 0:
            sys.exit("llama.cpp failed to decode")
        self.raw.n_tokens = 0


def make_context(lc, model, arguments):
    params = lc.llama_context_default_params()
    length = arguments.prompt + arguments.output
    params.n_ctx, params.n_seq_max = arguments.users * length, arguments.users
    params.n_batch, params.n_ubatch = arguments.batch, min(arguments.ubatch, arguments.batch)
    params.n_threads = params.n_threads_batch = arguments.threads
    params.flash_attn_type = arguments.flash
    params.kv_unified = bool(arguments.unified)
    context = lc.llama_init_from_model(model.model, params)
    if not context:
        sys.exit("llama.cpp makes no context of that size")
    return context


def draw(lc, context, index, size):
    import numpy

    return int(numpy.ctypeslib.as_array(lc.llama_get_logits_ith(context, index), shape=(size,)).argmax())


def serve(lc, model, arguments):
    """Times at which each user's tokens came, from the start."""
    context = make_context(lc, model, arguments)
    random_ids = random.Random(1)
    prompts = [[random_ids.randrange(model.vocab_size) for _ in range(arguments.prompt)] for _ in range(arguments.users)]
    batch = Batch(lc, max(arguments.batch, arguments.users))
    tokens, times = [0] * arguments.users, [[] for _ in range(arguments.users)]
    start = time.perf_counter()

    def step(ends):
        batch.decode(context)
        for user, index in ends:
            tokens[user] = draw(lc, context, index, model.vocab_size)
            times[user].append(time.perf_counter() - start)

    ends = []
    for user, prompt in enumerate(prompts):
        for position, token in enumerate(prompt):
            last = position + 1 == len(prompt)
            at = batch.add(token, position, user, last)
            if last:
                ends.append((user, at))
            if batch.raw.n_tokens == arguments.batch:
                step(ends)
                ends = []
    if batch.raw.n_tokens:
        step(ends)
    for position in range(arguments.prompt, arguments.prompt + arguments.output - 1):
        step([(user, batch.add(tokens[user], position, user, True)) for user in range(arguments.users)])
    lc.llama_free(context)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=256, help="tokens of each prompt")
    parser.add_argument("--output", type=int, default=64, help="tokens of each reply")
    parser.add_argument("-t", dest="threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-b", dest="batch", type=int, default=512)
    parser.add_argument("-ub", dest="ubatch", type=int, default=512)
    parser.add_argument("-fa", dest="flash", type=int, choices=[0, 1], default=1)
    parser.add_argument("--unified", type=int, choices=[0, 1], default=0, help="one KV buffer for all sequences")
    arguments = parser.parse_args()
    import llama_cpp as lc

    quiet = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(quiet, ctypes.c_void_p(0))
    model = llama_cpp_bench.Model(lc, arguments.model)
    times = serve(lc, model, arguments)
    gaps = sorted(1000 * (b - a) for user in times for a, b in zip(user, user[1:]))
    total = max(user[-1] for user in times)
    print(json.dumps({
        "users": arguments.users, "prompt": arguments.prompt, "output": arguments.output, "threads": arguments.threads,
        "duration": total, "output_throughput": arguments.users * arguments.output / total,
        "median_ttft_ms": 1000 * statistics.median(user[0] for user in times),
        "median_itl_ms": statistics.median(gaps), "p95_itl_ms": gaps[int(0.95 * (len(gaps) - 1))],
    }, indent=2))


if __name__ == "__main__":
    main()
