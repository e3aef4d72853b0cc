"""The claims of tokens: every rule, with the time as an argument."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtserver.core.errors import ExpiredToken, InvalidToken
from rtserver.core.messages import EMPTY
from rtserver.core.options import TokenOptions
from rtserver.core.ports import ConnectionClaims, SubscriptionClaims, SubscriptionOverride
from rtserver.core.tokens import MAX_LIFETIME, ClaimRules, fill_endpoint

NOW = 1_700_000_000.5


def connection(options: TokenOptions | None = None, /, **claims: Any) -> ConnectionClaims:
    return ClaimRules(options or TokenOptions()).connection(json.dumps(claims).encode(), NOW)


def subscription(options: TokenOptions | None = None, /, **claims: Any) -> SubscriptionClaims:
    return ClaimRules(options or TokenOptions()).subscription(json.dumps({"channel": "c", **claims}).encode(), NOW)


# User


def test_the_subject_is_the_user() -> None:
    assert connection(sub="42").user == "42"
    assert subscription(sub="42") == SubscriptionClaims(user="42", channel="c")


def test_without_a_subject_the_user_is_anonymous() -> None:
    assert connection().user == connection(sub="").user == connection(sub=None).user == ""


def test_another_claim_can_name_the_user() -> None:
    options = TokenOptions(user_id_claim="uid")
    assert connection(options, sub="1", uid="2").user == "2"
    assert connection(options, sub="1").user == connection(options, sub="1", uid=None).user == ""
    with pytest.raises(InvalidToken):
        connection(options, uid=2)


# Types


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 42},
        {"sub": ["42"]},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": {}},
        {"expire_at": 1.5},
        {"expire_at": "0"},
        {"expire_at": -1},
        {"aud": 1},
        {"aud": [1]},
        {"iss": ["x"]},
        {"channels": "news"},
        {"channels": [1]},
        {"channels": [""]},
        {"subs": ["news"]},
        {"subs": {"": {}}},
        {"subs": {"news": 1}},
        {"subs": {"news": {"override": {"presence": True}}}},
        {"subs": {"news": {"override": {"presence": {"value": 1}}}}},
        {"subs": {"news": {"b64info": "%"}}},
        {"b64info": "not base64"},
        {"b64info": "YQ"},
        {"b64info": 1},
        {"meta": "text"},
        {"meta": [1]},
        {"channel": 1},
    ],
)
def test_a_claim_of_the_wrong_type_makes_the_token_invalid(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken) as refused:
        connection(**claims)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b"{", b'{"sub":"\xff"}', b'{"info":"\xff"}', b'{"x":' + b"[" * 5000]
)
def test_a_payload_that_is_no_object_makes_the_token_invalid(payload: bytes) -> None:
    rules = ClaimRules(TokenOptions())
    for read in (rules.connection, rules.subscription):
        with pytest.raises(InvalidToken):
            read(payload, NOW)


def test_unknown_claims_and_nulls_are_passed_over() -> None:
    nulls = dict.fromkeys(
        ("exp", "nbf", "expire_at", "aud", "iss", "info", "b64info", "channels", "subs", "meta", "channel")
    )
    assert connection(sub="1", jti=7, **nulls) == ConnectionClaims(user="1")


# Time


def test_a_token_ends_with_its_exp() -> None:
    assert connection(exp=NOW + 1).expire_at == int(NOW + 1)
    for claims in ({"exp": NOW}, {"exp": NOW - 1}, {"exp": 0}):
        with pytest.raises(ExpiredToken):
            connection(**claims)


def test_a_token_before_its_time_counts_as_expired() -> None:
    assert connection(nbf=NOW).user == ""
    with pytest.raises(ExpiredToken):
        connection(nbf=NOW + 1)


def test_expire_at_says_when_the_connection_ends_whatever_exp_says() -> None:
    assert connection(exp=NOW + 10, expire_at=int(NOW) + 500).expire_at == int(NOW) + 500
    assert connection(exp=NOW + 10, expire_at=0).expire_at == 0
    assert connection(expire_at=5).expire_at == 5
    assert subscription(exp=NOW + 10, expire_at=0).expire_at == 0
    with pytest.raises(ExpiredToken):
        connection(exp=NOW - 10, expire_at=0)


def test_without_an_end_a_connection_does_not_expire() -> None:
    assert connection(sub="1").expire_at == 0


def test_an_end_too_far_away_for_the_wire_is_none() -> None:
    assert connection(exp=NOW + MAX_LIFETIME - 1).expire_at == int(NOW + MAX_LIFETIME - 1)
    assert connection(exp=NOW * 1000).expire_at == 0
    assert connection(exp=1e300).expire_at == 0


# Payloads


def test_info_is_kept_byte_for_byte() -> None:
    claims = ClaimRules(TokenOptions()).connection(b'{"info": {"name" : "x","n":1.0}, "meta":{ "a":1}}', NOW)
    assert bytes(claims.info) == b'{"name" : "x","n":1.0}' and bytes(claims.meta) == b'{ "a":1}'


def test_base64_wins_over_plain_payloads() -> None:
    claims = subscription(info={"a": 1}, b64info="AP8=", data=1, b64data="e30=")
    assert bytes(claims.info) == b"\x00\xff" and bytes(claims.data) == b"{}"
    assert bytes(connection(info={"a": 1}, b64info="").info) == b'{"a": 1}'


def test_what_is_not_there_is_empty() -> None:
    assert connection().info is EMPTY and connection().meta is EMPTY and subscription().data is EMPTY


# Server-side subscriptions


def test_channels_become_subscriptions() -> None:
    assert list(connection(channels=["a", "b"]).subs) == ["a", "b"]


def test_subs_win_over_channels_when_there_are_any() -> None:
    claims = connection(
        channels=["a"],
        subs={
            "b": {
                "info": 1,
                "b64data": "Mg==",
                "override": {"presence": {"value": True}, "join_leave": {"value": False}},
            },
            "c": None,
        },
    )
    assert list(claims.subs) == ["b", "c"]
    b = claims.subs["b"]
    assert (bytes(b.info), bytes(b.data)) == (b"1", b"2")
    assert b.override == SubscriptionOverride(presence=True, join_leave=False)
    assert claims.subs["c"].override == SubscriptionOverride()
    assert list(connection(channels=["a"], subs={}).subs) == ["a"]


def test_a_subscription_token_overrides_options() -> None:
    flags = ("presence", "join_leave", "force_push_join_leave", "force_positioning", "force_recovery")
    claims = subscription(override={flag: {"value": True} for flag in flags})
    assert claims.override == SubscriptionOverride(True, True, True, True, True)


# The two kinds


def test_a_connection_token_names_no_channel() -> None:
    assert connection(channel="").user == ""
    with pytest.raises(InvalidToken):
        connection(channel="c")


def test_a_subscription_token_names_its_channel() -> None:
    assert subscription(client="abc").client == "abc"
    for channel in (None, ""):
        with pytest.raises(InvalidToken):
            subscription(channel=channel)


# Audience and issuer


@pytest.mark.parametrize(
    ("options", "good", "bad"),
    [
        (
            TokenOptions(audience="me"),
            [{"aud": "me"}, {"aud": ["you", "me"]}],
            [{}, {"aud": "you"}, {"aud": []}, {"aud": "menot"}],
        ),
        (TokenOptions(issuer="me"), [{"iss": "me"}], [{}, {"iss": "you"}, {"iss": "me2"}]),
        (
            TokenOptions(audience_regex="^a[0-9]$"),
            [{"aud": "a1"}, {"aud": ["x", "a2"]}],
            [{}, {"aud": "a"}, {"aud": ["xa1"]}],
        ),
        (TokenOptions(issuer_regex="^i[0-9]$"), [{"iss": "i1"}], [{}, {"iss": "xi1"}, {"iss": "i" + "1" * 5000}]),
    ],
)
def test_audience_and_issuer_must_fit_when_configured(
    options: TokenOptions, good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    for claims in good:
        connection(options, **claims)
        subscription(options, **claims)
    for claims in bad:
        for read in (connection, subscription):
            with pytest.raises(InvalidToken):
                read(options, **claims)


def test_audience_and_issuer_are_free_when_not_configured() -> None:
    connection(aud=["x"], iss="y")


def test_a_broken_regular_expression_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="issuer_regex"):
        ClaimRules(TokenOptions(issuer_regex="("))


# The address of the keys

TENANTS = TokenOptions(
    jwks_public_endpoint="https://{{tenant}}.example/{{ app }}/keys",
    issuer_regex=r"^https://(?P<tenant>one|two-2|three\.x)\.example$",
    audience_regex="^(?P<app>chat|mail)$",
)


def values(**claims: Any) -> dict[str, str]:
    return ClaimRules(TENANTS).endpoint_values(json.dumps(claims).encode())


def test_placeholders_are_filled_from_issuer_and_audience() -> None:
    filled = values(iss="https://three.x.example", aud=["other", "mail"])
    assert filled == {"tenant": "three.x", "app": "mail"}
    assert fill_endpoint(TENANTS.jwks_public_endpoint, filled) == "https://three.x.example/mail/keys"


def test_an_address_without_placeholders_needs_no_claims() -> None:
    assert ClaimRules(TokenOptions(jwks_public_endpoint="https://a/")).endpoint_values(b"") == {}


@pytest.mark.parametrize("claims", [{}, {"iss": "https://one.example"}, {"iss": "https://evil.example", "aud": "chat"}])
def test_a_token_that_does_not_tell_the_address_is_invalid(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        values(**claims)


def test_only_the_spelled_out_words_are_taken() -> None:
    options = TokenOptions(jwks_public_endpoint="https://{{t}}/", issuer_regex="(?i)^(?P<t>one|two)|x$")
    for issuer in ("ONE", "x"):
        with pytest.raises(InvalidToken):
            ClaimRules(options).endpoint_values(json.dumps({"iss": issuer}).encode())


@pytest.mark.parametrize(
    "pattern",
    ["", "^(?P<t>.*)$", "^(?P<t>[a-z]+)$", "^(?P<t>one|.+)$", "^(?P<other>one)$", "^(one|two)$", "^(?P<t>|)$"],
)
def test_a_placeholder_needs_a_group_of_spelled_out_words(pattern: str) -> None:
    with pytest.raises(ValueError, match="jwks_public_endpoint"):
        ClaimRules(TokenOptions(jwks_public_endpoint="https://{{t}}/", issuer_regex=pattern))
