"""Sales: from a request to a transaction, good or bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from rtserver.simulator.merchant import MerchantAccount, MerchantAccounts
from rtserver.simulator.money import amount_of
from rtserver.simulator.nonces import AUTHENTICATION_IDS, Nonce, Nonces, ThreeDSecure
from rtserver.simulator.processor import Outcome, Status, authorization, rejected
from rtserver.simulator.refusals import Refused
from rtserver.simulator.shelf import World
from rtserver.simulator.transactions import DEAD, Transaction, Transactions
from rtserver.simulator.vault import CUSTOMER, Customer, Vault
from rtserver.simulator.xml_wire import Value, inside

MAX_ORDER_ID = 255
DUPLICATE_WINDOW = timedelta(seconds=30)
MADE_BY = ("payment_method_nonce", "payment_method_token", "customer_id")
"""What a sale may be paid with; the first two exclude each other."""
SAID = (
    "order_id", "channel", "purchase_order_number", "tax_amount", "tax_exempt", "discount_amount", "shipping_amount", "billing",
    "shipping", "custom_fields", "descriptor", "device_data", "options",
)  # fmt: skip


class Unsuccessful(Exception):
    """The transaction exists and is final, and no money moves."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.outcome.message)
        self.transaction = transaction


@dataclass(frozen=True, slots=True)
class Payer:
    """What a sale is paid with."""

    nonce: Nonce
    token: str | None = None
    customer: Customer | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What a charge of a subscription is for, and whether it is settled at once."""

    subscription: dict[str, Value]
    submit: bool = True


@dataclass(slots=True)
class Sales:
    """``duplicate_window``: how long the same amount, order and instrument count as a duplicate (0: never)."""

    world: World
    transactions: Transactions
    accounts: MerchantAccounts
    nonces: Nonces
    vault: Vault
    duplicate_window: timedelta = DUPLICATE_WINDOW

    def make(self, params: Mapping[str, Value]) -> Transaction:
        """Raises ``Refused`` (nothing happened) or ``Unsuccessful`` (declined, failed or rejected)."""
        kind = params.get("type")
        if kind not in ("sale", "credit"):
            raise Refused("91523" if kind else "91524")
        account = self.accounts.choose(params.get("merchant_account_id"))
        amount = amount_of(params.get("amount"), account.currency)
        if len(str(params.get("order_id") or "")) > MAX_ORDER_ID:
            raise Refused("91501")
        payer = self._payer(params)
        new_id = self._wanted_customer_id(params)
        made = self._begin(params, account, amount, payer)
        made.outcome = self._outcome(made, params)
        self._store(made, params, payer, new_id)
        self.nonces.use(str(params.get("payment_method_nonce")))
        return self._finish(made, params)

    def charge(self, payer: Payer, amount: Decimal, account: MerchantAccount, bill: Bill) -> Transaction:
        """A charge of a subscription. Raises ``Unsuccessful``."""
        params = {"type": "sale", "options": {"submit_for_settlement": bill.submit}}
        made = self._begin(params, account, amount, payer)
        made.subscription = bill.subscription
        made.outcome = self._judge(made)
        return self._finish(made, params)

    # Who pays

    def _payer(self, params: Mapping[str, Value]) -> Payer:
        name, token, customer_id = (params.get(each) or None for each in MADE_BY)
        if name and token:
            raise Refused("91515")
        customer = self._customer(customer_id)
        if name:
            nonce = self.nonces.for_sale(str(name))
            if nonce.token:
                return replace(self.saved(nonce.token, customer), nonce=nonce)
            return Payer(nonce, None, customer)
        if token:
            return self.saved(token, customer)
        if customer is None:
            raise Refused("91508")
        if customer.default is None:
            raise Refused("91511")
        return self.saved(customer.default, customer)

    def _customer(self, key: Value) -> Customer | None:
        found = self.vault.customers.find(key)
        if key and found is None:
            raise Refused("91510")
        return found

    def saved(self, token: Value, customer: Customer | None = None) -> Payer:
        """A saved payment method. Raises ``Refused``."""
        method = self.vault.methods.find(token)
        if method is None:
            raise Refused("91518")
        if customer is not None and method.customer_id != customer.id:
            raise Refused("91516")
        return Payer(Nonce(method.instrument), method.token, self.vault.customers.get(method.customer_id))

    def _wanted_customer_id(self, params: Mapping[str, Value]) -> Value:
        """The own id of a customer that is to be saved with the sale. Raises ``Refused`` when it is taken."""
        wanted = inside(params, "customer").get("id")
        if self.vault.customers.find(wanted) is not None:
            raise Refused("91609", ("transaction", *CUSTOMER))
        return wanted

    # The transaction

    def _begin(
        self, params: Mapping[str, Value], account: MerchantAccount, amount: Decimal, payer: Payer
    ) -> Transaction:
        self.transactions.shelf.check()
        person = payer.customer.person if payer.customer else inside(params, "customer")
        return Transaction(
            id=self.world.new_id(),
            type=str(params["type"]),
            amount=amount,
            currency=account.currency,
            merchant_account_id=account.id,
            instrument=payer.nonce.instrument,
            created_at=self.world.now(),
            said={name: params[name] for name in SAID if name in params},
            customer=dict(person),
            token=payer.token,
            three_d_secure=self._three_d_secure(params, payer),
        )

    def _three_d_secure(self, params: Mapping[str, Value], payer: Payer) -> ThreeDSecure | None:
        key = params.get("three_d_secure_authentication_id")
        if key and key not in AUTHENTICATION_IDS:
            raise Refused("915196")
        return AUTHENTICATION_IDS[key] if key else payer.nonce.three_d_secure

    def _outcome(self, made: Transaction, params: Mapping[str, Value]) -> Outcome:
        required = inside(inside(params, "options"), "three_d_secure").get("required")
        if required and not (made.three_d_secure and made.three_d_secure.shifted):
            return rejected("three_d_secure")
        if not params.get("api_request_key") and self._is_duplicate(made):
            return rejected("duplicate")
        return self._judge(made)

    def _judge(self, made: Transaction) -> Outcome:
        return made.instrument.outcome or authorization(made.amount, made.instrument.kind)

    def _is_duplicate(self, made: Transaction) -> bool:
        """Same amount, order and instrument within the window, and successful. A request key stands in for this check."""
        since = made.created_at - self.duplicate_window
        for other in self.transactions.shelf.newest_first():
            if other.created_at <= since:
                return False
            if other.status not in DEAD and _same(other) == _same(made):
                return True
        return False

    def _finish(self, made: Transaction, params: Mapping[str, Value]) -> Transaction:
        self.transactions.shelf.put(made.id, made)
        made.begin(made.outcome.status)
        if made.status is not Status.AUTHORIZED:
            raise Unsuccessful(made)
        if made.type == "credit" or inside(params, "options").get("submit_for_settlement"):
            made.move(Status.SUBMITTED, made.created_at, "91507")
        return made

    def _store(self, made: Transaction, params: Mapping[str, Value], payer: Payer, new_id: Value) -> None:
        """Keep the instrument in the vault, when the options say so."""
        options = inside(params, "options")
        good = made.outcome.status is Status.AUTHORIZED
        wanted = options.get("store_in_vault") or (good and options.get("store_in_vault_on_success"))
        if (
            not wanted
            or payer.token
            or not payer.nonce.instrument.vaultable
            or not payer.nonce.instrument.names.in_vault
        ):
            return
        token = self.vault.own_token(inside(params, "credit_card"))
        customer = payer.customer or self.vault.create_customer({**inside(params, "customer"), "id": new_id})
        made.token = self.vault.save(customer, payer.nonce, token).token
        made.customer = customer.person


def _same(transaction: Transaction) -> tuple[Value, ...]:
    order = transaction.said.get("order_id") or None
    return (transaction.type, transaction.amount, transaction.currency, order, transaction.instrument.number)
