"""``App``: where an application declares its functions. Importable without a reactor; the server runs what is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rtserver.app.endpoint import Description, Endpoint, Limits
from rtserver.app.events import LIMIT, Event, EventFunction, Stream, read_stream
from rtserver.app.parameters import where

F = TypeVar("F", bound=Callable[..., Any])


class App:
    """``title``, ``version`` and ``description`` head the documentation; ``prefix`` begins every path.

    ::

        app = App("shop")

        @app.get("/items/{item_id}")
        async def item(item_id: int) -> Item: ...

        @app.rpc("cart.add")
        async def add(item: int, count: int = 1) -> Cart: ...
    """

    def __init__(self, title: str = "", *, version: str = "1.0", description: str = "", prefix: str = "") -> None:
        self.title = title
        self.version = version
        self.description = description
        self.prefix = prefix.rstrip("/")
        self.endpoints: list[Endpoint] = []
        self.events: list[EventFunction] = []
        self.streams: list[Stream] = []
        self.payments: list[EventFunction] = []

    # HTTP

    def route(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        tags: Sequence[str] = (),
        summary: str = "",
        responses: Mapping[int, str] | None = None,
        deprecated: bool = False,
        hidden: bool = False,
        limits: Limits | None = None,
    ) -> Callable[[F], F]:
        """Declare an endpoint. ``responses`` maps further statuses to their meaning; ``hidden`` keeps it out of the
        documentation. Summary and description are the docstring's unless given."""
        _check_text(path, f"app.{method.lower()}", "/items")

        def declare(function: F) -> F:
            _check_words(function, tags, responses or {})
            first, text = docstring(function)
            description = Description(
                summary or first, text, tuple(tags), dict(responses or {}), deprecated=deprecated, hidden=hidden
            )
            self.endpoints.append(Endpoint(method, self.prefix + path, function, status, description, limits))
            return function

        return declare

    def get(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[F], F]:
        return self.route("DELETE", path, **options)

    # Realtime

    def on_connect(self, function: F) -> F:
        """Called for every connect, after its token was verified. Returns None or ``Accept``; may raise ``Refuse`` or
        ``Disconnect``."""
        return self._on(Event.CONNECT, "*", function)

    def on_disconnect(self, function: F) -> F:
        """Called when a connected client has left, with the close ``code`` and ``reason`` if it takes them."""
        return self._on(Event.DISCONNECT, "*", function)

    def on_subscribe(self, pattern: str, *, seconds: float = LIMIT) -> Callable[[F], F]:
        """Decides on subscriptions to channels of ``pattern``. None: allowed; a value: allowed, with that in the reply;
        ``Allow`` for more. Given up after ``seconds``, as those below."""
        _check_text(pattern, "app.on_subscribe", "chat:*")
        return lambda function: self._on(Event.SUBSCRIBE, pattern, function, seconds)

    def on_publish(self, pattern: str, *, seconds: float = LIMIT) -> Callable[[F], F]:
        """Decides on publications of clients. None: as sent; a value: that instead; ``Publish`` for more."""
        _check_text(pattern, "app.on_publish", "chat:*")
        return lambda function: self._on(Event.PUBLISH, pattern, function, seconds)

    def rpc(self, method: str, *, seconds: float = LIMIT) -> Callable[[F], F]:
        """Answers calls of ``method`` (which may be a pattern)."""
        _check_text(method, "app.rpc", "cart.add")
        return lambda function: self._on(Event.RPC, method, function, seconds)

    def stream(self, channel: str) -> Callable[[F], F]:
        """An async generator: its values are published on ``channel`` (which may be a pattern) while anybody listens."""
        _check_text(channel, "app.stream", "clock")

        def declare(function: F) -> F:
            self.streams.append(read_stream(channel, function, Description(*docstring(function))))
            return function

        return declare

    # Payments

    def on_payment(self, pattern: str) -> Callable[[F], F]:
        """Called for news of payments of a kind that fits ``pattern``: "payment.paid", "payment.*", "subscription.{status}".
        At least once for each, and again later until it succeeds, so let it do nothing twice (see ``Payment.id``)."""
        _check_text(pattern, "app.on_payment", "payment.paid")

        def declare(function: F) -> F:
            description = Description(*docstring(function))
            self.payments.append(EventFunction(Event.PAYMENT, pattern, function, description))
            return function

        return declare

    def _on(self, event: Event, pattern: str, function: F, seconds: float = LIMIT) -> F:
        self.events.append(EventFunction(event, pattern, function, Description(*docstring(function)), seconds))
        return function


def _check_text(text: object, decorator: str, example: str) -> None:
    """Raises TypeError for ``@app.rpc`` without brackets, which would declare nothing."""
    if not isinstance(text, str):
        found = where(text) if callable(text) else repr(text)
        raise TypeError(f'{found}: write @{decorator}("{example}"): it takes a text')


def _check_words(function: Callable[..., Any], tags: object, responses: Mapping[int, Any]) -> None:
    if isinstance(tags, str):
        raise TypeError(f"{where(function)}: tags={tags!r}: write a list, tags=[{tags!r}]")
    for status, text in responses.items():
        if not isinstance(text, str):
            raise TypeError(f'{where(function)}: responses: say in a text what {status} means: {{{status}: "..."}}')


def docstring(function: Callable[..., Any]) -> tuple[str, str]:
    """The first line of a docstring, and the rest."""
    text = inspect.getdoc(function) or ""
    first, _, rest = text.partition("\n")
    return first.strip(), rest.strip()
