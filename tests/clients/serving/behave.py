#!/usr/bin/python3
"""A model server that behaves as it is told, well or badly; Python's standard library alone.

A request's body may be a JSON object whose `do` names what is done (`Deeds`); any other body is
answered with what came (`echo`). How it starts is told by variables:

    SLOW_START=S        seconds before it listens
    DIES_AT_START=CODE  it ends with this code
    UNHEALTHY=STATUS    what /ping is answered with
    CALLS_OUT=1         it tries to reach others before it listens
    MODELS_FIT=N        how many models of a multi-model endpoint are loaded at a time
"""

import base64
import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BORN = uuid.uuid4().hex
"""Another one for each start of a container."""
ELSEWHERE = [("169.254.169.254", 80), ("192.0.2.7", 443), ("telemetry.example.com", 443)]


class State:
    lock = threading.Lock()
    ping = int(os.environ.get("UNHEALTHY", "200"))
    served = 0
    go = threading.Event()
    models: dict[str, str] = {}
    """The models that are loaded: name and folder."""


def say(*words) -> None:
    print(*words, flush=True)


def call_out() -> dict[str, str]:
    found = {}
    for host, port in ELSEWHERE:
        try:
            socket.create_connection((host, port), timeout=5).close()
            found[host] = "REACHED"
        except OSError as e:
            found[host] = type(e).__name__
        say(f"tried {host}: {found[host]}")
    return found


def files(folder: str) -> dict[str, str]:
    root = pathlib.Path(folder)
    names = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_text(errors="replace")[:1000] for p in names}


class Deeds:
    """One method for each thing that can be asked for by `do`."""

    def __init__(self, handler: "Handler", told: dict, body: bytes, model: str | None):
        self.handler, self.told, self.body, self.model = handler, told, body, model

    def echo(self) -> None:
        try:
            text = {"body": self.body.decode()}
        except UnicodeDecodeError:
            text = {"base64": base64.b64encode(self.body).decode()}
        self.handler.reply_json(
            {
                **text,
                "born": BORN,
                "headers": {k.lower(): v for k, v in self.handler.headers.items()},
                "path": self.handler.path,
                "hostname": socket.gethostname(),
                "environment": dict(os.environ),
                "model": self.model,
            }
        )

    def add(self) -> None:
        """`n` and 1: for pipelines, and to see that an answer belongs to its request."""
        self.handler.reply_json({**self.told, "n": self.told["n"] + 1, "born": BORN, "hostname": socket.gethostname()})

    def files(self) -> None:
        self.handler.reply_json(files(self.told["folder"]))

    def count(self) -> None:
        with State.lock:
            served = State.served
        self.handler.reply_json({"served": served, "born": BORN, "model": self.model})

    def call_out(self) -> None:
        self.handler.reply_json(call_out())

    def reply(self) -> None:
        """Whatever it is told."""
        text = self.told.get("text", "").encode()
        self.handler.reply(self.told.get("status", 200), text, self.told.get("headers", {}), self.told.get("reason"))

    def sleep(self) -> None:
        time.sleep(self.told["seconds"])
        self.add() if "n" in self.told else self.echo()

    def hang(self) -> None:
        """Until the other side has enough; at most ten minutes."""
        self.handler.connection.settimeout(600)
        try:
            self.handler.connection.recv(1)
        except OSError:
            pass
        self.handler.close_connection = True

    def size(self) -> None:
        """So many bytes; with `chunked` nobody is told how many before."""
        left = self.told["bytes"]
        if not self.told.get("chunked"):
            self.handler.head(200, {"Content-Type": "application/octet-stream", "Content-Length": str(left)})
            while left:
                step = min(left, 1 << 20)
                self.handler.wfile.write(b"x" * step)
                left -= step
            return
        self.handler.head(200, {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"})
        while left:
            step = min(left, 1 << 20)
            self.handler.chunk(b"x" * step)
            left -= step
        self.handler.chunk(b"")

    def stream(self) -> None:
        """Chunks with a pause before each but the first; `breaks`: the last one does not come;
        `waits`: those after the first come when another request says `go`, or not at all."""
        self.handler.head(200, {"Content-Type": self.told.get("type", "text/plain"), "Transfer-Encoding": "chunked"})
        for n, part in enumerate(self.told["parts"]):
            if n:
                time.sleep(self.told.get("pause", 0))
            if n == 1 and self.told.get("waits") and not State.go.wait(30):
                self.handler.close_connection = True
                return
            self.handler.chunk(part.encode())
        if self.told.get("breaks"):
            self.handler.close_connection = True
        else:
            self.handler.chunk(b"")

    def go(self) -> None:
        """To a stream that waits."""
        State.go.set()
        self.handler.reply(200, b"", {})

    def half(self) -> None:
        """Less than it says, and no more."""
        self.handler.head(200, {"Content-Length": "1000"})
        self.handler.wfile.write(b"half")
        self.handler.close_connection = True

    def nothing(self) -> None:
        self.handler.close_connection = True

    def reset(self) -> None:
        """As `nothing`, without the courtesy of a FIN."""
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.handler.connection.close()
        self.handler.close_connection = True

    def garbage(self) -> None:
        self.handler.wfile.write(b"\x00\xff\x16 this is no HTTP\r\n\r\n" * 8)
        self.handler.close_connection = True

    def many_headers(self) -> None:
        """A megabyte of them."""
        self.handler.head(200, {**{f"X-{n}": "y" * 1000 for n in range(1000)}, "Content-Length": "2"})
        self.handler.wfile.write(b"ok")

    def trickle(self) -> None:
        """A byte of its headers every now and then, for ever."""
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 6000:
            self.handler.wfile.write(bytes([byte]))
            self.handler.wfile.flush()
            time.sleep(self.told.get("pause", 0.2))
        self.handler.close_connection = True

    def last(self) -> None:
        """A good answer, and the connection is closed behind it."""
        self.handler.reply(200, b"last", {"Connection": "close"})
        self.handler.close_connection = True

    def silently_last(self) -> None:
        """As `last`, without a word: the next request on this connection finds it closed."""
        self.handler.reply(200, b"last", {})
        self.handler.close_connection = True

    def say(self) -> None:
        for line in self.told["lines"]:
            say(line)
        self.handler.reply(200, b"said", {})

    def die(self) -> None:
        say("dies as it was told")
        os._exit(self.told.get("code", 3))

    def sicken(self) -> None:
        """/ping answers otherwise from now on."""
        State.ping = self.told.get("status", 503)
        self.handler.reply(200, b"", {})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 700

    def head(self, status: int, headers: dict[str, str], reason: str | None = None) -> None:
        self.send_response_only(status, reason)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status: int, text: bytes, headers: dict[str, str], reason: str | None = None) -> None:
        self.head(status, {"Content-Type": "text/plain", **headers, "Content-Length": str(len(text))}, reason)
        self.wfile.write(text)

    def reply_json(self, value, status: int = 200) -> None:
        self.reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/ping":
            self.reply(State.ping, b"", {})
        elif path == "/models":
            with State.lock:
                listed = [{"modelName": n, "modelUrl": u} for n, u in sorted(State.models.items())]
            self.reply_json({"models": listed})
        elif path.startswith("/models/"):
            name = path.removeprefix("/models/")
            with State.lock:
                url = State.models.get(name)
            if url is None:
                self.reply(404, b"no such model", {})
            else:
                self.reply_json({"modelName": name, "modelUrl": url})
        else:
            self.reply(404, b"", {})

    def do_DELETE(self) -> None:
        with State.lock:
            url = State.models.pop(self.path.removeprefix("/models/"), None)
        say(f"unloaded {self.path}")
        self.reply(200 if url else 404, b"", {})

    def do_POST(self) -> None:
        body = self.read()
        if self.path == "/models":
            return self.load(json.loads(body))
        model = None
        if self.path.startswith("/models/") and self.path.endswith("/invoke"):
            with State.lock:
                model = State.models.get(self.path.removeprefix("/models/").removesuffix("/invoke"))
            if model is None:
                return self.reply(404, b"not loaded", {})
        elif self.path != "/invocations":
            return self.reply(404, b"", {})
        with State.lock:
            State.served += 1
        try:
            told = json.loads(body)
            do = getattr(Deeds, told["do"])
        except (ValueError, TypeError, KeyError, AttributeError):
            told, do = {}, Deeds.echo
        do(Deeds(self, told, body, model))

    def load(self, told: dict) -> None:
        with State.lock:
            if told["model_name"] in State.models:
                return self.reply(409, b"it is loaded", {})
            if len(State.models) >= int(os.environ.get("MODELS_FIT", "1000")):
                return self.reply(507, b"no memory", {})
            if "refused" in files(told["url"]):
                return self.reply(500, b"this model cannot be loaded", {})
            State.models[told["model_name"]] = told["url"]
        say(f"loaded {told['model_name']}: {sorted(files(told['url']))}")
        self.reply(200, b"", {})

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, *_) -> None:
        """The other side had enough: that is what many tests are about."""


def main() -> None:
    # The first process of a container hears no TERM without a handler.
    signal.signal(signal.SIGTERM, lambda *_: (say("stopped by TERM"), os._exit(0)))
    say(f"born {BORN} as {sys.argv[1:]}")
    if code := os.environ.get("DIES_AT_START"):
        say("dies at start")
        sys.exit(int(code))
    if os.environ.get("CALLS_OUT"):
        call_out()
    time.sleep(float(os.environ.get("SLOW_START", "0")))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    say(f"listens on {port}")
    Server(("0.0.0.0", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
