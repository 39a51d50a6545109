#!/usr/bin/env python3
"""What HTTP costs: the load of `minke bench engine` through `minke serve`, beside that benchmark itself.

usage: http_speed.py --minke BINARY MODEL [--users N] [--prompt N] [--output N] [--runs N] [--whole]

Each run starts a server, sends all requests at once (streams; --whole: replies in one piece), and then runs `minke bench
engine` with the same numbers: prompts of random token ids, greedy replies to their full length, the cache cold. Prints
output tokens per second and the median time to the first token of each, and the ratio of the medians over all runs. The
client shares the processors with the server.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import time

URL = re.compile(r"is served at http://127\.0\.0\.1:([0-9]+)/v1")
KINDS = ("output_throughput", "median_ttft_ms")


def start(args):
    process = subprocess.Popen([args.minke, "serve", args.model, "--port", "0", "--parallel", str(args.users), "--no-access-log",
                                "--ctx-size", str(args.prompt + args.output)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"MINKE_CACHE_DISK": "0"})
    for line in process.stderr:
        if match := URL.search(line):
            return process, int(match[1])
    raise SystemExit("the server did not start")


async def one(port, body, start_time):
    """Seconds to the first token, and output tokens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    payload = json.dumps(body).encode()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" %
                 len(payload) + payload)
    first, tail = None, b""
    while data := await reader.read(1 << 16):
        if first is None and b'"text"' in data:
            first = time.perf_counter() - start_time
        tail = (tail + data)[-4000:]
    writer.close()
    counts = re.findall(rb'"completion_tokens":([0-9]+)', tail)
    if not counts:
        raise SystemExit(f"a reply without its end: {tail[-300:]!r}")
    return first, int(counts[-1])


async def crowd(args, port, seed):
    draw = random.Random(seed)
    bodies = []
    for _ in range(args.users):
        body = {"model": args.model, "prompt": [draw.randrange(1000, 30000) for _ in range(args.prompt)],
                "max_tokens": args.output, "temperature": 0, "ignore_eos": True, "stream": not args.whole}
        if not args.whole:
            body["stream_options"] = {"include_usage": True}
        bodies.append(body)
    begin = time.perf_counter()
    results = await asyncio.gather(*[one(port, body, begin) for body in bodies])
    seconds = time.perf_counter() - begin
    return {"output_throughput": sum(tokens for _, tokens in results) / seconds,
            "median_ttft_ms": 1000 * statistics.median(first for first, _ in results)}


def through_http(args, seed):
    process, port = start(args)
    try:
        return asyncio.run(crowd(args, port, seed))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def engine_alone(args):
    run = subprocess.run([args.minke, "bench", "engine", args.model, "--users", str(args.users), "--prompt", str(args.prompt),
                          "--output", str(args.output), "--json"], stdout=subprocess.PIPE, check=True)
    record = json.loads(run.stdout)
    return {kind: record[kind] for kind in KINDS}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("model")
    for name, default in (("users", 16), ("prompt", 256), ("output", 64), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--whole", action="store_true")
    args = parser.parse_args()
    both = {"http": [], "engine": []}
    for run in range(args.runs):
        both["http"].append(through_http(args, run))
        both["engine"].append(engine_alone(args))
    for kind in KINDS:
        http, engine = (statistics.median(r[kind] for r in both[way]) for way in ("http", "engine"))
        print(f"{kind:18} http {http:10.1f}  engine {engine:10.1f}  ratio {http / engine:.3f}")


if __name__ == "__main__":
    main()
