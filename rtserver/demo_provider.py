"""A provider to sign in with, for development: an OpenID Connect issuer at ``{base_url}/demo-provider`` that believes everybody
their name, and tells no email address, so that all of the sign-in can be seen without an account anywhere else.

OpenID Connect Core 1.0 (authorization code flow), Discovery 1.0, RFC 7636 (PKCE with S256), RFC 9207 (``iss``). What it gave
out is in the memory of this process and ends with it; so does its key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from rtserver.app.endpoint import Description, Endpoint, Limits, Response
from rtserver.app.parameters import Header

PATH = "/demo-provider"
CLIENT = "demo"
"""The one client. Its secret may be anything: this provider guards nothing."""

CODE_TTL = 60
TOKEN_TTL = 600
"""Seconds that a code and an access token are good."""

MAX_KEPT = 1000
"""Codes, and access tokens, that are kept; the oldest make room."""
MAX_TEXT = 1024
"""Characters of one parameter."""
MAX_NAME = 40

HTML = "text/html; charset=utf-8"
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}

K = TypeVar("K")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An authentication request (OpenID Connect Core, section 3.1.2.1)."""

    client_id: str = ""
    redirect_uri: str = ""
    response_type: str = ""
    scope: str = ""
    state: str = ""
    nonce: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


class Answer(Ask, frozen=True, kw_only=True):
    """The form of the page: the request once more, and what the person chose."""

    name: str = ""
    choice: str = ""


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 6749, section 4.1.3, and RFC 7636, section 4.5."""

    grant_type: str = ""
    code: str = ""
    redirect_uri: str = ""
    client_id: str = ""
    code_verifier: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code stands for."""

    name: str
    nonce: str
    code_challenge: str


class Kept(Generic[K]):
    """Things under random names, for ``ttl`` seconds each, ``MAX_KEPT`` at most."""

    def __init__(self, ttl: int, unix: Callable[[], float], token: Callable[[int], str]) -> None:
        self._ttl = ttl
        self._unix = unix
        self._token = token
        self._things: OrderedDict[str, tuple[float, K]] = OrderedDict()

    def add(self, thing: K) -> str:
        while len(self._things) >= MAX_KEPT:
            self._things.popitem(last=False)
        name = self._token(32)
        self._things[name] = self._unix() + self._ttl, thing
        return name

    def get(self, name: str) -> K | None:
        until, thing = self._things.get(name, (0.0, None))
        return thing if self._unix() < until else None

    def pop(self, name: str) -> K | None:
        thing = self.get(name)
        self._things.pop(name, None)
        return thing


class DemoProvider:
    """``base_url`` is the server's, without a path; ``unix`` gives seconds; ``token(n)`` a text made of ``n`` random
    bytes. ``key`` signs; without one it is made."""

    def __init__(
        self,
        base_url: str,
        unix: Callable[[], float],
        token: Callable[[int], str],
        key: rsa.RSAPrivateKey | None = None,
    ) -> None:
        self.issuer = f"{base_url}{PATH}"
        self.return_address = f"{base_url}/auth/complete/{CLIENT}"
        self._unix = unix
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = token(8)
        self._codes: Kept[Grant] = Kept(CODE_TTL, unix, token)
        self._tokens: Kept[str] = Kept(TOKEN_TTL, unix, token)
        self._page = Template((files("rtserver.web.pages") / "demo_provider.html").read_text("utf-8"))

    async def configuration(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 3."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile"],
            "claims_supported": ["sub", "name", "preferred_username"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    async def jwks(self) -> dict[str, Any]:
        key = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    async def authorize(
        self,
        client_id: str = "",
        redirect_uri: str = "",
        response_type: str = "",
        scope: str = "",
        state: str = "",
        nonce: str = "",
        code_challenge: str = "",
        code_challenge_method: str = "",
    ) -> Response:
        """The page where a person chooses a name."""
        ask = Ask(
            client_id=client_id,
            redirect_uri=redirect_uri,
            response_type=response_type,
            scope=scope,
            state=state,
            nonce=nonce,
            code_challenge=code_challenge,
            code_challenge_method=code_challenge_method,
        )
        return self._refusal(ask) or self._show(ask)

    async def answer(self, answer: Answer) -> Response:
        """The page's form: back with a code."""
        refusal = self._refusal(answer)
        if refusal is not None:
            return refusal
        if answer.choice == "cancel":
            return self._back(answer.state, error="access_denied")
        name = " ".join(answer.name.split())
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            return self._show(answer, f"Write a name of 1 to {MAX_NAME} characters.", name[:MAX_NAME])
        return self._back(answer.state, code=self._codes.add(Grant(name, answer.nonce, answer.code_challenge)))

    def _refusal(self, ask: Ask) -> Response | None:
        """Nobody is sent to an address that is not the client's (RFC 6749, section 4.1.2.1)."""
        if any(len(text) > MAX_TEXT for text in msgspec.structs.astuple(ask)):
            return _plain(f"a parameter is longer than {MAX_TEXT} characters")
        if ask.client_id != CLIENT:
            return _plain(f"client_id must be {CLIENT}: set it as the key of this provider")
        if ask.redirect_uri != self.return_address:
            return _plain(
                f"redirect_uri must be {self.return_address}: see accounts.base_url, and the name of this provider"
            )
        if ask.response_type != "code":
            return self._back(ask.state, error="unsupported_response_type")
        if "openid" not in ask.scope.split():
            return self._back(ask.state, error="invalid_scope")
        if ask.code_challenge_method != ("S256" if ask.code_challenge else ""):
            return self._back(ask.state, error="invalid_request", error_description="PKCE must use S256")
        return None

    def _show(self, ask: Ask, mistake: str = "", name: str = "anna") -> Response:
        fields = "\n".join(
            f'<input type="hidden" name="{field}" value="{html.escape(getattr(ask, field))}">'
            for field in Ask.__struct_fields__
        )
        told = f'<p class="mistake" id="name-mistake">{html.escape(mistake)}</p>' if mistake else ""
        invalid = ' aria-invalid="true" aria-describedby="name-mistake"' if mistake else ""
        words = {"fields": fields, "name": html.escape(name), "mistake": told, "invalid": invalid, "length": MAX_NAME}
        return Response(self._page.substitute(words).encode(), HTML, 400 if mistake else 200, PAGE_HEADERS)

    def _back(self, state: str, **values: str) -> Response:
        query = urlencode({**values, "state": state, "iss": self.issuer})
        return Response(b"", status=303, headers={**NO_STORE, "location": f"{self.return_address}?{query}"})

    async def token(self, request: TokenRequest, authorization: Annotated[str, Header()] = "") -> Response:
        """A code becomes an access token and an id_token, once."""
        if CLIENT not in (request.client_id, _basic_name(authorization)):
            return _error(401, "invalid_client")
        if request.grant_type != "authorization_code":
            return _error(400, "unsupported_grant_type")
        grant = self._codes.pop(request.code)
        if grant is None or request.redirect_uri != self.return_address or not _proves(grant, request.code_verifier):
            return _error(400, "invalid_grant")
        access = self._tokens.add(grant.name)
        body = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": TOKEN_TTL,
            "scope": "openid profile",
            "id_token": self._id_token(grant, access),
        }
        return Response(msgspec.json.encode(body), headers=NO_STORE)

    def _id_token(self, grant: Grant, access: str) -> str:
        now = int(self._unix())
        claims = {
            **_person(grant.name),
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "auth_time": now,
            "exp": now + TOKEN_TTL,
            "at_hash": _base64(hashlib.sha256(access.encode()).digest()[:16]),
        }
        if grant.nonce:
            claims["nonce"] = grant.nonce
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    async def userinfo(self, authorization: Annotated[str, Header()] = "") -> Response:
        kind, _, access = authorization.partition(" ")
        name = self._tokens.get(access.strip()) if kind.lower() == "bearer" else None
        if name is None:
            return Response(b"", status=401, headers={**NO_STORE, "www-authenticate": 'Bearer error="invalid_token"'})
        return Response(msgspec.json.encode(_person(name)), headers=NO_STORE)


def _person(name: str) -> Mapping[str, Any]:
    """The same name is the same person after a restart too."""
    sub = hashlib.sha256(name.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return {"sub": sub, "name": name, "preferred_username": name}


def _proves(grant: Grant, verifier: str) -> bool:
    """RFC 7636, section 4.6. A verifier without a challenge is refused too (RFC 9700, section 4.8.2)."""
    if not grant.code_challenge or not verifier:
        return not grant.code_challenge and not verifier
    return hmac.compare_digest(
        _base64(hashlib.sha256(verifier.encode()).digest()).encode(), grant.code_challenge.encode()
    )


def _base64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _basic_name(authorization: str) -> str:
    """RFC 7617: the name in front of the colon, "" when there is none."""
    kind, _, text = authorization.partition(" ")
    try:
        decoded = base64.b64decode(text, validate=True) if kind.lower() == "basic" else b""
    except ValueError:
        return ""
    return decoded.partition(b":")[0].decode("latin-1")


def _plain(sentence: str) -> Response:
    return Response(f"{sentence}\n".encode(), "text/plain; charset=utf-8", 400, PAGE_HEADERS)


def _error(status: int, code: str) -> Response:
    return Response(msgspec.json.encode({"error": code}), status=status, headers=NO_STORE)


def demo_provider_endpoints(
    base_url: str, unix: Callable[[], float], token: Callable[[int], str], key: rsa.RSAPrivateKey | None = None
) -> list[Endpoint]:
    """See ``DemoProvider``. They are not in the documentation of the API."""
    provider = DemoProvider(base_url, unix, token, key)
    hidden, form = Description(hidden=True), Limits(body_size=16_384, takes_form=True)
    rows: tuple[tuple[str, str, Callable[..., Any], Limits | None], ...] = (
        ("GET", "/.well-known/openid-configuration", provider.configuration, None),
        ("GET", "/jwks", provider.jwks, None),
        ("GET", "/authorize", provider.authorize, None),
        ("POST", "/authorize", provider.answer, form),
        ("POST", "/token", provider.token, form),
        ("GET", "/userinfo", provider.userinfo, None),
    )
    return [
        Endpoint(method, PATH + path, function, description=hidden, limits=limits)
        for method, path, function, limits in rows
    ]
