"""Orders follow what Stripe says of their sessions and payments, whatever of it is heard, and in which order."""

import random
from collections.abc import Callable

import pytest

from tests.money.shop import ONCE, Shop, adds_up, one_paid_order
from tests.world import World


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop with orders kept."""
    return Shop(world)


async def test_a_purchase_becomes_one_paid_order_with_one_breakdown(shop: Shop) -> None:
    """The usual way: begun by us, paid at once, with each number of it and where that came from."""
    order_id, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    row = one_paid_order(shop, order_id)
    (payment,) = shop.payments()
    stripe = shop.stripe.get(session)
    assert (row["subscription_id"], row["customer_id"]) == (stripe["subscription"], stripe["customer"])
    assert payment["invoice_id"] == stripe["invoice"]
    assert (payment["provider_fee"], payment["net"]) == (85, 1815)
    assert payment["sources"]["total"] == "invoice"
    assert payment["sources"]["net"] == "balance_transaction"


async def test_a_one_time_payment_is_an_order_without_a_service(shop: Shop) -> None:
    """Its numbers are its session's, and nothing is provisioned for it."""
    order_id, session = await shop.begin(ONCE)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    one_paid_order(shop, order_id, total=5000)
    (payment,) = shop.payments()
    assert payment["sources"]["total"] == "session"
    assert payment["payment_intent_id"] == shop.stripe.get(session)["payment_intent"]
    assert shop.world.sql("SELECT 1 AS found FROM services") == []


@pytest.mark.parametrize("price", ["price_basic_monthly", ONCE])
@pytest.mark.parametrize("seed", range(6))
async def test_events_lost_doubled_and_reordered_leave_one_paid_order(shop: Shop, price: str, seed: int) -> None:
    """Some never come, some twice, none in its place; a sweep fetches the rest."""
    noise = random.Random(seed)  # noqa: S311 - a test's own order of things
    order_id, session = await shop.begin(price)
    shop.stripe.complete_checkout(session, "ada@example.com")
    told = [event for event in shop.stripe.undelivered() if noise.random() < 0.6]
    for event in shop.stripe.undelivered():
        if event not in told:
            shop.stripe.drop(event)
    told += [event for event in told if noise.random() < 0.5]
    noise.shuffle(told)
    await shop.hear(told)
    await shop.sweep()
    one_paid_order(shop, order_id, total=1900 if price != ONCE else 5000)


async def test_nothing_to_pay_is_paid(shop: Shop) -> None:
    """A trial asks for no money at first: the order is paid, and the first money comes as its first payment."""
    order_id, session = await shop.begin()
    shop.stripe._requested[session]["subscription_data"]["trial_period_days"] = 14
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    row = shop.order(order_id)
    assert (row["state"], row["total"], shop.payments()) == ("paid", 0, [])
    assert shop.steps()[-1] == ("succeeded", "nothing_to_pay")
    shop.stripe.renew(row["subscription_id"])
    await shop.hear()
    (payment,) = shop.payments(order_id)
    adds_up(payment)
    assert shop.order(order_id)["state"] == "paid"


async def test_a_bank_debit_is_paying_until_its_money_comes(shop: Shop) -> None:
    """Complete and unpaid: under way; paid days later, by one and the same attempt."""
    for price in ("price_basic_monthly", ONCE):
        order_id, session = await shop.begin(price)
        shop.stripe.complete_checkout(session, "ada@example.com", payment="processing")
        await shop.hear()
        assert shop.order(order_id)["state"] == "paying"
        assert [payment["state"] for payment in shop.payments(order_id)] == ["processing"]
        shop.stripe.settle_checkout(session)
        await shop.hear()
        row = shop.order(order_id)
        assert (row["state"], row["attempt"]) == ("paid", 1)
        (payment,) = shop.payments(order_id)
        adds_up(payment)


async def test_a_bank_debit_that_fails_fails_the_order_until_the_bill_is_paid(shop: Shop) -> None:
    """The buyer is shown where to pay; when they do, the order is paid all the same, and said to be late."""
    order_id, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com", payment="processing")
    await shop.hear()
    shop.stripe.settle_checkout(session, ok=False)
    await shop.hear()
    row = shop.order(order_id)
    invoice = shop.stripe.get(session)["invoice"]
    assert (row["state"], row["hosted_invoice_url"]) == ("failed", f"https://invoice.stripe.com/i/{invoice}")
    (payment,) = shop.payments()
    assert (payment["state"], payment["failure_code"]) == ("failed", "card_declined")
    shop.stripe.pay_invoice(invoice)
    await shop.hear()
    row = one_paid_order(shop, order_id)
    assert row["hosted_invoice_url"] is None
    (late,) = shop.world.sql("SELECT detail FROM order_steps WHERE fact = 'paid'")
    assert late["detail"] == {"late": True}


async def test_an_expired_page_expires_the_order(shop: Shop) -> None:
    """Nobody paid in time; what Stripe forgot to tell, the order's own date finds out."""
    for told in (True, False):
        order_id, session = await shop.begin()
        event = shop.stripe.expire_checkout(session) and shop.stripe.events[-1]
        if told:
            await shop.hear()
        else:
            shop.stripe.drop(event)
            shop.world.sql("INSERT INTO due (kind, key, lane) VALUES ('order', %s, 'stripe')", order_id)
            await shop.rest()
        row = shop.order(order_id)
        assert (row["state"], row["session_url"]) == ("expired", None)
        assert shop.due() == []


async def test_an_order_whose_session_was_never_made_ends_with_its_date(shop: Shop) -> None:
    """A crash before Stripe was asked: it is looked for, and there is none."""
    order_id, session = await shop.begin(session_id=None, session_url=None)
    shop.stripe.sessions.drop(session)
    shop.world.sql("UPDATE orders SET expires_at = now() - interval '1 hour'")
    shop.world.sql("INSERT INTO due (kind, key, lane) VALUES ('order', %s, 'stripe')", order_id)
    await shop.rest()
    assert shop.order(order_id)["state"] == "expired"


async def test_a_session_whose_answer_was_lost_is_found_by_its_event(shop: Shop) -> None:
    """The order has no session, and the session names the order that asked for it."""
    order_id, session = await shop.begin(session_id=None, session_url=None)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    assert one_paid_order(shop, order_id)["session_id"] == session


async def test_a_move_that_the_table_does_not_have_is_a_persons_turn(shop: Shop) -> None:
    """Cancelled here, and completed at Stripe with nothing to pay: neither is believed over the other."""
    order_id, session = await shop.begin()
    shop.world.sql("UPDATE orders SET state = 'expired', ended_at = now(), cancelled = true")
    shop.stripe._requested[session]["subscription_data"]["trial_period_days"] = 14
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    assert shop.order(order_id)["state"] == "expired"
    (row,) = shop.due()
    assert row["parked_reason"] == "order_move_unknown"
    assert "nothing_to_pay" in row["problems"][0]["detail"]
    await shop.hear(shop.stripe.events_of("checkout.session.completed"))
    assert shop.steps() == [("started", "started"), ("failed", "nothing_to_pay")]


async def test_a_page_that_stripe_does_not_end_is_asked_about_less_and_less(shop: Shop) -> None:
    """Long past its date and open all the same: it waits, and nothing has failed."""
    order_id, _ = await shop.begin()
    shop.world.sql("UPDATE orders SET expires_at = now() - interval '20 hours'")
    shop.stripe.set(shop.order()["session_id"], expires_at=shop.stripe.now() - 20 * 3600)
    shop.world.sql("INSERT INTO due (kind, key, lane) VALUES ('order', %s, 'stripe')", order_id)
    async with shop.world.bridge(ORDERS="on") as bridge:
        await bridge.drain(deadline=float("inf"))
    (row,) = shop.world.sql("SELECT waits_for, attempts, due_at > now() + interval '19 hours' AS later FROM due")
    assert row == {"waits_for": "page_open", "attempts": 0, "later": True}


# --- begun by somebody else -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["price_basic_monthly", ONCE])
async def test_a_payment_link_becomes_a_learnt_order(shop: Shop, price: str) -> None:
    """A purchase that we did not begin is kept like one that we did."""
    session = shop.link(price)
    shop.stripe.complete_checkout(session, "ada@example.com", "Ada")
    await shop.hear()
    row = one_paid_order(shop, total=1900 if price != ONCE else 5000)
    assert (row["origin"], row["session_id"], row["billing_plan_id"]) == ("learnt", session, price)
    assert (row["email"], row["name"], row["buyer"]) == ("ada@example.com", "Ada", None)


async def test_an_abandoned_payment_link_is_no_order(shop: Shop) -> None:
    """Nothing was bought."""
    shop.stripe.expire_checkout(shop.link())
    await shop.hear()
    assert shop.world.sql("SELECT 1 AS found FROM orders") == []


async def test_nobody_takes_an_order_over_with_a_typed_reference(shop: Shop) -> None:
    """`client_reference_id` of a Payment Link is the buyer's own word: the order that it names is not touched."""
    order_id, _ = await shop.begin()
    theirs = shop.link(client_reference_id=order_id)
    shop.stripe.complete_checkout(theirs, "eve@example.com")
    await shop.hear()
    row = shop.order(order_id)
    assert (row["state"], row["customer_id"]) == ("pending", None)
    (learnt,) = shop.world.sql("SELECT * FROM orders WHERE origin = 'learnt'")
    assert (learnt["state"], learnt["session_id"], learnt["client_reference"]) == ("paid", theirs, order_id)


async def test_a_subscription_without_a_session_is_learnt_from_its_bill(shop: Shop) -> None:
    """Made in Stripe's dashboard, say: once it is certain that no session began it."""
    customer = shop.world.customer()
    subscription = shop.world.buy(customer, created=shop.stripe.now() - 3600)
    await shop.hear()
    row = one_paid_order(shop)
    assert (row["origin"], row["subscription_id"], row["session_id"]) == ("learnt", subscription, None)


async def test_a_bill_that_comes_before_its_session_makes_no_second_order(shop: Shop) -> None:
    """The invoice is heard of at once, the session later: the invoice waits for it."""
    session = shop.link()
    shop.stripe.complete_checkout(session, "ada@example.com")
    events = shop.stripe.undelivered()
    sessions = [event for event in events if event["type"].startswith("checkout.")]
    await shop.hear([event for event in events if event not in sessions])
    await shop.hear(sessions)
    shop.world.hurry()
    await shop.rest()
    assert one_paid_order(shop)["session_id"] == session


async def test_a_subscription_from_before_is_paid_and_told_as_nothing_new(shop: Shop) -> None:
    """Orders were switched on in the middle of its life: its renewal is a payment of an order that was paid."""
    subscription = shop.world.buy(shop.world.customer(), created=shop.stripe.now() - 40 * 86400)
    for event in shop.stripe.undelivered():
        shop.stripe.mark_delivered(event)
    shop.stripe.renew(subscription, created=shop.stripe.now() - 3600)
    await shop.hear()
    row = shop.order()
    assert (row["origin"], row["state"], row["subscription_id"]) == ("learnt", "paid", subscription)
    (payment,) = shop.payments()
    adds_up(payment)


async def test_what_stripe_cli_triggers_is_no_order(shop: Shop) -> None:
    """A payment without customer, session and order is nobody's; it makes no noise."""
    intent = shop.stripe._intent(None, 2000, "usd", shop.stripe.now())
    shop.stripe._charge(intent, True, shop.stripe.now())
    await shop.hear()
    assert (shop.world.sql("SELECT 1 AS found FROM orders"), shop.due()) == ([], [])


# --- a payment that was made elsewhere --------------------------------------------------------------------------------


async def test_a_payment_made_elsewhere_pays_the_order_that_it_names(shop: Shop) -> None:
    """The shop's own page takes the money by a PaymentIntent of its own, and says for which order."""
    order_id, _ = await shop.begin(ONCE)
    intent = shop.stripe._intent(None, 5000, "eur", shop.stripe.now())
    shop.stripe.set(intent["id"], metadata={"order_id": order_id})
    shop.stripe._charge(intent, True, shop.stripe.now())
    await shop.hear()
    row = shop.order(order_id)
    assert row["state"] == "paid"
    (payment,) = shop.payments()
    adds_up(payment)
    assert payment["payment_intent_id"] == intent["id"]


def elsewhere(shop: Shop, order_id: str, amount: int = 5000) -> str:
    """Somebody with a key takes money by a PaymentIntent of their own, and names an order of ours; its id."""
    intent = shop.stripe._intent(shop.order(order_id)["customer_id"], amount, "eur", shop.stripe.now())
    shop.stripe.set(intent["id"], metadata={"order_id": order_id})
    shop.stripe._charge(intent, True, shop.stripe.now())
    return str(intent["id"])


def asked(shop: Shop) -> list[tuple[str, str]]:
    """(reason, key) of what waits for a person."""
    return [(row["parked_reason"], row["key"]) for row in shop.due() if row["parked_reason"]]


@pytest.mark.parametrize("first", ["the page", "elsewhere"])
async def test_money_that_comes_twice_is_a_payment_and_a_persons_turn(shop: Shop, first: str) -> None:
    """Both are payments of the order, each with its own numbers; what came too much is asked about until it is back."""
    order_id, session = await shop.begin(ONCE)
    ways: list[Callable[[], object]] = [
        lambda: shop.stripe.complete_checkout(session, "ada@example.com"),
        lambda: elsewhere(shop, order_id, 6000),
    ]
    for pay in ways if first == "the page" else reversed(ways):
        pay()
        await shop.hear()
    row = shop.order(order_id)
    one, two = shop.payments(order_id)
    for payment in (one, two):
        adds_up(payment)
    assert {one["paid"], two["paid"]} == {5000, 6000}
    assert row["state"] == "paid"
    assert asked(shop) == [("paid_twice", two["payment_intent_id"])]
    (parked,) = [due for due in shop.due() if due["parked_reason"]]
    assert f"{two['paid'] / 100:.2f} EUR" in parked["problems"][0]["detail"]
    await shop.sweep()
    assert asked(shop) == [("paid_twice", two["payment_intent_id"])]
    part = shop.stripe.refund(two["payment_intent_id"], 1000)
    await shop.hear()
    assert asked(shop) == [("paid_twice", two["payment_intent_id"])]
    shop.stripe.refund(two["payment_intent_id"])
    await shop.hear()
    assert asked(shop) == []
    assert shop.order()["state"] == "paid"
    shop.stripe.fail_refund(part["id"])
    await shop.hear()
    assert asked(shop) == [("paid_twice", two["payment_intent_id"])]


async def test_what_a_lost_dispute_took_may_come_again(shop: Shop) -> None:
    """A buyer whose bank took the money back pays once more: the debt is paid once, and nobody is asked."""
    order_id, session = await shop.begin(ONCE)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    await shop.hear()
    intent = elsewhere(shop, order_id)
    await shop.hear()
    assert asked(shop) == [("paid_twice", intent)]
    shop.stripe.close_dispute(dispute["id"], "lost")
    await shop.hear()
    assert asked(shop) == []
    shop.stripe.close_dispute(dispute["id"], "won")
    await shop.hear()
    assert asked(shop) == [("paid_twice", intent)]


async def test_money_for_what_was_refunded_is_a_persons_turn(shop: Shop) -> None:
    """No order comes back to life by it; once it is refunded at Stripe, too, nobody is asked any more."""
    order_id, session = await shop.begin(ONCE)
    shop.stripe.complete_checkout(session, "ada@example.com")
    shop.stripe.refund(session)
    await shop.hear()
    intent = elsewhere(shop, order_id)
    await shop.hear()
    assert (shop.order()["state"], asked(shop)) == ("refunded", [("payment_unfit", intent)])
    shop.stripe.refund(intent)
    await shop.sweep()
    assert (shop.order()["state"], len(shop.payments()), asked(shop)) == ("refunded", 1, [])


@pytest.mark.parametrize("wrong", ["amount", "currency", "customer", "nobody", "subscription"])
async def test_a_payment_that_does_not_fit_the_order_it_names_is_not_believed(shop: Shop, wrong: str) -> None:
    """Too little, another currency or customer, no order of ours, one that its invoices pay: it is asked about."""
    order_id, _ = await shop.begin("price_basic_monthly" if wrong == "subscription" else ONCE)
    if wrong == "customer":
        shop.world.sql("UPDATE orders SET customer_id = 'cus_other'")
    intent = shop.stripe._intent(
        shop.world.customer(),
        4999 if wrong == "amount" else 5000,
        "usd" if wrong == "currency" else "eur",
        shop.stripe.now(),
    )
    named = "6b1f2f0e-0000-4000-8000-000000000000" if wrong == "nobody" else order_id
    shop.stripe.set(intent["id"], metadata={"order_id": named})
    shop.stripe._charge(intent, True, shop.stripe.now())
    await shop.hear()
    assert (shop.order(order_id)["state"], shop.payments()) == ("pending", [])
    assert asked(shop) == ([] if wrong == "nobody" else [("payment_unfit", intent["id"])])


# --- attempts ---------------------------------------------------------------------------------------------------------


async def test_the_failure_of_an_older_attempt_changes_nothing(shop: Shop) -> None:
    """Two attempts of one order: the first is heard to fail when the second is under way."""
    order_id, _ = await shop.begin(ONCE)
    intents = []
    for status in ("processing", "processing"):
        intent = shop.stripe._intent(None, 5000, "eur", shop.stripe.now())
        shop.stripe.set(intent["id"], metadata={"order_id": order_id}, status=status)
        intents.append(intent)
        shop.stripe.emit("payment_intent.processing", intent)
        await shop.hear()
    shop.stripe._charge(intents[0], False, shop.stripe.now())
    await shop.hear()
    assert [payment["state"] for payment in shop.payments()] == ["failed", "processing"]
    assert shop.order(order_id)["state"] == "pending"  # its page is open all the while
    shop.stripe._charge(intents[1], True, shop.stripe.now())
    await shop.hear()
    assert shop.order(order_id)["state"] == "paid"


async def test_declined_on_the_page_and_paid_on_the_page_is_one_attempt(shop: Shop) -> None:
    """A card is declined while the page is open: the order waits, and the same PaymentIntent pays it."""
    order_id, session = await shop.begin(ONCE)
    intent = shop.stripe._intent(None, 5000, "eur", shop.stripe.now())
    shop.stripe.set(session, payment_intent=intent["id"])
    shop.stripe._charge(intent, False, shop.stripe.now())
    await shop.hear()
    assert (shop.order(order_id)["state"], [p["state"] for p in shop.payments()]) == ("pending", ["failed"])
    shop.stripe._charge(intent, True, shop.stripe.now())
    shop.stripe.set(session, status="complete", payment_status="paid", url=None)
    shop.stripe.emit("checkout.session.completed", shop.stripe.get(session))
    await shop.hear()
    one_paid_order(shop, order_id, total=5000)
