"""Customers, saved methods, subscriptions and disputes: what is asked, and what is made of the answers."""

import pytest

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayAway, GatewayRefused
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import AttemptState, GatewayDispute, SavedMethod
from tests.services.gateway_house import House, elements, error, final, refusal, transaction, xml

NOT_FOUND = (404, "")
PRICE = Money(999, "USD")


def card(token="tok_1", **more):
    known = {
        "token": token,
        "customer-id": "c1",
        "default": True,
        "bin": "401288",
        "last-4": "1881",
        "card-type": "Visa",
        "expiration-month": "12",
        "expiration-year": "2030",
        "subscriptions": [],
        "verifications": [],
    }
    return elements({**known, **more})


VISA = SavedMethod("tok_1", "card", "Visa", "1881", "12/2030", True)


# Client tokens


def test_a_client_token_is_for_a_customer_and_an_account_when_there_are_any():
    house = House(xml("client-token", "<value>dG9rZW4=</value>"), options=PaymentsOptions(merchant_account="shop_eur"))
    assert house.vault.client_token("", "") == "dG9rZW4="
    assert house.vault.client_token("c1", "seller") == "dG9rZW4="
    assert "<merchant_account_id>shop_eur</merchant_account_id>" in house.bodies[0]
    assert "customer_id" not in house.bodies[0]
    assert "<customer_id>c1</customer_id><merchant_account_id>seller</merchant_account_id>" in house.bodies[1]


def test_a_client_token_for_nobody_is_refused():
    with pytest.raises(GatewayRefused, match="client_token"):
        House(refusal(error("92804", "customer_id"), place=("client_token",))).vault.client_token("nobody", "")


def test_an_empty_client_token_is_none():
    with pytest.raises(GatewayAway, match="unreadable"):
        House(xml("client-token", "<value></value>")).vault.client_token("", "")


# Customers


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("Zoë van Dyck", "<first_name>Zo&#235; van</first_name><last_name>Dyck</last_name>"),
        ("Prince", "<last_name>Prince</last_name>"),
        ("  ", ""),
        ("x" * 300 + " y", f"<first_name>{'x' * 255}</first_name><last_name>y</last_name>"),
    ],
)
def test_a_customer_has_our_id_and_a_name_in_two_parts(name, names):
    house = House(xml("customer", "<id>u_7</id>"))
    house.vault.make_customer("u_7", "a@b.c", name)
    assert house.bodies == [f"<customer><id>u_7</id><email>a@b.c</email>{names}</customer>"]


def test_a_customer_who_is_there_already_is_made():
    House(refusal(error("91609", "id"), place=("customer",))).vault.make_customer("u_7", "a@b.c", "")
    with pytest.raises(GatewayRefused, match="81604"):
        House(refusal(error("81604", "email"), place=("customer",))).vault.make_customer("u_7", "a@b", "")


# Saved methods


def test_a_method_is_saved_under_our_token_and_looked_at_before():
    house = House(xml("credit-card", card()))
    assert house.vault.save_method("c1", "n-1", "tok_1", True) == VISA
    assert house.sent == ["POST /payment_methods"]
    assert (
        "<customer_id>c1</customer_id><payment_method_nonce>n-1</payment_method_nonce><token>tok_1</token>"
        in house.bodies[0]
    )
    assert (
        '<verify_card type="boolean">true</verify_card><make_default type="boolean">true</make_default>'
        in house.bodies[0]
    )
    assert "401288" not in repr(VISA)


@pytest.mark.parametrize("code", ["91719", "91731"])
def test_a_method_that_an_earlier_request_saved_is_taken(code):
    house = House(refusal(error(code), place=("credit_card",)), (200, xml("credit-card", card())))
    assert house.vault.save_method("c1", "n-1", "tok_1", False) == VISA
    assert house.sent[1] == "GET /payment_methods/any/tok_1"


@pytest.mark.parametrize("answer", [NOT_FOUND, (200, xml("credit-card", card(**{"customer-id": "somebody"})))])
def test_a_used_nonce_without_a_method_of_this_customer_is_refused(answer):
    house = House(refusal(error("91731"), place=("credit_card",)), answer)
    with pytest.raises(GatewayRefused, match="91731"):
        house.vault.save_method("c1", "n-1", "tok_1", False)


def test_the_methods_of_a_customer_are_of_every_kind():
    inside = elements(
        {
            "id": "c1",
            "credit-cards": [f"<credit-card>{card()}</credit-card>"],
            "paypal-accounts": [
                f"<paypal-account>{elements({'token': 'tok_2', 'email': 'pat@example.com', 'default': False})}</paypal-account>"
            ],
            "android-pay-cards": [
                "<android-pay-card>"
                + elements(
                    {"token": "tok_3", "virtual-card-type": "Visa", "virtual-card-last-4": "4242", "subscriptions": []}
                )
                + "</android-pay-card>"
            ],
            "addresses": [],
        }
    )
    assert House((200, xml("customer", inside))).vault.methods("c1") == [
        VISA,
        SavedMethod("tok_2", "paypal", "PayPal", "", "", False),
        SavedMethod("tok_3", "google_pay", "Visa", "4242", "", False),
    ]


def test_nobody_has_no_methods():
    assert House(NOT_FOUND).vault.methods("c1") == []


def test_a_method_becomes_the_default_and_goes():
    house = House((200, xml("credit-card", card())))
    house.vault.choose_method("tok_1")
    house.vault.delete_method("tok_1")
    House(NOT_FOUND).vault.delete_method("tok_1")
    assert house.sent == ["PUT /payment_methods/any/tok_1", "DELETE /payment_methods/any/tok_1"]
    with pytest.raises(GatewayRefused, match="not_found"):
        House(NOT_FOUND).vault.choose_method("tok_1")


# Subscriptions


def subscription(*charges, status="Active", plan="monthly", **more):
    known = {"id": "s1", "plan-id": plan, "status": status, "price": "9.99", "payment-method-token": "tok_1"}
    known |= {"merchant-account-id": "shop_eur", "paid-through-date": None, "balance": "0.00"}
    known |= {"transactions": [f"<transaction>{each}</transaction>" for each in charges], "status-history": [], **more}
    return xml("subscription", elements(known))


def subscribe(house):
    return house.vault.subscribe("s1", "monthly", "tok_1", PRICE, "shop_usd")


def test_a_subscription_has_our_id_and_our_price():
    house = House(subscription(transaction(amount="9.99")))
    outcome = subscribe(house)
    assert (outcome.state, str(outcome.transaction.amount)) == (AttemptState.APPROVED, "9.99 USD")
    assert house.bodies == [
        "<subscription><id>s1</id><plan_id>monthly</plan_id><payment_method_token>tok_1</payment_method_token>"
        "<price>9.99</price><merchant_account_id>shop_usd</merchant_account_id></subscription>"
    ]


def test_a_subscription_that_begins_with_a_trial_is_approved_without_a_charge():
    outcome = subscribe(House(subscription()))
    assert (outcome.state, outcome.transaction) == (AttemptState.APPROVED, None)


def test_a_declined_first_charge_begins_nothing():
    outcome = subscribe(House(final("processor_declined", "2001")))
    assert (outcome.state, outcome.code) == (AttemptState.DECLINED, "2001")


def test_a_subscription_that_an_earlier_request_made_is_taken():
    taken = refusal(error("81902", "id"), place=("subscription",))
    house = House(taken, (200, subscription(transaction(amount="9.99"))))
    assert subscribe(house).state is AttemptState.APPROVED
    assert house.sent[1] == "GET /subscriptions/s1"
    assert subscribe(House(taken, (200, subscription(plan="other")))).state is AttemptState.INVALID
    for trouble in ((500, ""), (401, ""), (200, "")):
        assert subscribe(House(taken, trouble)).state is AttemptState.UNKNOWN


def test_the_currency_of_a_subscription_is_found_where_it_is():
    event = (
        "<status-event><price>9.99</price><balance>0</balance><currency-iso-code>EUR</currency-iso-code></status-event>"
    )
    by_history = House((200, subscription(**{"status-history": [event]})))
    assert str(by_history.vault.subscription("s1").price) == "9.99 EUR"
    by_charge = House((200, subscription(transaction(currency_iso_code="GBP"))))
    assert str(by_charge.vault.subscription("s1").price) == "9.99 GBP"
    account = (200, xml("merchant-account", "<id>shop_eur</id><currency-iso-code>EUR</currency-iso-code>"))
    by_account = House((200, subscription()), account, (200, subscription()))
    assert [str(by_account.vault.subscription("s1").price) for _ in range(2)] == ["9.99 EUR"] * 2
    assert by_account.sent.count("GET /merchant_accounts/shop_eur") == 1


def test_merchant_accounts_are_listed_page_by_page():
    def page(id, currency, more):
        one = (
            f"<merchant-account><id>{id}</id><currency-iso-code>{currency}</currency-iso-code>{more}</merchant-account>"
        )
        head = (
            '<current-page-number type="integer">1</current-page-number><page-size type="integer">1</page-size>'
            '<total-items type="integer">2</total-items>'
        )
        return 200, xml("merchant-accounts", head + one)

    house = House(page("shop", "USD", '<default type="boolean">true</default>'), page("shop_eur", "EUR", ""))
    found = [(each.id, each.currency, each.is_default) for each in house.vault.merchant_accounts()]
    assert found == [("shop", "USD", True), ("shop_eur", "EUR", False)]
    assert house.sent == ["GET /merchant_accounts/?page=1", "GET /merchant_accounts/?page=2"]
    with pytest.raises(GatewayAway, match="forbids this"):
        House((403, "")).vault.merchant_accounts()


def test_a_subscription_is_found_or_not():
    found = House((200, subscription(transaction(), **{"paid-through-date": None}))).vault.subscription("s1")
    assert (found.id, found.plan, found.method, found.status) == ("s1", "monthly", "tok_1", "Active")
    assert [each.id for each in found.transactions] == ["tx1"]
    assert House(NOT_FOUND).vault.subscription("s1") is None


def test_a_change_sends_what_changes_and_no_more():
    house = House((200, subscription(transaction())))
    house.vault.change_subscription("s1", "", "tok_2", None)
    house.vault.change_subscription("s1", "yearly", "", Money(9900, "USD"))
    house.vault.cancel_subscription("s1")
    assert house.bodies == [
        "<subscription><payment_method_token>tok_2</payment_method_token></subscription>",
        "<subscription><plan_id>yearly</plan_id><price>99.00</price></subscription>",
        "",
    ]
    assert house.sent[2] == "PUT /subscriptions/s1/cancel"


def test_a_second_cancel_says_so():
    with pytest.raises(GatewayRefused, match="81905: This subscription was cancelled before"):
        House(refusal(error("81905", "status"), place=("subscription",))).vault.cancel_subscription("s1")


# Disputes


def dispute(**more):
    known = {"id": "d1", "status": "open", "amount": "10.00", "amount-disputed": "7.50", "currency-iso-code": "USD"}
    known |= {"reason": "fraud", "transaction": {"id": "tx1", "amount": "10.00"}, "evidence": [], "status-history": []}
    return elements({**known, **more}) + '<reply-by-date type="date">2026-12-01</reply-by-date>'


DISPUTE = GatewayDispute("d1", "tx1", "open", Money(750, "USD"), "fraud", "2026-12-01")


def disputes(*made, total=None):
    head = {"current-page-number": 1, "page-size": 1, "total-items": len(made) if total is None else total}
    numbers = "".join(f'<{name} type="integer">{value}</{name}>' for name, value in head.items())
    listed = "".join(f"<dispute>{each}</dispute>" for each in made)
    return 200, f'<disputes type="collection">{numbers}{listed}</disputes>'


def test_open_disputes_are_searched_for_and_pages_are_turned():
    house = House(disputes(dispute(), total=2), disputes(dispute(id="d2"), total=2))
    assert [each.id for each in house.vault.disputes(True)] == ["d1", "d2"]
    assert house.sent == [f"POST /disputes/advanced_search?page={page}" for page in (1, 2)]
    assert '<status type="array"><item>open</item></status>' in house.bodies[0]


def test_all_disputes_are_of_every_status():
    house = House(disputes(dispute()))
    assert house.vault.disputes(False) == [DISPUTE]
    for status in ("open", "won", "lost", "under_review", "auto_accepted"):
        assert f"<item>{status}</item>" in house.bodies[0]


def test_a_dispute_is_found_or_not():
    assert House((200, xml("dispute", dispute()))).vault.dispute("d1") == DISPUTE
    assert House(NOT_FOUND).vault.dispute("d1") is None


def test_a_dispute_is_accepted_defended_and_finalized():
    house = House((200, ""), (201, xml("evidence", "<id>e1</id><comment>it came</comment>")), (200, ""))
    house.vault.accept_dispute("d1")
    house.vault.add_evidence("d1", "it <came>")
    house.vault.finalize_dispute("d1")
    assert house.sent == ["PUT /disputes/d1/accept", "POST /disputes/d1/evidence", "PUT /disputes/d1/finalize"]
    assert "<comments>it &lt;came&gt;</comments>" in house.bodies[1]


@pytest.mark.parametrize("step", ["accept_dispute", "finalize_dispute"])
def test_a_dispute_that_is_not_open_any_more_says_so(step):
    answer = refusal(error("95704", "status"), place=("dispute",))
    with pytest.raises(GatewayRefused, match="95704: This dispute is not open any more"):
        getattr(House(answer).vault, step)("d1")


def test_empty_evidence_is_not_sent():
    house = House((200, ""))
    with pytest.raises(GatewayRefused, match="blank"):
        house.vault.add_evidence("d1", "  \n")
    assert house.sent == []
