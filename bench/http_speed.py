#!/usr/bin/env python3
"""What HTTP costs: the load of `minke bench engine` through `minke serve`, beside that benchmark itself.

usage: http_speed.py --minke BINARY MODEL [--users N] [--prompt N] [--output N] [--every MS] [--runs N] [--whole]

Each run starts a server, sends the requests (streams; --whole: replies in one piece), and then runs `minke bench engine`
with the same numbers: prompts of random token ids, greedy replies to their full length, the cache cold, after a warm-up of
64 + 8 tokens. Prints output tokens per second and the time to the first token (median and 95 % over the users) and between tokens
(median) of each way, and the ratio of the medians over all runs. The client shares the processors with the server; what it took of
them is printed.

With --every MS requests come so far apart, both ways. Without, all at once: then the two are different loads for the time
to the first token. The engine's benchmark has submitted all before the first step begins; through sockets the first
request's step has begun when the second comes, and its reply is then one that the others' prompts are read beside, in
smaller steps (docs/engine.md).
"""

import argparse
import asyncio
import json
import math
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import time

URL = re.compile(r"is served at http://127\.0\.0\.1:([0-9]+)/v1")
KINDS = ("output_throughput", "median_ttft_ms", "p95_ttft_ms", "median_itl_ms")
WARM_UP = (64, 8)


def start(args):
    process = subprocess.Popen([args.minke, "serve", args.model, "--port", "0", "--parallel", str(args.users), "--no-access-log",
                                "--ctx-size", str(max(args.prompt + args.output, 128))], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"MINKE_CACHE_DISK": "0"})
    for line in process.stderr:
        if match := URL.search(line):
            return process, int(match[1])
    raise SystemExit("the server did not start")


async def one(port, payload, at):
    """Sends at the time `at`. When each piece came, seconds after sending, and output tokens."""
    await asyncio.sleep(at - time.perf_counter())
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" %
                 len(payload) + payload)
    times, tail = [], b""
    while data := await reader.read(1 << 16):
        if b'"text"' in data:
            times.append(time.perf_counter() - start)
        tail = (tail + data)[-4000:]
    writer.close()
    counts = re.findall(rb'"completion_tokens":([0-9]+)', tail)
    if not counts:
        raise SystemExit(f"a reply without its end: {tail[-300:]!r}")
    return times, int(counts[-1])


def request(args, draw, prompt, output):
    body = {"model": args.model, "prompt": [draw.randrange(1000, 30000) for _ in range(prompt)], "max_tokens": output,
            "temperature": 0, "ignore_eos": True, "stream": not args.whole}
    if not args.whole:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def percentile(values, share):
    """Nearest rank, as `minke bench engine` has it."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1] if values else 0


async def crowd(args, port, seed):
    draw = random.Random(seed)
    await one(port, request(args, draw, *WARM_UP), 0)
    payloads = [request(args, draw, args.prompt, args.output) for _ in range(args.users)]
    begin = time.perf_counter() + 0.05
    results = await asyncio.gather(*[one(port, payload, begin + i * args.every / 1000) for i, payload in enumerate(payloads)])
    seconds = time.perf_counter() - begin
    firsts = [1000 * times[0] for times, _ in results]
    between = [1000 * (b - a) for times, _ in results for a, b in zip(times, times[1:])]
    return {"output_throughput": sum(tokens for _, tokens in results) / seconds, "median_ttft_ms": percentile(firsts, 0.5),
            "p95_ttft_ms": percentile(firsts, 0.95), "median_itl_ms": percentile(between, 0.5)}


def through_http(args, seed):
    process, port = start(args)
    try:
        return asyncio.run(crowd(args, port, seed))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def engine_alone(args):
    run = subprocess.run([args.minke, "bench", "engine", args.model, "--users", str(args.users), "--prompt", str(args.prompt),
                          "--output", str(args.output), "--every", str(args.every), "--json"],
                         stdout=subprocess.PIPE, check=True)
    record = json.loads(run.stdout)
    return {kind: record[kind] for kind in KINDS}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("model")
    for name, default in (("users", 16), ("prompt", 256), ("output", 64), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--every", type=float, default=0, metavar="MS")
    parser.add_argument("--whole", action="store_true")
    args = parser.parse_args()
    both, client = {"http": [], "engine": []}, 0.0
    for run in range(args.runs):
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        both["http"].append(through_http(args, run))
        after = resource.getrusage(resource.RUSAGE_SELF)
        client += (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / (time.perf_counter() - start)
        both["engine"].append(engine_alone(args))
    for kind in KINDS:
        http, engine = (statistics.median(r[kind] for r in both[way]) for way in ("http", "engine"))
        print(f"{kind:18} http {http:10.1f}  engine {engine:10.1f}  ratio {http / engine:.3f}")
    print(f"the client took {100 * client / args.runs:.1f} % of a processor, loading included in the time")


if __name__ == "__main__":
    main()
