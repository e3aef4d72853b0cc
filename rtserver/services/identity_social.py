"""Sign-ins with providers by social-auth-core, whole in threads of their own."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from social_core.actions import do_auth, do_complete
from social_core.backends.base import BaseAuth
from social_core.exceptions import SocialAuthBaseException
from social_core.utils import setting_name
from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from rtserver.accounts import partials
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.joining import Joining, inactive
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.parts import Parts
from rtserver.accounts.records import Proof
from rtserver.accounts.social import AwaitsProof, NeedsAddress, Offer, Outcome, SignedIn, Visit
from rtserver.core.accounts import USUAL_TARGET
from rtserver.core.errors import RtError
from rtserver.services.identity_backends import Provider, load_providers, load_steps
from rtserver.services.identity_errors import concerns_operator, refusal, told
from rtserver.services.identity_storage import Person, Shelf, make_storage, version_of
from rtserver.services.identity_strategy import (
    ERROR_URL,
    Answer,
    HeldItems,
    IdentityStrategy,
    Items,
    StoredItems,
    Tools,
    pending,
)
from rtserver.threads import Threads

_log = Logger()

T = TypeVar("T")

INACTIVE_URL = f"{ERROR_URL}?code=account_inactive"

REQUEST_TIME = 5.0
"""Seconds that a provider may let us wait for a connection, or for the next bytes. See ``identity_bounded`` for the whole."""

THREADS = 8
THREADS_WAITING = 64

AT_ONCE = 4
"""Sign-ins with one provider at a time: when it is slow, half of the threads are left for the others."""

WAITING = 12
"""Sign-ins with one provider that may wait for their turn."""

OURS = frozenset({"partial_token", "verification_code", "partial_pipeline_confirm", "email", "next"})
"""What only this server says to the library. In an address that a stranger has made it counts for nothing."""

LONGEST_VALUE = 8192
"""Characters of a value that a provider sends with the browser."""

PARTIAL_MARGIN = 3600
"""Seconds that a waiting sign-in is kept longer than its letter is good."""


class Turns:
    """How many may do something at a time, and how many may wait for it."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._slots = DeferredSemaphore(at_once)
        self._most = at_once + waiting
        self.inside = 0

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Raises ``AccountRefused`` instead of queueing without end."""
        if self.inside >= self._most:
            raise AccountRefused("provider_busy", "Too many people sign in this way: try again soon.", status=503)
        self.inside += 1
        try:
            await self._slots.acquire()
            try:
                return await work()
            finally:
                self._slots.release()
        finally:
            self.inside -= 1


@dataclass(frozen=True, slots=True)
class Task:
    """What a thread is to do for one request: ``act`` is a function of the library."""

    provider: Provider
    visit: Visit
    items: Items
    act: Callable[[BaseAuth[Any], IdentityStrategy], Answer]
    proof: Proof | None = None
    with_address: bool = False


class SocialLogin:
    """Implements ``accounts.social.Social``. Raises ``ProviderMistake`` when a provider cannot be used as configured."""

    def __init__(self, parts: Parts, threads: Threads) -> None:
        options = parts.options
        load_steps(options)
        self._parts = parts
        self._threads = threads
        self._providers = load_providers(options)
        self._turns = {name: Turns() for name in self._providers}
        ttl = options.proof_ttl + PARTIAL_MARGIN
        shelf = Shelf(parts.database, options.steps, ttl, parts.unix, parts.new_id)
        joining = Joining(parts)
        self._tools = Tools(options.base_url, make_storage(shelf), _settings(options), self._providers, joining)
        self._version = version_of(options.steps)

    @property
    def offers(self) -> tuple[Offer, ...]:
        return tuple(Offer(each.name, each.title) for each in self._providers.values())

    async def begin(self, name: str, visit: Visit) -> str:
        provider = self._provider(name)
        task = Task(provider, visit, self._items(visit), _begin)
        answer, _ = await self._turns[name].run(lambda: self._run(task))
        return answer.url

    async def complete(self, name: str, visit: Visit) -> Outcome:
        provider = self._provider(name)
        values = {key: value for key, value in visit.values.items() if key not in OURS and _is_sane(value)}
        told_by_provider = Visit(visit.asker, visit.account, values, visit.target)
        task = Task(provider, told_by_provider, self._items(visit), _complete)
        answer, strategy = await self._turns[name].run(lambda: self._run(task))
        return _outcome(answer, strategy)

    async def with_address(self, token: str, visit: Visit) -> Outcome:
        parts = self._parts
        waiting = await partials.load(parts.database, token, self._version, int(parts.unix() * 1000))
        if waiting is None:
            raise out_of_date()
        values = {"partial_token": token, "email": visit.values.get("email", "")}
        handed_in = Visit(visit.asker, visit.account, values)
        task = Task(self._provider(waiting.backend), handed_in, self._items(visit), _go_on, with_address=True)
        return _outcome(*await self._run(task))

    async def resume(self, proof: Proof, visit: Visit) -> Outcome:
        provider = self._provider(str(proof.data.get("backend", "")))
        values = {
            "partial_token": str(proof.data.get("partial", "")),
            "verification_code": proof.id,
            "partial_pipeline_confirm": "1",
        }
        confirmed = Visit(visit.asker, None, values, proof.target)
        task = Task(provider, confirmed, HeldItems(pending(proof)), _go_on, proof=proof)
        return _outcome(*await self._run(task))

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            raise AccountRefused(
                "backend_missing", "Nobody signs in this way here any more: choose another one.", status=404
            )
        return self._providers[name]

    def _items(self, visit: Visit) -> Items:
        if visit.asker.session is None:
            raise AccountRefused(
                "session_context_missing", "Your browser sent no cookie: allow cookies of this site, and begin again."
            )
        return StoredItems(self._parts.sessions, visit.asker.session.sid_hash)

    async def _run(self, task: Task) -> tuple[Answer, IdentityStrategy]:
        try:
            answer, strategy = await self._threads.run(self._work, {"task": task})
        except SocialAuthBaseException as error:
            if concerns_operator(error):
                _log.warn("sign-in with {name}: {told}", name=task.provider.name, told=told(error))
            raise refusal(error) from None
        return answer, strategy

    def _work(self, task: Task) -> tuple[Answer, IdentityStrategy]:
        """In a thread."""
        strategy = IdentityStrategy(self._tools, task.provider, task.visit, task.items)
        strategy.proof, strategy.with_address = task.proof, task.with_address
        try:
            backend = strategy.get_backend(task.provider.name, f"/auth/complete/{task.provider.name}")
            return task.act(backend, strategy), strategy
        except (SocialAuthBaseException, RtError):
            raise
        except Exception as error:
            # The library takes apart what a provider says, and fails in many ways when it is not as expected. The text of
            # such an error may hold anything that was said.
            _log.error("sign-in with {name}: {told}", name=task.provider.name, told=_place(error))
            raise AccountRefused(
                "malformed_response", "The other site gave an answer that makes no sense: try again later.", status=502
            ) from None


def _settings(options: AccountsOptions) -> Mapping[str, Any]:
    values = {
        "PIPELINE": list(options.steps),
        "FORCE_EMAIL_VALIDATION": True,
        "EMAIL_VALIDATION_URL": "/auth/mail",
        "LOGIN_URL": "/auth/sign-in",
        "LOGIN_ERROR_URL": ERROR_URL,
        "INACTIVE_USER_URL": INACTIVE_URL,
        "LOGIN_REDIRECT_URL": USUAL_TARGET,
        "REQUESTS_TIMEOUT": REQUEST_TIME,
    }
    return {setting_name(name): value for name, value in values.items()}


def _begin(backend: BaseAuth[Any], strategy: IdentityStrategy) -> Answer:
    answer: Answer = do_auth(backend, user=_person(strategy))
    return answer


def _complete(backend: BaseAuth[Any], strategy: IdentityStrategy) -> Answer:
    """``target`` goes through the pipeline, and waits with it."""
    target = strategy.visit.target
    answer: Answer = do_complete(backend, strategy.login, user=_person(strategy), target=target)
    return answer


def _go_on(backend: BaseAuth[Any], strategy: IdentityStrategy) -> Answer:
    answer: Answer = do_complete(backend, strategy.login, user=_person(strategy))
    return answer


def _person(strategy: IdentityStrategy) -> Any:
    account = strategy.visit.account
    return None if account is None else Person(account)


def _outcome(answer: Answer, strategy: IdentityStrategy) -> Outcome:
    course, account = strategy.course, strategy.visit.account
    if course.token:
        return NeedsAddress(course.token)
    if course.proof is not None:
        return AwaitsProof(course.proof)
    if course.person is not None:
        return SignedIn(course.person.account, strategy.target, course.person.is_new)
    if answer.url == INACTIVE_URL:
        raise inactive()
    if account is None or answer.url.startswith(ERROR_URL):
        raise out_of_date()
    return SignedIn(account, strategy.target, is_link=True)


def _is_sane(value: str) -> bool:
    """Codes and states are printable ASCII (RFC 6749 appendix A); nothing else that a provider sends is stored as it is."""
    return len(value) <= LONGEST_VALUE and value.isprintable()


def out_of_date() -> AccountRefused:
    return AccountRefused(
        "login_out_of_date", "This sign-in cannot go on, it is too old or was used before: begin again.", status=410
    )


def _place(error: Exception) -> str:
    """The kind of an error and where it was raised, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + "".join(f" in {Path(each.filename).name}:{each.lineno}" for each in frames[-1:])
