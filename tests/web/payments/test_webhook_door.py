"""What comes in at /payment/webhook/: from anybody, bounded, and refused with a cause."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest

from rtserver.app.openapi import openapi
from rtserver.core.errors import StoreUnavailable
from rtserver.payments.errors import GatewayRefused
from tests.deadline import deadline
from tests.line import Answer
from tests.web.payments.house import Till, codes, till_in

PAYLOAD = "PG5vdGlmaWNhdGlvbj4K\nPC9ub3RpZmljYXRpb24+\n"
FORM = "application/x-www-form-urlencoded"


async def send(till: Till, body: str | bytes, kind: str = FORM, **headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    return await till.web.ask("POST", "/payment/webhook/", content, {"Content-Type": kind, **headers})


def told(**changes: str) -> str:
    return urlencode({"bt_signature": "public_key|abc", "bt_payload": PAYLOAD, **changes})


def causes(till: Till) -> list[str]:
    return [line[1] for line in till.web.log.lines if "refused" in line[1]]


@deadline(10)
async def test_a_webhook_needs_no_session_and_keeps_its_line_ends(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await send(till, told(), Origin="https://elsewhere.example")
        assert (answer.status, answer.body) == (200, b"")
        assert till.webhooks.asked == [("receive", ("public_key|abc", PAYLOAD))]


@deadline(10)
async def test_a_browser_that_is_signed_in_changes_nothing_about_it(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        cookies = "; ".join(f"{name}={value}" for name, value in ada.jar.items())
        assert (await send(till, told(), Cookie=cookies, Origin="https://evil.example")).status == 200


@deadline(10)
async def test_what_is_not_signed_is_400_and_not_repeated_in_the_answer(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        till.webhooks.answers["receive"] = GatewayRefused(
            "bad_signature", "This was not signed by the payment service."
        )
        answer = await send(till, told())
        assert (answer.status, codes(answer)) == (400, [("bad_signature", ["body"])])
        assert PAYLOAD.split()[0] not in answer.text


@pytest.mark.parametrize("body", ["", "bt_signature=a", "bt_payload=a", "x=1"])
@deadline(10)
async def test_a_form_without_its_fields_is_400_with_a_cause_in_the_log(tmp_path: Path, body: str) -> None:
    async with till_in(tmp_path) as till:
        assert (await send(till, body)).status == 400
        assert len(causes(till)) == 1
        assert till.webhooks.asked == []


@deadline(10)
async def test_a_body_that_is_no_json_is_400(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        assert (await send(till, "{", "application/json")).status == 400


@deadline(10)
async def test_the_answers_of_the_gateways_door_are_described_as_text(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        described = openapi([], title="x", version="1", endpoints=till.own)["paths"]["/payment/webhook/"]
        assert [list(each["responses"]["200"]["content"]) for each in described.values()] == [["text/plain"]] * 2


@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (70_000, 413), (2_000_000, 413)])
@deadline(10)
async def test_a_large_body_is_refused(tmp_path: Path, size: int, status: int) -> None:
    async with till_in(tmp_path) as till:
        assert (await send(till, told(bt_payload="a" * size))).status == status


@deadline(10)
async def test_what_cannot_be_written_down_now_is_to_be_sent_again(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        till.webhooks.answers["receive"] = StoreUnavailable("the database is away")
        answer = await send(till, told())
        assert (answer.status, answer.header("retry-after")) == (503, "1")


@deadline(10)
async def test_a_challenge_is_answered_as_text(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await till.web.browser().read("/payment/webhook/?bt_challenge=good")
        assert (answer.status, answer.text) == (200, "public_key|abc")
        assert (answer.header("content-type") or "").startswith("text/plain")


@pytest.mark.parametrize("query", ["", "?bt_challenge=", "?bt_challenge=bad"])
@deadline(10)
async def test_a_challenge_that_is_none_is_400_with_a_cause_in_the_log(tmp_path: Path, query: str) -> None:
    async with till_in(tmp_path) as till:
        answer = await till.web.browser().read(f"/payment/webhook/{query}")
        ((_, place),) = codes(answer)
        assert (answer.status, place) == (400, ["query"])
        assert "bt_signature" not in answer.text
        assert len(causes(till)) == 1
