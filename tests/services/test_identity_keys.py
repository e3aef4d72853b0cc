"""Providers of OpenID Connect that change the keys they sign with. Nothing here opens a socket."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.backends.ping import PingOpenIdConnect
from social_core.exceptions import AuthProviderError

from rtserver.accounts.options import ProviderOptions
from rtserver.accounts.social import SignedIn
from tests.deadline import deadline
from tests.services.identity_house import SECRET, Browser, Opened, house_in, refused

HERE = "tests.services.test_identity_keys"
ISSUER = "https://id.example"
KEYS = {name: generate_private_key(65537, 2048) for name in ("old", "new")}


class Peer:
    """The provider: it signs with ``key``, publishes ``published``, and names its keys or does not."""

    def __init__(self) -> None:
        self.names_keys = True
        self.nonce = ""
        self.asked_for_keys = 0
        self.is_away = False
        self.signs_with("old")

    def signs_with(self, name: str, publishes: str = "") -> None:
        self.name, self.published = name, publishes or name

    def answer(self, path: str) -> dict[str, Any]:
        return getattr(self, path.strip("/").replace(".well-known/openid-configuration", "discovery"))()

    def discovery(self) -> dict[str, Any]:
        names = {
            "authorization_endpoint": "a",
            "token_endpoint": "token",
            "userinfo_endpoint": "person",
            "jwks_uri": "keys",
        }
        return {"issuer": ISSUER, **{name: f"{ISSUER}/{path}" for name, path in names.items()}}

    def keys(self) -> dict[str, Any]:
        self.asked_for_keys += 1
        return {"keys": [public(self.published, self.names_keys)]}

    def token(self) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "client", "sub": "7", "iat": now, "exp": now + 60, "nonce": self.nonce}
        headers = {"kid": self.name} if self.names_keys else None
        return {
            "access_token": "a",
            "token_type": "Bearer",
            "id_token": jwt.encode(claims, KEYS[self.name], "RS256", headers),
        }

    def person(self) -> dict[str, Any]:
        return {"sub": "7", "preferred_username": "vera", "email": "vera@example.org", "email_verified": True}


def public(name: str, is_named: bool) -> dict[str, Any]:
    key: RSAPrivateKey = KEYS[name]
    made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return made | ({"kid": name} if is_named else {})


PEERS: dict[str, Peer] = {}


class Played:
    def request(self, url: str, **_: Any) -> Any:
        peer = PEERS["now"]
        if peer.is_away and url.endswith("/keys"):
            raise AuthProviderError(self, code="connection_failed")
        text = json.dumps(peer.answer(url.removeprefix(ISSUER)))
        return SimpleNamespace(text=text, json=lambda: json.loads(text), status_code=200)


class PlayedOidc(Played, OpenIdConnectAuth):
    pass


class PlayedPing(Played, PingOpenIdConnect):
    """One that looks at no names of keys."""


PROVIDER = ProviderOptions(
    name="oidc", title="Played", key="client", secret=SECRET, trust_email=True, settings={"OIDC_ENDPOINT": ISSUER}
)


@pytest.fixture
def peer() -> Peer:
    PEERS["now"] = Peer()
    return PEERS["now"]


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


async def login(browser: Browser, peer: Peer) -> Any:
    asked = await browser.begin("oidc")
    peer.nonce = asked["nonce"]
    return await browser.comes("oidc", {"code": "c", "state": asked["state"]})


@pytest.mark.parametrize("backend", ["PlayedOidc", "PlayedPing"])
@pytest.mark.parametrize("names_keys", [True, False], ids=["named", "nameless"])
@deadline(20)
async def test_a_provider_with_a_new_key_is_asked_for_it_once(
    opened: Opened, peer: Peer, names_keys: bool, backend: str
) -> None:
    peer.names_keys = names_keys
    house = opened(providers=(replace(PROVIDER, backend=f"{HERE}.{backend}"),))
    for key, asked in (("old", 1), ("old", 1), ("new", 2), ("new", 2)):
        peer.signs_with(key)
        assert isinstance(await login(house.browser(), peer), SignedIn), key
        assert peer.asked_for_keys == asked
    assert await house.names() == ["vera"]


@pytest.mark.parametrize("backend", ["PlayedOidc", "PlayedPing"])
@pytest.mark.parametrize("names_keys", [True, False], ids=["named", "nameless"])
@deadline(20)
async def test_a_key_that_the_provider_does_not_publish_signs_nobody_in(
    opened: Opened, peer: Peer, names_keys: bool, backend: str
) -> None:
    peer.names_keys = names_keys
    house = opened(providers=(replace(PROVIDER, backend=f"{HERE}.{backend}"),))
    await login(house.browser(), peer)
    peer.signs_with("new", publishes="old")
    assert (await refused(login(house.browser(), peer))).code == "invalid_signature"
    assert peer.asked_for_keys == 2
    peer.signs_with("old")
    assert isinstance(await login(house.browser(), peer), SignedIn)
    assert peer.asked_for_keys == 2


@deadline(20)
async def test_while_new_keys_cannot_be_fetched_the_known_ones_go_on_counting(opened: Opened, peer: Peer) -> None:
    peer.names_keys = False
    house = opened(providers=(replace(PROVIDER, backend=f"{HERE}.PlayedOidc"),))
    await login(house.browser(), peer)
    peer.is_away = True
    peer.signs_with("new")
    assert (await refused(login(house.browser(), peer))).code == "connection_failed"
    peer.signs_with("old")
    assert isinstance(await login(house.browser(), peer), SignedIn)
