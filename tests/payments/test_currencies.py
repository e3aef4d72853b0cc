"""Items whose currency is not that of their merchant account are told before anybody buys them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from rtserver.payments import items
from rtserver.payments.currencies import AGAIN, EVERY, Currencies
from rtserver.payments.records import MerchantAccount
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.deadline import deadline
from tests.payments.shop import BOOK, ROOM, Shop, changed, refusal


@asynccontextmanager
async def shop_in(folder: Path) -> AsyncIterator[Shop]:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{folder}/payments.db"), reactor)
    await store.start()
    try:
        yield await Shop(store).open()
    finally:
        await store.stop()


@contextmanager
def said(level: str) -> Iterator[list[str]]:
    """What was logged about items and accounts."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "rtserver.payments.currencies" and event["log_level"].name == level:
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


@deadline(10)
async def test_each_item_is_warned_of_once_with_what_to_change(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        currencies = Currencies(shop.parts)
        with said("warn") as lines:
            assert await currencies.look() == EVERY and lines == []
            await items.save(shop.database, changed(ROOM, merchant_account=""), 0)
            await items.save(shop.database, changed(BOOK, merchant_account="gone"), 0)
            await currencies.look()
            await currencies.look()
        assert lines == [
            "item book cannot be bought: The gateway has no merchant account gone: take one that it has, such as shop (USD), "
            "hotel (EUR).",
            "item room cannot be bought: Its merchant account shop takes USD, not EUR: price it in USD, or pay it into hotel.",
        ]


@deadline(10)
async def test_what_was_mended_and_is_wrong_again_is_warned_of_again(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        currencies = Currencies(shop.parts)
        with said("warn") as lines:
            for account in ("", "hotel", ""):
                await items.save(shop.database, changed(ROOM, merchant_account=account), 0)
                await currencies.look()
        assert len(lines) == 2


@deadline(10)
async def test_the_account_of_the_configuration_stands_for_the_default_one(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        parts = replace(shop.parts, options=replace(shop.parts.options, merchant_account="hotel"))
        assert "hotel takes EUR, not USD" in (await refusal(Currencies(parts).check(BOOK))).sentence


@deadline(10)
async def test_an_account_that_must_be_opened_first_is_asked_for(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        shop.gateway.accounts = [MerchantAccount("shop", "USD", True)]
        refused = await refusal(Currencies(shop.parts).check(changed(ROOM, merchant_account="shop")))
        assert refused.code == "other_currency" and "open a merchant account for EUR" in refused.sentence


@deadline(10)
async def test_nothing_is_said_of_a_merchant_whose_accounts_are_not_shown(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        shop.gateway.accounts = []
        with said("warn") as lines:
            await Currencies(shop.parts).look()
            await Currencies(shop.parts).check(ROOM)
        assert lines == []


@deadline(10)
async def test_a_gateway_that_is_away_is_asked_again_less_and_less_often_and_told_once(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        shop.gateway.is_away = True
        currencies = Currencies(shop.parts)
        with said("warn") as warnings, said("info") as lines:
            pauses = [await currencies.look() for _ in range(8)]
            await currencies.check(changed(ROOM, merchant_account=""))
        assert pauses[:3] == [AGAIN, 2 * AGAIN, 4 * AGAIN] and pauses[-1] == EVERY
        assert len(lines) == 1 and warnings == []
        shop.gateway.is_away = False
        assert await currencies.look() == EVERY


@deadline(10)
async def test_it_looks_in_the_background_until_it_is_stopped(tmp_path: Path) -> None:
    async with shop_in(tmp_path) as shop:
        asked: list[Deferred[None]] = []

        class Slow:
            async def merchant_accounts(self) -> list[MerchantAccount]:
                asked.append(Deferred())
                await asked[-1]
                return shop.gateway.accounts

        currencies = Currencies(replace(shop.parts, gateway=Slow()))  # type: ignore[arg-type]  # what is asked here
        await currencies.start()
        asked[0].callback(None)
        await shop.until(lambda: bool(shop.clock.getDelayedCalls()))
        shop.clock.advance(EVERY)
        assert len(asked) == 2
        await currencies.stop()
        assert shop.clock.getDelayedCalls() == []
