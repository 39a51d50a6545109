"""What `minke show` says before a model is loaded, beside what loading and running it takes: memory, and decode speed.

  memory   the most anonymous memory of a process whose context of 4,096 tokens is full, within 5 % of the estimate (and
           the program itself)
  speed    decode and prompts of 512 tokens beside their estimates: printed, for they depend on what else runs

usage: estimates.py --minke BINARY --gguf FILE... [--long]
Without --long: the smallest of the models. Needs nothing but Python and /proc.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CONTEXT = 4096
# The program and the C++ library, thread stacks, the tokenizer's tables: no part of the estimate.
BESIDES = 40e6
TOLERANCE = 0.05


def anonymous_bytes(pid):
    """Pages that belong to the process alone; those of mapped files are the page cache's."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(("RssAnon", "RssShmem")))
    except OSError:
        return 0


def most_memory(command):
    """Status and the most anonymous memory, looked at every 10 ms."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, anonymous_bytes(process.pid))
        time.sleep(0.01)
    return process.returncode, most


def output_of(*command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def check(minke, path):
    name = os.path.basename(path)
    report = output_of(minke, "show", path, "--json")
    estimate = next(m["bytes"] for m in report["memory"] if m["context"] == CONTEXT)
    # The last position of the context is decoded.
    status, most = most_memory([minke, "bench", path, "-p", "0", "-n", "4", "-d", str(CONTEXT - 4), "-r", "1",
                                "--no-warmup"])
    good = status == 0 and abs(most - estimate) <= TOLERANCE * estimate + BESIDES
    print(f"{'ok    ' if good else 'FAILED'} {name}: {most / 1e6:.0f} MB used, {estimate / 1e6:.0f} MB estimated "
          f"({most / estimate:.3f}), status {status}")
    runs = output_of(minke, "bench", path, "-p", "512", "-n", "32", "-r", "3", "-o", "json")
    for word, run, key in (("prompt", runs[0], "prefill_tokens_per_second"),
                           ("decode", runs[1], "decode_tokens_per_second")):
        print(f"       {name}: {word} {statistics.median(run['samples_ts']):.1f} tokens/s, {report[key]:.1f} estimated "
              f"({statistics.median(run['samples_ts']) / report[key]:.2f})", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", required=True, type=os.path.abspath)
    parser.add_argument("--gguf", action="append", default=[])
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args()
    if not args.gguf or not os.path.exists("/proc/self/status"):
        print("SKIPPED: no model, or no /proc")
        return 77
    models = sorted(args.gguf, key=os.path.getsize)
    results = [check(args.minke, path) for path in (models if args.long else models[:1])]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
