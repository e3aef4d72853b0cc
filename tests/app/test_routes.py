"""Which endpoint a path means."""

from __future__ import annotations

from typing import Any

import pytest

from rtserver.app.endpoint import Endpoint
from rtserver.app.routes import Match, Routes, decoded


def endpoint(path: str, method: str = "GET") -> Endpoint:
    async def answer(**values: str) -> None: ...

    async def plain() -> None: ...

    async def one(a: str) -> None: ...

    async def two(a: str, b: str) -> None: ...

    names = path.count("{")
    return Endpoint(method, path, {0: plain, 1: one, 2: two}[names])


def found(routes: Routes, path: str, method: str = "GET") -> Any:
    match = routes.find(method, path)
    return (match.endpoint.path, dict(match.path)) if isinstance(match, Match) else match


def test_a_fixed_path_is_meant_before_a_pattern_whatever_came_first():
    routes = Routes([endpoint("/users/{a}"), endpoint("/users/me")])
    assert found(routes, "/users/me") == ("/users/me", {})
    assert found(routes, "/users/you") == ("/users/{a}", {"a": "you"})


def test_of_two_patterns_the_first_declared_is_meant():
    routes = Routes([endpoint("/{a}/x"), endpoint("/y/{a}")])
    assert found(routes, "/y/x") == ("/{a}/x", {"a": "y"})


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/items/{a}", "/items/5", {"a": "5"}),
        ("/items/{a}", "/items/", None),
        ("/items/{a}", "/items/5/", None),
        ("/items/{a}", "/items/5/6", None),
        ("/items/{a}", "/items/a%2Fb", {"a": "a/b"}),
        ("/items/{a}", "/items/a%2fb", {"a": "a/b"}),
        ("/items/{a}", "/items/%25", {"a": "%"}),
        ("/items/{a}", "/items/%2525", {"a": "%25"}),
        ("/items/{a}", "/items/%252F", {"a": "%2F"}),
        ("/items/{a}", "/items/caf%C3%A9", {"a": "café"}),
        ("/items/{a}", "/items/caf\u00c3\u00a9", {"a": "café"}),
        ("/items/{a}", "/items/%FF", {"a": "\ufffd"}),
        ("/items/{a}", "/items/%", {"a": "%"}),
        ("/items/{a}", "/items/%zz", {"a": "%zz"}),
        ("/items/{a}", "/items/%00%0A", {"a": "\x00\n"}),
        ("/items/{a}", "/items/a+b", {"a": "a+b"}),
        ("/items/{a}", "/items/a;b=c", {"a": "a;b=c"}),
        ("/files/{a:path}", "/files/x/y.txt", {"a": "x/y.txt"}),
        ("/files/{a:path}", "/files/", {"a": ""}),
        ("/files/{a:path}", "/files", None),
        ("/files/{a:path}", "/files//x%0Ay", {"a": "/x\ny"}),
        ("/{a}-{b}.txt", "/x-y.txt", {"a": "x", "b": "y"}),
        ("/{a}-{b}.txt", "/x-y_txt", None),
        ("/caf\u00e9/{a}", "/caf%C3%A9/1", {"a": "1"}),
        ("/caf\u00e9", "/caf%c3%a9", {}),
        ("/a", "/%61", {}),
        ("/a/b", "/a%2Fb", None),
        ("/", "/", {}),
        ("/", "", None),
        ("/", "*", None),
    ],
)
def test_a_path_is_decoded_part_by_part(template, path, values):
    assert found(Routes([endpoint(template)]), path) == (None if values is None else (template, values))


def test_what_is_plain_is_not_touched():
    path = "/items/5"
    assert decoded(path) is path


def test_a_path_that_is_not_known_is_none_and_a_method_that_is_not_tells_the_others():
    routes = Routes([endpoint("/a"), endpoint("/a", "POST"), endpoint("/b", "PUT"), endpoint("/{a}", "DELETE")])
    assert found(routes, "/nowhere/else") is None
    assert found(routes, "/a", "PATCH") == ("GET", "POST", "HEAD", "DELETE")
    assert found(routes, "/b", "GET") == ("PUT", "DELETE")


def test_a_method_may_be_that_of_a_later_pattern():
    routes = Routes([endpoint("/a"), endpoint("/{a}", "DELETE"), endpoint("/{a:path}", "PUT")])
    assert found(routes, "/a", "DELETE") == ("/{a}", {"a": "a"})
    assert found(routes, "/a", "PUT") == ("/{a:path}", {"a": "a"})


def test_head_is_answered_by_get_unless_it_has_its_own():
    assert found(Routes([endpoint("/a")]), "/a", "HEAD") == ("/a", {})
    routes = Routes([endpoint("/a"), endpoint("/a", "HEAD")])
    match = routes.find("HEAD", "/a")
    assert isinstance(match, Match) and match.endpoint.method == "HEAD"
    assert found(Routes([endpoint("/a", "POST")]), "/a", "HEAD") == ("POST",)


def test_methods_are_written_in_any_case():
    assert found(Routes([endpoint("/a", "get")]), "/a") == ("/a", {})


def test_endpoints_of_one_path_may_name_its_parts_differently():
    async def by_id(id: int) -> None: ...

    async def by_name(name: str) -> None: ...

    routes = Routes([Endpoint("GET", "/{id}", by_id), Endpoint("PUT", "/{name}", by_name)])
    assert found(routes, "/5", "PUT") == ("/{name}", {"name": "5"})


@pytest.mark.parametrize(("first", "second"), [("/a", "/a"), ("/{a}", "/{a}"), ("/{a}/x", "/{b}/x")])
def test_the_same_path_and_method_twice_is_refused_naming_both(first, second):
    async def one(a: str = "") -> None: ...

    async def two(b: str = "") -> None: ...

    def declare(path: str) -> Endpoint:
        return Endpoint("GET", path, two if "{b}" in path else one)

    with pytest.raises(TypeError, match="declared twice, by .*one and by .*(one|two)"):
        Routes([declare(first), declare(second)])


@pytest.mark.parametrize("path", ["/{a}-{b:path}-x", "/{a}{b:path}/x"])
def test_a_path_that_would_be_tried_from_many_places_to_the_end_is_refused_at_the_start(path):
    with pytest.raises(TypeError, match="must end the name, or be the first such part, with / between") as caught:
        Routes([endpoint(path)])
    assert path in str(caught.value)


@pytest.mark.parametrize("path", ["/{a}-{b:path}", "/{a}/{b:path}-x", "/x-{a:path}-{b}"])
def test_all_the_rest_may_be_glued_to_a_part_at_the_end_and_follow_a_slash_elsewhere(path):
    assert found(Routes([endpoint(path)]), "/x-y/z-x") is not None


def test_one_part_and_all_the_rest_are_two_paths():
    Routes([endpoint("/{a}"), endpoint("/{a:path}")])
