#!/usr/bin/env python3
"""llama.cpp's speed through its C interface, with llama-bench's flags and JSON keys.

    llama_cpp_bench.py -m FILE.gguf -p 512,2048 -n 128 -d 0,4096 -t 1,2 -r 5 -fa 1

Needs the package llama-cpp-python (compare.py --install builds it) and nothing else. Prints JSON on standard output.
Prompts are random tokens, handed over n_batch at a time; decoding feeds random tokens one by one and asks for the
logits of each, as llama-bench does. Every test is run once before it is timed.
"""

import argparse
import contextlib
import ctypes
import datetime
import json
import os
import random
import statistics
import sys
import time


def numbers(text):
    return [int(value) for value in text.split(",")]


class Model:
    def __init__(self, lc, path, repack=True):
        self.lc = lc
        params = lc.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = repack
        self.model = lc.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        vocab = lc.llama_model_get_vocab(self.model)
        self.vocab_size = lc.llama_vocab_n_tokens(vocab)
        text = ctypes.create_string_buffer(256)
        lc.llama_model_desc(self.model, text, len(text))
        self.description = text.value.decode(errors="replace")

    def context(self, length, threads, batch, ubatch, flash):
        lc = self.lc
        params = lc.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = length, min(batch, length), min(ubatch, length)
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = flash
        context = lc.llama_init_from_model(self.model, params)
        if not context:
            sys.exit("llama.cpp makes no context of that size")
        return context


class Run:
    """One context and what is done in it."""

    def __init__(self, model, context, batch, tokens):
        self.lc, self.context, self.batch, self.tokens = model.lc, context, batch, tokens
        self.memory = self.lc.llama_get_memory(context)

    def feed(self, first, end):
        """Positions first..end-1, n_batch at a time; logits of each piece's last token."""
        for at in range(first, end, self.batch):
            piece = self.tokens[at:min(at + self.batch, end)]
            ids = (self.lc.llama_token * len(piece))(*piece)
            if self.lc.llama_decode(self.context, self.lc.llama_batch_get_one(ids, len(piece))) != 0:
                sys.exit("llama.cpp failed to decode")

    def timed(self, prompt, gen, depth):
        self.lc.llama_memory_clear(self.memory, True)
        self.feed(0, depth)
        start = time.perf_counter_ns()
        if prompt:
            self.feed(depth, depth + prompt)
        for at in range(depth + prompt, depth + prompt + gen):
            self.feed(at, at + 1)
        return time.perf_counter_ns() - start


def record(arguments, model, threads, prompt, gen, depth, samples, started):
    rates = [1e9 * (prompt + gen) / ns for ns in samples]
    lc = model.lc
    return {
        "build_commit": f"llama-cpp-python {arguments.version}", "cpu_info": arguments.cpu,
        "system_info": lc.llama_print_system_info().decode().strip(),
        "model_filename": str(arguments.model), "model_type": model.description,
        "model_size": lc.llama_model_size(model.model), "model_n_params": lc.llama_model_n_params(model.model),
        "n_batch": arguments.batch, "n_ubatch": arguments.ubatch, "n_threads": threads, "type_k": "f16", "type_v": "f16",
        "flash_attn": bool(arguments.flash), "n_prompt": prompt, "n_gen": gen, "n_depth": depth, "test_time": started,
        "avg_ns": round(statistics.fmean(samples)),
        "stddev_ns": round(statistics.stdev(samples)) if len(samples) > 1 else 0,
        "avg_ts": statistics.fmean(rates), "stddev_ts": statistics.stdev(rates) if len(rates) > 1 else 0.0,
        "samples_ns": samples, "samples_ts": rates,
    }


def processor():
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo", encoding="utf-8"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-p", dest="prompts", type=numbers, default=[512], metavar="N,..")
    parser.add_argument("-n", dest="gens", type=numbers, default=[128], metavar="N,..")
    parser.add_argument("-d", "--n-depth", dest="depths", type=numbers, default=[0], metavar="N,..")
    parser.add_argument("-t", dest="threads", type=numbers, default=[os.cpu_count() or 1], metavar="N,..")
    parser.add_argument("-r", dest="repetitions", type=int, default=5, metavar="N")
    parser.add_argument("-b", dest="batch", type=int, default=2048, metavar="N")
    parser.add_argument("-ub", dest="ubatch", type=int, default=512, metavar="N")
    parser.add_argument("-fa", dest="flash", type=int, choices=[0, 1], default=1, help="flash attention")
    parser.add_argument("--no-repack", action="store_true",
                        help="weights as they are in the file (with AMX, DeepSeek-V2-Lite fails otherwise)")
    parser.add_argument("-o", dest="format", choices=["json"], default="json")
    return parser.parse_args()


def main():
    arguments = parse()
    import llama_cpp as lc  # not before --help could answer

    quiet = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(quiet, ctypes.c_void_p(0))
    arguments.version, arguments.cpu = lc.__version__, processor()
    model = Model(lc, arguments.model, not arguments.no_repack)
    tests = [(p, g, d) for d in arguments.depths
             for p, g in [(p, 0) for p in arguments.prompts if p] + [(0, g) for g in arguments.gens if g]]
    length = max((p + g + d for p, g, d in tests), default=1)
    draw = random.Random(1)
    tokens = [draw.randrange(model.vocab_size) for _ in range(length)]
    results = []
    for threads in arguments.threads:
        context = model.context(length, threads, arguments.batch, arguments.ubatch, arguments.flash)
        run = Run(model, context, min(arguments.batch, length), tokens)
        for prompt, gen, depth in tests:
            started = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            run.timed(prompt, min(gen, 1), 0)
            samples = [run.timed(prompt, gen, depth) for _ in range(arguments.repetitions)]
            results.append(record(arguments, model, threads, prompt, gen, depth, samples, started))
        lc.llama_free(context)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
