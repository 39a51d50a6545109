"""bench/peers/compare.py with stand-ins for the engines: what it runs, what it chooses, what it prints."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
PEERS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench", "peers")
COMPARE = os.path.join(PEERS, "compare.py")

sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import summary  # noqa: E402

# Logs how it was called; answers as llama-bench would: RATE tokens/s, twice that with -rtr 1 for prompts only.
ENGINE = """#!/usr/bin/env python3
import json, sys
words = sys.argv[1:]
with open(LOG, "a") as log:
    log.write(NAME + " " + " ".join(words) + "\\n")
if "--help" in words:
    print("-p, --n-prompt <n>", HELP)
    sys.exit(0)
value = dict(zip(words, words[1:]))
prompt = int(value.get("-p", 0))
rate = RATE * (2 if "-rtr" in words and prompt else 1)
count = int(value["-r"])
print(json.dumps([{"n_prompt": prompt, "samples_ts": [rate] * count}]))
sys.exit(STATUS)
"""


class PeersTest(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="minke-peers-")
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.log = os.path.join(self.base, "log")
        self.model = os.path.join(self.base, "tiny.gguf")
        open(self.model, "w").close()

    def engine(self, name, rate, help_text="-d, --n-depth <n>", status=0):
        path = os.path.join(self.base, name)
        text = ENGINE.replace("LOG", repr(self.log)).replace("NAME", repr(name)).replace("RATE", repr(rate))
        with open(path, "w") as file:
            file.write(text.replace("HELP", repr(help_text)).replace("STATUS", str(status)))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def compare(self, *words):
        return subprocess.run([sys.executable, COMPARE, *words], capture_output=True, text=True, timeout=120)

    def calls(self):
        with open(self.log) as file:
            return file.read().splitlines()

    def test_help(self):
        for program in ("compare.py", "llama_cpp_bench.py"):
            result = subprocess.run([sys.executable, os.path.join(PEERS, program), "--help"], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("usage:", result.stdout)

    def test_ratios_and_alternation(self):
        minke, rival = self.engine("minke", 30.0), self.engine("rival", 10.0)
        result = self.compare(self.model, "--minke", minke, "--no-llama-cpp", "--llama-bench", rival, "--label", "other",
                              "--variant=-rtr 1", "-p", "512", "-n", "128", "-t", "1,2", "--rounds", "3", "-o", "json")
        self.assertEqual(result.returncode, 0, result.stderr)
        results = json.loads(result.stdout)["results"]
        self.assertEqual([(r["test"], r["threads"]) for r in results], [("pp512", 1), ("tg128", 1), ("pp512", 2), ("tg128", 2)])
        prefill, decode = results[0]["engines"]["other"], results[1]["engines"]["other"]
        self.assertEqual((prefill["variant"], prefill["samples_ts"]), ("-rtr 1", [20.0] * 3))
        self.assertEqual((decode["variant"], decode["samples_ts"]), ("", [10.0] * 3))
        measured = [line.split()[0] for line in self.calls() if "-r 1 " in line and "-n 0" in line and "-t 1" in line]
        self.assertEqual(measured[-6:], ["minke", "rival"] * 3)

    def test_table(self):
        minke, rival = self.engine("minke", 30.0), self.engine("rival", 10.0)
        result = self.compare(self.model, "--minke", minke, "--no-llama-cpp", "--llama-bench", rival, "-p", "0", "-n", "8", "-t", "1")
        self.assertIn("| tiny.gguf | 1 | tg8 | 30.0 (30.0..30.0) | 10.0 (10.0..10.0) | 3.00 |", result.stdout)

    def test_depth_by_what_the_rival_knows(self):
        minke, rival = self.engine("minke", 30.0), self.engine("rival", 10.0, "-gp <pp,tg>")
        plain = self.engine("plain", 5.0, "")
        result = self.compare(self.model, "--minke", minke, "--no-llama-cpp", "--llama-bench", rival, "--llama-bench", plain,
                              "-p", "0", "-n", "8", "-d", "64", "-t", "1", "-o", "json")
        engines = json.loads(result.stdout)["results"][0]["engines"]
        self.assertEqual(sorted(engines), ["minke", "rival"])
        self.assertTrue(any(line.startswith("rival") and "-gp 64,8" in line for line in self.calls()))
        self.assertTrue(any(line.startswith("minke") and "-d 64" in line for line in self.calls()))

    def test_dry_run_runs_nothing(self):
        result = self.compare(self.model, "--minke", "/no/minke", "--no-llama-cpp", "--llama-bench", "/no/rival", "-p", "512",
                              "-n", "0", "-t", "2", "--rounds", "1", "--wrap", "nice -n 1", "--dry-run")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith("nice -n 1 /no/minke bench -m "), lines)
        self.assertFalse(os.path.exists(self.log))

    def test_failures_end_it(self):
        minke = self.engine("minke", 30.0)
        for rival in (self.engine("broken", 10.0, status=1), self.engine("nothing", 0.0)):
            result = self.compare(self.model, "--minke", minke, "--no-llama-cpp", "--llama-bench", rival, "-p", "8", "-n", "0")
            self.assertEqual(result.returncode, 1)
            self.assertIn(os.path.basename(rival), result.stderr)
            self.assertNotIn("|", result.stdout)
        alone = self.compare(self.model, "--minke", minke, "--no-llama-cpp")
        self.assertEqual(alone.returncode, 1)
        self.assertIn("no rival", alone.stderr)
        self.assertEqual(self.compare().returncode, 2)


if __name__ == "__main__":
    summary.run("__main__")
