"""A port with the HTTP API on a world of fakes."""

from __future__ import annotations

import json
from typing import Any

from rtserver.cluster import Cluster
from rtserver.web.api import Api
from rtserver.web.api_http import ApiAccess, ApiResource
from tests.fakes import World
from tests.line import Answer, Line, Port


class ApiHouse:
    """``/api`` of a single node."""

    def __init__(self, access: ApiAccess | None = None, world: World | None = None) -> None:
        self.world = world or World()
        self.cluster = Cluster(self.world.node, "here")
        resource = ApiResource(Api(self.world.node, self.cluster), access or ApiAccess(insecure=True), self.world.log)
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
