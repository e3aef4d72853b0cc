"""PostgreSQL fails under an application: what its clients are answered, what is left, and that realtime goes on."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter

import pytest

from tests.live.apps.ledger import TABLE
from tests.live.postgres_server import PostgresServer
from tests.live.raw import RawClient
from tests.live.settings import OPEN

CLIENTS = 8
PATIENCE = 20.0
SETTINGS = {
    "apps": [{"module": "tests.live.apps.ledger:app"}],
    "client": {"allow_anonymous_connect_without_token": True},
    "channel": {"without_namespace": OPEN},
}


@pytest.fixture
def postgres():
    with PostgresServer() as started:
        started.run(TABLE)
        yield started


@pytest.fixture
def server(start_server, postgres):
    return start_server({**SETTINGS, "database": {"url": postgres.url, "pool_size": 4}})


class Load:
    """Clients that write entries without end, each on a connection that is kept."""

    def __init__(self, port):
        self._port = port
        self._numbers = itertools.count(1)
        self._going = True
        self.stored = set()
        self.outcomes = Counter()
        self.refusals = set()
        self._clients = [threading.Thread(target=self._write) for _ in range(CLIENTS)]
        for each in self._clients:
            each.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._going = False
        for each in self._clients:
            each.join(PATIENCE)

    def _write(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            while self._going:
                number = next(self._numbers)
                connection.request("POST", f"/ledger/{number}", b"")
                answer = connection.getresponse()
                body = answer.read()
                self.outcomes[answer.status] += 1
                if answer.status == 201:
                    self.stored.add(number)
                else:
                    self.refusals.add((answer.status, answer.getheader("retry-after"), body))
                    time.sleep(0.01)
        except OSError as error:
            self.outcomes[repr(error)] += 1
        finally:
            connection.close()

    def more(self, status, count):
        """Wait for so many more answers of a status."""
        until, deadline = self.outcomes[status] + count, time.monotonic() + PATIENCE
        while self.outcomes[status] < until:
            assert time.monotonic() < deadline, f"no {count} x {status}: {self.outcomes}"
            time.sleep(0.01)


def readiness(server):
    status, body = server.get("/readyz")
    return status, json.loads(body)


def test_a_database_that_is_killed_under_load_means_503_no_halves_and_no_help_is_needed(server, postgres):
    with RawClient(server) as client, Load(server.port) as load:
        client.connect()
        client.call(2, subscribe={"channel": "news"})
        load.more(201, 100)
        for n in range(3):
            postgres.kill()
            load.more(503, 50)
            server.wait_for("the metric", lambda: server.metric("rtserver_database_ready") == 0)
            status, answer = readiness(server)
            assert (status, answer["ready"]) == (200, True) and "see the log" in answer["database"]
            server.publish("news", n)
            assert client.receive()["push"]["pub"]["data"] == n
            postgres.start()
            load.more(201, 100)
    assert load.outcomes.keys() == {201, 503}
    assert load.refusals == {(503, "1", b'{"detail":"The server cannot do this now, try again"}')}
    assert readiness(server) == (200, {"ready": True})
    found = dict(postgres.run("select entry, count(*) from ledger group by entry"))
    assert load.stored <= found.keys() and set(found.values()) == {2}
    assert server.get("/ledger") == (200, str(2 * len(found)).encode())
    assert len(server.lines("; trying again")) == 3


def test_a_database_that_hangs_is_answered_503_within_its_time_limits(start_server, postgres):
    limits = {"statement_timeout": "500ms", "connect_timeout": "500ms", "wait_timeout": "500ms"}
    server = start_server({**SETTINGS, "database": {"url": postgres.url, "transaction_timeout": "1s", **limits}})
    with Load(server.port) as load:
        load.more(201, 50)
        postgres.freeze()
        load.more(503, 20)
        assert readiness(server)[0] == 200
        postgres.thaw()
        load.more(201, 50)
    assert load.outcomes.keys() == {201, 503}
    found = dict(postgres.run("select entry, count(*) from ledger group by entry"))
    assert load.stored <= found.keys() and set(found.values()) == {2}


def test_a_server_that_starts_before_its_database_serves_what_does_not_need_it(start_server, postgres):
    postgres.kill()
    server = start_server({**SETTINGS, "database": {"url": postgres.url}})
    assert server.get("/ledger")[0] == 503 and "database" in readiness(server)[1]
    with RawClient(server) as client:
        client.connect()
        assert client.call(2, subscribe={"channel": "news"})["subscribe"] == {}
    postgres.start()
    server.wait_for("the database", lambda: server.get("/ledger")[0] == 200)
    assert readiness(server) == (200, {"ready": True})
