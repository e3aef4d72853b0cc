"""The provider for development, over HTTP without a socket, and with the library that signs people in."""

import base64
import hashlib
import re
import time
from itertools import count
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.exceptions import AuthCanceled, AuthCredentialError
from social_core.strategy import BaseStrategy
from twisted.internet.task import Clock

from rtserver import demo_provider
from rtserver.app.routes import Routes
from rtserver.demo_provider import CODE_TTL, TOKEN_TTL, demo_provider_endpoints
from rtserver.web.endpoints import EndpointsResource, Surroundings
from tests.line import Port

BASE = "http://127.0.0.1:8000"
ISSUER = f"{BASE}/demo-provider"
BACK = f"{BASE}/auth/complete/demo"
UNIX = 1_800_000_000
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

ASK = {
    "client_id": "demo",
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "openid profile email",
    "state": "s1",
    "nonce": "n1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


KEY = generate_private_key(public_exponent=65537, key_size=2048)


class House:
    """The provider behind a port; ``now`` is its clock."""

    def __init__(self, now=UNIX):
        self.now = now
        numbers = count(1)
        endpoints = demo_provider_endpoints(BASE, lambda: self.now, lambda size: f"random-{next(numbers)}", KEY)
        around = Surroundings(Clock(), lambda *args, **more: None, None, lambda origin: False)
        self.port = Port(Clock(), {"/*": EndpointsResource(Routes(endpoints), around)})

    def get(self, path, query=None, **headers):
        return self.port.ask("GET", f"/demo-provider{path}{'?' + urlencode(query) if query else ''}", b"", headers)

    def post(self, path, fields, **headers):
        return self.port.ask("POST", f"/demo-provider{path}", urlencode(fields).encode(), {**FORM, **headers})

    def answer(self, name="anna", choice="continue", **more):
        """Where the page's form leads to: the address and its query."""
        answer = self.post("/authorize", {**ASK, "name": name, "choice": choice, **more})
        assert answer.status == 303, answer.text
        address, _, query = answer.header("location").partition("?")
        return address, {key: values[0] for key, values in parse_qs(query).items()}

    def code(self, **more):
        return self.answer(**more)[1]["code"]

    def token(self, code, **more):
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "demo"}
        return self.post("/token", {**fields, "code_verifier": VERIFIER, **more})


@pytest.fixture
def house():
    return House()


def test_its_configuration_names_places_below_its_own_address(house):
    found = house.get("/.well-known/openid-configuration").json
    assert found["issuer"] == ISSUER
    assert {found[each] for each in found if each.endswith(("_endpoint", "_uri"))} == {
        f"{ISSUER}/{each}" for each in ("authorize", "token", "userinfo", "jwks")
    }


def test_the_page_asks_for_a_name_and_carries_the_request_on(house):
    answer = house.get("/authorize", ASK)
    assert answer.status == 200
    assert "default-src 'none'" in answer.header("content-security-policy")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', answer.text))
    assert fields == ASK


def test_the_page_escapes_what_the_request_holds(house):
    text = house.get("/authorize", {**ASK, "state": '"><script>alert(1)</script>'}).text
    assert "<script" not in text and "&quot;&gt;&lt;script&gt;" in text


def test_a_name_leads_back_with_a_code_the_state_and_the_issuer(house):
    address, query = house.answer()
    assert address == BACK
    assert query.keys() == {"code", "state", "iss"}
    assert (query["state"], query["iss"]) == ("s1", ISSUER)


def test_cancel_leads_back_without_one(house):
    assert house.answer(choice="cancel")[1] == {"error": "access_denied", "state": "s1", "iss": ISSUER}


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\x00b"])
def test_a_name_that_is_none_is_asked_for_again(house, name):
    answer = house.post("/authorize", {**ASK, "name": name, "choice": "continue"})
    assert answer.status == 400
    assert 'aria-invalid="true"' in answer.text and "1 to 40 characters" in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"redirect_uri": "http://evil.example/auth/complete/demo"},
        {"redirect_uri": f"{BACK}/"},
        {"state": "s" * 2000},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(house, change):
    for answer in (
        house.get("/authorize", {**ASK, **change}),
        house.post("/authorize", {**ASK, "name": "a", **change}),
    ):
        assert answer.status == 400
        assert answer.header("location") is None
        assert answer.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "change, error",
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
    ],
)
def test_other_mistakes_are_told_to_the_client(house, change, error):
    answer = house.get("/authorize", {**ASK, **change})
    assert answer.status == 303
    assert parse_qs(urlsplit(answer.header("location")).query)["error"] == [error]


def claims(house, token):
    key = jwt.PyJWK(house.get("/jwks").json["keys"][0])
    return jwt.decode(
        token, key, algorithms=["RS256"], audience="demo", options={"verify_exp": False, "verify_iat": False}
    )


def test_a_code_becomes_tokens_that_name_the_person_and_no_address(house):
    answer = house.token(house.code())
    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    found = claims(house, answer.json["id_token"])
    assert (found["iss"], found["nonce"], found["preferred_username"]) == (ISSUER, "n1", "anna")
    assert (found["iat"], found["exp"]) == (UNIX, UNIX + TOKEN_TTL)
    person = house.get("/userinfo", Authorization=f"Bearer {answer.json['access_token']}").json
    assert person == {"sub": found["sub"], "name": "anna", "preferred_username": "anna"}


def test_the_same_name_is_the_same_person_after_a_restart():
    subs = set()
    for name in ("anna", "Anna", " anna "):
        house = House()
        subs.add(claims(house, house.token(house.code(name=name)).json["id_token"])["sub"])
    assert len(subs) == 1


def refused(answer, status=400, error="invalid_grant"):
    return (answer.status, answer.json) == (status, {"error": error})


def test_a_code_is_good_once(house):
    code = house.code()
    assert house.token(code).status == 200
    assert refused(house.token(code))


def test_a_code_is_used_up_by_a_wrong_try(house):
    code = house.code()
    assert refused(house.token(code, code_verifier="w" * 43))
    assert refused(house.token(code))


def test_a_code_cannot_be_guessed(house):
    assert refused(house.token("guess"))


def test_a_code_is_good_for_a_minute(house):
    early, late = house.code(), house.code()
    house.now += CODE_TTL - 1
    assert house.token(early).status == 200
    house.now += 1
    assert refused(house.token(late))


@pytest.mark.parametrize("change", [{"code_verifier": ""}, {"code_verifier": CHALLENGE}, {"redirect_uri": f"{BACK}?x"}])
def test_a_code_is_for_who_began_only(house, change):
    assert refused(house.token(house.code(), **change))


def test_without_a_challenge_a_verifier_is_refused(house):
    none = {"code_challenge": "", "code_challenge_method": ""}
    assert house.token(house.code(**none), code_verifier="").status == 200
    assert refused(house.token(house.code(**none)))


def test_the_client_says_who_it_is_in_the_form_or_in_the_header(house):
    basic = {"Authorization": "Basic " + base64.b64encode(b"demo:anything").decode()}
    fields = {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": VERIFIER}
    assert house.post("/token", {**fields, "code": house.code()}, **basic).status == 200
    for wrong in ({}, {"Authorization": "Basic ?"}, {"Authorization": "Basic b3RoZXI6eA=="}):
        assert refused(house.post("/token", {**fields, "code": house.code()}, **wrong), 401, "invalid_client")


def test_another_way_to_a_token_is_refused(house):
    assert refused(house.token("c", grant_type="password"), error="unsupported_grant_type")


def test_an_access_token_ends(house):
    access = house.token(house.code()).json["access_token"]
    house.now += TOKEN_TTL
    for header in (f"Bearer {access}", "Bearer guess", f"Basic {access}", ""):
        answer = house.get("/userinfo", **({"Authorization": header} if header else {}))
        assert answer.status == 401
        assert answer.header("www-authenticate").startswith("Bearer")


def test_what_it_keeps_is_bounded(house, monkeypatch):
    monkeypatch.setattr(demo_provider, "MAX_KEPT", 3)
    codes = [house.code() for _ in range(4)]
    assert refused(house.token(codes[0]))
    assert [house.token(code).status for code in codes[1:]] == [200, 200, 200]


# With social-auth-core


class Storage:
    """What the library keeps of a sign-in that is on its way; it stands for the nonces and the associations."""

    def __init__(self):
        self.nonces = set()
        self.associations = {}
        self.nonce = self.association = self

    def use(self, *row):
        self.nonces.add(row)
        return True

    def consume(self, *row):
        is_there = row in self.nonces
        self.nonces.discard(row)
        return is_there

    def store(self, server_url, association):
        association.id = association.handle
        association.is_expired = lambda: False
        self.associations[association.handle] = association

    def get(self, server_url, handle):
        return [self.associations[handle]] if handle in self.associations else []

    def remove(self, ids):
        for each in ids:
            del self.associations[each]


class Strategy(BaseStrategy):
    """A browser's session. ``data`` is the query of the present request."""

    settings = {"OIDC_ENDPOINT": ISSUER, "KEY": "demo", "SECRET": "any", "USE_PKCE": True}

    def __init__(self):
        super().__init__(Storage())
        self.session = {}
        self.data = {}
        self.session_get = self.session.get
        self.session_set = self.session.__setitem__

    def get_setting(self, name):
        return self.settings[name]

    def get_request_data(self, merge=True):
        return self.data

    def session_pop(self, name):
        return self.session.pop(name, None)

    def build_absolute_uri(self, path=None):
        return path

    def authenticate(self, backend, *args, response, **more):
        """Where the pipeline would begin."""
        details = backend.get_user_details(response)
        return backend.get_user_id(details, response), details


class Library(OpenIdConnectAuth):
    """The library's class for any provider, with the port in the place of the network."""

    name = "demo"

    def __init__(self, strategy, house):
        super().__init__(strategy, BACK)
        self.house = house

    def request(self, url, *, method="GET", stage="", timeout=None, **more):
        sent = requests.Request(method, url, **more).prepare()
        headers = {name: value for name, value in sent.headers.items() if name != "Content-Length"}
        answer = self.house.port.ask(method, sent.path_url, (sent.body or "").encode(), headers)
        response = requests.Response()
        response.status_code, response._content = answer.status, answer.body
        response.raise_for_status()
        return response


@pytest.fixture
def live():
    """The library reads the time itself."""
    return House(time.time())


def signed_in(house, name="anna", choice="continue"):
    strategy = Strategy()
    query = dict(parse_qsl(urlsplit(Library(strategy, house).auth_url()).query))
    assert query["code_challenge_method"] == "S256"
    _, strategy.data = house.answer(name, choice, **query)
    return Library(strategy, house).auth_complete()


def test_the_library_signs_somebody_in_who_has_a_name_and_no_address(live):
    uid, details = signed_in(live, "Anna Blume")
    assert (details["username"], details["email"]) == ("Anna Blume", None)
    assert (uid, details) == signed_in(live, "Anna Blume")
    assert uid != signed_in(live, "somebody else")[0]


def test_the_library_hears_of_cancel(live):
    with pytest.raises(AuthCanceled):
        signed_in(live, choice="cancel")


def test_the_library_gets_nothing_for_a_code_that_was_used(live):
    strategy = Strategy()
    query = dict(parse_qsl(urlsplit(Library(strategy, live).auth_url()).query))
    _, strategy.data = live.answer(**query)
    live.token(strategy.data["code"])
    with pytest.raises(AuthCredentialError, match="code was rejected"):
        Library(strategy, live).auth_complete()
