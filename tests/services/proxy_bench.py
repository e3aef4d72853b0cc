"""Hooks over HTTP against a backend in memory: a real HTTP client, a real resource, no socket."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from rtserver.core.hooks import Caller, ConnectAsked, RpcAsked, SubscribeAsked
from rtserver.core.messages import EMPTY
from rtserver.core.options import ChannelOptions
from rtserver.services.proxy_http import ProxyHooks, ProxyLimits, client_over
from rtserver.services.proxy_options import ClientProxyOptions, ProxyOptions, ProxySettings, RpcOptions, RpcRules

URL = "http://backend.example:8080/hook?key=hidden"
CALLER = Caller("c1", "42", "websocket", "json", headers={"cookie": "s=1"}, meta=Raw(b'{"role":"admin"}'))
CALLED = {"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"}
HANGS = object()
LIMITS = ProxyLimits()
ASKED = ChannelOptions(subscribe_proxy_enabled=True, publish_proxy_enabled=True, sub_refresh_proxy_enabled=True)


class Answers(Resource):
    """Gives the next answer to each request: a value as JSON, bytes, a status, or HANGS."""

    isLeaf = True

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.requests: list[Any] = []
        self.bodies: list[Any] = []

    def render_POST(self, request: Any) -> Any:
        self.requests.append(request)
        self.bodies.append(json.loads(request.content.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        request.setHeader(b"Set-Cookie", b"session=of-somebody; Path=/")
        if answer is HANGS:
            request.write(b'{"result":')
            return NOT_DONE_YET
        if isinstance(answer, int):
            request.setResponseCode(answer)
            request.setHeader(b"Location", b"https://elsewhere.example/")
            return b"no"
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def sent(self, header: str, number: int = -1) -> list[str]:
        return self.requests[number].requestHeaders.getRawHeaders(header, [])


class Bench:
    """Hooks over the answers of a backend, with a clock to turn. Every proxy is switched on."""

    def __init__(self, *answers: Any, limits: ProxyLimits = LIMITS, **options: Any) -> None:
        self.backend = Answers(*answers)
        self.agent = RequestTraversalAgent(self.backend)
        self.clock = Clock()
        given: Any = {"endpoint": URL, **options}
        proxy, on = ProxyOptions(**given), ClientProxyOptions(**given, enabled=True)
        defaults = dict.fromkeys(("subscribe", "publish", "sub_refresh", "rpc"), proxy)
        rules = RpcRules(without_namespace=RpcOptions(True), namespaces={"off": RpcOptions()})
        self.settings = ProxySettings(on, on, defaults, {"other": proxy}, rules)
        self.hooks = ProxyHooks(self.settings, client_over(self.agent), self.clock, limits)

    def begin(self, hook: Any, asked: Any) -> Deferred[Any]:
        asking: Deferred[Any] = Deferred.fromCoroutine(hook(asked))
        self.agent.flush()
        return asking

    def ask(self, hook: Any, asked: Any) -> Any:
        return result_of(self.begin(hook, asked))

    def connect(self, **more: Any) -> Any:
        asked = ConnectAsked(**{"caller": CALLER, "data": EMPTY, "channels": (), "token": False, **more})
        return self.ask(self.hooks.connect(False), asked)

    def subscribe(self, options: ChannelOptions = ASKED) -> Any:
        return self.ask(self.hooks.subscribe("news:1", options), SubscribeAsked(CALLER, "news:1", Raw(b"[1]"), "t"))

    def rpc(self, method: str = "sum") -> Any:
        return self.ask(self.hooks.rpc(method), RpcAsked(CALLER, method, Raw(b"[1,2]")))


def result_of(asked: Deferred[Any]) -> Any:
    results: list[Any] = []
    asked.addBoth(results.append)
    assert results, "It still waits."
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]
