#!/usr/bin/env python3
"""`minke pull` from a hub on the loopback interface that misbehaves (tests/support/fake_hub.py).

    hub.py --minke PATH --work DIR [--long]

What must hold: nothing wrong is ever kept, nothing right is fetched twice. Needs nothing but Python (and openssl for a
certificate; without it those cases are left out). Ends with "N passed, N failed"; status 1 when one failed.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import fake_hub  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
MB = 1 << 20
BLOCK = MB  # what a kill may lose of each connection
REPO = "user/Tiny-GGUF"
NAME = "user--tiny-gguf@q4_k_m"


class Suite:
    def __init__(self, minke, work, long=False):
        self.minke, self.work, self.long = minke, work, long
        self.passed = self.failed = 0
        self.hub = fake_hub.FakeHub()
        self.data = random.Random(1).randbytes(24 * MB + 12345)
        self.small = random.Random(2).randbytes(3 * MB + 1)
        self.fill()

    def fill(self):
        self.hub.repos = {
            REPO: fake_hub.Repo({"README.md": b"# Tiny", "tiny-Q4_K_M.gguf": self.data, "tiny-Q8_0.gguf": self.small,
                                 "mmproj-F16.gguf": b"no model"}),
            "user/Gated-GGUF": fake_hub.Repo({"x-Q4_0.gguf": self.small}, gated=True),
            "user/Private-GGUF": fake_hub.Repo({"x-Q4_0.gguf": self.small}, private=True),
            "user/pickled": fake_hub.Repo({"pytorch_model.bin": b"\x80", "config.json": b"{}"}),
        }
        self.hub.moved = {"old/Tiny-GGUF": REPO}

    def check(self, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}{': ' if detail else ''}{str(detail)[:800]}")

    def fresh(self):
        """An empty store and cache, a well-behaved hub."""
        self.hub.reset()
        self.home = self.work / "home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.store = self.home / "store"

    def env(self, **more):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("MINKE_", "HF_", "XDG_")) and not k.lower().endswith("_proxy")}
        return {**env, "HOME": str(self.home), "MINKE_MODELS": str(self.store), "HF_ENDPOINT": self.hub.url,
                "MINKE_THREADS": "1", "MINKE_RETRIES": "3", "MINKE_TIMEOUT": "1", **more}

    def run(self, *args, env=None, timeout=120):
        return subprocess.run([self.minke, *map(str, args)], capture_output=True, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, env=self.env(**(env or {})))

    def start(self, *args, env=None):
        return subprocess.Popen([self.minke, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                stdin=subprocess.DEVNULL, env=self.env(**(env or {})), start_new_session=True)

    def on_terminal(self, *args, answer, seconds=60):
        """Standard input and error are a terminal, on which a question is answered: status, output, what it shows."""
        master, slave = pty.openpty()
        process = subprocess.Popen([self.minke, *map(str, args)], stdin=slave, stdout=subprocess.PIPE, stderr=slave,
                                   env=self.env(TERM="dumb"), start_new_session=True)
        os.close(slave)
        text, asked, end = "", False, time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.2)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # nobody has the other end
                break
            text += data.decode(errors="replace")
            if not asked and "[Y/n] " in text:
                asked = True
                os.write(master, answer.encode())
        if process.poll() is None and time.monotonic() >= end:
            process.kill()
        out = process.communicate()[0]
        os.close(master)
        return process.returncode, out, text

    def pulls(self, what, *args, data=None, folder=NAME, **kwargs):
        """It succeeds and leaves the right bytes, and no leftovers."""
        result = self.run("pull", *args, **kwargs)
        path = pathlib.Path(result.stdout.strip() or "/nonexistent")
        expected = self.data if data is None else data
        good = result.returncode == 0 and path.is_file() and path.read_bytes() == expected
        good = good and path.parent == self.store / folder and not self.leftovers()
        self.check(what, good, f"status {result.returncode}, {result.stdout}{result.stderr}, {self.leftovers()}")
        return result

    def leftovers(self):
        temporary = self.store / ".tmp"
        return [p.name for p in temporary.iterdir() if p.suffix != ".lock"] if temporary.exists() else []

    def fails(self, what, pattern, *args, status=1, **kwargs):
        """It fails with a message, and nothing of the model is in the store."""
        start = time.monotonic()
        result = self.run("pull", *args, **kwargs)
        seconds = time.monotonic() - start
        models = [p.name for p in self.store.iterdir() if not p.name.startswith(".")] if self.store.exists() else []
        good = result.returncode == status and re.search(pattern, result.stderr) and not result.stdout and not models
        self.check(what, good, f"status {result.returncode} in {seconds:.1f} s, {result.stderr}, {models}")
        return result

    # ---- names

    def test_names(self):
        self.fresh()
        result = self.pulls("a quantisation", f"{REPO}:Q4_K_M")
        self.check("each byte once", self.hub.sent == len(self.data), self.hub.sent)
        self.check("what it is, before", re.search(r"user/Tiny-GGUF: Q4_K_M, 25\.\d+ MB", result.stderr), result.stderr)
        again = self.pulls("again", f"hf.co/{REPO}:q4_k_m")
        self.check("nothing right is fetched twice", self.hub.sent == len(self.data) and "already" in again.stderr)
        record = json.loads((self.store / NAME / ".minke.json").read_text())
        self.check("the record", record["commit"] == fake_hub.COMMIT and record["files"][0]["hash"] ==
                   hashlib.sha256(self.data).hexdigest(), record)
        self.pulls("a file", f"{REPO}:tiny-Q8_0.gguf", data=self.small, folder="user--tiny-gguf@q8_0")
        self.pulls("a page's address", f"https://huggingface.co/{REPO}/blob/main/tiny-Q8_0.gguf", data=self.small,
                   folder="user--tiny-gguf@q8_0")
        self.pulls("another name", f"{REPO}:Q8_0", "--name", "Mine:Small", data=self.small, folder="mine@small")
        chosen = self.pulls("without a quantisation", REPO)
        self.check("and why that one", "usual compromise" in chosen.stderr, chosen.stderr)
        moved = self.pulls("a moved repository", "old/Tiny-GGUF:Q4_K_M")
        self.check("is told", "is now user/Tiny-GGUF" in moved.stderr, moved.stderr)
        listed = self.run("list").stdout
        self.check("list", all(n in listed for n in ("user--tiny-gguf:q4_k_m", "user--tiny-gguf:q8_0", "mine:small")), listed)
        several = self.run("show", REPO)
        self.check("a repository of which there are two", several.returncode == 1 and "name one" in several.stderr, several.stderr)
        absent = self.run("run", "user/Other-GGUF:Q8_0", "Hi")
        self.check("what to do where it is not here", absent.returncode == 1 and
                   "minke pull user/Other-GGUF:Q8_0" in absent.stderr, absent.stderr)
        removed = self.run("rm", "--yes", "mine:small")
        self.check("rm", removed.returncode == 0 and not (self.store / "mine@small").exists(), removed.stderr)

    def test_pages(self):
        self.fresh()
        self.hub.fault = {"page": 1}
        self.pulls("a list of several pages", f"{REPO}:Q8_0", data=self.small, folder="user--tiny-gguf@q8_0")
        trees = [r for r in self.hub.log["requests"] if "/tree/" in r[1]]
        self.check("all of them asked for", len(trees) == len(self.hub.repos[REPO].files) + 1, len(trees))

    def test_safetensors(self):
        self.fresh()
        folder = GOLDEN / "tiny_moe" / "deepseek"
        files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        files |= {".gitattributes": b"x", "README.md": b"# x", "onnx/model.onnx": b"x"}
        self.hub.repos["user/tiny"] = fake_hub.Repo(files)
        result = self.run("pull", "user/tiny")
        path = pathlib.Path(result.stdout.strip() or "/nonexistent")
        kept = {p.name for p in path.iterdir()} if path.is_dir() else set()
        right = kept and all((path / n).read_bytes() == files[n] for n in kept - {".minke.json"})
        self.check("a folder of safetensors", result.returncode == 0 and right and "model.safetensors" in kept
                   and not kept & {"README.md", ".gitattributes", "model.onnx"}, f"{kept} {result.stderr}")
        shown = self.run("show", "user/tiny")
        self.check("by its repository's name", shown.returncode == 0, shown.stderr)

    def test_gallery(self):
        self.fresh()
        config = self.home / ".config" / "minke" / "gallery"
        config.mkdir(parents=True)
        (config / "mine.json").write_text(json.dumps({"models": [
            {"name": "tiny:1b", "aliases": ["t1"], "repo": REPO, "quants": ["Q4_K_M", "Q8_0"], "license": "MIT",
             "files": {"Q4_K_M": len(self.data)}},
            {"name": "soon", "repo": "user/soon", "quants": ["Q8_0"], "parameters": 10**9, "missing": "its blocks"}]}))
        listed = {m["name"]: m for m in json.loads(self.run("list", "--available", "--json").stdout)}
        self.check("the built-in models and the user's", len(listed) > 40 and "deepseek-r1:1.5b" in listed and
                   listed["tiny:1b"]["bytes"] == len(self.data) and not listed["tiny:1b"]["estimated"], listed.get("tiny:1b"))
        fits = [m["name"] for m in json.loads(self.run("list", "--fits", "--json").stdout)]
        self.check("those that fit", "tiny:1b" in fits and "deepseek-v3" not in fits and "soon" not in fits, fits)
        table = self.run("list", "--available").stdout
        self.check("as a table", re.search(r"tiny:1b +Q4_K_M +25\.\d+ MB .* fits  \(also t1\)", table) and
                   "not yet: its blocks" in table, table[-300:])
        absent = self.run("run", "t1", "Hi")
        self.check("what to do", absent.returncode == 1 and "fetch it: minke pull tiny:1b" in absent.stderr, absent.stderr)
        self.pulls("by another name", "t1", folder="tiny@1b")
        self.pulls("in another quantisation", "tiny:1b-q8_0", data=self.small, folder="tiny@1b-q8_0")
        found = self.run("show", "T1-Q8_0")
        self.check("found by it", "tiny@1b-q8_0" in found.stderr and "magic" in found.stderr, found.stderr)
        (config / "wrong.json").write_text('{"models": [{"name": "../x", "repo": "a/b"}]}')
        wrong = self.run("list")
        self.check("a gallery with a wrong name", wrong.returncode == 1 and
                   re.search(r"wrong\.json: models\[0\]: name: expected a store name", wrong.stderr), wrong.stderr)

    def test_show(self):
        """What is not here, by its headers."""
        self.fresh()
        model = next(p for p in sorted((GOLDEN / "tiny_gguf").rglob("*.gguf")) if "llama" in str(p))
        data = model.read_bytes() + bytes(16 * MB)  # weights that nobody fetches
        self.hub.repos["user/gguf"] = fake_hub.Repo({"m-Q4_K_M.gguf": data, "m-Q8_0.gguf": data + bytes(16 * MB)})
        here = json.loads(self.run("show", model, "--json").stdout)
        result = self.run("show", "user/gguf", "--json")
        remote = json.loads(result.stdout or "{}")
        same = all(remote.get(key) == here[key] for key in ("config", "weight_bytes", "memory", "tokenizer", "parameters"))
        self.check("the headers tell what the file does", result.returncode == 0 and same, result.stderr)
        self.check("of a part of it", self.hub.sent <= MB and remote.get("headers_fetched", 0) <= MB, self.hub.sent)
        table = self.run("show", "user/gguf").stdout
        self.check("which of them", re.search(r"\* Q4_K_M +.* fits", table) and re.search(r"  Q8_0 +.* fits", table) and
                   "fetch it: minke pull user/gguf" in table, table)
        self.check("the speeds", remote["prefill_tokens_per_second"] > 0 < remote["decode_tokens_per_second"] and
                   "prompt speed" in table, table)
        self.check("nothing stays", not self.store.exists() or not list(self.store.iterdir()))
        folder = GOLDEN / "tiny_moe" / "deepseek"
        self.hub.repos["user/tiny"] = fake_hub.Repo({p.name: p.read_bytes() for p in folder.iterdir()})
        remote = json.loads(self.run("show", "user/tiny", "--json").stdout or "{}")
        here = json.loads(self.run("show", folder, "--json").stdout)
        self.check("safetensors", all(remote.get(key) == here[key] for key in ("config", "weight_bytes", "memory")))
        config = json.loads((folder / "config.json").read_text())
        config |= {"architectures": ["DeepseekV32ForCausalLM"], "model_type": "deepseek_v32"}
        self.hub.repos["user/tiny"].files["config.json"] = json.dumps(config).encode()
        result = self.run("show", "user/tiny")
        self.check("a block that is missing", result.returncode == 1 and "deepseek_v32" in result.stderr and
                   "hf.co/user/tiny" in result.stderr and "/tmp" not in result.stderr, result.stderr)

    def test_fit(self):
        """Without a quantisation: what fits in memory with its context, told by headers."""
        self.fresh()
        data = (GOLDEN / "tiny_gguf" / "llama.gguf").read_bytes()
        more = lambda times: data + bytes(int(times * len(data)))  # the same headers of a larger file
        files = {"m-Q4_K_M.gguf": more(1), "m-Q8_0.gguf": more(3), "m-Q3_K_M.gguf": more(0.5), "m-IQ2_M.gguf": data,
                 "m-TQ1_0.gguf": data[:len(data) // 2]}
        self.hub.repos["user/fit"] = fake_hub.Repo(files)
        shown = json.loads(self.run("show", "user/fit", "--json").stdout or "{}")
        need = {variant["quant"]: variant["memory"] for variant in shown.get("variants", [])}
        self.check("a row for each", set(need) == {"Q4_K_M", "Q8_0", "Q3_K_M", "IQ2_M", "TQ1_0"}, need)
        self.check("what is not read does not fit", [v["quant"] for v in shown["variants"] if not v["fits"]] == ["TQ1_0"], shown["variants"])
        context = shown["memory"][0]["context"]
        for what, memory, flags, quant, why in (
                ("enough", need["Q4_K_M"], (), "Q4_K_M", "usual compromise"),
                ("a byte too little", need["Q4_K_M"] - 1, (), "Q3_K_M", "best that fits this machine; Q4_K_M does not"),
                ("of a shorter context", need["Q4_K_M"] - 1, ("--ctx-size", context // 2), "Q4_K_M", "usual compromise"),
                ("little", need["IQ2_M"], (), "IQ2_M", "best that fits"),
                ("none", 1, (), "IQ2_M", "too large for this machine")):
            if not flags:
                chosen = json.loads(self.run("show", "user/fit", "--json", "--memory", memory,
                                             env={"MINKE_MODELS": str(self.home / "empty")}).stdout or "{}")
                marked = [variant["quant"] for variant in chosen.get("variants", []) if variant["chosen"]]
                self.check(f"show, {what}", marked == [quant], marked)
            result = self.pulls(f"memory: {what}", "user/fit", "--memory", memory, *flags, data=files[f"m-{quant}.gguf"],
                                folder=f"user--fit@{quant.lower()}")
            told = re.search(r"\((.*)\)\n  with a context of ([0-9,]+) tokens it takes (.*) of memory, (of|and there are) ", result.stderr)
            self.check(f"and says why, {what}", told and why in told[1] and
                       int(told[2].replace(",", "")) == (flags[1] if flags else context) and (told[4] == "of") == (memory > 1), result.stderr)
        config = json.loads((GOLDEN / "tiny_moe" / "deepseek" / "config.json").read_text())
        config |= {"architectures": ["DeepseekV32ForCausalLM"], "model_type": "deepseek_v32"}
        self.hub.repos["user/new"] = fake_hub.Repo({"config.json": json.dumps(config).encode(),
                                                    "model.safetensors": (GOLDEN / "tiny_moe" / "deepseek" / "model.safetensors").read_bytes()})
        result = self.run("pull", "user/new")
        self.check("what does not run is fetched with a warning", result.returncode == 0 and
                   re.search(r"warning: this program does not run it: .*hf\.co/user/new.*deepseek_v32", result.stderr), result.stderr)

    def test_show_leaves_nothing(self):
        """Folders of processes that were killed go, those of living ones stay."""
        self.fresh()
        temporary = self.work / "temporary"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        env = {"TMPDIR": str(temporary)}
        self.hub.repos["user/gguf"] = fake_hub.Repo({"m-Q4_K_M.gguf": (GOLDEN / "tiny_gguf" / "qwen2.gguf").read_bytes()})
        folders = lambda: sorted(temporary.glob("minke-show-*"))

        def slow_show(others):
            self.hub.fault = {"step": 1 << 12, "pause": 0.05}
            process = self.start("show", "user/gguf", env=env)
            end = time.monotonic() + 30
            while len(folders()) == others and time.monotonic() < end:
                time.sleep(0.01)
            return process

        process = slow_show(0)
        process.kill()
        process.communicate()
        self.check("a killed one leaves its folder", len(folders()) == 1, folders())
        self.hub.fault = {}
        self.run("show", "user/gguf", env=env)
        self.check("which stays while it is new", len(folders()) == 1, folders())
        dead = folders()
        process = slow_show(1)
        for folder in folders():
            os.utime(folder, (1, 1))
        self.hub.fault = {}
        other = self.run("show", "user/gguf", env=env)
        self.check("and goes with the next", other.returncode == 0 and not dead[0].exists(), (dead, other.stderr))
        _, err = process.communicate(timeout=60)
        self.check("a living one's stays", process.returncode == 0 and not folders(), (err, folders()))

    def test_run(self):
        """What is not here is offered."""
        self.fresh()
        model = GOLDEN / "tiny_gguf" / "qwen2.gguf"
        self.hub.repos["user/qwen-GGUF"] = fake_hub.Repo({"q-Q4_K_M.gguf": model.read_bytes()})
        flags = ("--raw", "-p", "abc", "-n", "3", "--temp", "0", "-q")
        run = ("run", "user/qwen-GGUF", *flags)
        absent = lambda: not self.store.exists() or not [p for p in self.store.iterdir() if not p.name.startswith(".")]
        expected = self.run("run", model, *flags).stdout
        result = self.run(*run)
        self.check("nobody to ask", result.returncode == 1 and "minke pull user/qwen-GGUF" in result.stderr and absent() and
                   not self.hub.sent, result.stderr)
        status, out, text = self.on_terminal(*run, answer="n\n")
        self.check("no", status == 1 and not out and absent() and "minke pull user/qwen-GGUF" in text, (status, text))
        self.check("what it would be", re.search(r"user/qwen-GGUF is not here\..*Q4_K_M, .*B.*\r\n *It needs .*B of memory at a "
                                                 r"context of .*prompts at about .*replies at .*\r\nDownload .*B from "
                                                 r"hf\.co/user/qwen-GGUF\? \[Y/n\] ", text), text)
        status, out, text = self.on_terminal(*run, answer="\n")
        self.check("yes", status == 0 and out.decode(errors="replace") == expected and not self.leftovers(), (status, out, text))
        result = self.run(*run)
        self.check("it is here now", result.returncode == 0 and result.stdout == expected, result.stderr)
        self.run("rm", "--yes", "user--qwen-gguf:q4_k_m")
        result = self.run(*run, "--yes")
        self.check("--yes", result.returncode == 0 and result.stdout == expected, result.stderr)
        folder = GOLDEN / "tiny_moe" / "deepseek"
        config = json.loads((folder / "config.json").read_text())
        config |= {"architectures": ["DeepseekV32ForCausalLM"], "model_type": "deepseek_v32"}
        self.hub.repos["user/new"] = fake_hub.Repo({"config.json": json.dumps(config).encode(),
                                                    "model.safetensors": (folder / "model.safetensors").read_bytes()})
        result = self.run("run", "user/new", "--yes", *flags)
        self.check("what does not run is not fetched", result.returncode == 1 and "hf.co/user/new" in result.stderr and
                   not (self.store / "user--new").exists(), result.stderr)
        env = {key: value for key, value in self.env().items() if key not in ("HOME", "MINKE_MODELS")}
        go = lambda what: subprocess.run([self.minke, "run", str(what), *flags], capture_output=True, text=True, env=env,
                                         stdin=subprocess.DEVNULL, timeout=60, check=False)
        here, name = go(model), go("qwen-gguf")
        self.check("a path needs no home", here.returncode == 0 and here.stdout == expected, here.stderr)
        self.check("a name does", name.returncode == 1 and "MINKE_MODELS" in name.stderr, name.stderr)

    def test_hostile_headers(self):
        """Malformed headers over HTTP: typed errors, few bytes, little memory."""
        seeds = sorted((GOLDEN.parent / "fuzz" / "corpus" / "fuzz_gguf").iterdir())
        wrong = 0
        self.fresh()
        for seed in seeds if self.long else seeds[::max(1, len(seeds) // 10)]:
            self.hub.sent = 0
            data = seed.read_bytes() + bytes(12 * MB)
            self.hub.repos["user/evil"] = fake_hub.Repo({"x-Q8_0.gguf": data})
            result = self.run("show", "user/evil")
            wrong += result.returncode == 1
            typed = result.returncode in (0, 1) and (result.returncode == 0 or result.stderr.startswith("minke: "))
            self.check(f"header {seed.name}", typed and self.hub.sent <= 13 * MB and "internal" not in result.stderr,
                       f"{result.returncode} {self.hub.sent} {result.stderr}")
        self.check("most of them are wrong", wrong > 3, wrong)
        for what, header in (("no GGUF", b"GGML" + bytes(100)), ("too many keys", b"GGUF\3\0\0\0" + b"\xff" * 16),
                             ("a long key", b"GGUF\3\0\0\0" + bytes(8) + b"\1" + bytes(7) + b"\xff" * 8)):
            self.hub.sent = 0
            self.hub.repos["user/evil"] = fake_hub.Repo({"x-Q8_0.gguf": header + bytes(80 * MB)})
            result = self.run("show", "user/evil")
            self.check(f"{what}: little is fetched", result.returncode == 1 and self.hub.sent <= 5 * MB,
                       f"{self.hub.sent} {result.stderr}")
        huge = (1 << 50).to_bytes(8, "little") + b"{}"
        self.hub.repos["user/evil"] = fake_hub.Repo({"model.safetensors": huge + bytes(4 * MB), "config.json": b"{}"})
        result = self.run("show", "user/evil")
        self.check("a header longer than the file", result.returncode == 1 and "hf.co/user/evil" in result.stderr or
                   "user/evil/model.safetensors" in result.stderr, result.stderr)

    def test_import(self):
        self.fresh()
        model = next((GOLDEN / "tiny_gguf").rglob("*.gguf"))
        outside = self.home / "Models"
        outside.mkdir()
        file = outside / "My-Model.Q8_0.gguf"
        shutil.copy(model, file)
        result = self.run("import", file)
        link = self.store / "my-model@q8_0" / file.name
        self.check("a file is linked", result.returncode == 0 and link.is_symlink() and link.resolve() == file, result.stderr)
        shown = self.run("show", "my-model:q8_0")
        self.check("and opens", shown.returncode == 0, shown.stderr)
        again = self.run("import", file)
        self.check("not twice", again.returncode == 1 and "there is a model of that name" in again.stderr, again.stderr)
        removed = self.run("rm", "--yes", "my-model:q8_0")
        self.check("rm deletes the link alone", removed.returncode == 0 and file.exists() and not link.parent.exists() and
                   "stay where they are" in removed.stderr, removed.stderr)
        folder = outside / "tiny"
        shutil.copytree(GOLDEN / "tiny_moe" / "deepseek", folder)
        result = self.run("import", folder, "--name", "moe")
        shown = self.run("show", "moe")
        self.check("a folder", result.returncode == 0 and shown.returncode == 0, result.stderr + shown.stderr)
        self.run("rm", "--yes", "moe")
        self.check("whose files stay", (folder / "config.json").exists())
        (outside / "x.gguf").write_bytes(b"GGUF" + bytes(100))
        wrong = self.run("import", outside / "x.gguf")
        self.check("what cannot be opened is not taken", wrong.returncode == 1 and not (self.store / "x").exists(), wrong.stderr)

    def test_ollama(self):
        self.fresh()
        root = self.home / ".ollama" / "models"
        data = next((GOLDEN / "tiny_gguf").rglob("*.gguf")).read_bytes()
        digest = hashlib.sha256(data).hexdigest()

        def manifest(place, layers):
            path = root / "manifests" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))

        layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": len(data)}
        (root / "blobs").mkdir(parents=True)
        (root / "blobs" / f"sha256-{digest}").write_bytes(data)
        manifest("registry.ollama.ai/library/tiny/1b", [layer, {"mediaType": "application/vnd.ollama.image.license"}])
        manifest("hf.co/user/other/latest", [layer])
        manifest("registry.ollama.ai/library/gone/latest", [{**layer, "digest": "sha256:" + "0" * 64}])
        manifest("registry.ollama.ai/library/evil/latest", [{**layer, "digest": "sha256:../../../x"}])
        (root / "manifests/registry.ollama.ai/library/evil/v2").write_text("{")
        listed = self.run("import", "ollama:").stdout
        self.check("Ollama's models", re.findall(r"ollama:(\S+)", listed) == ["hf.co/user/other:latest", "tiny:1b"], listed)
        result = self.run("import", "ollama:tiny:1b")
        shown = self.run("show", "tiny:1b")
        self.check("are linked by their blobs", result.returncode == 0 and shown.returncode == 0 and
                   (self.store / "tiny@1b" / "tiny.gguf").resolve().name == f"sha256-{digest}", result.stderr + shown.stderr)
        self.run("rm", "--yes", "tiny:1b")
        self.check("which stay", (root / "blobs" / f"sha256-{digest}").read_bytes() == data)
        absent = self.run("import", "ollama:tiny:7b")
        self.check("one that is not there", absent.returncode == 1 and "near: tiny:1b" in absent.stderr, absent.stderr)

    def test_split(self):
        self.fresh()
        parts = {f"Q2_K/big-Q2_K-0000{i}-of-00003.gguf": random.Random(i).randbytes(MB + i) for i in (1, 2, 3)}
        self.hub.repos["user/split"] = fake_hub.Repo(parts)
        result = self.run("pull", "user/split:Q2_K")
        kept = self.store / "user--split@q2_k"
        self.check("a split file", result.returncode == 0 and
                   all((kept / n.split("/")[1]).read_bytes() == d for n, d in parts.items()), result.stderr)
        del self.hub.repos["user/split"].files["Q2_K/big-Q2_K-00002-of-00003.gguf"]
        self.fails_in_fresh("a split file without its second part", r"expected a \.gguf", "user/split:Q2_K")

    def fails_in_fresh(self, what, pattern, *args, fault=None, **kwargs):
        self.fresh()
        self.hub.fault = dict(fault or {})
        return self.fails(what, pattern, *args, **kwargs)

    # ---- what the hub does wrong

    def test_refusals(self):
        model = f"{REPO}:Q4_K_M"
        self.fails_in_fresh("a gated repository", r"gated.*\n.*accept them at .*user/Gated-GGUF.*HF_TOKEN", "user/Gated-GGUF")
        self.fails_in_fresh("one for which the token does not do", r"gated.*\n.*same user", "user/Gated-GGUF",
                            env={"HF_TOKEN": "hf_other"})
        self.fails_in_fresh("a private repository", r"no such repository, or it is a private one", "user/Private-GGUF")
        self.fails_in_fresh("no such repository, with a token", r"does not take the token, or there is no such",
                            "user/Nothing", env={"HF_TOKEN": "hf_right"})
        self.fails_in_fresh("no such revision", r"no such revision: |not there", model, "--revision", "v9")
        self.fails_in_fresh("no such quantisation", r'no .Q5_K_M.*\n.*there are: .*Q8_0', f"{REPO}:Q5_K_M")
        self.fails_in_fresh("pickled weights", r"pickled checkpoints \(\.bin, \.pt\) are never read", "user/pickled")
        self.fails_in_fresh("HTML instead of the list", r"a page of HTML instead of the hub's answer", model, fault={"html": 1})
        self.fails_in_fresh("HTML instead of the file", r"a page of HTML instead of the file", model, fault={"storage_html": 1})
        self.fails_in_fresh("no JSON", r"line 1", model, fault={"tree": b"{]"})
        self.fails_in_fresh("a file outside of its folder", r"relative path", model,
                            fault={"tree": json.dumps([{"type": "file", "path": "../../x.gguf", "size": 1, "oid": "0" * 40}]).encode()})
        self.fails_in_fresh("a list of something else", r"expected a list", model, fault={"tree": b'{"a": 1}'})
        self.fails_in_fresh("JSON nested without end", r"nest|depth", model, fault={"tree": b"[" * 100000})
        self.fails_in_fresh("a file of another length", r"expected a file of \d+ bytes, got", model, fault={"other_total": 7})
        self.fails_in_fresh("a part of another length", r"expected a file of|bytes, got", model, fault={"other_length": -7})
        self.fails_in_fresh("other bytes than asked for", r"expected bytes \d+ to \d+, got", model, fault={"shift": 1})
        self.fails_in_fresh("another file", r"the hub offers", model, fault={"etag": "1" * 64})
        self.fails_in_fresh("a revision that changed", r"expected revision", model, fault={"commit": fake_hub.OTHER_COMMIT})
        self.fails_in_fresh("asked to wait for an hour", r"asks to wait \(429, 3600 s\)", model,
                            fault={"busy": 100, "retry_after": 3600})
        self.fails_in_fresh("no hub there", r"cannot reach 127\.0\.0\.1:9:", model, env={"HF_ENDPOINT": "http://127.0.0.1:9"})
        self.fails_in_fresh("no address", r"HF_ENDPOINT: ", model, env={"HF_ENDPOINT": "ftp://x"})
        self.fails_in_fresh("a name that is none", r"expected a name of", "a b", status=2)
        self.fails_in_fresh("a hub that always fails", r"failed \(500\)", model, fault={"failing": 10**6})
        self.fails_in_fresh("wrong bytes", r"do not have the hash", model, fault={"wrong": 1})
        self.check("none of them stays", not any(p.stat().st_size > 4096 for p in self.store.rglob("*") if p.is_file()),
                   list(self.store.rglob("*")))
        self.hub.fault = {}
        self.pulls("then the right ones", model)

    def test_silence(self):
        self.fails_in_fresh("silence", r"no answer in time", f"{REPO}:Q8_0", "--retries", "2", "--timeout", "0.3",
                            fault={"silent": 1})

    def test_recovers(self):
        model = f"{REPO}:Q4_K_M"
        for what, fault in (("dropped connections", {"drops": 8}), ("told to wait", {"busy": 0, "failing": 2}),
                            ("no ranges", {"no_ranges": 1}), ("slow", {"step": 1 << 18, "pause": 0.005})):
            self.fresh()
            self.hub.fault = dict(fault)
            self.pulls(what, model)
            if what == "dropped connections":
                self.check("not a byte twice for that", self.hub.sent <= len(self.data) + 8 * 65536 * 4, self.hub.sent)
        self.fresh()
        self.hub.fault = {"busy": 2, "retry_after": 1}
        start = time.monotonic()
        self.pulls("a list that has to wait", model)
        self.check("it waited as asked", time.monotonic() - start > 1.9)

    # ---- tokens, proxies, offline, cache

    def test_token(self):
        self.fresh()
        self.pulls("a gated repository with a token", "user/Gated-GGUF", data=self.small, folder="user--gated-gguf@q4_0",
                   env={"HF_TOKEN": "hf_right"})
        tokens = {(kind, token) for kind, _, token, _ in self.hub.log["requests"]}
        self.check("the token goes to the hub alone", tokens == {("hub", "Bearer hf_right"), ("storage", None)}, tokens)
        self.fresh()
        home = self.home / ".cache" / "huggingface"
        home.mkdir(parents=True)
        (home / "token").write_text("hf_right\n")
        self.pulls("a token in its file", "user/Private-GGUF", data=self.small, folder="user--private-gguf@q4_0")
        self.fails_in_fresh("a token that is none", r"HF_TOKEN: expected printable", REPO, env={"HF_TOKEN": "a\nb"})

    def test_proxy(self):
        self.fresh()
        proxy = self.hub.proxy_url.replace("http://", "http://me:secret@")
        self.pulls("through a proxy", f"{REPO}:Q8_0", data=self.small, folder="user--tiny-gguf@q8_0", env={"HTTP_PROXY": proxy})
        self.check("all of it", len(self.hub.log["proxied"]) == len(self.hub.log["requests"]), self.hub.log.keys())
        self.fresh()
        self.pulls("past a proxy", f"{REPO}:Q8_0", data=self.small, folder="user--tiny-gguf@q8_0",
                   env={"HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": "example.org, 127.0.0.1"})

    def cache_of(self, repo, paths, commit=fake_hub.COMMIT):
        """Puts files of a repository into Hugging Face's cache, as its own programs do."""
        folder = self.home / "hub" / ("models--" + repo.replace("/", "--"))
        snapshot = folder / "snapshots" / commit
        for part in (folder / "blobs", folder / "refs", snapshot):
            part.mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        for path in paths:
            blob = folder / "blobs" / self.hub.repos[repo].etag(path)
            blob.write_bytes(self.hub.repos[repo].files[path])
            (snapshot / path).symlink_to(os.path.relpath(blob, snapshot))
        return folder

    def test_cache(self):
        model, env = f"{REPO}:Q4_K_M", {}
        self.fresh()
        env["HF_HUB_CACHE"] = str(self.home / "hub")
        folder = self.cache_of(REPO, ["tiny-Q4_K_M.gguf"])
        self.pulls("a file of the cache", model, env=env)
        file = self.store / NAME / "tiny-Q4_K_M.gguf"
        self.check("is linked, not fetched", self.hub.sent == 0 and file.is_symlink(), self.hub.sent)
        removed = self.run("rm", "--yes", "user--tiny-gguf:q4_k_m")
        self.check("rm leaves what it does not own", removed.returncode == 0 and not file.exists() and
                   len(list((folder / "blobs").iterdir())) == 1, removed.stderr)
        self.pulls("without the hub", model, env={**env, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"})
        self.run("rm", "--yes", "user--tiny-gguf:q4_k_m")
        self.fails("what the cache has not, without the hub", r"no .Q8_0|HF_HUB_OFFLINE", f"{REPO}:Q8_0",
                   env={**env, "HF_HUB_OFFLINE": "1"})
        blob = next((folder / "blobs").iterdir())
        blob.write_bytes(b"x" + self.data[1:])
        self.pulls("a damaged file of the cache", model, env=env)
        self.check("is fetched, and left as it is", self.hub.sent == len(self.data) and not file.is_symlink() and
                   blob.read_bytes()[:1] == b"x", self.hub.sent)

    def test_update(self):
        self.fresh()
        self.run("pull", f"{REPO}:Q8_0")
        self.hub.repos[REPO].commit = fake_hub.OTHER_COMMIT
        self.hub.repos[REPO].files["tiny-Q8_0.gguf"] = self.data
        self.pulls("a new revision", f"{REPO}:Q8_0", data=self.data, folder="user--tiny-gguf@q8_0")
        (self.store / "mine").mkdir()
        (self.store / "mine" / "x.gguf").write_bytes(b"GGUF")
        other = self.run("pull", f"{REPO}:Q8_0", "--name", "mine")
        self.check("another's model stays", other.returncode == 1 and "not from the hub" in other.stderr and
                   (self.store / "mine" / "x.gguf").read_bytes() == b"GGUF", other.stderr)
        self.fill()

    # ---- kills

    def kill_at_random_moments(self, kills, rounds):
        """kill -9 `kills` times in each of `rounds` downloads; then it ends with the right bytes."""
        model = f"{REPO}:Q4_K_M"
        for round_number in range(rounds):
            self.fresh()
            self.hub.fault = {"step": 1 << 17, "pause": 0.004}
            killed = 0
            for _ in range(kills):
                process = self.start("pull", model, "--connections", "3")
                time.sleep(random.uniform(0.02, 0.25))
                process.kill()
                killed += process.wait() == -signal.SIGKILL
                process.stdout.close(), process.stderr.close()
                partial = self.store / NAME / "tiny-Q4_K_M.gguf"
                if partial.exists() and partial.read_bytes() != self.data:
                    self.check("a file that is not whole under its name", False)
            self.hub.fault = {}
            self.pulls(f"after {killed} kills (round {round_number})", model)
            # Each kill loses at most a block of each connection, and what is under way in sockets' buffers.
            most = len(self.data) + killed * 3 * (BLOCK + 5 * MB)
            self.check("nothing right is fetched twice", self.hub.sent <= most, (self.hub.sent, most, killed))

    def test_interrupt(self):
        self.fresh()
        self.hub.fault = {"step": 1 << 16, "pause": 0.02}
        process = self.start("pull", f"{REPO}:Q4_K_M", "--connections", "2")
        while self.hub.sent < 6 * MB and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        self.check("Ctrl-C", process.returncode == 130 and "is kept" in err, err)
        self.hub.fault, before = {}, self.hub.sent
        result = self.pulls("and on", f"{REPO}:Q4_K_M")
        self.check("from where it was", "of an earlier run" in result.stderr and
                   self.hub.sent - before < len(self.data) - 2 * MB, (result.stderr, self.hub.sent - before))

    def test_damage(self):
        """As after a loss of power: blocks that the journal has and the disk has not."""
        self.fresh()
        self.hub.fault = {"step": 1 << 16, "pause": 0.01}
        process = self.start("pull", f"{REPO}:Q4_K_M", "--connections", "1")
        while self.hub.sent < 12 * MB and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        part = next((self.store / ".tmp").rglob("*.part"))
        with open(part, "r+b") as file:
            file.seek(2 * MB + 17)
            file.write(bytes(1000))
        journal = part.with_suffix(".journal")
        with open(journal, "ab") as file:
            file.write(b"0000zz half a line")
        self.hub.fault, before = {}, self.hub.sent
        self.pulls("a damaged block", f"{REPO}:Q4_K_M")
        self.check("is fetched again, and it alone", self.hub.sent - before < len(self.data) - 8 * MB, self.hub.sent - before)

    def test_two_at_once(self):
        self.fresh()
        self.hub.fault = {"step": 1 << 17, "pause": 0.004}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pulls = [pool.submit(self.run, "pull", f"{REPO}:Q4_K_M") for _ in range(2)]
            results = [p.result() for p in pulls]
        self.check("two at once", all(r.returncode == 0 for r in results) and
                   any("waiting for another" in r.stderr for r in results), [r.stderr for r in results])
        self.check("fetch it once", self.hub.sent == len(self.data), self.hub.sent)

    # ---- TLS

    def test_tls(self):
        if not shutil.which("openssl"):
            return
        self.fresh()
        certificate, key = self.work / "certificate.pem", self.work / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        plain, self.hub = self.hub, fake_hub.FakeHub((certificate, key))
        self.fill()
        trusted = {"SSL_CERT_FILE": str(certificate)}
        try:
            self.pulls("https", f"{REPO}:Q4_K_M", env=trusted)
            self.check("in parts", len([r for r in self.hub.log["requests"] if r[3]]) > 1)
            self.fails_in_fresh("a certificate nobody signed", r"certificate is not good", f"{REPO}:Q8_0")
            self.fails_in_fresh("another host's certificate", r"certificate is not good: .*mismatch", f"{REPO}:Q8_0",
                                env={**trusted, "HF_ENDPOINT": self.hub.url.replace("localhost", "127.0.0.1")})
            self.fails_in_fresh("from https to http", r"redirects from https to http", f"{REPO}:Q8_0", env=trusted,
                                fault={"downgrade": 1})
            self.fresh()
            self.hub.fault = {"drops": 5}
            self.pulls("through a proxy's tunnel", f"{REPO}:Q8_0", data=self.small, folder="user--tiny-gguf@q8_0",
                       env={**trusted, "HTTPS_PROXY": self.hub.proxy_url.replace("http://", "http://me:secret@")})
            tunnels = {user for _, user in self.hub.log["tunnels"]}
            self.check("with a user", tunnels == {"Basic bWU6c2VjcmV0"}, tunnels)
        finally:
            self.hub.close()
            self.hub = plain
            self.fill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only")
    options = parser.parse_args()
    suite = Suite(os.path.abspath(options.minke), pathlib.Path(options.work).resolve() / "hub", options.long)
    for name in [n for n in dir(Suite) if n.startswith("test_")]:
        if not options.only or options.only in name:
            start = time.monotonic()
            getattr(suite, name)()
            print(f"{name}: {time.monotonic() - start:.1f} s")
    if not options.only or options.only == "kills":
        suite.kill_at_random_moments(10, 10 if options.long else 1)
    suite.hub.close()
    print(f"{suite.passed} passed, {suite.failed} failed")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
