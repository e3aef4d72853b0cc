"""A port with the HTTP API on a world of fakes."""

from __future__ import annotations

import json
from typing import Any

from rtserver.app.routes import Routes
from rtserver.cluster import Cluster
from rtserver.web.api import Api
from rtserver.web.api_http import ApiAccess, ApiKey, Calls, Text, api_endpoints
from rtserver.web.endpoints import EndpointsResource, Surroundings
from tests.fakes import World
from tests.line import Answer, Line, Port


async def no_threads(function: Any, values: dict[str, Any]) -> Any:
    raise AssertionError("the API has no plain functions")


class ApiHouse:
    """``/api`` of a single node."""

    def __init__(self, access: ApiAccess | None = None, world: World | None = None) -> None:
        self.world = world or World()
        self.cluster = Cluster(self.world.node, "here")
        calls = Calls(Api(self.world.node, self.cluster), access or ApiAccess(insecure=True), self.world.log)
        givers = {ApiKey: calls.access.admit, Text: lambda incoming: Text(incoming.body)}
        around = Surroundings(self.world.clock, self.world.log, no_threads, lambda origin: False, givers)
        resource = EndpointsResource(Routes(api_endpoints(calls)), around)
        self.port = Port(self.world.clock, {"/api": resource, "/api/*": resource})

    def raw(self, method: str, body: bytes, headers: dict[str, Any] | None = None) -> Answer:
        return self.port.ask("POST", f"/api/{method}" if method else "/api", body, headers)

    def post(self, method: str, body: Any, headers: dict[str, Any] | None = None) -> Answer:
        return self.raw(method, json.dumps(body).encode(), headers)

    def begin(self, method: str, body: Any) -> Line:
        """A request that may have to wait."""
        return self.port.begin("POST", f"/api/{method}", json.dumps(body).encode())

    def result(self, method: str, /, **body: Any) -> Any:
        return self.post(method, body).json["result"]

    def error(self, method: str, /, **body: Any) -> Any:
        answer = self.post(method, body)
        assert answer.status == 200, answer
        return answer.json["error"]
