"""`minke serve` with SmolLM2 under load: more requests than it takes, clients that only hold connections, a server that is
killed.

  overload  keys with unequal numbers of clients, four times as many requests as the server takes at once and queues:
            each is answered or told truthfully when to retry; backlogged keys get equal shares: Jain's index >= 0.95
  crowd     100 streams at once beside 1,000 idle connections (--long: 1,000 and 10,000): none is lost, memory is bounded
  kills     kill -9 while replies run, 5 times (--long: 50): the next start takes less than 2 s, serves the same reply, and
            finds the prompt's blocks that an earlier one left on disk
  slow      (--long) 10,000 connections whose requests never get whole: another client's first token comes as soon as without

usage: server_load.py --minke BINARY [--long] [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where the model is not in the store.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import tempfile
import time

from minke_server import MODEL, Checks, Server, need_model

QUESTION = "What is the capital of France? Answer in one sentence."
KEYS = {"alice": 24, "bob": 12, "carol": 6, "dave": 6}  # clients of each: four times as many as there are places
PARALLEL, QUEUE = 2, 10
JAIN = 0.95
START_SECONDS = 2
LONG_QUESTION = "Of these towns, which is the capital of France? " + ", ".join(f"Town {i}" for i in range(60)) + ", Paris."


def body(question, tokens, stream, seed=0):
    return json.dumps({"model": MODEL, "messages": [{"role": "user", "content": question}], "temperature": 0, "stream": stream,
                       "max_tokens": tokens, "ignore_eos": True, "seed": seed}).encode()


def port_of(server):
    return int(server.url.rsplit(":", 1)[1])


async def ask(port, payload, key=None):
    """Status, headers and everything that came, over a connection of its own. Status 0: the server ended it early."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(payload)}\r\n"
        if key:
            head += f"Authorization: Bearer {key}-secret\r\n"
        writer.write(head.encode() + b"\r\n" + payload)
        text = await reader.read()
        while more := await reader.read():
            text += more
    except ConnectionError:
        return 0, {}, ""
    finally:
        writer.close()
    top, _, rest = text.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    if len(lines[0].split()) < 2:
        return 0, {}, ""
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, rest.decode(errors="replace")


async def first_token(port, payload):
    """Seconds until the first piece of content."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    start = time.monotonic()
    try:
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                     f"Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
        text = b""
        while b'"content":"' not in text or text.count(b'"content":"') < 2:
            piece = await reader.read(65536)
            if not piece:
                break
            text += piece
        return time.monotonic() - start
    finally:
        writer.close()


def processor_seconds(pid):
    """That the process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def raise_files():
    """The number of files that this process may have open now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Suite(Checks):
    def __init__(self, minke, long, sanitized):
        super().__init__()
        self.minke, self.long, self.sanitized = minke, long, sanitized

    def test_overload(self):
        flags = [flag for name in KEYS for flag in ("--api-key", f"{name}:{name}-secret")]
        server = Server(self.minke, "--parallel", str(PARALLEL), "--queue", str(QUEUE), *flags)
        tokens, statuses, untruthful = dict.fromkeys(KEYS, 0), {}, []
        # At first the places are those of whoever came first; from then on all keys are backlogged.
        warm_up, enough = 2 * (PARALLEL + QUEUE), 10000 if self.long else 100
        end = time.monotonic() + (300 if self.long else 45)

        def is_over():
            return statuses.get(200, 0) >= warm_up + enough or time.monotonic() > end

        async def client(name, number):
            while not is_over():
                status, headers, text = await ask(port_of(server), body(f"{QUESTION} {name} {number}", 16, True), name)
                statuses[status] = statuses.get(status, 0) + 1
                if status == 200 and text.endswith("data: [DONE]\n\n\r\n0\r\n\r\n"):
                    if statuses[200] > warm_up and not is_over():
                        tokens[name] += text.count('"content":') - 1
                elif status in (429, 503) and int(headers.get("retry-after", 0)) >= 1:
                    # Sooner than it was told: the queue is to stay full, so that shares mean something.
                    await asyncio.sleep(0.05)
                else:
                    untruthful.append((status, text[-200:]))

        async def all_clients():
            await asyncio.gather(*[client(name, i) for name, count in KEYS.items() for i in range(count)])

        asyncio.run(all_clients())
        self.check("each is answered or told to retry", not untruthful, untruthful[:3])
        self.check("there was an overload", statuses.get(503, 0) + statuses.get(429, 0) > 0 and statuses.get(200, 0) > 0, statuses)
        shares = list(tokens.values())
        index = sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares)) if any(shares) else 0
        print(f"overload: {statuses}, tokens {tokens}, Jain's index {index:.3f}", flush=True)
        # A machine that is busy with other things has too few replies to tell; tests/server/overload_test.cc always does.
        if statuses.get(200, 0) < warm_up + 40:
            print("overload: too few replies to judge shares")
        else:
            self.check("shares are equal", index >= JAIN, (index, tokens))
        self.check("status 0 at the end", server.stop() == 0)

    def test_kills(self):
        times = 50 if self.long else 5
        with tempfile.TemporaryDirectory() as folder:
            runs = [self.killed_run(folder) for _ in range(times)]
        starts, replies, cached = zip(*runs)
        print(f"kills: {times}, slowest start {max(starts):.2f} s, of a prompt's tokens from disk {min(cached[1:])} to {max(cached[1:])}",
              flush=True)
        self.check("the same reply after each kill", len(set(replies)) == 1, set(replies))
        if not self.sanitized:
            self.check("started again soon", max(starts) < START_SECONDS, starts)
        self.check("nothing was kept at first", cached[0] == 0, cached)
        self.check("found on disk after each kill", min(cached[1:]) >= 128, cached)

    def killed_run(self, folder):
        """Seconds that a start took, the reply to a long question, and how much of that was cached; then the server is killed."""
        start = time.monotonic()
        server = Server(self.minke, "--cache-dir", folder)
        # What it waited for others on a busy machine is not its own time.
        seconds = min(time.monotonic() - start, processor_seconds(server.process.pid))

        async def under_load(port):
            load = [asyncio.create_task(ask(port, body(f"{QUESTION} {i}", 400, True))) for i in range(6)]
            _, _, text = await ask(port, body(LONG_QUESTION, 12, False))
            # Its blocks are written while the next is computed.
            await ask(port, body(QUESTION, 4, False))
            server.process.kill()
            await asyncio.gather(*load, return_exceptions=True)
            return text

        text = asyncio.run(under_load(port_of(server)))
        server.kill()
        self.check("it ran until it was killed", server.process.returncode == -signal.SIGKILL, server.lines[-5:])
        reply = json.loads(text[text.index("{"):text.rindex("}") + 1])
        return seconds, reply["choices"][0]["message"]["content"], reply["usage"]["prompt_cache_hit_tokens"]

    def test_slow(self):
        if not self.long:
            return
        wanted = 10000
        if raise_files() < wanted + 500:
            print("slow: left out, as the system does not allow so many open files")
            return
        server = Server(self.minke, "--no-access-log")
        port = port_of(server)
        alone, beside = asyncio.run(self.slow_crowd(port, wanted))
        alone.sort()
        beside.sort()
        middle, late = alone[len(alone) // 2], alone[-1]
        print(f"slow: first token alone {middle * 1000:.0f} ms (most {late * 1000:.0f}), beside {wanted} slow connections "
              f"{beside[len(beside) // 2] * 1000:.0f} ms (most {beside[-1] * 1000:.0f})", flush=True)
        self.check("slow connections delay nobody", beside[len(beside) // 2] < 1.5 * middle + 0.02, (alone, beside))
        self.check("status 0 at the end", server.stop() == 0)

    async def slow_crowd(self, port, wanted):
        """Seconds to the first token of questions alone, and beside connections that send a byte now and then."""
        number = 0

        async def first_tokens():
            nonlocal number
            seconds = []
            for _ in range(20):
                number += 1
                seconds.append(await first_token(port, body(f"{number}: {QUESTION}", 4, True)))
            return seconds

        alone = await first_tokens()
        open_now, over = [], False

        async def slow(index):
            await asyncio.sleep(index * 5 / wanted)
            while not over:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    open_now.append(index)
                    try:
                        for byte in b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ":
                            writer.write(bytes([byte]))
                            await writer.drain()
                            await asyncio.sleep(4)
                            if over or writer.is_closing():
                                break
                    finally:
                        open_now.remove(index)
                        writer.close()
                except ConnectionError:
                    await asyncio.sleep(1)

        tasks = [asyncio.create_task(slow(i)) for i in range(wanted)]
        for _ in range(120):
            await asyncio.sleep(0.5)
            if len(open_now) > 0.9 * wanted:
                break
        most = len(open_now)
        beside = await first_tokens()
        self.check("slow connections were open", min(most, len(open_now)) > wanted / 2, (most, len(open_now)))
        over = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return alone, beside

    def test_crowd(self):
        streams, wanted = (1000, 10000) if self.long else (100, 1000)
        if raise_files() < streams + wanted + 500:
            print("crowd: left out, as the system does not allow so many open files")
            return
        server = Server(self.minke, "--queue", "2000", "--no-access-log")
        port = port_of(server)

        def memory():
            with open(f"/proc/{server.process.pid}/status", encoding="utf-8") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

        async def one(number):
            # What the server kept must not decide: each question differs from its beginning.
            return await ask(port, body(f"{number}: {QUESTION}", 4, True))

        async def is_served(reader, writer):
            writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            return head.startswith("http/1.1 200")

        async def use(idle):
            """Each now and then, sooner than the server gives them up (75 s)."""
            while True:
                for pair in idle:
                    await is_served(*pair)
                    await asyncio.sleep(20 / wanted)

        async def crowd():
            empty = memory()
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(wanted)]
            held = memory() - empty
            user = asyncio.create_task(use(idle))
            replies = await asyncio.gather(*[one(i) for i in range(streams)])
            all_used = not user.done()
            user.cancel()
            await asyncio.gather(user, return_exceptions=True)
            for _, writer in idle:
                writer.close()
            fresh = await asyncio.open_connection("127.0.0.1", port)
            return replies, held, all_used and await is_served(*fresh)

        start = time.monotonic()
        replies, held, served = asyncio.run(crowd())
        whole = sum(status == 200 and "data: [DONE]" in text for status, _, text in replies)
        print(f"crowd: {whole} of {streams} streams whole in {time.monotonic() - start:.1f} s; {wanted} idle connections took "
              f"{held:.0f} MB; {memory():.0f} MB at the end", flush=True)
        self.check("nothing lost", whole == streams, [r for r in replies if r[0] != 200][:2])
        self.check("idle connections are served", served, served)
        if not self.sanitized:
            self.check("idle connections are small", held * 1024 / wanted < 64, held)
        self.check("status 0 at the end", server.stop() == 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minke", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--sanitized", action="store_true", help="it is slow, and its memory is not its own")
    args = parser.parse_args()
    need_model(args.minke)
    suite = Suite(args.minke, args.long, args.sanitized)
    suite.run()
    suite.finish()


if __name__ == "__main__":
    main()
