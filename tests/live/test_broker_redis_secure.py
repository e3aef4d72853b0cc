"""Users, passwords, TLS, Unix sockets and Sentinels."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import reactor

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.messages import ClientInfo
from rtserver.services.broker_redis import RedisBroker
from tests.contracts import Recorder, kept, pub
from tests.deadline import deadline
from tests.live.redis_broker import RedisHarness, Rules, eventually, sleep
from tests.live.redis_server import RedisServer, SentinelTrio, free_port

SECRET = "s3cr:t/@é"
QUOTED = "s3cr%3At%2F%40%C3%A9"


async def works(h: RedisHarness) -> None:
    await h.broker.subscribe("kept:a")
    assert (await h.broker.publish("kept:a", pub("x"), kept())).position.offset == 1
    await eventually(lambda: h.events.data("kept:a") == [b"x"])


async def refusal(h: RedisHarness) -> str:
    with pytest.raises(BrokerError) as caught:
        await RedisBroker(h.options, Rules(), reactor, "n1").start(Recorder())
    return str(caught.value)


@deadline(30)
async def test_a_password_of_the_default_user_is_used() -> None:
    with RedisServer(f'requirepass "{SECRET}"') as server:
        async with RedisHarness(server, address=(f"redis://:{QUOTED}@127.0.0.1:{server.port}/2",)) as h:
            await works(h)


@deadline(30)
async def test_a_user_with_just_the_needed_permissions_is_enough() -> None:
    allowed = (
        "+fcall +function|load +@connection +subscribe +unsubscribe +psubscribe +punsubscribe +publish +xreadgroup"
    )
    allowed += (
        " +xautoclaim +xgroup +xack +xdel +xadd +xinfo +xrange +xrevrange +hget +hmget +hset +hincrby +hdel +hvals"
    )
    allowed += " +hgetall +get +set +del +pexpire +time +zadd +zrem +zrangebyscore +role"
    acl = f"user server on >{QUOTED} ~app.* ~raw-app:* &app.* &raw-app:* {allowed}"
    with RedisServer(acl, "user default off") as server:
        url = f"redis://server:{QUOTED.replace('%', '%25')}@127.0.0.1:{server.port}"
        async with RedisHarness(server, prefix="app", address=(url,)) as h:
            await works(h)
            await eventually(lambda: all(door.lease.is_held for door in h.broker._doors))
            await h.broker.add_presence("kept:a", "c", ClientInfo("u", "c"))
            assert await h.broker.presence_stats("kept:a") == (1, 1)


@deadline(30)
async def test_a_wrong_password_is_told_without_showing_it() -> None:
    with RedisServer(f'requirepass "{SECRET}"') as server:
        h = RedisHarness(server, address=(f"redis://:wrong-secret@127.0.0.1:{server.port}",), io_timeout=0.5)
        text = await refusal(h)
        assert "refused the user or the password" in text
        assert "wrong-secret" not in text + repr(h.options) + repr(h.options.addresses())


@deadline(30)
async def test_a_unix_socket_is_as_good() -> None:
    with RedisServer() as probe:
        path = probe.folder / "redis.sock"
        with RedisServer(f"unixsocket {path}") as server:
            async with RedisHarness(server, address=(f"unix://{path}?db=1",)) as h:
                await works(h)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, and server and client certificates that it signed; other.crt signed none of them."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=30)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl(
            "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}"
        )
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.crt", "-days", "2")
    return folder


@pytest.fixture(scope="module")
def tls_server(certificates: Path) -> Iterator[tuple[RedisServer, int]]:
    port = free_port()
    files = {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.crt"}
    lines = [f"{key} {certificates / name}" for key, name in files.items()]
    with RedisServer(f"tls-port {port}", "tls-auth-clients optional", *lines) as server:
        yield server, port


@deadline(30)
async def test_tls_is_checked_against_the_given_roots(certificates: Path, tls_server: tuple[RedisServer, int]) -> None:
    server, port = tls_server
    url = (f"rediss://127.0.0.1:{port}",)
    async with RedisHarness(server, address=url, tls_ca=str(certificates / "ca.crt")) as h:
        await works(h)
    wrong = RedisHarness(server, address=url, tls_ca=str(certificates / "other.crt"), io_timeout=0.5)
    assert "certificate verify failed" in await refusal(wrong)
    system = RedisHarness(server, address=url, io_timeout=0.5)
    assert "certificate verify failed" in await refusal(system)


@deadline(30)
async def test_tls_shows_a_client_certificate(certificates: Path, tls_server: tuple[RedisServer, int]) -> None:
    server, port = tls_server
    server.run("CONFIG", "SET", "tls-auth-clients", "yes")
    try:
        url = (f"rediss://localhost:{port}",)
        ours = {"tls_cert": str(certificates / "client.crt"), "tls_key": str(certificates / "client.key")}
        async with RedisHarness(server, address=url, tls_ca=str(certificates / "ca.crt"), **ours) as h:
            await works(h)
        without = RedisHarness(server, address=url, tls_ca=str(certificates / "ca.crt"), io_timeout=0.5)
        await refusal(without)
    finally:
        server.run("CONFIG", "SET", "tls-auth-clients", "optional")


@deadline(30)
async def test_tls_insecure_checks_nothing(tls_server: tuple[RedisServer, int]) -> None:
    server, port = tls_server
    async with RedisHarness(server, address=(f"rediss://127.0.0.1:{port}",), tls_insecure=True) as h:
        await works(h)


# Sentinel


@deadline(90)
async def test_after_a_failover_publishing_and_delivery_go_on_at_the_new_master() -> None:
    with SentinelTrio() as trio:
        await eventually(trio.ready)
        async with RedisHarness(trio.master, address=(trio.url,), io_timeout=1.0) as h:
            await works(h)
            trio.master.kill()
            heard = False
            while not heard:
                try:
                    await h.broker.publish("kept:a", pub("after"), kept())
                except BrokerUnavailable:
                    await sleep(0.1)
                heard = b"after" in h.events.data("kept:a")
                await sleep(0.05)
            assert trio.replica.run("ROLE")[0] == b"master"  # type: ignore[index]
            assert h.events.gaps


@deadline(30)
async def test_sentinels_that_know_no_such_master_are_told() -> None:
    with RedisServer() as server:
        # An ordinary Redis answers SENTINEL commands with an error.
        h = RedisHarness(server, address=(f"redis+sentinel://127.0.0.1:{server.port}/none",), io_timeout=0.5)
        assert "no Sentinel names a master 'none'" in await refusal(h)
