"""`minke serve` with two models of which one was named to it: loads on demand, keep-alive, `minke ps` and `minke stop`,
memory that is given back, and the same bits whoever is loaded beside.

usage: several_models.py --minke BINARY [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where a model is not in the store.
"""

import argparse
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

from minke_server import Checks, Server, need_model

SMALL, OTHER = "smollm2", "qwen2.5-coder:0.5b"
QUESTION = [{"role": "user", "content": "Count from one to twenty in words."}]


def chat(model, tokens=24, **more):
    return {"model": model, "messages": QUESTION, "temperature": 0, "max_tokens": tokens, **more}


class Suite(Checks):
    def __init__(self, minke, sanitized):
        super().__init__()
        self.minke, self.sanitized = minke, sanitized
        self.server = Server(minke, "--offer", "all", "--alias", f"other={OTHER}", "--keep-alive", "1h", model=SMALL)

    def run_minke(self, *arguments):
        done = subprocess.run([self.minke, *arguments, "--url", self.server.url], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def content(self, body):
        status, text = self.server.post("/v1/chat/completions", body)
        self.check("200", status == 200, text)
        return json.loads(text)["choices"][0]["message"]["content"]

    def loaded(self):
        return {m["name"]: m for m in json.loads(self.server.get("/api/ps"))["models"]}

    def gone(self, name):
        deadline = time.monotonic() + 30
        while name in self.loaded() and time.monotonic() < deadline:
            time.sleep(0.02)
        return name not in self.loaded()

    def resident(self):
        with open(f"/proc/{self.server.process.pid}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    def stream(self, body, out):
        """Pieces of a streamed reply with their times."""
        request = urllib.request.Request(self.server.url + "/v1/chat/completions", json.dumps({**body, "stream": True}).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as response:
            for line in response:
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        out.append((time.monotonic(), choices[0]["delta"]["content"]))

    def test_1_on_demand(self):
        names = {m["id"]: m["loaded"] for m in json.loads(self.server.get("/v1/models"))["data"]}
        self.check("all may be asked for", names.get(SMALL) is True and names.get(OTHER) is False and "other" in names, names)
        self.check("show loads nothing", "qwen2" in self.server.post("/api/show", {"model": OTHER})[1] and OTHER not in self.loaded())
        status, text = self.server.post("/v1/chat/completions", chat("nope"))
        self.check("an unknown one", status == 404 and SMALL in text, text)
        status, text = self.server.post("/v1/chat/completions", chat("/etc/passwd"))
        self.check("no paths", status == 404, text)
        self.check("a name that is no model's", json.loads(self.server.post("/v1/chat/completions", chat("deepseek-chat", 1))[1])["model"] == "deepseek-chat"
                   and OTHER not in self.loaded())

    def test_2_beside_each_other(self):
        alone = self.content(chat(SMALL, 200))
        before, out = self.resident(), []
        thread = threading.Thread(target=self.stream, args=(chat(SMALL, 200), out))
        thread.start()
        waiting = [threading.Thread(target=lambda: replies.append(self.content(chat(name)))) for name in (OTHER, "other", OTHER)]
        replies = []
        for one in waiting:
            one.start()
        for one in waiting:
            one.join()
        thread.join()
        self.check("three requests, one answer", len(replies) == 3 and len(set(replies)) == 1 and replies[0], replies)
        self.check("the same bits while another is loaded and computes", "".join(t for _, t in out) == alone, (out, alone))
        with_other = self.resident()
        self.check("it took memory", with_other - before > 300e6, (before, with_other))
        ps = self.loaded()
        self.check("ps", set(ps) == {SMALL, OTHER} and ps[OTHER]["size"] > 3e8 and ps[OTHER]["expires_at"], ps)
        status, text, _ = self.run_minke("ps")
        self.check("minke ps", status == 0 and OTHER in text and "59 minutes from now" in text, text)
        # Unloaded while the first goes on.
        out = []
        thread = threading.Thread(target=self.stream, args=(chat(SMALL, 200), out))
        thread.start()
        while len(out) < 3 and thread.is_alive():
            time.sleep(0.002)
        status, _, text = self.run_minke("stop", "other")
        stopped = time.monotonic()
        self.check("minke stop", status == 0 and "unloaded" in text, text)
        self.check("it goes", self.gone(OTHER))
        thread.join()
        self.check("undisturbed", "".join(t for _, t in out) == alone and out[-1][0] > stopped, len(out))
        after = self.resident()
        # A sanitizer keeps what was freed, for a while.
        self.check("its memory is given back", self.sanitized or with_other - after > 0.9 * (with_other - before) - 30e6, (before, with_other, after))
        self.check("loaded again, the same reply", self.content(chat(OTHER)) == replies[0])
        print(f"resident: {before / 1e6:.0f} MB, with {OTHER} {with_other / 1e6:.0f} MB, without {after / 1e6:.0f} MB")

    def test_3_keep_alive(self):
        status, text = self.server.post("/api/chat", {"model": OTHER, "messages": QUESTION, "stream": False, "keep_alive": 0,
                                                      "options": {"num_predict": 2}})
        self.check("its last reply", status == 200 and json.loads(text)["done"], text)
        self.check("0 unloads", self.gone(OTHER))
        self.check("none loads", json.loads(self.server.post("/api/generate", {"model": "other", "keep_alive": "300ms", "stream": False})[1])["done_reason"] == "load")
        self.check("and it goes after its time", self.gone(OTHER))
        self.check("ps", set(self.loaded()) == {SMALL}, self.loaded())

    def test_4_errors(self):
        status, _, text = self.run_minke("stop", "nope")
        self.check("stop of an unknown one", status == 1 and "nope" in text, text)
        done = subprocess.run([self.minke, "ps", "--url", "http://127.0.0.1:1"], capture_output=True, text=True, timeout=60)
        self.check("nobody there", done.returncode == 1 and "minke serve" in done.stderr, done.stderr)
        metrics = self.server.get("/metrics")
        self.check("metrics name the model", f'minke_running{{model="{SMALL}"}} 0' in metrics
                   and f'minke_model_tokens_total{{model="{OTHER}",kind="output"}}' in metrics, metrics[-2000:])
        models = {line.get("model") for line in self.server.log()}
        self.check("so does the log", {SMALL, OTHER} <= models, models)

    def test_5_hangup(self):
        self.server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not any("SIGHUP" in line for line in list(self.server.lines)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.check("said", any("SIGHUP" in line for line in list(self.server.lines)))
        self.check("a terminal that closes ends no server", json.loads(self.server.get("/health"))["status"] == "ok")

    def test_6_too_little_memory(self):
        small = Server(self.minke, "--offer", "all", "--memory", "500MB", model=SMALL)
        try:
            status, text = small.post("/v1/chat/completions", chat(OTHER))
            self.check("it can never fit, and why", status >= 500 and "not enough memory" in text and "500 MB" in text, (status, text))
            self.check("the first is there still", [m["name"] for m in json.loads(small.get("/api/ps"))["models"]] == [SMALL])
        finally:
            self.check("status 0", small.stop() == 0)

    def test_7_none_named(self):
        server = Server(self.minke, "--max-loaded", "1", model=None)
        try:
            self.check("ready at once", json.loads(server.get("/ready"))["status"] == "ok")
            self.check("nothing is loaded", json.loads(server.get("/api/ps")) == {"models": []})
            for name in (SMALL, OTHER, SMALL):
                status, text = server.post("/v1/chat/completions", chat(name, 4))
                self.check("loaded", status == 200 and json.loads(text)["usage"]["completion_tokens"] > 0, text)
                ps = [m["name"] for m in json.loads(server.get("/api/ps"))["models"]]
                self.check("one at a time", ps == [name], ps)
        finally:
            self.check("status 0", server.stop() == 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("--sanitized", action="store_true")
    args = parser.parse_args()
    minke = os.path.abspath(args.minke)
    for model in (SMALL, OTHER):
        need_model(minke, model)
    suite = Suite(minke, args.sanitized)
    try:
        suite.run()
        suite.check("status 0 at the end", suite.server.stop() == 0)
    finally:
        if suite.server.process.poll() is None:
            suite.server.process.kill()
    suite.finish()
