#!/usr/bin/env python3
"""Minke beside other engines: the same file, lengths and threads, in alternation, and the table of ratios.

    compare.py --install                       build llama.cpp (the package llama-cpp-python) into --venv
    compare.py MODEL.gguf.. -p 512,2048 -n 128 -t 1,2
    compare.py MODEL.gguf --llama-bench ~/ik/build/bin/llama-bench --label ik --variant="-rtr 1"

Rivals are llama.cpp, where --venv has it, and any number of programs with llama-bench's flags and JSON (--llama-bench,
each with its --label). Every rival gets its best settings: first each of its variants runs every test --tuning times, and the
fastest one for a test is kept for that test. Then, --rounds times, every engine runs every test once, one engine
after the other, so that what else the machine does meets all alike. Printed: the median of the rounds and, in
brackets, the least and the greatest; the ratio is Minke's median over the rival's.

Processors that other programs used while a run was measured make it slower, and not all engines alike: with --calm 0.05
a run during which they used more than 0.05 processors is repeated, up to ten times; the calmest one counts.

A MODEL is a GGUF file. Tests with a depth are skipped for rivals whose llama-bench knows neither -d nor -gp.
"""

import argparse
import json
import math
import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
# Flash attention helps or hurts by processor (ggml-org/llama.cpp issue 27086); so does the micro-batch by cache size.
LLAMA_CPP_VARIANTS = ["-fa 1", "-fa 0", "-fa 1 -ub 256", "-fa 0 -ub 1024"]
TEST_SECONDS = 3600
CALM_TRIES = 10


def numbers(text):
    return [int(value) for value in text.split(",")]


def processor_flags():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown", set()
    lines = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    return fields.get("model name", "unknown"), set(fields.get("flags", "").split())


def install(folder):
    """Builds from source, for this processor. GCC 12's AMX code crashes (it drops the stores that fill the tile
    configuration), so Clang is taken where there is AMX."""
    venv.create(folder, with_pip=True, clear=False)
    env = dict(os.environ, CMAKE_ARGS="-DGGML_NATIVE=ON")
    _, flags = processor_flags()
    if "amx_tile" in flags:
        env |= {"CC": "clang-16", "CXX": "clang++-16"}
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--no-binary", PACKAGE, f"{PACKAGE}=={VERSION}"],
                   env=env, check=True)


class Engine:
    def __init__(self, label, command, variants, depth_flag):
        self.label, self.command, self.variants, self.depth_flag = label, command, variants, depth_flag

    def arguments(self, model, test, variant, repetitions):
        """llama-bench's flags for one test; None when this engine cannot run it."""
        prompt, gen, depth, threads = test
        words = [*self.command, "-m", str(model), "-t", str(threads), "-r", str(repetitions), "-o", "json", *shlex.split(variant)]
        if not depth:
            return words + ["-p", str(prompt), "-n", str(gen)]
        if self.depth_flag == "-d":
            return words + ["-p", str(prompt), "-n", str(gen), "-d", str(depth)]
        if self.depth_flag == "-gp" and gen and not prompt:  # ik_llama.cpp: decode after a prompt that is not timed
            return words + ["-p", "0", "-n", "0", "-gp", f"{depth},{gen}"]
        return None


def depth_flag_of(program):
    """Which flag a llama-bench has for decoding at a depth."""
    result = subprocess.run([program, "--help"], capture_output=True, text=True, errors="replace", timeout=60)
    words = (result.stdout + result.stderr).replace(",", " ").split()
    return "-d" if "--n-depth" in words else "-gp" if "-gp" in words else ""


def engines_of(arguments):
    engines = [Engine("minke", [str(arguments.minke), "bench"], [""], "-d")] if not arguments.rivals_only else []
    python = arguments.venv / "bin" / "python"
    if not arguments.no_llama_cpp and python.exists():
        engines.append(Engine("llama.cpp", [str(python), str(HERE / "llama_cpp_bench.py")],
                              arguments.llama_cpp_variant or LLAMA_CPP_VARIANTS, "-d"))
    for number, program in enumerate(arguments.llama_bench):
        label = arguments.label[number] if number < len(arguments.label) else pathlib.Path(program).name
        flag = "-d" if arguments.dry_run else depth_flag_of(program)
        engines.append(Engine(label, [program], ["", *arguments.variant], flag))
    return engines


def busy_seconds():
    """Processor time that everything on this machine has used, time taken by other guests of the host included."""
    fields = [int(value) for value in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run_alone(words):
    """--child: runs `words`, and tells on the last line of standard error how many processors others used meanwhile.
    A process of its own, so that waiting in --wrap does not count."""
    start, busy, own = time.monotonic(), busy_seconds(), resource.getrusage(resource.RUSAGE_CHILDREN)
    status = subprocess.run(words).returncode
    seconds, busy, after = time.monotonic() - start, busy_seconds() - busy, resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    print(f"\nothers {max(busy - own, 0) / seconds:.4f}", file=sys.stderr)
    return status


def measure(arguments, engine, model, test, variant, repetitions):
    """Tokens a second of each repetition; None when the engine cannot run the test."""
    words = engine.arguments(model, test, variant, repetitions)
    if words is None:
        return None
    if arguments.dry_run:
        print(shlex.join([*shlex.split(arguments.wrap), *words]))
        return [1.0] * repetitions
    best, least = None, math.inf
    for _ in range(CALM_TRIES if arguments.calm is not None else 1):
        rates, others = measure_once(arguments, words, repetitions)
        if others < least:
            best, least = rates, others
        if arguments.calm is None or others <= arguments.calm:
            break
        say(f"others used {others:.2f} processors during {engine.label}, {test_name(test)}: again")
    return best


def measure_once(arguments, words, repetitions):
    command = [*shlex.split(arguments.wrap), sys.executable, str(HERE / "compare.py"), "--child", *words]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TEST_SECONDS)
    try:
        tests = json.loads(result.stdout)
        rates = [float(rate) for rate in tests[-1]["samples_ts"]]
        others = float(result.stderr.split()[-1])
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise SystemExit(f"{shlex.join(words)}: status {result.returncode}, no result ({error!r})\n{result.stderr[-2000:]}") from error
    if result.returncode != 0 or len(tests) != 1 or len(rates) != repetitions or min(rates) <= 0:
        raise SystemExit(f"{shlex.join(words)}: expected one test with {repetitions} samples, got {result.stdout[-2000:]}")
    return rates, others


def test_name(test):
    prompt, gen, depth, _ = test
    return (f"pp{prompt}" if prompt else f"tg{gen}") + (f" @ d{depth}" if depth else "")


def best_variants(arguments, engine, model, tests):
    """For each test the variant that ran it fastest."""
    best = {}
    for test in tests:
        rates = {}
        for variant in engine.variants if len(engine.variants) > 1 else []:
            runs = measure(arguments, engine, model, test, variant, arguments.tuning)
            if runs is not None:
                rates[variant] = statistics.median(runs)
                say(f"{engine.label} {variant or '(plain)'}: {test_name(test)}, {test[3]} threads: {rates[variant]:.2f}")
        best[test] = max(rates, key=rates.get) if rates else engine.variants[0]
    return best


def say(text):
    print(text, file=sys.stderr, flush=True)


def compare_model(arguments, engines, model, tests):
    best = {engine.label: best_variants(arguments, engine, model, tests) for engine in engines}
    rates = {(engine.label, test): [] for engine in engines for test in tests}
    for test in tests:
        for number in range(arguments.rounds):
            for engine in engines:
                runs = measure(arguments, engine, model, test, best[engine.label][test], 1)
                rates[engine.label, test] += runs or []
        say(f"{model.name}: {test_name(test)}, {test[3]} threads, {arguments.rounds} rounds: " + ", ".join(
            f"{e.label} {statistics.median(rates[e.label, test]):.2f}" for e in engines if rates[e.label, test]))
    return [{"model": model.name, "test": test_name(test), "threads": test[3],
             "engines": {e.label: {"variant": best[e.label][test], "samples_ts": rates[e.label, test]}
                         for e in engines if rates[e.label, test]}}
            for test in tests]


def cell(samples):
    return f"{statistics.median(samples):.1f} ({min(samples):.1f}..{max(samples):.1f})"


def table(results, engines):
    labels = [engine.label for engine in engines]
    rivals = [label for label in labels if label != "minke"] if "minke" in labels else []
    titles = ["model", "threads", "test", *labels, *(f"/ {label}" for label in rivals)]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * 3 + " ---: |" * (len(titles) - 3)]
    for result in results:
        cells, ratios = [], []
        for label in labels:
            engine = result["engines"].get(label)
            cells.append("" if engine is None else cell(engine["samples_ts"]) + (f" `{engine['variant']}`" if engine["variant"] else ""))
        for label in rivals:
            own, rival = result["engines"]["minke"]["samples_ts"], result["engines"].get(label)
            ratios.append("" if rival is None else f"{statistics.median(own) / statistics.median(rival['samples_ts']):.2f}")
        lines.append("| " + " | ".join([result["model"], str(result["threads"]), result["test"], *cells, *ratios]) + " |")
    return "\n".join(lines)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path, metavar="MODEL")
    parser.add_argument("--install", action="store_true", help=f"build {PACKAGE} {VERSION} into --venv and end")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build" / "peers", help="its Python environment")
    parser.add_argument("--minke", type=pathlib.Path, default=ROOT / "build" / "release" / "minke")
    parser.add_argument("--llama-bench", action="append", default=[], metavar="PROGRAM", help="a rival with llama-bench's flags; may be repeated")
    parser.add_argument("--label", action="append", default=[], help="its name in the table")
    parser.add_argument("--variant", action="append", default=[], metavar="FLAGS", help="settings to try on them besides none, such as \"-rtr 1\"")
    parser.add_argument("--llama-cpp-variant", action="append", default=[], metavar="FLAGS", help="settings to try instead of: " + ", ".join(LLAMA_CPP_VARIANTS))
    parser.add_argument("--no-llama-cpp", action="store_true")
    parser.add_argument("--rivals-only", action="store_true", help="leave Minke out")
    parser.add_argument("-p", "--n-prompt", dest="prompts", type=numbers, default=[512, 2048], metavar="N,..")
    parser.add_argument("-n", "--n-gen", dest="gens", type=numbers, default=[128], metavar="N,..")
    parser.add_argument("-d", "--n-depth", dest="depths", type=numbers, default=[0], metavar="N,..", help="depths of the decodes")
    parser.add_argument("-t", "--threads", dest="threads", type=numbers, default=[os.cpu_count() or 1], metavar="N,..")
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of each test (default: 5)")
    parser.add_argument("--tuning", type=int, default=1, help="runs of each variant in its choice (default: 1)")
    parser.add_argument("--wrap", default="", metavar="COMMAND", help="run each measurement through this, such as \"taskset -c 0,1\"")
    parser.add_argument("--calm", type=float, metavar="CPUS", help="repeat a run during which other programs used more processors than this")
    parser.add_argument("-o", "--output", choices=["md", "json"], default="md")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run nothing")
    arguments = parser.parse_args(argv)
    if not arguments.install and not arguments.models:
        parser.error("which MODEL?")
    if min(arguments.rounds, arguments.tuning) < 1:
        parser.error("--rounds and --tuning: at least 1")
    return arguments


def main(argv=None):
    if (argv or sys.argv[1:])[:1] == ["--child"]:
        return run_alone((argv or sys.argv[1:])[1:])
    arguments = parse(argv)
    if arguments.install:
        install(arguments.venv)
        return 0
    engines = engines_of(arguments)
    if len(engines) == (0 if arguments.rivals_only else 1):
        sys.exit(f"no rival: neither {arguments.venv} (compare.py --install) nor --llama-bench")
    tests = [(p, 0, 0, t) for t in arguments.threads for p in arguments.prompts if p]
    tests += [(0, g, d, t) for t in arguments.threads for d in arguments.depths for g in arguments.gens if g]
    tests.sort(key=lambda test: test[3])
    results = []
    for model in arguments.models:
        results += compare_model(arguments, engines, model, tests)
    if not arguments.dry_run:
        name, _ = processor_flags()
        if arguments.output == "json":
            print(json.dumps({"processor": name, "rounds": arguments.rounds, "results": results}, indent=2))
        else:
            print(f"{name}, tokens/s, median of {arguments.rounds} alternating runs (least..greatest)\n")
            print(table(results, engines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
