"""What social-auth-core stores, in the tables of accounts. The library runs in threads; each call waits for the reactor.

The classes are made by a factory, since the library knows them as classes with class methods: so that nothing is global and
two servers in one process keep apart.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from social_core.exceptions import AuthResponseError
from social_core.storage import (
    AssociationMixin,
    BaseStorage,
    CodeMixin,
    NonceMixin,
    PartialMixin,
    UserMixin,
    UserProtocol,
)

from rtserver.accounts import associations, identities, nonces, partials, users
from rtserver.accounts.records import Account, Identity
from rtserver.app.waiting import wait
from rtserver.core.accounts import MAX_USERNAME, BadAddress, parse_address, username_norm
from rtserver.core.errors import Conflict
from rtserver.core.ports import Database
from rtserver.core.rows import ms

TOKENS = frozenset(
    {
        "access_token",
        "refresh_token",
        "id_token",
        "token_type",
        "code",
        "code_verifier",
        "client_secret",
        "oauth_token",
        "oauth_token_secret",
        "oauth_verifier",
        "verification_code",
        "state",
        "redirect_state",
    }
)
"""Keys of what opens doors at the provider. Nothing here needs them after the callback, so they are not stored."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where things are stored. ``pipeline`` are the steps, in order; a sign-in waits in it for ``partial_ttl`` seconds."""

    database: Database
    pipeline: Sequence[str]
    partial_ttl: float
    unix: Callable[[], float]
    new_id: Callable[[], str]

    def now(self) -> int:
        return ms(self.unix())


class Person:
    """An account as the library wants it. It sets ``social_user`` and ``is_new``."""

    is_authenticated = True

    def __init__(self, account: Account) -> None:
        self.account = account
        self.id = account.id
        self.username = account.username
        self.email = account.email
        self.is_active = account.is_active
        self.social_user: Any = None
        self.is_new = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Person) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


def without_tokens(value: Any) -> Any:
    """The same as something that JSON can hold, without what ``TOKENS`` names, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): without_tokens(each) for key, each in value.items() if str(key).lower() not in TOKENS}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_tokens(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def version_of(pipeline: Iterable[str]) -> str:
    """Changes with the steps or their order: what waits remembers its step by its number."""
    return sha256("\n".join(pipeline).encode()).hexdigest()[:32]


def make_storage(shelf: Shelf) -> type[BaseStorage]:
    class Storage(BaseStorage):
        user = _identity_class(shelf)
        nonce = _nonce_class(shelf)
        association = _association_class(shelf)
        code = CodeMixin
        """Never used: ``IdentityStrategy`` sends and checks letters by itself."""
        partial = _partial_class(shelf)

        @classmethod
        def is_integrity_error(cls, exception: Exception) -> bool:
            return isinstance(exception, Conflict)

    return Storage


def _identity_class(shelf: Shelf) -> type[UserMixin]:
    class SocialIdentity(StoredIdentity):
        pass

    SocialIdentity.shelf = shelf
    return SocialIdentity


class StoredIdentity(UserMixin):
    """A row of ``rt_identities``."""

    shelf: Shelf

    def __init__(self, row: Identity, person: Person) -> None:
        self.id = row.id
        self.provider = row.provider
        self.id_key = row.id_key
        self.uid = row.uid
        self.handle = row.handle
        self.user = cast(UserProtocol, person)
        self.extra_data = dict(row.extra)

    def save(self) -> None:
        shelf = self.shelf
        extra = without_tokens(self.extra_data)
        wait(identities.set_extra(shelf.database, self.id, extra, self.handle, shelf.now()))

    def set_extra_data(self, extra_data: dict[str, Any] | None = None) -> bool:
        """The library's own changes memory only."""
        is_changed = super().set_extra_data(without_tokens(extra_data or {}))
        if is_changed:
            self.save()
        return is_changed

    # What the library looks up

    @classmethod
    def user_model(cls) -> type[UserProtocol]:
        return cast(type[UserProtocol], Person)

    @classmethod
    def get_username(cls, user: UserProtocol) -> str:
        return user.username

    @classmethod
    def username_max_length(cls) -> int:
        return MAX_USERNAME

    @classmethod
    def user_exists(cls, *args: Any, username: str = "", **kwargs: Any) -> bool:
        return wait(users.by_username(cls.shelf.database, username_norm(username))) is not None

    @classmethod
    def get_user(cls, pk: str) -> Person | None:
        account = wait(users.find(cls.shelf.database, str(pk)))
        return None if account is None else Person(account)

    @classmethod
    def get_users_by_email(cls, email: str) -> list[Person]:
        """At most one: addresses of accounts are proven, so each has one owner."""
        try:
            norm = parse_address(email).norm
        except BadAddress:
            return []
        account = wait(users.by_address(cls.shelf.database, norm))
        return [] if account is None else [Person(account)]

    @classmethod
    def get_social_auth(cls, provider: str, uid: str, id_key: str | None = None) -> StoredIdentity | None:
        if not str(uid).isprintable():
            raise AuthResponseError(None, code="invalid_claim", claim=id_key, stage="pipeline")
        row = wait(identities.find(cls.shelf.database, provider, id_key, str(uid)))
        return None if row is None else cls.of_row(row)

    @classmethod
    def of_row(cls, row: Identity) -> StoredIdentity | None:
        person = cls.get_user(row.user_id)
        return None if person is None else cls(row, person)

    @classmethod
    def get_social_auth_for_user(
        cls, user: UserProtocol, provider: str | None = None, id: Any = None
    ) -> list[StoredIdentity]:
        rows = wait(identities.of_user(cls.shelf.database, str(user.id)))
        wanted = (row for row in rows if provider in (None, row.provider) and id in (None, row.id))
        return [cls(row, cast(Person, user)) for row in wanted]

    @classmethod
    def get_social_auth_by_extra_data(cls, provider: str, key: str, value: str, id_key: str = "") -> None:
        """None: this is for identities from before version 6 of the library, and there are none."""

    @classmethod
    def migrate_social_auth(
        cls, social: StoredIdentity, uid: str, id_key: str, *, evidence_key: str | None = None
    ) -> StoredIdentity:
        """A provider has changed what it calls the person. ``Conflict`` when the new name belongs to another identity."""
        shelf = cls.shelf
        if not wait(identities.move(shelf.database, social.id, id_key, str(uid), shelf.now())):
            raise ValueError("the identity is gone")
        social.uid, social.id_key = str(uid), id_key
        return social


def _nonce_class(shelf: Shelf) -> type[NonceMixin]:
    class Nonce(NonceMixin):
        @classmethod
        def use(cls, server_url: str, timestamp: Any, salt: str) -> bool:
            return wait(nonces.use(shelf.database, server_url, int(timestamp), salt, shelf.now()))

        @classmethod
        def consume(cls, server_url: str, timestamp: Any, salt: str) -> bool:
            return wait(nonces.consume(shelf.database, server_url, int(timestamp), salt))

    return Nonce


def _association_class(shelf: Shelf) -> type[AssociationMixin]:
    class Association(AssociationMixin):
        def __init__(self, row: associations.Association) -> None:
            self.id = row.id
            self.server_url = row.server_url
            self.handle = row.handle
            self.secret = row.secret
            self.issued = row.issued
            self.lifetime = row.lifetime
            self.assoc_type = row.assoc_type

        @classmethod
        def store(cls, server_url: str, association: Any) -> None:
            secret = association.secret
            text = b64encode(secret.encode() if isinstance(secret, str) else secret).decode("ascii")
            new = associations.Association(
                shelf.new_id(),
                server_url,
                association.handle,
                text,
                int(association.issued),
                int(association.lifetime),
                association.assoc_type or "",
            )
            wait(associations.store(shelf.database, new))

        @classmethod
        def get(cls, server_url: str | None = None, handle: str | None = None) -> list[Association]:
            return [cls(row) for row in wait(associations.get(shelf.database, server_url, handle))]

        @classmethod
        def remove(cls, ids_to_delete: list[str]) -> None:
            wait(associations.remove(shelf.database, ids_to_delete))

    return Association


def _partial_class(shelf: Shelf) -> type[PartialMixin]:
    version = version_of(shelf.pipeline)

    class Partial(PartialMixin):
        """A sign-in that waits. It is only found by its token, while the pipeline is what it was, and for a time."""

        def save(self) -> None:
            now = shelf.now()
            data = json.dumps(without_tokens(self.data), separators=(",", ":"))
            row = partials.Partial(self.backend, self.next_step, data, version, now + ms(shelf.partial_ttl))
            wait(partials.save(shelf.database, self.token, row, now))

        @classmethod
        def load(cls, token: str) -> Partial | None:
            row = wait(partials.load(shelf.database, token, version, shelf.now()))
            if row is None:
                return None
            found = cls()
            found.token, found.backend, found.next_step = token, row.backend, row.next_step
            found.data = json.loads(row.data)
            return found

        @classmethod
        def destroy(cls, token: str) -> None:
            wait(partials.remove(shelf.database, token))

    return Partial
