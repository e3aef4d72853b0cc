"""Tokens that signed-in people get."""

from dataclasses import replace
from functools import partial

import jwt
import pytest

from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.records import Account, Proof, Purpose, Session
from rtserver.accounts.tokens import KEY_ID, ConnectionTokens, OwnTokensFirst, fits, signing_key, token_options
from rtserver.core.errors import ExpiredToken, InvalidToken
from rtserver.core.options import TokenOptions
from rtserver.services.jwt_keys import JWTVerifier
from tests.accounts.outcome import result_of

NOW = 1_800_000_000
OPTIONS = AccountsOptions(secret_key="s" * 32, token_ttl=600, proof_ttl=86_400)
ANNA = Account("u1", "anna", "anna@example.org", True, True, False, 0)
SESSION = Session("hash", "s1", "u1", "csrf", "", "", 0, 0, 0)
PROOF = Proof("p1", Purpose.SIGN_UP, "a@example.org", "", {}, "", "", 0, 0, 0, 1, 0, 0, "", 0)


def tokens(options=OPTIONS):
    sign = partial(jwt.encode, key=signing_key(options.secret_key), headers={"kid": KEY_ID})
    return ConnectionTokens(options, sign, lambda: NOW)


def sessions(*live):
    async def lives(session, user):
        return (session, user) in live

    return lives


def verifier(options=OPTIONS, others="other key" * 4, live=(("s1", "u1"),)):
    header = jwt.encode({}, signing_key(options.secret_key), headers={"kid": KEY_ID}).partition(".")[0]
    own = JWTVerifier(token_options(options), lambda: NOW)
    foreign = JWTVerifier(TokenOptions(hmac_secret_key=others), lambda: NOW)
    return OwnTokensFirst(header, own, foreign, sessions(*live))


def test_a_connection_token_says_who_it_is_and_which_session_it_belongs_to():
    token, seconds = tokens().connection(ANNA, SESSION)
    claims = result_of(verifier().verify_connection(token))
    assert (claims.user, claims.expire_at, seconds) == ("u1", NOW + 600, 600)
    assert bytes(claims.info) == b'{"name":"anna"}'
    assert bytes(claims.meta) == b'{"rt_session":"s1"}'


def test_a_token_ends_with_its_session():
    token, _ = tokens().connection(ANNA, SESSION)
    for live in ((), (("s1", "somebody else"),), (("another", "u1"),)):
        with pytest.raises(ExpiredToken):
            result_of(verifier(live=live).verify_connection(token))


def test_the_window_that_waits_for_a_letter_needs_no_session():
    claims = result_of(verifier(live=()).verify_connection(tokens().waiting(PROOF)))
    assert (claims.user, list(claims.subs)) == ("", ["rt_auth:p1"])


def test_tokens_of_others_go_on_counting():
    token = jwt.encode({"sub": "x", "exp": NOW + 60}, "other key" * 4, algorithm="HS256")
    assert result_of(verifier().verify_connection(token)).user == "x"


@pytest.mark.parametrize("meta", [{}, {"rt_session": 5}, {"rt_session": "s1"}, {"rt_session": None}])
def test_tokens_of_others_name_no_session_of_ours(meta):
    claims = {"sub": "x", "exp": NOW + 60, "meta": meta}
    token = jwt.encode(claims, "other key" * 4, algorithm="HS256")
    assert result_of(verifier(live=()).verify_connection(token)).user == "x"


def test_a_token_of_others_with_our_key_id_is_refused():
    token = jwt.encode({"sub": "x", "exp": NOW + 60}, "other key" * 4, headers={"kid": KEY_ID})
    with pytest.raises(InvalidToken):
        result_of(verifier().verify_connection(token))


def test_tokens_signed_before_the_key_was_changed_are_good():
    token, _ = tokens().connection(ANNA, SESSION)
    after = AccountsOptions(secret_key="n" * 32, old_secret_keys=("s" * 32,))
    assert result_of(verifier(after).verify_connection(token)).user == "u1"


def test_the_key_of_tokens_is_not_the_key_of_links():
    assert signing_key("s" * 32) != "s" * 32


def test_a_subscription_token_is_for_ones_own_channels_only():
    token, _ = tokens().subscription(ANNA, "user:u1:orders")
    claims = result_of(verifier().verify_subscription(token))
    assert (claims.user, claims.channel) == ("u1", "user:u1:orders")
    with pytest.raises(AccountRefused) as refused:
        tokens().subscription(ANNA, "user:u2")
    assert (refused.value.status, refused.value.field) == (403, "channel")


def test_channels_of_staff_are_for_staff():
    with pytest.raises(AccountRefused):
        tokens().subscription(ANNA, "staff:payments")
    token, _ = tokens().subscription(replace(ANNA, is_staff=True), "staff:payments")
    assert result_of(verifier().verify_subscription(token)).channel == "staff:payments"


def test_a_window_that_waits_gets_one_channel_and_no_name():
    claims = result_of(verifier().verify_connection(tokens().waiting(PROOF)))
    assert claims.user == ""
    assert list(claims.subs) == ["rt_auth:p1"]


@pytest.mark.parametrize(
    ("pattern", "channel", "good"),
    [
        ("user:{user}", "user:u1", True),
        ("user:{user}", "user:u11", False),
        ("user:{user}:*", "user:u1:a:b", True),
        ("a.c:*", "abc:x", False),
        ("*", "anything\nat all", True),
    ],
)
def test_patterns_of_channels(pattern, channel, good):
    assert fits(pattern, "u1", channel) is good


def test_nobody_has_more_channels_by_a_name_that_looks_like_a_pattern():
    assert fits("user:{user}", "*", "user:*")
    assert not fits("user:{user}", "*", "user:u1") and not fits("user:{user}", "u.", "user:u1")
