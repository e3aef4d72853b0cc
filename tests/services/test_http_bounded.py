"""Answers with an end: what is read of them, and for how long."""

from __future__ import annotations

import gzip
import io

import pytest
import requests
from urllib3 import HTTPResponse

from rtserver.services.http_bounded import Bounds, TimedReads, kind_of, parts


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def bounds(seconds: float = 10.0, size: int = 1000, watch: Watch | None = None) -> Bounds:
    return Bounds(seconds, size, watch or Watch())


def answer(body: bytes, **headers: str) -> HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPResponse(io.BytesIO(body), headers=named, preload_content=False)


def test_an_answer_within_the_bounds_comes_whole():
    assert b"".join(parts(answer(b"x" * 1000), bounds())) == b"x" * 1000
    packed = answer(gzip.compress(b"y" * 1000), content_encoding="gzip")
    assert b"".join(parts(packed, bounds())) == b"y" * 1000


def test_an_answer_without_end_is_left_as_soon_as_it_is_too_long():
    class Endless(io.RawIOBase):
        given = 0

        def read1(self, size: int = -1) -> bytes:
            self.given += 100
            return b"x" * 100

    source = Endless()
    with pytest.raises(requests.RequestException, match="too long"):
        list(parts(HTTPResponse(source, preload_content=False), bounds()))
    assert source.given == 1100


def test_what_is_packed_counts_unpacked():
    packed = answer(gzip.compress(b"x" * 50_000_000), content_encoding="gzip")
    with pytest.raises(requests.RequestException, match="too long"):
        list(parts(packed, bounds(size=1_000_000)))


def test_an_answer_that_drips_is_left_when_its_time_is_over():
    watch = Watch()

    class Drip(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            watch.now += 4
            return super().read1(1)

    raw = HTTPResponse(Drip(b"x" * 1000), preload_content=False)
    with pytest.raises(requests.ReadTimeout):
        list(parts(raw, bounds(10.0, watch=watch)))
    assert watch.now == 112


@pytest.mark.parametrize(
    ("trouble", "word"), [(TimeoutError("slow"), "timeout"), (ConnectionResetError("reset"), "connection_failed")]
)
def test_an_answer_that_breaks_off_is_an_error_of_requests(trouble: Exception, word: str):
    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            raise trouble

    with pytest.raises(requests.RequestException) as caught:
        list(parts(HTTPResponse(Broken(), preload_content=False), bounds()))
    assert kind_of(caught.value) == word


class FakeSocket:
    """``waits`` are the times that it was given, one for each read."""

    def __init__(self, content: bytes) -> None:
        self.waits: list[float] = []
        self.file = io.BytesIO(content)

    def gettimeout(self) -> float:
        return 5.0

    def settimeout(self, seconds: float) -> None:
        self.waits.append(seconds)

    def makefile(self, mode: str, buffering: int) -> io.BytesIO:
        assert (mode, buffering) == ("rb", 0)
        return self.file


def test_no_read_of_a_socket_waits_longer_than_what_is_left():
    watch, sock = Watch(), FakeSocket(b"abc")
    reads = TimedReads(sock, bounds(8.0, watch=watch))
    for byte in b"abc":
        assert reads.read(1) == bytes([byte])
        watch.now += 2.5
    assert sock.waits == [5.0, 5.0, 3.0]
    watch.now += 0.5
    with pytest.raises(TimeoutError):
        reads.read(1)
    reads.close()
    assert sock.file.closed
