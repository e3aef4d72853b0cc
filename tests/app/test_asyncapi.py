"""The AsyncAPI document: valid for the parser of its makers, and complete."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel, Field

from rtserver.app import Accept, Allow, App, Body, Path, Publish
from rtserver.app.asyncapi import OwnChannel, address, asyncapi, at_host, draft7
from rtserver.app.endpoint import Description
from rtserver.payments.options import PaymentsOptions
from rtserver.web.accounts import account_channels
from rtserver.web.payments import payment_channels
from tests.app import shop
from tests.app.asyncapi_parser import parse

WEBSOCKET = "wss://example.org/connection/websocket"


def document(*apps, url=WEBSOCKET, **more):
    return asyncapi(apps, title="Test", version="1", url=url, **more)


def declared(*functions, app=None):
    """The document of an application that ``functions`` fill."""
    app = app or App()
    for declare, function in functions:
        declare(app)(function)
    return document(app)


def messages(made, operation):
    """The payloads of an operation, and of its reply."""
    found = made["operations"][operation]
    return [payload(made, each) for each in found["messages"]], [
        payload(made, each) for each in found.get("reply", {}).get("messages", [])
    ]


def payload(made, message):
    return at(made, message["$ref"])["payload"]


def at(made, reference):
    found = made
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


class Said(BaseModel):
    text: str


class Heard(Said):
    user: str


@pytest.fixture(scope="module")
def whole():
    return document(shop.app)


# The whole


def everything():
    """An application with a function of every kind."""
    app = App("Everything", description="All of it.")

    @app.on_connect
    async def connect(data: Said) -> Accept: ...

    @app.on_disconnect
    async def disconnect() -> None: ...

    @app.on_subscribe("*")
    async def subscribe(channel: str) -> None: ...

    @app.on_subscribe("room:{name}:*")
    async def enter(name: Annotated[Literal["red", "blue"], Path(description="Which.", example="red")]) -> None: ...

    @app.on_subscribe("paid:{plan}")
    async def paid(plan: str, code: Annotated[str, Body(example="x1")]) -> Allow | Heard: ...

    @app.on_publish("room:{name}:*")
    async def publish(name: str, data: Said) -> Heard | Publish | None: ...

    @app.rpc("math.*")
    async def count(method: str, numbers: list[int]) -> int: ...

    @app.rpc("room")
    async def room() -> None: ...

    return app


FURTHER = [OwnChannel("news:*", Description("What happened."))]
PAID = PaymentsOptions(channel="pay:#{user}", staff_channel="staff:{user}?{user}")

PARSED = {
    "the shop": lambda: document(shop.app),
    "every kind of function": lambda: document(everything()),
    "several applications": lambda: document(shop.app, everything()),
    "no function": lambda: document(App()),
    "a relative address": lambda: document(shop.app, url="/connection/websocket"),
    "a host that asked": lambda: at_host(document(shop.app, url="/connection/websocket"), "[::1]:8000", "wss"),
    "further channels": lambda: document(App(), channels=FURTHER),
    "everything of the server itself": lambda: document(
        App(), channels=[*account_channels(":"), *payment_channels(PAID)]
    ),
}


@pytest.fixture(scope="module")
def outcomes():
    """What the parser says; node and the parser take seconds to start, so they do it once."""
    return dict(zip(PARSED, parse([make() for make in PARSED.values()]), strict=True))


@pytest.mark.parametrize("name", PARSED)
def test_the_parser_of_the_format_has_nothing_to_say(outcomes, name):
    assert (outcomes[name]["valid"], outcomes[name]["said"]) == (True, [])


def test_every_function_is_an_operation(outcomes):
    assert sorted(map(tuple, outcomes["the shop"]["operations"])) == [
        ("publication_chat_room", "send", "chat:{room}"),
        ("publication_likes_any", "send", "likes:{any}"),
        ("publication_prices", "send", "prices"),
        ("publish_chat_room", "receive", "chat:{room}"),
        ("rpc_cart_add", "receive", "cart.add"),
        ("rpc_echo", "receive", "echo"),
        ("rpc_reviews_best", "receive", "reviews.best"),
        ("subscribe_likes_any", "receive", "likes:{any}"),
    ]


def test_the_server_is_named_with_its_protocol(whole):
    server = whole["servers"]["websocket"]
    assert (server["protocol"], server["host"], server["pathname"]) == (
        "wss",
        "example.org",
        "/connection/websocket",
    )
    assert "centrifuge-json" in server["description"]
    assert whole["components"]["securitySchemes"]["token"]["bearerFormat"] == "JWT"


def test_a_path_alone_leaves_the_host_to_whoever_reads():
    made = document(shop.app, url="/connection/websocket")
    server = made["servers"]["websocket"]
    assert (server["host"], server["pathname"], server["protocol"]) == ("{host}", "/connection/websocket", "ws")


def test_functions_of_several_applications_are_tagged():
    made = document(shop.app, everything())
    assert made["operations"]["rpc_echo"]["tags"] == [{"name": "Shop"}]
    assert made["operations"]["rpc_room"]["tags"] == [{"name": "Everything"}]
    assert "tags" not in document(shop.app)["operations"]["rpc_echo"]


# Channels


@pytest.mark.parametrize(
    "pattern, written, names",
    [
        ("news", "news", []),
        ("chat:{room}", "chat:{room}", ["room"]),
        ("chat:*", "chat:{any}", ["any"]),
        ("*:{room}:*", "{any}:{room}:{any2}", ["any", "room", "any2"]),
        ("*", "{any}", ["any"]),
        ("{user}:{user}", "{user}:{user}", ["user"]),
    ],
)
def test_a_pattern_is_an_address_with_parameters(pattern, written, names):
    text, parameters = address(pattern)
    assert (text, list(parameters)) == (written, names)


def test_what_is_known_of_the_parts_of_a_channel_is_told():
    room = document(everything())["channels"]["room_name_any"]["parameters"]["name"]
    assert room == {"description": "Which.", "enum": ["red", "blue"], "examples": ["red"]}


def test_a_channel_says_what_its_subscribe_function_says(whole):
    assert whole["channels"]["chat_room"]["summary"] == "Everybody may listen, but in the cellar."


def test_further_channels_can_be_named():
    made = document(App(), channels=FURTHER)
    assert made["channels"]["news_any"]["summary"] == "What happened."
    assert made["operations"]["publication_news_any"]["action"] == "send"
    assert messages(made, "publication_news_any") == ([{}], [])


def test_a_further_channel_says_what_is_published_there():
    made = document(App(), channels=[OwnChannel("news:{day}", Description("Heard.", "Of a day.", ("press",)), Heard)])
    assert messages(made, "publication_news_day") == ([{"$ref": "#/components/schemas/Heard"}], [])
    assert made["operations"]["publication_news_day"]["tags"] == [{"name": "press"}]
    assert list(made["operations"]) == ["publication_news_day"]


def test_channels_and_methods_of_one_name_are_kept_apart():
    made = declared(
        (lambda app: app.on_subscribe("a.b"), hears),
        (lambda app: app.rpc("a.b"), hears),
        (lambda app: app.on_subscribe("a:b"), hears),
    )
    assert {key: each["address"] for key, each in made["channels"].items()} == {
        "a_b": "a.b",
        "rpc_a_b": "a.b",
        "a_b_2": "a:b",
    }


async def hears() -> None:
    """Nothing."""


# Messages


def test_what_is_published_has_the_type_of_the_functions_parameter(whole):
    assert messages(whole, "publish_chat_room")[0] == [{"$ref": "#/components/schemas/ChatMessage"}]


def test_what_subscribers_hear_is_what_the_function_answers(whole):
    assert messages(whole, "publication_chat_room")[0] == [{"$ref": "#/components/schemas/ChatLine"}]


def test_what_subscribers_hear_is_what_was_sent_when_the_function_only_looks_at_it():
    async def look(data: Said) -> None: ...

    made = declared((lambda app: app.on_publish("a"), look))
    assert messages(made, "publication_a")[0] == [{"$ref": "#/components/schemas/Said"}]


def test_answers_that_tell_the_server_what_to_do_are_no_payload():
    made = document(everything())
    assert messages(made, "publication_room_name_any")[0] == [
        {"$ref": "#/components/schemas/Heard"},
        {"$ref": "#/components/schemas/Said"},
    ]
    assert "Publish" not in made["components"]["schemas"]
    assert "Allow" not in made["components"]["schemas"]


def test_what_a_subscription_takes_and_gives_is_an_operation():
    made = document(everything())
    asked, answered = messages(made, "subscribe_paid_plan")
    assert asked == [{"type": "string", "examples": ["x1"]}]
    assert answered == [{"$ref": "#/components/schemas/Heard"}]
    assert made["operations"]["subscribe_paid_plan"]["x-command"] == "subscribe"


def test_a_subscription_that_takes_nothing_is_none(whole):
    assert "subscribe_chat_room" not in whole["operations"]


def test_what_a_connection_needs_is_an_operation():
    made = document(everything())
    assert messages(made, "connect")[0] == [{"$ref": "#/components/schemas/Said"}]
    assert made["channels"]["connect"]["address"] is None


def test_a_call_has_its_keys_and_its_reply(whole):
    asked, answered = messages(whole, "rpc_cart_add")
    assert asked[0]["properties"]["count"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 1}
    assert answered == [{"$ref": "#/components/schemas/Cart"}]
    assert whole["operations"]["rpc_cart_add"]["reply"]["channel"] == {"$ref": "#/channels/rpc_cart_add"}


def test_a_call_without_an_answer_is_answered_with_null():
    assert messages(document(everything()), "rpc_room") == ([{}], [{"type": "null"}])


def test_a_stream_sends_what_it_yields(whole):
    assert messages(whole, "publication_prices")[0] == [{"$ref": "#/components/schemas/Tick"}]
    assert whole["operations"]["publication_prices"]["summary"].startswith("The price of the teapot")


def test_a_stream_on_a_channel_that_clients_may_publish_on_is_a_message_beside_theirs():
    async def tick() -> AsyncIterator[int]:
        yield 1

    async def publish(data: Said) -> None: ...

    made = declared((lambda app: app.stream("a"), tick), (lambda app: app.on_publish("a"), publish))
    assert set(made["channels"]["a"]["messages"]) == {"publication", "publish", "publication_2"}


def test_examples_are_those_of_models_and_of_keys():
    class Shown(BaseModel, json_schema_extra={"examples": [{"a": 1}]}):
        a: int

    async def whole(data: Shown) -> None: ...

    async def keys(a: Annotated[int, Body(example=1)], b: Annotated[int, Field(examples=[2])], c: int = 3) -> None: ...

    async def half(a: Annotated[int, Body(example=1)], b: int) -> None: ...

    functions = {"x": whole, "y": keys, "z": half}
    made = declared(*((lambda app, name=name: app.rpc(name), each) for name, each in functions.items()))
    examples = [made["channels"][f"rpc_{name}"]["messages"]["call"].get("examples") for name in functions]
    assert examples == [[{"payload": {"a": 1}}], [{"payload": {"a": 1, "b": 2}}], None]


# Schemas of draft 7


def test_tuples_are_written_as_draft_7_does():
    made = draft7({"type": "array", "prefixItems": [{"type": "integer"}], "items": False})
    assert made == {"type": "array", "items": [{"type": "integer"}], "additionalItems": False}
    assert not Draft7Validator(made).is_valid(["a"])
    assert not Draft7Validator(made).is_valid([1, 2])


def test_what_stands_beside_a_reference_counts():
    assert draft7({"$ref": "#/a", "default": 1}) == {"allOf": [{"$ref": "#/a"}], "default": 1}
    assert draft7({"$ref": "#/a"}) == {"$ref": "#/a"}


def test_a_discriminator_is_a_name():
    assert draft7({"discriminator": {"propertyName": "kind", "mapping": {}}}) == {"discriminator": "kind"}


def test_properties_may_be_called_like_keywords():
    schema = {"properties": {"prefixItems": {"type": "string"}, "discriminator": {}, "$ref": {}, "default": {}}}
    assert draft7(schema) == schema


def test_values_are_left_alone():
    schema = {"examples": [{"prefixItems": [1]}], "default": {"discriminator": 1}, "const": {"$ref": 1, "a": 2}}
    assert draft7(schema) == schema
