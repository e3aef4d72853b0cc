"""Tokens verified with PyJWT's algorithms: with the keys of the configuration, or with those of a JWKS address.

Every key is bound to its algorithms before the first token arrives, so the "alg" of a token only ever selects among keys
made for it: a public RSA key is never an HMAC secret, and "none" selects nothing.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError, PyJWTError
from msgspec import Raw, Struct
from twisted.logger import Logger

from rtserver.core.errors import InvalidToken
from rtserver.core.options import TokenOptions
from rtserver.core.ports import ConnectionClaims, SubscriptionClaims
from rtserver.core.tokens import ClaimRules

MAX_TOKEN = 32 * 1024
"""Characters of a token that are looked at."""

HMAC = ("HS256", "HS384", "HS512")
RSA = ("RS256", "RS384", "RS512")
ECDSA = ("ES256", "ES384", "ES512")
EDDSA = ("EdDSA",)

ALGORITHMS: dict[str, Algorithm] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in HMAC + RSA + ECDSA + EDDSA
}


class Key(NamedTuple):
    """Key material that PyJWT prepared, with the Unix time from which on it is not used."""

    material: Any
    valid_until: float = math.inf


class KeySource(Protocol):
    """Where public keys come from by their id."""

    def keys(self, kid: str, values: Mapping[str, str]) -> Awaitable[Mapping[str, Key]]:
        """The key called ``kid`` under each algorithm that it is for; empty when it is not known or not to be had now.
        ``values`` stand for the placeholders of the source's address. Never fails."""


class JWTVerifier:
    """A ``ports.TokenVerifier``. ``now`` gives Unix seconds. With a JWKS address in the options ``jwks`` must be given, and
    the static keys are not used. Raises ``ValueError`` for options that cannot be followed."""

    _log = Logger()

    def __init__(self, options: TokenOptions, now: Callable[[], float], jwks: KeySource | None = None) -> None:
        if options.jwks_public_endpoint and jwks is None:
            raise ValueError("jwks_public_endpoint is set, but there is no source of keys for it.")
        self._rules = ClaimRules(options)
        self._now = now
        self._jwks = jwks if options.jwks_public_endpoint else None
        self._static = {} if self._jwks else static_keys(options)
        self._skip_signature = options.insecure_skip_token_signature_verify
        self._warn(options)

    async def verify_connection(self, token: str) -> ConnectionClaims:
        """Raises ``InvalidToken`` or ``ExpiredToken``."""
        return self._rules.connection(await self._payload(token), self._now())

    async def verify_subscription(self, token: str) -> SubscriptionClaims:
        """Raises ``InvalidToken`` or ``ExpiredToken``."""
        return self._rules.subscription(await self._payload(token), self._now())

    async def _payload(self, text: str) -> bytes:
        token = parse(text)
        if token.alg not in ALGORITHMS and not self._skip_signature or token.alg.lower() == "none":
            raise InvalidToken("The token's algorithm is not one of HS, RS, ES (256, 384, 512) and EdDSA.")
        if not self._skip_signature:
            self._check_signature(token, await self._candidates(token))
        return token.payload

    async def _candidates(self, token: Token) -> list[Key]:
        """The keys that may have signed the token; all were made for its algorithm."""
        if self._jwks is None:
            now = self._now()
            return [key for key in self._static.get(token.alg, ()) if now < key.valid_until]
        if not token.kid:
            raise InvalidToken("The token has no kid: tokens verified by JWKS must name their key.")
        keys = await self._jwks.keys(token.kid, self._rules.endpoint_values(token.payload))
        return [keys[token.alg]] if token.alg in keys else []

    def _check_signature(self, token: Token, keys: list[Key]) -> None:
        if not keys:
            raise InvalidToken(f"There is no key for {token.alg} that this token could have been signed with.")
        algorithm = ALGORITHMS[token.alg]
        if not any(algorithm.verify(token.signed, key.material, token.signature) for key in keys):
            raise InvalidToken("The token's signature is wrong.")

    def _warn(self, options: TokenOptions) -> None:
        if self._skip_signature:
            self._log.warn("Token signatures are not verified: insecure_skip_token_signature_verify is on.")
        for key in self._static.get("HS256", ()):
            if ALGORITHMS["HS256"].check_key_length(key.material):
                self._log.warn("An HMAC secret key for tokens is shorter than 32 bytes: make a longer one.")


# Tokens


class Token(NamedTuple):
    """A token taken apart (RFC 7515 section 7.1); nothing of it is verified."""

    alg: str
    kid: str
    payload: bytes
    signed: bytes
    signature: bytes


class _Header(Struct):
    alg: str
    kid: str | None = None
    crit: Raw | None = None


_header = msgspec.json.Decoder(_Header)


def parse(text: str) -> Token:
    """Raises ``InvalidToken``; its message holds nothing of the token."""
    if len(text) > MAX_TOKEN:
        raise InvalidToken(f"The token is longer than {MAX_TOKEN} characters.")
    if not text.isascii() or text.count(".") != 2:
        raise InvalidToken("The token is no JWT: it must have three parts, with dots between them.")
    signed, _, signature = text.rpartition(".")
    head, _, payload = signed.partition(".")
    try:
        header = _header.decode(_base64url(head))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidToken("The token's header is no JSON object with an alg.") from None
    if header.crit is not None:
        raise InvalidToken("The token's header has critical extensions; this server knows none.")
    return Token(header.alg, header.kid or "", _base64url(payload), signed.encode(), _base64url(signature))


def _base64url(text: str) -> bytes:
    """Base64 in the alphabet of RFC 4648 section 5, without padding."""
    if "+" in text or "/" in text or "=" in text:
        raise InvalidToken("A part of the token is no base64url without padding.")
    plain = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(plain.encode(), strict_mode=True)
    except binascii.Error:
        raise InvalidToken("A part of the token is no base64url without padding.") from None


# Static keys


def static_keys(options: TokenOptions) -> dict[str, list[Key]]:
    """The keys of the configuration under each algorithm that they are for. Raises ``ValueError``."""
    until = options.hmac_previous_secret_key_valid_until or math.inf
    found = [
        *_secret("hmac_secret_key", options.hmac_secret_key, math.inf),
        *_secret("hmac_previous_secret_key", options.hmac_previous_secret_key, until),
        *_public("rsa_public_key", options.rsa_public_key, RSAPublicKey, RSA),
        *_public("ecdsa_public_key", options.ecdsa_public_key, EllipticCurvePublicKey, ECDSA),
    ]
    keys: dict[str, list[Key]] = {}
    for name, key in found:
        keys.setdefault(name, []).append(key)
    return keys


def _secret(option: str, secret: str, valid_until: float) -> list[tuple[str, Key]]:
    if not secret:
        return []
    try:
        return [(name, Key(ALGORITHMS[name].prepare_key(secret), valid_until)) for name in HMAC]
    except InvalidKeyError:
        raise ValueError(f"{option} is a public key or certificate: an HMAC secret must be a secret text.") from None


def _public(option: str, pem: str, kind: type, names: tuple[str, ...]) -> list[tuple[str, Key]]:
    if not pem:
        return []
    try:
        material = _load(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            f'{option} is no PEM: it must begin with "-----BEGIN PUBLIC KEY-----" or be a certificate.'
        ) from None
    keys = suited(material, names) if isinstance(material, kind) else {}
    if not keys:
        raise ValueError(
            f"{option} holds another kind of key than its name says, or one on another curve than P-256/384/521."
        )
    return list(keys.items())


def _load(pem: bytes) -> object:
    if b"BEGIN CERTIFICATE" in pem:
        return load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def suited(material: object, names: tuple[str, ...]) -> dict[str, Key]:
    """The key under those of the algorithms that it is for: each ECDSA algorithm has its own curve."""
    keys = {}
    for name in names:
        try:
            keys[name] = Key(ALGORITHMS[name].prepare_key(material))
        except (InvalidKeyError, TypeError):
            continue
    return keys


# Key sets


class _JWK(Struct):
    """The members of a key that are looked at (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2). Those of
    private keys are not among them."""

    kty: str = ""
    kid: str = ""
    use: str = ""
    alg: str = ""
    key_ops: list[str] | None = None
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


KeySet = dict[str, dict[str, Key]]
"""Keys by their id, then by algorithm."""


class _JWKSet(Struct):
    keys: list[Raw]


_KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): RSA,
    ("EC", "P-256"): ECDSA[:1],
    ("EC", "P-384"): ECDSA[1:2],
    ("EC", "P-521"): ECDSA[2:],
    ("OKP", "Ed25519"): EDDSA,
}
"""Key type and curve -> the algorithms that it is for. No symmetric keys: a secret has no business at a public address."""


def parse_key_set(body: bytes, max_keys: int) -> KeySet:
    """The keys that can verify tokens; others are passed over. Raises ``ValueError`` for anything but a key set."""
    try:
        found = msgspec.json.decode(body, type=_JWKSet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError('The answer is no key set: it must be a JSON object with "keys".') from None
    keys: KeySet = {}
    for text in found[:max_keys]:
        kid, suitable = _parse_key(text)
        if kid and suitable:
            keys.setdefault(kid, {}).update(suitable)
    return keys


def _parse_key(text: Raw) -> tuple[str, dict[str, Key]]:
    try:
        jwk = msgspec.json.decode(text, type=_JWK)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", {}
    names = _KINDS.get((jwk.kty, jwk.crv), ())
    if jwk.alg:
        names = tuple(name for name in names if name == jwk.alg)
    if not names or jwk.use not in ("", "sig") or "verify" not in (jwk.key_ops or ["verify"]):
        return "", {}
    try:
        material = ALGORITHMS[names[0]].from_jwk(
            {name: value for name, value in msgspec.structs.asdict(jwk).items() if value}
        )
    except (PyJWTError, ValueError, TypeError):
        return "", {}
    return jwk.kid, suited(material, names)
