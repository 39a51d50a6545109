"""A hub of models on the loopback interface that speaks Hugging Face's protocol, and misbehaves when told to.

FakeHub serves two hosts: the hub (api and resolve) and, on another port, the storage that large files are redirected to.
Faults are set by the tests in `fault`, a dictionary; each is described where it is used.
"""

import hashlib
import http.server
import json
import random
import re
import socket
import ssl
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "76543210fedcba9876543210fedcba9876543210"


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    """files: path -> bytes; `large` ones are LFS files, kept by the storage."""

    def __init__(self, files, large=(".gguf", ".safetensors"), gated=False, private=False, commit=COMMIT):
        self.files, self.gated, self.private, self.commit = dict(files), gated, private, commit
        self.large, self.etags = large, {}

    def is_large(self, path):
        return path.endswith(self.large)

    def etag(self, path):
        data = self.files[path]
        if self.etags.get(path, (None,))[0] is not data:
            self.etags[path] = data, hashlib.sha256(data).hexdigest() if self.is_large(path) else git_sha1(data)
        return self.etags[path][1]

    def tree(self):
        rows = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        for path, data in self.files.items():
            row = {"type": "file", "oid": "0" * 40 if self.is_large(path) else self.etag(path), "size": len(data), "path": path}
            if self.is_large(path):
                row["lfs"] = {"oid": self.etag(path), "size": len(data), "pointerSize": 134}
            rows.append(row)
        return rows


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        hub, path, kind = self.server.hub, self.path, self.server.kind
        if path.startswith("http://"):  # through a proxy
            hub.note("proxied", path)
            kind = "storage" if path.startswith(hub.storage_url) else "hub"
            path = urllib.parse.urlsplit(path)._replace(scheme="", netloc="").geturl()
        hub.note("requests", (kind, path, self.headers.get("Authorization"), self.headers.get("Range")))
        try:
            if kind == "storage":
                self.storage(hub, urllib.parse.unquote(path))
            else:
                self.hub(hub, urllib.parse.unquote(path))
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True

    def do_CONNECT(self):
        """As a proxy: a tunnel."""
        self.server.hub.note("tunnels", (self.path, self.headers.get("Proxy-Authorization")))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            threads = [threading.Thread(target=pump, args=pair, daemon=True)
                       for pair in ((self.connection, far), (far, self.connection))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.close_connection = True

    # ---- the hub

    def hub(self, hub, path):
        if hub.fault.get("busy", 0) > 0:  # this many requests are told to wait
            hub.fault["busy"] -= 1
            return self.reply(429, **({"Retry_After": str(hub.fault["retry_after"])} if "retry_after" in hub.fault else {}))
        if hub.fault.get("html"):  # the login page of a hotel
            return self.reply(200, b"<html>Welcome! Please pay.</html>", "text/html; charset=utf-8")
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/?]+)(?:\?(.*))?", path)
        resolve = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        name = (api or resolve)[1] if api or resolve else None
        if name in hub.moved:
            target = path.replace(name, hub.moved[name], 1)
            return self.reply(307, Location=target)
        repo = hub.repos.get(name)
        if repo is None:
            return self.reply(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        allowed = self.headers.get("Authorization") == f"Bearer {hub.token}"
        if repo.private and not allowed:
            return self.reply(401, X_Error_Code="RepoNotFound")
        if api:
            return self.api(hub, repo, name, api)
        if repo.gated and not allowed:
            return self.reply(403 if self.headers.get("Authorization") else 401, X_Error_Code="GatedRepo")
        return self.resolve(hub, repo, resolve[2], resolve[3])

    def api(self, hub, repo, name, match):
        kind, revision, query = match[2], match[3], match[4] or ""
        if revision not in ("main", repo.commit):
            return self.reply(404, X_Error_Code="RevisionNotFound")
        if kind == "revision":
            return self.reply(200, json.dumps({"id": name, "sha": repo.commit, "gated": repo.gated}).encode())
        rows, page = repo.tree(), int((re.search(r"page=(\d+)", query) or [0, 0])[1])
        size = hub.fault.get("page", len(rows))
        headers = {}
        if (page + 1) * size < len(rows):
            headers["Link"] = f'<{hub.url}/api/models/{name}/tree/{revision}?recursive=true&page={page + 1}>; rel="next"'
        return self.reply(200, hub.fault.get("tree", json.dumps(rows[page * size:(page + 1) * size]).encode()), **headers)

    def resolve(self, hub, repo, revision, path):
        if revision != repo.commit or path not in repo.files:
            return self.reply(404, X_Error_Code="EntryNotFound")
        etag = hub.fault.get("etag", repo.etag(path))  # another file's
        commit = hub.fault.get("commit", repo.commit)  # the revision changed meanwhile
        if not repo.is_large(path):
            return self.data(hub, repo.files[path], X_Repo_Commit=commit, ETag=f'"{etag}"')
        host = hub.storage_url if not hub.fault.get("downgrade") else hub.storage_url.replace("https", "http")
        return self.reply(302, Location=f"{host}/{repo.etag(path)}?sig=x", X_Linked_Etag=f'"{etag}"',
                          X_Linked_Size=str(len(repo.files[path])), X_Repo_Commit=commit)

    # ---- the storage

    def storage(self, hub, path):
        digest = path[1:].split("?")[0]
        for repo in hub.repos.values():
            for name, data in repo.files.items():
                if repo.is_large(name) and repo.etag(name) == digest:
                    return self.data(hub, data)
        return self.reply(404)

    def data(self, hub, data, **headers):
        fault, total = hub.fault, len(data)
        if fault.get("storage_html"):
            return self.reply(200, b"<html>Error</html>", "text/html")
        if fault.get("failing", 0) > 0:  # this many requests get 500
            fault["failing"] -= 1
            return self.reply(500)
        if fault.get("wrong"):  # other bytes of the same length
            data = bytes(byte ^ 1 for byte in data[:64]) + data[64:]
        first, last, status = 0, total - 1, 200
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if span and not fault.get("no_ranges"):  # it knows no ranges
            first, last, status = int(span[1]), min(int(span[2]), total - 1), 206
        body = data[first:last + 1]
        said = total + fault.get("other_total", 0)  # a file of another length
        self.send_response(status)
        self.send_header("Content-Type", "binary/octet-stream")
        if status == 206:
            shift = fault.get("shift", 0)  # other bytes than asked for
            self.send_header("Content-Range", f"bytes {first + shift}-{last + shift}/{said}")
            self.send_header("Content-Length", str(len(body) + fault.get("other_length", 0)))
        else:
            self.send_header("Content-Length", str(said))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.send_body(hub, body)

    def send_body(self, hub, body):
        fault = hub.fault
        # Dropped after a random number of bytes, so many times.
        end = len(body)
        with hub.lock:
            if fault.get("drops", 0) > 0:
                fault["drops"] -= 1
                end = random.randrange(end + 1)
        step = fault.get("step", 65536)
        for at in range(0, end, step):
            if fault.get("silent"):  # never says another byte
                time.sleep(1.5)
                return
            self.wfile.write(body[at:min(at + step, end)])
            with hub.lock:
                hub.sent += min(step, end - at)
            if fault.get("pause"):  # slow
                time.sleep(fault["pause"])
        self.wfile.flush()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that was killed


class FakeHub:
    def __init__(self, certificate=None):
        """certificate: (certificate file, key file) for https."""
        self.repos, self.moved, self.fault, self.token = {}, {}, {}, "hf_right"
        self.log, self.sent, self.lock = {}, 0, threading.Lock()
        self.servers = []
        self.url = self.serve("hub", certificate)
        self.storage_url = self.serve("storage", certificate)
        self.proxy_url = self.serve("hub", None)

    def serve(self, kind, certificate):
        server = Server(("127.0.0.1", 0), Handler)
        server.hub, server.kind = self, kind
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        host = "localhost" if certificate else "127.0.0.1"
        return f"http{'s' if certificate else ''}://{host}:{server.server_address[1]}"

    def note(self, what, entry):
        with self.lock:
            self.log.setdefault(what, []).append(entry)

    def reset(self):
        """No faults, nothing noted."""
        with self.lock:
            self.fault, self.log, self.sent = {}, {}, 0

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
