"""The official JavaScript clients against `minke serve` with Qwen2.5-Coder-0.5B: openai, @anthropic-ai/sdk, and the AI SDK
with @ai-sdk/deepseek and @ai-sdk/openai-compatible, in the versions that npm/package-lock.json has.

usage: npm_sdk.py --minke BINARY --work FOLDER [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where Node, the packages or the model cannot be had.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys

from minke_server import Server, need_model

MODEL = "qwen2.5-coder:0.5b"
HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "npm")
LOCK = "package-lock.json"


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(77)


def install(folder):
    """The packages as the lock has them, unless they are there."""
    os.makedirs(folder, exist_ok=True)
    done = os.path.join(folder, "installed-" + LOCK)
    if os.path.exists(done) and filecmp.cmp(done, os.path.join(HERE, LOCK), shallow=False):
        return
    for name in ("package.json", LOCK):
        shutil.copy(os.path.join(HERE, name), folder)
    npm = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True, text=True,
                         check=False, timeout=300)
    if npm.returncode != 0:
        skip("npm could not install the packages: " + npm.stderr.strip().replace("\n", " ")[-300:])
    shutil.copy(os.path.join(HERE, LOCK), done)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--sanitized", action="store_true")
    args = parser.parse_args()
    need_model(args.minke, MODEL)
    if not shutil.which("node") or not shutil.which("npm"):
        skip("there is no Node")
    folder = os.path.join(args.work, "npm")
    install(folder)
    shutil.copy(os.path.join(HERE, "suite.mjs"), folder)  # packages are looked for beside a program
    server = Server(args.minke, model=MODEL)
    try:
        suite = subprocess.run(["node", os.path.join(folder, "suite.mjs"), server.url, MODEL], check=False, timeout=600)
        status = server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
    if status != 0 or Server.reports:
        print(f"FAILED the server's end: status {status} {Server.reports}")
    sys.exit(1 if suite.returncode or status or Server.reports else 0)


if __name__ == "__main__":
    main()
