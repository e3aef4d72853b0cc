"""Keys over HTTP, through a real HTTP client and a real resource in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from rtserver.core.options import TokenOptions
from rtserver.services.jwks import JWKS, JWKSLimits
from rtserver.services.jwt_keys import ALGORITHMS, JWTVerifier, Key, parse_key_set

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP384R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
URL = "https://user:pass@keys.example/set?token=hidden"


def jwk(private: Any, algorithm: str, **members: Any) -> dict[str, Any]:
    return {**ALGORITHMS[algorithm].to_jwk(private.public_key(), as_dict=True), **members}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


RSA_SET = key_set(jwk(RSA_KEY, "RS256", kid="r"))


class Answers(Resource):
    """Gives the next answer to each request: a body, a status, or None for one that never ends."""

    isLeaf = True

    def __init__(self, *answers: bytes | int | None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.paths: list[bytes] = []

    def render_GET(self, request: Any) -> Any:
        self.paths.append(request.uri)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            request.write(b'{"keys":')
            return NOT_DONE_YET
        if isinstance(answer, int):
            request.setResponseCode(answer)
            request.setHeader(b"Location", b"https://elsewhere.example/")
            return b"no"
        return answer


class Bench:
    """A key source over its answers, with a clock to turn."""

    def __init__(self, *answers: bytes | int | None, url: str = URL, **limits: Any) -> None:
        self.site = Answers(*answers)
        self.http = StubTreq(self.site)
        self.clock = Clock()
        self.jwks = JWKS(url, self.http, self.clock, JWKSLimits(**limits))

    def ask(self, kid: str = "r", values: Mapping[str, str] | None = None) -> Deferred[Mapping[str, Key]]:
        return Deferred.fromCoroutine(self.jwks.keys(kid, values or {}))

    def names(self, kid: str = "r", values: Mapping[str, str] | None = None) -> list[str]:
        """The algorithms of the key, once all that can be read has been read."""
        asked = self.ask(kid, values)
        self.http.flush()
        return sorted(result_of(asked))

    @property
    def fetches(self) -> int:
        return len(self.site.paths)


def result_of(asked: Deferred[Any]) -> Any:
    results: list[Any] = []
    asked.addBoth(results.append)
    assert results, "It still waits."
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@pytest.fixture
def log() -> Any:
    """The lines that are logged during a test."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_format"):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# Caching


def test_a_key_is_fetched_once_and_kept_for_an_hour() -> None:
    bench = Bench(RSA_SET)
    for seconds in (0, 1800, 1799):
        bench.clock.advance(seconds)
        assert bench.names() == ["RS256", "RS384", "RS512"]
    assert bench.fetches == 1


def test_a_stale_set_is_fetched_again() -> None:
    bench = Bench(RSA_SET, key_set(jwk(ED_KEY, "EdDSA", kid="e")))
    bench.names()
    bench.clock.advance(3601)
    assert bench.names("r") == []
    assert bench.names("e") == ["EdDSA"]
    assert bench.fetches == 2


def test_a_stale_set_is_used_while_the_address_fails() -> None:
    bench = Bench(RSA_SET, 500)
    bench.names()
    bench.clock.advance(3601)
    assert bench.names() == ["RS256", "RS384", "RS512"]
    assert bench.names() != []
    assert bench.fetches == 2
    bench.clock.advance(24 * 3600)
    assert bench.names() == []


def test_an_unknown_key_id_makes_for_one_fetch_in_ten_seconds() -> None:
    bench = Bench(RSA_SET, RSA_SET, key_set(jwk(ED_KEY, "EdDSA", kid="new")))
    bench.names()
    for number in range(50):
        assert bench.names(f"made-up-{number}") == []
    assert bench.fetches == 1
    bench.clock.advance(10)
    for number in range(50):
        assert bench.names(f"made-up-{number}") == []
    assert bench.fetches == 2
    bench.clock.advance(10)
    assert bench.names("new") == ["EdDSA"]
    assert bench.fetches == 3


def test_who_asks_during_a_fetch_waits_for_it() -> None:
    bench = Bench(RSA_SET)
    asked = [bench.ask() for _ in range(20)]
    bench.http.flush()
    assert all(result_of(each) for each in asked)
    assert bench.fetches == 1


def test_a_client_that_leaves_does_not_end_the_fetch_of_others() -> None:
    bench = Bench(RSA_SET)
    first, second = bench.ask(), bench.ask()
    first.addErrback(lambda _: {})
    first.cancel()
    bench.http.flush()
    assert result_of(second) and bench.fetches == 1


# Failures


@pytest.mark.parametrize(
    "answer",
    [
        404,
        302,
        500,
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1,null,{"kid":"r"}]}',
        b"[" * 3000,
    ],
)
def test_what_is_no_key_set_gives_no_key(answer: bytes | int) -> None:
    bench = Bench(answer)
    assert bench.names() == []
    assert bench.names() == [] and bench.fetches == 1


def test_an_answer_that_is_too_large_is_given_up() -> None:
    bench = Bench(RSA_SET + b" " * 1000, max_size=900)
    assert bench.names() == []


def test_an_answer_that_never_ends_is_given_up_in_time(log: list[str]) -> None:
    bench = Bench(None, RSA_SET)
    asked = bench.ask()
    bench.http.flush()
    assert not asked.called
    bench.clock.advance(5)
    assert result_of(asked) == {}
    bench.http.flush()
    bench.clock.advance(5)
    assert bench.names() == ["RS256", "RS384", "RS512"]
    assert any("keys.example/set" in line for line in log)


def test_a_connection_that_fails_at_once_is_a_failed_fetch() -> None:
    class Broken:
        def get(self, url: str, **arguments: Any) -> Deferred[Any]:
            return fail(ConnectionRefusedError("refused"))

    asked = Deferred.fromCoroutine(JWKS("http://a/", Broken(), Clock()).keys("r", {}))
    assert result_of(asked) == {}


def test_the_log_tells_the_place_but_no_secret_of_the_address(log: list[str]) -> None:
    Bench(500).names()
    Bench(RSA_SET).names()
    assert len(log) == 2 and all("keys.example/set" in line for line in log)
    assert not any("pass" in line or "hidden" in line for line in log)


def test_an_address_is_http_or_https() -> None:
    for url in ("file:///etc/passwd", "keys.example", ""):
        with pytest.raises(ValueError, match="jwks_public_endpoint"):
            Bench(RSA_SET, url=url)


# Addresses with placeholders


def test_each_filled_address_has_its_own_keys() -> None:
    bench = Bench(RSA_SET, key_set(jwk(ED_KEY, "EdDSA", kid="r")), url="https://keys.example/{{tenant}}")
    assert bench.names("r", {"tenant": "one"}) == ["RS256", "RS384", "RS512"]
    assert bench.names("r", {"tenant": "two"}) == ["EdDSA"]
    assert bench.names("r", {"tenant": "one"}) == ["RS256", "RS384", "RS512"]
    assert bench.site.paths == [b"/one", b"/two"]


def test_the_number_of_kept_sets_is_bounded() -> None:
    bench = Bench(RSA_SET, url="https://keys.example/{{tenant}}", max_sets=2)
    for tenant in ("one", "two", "three", "two", "one"):
        bench.names("r", {"tenant": tenant})
    assert bench.site.paths == [b"/one", b"/two", b"/three", b"/one"]


# Key sets


def algorithms(*keys: dict[str, Any]) -> dict[str, list[str]]:
    return {kid: sorted(found) for kid, found in parse_key_set(key_set(*keys), 200).items()}


def test_each_kind_of_key_is_for_its_algorithms() -> None:
    assert algorithms(
        jwk(RSA_KEY, "RS256", kid="any"),
        jwk(RSA_KEY, "RS256", kid="one", alg="RS384", use="sig"),
        jwk(EC_KEY, "ES384", kid="ec"),
        jwk(ED_KEY, "EdDSA", kid="ed", alg="EdDSA", key_ops=["verify"]),
    ) == {"any": ["RS256", "RS384", "RS512"], "one": ["RS384"], "ec": ["ES384"], "ed": ["EdDSA"]}


def test_keys_of_two_kinds_can_share_an_id() -> None:
    assert algorithms(jwk(RSA_KEY, "RS256", kid="a", alg="RS256"), jwk(ED_KEY, "EdDSA", kid="a")) == {
        "a": ["EdDSA", "RS256"]
    }


@pytest.mark.parametrize(
    "unusable",
    [
        jwk(RSA_KEY, "RS256"),
        jwk(RSA_KEY, "RS256", kid="x", use="enc"),
        jwk(RSA_KEY, "RS256", kid="x", alg="PS256"),
        jwk(RSA_KEY, "RS256", kid="x", alg="HS256"),
        jwk(RSA_KEY, "RS256", kid="x", key_ops=["encrypt"]),
        jwk(EC_KEY, "ES384", kid="x", crv="P-256"),
        jwk(EC_KEY, "ES384", kid="x", crv="secp256k1"),
        jwk(EC_KEY, "ES384", kid="x", y="AAAA"),
        jwk(ED_KEY, "EdDSA", kid="x", crv="Ed448"),
        jwk(ED_KEY, "EdDSA", kid="x", x="%%%"),
        {"kty": "RSA", "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
    ],
)
def test_a_key_that_cannot_verify_tokens_is_passed_over(unusable: dict[str, Any]) -> None:
    assert algorithms(unusable, jwk(RSA_KEY, "RS256", kid="r")) == {"r": ["RS256", "RS384", "RS512"]}


def test_private_members_of_a_key_are_not_read() -> None:
    private = ALGORITHMS["RS256"].to_jwk(RSA_KEY, as_dict=True)
    found = parse_key_set(key_set({**private, "key_ops": ["verify"], "kid": "r"}), 200)["r"]["RS256"].material
    assert isinstance(found, rsa.RSAPublicKey)


def test_the_number_of_keys_is_bounded() -> None:
    keys = [jwk(ED_KEY, "EdDSA", kid=str(number)) for number in range(10)]
    assert len(parse_key_set(key_set(*keys), 3)) == 3


# All together


def test_a_token_is_verified_with_a_key_that_is_fetched_for_it() -> None:
    bench = Bench(RSA_SET)
    verifier = JWTVerifier(TokenOptions(jwks_public_endpoint=URL), lambda: 0.0, bench.jwks)
    token = jwt.encode({"sub": "42"}, RSA_KEY, algorithm="RS256", headers={"kid": "r"})
    asked = Deferred.fromCoroutine(verifier.verify_connection(token))
    bench.http.flush()
    assert result_of(asked).user == "42"
