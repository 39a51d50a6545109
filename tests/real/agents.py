"""Coding agents from npm complete two tool turns against `minke serve` with Qwen2.5-Coder-0.5B: opencode and Codex, in the
versions that agents/package-lock.json has.

So small a model does not know what to do with an agent's tools. A proxy between the two makes it call, in its first two turns, the
tool that runs commands, with a command that the schema leaves no choice about (`tool_choice`, a strict schema), and to answer in
the third; all else is the agent's own: its prompt, tools, streams, its running of the command and the results that it sends back.

usage: agents.py --minke BINARY --work FOLDER [--long] [--agent NAME]
Ends with "N passed, N failed"; status 77 and SKIPPED without --long, or where Node, the packages or the model cannot be had.
"""

import argparse
import filecmp
import http.client
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from minke_server import Checks, Server, need_model

MODEL = "qwen2.5-coder:0.5b"
HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "agents")
LOCK = "package-lock.json"
CONTEXT = 32768
TASK = "Run the command `echo whale-42` with your tool, twice, then say what it printed."
SAID = "whale-42"
COMMAND = "echo " + SAID
TURNS = 2
# What runs commands is called, and the property that is the command.
SHELLS = ("shell_command", "exec_command", "shell", "bash")
COMMANDS = ("command", "cmd")
SECONDS = 1800


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
                         check=False, timeout=900)
    if npm.returncode != 0:
        skip("npm could not install the packages: " + npm.stderr.strip().replace("\n", " ")[-300:])
    # Puts its program where its package has a placeholder: the one script of a package that is needed.
    linked = subprocess.run(["node", "postinstall.mjs"], cwd=os.path.join(folder, "node_modules", "opencode-ai"), capture_output=True,
                            text=True, check=False, timeout=60)
    if linked.returncode != 0:
        skip("opencode could not be installed: " + linked.stderr.strip().replace("\n", " ")[-300:])
    shutil.copy(os.path.join(HERE, LOCK), done)


def only_command(schema):
    """The tool's parameters, where the command is the one that is wanted; what else must be there is left to the model."""
    name = next((name for name in COMMANDS if name in schema.get("properties", {})), None)
    if name is None:
        return None
    array = schema["properties"][name].get("type") == "array"
    texts = ["bash", "-c", COMMAND] if array else [COMMAND]
    fixed = [{"type": "string", "enum": [text]} for text in texts]
    value = {"type": "array", "prefixItems": fixed, "items": False, "minItems": len(fixed), "maxItems": len(fixed)} if array else fixed[0]
    properties = {name: value}
    for other in schema.get("required", ()):
        if other != name:
            properties[other] = {"type": "string", "enum": ["whales"]} if schema["properties"][other].get("type") == "string" else {"enum": [False]}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


class Chat:
    """OpenAI's chat completions."""

    @staticmethod
    def results(body):
        return [message for message in body.get("messages", ()) if message.get("role") == "tool"]

    @staticmethod
    def functions(body):
        return [tool["function"] for tool in body.get("tools", ()) if tool.get("type") == "function"]

    @staticmethod
    def choose(body, name):
        body["tool_choice"] = {"type": "function", "function": {"name": name}} if name else "none"
        body["max_tokens"] = 200 if name else 24


class Responses:
    """OpenAI's responses."""

    @staticmethod
    def results(body):
        return [item for item in body.get("input", ()) if isinstance(item, dict) and str(item.get("type")).endswith("_call_output")]

    @staticmethod
    def functions(body):
        return [tool for tool in body.get("tools", ()) if tool.get("type") == "function"]

    @staticmethod
    def choose(body, name):
        body["tool_choice"] = {"type": "function", "name": name} if name else "none"
        body["max_output_tokens"] = 200 if name else 24


KINDS = {"/v1/chat/completions": Chat, "/v1/responses": Responses}


class Proxy(http.server.ThreadingHTTPServer):
    """Passes all on, but for what the model is to do. Keeps what it saw."""

    daemon_threads = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), Handler)
        self.to = port
        self.turns = []  # (results so far, status)
        self.results = []
        self.refused = []
        self.tools = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def rewrite(self, path, body):
        """What is sent on; the number of results in it, where it is a turn with tools."""
        kind = KINDS.get(path)
        functions = kind.functions(body) if kind else []
        if not functions:
            # Titles and summaries, which some ask for beside.
            if kind is Chat:
                body["max_tokens"] = 8
            return body, None
        self.tools = [function["name"] for function in functions]
        shell = next((function for name in SHELLS for function in functions if function["name"] == name), None)
        results = kind.results(body)
        self.results = results or self.results
        if shell is not None:
            narrowed = only_command(shell.get("parameters") or {})
            if narrowed:
                shell["parameters"], shell["strict"] = narrowed, True
            kind.choose(body, shell["name"] if len(results) < TURNS else None)
        return body, len(results)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def relay(self):
        path = self.path.split("?")[0]
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        turn = None
        if data and path in KINDS:
            body, turn = self.server.rewrite(path, json.loads(data))
            data = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.to, timeout=SECONDS)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection", "accept-encoding")}
        connection.request(self.command, self.path, data or None, headers)
        reply = connection.getresponse()
        if reply.status >= 400:
            self.server.refused.append((self.command, self.path, reply.status))
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.headers.get("Content-Type", ""))
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := reply.read1(65536):
            if reply.status >= 400:
                self.server.refused.append(piece[:500])
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True
        if turn is not None:
            self.server.turns.append((turn, reply.status))

    do_GET = do_POST = relay


def opencode(folder, home, url):
    config = {"$schema": "https://opencode.ai/config.json", "model": f"minke/{MODEL}", "small_model": f"minke/{MODEL}", "share": "disabled",
              "autoupdate": False, "permission": {"bash": "allow"},
              "provider": {"minke": {"npm": "@ai-sdk/openai-compatible", "name": "Minke", "options": {"baseURL": url, "apiKey": "none"},
                                     "models": {MODEL: {"name": "small", "tool_call": True, "limit": {"context": CONTEXT, "output": 2048}}}}}}
    with open(os.path.join(home, "opencode.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    return ["node_modules/.bin/opencode", "run", TASK], {"OPENCODE_CONFIG": os.path.join(home, "opencode.json")}


def codex(folder, home, url):
    with open(os.path.join(home, "config.toml"), "w", encoding="utf-8") as file:
        file.write(f'model = "{MODEL}"\nmodel_provider = "minke"\nmodel_context_window = {CONTEXT}\n'
                   f'[model_providers.minke]\nname = "Minke"\nbase_url = "{url}"\nwire_api = "responses"\n')
    return ["node_modules/.bin/codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", TASK], {"CODEX_HOME": home}


AGENTS = {"opencode": opencode, "codex": codex}


class Suite(Checks):
    def __init__(self, minke, folder):
        super().__init__()
        self.minke, self.folder = minke, folder

    def run_agent(self, name):
        server = Server(self.minke, model=MODEL, context=CONTEXT)
        proxy = Proxy(int(server.url.rsplit(":", 1)[1]))
        try:
            with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as work:
                start = time.monotonic()
                command, environment = AGENTS[name](self.folder, home, f"http://127.0.0.1:{proxy.server_port}/v1")
                ended = self.start(command, environment, home, work)
                self.judge(name, ended, proxy, server, time.monotonic() - start)
        finally:
            proxy.shutdown()
            self.check(f"{name}: the server's end", server.stop() == 0)

    def start(self, command, environment, home, work):
        program = [os.path.join(self.folder, command[0]), *command[1:]]
        plain = {"PATH": os.environ["PATH"], "HOME": home, "TERM": "dumb", "CI": "1", "NO_COLOR": "1"}
        try:
            return subprocess.run(program, cwd=work, env={**plain, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(program, -1, str(late.stdout), str(late.stderr))

    def judge(self, name, ended, proxy, server, seconds):
        said = (ended.stdout + ended.stderr)[-600:]
        self.check(f"{name}: ended well", ended.returncode == 0, (ended.returncode, said))
        turns = [turn for turn, status in proxy.turns if status == 200]
        self.check(f"{name}: two tool turns and an answer", set(turns) >= set(range(TURNS + 1)), (proxy.turns, proxy.tools, said))
        text = json.dumps(proxy.results)
        self.check(f"{name}: the command was run each time", text.count(SAID) >= TURNS, text[-500:])
        self.check(f"{name}: nothing was refused", not proxy.refused, proxy.refused)
        # The prompts with tools are by far the longest (others ask for titles); each has the one before as its beginning.
        sizes = sorted((line["prompt_tokens"], line["cached_tokens"]) for line in server.log() if "prompt_tokens" in line)
        usage = [pair for pair in sizes if 2 * pair[0] > sizes[-1][0]]
        print(f"{name}: {seconds:.0f} s, turns with (tokens, cached): {usage}; {len(proxy.tools)} tools: {' '.join(proxy.tools)}", flush=True)
        self.check(f"{name}: the second turn is a cache hit",
                   len(usage) > TURNS and all(cached >= before[0] // 64 * 64 - 64 for before, (_, cached) in zip(usage, usage[1:])), usage)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--agent", choices=sorted(AGENTS))
    args = parser.parse_args()
    if not args.long:
        skip("only with --long")
    need_model(args.minke, MODEL)
    if not shutil.which("node") or not shutil.which("npm"):
        skip("there is no Node")
    folder = os.path.join(args.work, "agents")
    install(folder)
    suite = Suite(args.minke, folder)
    for name in [args.agent] if args.agent else AGENTS:
        try:
            suite.run_agent(name)
        except Exception as error:  # whatever it was, the others run
            suite.check(name, False, repr(error))
    suite.finish()


if __name__ == "__main__":
    main()
