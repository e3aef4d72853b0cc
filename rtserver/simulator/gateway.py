"""The gateway: all its objects, and one request at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta

from twisted.logger import Logger

from rtserver.simulator.disputes import Dispute, Disputes
from rtserver.simulator.merchant import Keys, MerchantAccounts
from rtserver.simulator.nonces import Nonces
from rtserver.simulator.refusals import Full, NotFound, NotOffered, Refused, frame, refusal
from rtserver.simulator.request_keys import Answer, RequestKeys
from rtserver.simulator.sales import Sales, Unsuccessful
from rtserver.simulator.shelf import World
from rtserver.simulator.subscriptions import Plan, State, Subscription, Subscriptions
from rtserver.simulator.transactions import Transaction, Transactions
from rtserver.simulator.vault import Vault, VerificationFailed
from rtserver.simulator.webhooks import Webhook, Webhooks
from rtserver.simulator.xml_wire import Value, write

log = Logger()


@dataclass(frozen=True, slots=True)
class Setup:
    """What a fresh simulator has. ``accounts`` are ids and currencies, the first one the default."""

    keys: Keys
    accounts: tuple[tuple[str, str], ...]
    plans: tuple[Plan, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How the gateway behaves where merchants, or our readings of it, differ.

    ``search_lag_seconds``: a transaction younger than this is not found by a search. ``webhook_url``: where every notification
    is sent by itself ("": nowhere).
    """

    api_request_keys: bool = True
    answer_declined_repeats: bool = True
    duplicate_seconds: float = 30.0
    search_lag_seconds: float = 0.0
    webhook_url: str = ""

    def view(self) -> dict[str, Value]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came as a form."""

    kind: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``path`` is below the merchant; ``params`` is the body as read, ``{root: value}``."""

    verb: str
    path: str
    params: Mapping[str, Value] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    upload: Upload | None = None

    def of(self, *roots: str) -> Mapping[str, Value]:
        """What the body has under one of these roots."""
        found = next((self.params[root] for root in roots if root in self.params), None)
        return found if isinstance(found, Mapping) else {}

    @property
    def key(self) -> str:
        return str(self.of("transaction").get("api_request_key") or "")


Route = Callable[["Gateway", Call], Answer]


class Gateway:
    """``route`` gives the function for a call. Raises nothing: every trouble has its answer."""

    def __init__(self, setup: Setup, world: World, route: Callable[[Call], Route]) -> None:
        self.setup = setup
        self.world = world
        self._route = route
        self.generation = 0
        self.listener: Callable[[Webhook], None] = lambda _webhook: None
        self.settings = Settings()
        self.fill()

    def fill(self) -> None:
        """As at the start. What is still on its way belongs to the ``generation`` before."""
        self.generation += 1
        world, keys = self.world, self.setup.keys
        world.ahead = timedelta(0)
        self.webhooks = Webhooks(world, keys)
        self.request_keys = RequestKeys(world)
        self.accounts = MerchantAccounts(self.setup.accounts)
        self.nonces = Nonces(world)
        self.vault = Vault(world, self.nonces)
        self.transactions = Transactions(world, self._on_transaction)
        self.sales = Sales(world, self.transactions, self.accounts, self.nonces, self.vault)
        self.subscriptions = Subscriptions(world, self.sales, self.accounts, self._on_subscription)
        self.subscriptions.offer(self.setup.plans)
        self.disputes = Disputes(world, self._on_dispute)
        self.set(Settings())

    def set(self, settings: Settings) -> None:
        self.settings = settings
        self.request_keys.enabled = settings.api_request_keys
        self.request_keys.answer_declined = settings.answer_declined_repeats
        self.sales.duplicate_window = timedelta(seconds=settings.duplicate_seconds)

    def change(self, **changes: Value) -> None:
        """Raises ``TypeError`` for a setting that is none."""
        self.set(replace(self.settings, **changes))

    # A request

    def admit(self, call: Call) -> Answer | None:
        """Claim the request's key. An answer means that there is nothing to do any more."""
        if not call.key:
            return None
        try:
            return self.request_keys.claim(call.key, call.verb, call.path, call.body)
        except Refused as error:
            return unprocessable(refusal(error, call.params))
        except Full as error:
            return said(503, str(error))

    def work(self, call: Call) -> Answer:
        """Do what the request asks for. A fault of our own is an answer too: a key must not stay in flight for ever."""
        try:
            answer = self._answer(call)
        except Exception:
            log.failure("the simulator failed at {what}", what=f"{call.verb} {call.path}")
            answer = said(500, "the simulator failed: see its log")
        if call.key:
            self.request_keys.settle(call.key, answer)
        return answer

    def _answer(self, call: Call) -> Answer:
        try:
            return self._route(call)(self, call)
        except Refused as error:
            return unprocessable(refusal(error, call.params))
        except Unsuccessful as no:
            made = no.transaction
            body = frame(made.outcome.message, params=call.params or None, transaction=made.view())
            return replace(unprocessable(body), made=True)
        except VerificationFailed as no:
            return unprocessable(frame(str(no), params=call.params or None, verification=no.verification.view()))
        except NotFound as error:
            return said(404, f"not found: {error}")
        except NotOffered as error:
            return said(501, str(error))
        except Full as error:
            return said(503, str(error))

    # What happens

    def notify(self, kind: str, key: str, subject: Mapping[str, Value]) -> Webhook:
        made = self.webhooks.make(kind, key, subject)
        self.listener(made)
        return made

    def _on_transaction(self, kind: str, transaction: Transaction) -> None:
        self.notify(kind, transaction.id, {"transaction": transaction.view()})

    def _on_subscription(self, kind: str, subscription: Subscription) -> None:
        self.notify(kind, subscription.id, {"subscription": subscription.view(self.subscriptions.today)})

    def _on_dispute(self, kind: str, dispute: Dispute) -> None:
        self.notify(kind, dispute.id, {"dispute": dispute.view()})

    def cancel_of(self, tokens: list[str]) -> None:
        """A payment method is gone, and its subscriptions with it."""
        for subscription in list(self.subscriptions.shelf):
            if subscription.token in tokens and subscription.status not in (State.CANCELED, State.EXPIRED):
                self.subscriptions.cancel(subscription.id)


def answer(status: int, tag: str, value: Value) -> Answer:
    return Answer(status, write(tag, value), made=tag == "transaction")


def unprocessable(body: Mapping[str, Value]) -> Answer:
    return answer(422, "api_error_response", body)


def said(status: int, why: str) -> Answer:
    """An answer that the SDK turns into an exception; the sentence is for the person who looks."""
    return Answer(status, why.encode("utf-8"))
