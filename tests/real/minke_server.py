"""`minke serve` with SmolLM2 for the tests of clients, and the checks and the main program that they share."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

MODEL = "smollm2"
URL = re.compile(r"is served at (http://[0-9.:]+)/v1")
START_SECONDS = 120
END_SECONDS = 60
REPORT = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: ")
REPORT_LINES = 80


class Server:
    """`minke serve` on a free port; without a cache on disk, unless `flags` say where it is."""

    reports = []  # of sanitizers, from any of them

    def __init__(self, minke, *flags, model=MODEL, context=2048):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MINKE_") or k == "MINKE_MODELS"}
        if "--cache-dir" not in flags:
            environment["MINKE_CACHE_DISK"] = "0"
        models = [model] if model else []
        self.process = subprocess.Popen([minke, "serve", *models, "--port", "0", "--ctx-size", str(context), *flags], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True)
        self.lines, self.url = [], None
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.ready.wait(START_SECONDS) or self.url is None:
            self.process.kill()
            raise RuntimeError("the server did not start:\n" + "".join(self.lines))

    def read(self):
        report = 0
        for line in self.process.stderr:
            self.lines.append(line)
            if REPORT.search(line):
                Server.reports.append(line.strip())
                report = REPORT_LINES
            if report > 0:
                report -= 1
                print("  " + line, end="", flush=True)
            if match := URL.search(line):
                self.url = match[1]
                self.ready.set()
        self.ready.set()

    def stop(self):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=END_SECONDS)
        self.reader.join(timeout=10)
        return status

    def kill(self):
        """SIGKILL, and what it said until then."""
        self.process.kill()
        self.process.wait(timeout=END_SECONDS)
        self.reader.join(timeout=10)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            return response.read().decode()

    def post(self, path, body, headers=None):
        """Status and the JSON (or text) of the answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def log(self):
        """The access log's lines."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]


class Checks:
    """Counts, and runs every method that begins with test_."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print(f"FAILED {what}: {str(detail)[:500]}", flush=True)

    def run(self):
        for name in sorted(dir(self)):
            if not name.startswith("test_"):
                continue
            try:
                getattr(self, name)()
            except Exception as error:  # whatever it was, the other tests run
                self.check(name, False, repr(error))

    def finish(self):
        self.check("no sanitizer's report", not Server.reports, Server.reports)
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def need_model(minke, model=MODEL):
    if model not in subprocess.run([minke, "list"], capture_output=True, text=True, check=True).stdout:
        print(f"SKIPPED: {model} is not in the store")
        sys.exit(77)


def main(suite_of, *flags, model=MODEL, last=None, after=None):
    """Runs a suite of clients' tests against a server with `flags`. `last(suite, server)` ends it, where it is not enough
    that it ends in order; `after(suite, minke)` is what needs servers of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("--sanitized", action="store_true", help="it is slow, and its memory is not its own")
    minke = parser.parse_args().minke
    need_model(minke, model)
    server = Server(minke, *flags, model=model)
    suite = suite_of(server)
    try:
        suite.run()
        if last:
            last(suite, server)
        else:
            suite.check("status 0 at the end", server.stop() == 0)
    finally:
        if server.process.poll() is None:
            server.process.kill()
    if after:
        after(suite, minke)
    suite.finish()
