"""What providers are asked is bounded, and is otherwise what the library does."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from social_core.backends.base import BaseAuth
from social_core.backends.facebook import FacebookOAuth2
from social_core.exceptions import SocialAuthBaseException
from social_core.utils import setting_name

from rtserver.accounts.options import ProviderOptions
from rtserver.services.identity_backends import load_provider, member
from rtserver.services.identity_bounded import Bounded

GITHUB = "social_core.backends.github.GithubOAuth2"
FACEBOOK = "social_core.backends.facebook.FacebookOAuth2"
OIDC = "social_core.backends.open_id_connect.OpenIdConnectAuth"
PROVIDER = ProviderOptions(name="work", backend=GITHUB, key="client", secret="hush")
URL = "https://id.example/token?code=hush"


def loaded(path: str) -> type[BaseAuth[Any]]:
    settings = {"OIDC_ENDPOINT": "https://id.example"} if path == OIDC else {}
    return load_provider(replace(PROVIDER, backend=path, settings=settings), "at").backend


def backend(kind: type[BaseAuth[Any]], **settings: Any) -> Any:
    values = {"REQUESTS_TIMEOUT": 5.0, **settings}
    full = {setting_name(name): value for name, value in values.items()}
    strategy = SimpleNamespace(
        setting=lambda name, default=None, backend=None: full.get(setting_name(name), default),
        request_data=dict,
        absolute_uri=str,
    )
    return kind(strategy)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """``asked``: what sessions of requests were to send; ``says``: what comes of it, an answer or an error."""
    found = SimpleNamespace(asked=[], says=None)

    def request(session: requests.Session, **said: Any) -> requests.Response:
        found.asked.append({name: value for name, value in said.items() if value is not None})
        if isinstance(found.says, Exception):
            raise found.says
        return found.says

    def plain(session: requests.Session, method: str, url: str, **said: Any) -> requests.Response:
        return request(session, method=method, url=url, **said)

    monkeypatch.setattr(requests.Session, "request", plain)
    return found


def answer(status: int, body: bytes = b"{}") -> requests.Response:
    made = requests.Response()
    made.status_code, made._content, made.url = status, body, URL
    made.headers["Retry-After"] = "7"
    return made


@pytest.mark.parametrize("path", [GITHUB, FACEBOOK, OIDC])
def test_every_class_asks_through_the_bounds_last(path):
    order = loaded(path).__mro__
    assert order[order.index(Bounded) + 1] is BaseAuth
    if path == FACEBOOK:
        assert order.index(FacebookOAuth2) < order.index(Bounded), "its own request goes around ours"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"method": "POST", "data": {"a": "b"}, "headers": {"Accept": "x"}, "auth": ("client", "hush")},
        {"json": {"a": 1}, "params": {"b": "c"}, "headers": {"User-Agent": "mine"}, "timeout": 2.0},
    ],
)
def test_it_asks_what_the_library_would(wire, said):
    wire.says = answer(200, b'{"a": 1}')
    settings = {"PROXIES": {"https": "http://proxy.example"}, "VERIFY_SSL": "/ca.pem"}
    for kind in (loaded(GITHUB), member(GITHUB)):
        assert backend(kind, **settings).get_json(URL, **said) == {"a": 1}
    ours, theirs = wire.asked
    assert ours == theirs
    assert (ours["proxies"], ours["verify"]) == (settings["PROXIES"], "/ca.pem")


ERRORS = [
    requests.exceptions.SSLError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ReadTimeout,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.ProxyError,
    requests.exceptions.ConnectionError,
    requests.exceptions.TooManyRedirects,
    requests.exceptions.RequestException,
]
ANSWERS = [
    answer(401, b'{"error": "invalid_client"}'),
    answer(400, b'{"error": {"code": 613, "message": "slow down"}}'),
    answer(404, b"<p>"),
    answer(429),
    answer(503),
]


@pytest.mark.parametrize("path", [GITHUB, FACEBOOK])
@pytest.mark.parametrize("says", [*(each(f"at {URL}") for each in ERRORS), *ANSWERS], ids=repr)
def test_its_errors_are_those_of_the_library_and_hold_no_address(wire, path, says):
    wire.says = says
    told = []
    for kind in (loaded(path), member(path)):
        with pytest.raises(SocialAuthBaseException) as caught:
            backend(kind).request(URL, stage="token_exchange")
        error = caught.value
        told.append((type(error), error.code, error.stage, error.status_code, error.provider_code, error.parameter))
        assert "hush" not in str(error.__cause__)
    assert told[0] == told[1]


def test_all_that_is_asked_in_one_step_has_one_time():
    made = backend(loaded(GITHUB))
    assert made.bounds is made.bounds
    assert made.bounds is not backend(loaded(GITHUB)).bounds
