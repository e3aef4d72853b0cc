"""The end of the server: clients are told, the exit code is 0, a second signal does not wait."""

import signal
import socket
import time

import pytest

from tests.live.frames import handshake, masked, read_until
from tests.live.raw import RawClient
from tests.live.rtserver_process import RtServer
from tests.live.settings import OPEN, SDKS

OPEN_SERVER = {
    "client": {"allow_anonymous_connect_without_token": True},
    "channel": {
        "without_namespace": OPEN,
        "namespaces": [{"name": "joins", **OPEN, "presence": True, "join_leave": True}],
    },
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_every_client_is_told_to_come_back_later(start_server, make_client, number):
    server = start_server(OPEN_SERVER)
    clients = [make_client(sdk, server) for sdk in SDKS]
    for client in clients:
        client.open()
        client.wait("connecting")
        client.enter("c")
    with RawClient(server) as raw:
        raw.connect()
        server.signal(number)
        assert raw.end() == (3001, "shutdown")
    assert [client.wait("connecting")["code"] for client in clients] == [3001] * len(SDKS)
    assert server.wait_end() == 0
    for client in clients:
        client.disconnect()
        assert client.wait("disconnected")["code"] == 0


def test_clients_go_on_where_they_were_when_the_server_is_back(start_server, make_client):
    server = start_server(OPEN_SERVER)
    clients = [make_client(sdk, server) for sdk in SDKS]
    for client in clients:
        client.open()
        client.enter("c")
    server.stop()
    again = start_server({**OPEN_SERVER}, port=server.port)
    for client in clients:
        client.wait("connected")
        client.wait("subscribed", "c")
    again.publish("c", {"back": True})
    assert [client.data("c") for client in clients] == [{"back": True}] * len(clients)


def test_a_server_without_clients_ends_at_once(start_server):
    server = start_server()
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait_end() == 0
    assert time.monotonic() - began < 5


def test_clients_that_do_not_listen_do_not_keep_the_server(start_server):
    """One that does not read at all, one with a half handshake, one in the middle of a request: the timeout is the end."""
    server = start_server({**OPEN_SERVER, "shutdown": {"timeout": "2s"}})
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", server.port))
    deaf.settimeout(10)
    handshake(server, link=deaf)
    deaf.sendall(masked(0x81, b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"c"}}'))
    read_until(deaf, b'"subscribe"')
    others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    others[1].sendall(b"GET /connection/websocket HTTP/1.1\r\nHost:")
    others[2].sendall(b"POST /api/info HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    for _ in range(10):
        server.publish("c", "x" * 60_000)
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait_end() == 0
    assert time.monotonic() - began < 6
    for link in (deaf, *others):
        link.close()


def test_nobody_new_comes_in_while_the_server_ends(start_server):
    server = start_server({**OPEN_SERVER, "shutdown": {"timeout": "3s"}})
    clients = [RawClient(server) for _ in range(120)]
    for client in clients:
        client.connect()
    late = socket.create_connection(("127.0.0.1", server.port))
    late.settimeout(5)
    server.signal(signal.SIGTERM)
    server.wait_log("Port", len(server.log) - 1)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 2)
    assert [client.end() for client in clients] == [(3001, "shutdown")] * len(clients)
    assert server.wait_end() == 0
    for client in clients:
        client.__exit__(None, None, None)
    late.close()


def test_a_second_signal_ends_at_once(start_server):
    """Clients that do not answer the close frame would be waited for."""
    server = start_server({**OPEN_SERVER, "shutdown": {"timeout": "30s"}})
    links = [handshake(server)[0] for _ in range(200)]
    for link in links:
        link.sendall(masked(0x81, b'{"id":1,"connect":{}}'))
        read_until(link, b'"connect"')
    since = len(server.log)
    server.signal(signal.SIGTERM)
    server.wait_log("code=3001", since)
    server.signal(signal.SIGTERM)
    assert server.wait_end(5) in (0, 128 + signal.SIGTERM)
    server.process = None
    for link in links:
        link.close()


def test_a_crash_and_a_new_start_need_no_cleaning_up(start_server):
    server = start_server(OPEN_SERVER)
    with RawClient(server) as client:
        client.connect()
        server.kill()
        assert client.end()[0] == 1006
    server.start()
    with RawClient(server) as client:
        client.connect()


def test_a_port_that_is_taken_ends_the_start_with_a_sentence(start_server, tmp_path):
    taken = start_server()
    failed = RtServer(tmp_path, port=taken.port)
    with pytest.raises(AssertionError, match="the server ended"):
        failed.start()
    assert failed.process.wait(10) != 0
    assert "the server cannot start" in failed.log and "Traceback" not in failed.log
