"""Providers that never come to an end: a byte now and then, or bytes without end. Each is a socket of this process."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from twisted.internet.threads import deferToThread

from rtserver.accounts.options import ProviderOptions
from rtserver.services import identity_bounded
from rtserver.services.http_bounded import Bounds, ask, kind_of
from tests.deadline import deadline
from tests.live.certificate import write_certificate
from tests.services.identity_house import SECRET, house_in, refused

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ZEROS = gzip.compress(b"0" * 1_000_000)

Speak = Callable[["Peer", Any], None]


class Peer:
    """Takes connections, reads a request, and then does what ``speak`` does, until the other side leaves or the test ends."""

    def __init__(self, speak: Speak, place: Path | None = None) -> None:
        self.over = threading.Event()
        self.met = 0
        self._speak = speak
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context: ssl.SSLContext | None = None
        if place is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(place / "cert.pem", place / "key.pem")
        self.url = f"{'https' if place else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while not self.over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.met += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: Any) -> None:
        try:
            with self._context.wrap_socket(sock, server_side=True) if self._context else sock as talk:
                while b"\r\n\r\n" not in talk.recv(65536):
                    pass
                self._speak(self, talk)
        except OSError:
            return  # the other side has left, which is what is hoped for

    def drip(self, talk: Any, byte: bytes) -> None:
        while not self.over.wait(0.02):
            talk.sendall(byte)

    def pour(self, talk: Any, part: bytes) -> None:
        while not self.over.is_set():
            talk.sendall(part)

    def stop(self) -> None:
        self.over.set()
        self._listener.close()


def drips_a_body(peer: Peer, talk: Any) -> None:
    talk.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
    peer.drip(talk, b"x")


def drips_chunks(peer: Peer, talk: Any) -> None:
    talk.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    peer.drip(talk, b"1\r\nx\r\n")


def drips_a_header(peer: Peer, talk: Any) -> None:
    talk.sendall(OK + b"X-Slow: ")
    peer.drip(talk, b"x")


def drips_a_status(peer: Peer, talk: Any) -> None:
    peer.drip(talk, b"H")


def says_it_goes_on(peer: Peer, talk: Any) -> None:
    peer.drip(talk, b"HTTP/1.1 100 Continue\r\n\r\n")


def leads_on(peer: Peer, talk: Any) -> None:
    peer.over.wait(0.1)
    head = f"HTTP/1.1 302 Found\r\nLocation: {peer.url}/{peer.met}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    talk.sendall(head.encode())


def drips_while_it_leads_on(peer: Peer, talk: Any) -> None:
    talk.sendall(f"HTTP/1.1 302 Found\r\nLocation: {peer.url}/on\r\nContent-Length: 1000000\r\n\r\n".encode())
    peer.drip(talk, b"x")


def says_nothing(peer: Peer, talk: Any) -> None:
    peer.over.wait()


def pours_a_body(peer: Peer, talk: Any) -> None:
    talk.sendall(OK + b"\r\n")
    peer.pour(talk, b"x" * 65536)


def pours_what_is_packed(peer: Peer, talk: Any) -> None:
    talk.sendall(OK + b"Content-Encoding: gzip\r\n\r\n")
    peer.pour(talk, ZEROS)


def pours_while_it_leads_on(peer: Peer, talk: Any) -> None:
    talk.sendall(f"HTTP/1.1 302 Found\r\nLocation: {peer.url}/on\r\nContent-Encoding: gzip\r\n\r\n".encode())
    peer.pour(talk, ZEROS)


SLOW: list[Speak] = [
    *(drips_a_body, drips_chunks, drips_a_header, drips_a_status),
    *(says_it_goes_on, leads_on, drips_while_it_leads_on, says_nothing),
]
LONG: list[Speak] = [pours_a_body, pours_what_is_packed, pours_while_it_leads_on]


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def build(speak: Speak, tls: bool = False) -> Peer:
        if tls:
            write_certificate(tmp_path)
        made.append(Peer(speak, tmp_path if tls else None))
        return made[-1]

    yield build
    for each in made:
        each.stop()


async def outcome(peer: Peer, bounds: Bounds, timeout: float = 5.0, **more: Any) -> str:
    """In a thread, as the server does it: a test of something that does not end fails by its deadline."""
    with pytest.raises(requests.RequestException) as caught:
        await deferToThread(ask, "GET", peer.url, bounds, timeout, proxies={}, **more)
    return kind_of(caught.value) or str(caught.value)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("speak", SLOW, ids=lambda each: each.__name__)
@deadline(10)
async def test_who_drips_is_left_when_the_time_is_over(meet, tmp_path, speak, tls):
    peer = meet(speak, tls)
    assert await outcome(peer, Bounds(0.4, 1_000_000), verify=str(tmp_path / "cert.pem")) == "timeout"


@pytest.mark.parametrize("speak", LONG, ids=lambda each: each.__name__)
@deadline(20)
async def test_who_sends_without_end_is_left_when_it_is_too_much(meet, speak):
    assert await outcome(meet(speak), Bounds(15.0, 1_000_000)) == "the answer is too long"


@deadline(10)
async def test_who_says_nothing_is_left_before_the_time_is_over(meet):
    assert await outcome(meet(says_nothing), Bounds(60.0, 1_000_000), timeout=0.3) == "timeout"


@deadline(10)
async def test_an_answer_comes_whole_also_after_a_redirect_and_in_chunks(meet, tmp_path):
    def answers(peer: Peer, talk: Any) -> None:
        if peer.met == 1:
            return leads_on(peer, talk)
        talk.sendall(OK + b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\n\r\n")
        for byte in gzip.compress(b'{"a": 1}'):
            talk.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        talk.sendall(b"0\r\n\r\n")

    peer = meet(answers, tls=True)
    bounds = Bounds(5.0, 1_000_000)
    found = await deferToThread(ask, "GET", peer.url, bounds, 5.0, proxies={}, verify=str(tmp_path / "cert.pem"))
    assert (found.status_code, found.json(), found.cookies["a"], len(found.history)) == (200, {"a": 1}, "b", 1)


@pytest.mark.parametrize(
    ("speak", "code"), [(drips_a_header, "timeout"), (drips_a_body, "timeout"), (pours_a_body, "http_error")]
)
@deadline(20)
async def test_a_sign_in_with_such_a_provider_ends_and_its_thread_is_free(meet, tmp_path, monkeypatch, speak, code):
    monkeypatch.setattr(identity_bounded, "ANSWERS_TIME", 0.5)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    peer = meet(speak)
    provider = ProviderOptions(
        name="slow",
        backend="social_core.backends.open_id_connect.OpenIdConnectAuth",
        key="client",
        secret=SECRET,
        settings={"OIDC_ENDPOINT": peer.url},
    )
    async with house_in(tmp_path) as opened:
        house = opened(providers=(provider,))
        error = await refused(house.browser().begin("slow"))
        assert error.code == code and error.status in (502, 503)
        assert house.social._threads.busy == 0
