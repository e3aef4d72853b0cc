"""The server's own channels in the AsyncAPI document. (That what payments publish is as it says: ``tests/payments``.)"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft7Validator

from rtserver.accounts.notices import ChannelNotices
from rtserver.app.asyncapi import asyncapi
from rtserver.payments.options import PaymentsOptions
from rtserver.web.accounts import account_channels
from rtserver.web.payments import payment_channels
from tests.deadline import deadline

PAID = PaymentsOptions(channel="user:{user}", staff_channel="staff:payments")


def document(options: PaymentsOptions = PAID) -> dict[str, Any]:
    channels = [*account_channels(":"), *payment_channels(options)]
    return asyncapi([], title="x", version="1", url="/connection/websocket", channels=channels)


def test_they_stand_under_their_addresses_with_who_tells() -> None:
    made = document()
    assert {key: each["address"] for key, each in made["channels"].items()} == {
        "rt_auth_proof": "rt_auth:{proof}",
        "user_user": "user:{user}",
        "staff_payments": "staff:payments",
    }
    tags = {name: each["tags"][0]["name"] for name, each in made["operations"].items()}
    assert tags == {
        "publication_rt_auth_proof": "accounts",
        "publication_user_user": "payments",
        "publication_staff_payments": "payments",
    }
    assert all(each["action"] == "send" for each in made["operations"].values())


def test_a_channel_on_which_nothing_is_told_does_not_stand_there() -> None:
    assert set(document(PaymentsOptions(channel="", staff_channel="a:b"))["channels"]) == {"rt_auth_proof", "a_b"}


def test_every_example_is_as_its_schema_says() -> None:
    made = document()
    for channel in made["channels"].values():
        (message,) = channel["messages"].values()
        whole = {**message["payload"], "components": made["components"]}
        (example,) = message["examples"]
        Draft7Validator(whole).validate(example["payload"])
        assert not Draft7Validator(whole).is_valid({})


@deadline(10)
async def test_a_window_is_told_what_the_document_says() -> None:
    told: list[Any] = []

    async def publish(channel: str, data: Any) -> None:
        told.append((channel, data))

    async def disconnect(user: str, code: int, reason: str) -> None: ...

    await ChannelNotices(publish, disconnect, lambda proof: f"rt_auth:{proof}").confirmed("p1")  # type: ignore[arg-type]
    ((channel, data),) = told
    message = document()["channels"]["rt_auth_proof"]["messages"]["publication"]
    assert channel == "rt_auth:p1" and message["examples"] == [{"payload": data}]
