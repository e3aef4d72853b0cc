"""What goes to the gateway when money moves, and what a repeat does."""

import pytest

from rtserver.payments.errors import GatewayAway
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import AttemptState, Op
from tests.services.gateway_house import House, attempt, error, refusal, sale, sold, transaction, xml

KEY = "<api_request_key>key-1</api_request_key>"
NO_KEYS = refusal(error("915231", "api_request_key"))
UNKNOWN = AttemptState.UNKNOWN


def body(house):
    [only] = house.bodies
    return only


def test_a_sale_says_what_it_is():
    house = House(sold())
    house.money.sale(sale(nonce="n-1"))
    assert house.sent == ["POST /transactions"]
    assert body(house) == (
        "<transaction><amount>10.00</amount><order_id>a1</order_id><payment_method_nonce>n-1</payment_method_nonce>"
        '<options><submit_for_settlement type="boolean">true</submit_for_settlement></options>'
        f"{KEY}<type>sale</type></transaction>"
    )


def test_a_sale_takes_everything_along():
    house = House(sold())
    made = sale(
        nonce="",
        method="tok_1",
        is_held=True,
        merchant_account="seller_usd",
        customer_id="u_7",
        saves_method=True,
        needs_3d_secure=True,
        device_data='{"x":1}',
        descriptor={"name": "SHOP*THING", "phone": "", "url": "x.example"},
        paypal_description="Thing & <co>",
    )
    house.money.sale(made)
    sent = body(house)
    for part in (
        "<merchant_account_id>seller_usd</merchant_account_id>",
        "<payment_method_token>tok_1</payment_method_token>",
        "<customer_id>u_7</customer_id>",
        "<device_data>{&quot;x&quot;:1}</device_data>",
        "<descriptor><name>SHOP*THING</name><url>x.example</url></descriptor>",
        '<submit_for_settlement type="boolean">false</submit_for_settlement>',
        '<store_in_vault_on_success type="boolean">true</store_in_vault_on_success>',
        '<three_d_secure><required type="boolean">true</required></three_d_secure>',
        "<paypal><description>Thing &amp; &lt;co&gt;</description></paypal>",
    ):
        assert part in sent
    assert "nonce" not in sent


def test_what_the_options_say_of_the_shop_goes_with_every_sale_that_says_nothing_else():
    options = PaymentsOptions(merchant_account="shop_eur", descriptor_name="SHOP*ALL", descriptor_phone="1")
    house = House(sold(), options=options)
    house.money.sale(sale())
    house.money.sale(sale(merchant_account="other", descriptor={"name": "SHOP*ONE"}))
    assert "<merchant_account_id>shop_eur<" in house.bodies[0]
    assert "<descriptor><name>SHOP*ALL</name><phone>1</phone></descriptor>" in house.bodies[0]
    assert "<merchant_account_id>other<" in house.bodies[1]
    assert "<descriptor><name>SHOP*ONE</name></descriptor>" in house.bodies[1]


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1000, "USD", "10.00"), (100000, "USD", "1000.00"), (1000, "JPY", "1000"), (1, "KWD", "0.001")],
)
def test_amounts_are_written_out(amount, currency, text):
    house = House(sold(amount=text, currency_iso_code=currency))
    made = attempt(amount=amount, currency=currency)
    house.money.sale(sale(made=made))
    house.money.settle(made, False)
    house.money.settle(made, True)
    house.money.refund(made)
    house.money.retry_charge(made)
    assert all(f"<amount>{text}</amount>" in sent for sent in house.bodies)


def test_a_descriptor_that_was_given_stays_as_it_was():
    given = {"name": "SHOP*THING"}
    House(sold()).money.sale(sale(descriptor=given))
    assert given == {"name": "SHOP*THING"}


@pytest.mark.parametrize(
    ("op", "request_line", "sent"),
    [
        (
            lambda money: money.settle(attempt(Op.SETTLE), False),
            "PUT /transactions/t1/submit_for_settlement",
            f"<transaction><amount>10.00</amount>{KEY}</transaction>",
        ),
        (
            lambda money: money.settle(attempt(Op.SETTLE), True),
            "POST /transactions/t1/submit_for_partial_settlement",
            f"<transaction><amount>10.00</amount><order_id>a1</order_id>{KEY}</transaction>",
        ),
        (lambda money: money.void(attempt(Op.VOID)), "PUT /transactions/t1/void", f"<transaction>{KEY}</transaction>"),
        (
            lambda money: money.refund(attempt(Op.REFUND)),
            "POST /transactions/t1/refund",
            f"<transaction><amount>10.00</amount><order_id>a1</order_id>{KEY}</transaction>",
        ),
        (
            lambda money: money.retry_charge(attempt(Op.RETRY)),
            "POST /transactions",
            "<transaction><amount>10.00</amount><subscription_id>t1</subscription_id><type>sale</type><options>"
            '<submit_for_settlement type="boolean">true</submit_for_settlement></options></transaction>',
        ),
    ],
)
def test_what_changes_a_payment_says_what_it_is(op, request_line, sent):
    house = House(sold())
    assert op(house.money).state is AttemptState.APPROVED
    assert house.sent == [request_line]
    assert body(house) == sent


# Repeats, with keys and without


def test_a_repeat_with_keys_is_the_identical_request():
    house = House(sold())
    house.money.sale(sale())
    assert house.money.sale(sale(made=attempt(state=UNKNOWN, checks=2))).state is AttemptState.APPROVED
    assert house.bodies[0] == house.bodies[1]


def test_a_merchant_without_keys_is_asked_again_without_one_and_from_then_on_at_once():
    house = House(NO_KEYS, sold())
    assert house.money.sale(sale()).state is AttemptState.APPROVED
    assert not house.money.has_keys
    house.money.sale(sale())
    assert [KEY in sent for sent in house.bodies] == [True, False, False]


@pytest.mark.parametrize("made", [attempt(state=UNKNOWN), attempt(checks=1)])
@pytest.mark.parametrize(
    "op",
    [
        lambda money, made: money.sale(sale(made=made)),
        lambda money, made: money.refund(made),
        lambda money, made: money.settle(made, True),
    ],
)
def test_without_keys_a_repeat_is_never_sent(op, made):
    house = House(NO_KEYS, sold())
    for _ in range(2):
        outcome = op(house.money, made)
        assert (outcome.state, outcome.code) == (UNKNOWN, "915231")
    assert len(house.sent) == 1 and KEY in house.bodies[0]


@pytest.mark.parametrize(
    ("op", "status"),
    [
        (lambda money, made: money.void(made), "voided"),
        (lambda money, made: money.settle(made, False), "submitted_for_settlement"),
        (lambda money, made: money.settle(made, False), "settled"),
    ],
)
def test_without_keys_a_repeat_looks_whether_it_was_done(op, status):
    house = House(NO_KEYS, (200, sold(id="t1", status=status)))
    outcome = op(house.money, attempt(state=UNKNOWN))
    assert (outcome.state, outcome.transaction.status) == (AttemptState.APPROVED, status)
    assert house.sent[1:] == ["GET /transactions/t1"]


def test_without_keys_what_was_not_done_and_does_no_harm_twice_is_done():
    house = House(NO_KEYS, (200, sold(status="authorized")), sold(status="voided"))
    assert house.money.void(attempt(state=UNKNOWN)).state is AttemptState.APPROVED
    assert house.sent[1:] == ["GET /transactions/t1", "PUT /transactions/t1/void"]


def test_a_second_send_that_fails_leaves_it_unknown():
    house = House(NO_KEYS, (500, ""))
    assert house.money.sale(sale()).state is UNKNOWN


def charges(*made):
    listed = "".join(f"<transaction>{each}</transaction>" for each in made)
    inside = "<id>t1</id><status>Past Due</status><price>10.00</price><plan-id>p</plan-id>"
    return 200, xml("subscription", f'{inside}<transactions type="array">{listed}</transactions>')


def test_a_repeated_charge_of_a_subscription_looks_and_never_charges_again():
    sent_at = 1_795_339_400_000
    old = transaction(id="old", created_at="2026-11-22T09:00:00Z")
    other = transaction(id="other", amount="11.00", created_at="2026-11-22T09:25:00Z")
    house = House(charges(old, other))
    made = attempt(Op.RETRY, state=UNKNOWN, sent_at=sent_at)
    assert (house.money.retry_charge(made).state, house.money.retry_charge(made).code) == (UNKNOWN, "not_found")
    house = House(charges(transaction(id="new", created_at="2026-11-22T09:24:00Z"), old))
    outcome = house.money.retry_charge(made)
    assert (outcome.state, outcome.transaction.id) == (AttemptState.APPROVED, "new")
    declined = transaction(id="no", status="processor_declined", processor_response_code="2001")
    outcome = House(charges(declined)).money.retry_charge(made)
    assert (outcome.state, outcome.code) == (AttemptState.DECLINED, "2001")
    assert house.sent == ["GET /subscriptions/t1"]


# Searches


def ids(*found):
    listed = "".join(f"<item>{each}</item>" for each in found)
    return 200, xml("search-results", f'<page-size type="integer">2</page-size><ids type="array">{listed}</ids>')


def page(*made):
    listed = "".join(f"<transaction>{each}</transaction>" for each in made)
    return 200, f'<credit-card-transactions type="collection">{listed}</credit-card-transactions>'


def test_a_search_by_attempt_takes_the_exact_id_only():
    house = House(ids("tx1", "tx2"), page(transaction(), transaction(id="tx2", order_id="A1")))
    assert [each.id for each in house.money.transactions_of("a1")] == ["tx1"]
    assert house.sent == ["POST /transactions/advanced_search_ids", "POST /transactions/advanced_search"]
    assert "<order_id><is>a1</is></order_id>" in house.bodies[0]


def test_a_search_that_finds_nothing_is_empty():
    assert list(House(ids()).money.transactions_of("a1")) == []


def test_a_search_by_time_turns_pages_and_keeps_to_its_span():
    start = 1_795_339_491_000
    early = transaction(id="early", created_at="2026-11-22T09:24:50Z")
    house = House(ids("early", "tx1", "tx3"), page(early, transaction()), page(transaction(id="tx3")))
    found = house.money.transactions_between(start, start + 1)
    assert [each.id for each in found] == ["tx1", "tx3"]
    assert '<min type="datetime">2026-11-22T09:23:51Z</min>' in house.bodies[0]
    assert len(house.sent) == 3


def test_a_search_that_the_gateway_gives_up_is_no_empty_answer():
    with pytest.raises(GatewayAway, match="gateway_408"):
        House((200, "<odd><a>1</a></odd>")).money.transactions_of("a1")
    with pytest.raises(GatewayAway, match="gateway_408"):
        House(ids("tx1"), (200, "<odd><a>1</a></odd>")).money.transactions_of("a1")
