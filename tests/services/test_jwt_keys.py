"""Tokens with real signatures: each algorithm, each wrong key."""

from __future__ import annotations

import base64
import json
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from rtserver.core.errors import ExpiredToken, InvalidToken
from rtserver.core.options import TokenOptions
from rtserver.services.jwt_keys import ALGORITHMS, HMAC, MAX_TOKEN, RSA, JWTVerifier, Key, parse, suited

T = TypeVar("T")

NOW = 1_700_000_000.0
SECRET = "a-secret-of-more-than-sixty-four-characters-for-every-hmac-algorithm-of-all"
OLD_SECRET = SECRET[::-1]
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    text: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def signed(key: Any, algorithm: str, claims: dict[str, Any] | None = None, **headers: Any) -> str:
    return jwt.encode(claims or {"sub": "42"}, key, algorithm=algorithm, headers=headers)


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def now_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("It waits for something.")


def verifier(now: float = NOW, **options: Any) -> JWTVerifier:
    return JWTVerifier(TokenOptions(**options), lambda: now)


def user(token: str, now: float = NOW, **options: Any) -> str:
    return now_of(verifier(now, **options).verify_connection(token)).user


def refused(token: str, now: float = NOW, **options: Any) -> str:
    """Why the token is invalid; for either kind, and without saying anything of the token."""
    checks = verifier(now, **options)
    for verify in (checks.verify_connection, checks.verify_subscription):
        with pytest.raises(InvalidToken) as error:
            now_of(verify(token))
        assert not any(len(part) > 3 and part in str(error.value) for part in token.split("."))
    return str(error.value)


# Each algorithm


@pytest.mark.parametrize("algorithm", HMAC)
def test_an_hmac_token_is_verified_with_the_secret(algorithm: str) -> None:
    token = signed(SECRET, algorithm)
    assert user(token, hmac_secret_key=SECRET) == "42"
    assert "signature" in refused(token, hmac_secret_key=SECRET + "x")


@pytest.mark.parametrize("algorithm", RSA)
def test_an_rsa_token_is_verified_with_the_public_key(algorithm: str) -> None:
    token = signed(RSA_KEY, algorithm)
    assert user(token, rsa_public_key=pem(RSA_KEY)) == "42"
    assert "signature" in refused(token, rsa_public_key=pem(rsa.generate_private_key(65537, 2048)))


@pytest.mark.parametrize("algorithm", EC_KEYS)
def test_an_ecdsa_token_is_verified_with_the_public_key_of_its_curve(algorithm: str) -> None:
    token = signed(EC_KEYS[algorithm], algorithm)
    assert user(token, ecdsa_public_key=pem(EC_KEYS[algorithm])) == "42"
    for other, key in EC_KEYS.items():
        if other != algorithm:
            assert "no key" in refused(token, ecdsa_public_key=pem(key))


def test_a_subscription_token_is_verified_in_the_same_way() -> None:
    token = signed(SECRET, "HS256", {"sub": "42", "channel": "news"})
    claims = now_of(verifier(hmac_secret_key=SECRET).verify_subscription(token))
    assert (claims.user, claims.channel) == ("42", "news")


def test_the_time_is_that_of_the_clock() -> None:
    token = signed(SECRET, "HS256", {"exp": NOW + 10})
    assert user(token, NOW + 9, hmac_secret_key=SECRET) == ""
    with pytest.raises(ExpiredToken):
        user(token, NOW + 11, hmac_secret_key=SECRET)


# What must not work


def test_without_keys_no_token_is_good() -> None:
    assert "no key" in refused(signed(SECRET, "HS256"))


def test_an_algorithm_without_a_key_is_refused() -> None:
    everything_else = {"rsa_public_key": pem(RSA_KEY), "ecdsa_public_key": pem(EC_KEYS["ES256"])}
    assert "no key" in refused(signed(SECRET, "HS256"), **everything_else)
    assert "no key" in refused(signed(RSA_KEY, "RS256"), hmac_secret_key=SECRET)
    assert "no key" in refused(signed(ED_KEY, "EdDSA"), hmac_secret_key=SECRET, **everything_else)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "PS256", "HS1", "ES256K", "hs256"])
def test_other_algorithms_are_refused_and_none_most_of_all(name: str) -> None:
    token = forged({"alg": name}, {"sub": "42"})
    refused(token, hmac_secret_key=SECRET)
    if name.lower() == "none":
        refused(token, hmac_secret_key=SECRET, insecure_skip_token_signature_verify=True)


def test_a_public_key_is_never_an_hmac_secret() -> None:
    for key in (RSA_KEY, EC_KEYS["ES256"]):
        public = pem(key)
        header = {"alg": "HS256"}
        unsigned = forged(header, {"sub": "admin"}).rstrip(".")
        token = (
            unsigned + "." + forged({}, {}, ALGORITHMS["HS256"].sign(unsigned.encode(), public.encode())).split(".")[2]
        )
        assert "no key" in refused(token, rsa_public_key=pem(RSA_KEY), ecdsa_public_key=pem(EC_KEYS["ES256"]))
        assert "signature" in refused(token, rsa_public_key=public if key is RSA_KEY else "", hmac_secret_key=SECRET)


def test_a_changed_payload_is_refused() -> None:
    head, _, signature = signed(SECRET, "HS256").split(".")
    other = forged({}, {"sub": "admin"}).split(".")[1]
    assert "signature" in refused(f"{head}.{other}.{signature}", hmac_secret_key=SECRET)
    assert "signature" in refused(f"{head}.{other}.", hmac_secret_key=SECRET)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        "%.%.%",
        "e30.e30.",
        "e30=.e30.",
        "W10.e30.",
        forged({"alg": 1}, {}),
        forged({"alg": "HS256", "kid": 1}, {}),
        forged({"alg": "HS256", "crit": ["exp"]}, {}),
        forged({"alg": "HS256", "crit": ["b64"], "b64": False}, {}),
        "x" * (MAX_TOKEN + 1),
    ],
)
def test_a_malformed_token_is_refused(token: str) -> None:
    assert refused(token, hmac_secret_key=SECRET).endswith(".")


@given(st.text(alphabet="eyJ0.-_=+/\u00e9", max_size=60))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    try:
        parse(text)
    except InvalidToken:
        return


# Rotation and the insecure option


def test_the_previous_secret_is_good_until_its_end() -> None:
    keys = {"hmac_secret_key": SECRET, "hmac_previous_secret_key": OLD_SECRET}
    token = signed(OLD_SECRET, "HS256")
    assert user(token, NOW, **keys) == "42"
    assert user(token, NOW, **keys, hmac_previous_secret_key_valid_until=int(NOW) + 1) == "42"
    assert "signature" in refused(token, NOW, **keys, hmac_previous_secret_key_valid_until=int(NOW))
    assert user(signed(SECRET, "HS512"), NOW, **keys, hmac_previous_secret_key_valid_until=1) == "42"


def test_skipping_the_signature_skips_nothing_else() -> None:
    skip = {"insecure_skip_token_signature_verify": True, "audience": "me"}
    assert user(forged({"alg": "HS256"}, {"sub": "7", "aud": "me"}), **skip) == "7"
    assert user(forged({"alg": "PS512"}, {"sub": "7", "aud": "me"}), **skip) == "7"
    assert "aud" in refused(forged({"alg": "HS256"}, {"sub": "7"}), **skip)
    with pytest.raises(ExpiredToken):
        user(forged({"alg": "HS256"}, {"aud": "me", "exp": 1}), **skip)


# Mistakes of the configuration


@pytest.mark.parametrize(
    "options",
    [
        {"rsa_public_key": "nonsense"},
        {"rsa_public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
        {"rsa_public_key": pem(EC_KEYS["ES256"])},
        {"ecdsa_public_key": pem(RSA_KEY)},
        {"ecdsa_public_key": pem(ec.generate_private_key(ec.SECP256K1()))},
        {"hmac_secret_key": pem(RSA_KEY)},
        {"hmac_previous_secret_key": pem(EC_KEYS["ES256"])},
        {"jwks_public_endpoint": "https://a/keys"},
        {"issuer_regex": "("},
    ],
)
def test_options_that_cannot_be_followed_are_refused_by_their_name(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        verifier(**options)


# Keys by id


class Source:
    """A key source that records what it was asked."""

    def __init__(self, keys: dict[str, Mapping[str, Key]]) -> None:
        self.known = keys
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def keys(self, kid: str, values: Mapping[str, str]) -> Mapping[str, Key]:
        self.asked.append((kid, values))
        return self.known.get(kid, {})


SOURCE_KEYS = {"r": suited(RSA_KEY.public_key(), ("RS256",)), "d": suited(ED_KEY.public_key(), ("EdDSA",))}


def by_jwks(source: Source, token: str, **options: Any) -> str:
    settings = TokenOptions(**{"jwks_public_endpoint": "https://a/keys", "hmac_secret_key": SECRET, **options})
    return now_of(JWTVerifier(settings, lambda: NOW, source).verify_connection(token)).user


def test_with_a_jwks_address_keys_go_by_their_id() -> None:
    source = Source(SOURCE_KEYS)
    assert by_jwks(source, signed(RSA_KEY, "RS256", kid="r")) == "42"
    assert by_jwks(source, signed(ED_KEY, "EdDSA", kid="d")) == "42"
    assert [kid for kid, _ in source.asked] == ["r", "d"]


@pytest.mark.parametrize(
    "token",
    [
        signed(SECRET, "HS256", kid="r"),
        signed(SECRET, "HS256"),
        signed(RSA_KEY, "RS256"),
        signed(RSA_KEY, "RS512", kid="r"),
        signed(RSA_KEY, "RS256", kid="unknown"),
        signed(RSA_KEY, "RS256", kid="d"),
        signed(rsa.generate_private_key(65537, 2048), "RS256", kid="r"),
    ],
)
def test_with_a_jwks_address_only_its_keys_count(token: str) -> None:
    with pytest.raises(InvalidToken):
        by_jwks(Source(SOURCE_KEYS), token)


def test_the_address_of_the_keys_follows_the_issuer() -> None:
    source = Source(SOURCE_KEYS)
    tenants = {"jwks_public_endpoint": "https://{{t}}/keys", "issuer_regex": "^(?P<t>one|two)$"}
    assert by_jwks(source, signed(RSA_KEY, "RS256", {"sub": "1", "iss": "two"}, kid="r"), **tenants) == "1"
    assert source.asked == [("r", {"t": "two"})]
    with pytest.raises(InvalidToken):
        by_jwks(source, signed(RSA_KEY, "RS256", {"sub": "1", "iss": "three"}, kid="r"), **tenants)
    assert len(source.asked) == 1
