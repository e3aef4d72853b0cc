"""Statements and addresses, understood without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.core.errors import StoreError
from rtserver.services.store_options import DatabaseOptions, parse_address
from rtserver.services.store_sql import bind, statement

PLACES = {
    "select ?": "select %s",
    "a = ? and b like '%x?' and c = ?": "a = %s and b like '%%x?' and c = %s",
    "select 'it''s ?', ?": "select 'it''s ?', %s",
    'select "odd ""?"" name", ?': 'select "odd ""?"" name", %s',
    "select ? -- really?\n, ?": "select %s -- really?\n, %s",
    "select /* ? ' */ ?": "select /* ? ' */ %s",
    "select E'\\'?', ?": "select E'\\'?', %s",
    "select $tag$ ? $$ ? $tag$, ?": "select $tag$ ? $$ ? $tag$, %s",
    "select $$?$$, ?": "select $$?$$, %s",
    "select 5 % ?": "select 5 %% %s",
}


@pytest.mark.parametrize("sql", PLACES)
def test_places_for_values_are_found_where_they_are(sql: str) -> None:
    assert statement(sql).postgres == PLACES[sql]
    assert statement(sql).text == sql


def test_a_statement_without_values_stays_as_it_is() -> None:
    assert statement("select 5 % 2, '?'").postgres == "select 5 % 2, '?'"


@given(st.lists(st.sampled_from(["?", "%", "'", '"', "--", "\n", "/*", "*/", "$$", "$a$", "e'", "\\", "x", " "])))
def test_whatever_it_is_formatting_gives_back_every_piece(pieces: list[str]) -> None:
    known = statement("select " + "".join(pieces))
    if known.values:
        assert known.postgres % (("?",) * known.values) == known.text
    else:
        assert known.postgres == known.text


READING = {
    "select 1": True,
    "  SELECT 1": True,
    "-- insert\nselect 'delete'": True,
    "with a as (select 1) select * from a": True,
    "with a as (delete from t returning k) select * from a": False,
    "insert into t select 1": False,
    "update t set a = 1 returning a": False,
    "create table t (k)": False,
}


@pytest.mark.parametrize("sql", READING)
def test_a_statement_reads_when_it_surely_changes_nothing(sql: str) -> None:
    assert statement(sql).reads is READING[sql]


def test_the_table_of_an_insertion_is_known() -> None:
    assert statement("INSERT INTO Rt_Outbox (a) values (1)").inserts == "rt_outbox"
    assert statement("insert or ignore into t values (1)").inserts == "t"
    assert statement("select 'insert into t'").inserts == ""


def test_yes_and_no_are_stored_as_numbers() -> None:
    assert [type(each) for each in bind(statement("?, ?"), (True, False))] == [int, int]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, float("nan"), "a\0", "\udfff", [1], object()])
def test_what_cannot_be_stored_everywhere_is_refused_without_being_named(value: object) -> None:
    with pytest.raises(StoreError) as caught:
        bind(statement("?"), (value,))  # type: ignore[arg-type]
    assert repr(value) not in str(caught.value)


# Addresses


def test_an_address_of_postgresql_becomes_parameters() -> None:
    address = parse_address(
        "postgresql://us%40er:p%3Aw%2Fd@db1:5433,[::1]/shop?sslmode=require&options=-csearch_path%3Drt"
    )
    assert address.parameters == {
        "user": "us@er",
        "password": "p:w/d",
        "host": "db1,::1",
        "port": "5433,5432",
        "dbname": "shop",
        "sslmode": "require",
        "options": "-csearch_path=rt",
    }
    assert address.label == "db1:5433,[::1]/shop"


def test_a_unix_socket_is_a_host_of_its_own_kind() -> None:
    address = parse_address("postgres:///shop?host=/run/postgresql")
    assert address.parameters == {"dbname": "shop", "host": "/run/postgresql"}
    assert address.label == "/run/postgresql/shop"


WRONG = {
    "mysql://x": "begins with sqlite: or postgresql://",
    "rtserver.db": "begins with sqlite: or postgresql://",
    "postgresql:x": "postgresql://user:password@host:5432/database",
    "postgresql://h:99999/x": "no number from 1 to 65535",
    "postgresql://user:hunter2@h:x/y": "no number from 1 to 65535",
    "postgresql://user:hunter2%zz@h/y": "write %25",
    "postgresql://u@,h/x": "has no host",
    "postgresql://h/x?sslmod=require": "cannot have sslmod",
    "postgresql://h/x?connect_timeout=3": "cannot have connect_timeout",
    "sqlite:": "names a file",
    "sqlite::memory:": "names a file",
    "sqlite:folder/": "names a file",
    "sqlite:///var/x.db": "sqlite: and a path",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_is_told_with_what_to_write_and_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=WRONG[url]) as caught:
        parse_address(url)
    assert "hunter2" not in str(caught.value)


def test_a_relative_file_is_in_the_state_directory() -> None:
    placed = DatabaseOptions(url="sqlite:a/x.db").placed("/var/lib/rtserver")
    assert placed.address().path == "/var/lib/rtserver/a/x.db"
    assert DatabaseOptions(url="sqlite:/srv/x.db").placed("/var").address().path == "/srv/x.db"
    assert DatabaseOptions(url="postgresql://h/x").placed("/var").url == "postgresql://h/x"


def test_options_do_not_show_the_address() -> None:
    assert "hunter2" not in repr(DatabaseOptions(url="postgresql://u:hunter2@h/x"))
    assert "hunter2" not in repr(DatabaseOptions(url="postgresql://u:hunter2@h/x").address())
