"""The fourth door: what an application commits in its own transaction reaches subscribers, and what it rolls back does not."""

import json

import pytest

from tests.live.postgres_server import PostgresServer
from tests.live.rtserver_process import merged
from tests.live.settings import SETTINGS


@pytest.fixture(scope="module")
def postgres():
    with PostgresServer() as server:
        yield server


def test_a_commit_is_published_and_a_rollback_is_not(postgres, start_server, make_client):
    server = start_server(merged(SETTINGS, {"database": {"url": postgres.url}}))
    client = make_client("js-websocket", server)
    client.open()
    client.enter("recover:orders")
    connection = postgres.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("select rt_publish('recover:orders', %s)", (json.dumps({"n": 1}),))
    with connection.cursor() as cursor:
        cursor.execute("select rt_publish('recover:orders', %s)", (json.dumps({"n": 2}),))
    connection.rollback()
    with connection, connection.cursor() as cursor:
        cursor.execute("select rt_publish('recover:orders', %s)", (json.dumps({"n": 3}),))
    connection.close()
    assert [client.data("recover:orders") for _ in range(2)] == [{"n": 1}, {"n": 3}]
