"""Builds build/release/minke while a model is fetched, with one progress line for both.

usage: build_and_fetch.py MODEL      (script/chat and script/server run it)
Exit status 0 when both are done; else the failing one's output is shown.
"""

import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import fetch_model
import model_table

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "release")
PLAIN_SECONDS = 10
NINJA_STEP = re.compile(r"^\[(\d+)/(\d+)\]")


class Job:
    """A child whose output goes to a log, shown only if it fails."""

    def __init__(self, title, command, log, environment=None):
        self.title = title
        self.log_path = log
        self.log = open(log, "w", encoding="utf-8")
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=dict(os.environ, **(environment or {})))

    def running(self):
        return self.process.poll() is None

    def failed(self):
        return self.process.returncode not in (None, 0)

    def stop(self):
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        self.log.close()

    def tail(self, lines):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])


    def failure(self):
        """The part of the log that tells: from Ninja's first failed step, else the end."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
        first = next((i for i, line in enumerate(lines) if line.startswith("FAILED:")), max(0, len(lines) - 30))
        return "".join(lines[first:first + 30])


def build_text(job):
    for line in reversed(job.tail(50).splitlines()):
        if match := NINJA_STEP.match(line):
            return f"building {match[1]} of {match[2]}" if job.running() else "built"
    return "building" if job.running() else "built"


def fetch_text(job, status_path):
    if not job.running():
        return "model here"
    try:
        with open(status_path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "model: starting"


def wants_fetch(model):
    """Not for paths, nor for a name of the store that the table of models does not have."""
    if "/" in model or model.endswith((".gguf", ".safetensors")) or model in (".", ".."):
        return False
    table = model_table.load_table(os.path.join(ROOT, "script", "models.json"))
    if model.lower() in (entry["name"] for entry in table):
        return True
    folder = os.path.join(model_table.store_root(os.environ), model_table.folder_for_name(model.lower()))
    return not os.path.isdir(folder) and not os.path.exists(model)


def watch(jobs, texts):
    """Until all have ended or one has failed."""
    progress = fetch_model.Progress(sys.stderr)
    shown = time.monotonic()
    while any(job.running() for job in jobs) and not any(job.failed() for job in jobs):
        time.sleep(0.1)
        now = time.monotonic()
        # Nothing is said about what takes less than a second: a second run starts at once, quietly.
        if now - min(job.started for job in jobs) < 1:
            continue
        text = " | ".join(text() for text in texts)
        plain = not progress.terminal and now - shown >= PLAIN_SECONDS
        progress.status(text, milestone=plain)
        if plain:
            shown = now
    if progress.open_line:
        progress.stream.write("\r\x1b[K")
        progress.stream.flush()
    return progress


def main(model):
    status = os.path.join(ROOT, "build", "fetch.status")
    if os.path.exists(status):
        os.unlink(status)
    jobs = [Job("the build", ["ninja", "-C", BUILD, "minke"], os.path.join(ROOT, "build", "build.log"),
                {"NINJA_STATUS": "[%f/%t] "})]
    texts = [lambda: build_text(jobs[0])]
    try:
        if wants_fetch(model):
            command = [sys.executable, os.path.join(ROOT, "script", "fetch-model"), "--status", status, "--", model]
            jobs.append(Job("the fetch", command, os.path.join(ROOT, "build", "fetch.log")))
            texts.append(lambda: fetch_text(jobs[1], status))
        progress = watch(jobs, texts)
        failed = [job for job in jobs if job.failed()]
    except KeyboardInterrupt:
        return 130
    finally:
        for job in jobs:
            job.stop()
    for job in failed:
        progress.stream.write(job.failure())
        progress.line(f"{job.title} failed; all of its output: {job.log_path}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build_and_fetch.py MODEL")
    sys.exit(main(sys.argv[1]))
