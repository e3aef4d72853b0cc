"""The OpenAPI 3.1 document of the endpoints of applications."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict

from rtserver.app.application import App
from rtserver.app.endpoint import JSON, Endpoint, Response
from rtserver.app.forms import FORM
from rtserver.app.parameters import REQUIRED, Given, Parameter, Scheme
from rtserver.app.schemas import IN, OUT, Mode, Schema, Schemas, distinct, plain, sent
from rtserver.app.shapes import Shape, shape

OPENAPI = "3.1.0"
HTML = "text/html"

METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})
"""The methods that the format has words for."""


MISTAKEN = {
    "detail": [
        {"loc": ["query", "limit"], "msg": "Input should be a valid integer", "type": "int_type", "input": "many"}
    ]
}


class ValidationError(BaseModel):
    """One mistake in what was sent: where, why, and what stood there. ``ctx``: the limits that it broke."""

    loc: list[str | int]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] | None = None


class HTTPValidationError(BaseModel):
    """Every mistake in what was sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [MISTAKEN]})

    detail: list[ValidationError]


class HTTPError(BaseModel):
    """Why there is no result. ``request_id`` stands in the log of the server beside what went wrong."""

    detail: Any
    request_id: str | None = None


Proofs = Mapping[type[Given], tuple[Scheme, ...]]
"""What proves a kind of givens on this server, where it is not what the kind itself says."""

ERRORS: Mapping[int, tuple[str, type[BaseModel], Callable[[Endpoint], bool]]] = {
    400: ("The body is not JSON", HTTPError, lambda endpoint: endpoint.takes_body),
    401: ("Not authenticated", HTTPError, lambda endpoint: bool(_secured(endpoint, {}))),
    413: ("The body is too large", HTTPError, lambda endpoint: endpoint.takes_body),
    415: (
        "The body is of a type that is not taken here",
        HTTPError,
        lambda endpoint: endpoint.takes_body and endpoint.limits.checks_type,
    ),
    422: (
        "What was sent does not fit",
        HTTPValidationError,
        lambda endpoint: bool(endpoint.signature.all_parameters()),
    ),
    500: ("The endpoint failed", HTTPError, lambda endpoint: True),
    504: ("The endpoint took too long", HTTPError, lambda endpoint: True),
}
"""Answers beside the result: status, what it means, its body, and which endpoints give it."""


def openapi(
    apps: Sequence[App],
    *,
    title: str,
    version: str,
    servers: Sequence[str] = (),
    endpoints: Sequence[Endpoint] = (),
    proofs: Proofs | None = None,
) -> dict[str, Any]:
    """``servers`` are base addresses; without one, it is where the document was fetched from. ``endpoints`` are further
    ones, which belong to no application. ``proofs``: see ``Proofs``."""
    proofs = proofs or {}
    of_apps = [(app.title if len(apps) > 1 else "", each) for app in apps for each in app.endpoints]
    described = [
        (group, each) for group, each in [*of_apps, *(("", each) for each in endpoints)] if _is_described(each)
    ]
    shown = [endpoint for _, endpoint in described]
    errors = [status for status, (_, _, given) in ERRORS.items() if any(given(each) for each in shown)]
    schemas = Schemas(_wanted(shown, errors))
    paths: dict[str, dict[str, Any]] = {}
    templates = Templates()
    for (group, endpoint), name in zip(described, operation_ids(shown), strict=True):
        path = templates.find(endpoint.path)
        operation = {"operationId": name, **_words(endpoint, group), **_operation(endpoint, schemas, path)}
        operation |= _security(endpoint, proofs)
        paths.setdefault(path, {}).setdefault(endpoint.method.lower(), operation)
    return {
        "openapi": OPENAPI,
        "info": _info(apps, title, version),
        **({"servers": [{"url": url} for url in servers]} if servers else {}),
        "paths": paths,
        "components": _components(schemas, errors, [scheme for each in shown for scheme in _schemes(each, proofs)]),
        **_tags(apps, {group for group, _ in described}),
    }


def _is_described(endpoint: Endpoint) -> bool:
    return not endpoint.description.hidden and endpoint.method in METHODS


def _wanted(endpoints: Iterable[Endpoint], errors: Iterable[int]) -> Iterator[tuple[Shape, Mode]]:
    for endpoint in endpoints:
        yield from ((each.shape, IN) for each in endpoint.signature.all_parameters())
        result = sent(endpoint.signature.returns, [Response])
        if result is not None:
            yield result, OUT
        yield from ((shape(model), OUT) for model in endpoint.description.models.values())
    yield from ((shape(ERRORS[status][1]), OUT) for status in errors)


# The whole


def _info(apps: Sequence[App], title: str, version: str) -> dict[str, Any]:
    text = apps[0].description if len(apps) == 1 else ""
    return {"title": title, "version": version, **({"description": text} if text else {})}


def _tags(apps: Sequence[App], groups: set[str]) -> dict[str, Any]:
    """One group for each application, where there are several."""
    texts = {app.title: app.description for app in apps if app.title in groups and app.title}
    tags = [{"name": title, **({"description": text} if text else {})} for title, text in texts.items()]
    return {"tags": tags} if tags else {}


def _components(schemas: Schemas, errors: Sequence[int], schemes: Sequence[Scheme]) -> dict[str, Any]:
    components: dict[str, Any] = {"schemas": schemas.components}
    if errors:
        components["responses"] = {str(status): _error(status, schemas) for status in errors}
    if schemes:
        components["securitySchemes"] = dict(schemes)
    return components


def _error(status: int, schemas: Schemas) -> dict[str, Any]:
    text, model, _ = ERRORS[status]
    example = {"example": {"detail": text}} if model is HTTPError else {}
    return {"description": text, "content": {JSON: {"schema": schemas.of(shape(model), OUT), **example}}}


def operation_ids(endpoints: Sequence[Endpoint]) -> list[str]:
    """The names of the functions; where several endpoints have the same, method and path are added to each of them."""
    counts = Counter(_name(each) for each in endpoints)
    taken: Counter[str] = Counter()
    found = []
    for each in endpoints:
        name = _name(each)
        if counts[name] > 1:
            name = f"{name}_{each.method.lower()}_{slug(each.path)}".rstrip("_")
        taken[name] += 1
        found.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
    return found


def _name(endpoint: Endpoint) -> str:
    return slug(getattr(endpoint.function, "__name__", type(endpoint.function).__name__)) or "endpoint"


def slug(text: str) -> str:
    """Letters and digits, the rest as single underscores."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")


class Templates:
    """Paths as the format writes them. ``/a/{x}`` and ``/a/{y}`` are one path there, with the names that came first;
    ``/a/{x:path}`` beside them, for which it has no words, gets a name of its own."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def find(self, path: str) -> str:
        meaning = re.sub(r"\{\w+(:path)?\}", r"{\1}", path)
        if meaning not in self._known:
            template = path.replace(":path}", "}")
            while template in self._known.values():
                template = template.replace("}", "_}")
            self._known[meaning] = template
        return self._known[meaning]


# One endpoint


def _words(endpoint: Endpoint, group: str) -> dict[str, Any]:
    said = endpoint.description
    words = {
        "tags": list(said.tags) or ([group] if group else []),
        "summary": said.summary or _name(endpoint).replace("_", " ").capitalize(),
        "description": said.text,
        "deprecated": said.deprecated,
    }
    return {key: value for key, value in words.items() if value}


def _operation(endpoint: Endpoint, schemas: Schemas, path: str) -> dict[str, Any]:
    names = dict(zip(endpoint.names, re.findall(r"\{(\w+)\}", path), strict=True))
    inputs = [each for each in distinct(endpoint.signature.all_parameters()) if each.place != "body"]
    operation: dict[str, Any] = {}
    if inputs:
        operation["parameters"] = [_parameter(each, schemas, names) for each in inputs]
    if endpoint.takes_body:
        operation["requestBody"] = _body(endpoint, schemas)
    operation["responses"] = _responses(endpoint, schemas)
    return operation


def _parameter(parameter: Parameter, schemas: Schemas, names: Mapping[str, str]) -> dict[str, Any]:
    schema = schemas.of_parameter(parameter)
    in_path = parameter.place == "path"
    text = schema.pop("description", "")
    examples = schema.pop("examples", []) if parameter.marker.example is not None else []
    return {
        "name": names.get(parameter.alias, parameter.alias) if in_path else parameter.alias,
        "in": parameter.place,
        "required": in_path or parameter.default is REQUIRED,
        **({"description": text} if text else {}),
        "schema": schema,
        **({"example": examples[0]} if examples else {}),
    }


def _body(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    bodies = distinct(endpoint.bodies)
    media: dict[str, Any] = {"schema": schemas.of_keys(bodies)}
    text = ""
    if endpoint.body_is_whole:
        marker = bodies[0].marker
        media = {"schema": schemas.of(bodies[0].shape, IN)}
        text = marker.description
        if marker.example is not None:
            media["example"] = plain(marker.example)
    return {
        **({"description": text} if text else {}),
        "required": any(each.default is REQUIRED for each in bodies),
        "content": {JSON: media, **({FORM: media} if endpoint.takes_form else {})},
    }


def _responses(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    """The result, the errors that every such endpoint has, and what the application says; that wins."""
    responses: dict[int, Any] = {
        status: {"$ref": f"#/components/responses/{status}"}
        for status, (_, _, given) in ERRORS.items()
        if given(endpoint)
    }
    error: Schema = schemas.of(shape(HTTPError), OUT)
    said = endpoint.description
    bodies = {status: error for status in said.responses if status >= 400}
    bodies |= {status: schemas.of(shape(model), OUT) for status, model in said.models.items()}
    for status, text in said.responses.items():
        content = {"content": {JSON: {"schema": bodies[status]}}} if status in bodies else {}
        responses[status] = {"description": text, **content}
    responses[endpoint.status] = _result(endpoint, schemas)
    for status in responses.keys() & said.examples.keys():
        responses[status].get("content", {}).get(JSON, {})["example"] = said.examples[status]
    if said.pages:
        responses = {status: _as_page(status, each, schemas) for status, each in responses.items()}
    return {str(status): responses[status] for status in sorted(responses)}


_BEFORE = (400, 413, 415, 504)
"""Errors that an endpoint does not see."""


def _as_page(status: int, response: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    """The same for browsers: HTML, or where to go on."""
    if status in _BEFORE or status == 204:
        return response
    if 300 <= status < 400:
        return {**response, "headers": {"Location": {"required": True, "schema": {"type": "string"}}}}
    whole = _error(status, schemas) if "$ref" in response else response
    return {**whole, "content": {**whole.get("content", {}), HTML: {"schema": {"type": "string"}}}}


def _result(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    phrase = endpoint.description.responses.get(endpoint.status) or _phrase(endpoint.status)
    if endpoint.status == 204 or endpoint.signature.returns is Response:
        kind = endpoint.description.media_type
        return {"description": phrase, **({"content": {kind: {"schema": {"type": "string"}}}} if kind else {})}
    result = sent(endpoint.signature.returns, [Response])
    schema = {"type": "null"} if result is None else schemas.of(result, OUT)
    return {"description": phrase, "content": {JSON: {"schema": schema}}}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else str(status)


def _security(endpoint: Endpoint, proofs: Proofs) -> dict[str, Any]:
    """Every set of proofs that will do, the whole ones first."""
    secured = _secured(endpoint, proofs)
    found: list[dict[str, list[str]]] = [{}]
    for schemes, is_optional in secured.items():
        ways: list[dict[str, list[str]]] = [{name: []} for name in schemes]
        ways += [{}] if is_optional else []
        found = [{**one, **way} for one in found for way in ways]
    return {"security": [each for number, each in enumerate(found) if each not in found[:number]]} if secured else {}


def _secured(endpoint: Endpoint, proofs: Proofs) -> dict[tuple[str, ...], bool]:
    """The names of what proves who calls, any of them, and whether one may do without it."""
    found: dict[tuple[str, ...], bool] = {}
    for each in endpoint.signature.all_wanted():
        names = tuple(name for name, _ in _proofs(each.kind, proofs))
        if names:
            found[names] = each.optional and found.get(names, True)
    return found


def _schemes(endpoint: Endpoint, proofs: Proofs) -> list[Scheme]:
    return [scheme for each in endpoint.signature.all_wanted() for scheme in _proofs(each.kind, proofs)]


def _proofs(kind: type[Given], proofs: Proofs) -> tuple[Scheme, ...]:
    said: Any = next((proofs[each] for each in kind.__mro__ if each in proofs), kind.security)
    return (said,) if said and isinstance(said[0], str) else said
