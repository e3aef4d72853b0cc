"""The documents of the server's own endpoints: every body that can be sent has an example, which is a good one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate

from rtserver.app.endpoint import Endpoint
from rtserver.app.openapi import openapi
from rtserver.demo_provider import demo_provider_endpoints
from rtserver.web.accounts.letters import Letters
from rtserver.web.api import METHODS
from rtserver.web.api_http import ApiAccess, Calls, api_endpoints
from rtserver.web.ops import NodeCollector, Operations
from tests.deadline import deadline
from tests.fakes import World
from tests.web.payments.house import Till, till_in


def own_endpoints(till: Till) -> list[Endpoint]:
    """Everything that a server with accounts, payments and the demonstration has."""
    node = World().node
    operations = Operations(node, till.parts.database, NodeCollector(node, {}))
    shelf: Any = None
    return [
        *till.web.endpoints,
        *till.own,
        *Letters(till.web.desk, shelf).endpoints(),
        *demo_provider_endpoints("http://127.0.0.1:8000", time.time, str),
        *api_endpoints(Calls(None, ApiAccess(), None)),  # type: ignore[arg-type]  # they are not called
        *operations.endpoints("/health", "/metrics"),
    ]


def examples_of(made: dict[str, Any], media: dict[str, Any]) -> list[Any]:
    model = made["components"]["schemas"].get(media["schema"].get("$ref", "").rpartition("/")[2], media["schema"])
    return [media["example"]] if "example" in media else model.get("examples", [])


def bodies(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Method and path, and what is said of the JSON that is sent there."""
    for path, item in made["paths"].items():
        for method, operation in item.items():
            if "requestBody" in operation:
                yield f"{method.upper()} {path}", operation["requestBody"]["content"]["application/json"]


@deadline(20)
async def test_every_body_has_an_example_that_its_endpoint_takes(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        own = own_endpoints(till)
    made = openapi([], title="x", version="1", endpoints=own)
    validate(json.loads(json.dumps(made)))
    endpoints = {f"{each.method} {each.path}": each for each in own}
    found = {name: examples_of(made, media) for name, media in bodies(made)}
    without = sorted(name for name, examples in found.items() if not examples)
    assert not without, without
    assert {*(f"POST /api/{name}" for name in METHODS), "POST /api/batch"} <= found.keys() and len(found) > 40
    for name, examples in found.items():
        (body,) = endpoints[name].bodies
        for example in examples:
            body.shape.parse_json(json.dumps(example).encode(), ("body",))
