"""The way of the command-line tool to a real HTTP server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rtserver.cli import main


class Api(BaseHTTPRequestHandler):
    """Takes the key "good" and answers with what it was sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 200 if self.headers["X-API-Key"] == "good" else 401
        answer = json.dumps({"result": {"path": self.path, "got": json.loads(body)}}).encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        """Silent."""


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_message_reaches_the_api_and_its_result_is_printed(url, capsys, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert main(["publish", "chat:1", '{"t": 1}', "--url", url, "--key", "good"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": "/api/publish",
        "got": {"channel": "chat:1", "data": {"t": 1}},
    }


def test_a_wrong_key_is_told_in_a_sentence(url, capsys):
    assert main(["publish", "chat:1", "1", "--url", url, "--key", "bad"]) == 1
    assert "does not take the API key" in capsys.readouterr().err


def test_a_port_where_nobody_listens_is_told_in_a_sentence(url, capsys):
    assert main(["publish", "chat:1", "1", "--url", "http://127.0.0.1:9", "--key", "good"]) == 1
    assert "is the server running" in capsys.readouterr().err
