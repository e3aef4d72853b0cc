"""A real HTTP backend: it answers what a test tells it to, and keeps what it was asked."""

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Backend:
    """Serves on a free port of the loopback (or ``port``). ``answers`` maps a path to a value (answered as JSON), a status, or
    a function of the question and its headers that returns one of these; everything else is answered 500."""

    def __init__(self, port=0):
        self.answers = {}
        self.asked = []
        """Path, question and headers (lower case) of each request."""
        self.connections = []
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._kind())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def reset(self):
        self.answers, self.asked = {}, []
        self._released.clear()

    def hang(self, *_):
        """As an answer: nothing, until ``release``."""
        self._released.wait(30)
        return 500

    def release(self):
        self._released.set()

    def questions(self, path):
        return [question for of, question, _ in list(self.asked) if of == path]

    def wait(self, path, count=1, seconds=10):
        """Wait until a path was asked ``count`` times; the first question."""
        deadline = time.monotonic() + seconds
        while len(self.questions(path)) < count:
            assert time.monotonic() < deadline, f"{path} was asked {len(self.questions(path))} times in {seconds} s"
            time.sleep(0.02)
        return self.questions(path)[0]

    def headers(self, path):
        return [headers for of, _, headers in list(self.asked) if of == path]

    def stop(self):
        self.release()
        self._server.shutdown()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join(10)

    def _kind(self):
        backend = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                backend.connections.append(self.connection)

            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                backend.asked.append((self.path, question, headers))
                answer = backend.answers.get(self.path, 500)
                self.write(answer(question, headers) if callable(answer) else answer)

            def write(self, answer):
                status, body = (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("Set-Cookie", "session=of-somebody")
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_):
                """The tests look at ``asked``."""

        return Answering


BLOCKED = [
    {"status_code": 404, "to_error": {"code": 1404, "message": "not found"}},
    {"status_code": 403, "to_disconnect": {"code": 4504, "reason": "blocked"}},
]
ALL = {f"{event}_proxy_enabled": True for event in ("subscribe", "publish", "sub_refresh")}


def settings(backend):
    """Of a server that asks this backend about everything."""

    def proxy(path, **more):
        return {"endpoint": backend.url(path), "timeout": "500ms", **more}

    forwarded = {
        "http_headers": ["Cookie", "X-Real-IP"],
        "emulated_headers": ["authorization"],
        "http": {"static_headers": {"X-Backend-Key": "key-of-the-backend"}},
        "include_connection_meta": True,
    }
    return {
        "client": {
            "expired_close_delay": "1s",
            "proxy": {
                "connect": proxy("/connect", enabled=True, **forwarded),
                "refresh": proxy("/refresh", enabled=True, **forwarded),
            },
        },
        "channel": {
            "proxy": {
                "subscribe": proxy("/subscribe", http={"status_to_code_transforms": BLOCKED}),
                "publish": proxy("/publish"),
                "sub_refresh": proxy("/sub_refresh"),
            },
            "namespaces": [
                {"name": "asked", **ALL, "presence": True, "allow_presence_for_subscriber": True},
                {
                    "name": "binary",
                    **ALL,
                    **{f"{event}_name": "binary" for event in ("subscribe_proxy", "publish_proxy")},
                },
                {"name": "users", **ALL, "allow_user_limited_channels": True},
            ],
        },
        "rpc": {
            "proxy": proxy("/rpc"),
            "without_namespace": {"proxy_enabled": True},
            "namespaces": [{"name": "off"}, {"name": "binary", "proxy_enabled": True, "proxy_name": "binary"}],
        },
        "proxies": [{"name": "binary", **proxy("/binary", binary_encoding=True)}],
    }
