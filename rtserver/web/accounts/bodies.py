"""What clients of accounts send and get. Forms send the same fields, and ``csrf``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from rtserver.accounts.records import Account, ProofState, Purpose


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("Text has no NUL characters")
    return value


Line = Annotated[str, StringConstraints(max_length=300), AfterValidator(_text)]
"""A name, an address, a code."""
Secret = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_text)]
"""A password. What it may be is decided later, with a sentence of its own."""
Place = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_text)]
"""Where to go afterwards: a path of this server, or an address at one of ``accounts.allowed_targets``; anything else leads to
the profile."""


ADA: dict[str, Any] = {
    "id": "5f0c6e1d",
    "username": "ada",
    "email": "ada@example.org",
    "has_password": True,
    "is_staff": False,
    "created_at": 1_800_000_000_000,
}
CSRF = "kOq3vX7nWb0cS1yT"
"""For examples."""


class Onward(BaseModel):
    """``next``: where a form goes on to; JSON is answered anyway."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"next": "/"}]})

    next: Place = ""


class SignUp(BaseModel):
    """``username`` "" is made from the address."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ada@example.org", "password": "a long sentence", "next": "/"}]}
    )

    email: Line
    password: Secret
    username: Line = ""
    next: Place = ""


class SignIn(BaseModel):
    """``name`` is the username or the address."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ada", "password": "a long sentence"}]})

    name: Line
    password: Secret
    next: Place = ""


class Forgotten(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "ada@example.org"}]})

    email: Line
    next: Place = ""


class NewPassword(BaseModel):
    """``current`` is not looked at of somebody who has no password yet."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"current": "a long sentence", "new": "a longer sentence"}]}
    )

    current: Secret = ""
    new: Secret


class NewAddress(BaseModel):
    """``password``: that of the account, if it has one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ada@new.example", "password": "a long sentence"}]}
    )

    email: Line
    password: Secret = ""


class MissingAddress(BaseModel):
    """``token`` is the one of the page that asked, because the provider gave no address."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "q8Zt2nW4", "email": "ada@example.org"}]})

    token: Line
    email: Line


class Digits(BaseModel):
    """``digits`` are those of the letter. ``password``: the new one, where the letter was asked for to set one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"digits": "314159"}]})

    digits: Line
    password: Secret = ""


class Confirm(BaseModel):
    """``password``: the new one, where the letter was asked for to set one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "a long sentence"}]})

    password: Secret = ""


class Person(BaseModel):
    """Somebody with an account. ``email`` is proven. ``created_at`` in milliseconds since 1970."""

    id: str
    username: str
    email: str
    has_password: bool
    is_staff: bool
    created_at: int

    @staticmethod
    def of(account: Account) -> Person:
        return Person(
            id=account.id,
            username=account.username,
            email=account.email,
            has_password=account.has_password,
            is_staff=account.is_staff,
            created_at=account.created_at,
        )


class SessionFacts(BaseModel):
    """``user`` null: nobody is signed in. ``csrf`` is to be sent as ``X-CSRF-Token`` with every POST of this session."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": ADA, "csrf": CSRF}]})

    user: Person | None
    csrf: str


class SignedIn(BaseModel):
    """The session has a new cookie, and this new ``csrf``. ``next`` is where to go, checked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": ADA, "csrf": CSRF, "next": "/auth/profile"}]})

    user: Person
    csrf: str
    next: str


class LetterSent(BaseModel):
    """``proof`` names the letter for the browser that asked for it; nobody else can use it. The answer is the same whether
    there is an account with this address or not."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"proof": "9d2f41", "email": "ada@example.org"}]})

    proof: str
    email: str


class ProofFacts(BaseModel):
    """``purpose`` is told when the letter was answered: before, it would tell whether there is an account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "9d2f41", "state": "waiting", "email": "ada@example.org", "purpose": None}]
        }
    )

    id: str
    state: ProofState
    email: str
    purpose: Purpose | None


class LinkFacts(BaseModel):
    """What sending this link's address with POST would do. ``username``: of the account that is made, or that it is about.
    ``existing``: of an account that has the address already. ``provider`` and ``handle``: who will be let in by it.
    ``needs_sign_in``: only as that account."""

    purpose: Purpose
    state: ProofState
    email: str
    username: str
    existing: str | None
    provider: str
    handle: str
    needs_sign_in: bool


class Confirmed(BaseModel):
    """``signed_in``: this browser is signed in now, ``csrf`` is that of its new session. Else the browser that asked for the
    letter goes on by itself."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"confirmed": True, "signed_in": True, "csrf": CSRF, "next": "/auth/profile"}]}
    )

    confirmed: bool = True
    signed_in: bool
    csrf: str
    next: str


class Onwards(BaseModel):
    """``user`` null: the letter was answered, and there is nobody to be signed in by it; ``next`` is where to go."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": ADA, "csrf": CSRF, "next": "/auth/profile"}]})

    user: Person | None
    csrf: str
    next: str


class Location(BaseModel):
    """The page of the provider, where the browser is to go."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"location": "https://id.example/authorize?client_id=shop&state=x1"}]}
    )

    location: str


class IdentityFacts(BaseModel):
    """A way to sign in. ``title`` is the provider's name for people, ``handle`` what it calls this one."""

    id: str
    provider: str
    title: str
    handle: str
    created_at: int


class Identities(BaseModel):
    """``can_remove``: whether one of them can be done without."""

    identities: list[IdentityFacts]
    linkable: list[str] = Field(description="Providers that are not linked yet.")
    can_remove: bool


class SessionOfPerson(BaseModel):
    """A browser that is signed in. Times in milliseconds since 1970. ``is_current``: the one that asks."""

    id: str
    agent: str
    remote: str
    created_at: int
    seen_at: int
    expires_at: int
    is_current: bool


class SessionList(BaseModel):
    sessions: list[SessionOfPerson]


class Token(BaseModel):
    """``expires_in`` in seconds."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "eyJhbGciOiJIUzI1NiJ9.e30.x", "expires_in": 600}]}
    )

    token: str
    expires_in: int


class Done(BaseModel):
    done: bool = True
