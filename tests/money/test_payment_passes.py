"""Payments: one for each PaymentIntent, with numbers that are frozen once, as soon as all of them are there."""

from decimal import Decimal
from typing import Any

import pytest

from lib.model.money import OrderState
from tests.money.shop import BASIC, ONCE, Shop, adds_up, one_paid_order
from tests.money.till import past
from tests.world import World


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop with orders kept."""
    return Shop(world)


async def bought(shop: Shop, price: str = BASIC, **columns: Any) -> tuple[str, dict[str, Any]]:
    """A paid purchase: (order, its session at Stripe). Nothing of it has been heard of yet."""
    order_id, session = await shop.begin(price, **columns)
    shop.stripe.complete_checkout(session, "ada@example.com")
    return order_id, shop.stripe.get(session)


def money_of(shop: Shop, session: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(invoice, charge, balance transaction) behind a session of a subscription."""
    charge = shop.stripe.charge_of(session["invoice"])
    return shop.stripe.get(session["invoice"]), charge, shop.stripe.get(charge["balance_transaction"])


async def test_numbers_that_are_not_there_yet_are_waited_for(shop: Shop) -> None:
    """The money came and Stripe has not said what it took: the order is paid, the numbers follow."""
    shop.stripe.late_balance_transactions = True
    order_id, session = await bought(shop)
    await shop.hear()
    assert shop.order(order_id)["state"] == "paid"
    assert [payment["settled_at"] for payment in shop.payments()] == [None]
    waiting = [row for row in shop.due() if row["waits_for"] == "balance_transaction"]
    assert waiting
    assert {(row["attempts"], row["parked_reason"]) for row in waiting} == {(0, None)}
    shop.stripe.settle_balance(shop.stripe.charge_of(session["invoice"])["id"])
    await shop.rest()  # whether or not `charge.updated` is heard
    one_paid_order(shop, order_id)


async def test_renewals_and_upgrades_are_payments_of_the_same_order(shop: Shop) -> None:
    """One order for the whole line; each bill a payment of it, with the numbers of its own."""
    order_id, session = await bought(shop)
    await shop.hear()
    shop.stripe.renew(session["subscription"])
    await shop.hear()
    shop.stripe.change_items(session["subscription"], price="price_big_monthly", invoice="paid")
    await shop.hear()
    found = shop.payments(order_id)
    assert [payment["attempt"] for payment in found] == [1, 2, 3]
    for payment in found:
        adds_up(payment)
    assert len({payment["invoice_id"] for payment in found}) == 3
    row = shop.order()
    assert (row["state"], row["attempt"]) == ("paid", 3)
    assert shop.steps()[-1] == ("succeeded", "paid")


async def test_a_renewal_that_fails_shows_where_to_pay(shop: Shop) -> None:
    """The order stays paid; the buyer's page is with it until the bill is paid, by the same attempt."""
    order_id, session = await bought(shop)
    await shop.hear()
    subscription = session["subscription"]
    shop.stripe.fail_payment(subscription)
    await shop.hear()
    row, open_bill = shop.order(order_id), shop.stripe.open_invoice(subscription)
    assert (row["state"], row["hosted_invoice_url"]) == ("paid", open_bill["hosted_invoice_url"])
    assert [payment["state"] for payment in shop.payments()] == ["succeeded", "failed"]
    shop.stripe.fail_payment(subscription, retry=True)
    await shop.hear()
    shop.stripe.pay_open_invoice(subscription)
    await shop.hear()
    assert [payment["state"] for payment in shop.payments()] == ["succeeded", "succeeded"]
    assert shop.order()["hosted_invoice_url"] is None


async def test_a_payment_that_the_bank_asks_about_waits_for_the_buyer(shop: Shop) -> None:
    """3DS: the payment says so, and the order carries the page on which to confirm it."""
    order_id, session = await bought(shop)
    await shop.hear()
    invoice = shop.stripe.renew(session["subscription"], "open") and shop.stripe.open_invoice(session["subscription"])
    link = next(shop.stripe.invoice_payments.newest_first({"invoice": invoice["id"]}))
    shop.stripe.set(link["payment"]["payment_intent"], status="requires_action")
    shop.stripe.emit("invoice.payment_action_required", invoice)
    await shop.hear()
    assert shop.payments()[-1]["state"] == "action_required"
    assert shop.order(order_id)["hosted_invoice_url"] == invoice["hosted_invoice_url"]


@pytest.mark.parametrize(("currency", "amount"), [("jpy", 1900), ("kwd", 19000), ("isk", 190000), ("eur", 1)])
async def test_amounts_are_minor_units_of_any_currency(shop: Shop, currency: str, amount: int) -> None:
    """Without digits behind the point, with three, and with two that are always zero."""
    shop.stripe.create_price("price_there", amount=amount, currency=currency)
    order_id, session = await bought(shop, "price_there")
    _, charge, balance = money_of(shop, session)
    shop.stripe.set(balance["id"], fee=min(balance["fee"], amount), net=amount - min(balance["fee"], amount))
    await shop.hear()
    row = one_paid_order(shop, order_id, total=amount)
    (payment,) = shop.payments()
    assert (row["currency"], payment["currency"], payment["gross"]) == (currency, currency, charge["amount"])


async def test_tax_and_discount_are_told_apart(shop: Shop) -> None:
    """20 % on top of what a discount left, and what of it the prices contained."""
    order_id, session = await bought(shop)
    invoice, charge, balance = money_of(shop, session)
    tax = [{"amount": 320, "tax_behavior": "exclusive"}, {"amount": 10, "tax_behavior": "inclusive"}]
    numbers = {"subtotal": 1900, "total": 1920, "amount_due": 1920, "amount_paid": 1920}
    shop.stripe.set(invoice["id"], **numbers, total_taxes=tax, total_discount_amounts=[{"amount": 300}])
    link = next(shop.stripe.invoice_payments.newest_first({"invoice": invoice["id"]}))
    shop.stripe.set(link["id"], amount_paid=1920)
    shop.stripe.set(link["payment"]["payment_intent"], amount=1920, amount_received=1920)
    shop.stripe.set(charge["id"], amount=1920)
    shop.stripe.set(balance["id"], amount=1920, net=1920 - balance["fee"])
    shop.stripe.set(session["id"], amount_total=1920)
    await shop.hear()
    one_paid_order(shop, order_id, total=1920)
    (payment,) = shop.payments()
    assert [payment[name] for name in ("subtotal", "discount", "tax", "tax_included")] == [1900, 300, 330, 10]


async def test_what_the_buyer_saw_and_the_exchange_are_kept(shop: Shop) -> None:
    """Sold in euro, shown in zloty, added to the balance in crowns: each number with its currency and its source."""
    order_id, session = await bought(shop, ONCE)
    charge = shop.stripe.charge_of(session["payment_intent"])
    shop.stripe.set(session["id"], presentment_details={"presentment_amount": 21500, "presentment_currency": "pln"})
    crowns = {"currency": "sek", "amount": 55000, "fee": 2000, "net": 53000, "exchange_rate": 11.0}
    shop.stripe.set(charge["balance_transaction"], **crowns)
    await shop.hear()
    one_paid_order(shop, order_id, total=5000)
    (payment,) = shop.payments()
    assert (payment["presentment_amount"], payment["presentment_currency"]) == (21500, "pln")
    assert (payment["gross"], payment["net"], payment["balance_currency"]) == (55000, 53000, "sek")
    assert payment["exchange_rate"] == Decimal(11)
    assert payment["sources"]["presentment"] == "session"


async def test_numbers_that_contradict_each_other_are_not_frozen(shop: Shop) -> None:
    """The order is paid all the same; a person is asked, with both numbers, and once they fit it goes on by itself."""
    order_id, session = await bought(shop)
    _, _, balance = money_of(shop, session)
    shop.stripe.set(balance["id"], amount=1800, net=1715)
    await shop.hear()
    assert shop.order(order_id)["state"] == "paid"
    (parked,) = shop.due()
    assert (parked["parked_reason"], parked["key"]) == (
        "payment_numbers_differ",
        shop.payments()[0]["payment_intent_id"],
    )
    assert "1800" in parked["problems"][0]["detail"]
    assert [payment["settled_at"] for payment in shop.payments()] == [None]
    shop.stripe.set(balance["id"], amount=1900, net=1815)
    await shop.sweep()
    one_paid_order(shop, order_id)


async def test_a_later_change_rewrites_nothing(shop: Shop) -> None:
    """Frozen is frozen: a credit note, another fee or another tax of the invoice later leaves the numbers alone."""
    order_id, session = await bought(shop)
    await shop.hear()
    before = shop.payments(order_id)
    invoice, charge, balance = money_of(shop, session)
    shop.stripe.set(invoice["id"], total=1500, amount_paid=1500, post_payment_credit_notes_amount=400)
    shop.stripe.set(balance["id"], fee=900, net=1000)
    shop.stripe.emit("credit_note.created", {"id": "cn_1", "object": "credit_note", "invoice": invoice["id"]})
    shop.stripe.emit("charge.updated", charge)
    shop.stripe.emit("invoice.paid", invoice)
    await shop.hear()
    assert shop.payments(order_id) == before


async def test_a_bill_that_a_credit_note_lowered_adds_up(shop: Shop) -> None:
    """Less came than the total says: the rest of it is what the credit note took off."""
    order_id, session = await bought(shop)
    await shop.hear()
    invoice = shop.stripe.renew(session["subscription"], "open") and shop.stripe.open_invoice(session["subscription"])
    link = next(shop.stripe.invoice_payments.newest_first({"invoice": invoice["id"]}))
    shop.stripe.set(link["payment"]["payment_intent"], amount=1500)
    shop.stripe.set(invoice["id"], amount_due=1500, amount_remaining=1500, pre_payment_credit_notes_amount=400)
    shop.stripe.pay_open_invoice(session["subscription"])
    await shop.hear()
    payment = shop.payments(order_id)[-1]
    adds_up(payment)
    assert (payment["total"], payment["paid"], payment["gross"]) == (1900, 1500, 1500)


def came(shop: Shop, order_id: str | None = None) -> list[dict[str, Any]]:
    """The payments that brought money, oldest first."""
    return [payment for payment in shop.payments(order_id) if payment["state"] == "succeeded"]


async def open_bill(shop: Shop, session: dict[str, Any]) -> str:
    """The next bill of a subscription, which waits for its money."""
    shop.stripe.renew(session["subscription"], "open")
    await shop.hear()
    return str(shop.stripe.open_invoice(session["subscription"])["id"])


async def test_a_bill_that_was_paid_outside_of_stripe_costs_no_fee(shop: Shop) -> None:
    """Marked as paid by hand: a payment without a PaymentIntent, of which the provider took nothing; told of once."""
    order_id, session = await bought(shop)
    await shop.hear()
    shop.stripe.pay_out_of_band(await open_bill(shop, session))
    await shop.hear()
    payment, asked = sorted(shop.payments(order_id)[1:], key=lambda one: one["payment_intent_id"] or "")
    adds_up(payment)
    assert (asked["state"], asked["settled_at"]) == ("canceled", None)
    assert (payment["payment_intent_id"], payment["charge_id"], payment["provider_fee"]) == (None, None, 0)
    assert (payment["paid"], payment["net"], payment["sources"]["paid"]) == (1900, 1900, "invoice")
    before = shop.books()
    await shop.hear(shop.stripe.events_of("invoice.paid"))
    assert shop.books() == before
    assert shop.order()["state"] == "paid"


async def test_a_bill_that_an_old_charge_paid_is_a_payment_by_that_charge(shop: Shop) -> None:
    """Without a PaymentIntent, as before 2019: with the fee that Stripe took, and with what is refunded of it."""
    order_id, session = await bought(shop)
    await shop.hear()
    invoice = await open_bill(shop, session)
    charge = shop.stripe.pay_by_charge(invoice)
    await shop.hear()
    payment = came(shop, order_id)[-1]
    adds_up(payment)
    assert (payment["payment_intent_id"], payment["charge_id"], payment["invoice_id"]) == (None, charge["id"], invoice)
    assert (payment["paid"], payment["provider_fee"]) == (1900, 85)
    assert shop.due() == []
    shop.stripe.refund(charge["id"])
    await shop.hear()
    (refund,) = shop.books()["refunds"]
    assert (refund["payment_id"], refund["invoice_id"]) == (payment["payment_id"], invoice)
    assert (refund["subscription_id"], refund["invoice_paid"]) == (session["subscription"], 1900)


async def test_a_charge_that_had_no_numbers_gets_them(shop: Shop) -> None:
    """A bill of which an earlier version knew only that a charge had paid it: the same payment, with its numbers."""
    order_id, session = await bought(shop)
    await shop.hear()
    charge = shop.stripe.pay_by_charge(await open_bill(shop, session))
    await shop.hear()
    shop.world.sql("ALTER TABLE payments DISABLE TRIGGER payments_keep_their_numbers")
    shop.world.sql(
        "UPDATE payments SET charge_id = NULL, settled_at = NULL, subtotal = NULL, discount = NULL, tax = NULL,"
        " tax_included = NULL, shipping = NULL, total = NULL, paid = NULL, gross = NULL, provider_fee = NULL,"
        " net = NULL, balance_currency = NULL WHERE charge_id = %s",
        charge["id"],
    )
    shop.world.sql("ALTER TABLE payments ENABLE TRIGGER payments_keep_their_numbers")
    shop.stripe.emit("invoice.paid", shop.stripe.get(shop.payments()[-1]["invoice_id"]))
    await shop.hear()
    rows = came(shop, order_id)
    assert [payment["charge_id"] for payment in rows][1:] == [charge["id"]]
    adds_up(rows[-1])


@pytest.mark.parametrize("heard", ["each", "late"])
async def test_a_bill_that_several_payments_pay_has_them_all(shop: Shop, heard: str) -> None:
    """Two PaymentIntents, an old charge and the rest by hand: each with its part, and together what the bill asked."""
    order_id, session = await bought(shop)
    await shop.hear()
    invoice = await open_bill(shop, session)
    shop.stripe.pay_part(invoice, 300)
    if heard == "each":
        await shop.hear()
        assert [row["waits_for"] for row in shop.due() if row["kind"] == "payment"] == ["rest_of_bill"]
    shop.stripe.pay_part(invoice, 400)
    shop.stripe.pay_by_charge(invoice, 500)
    shop.stripe.pay_out_of_band(invoice)
    await shop.hear()
    await shop.hear(shop.stripe.events_of("invoice.paid"))
    parts = [payment for payment in came(shop, order_id) if payment["invoice_id"] == invoice]
    for payment in parts:
        adds_up(payment)
        assert (payment["total"], payment["part"]) == (1900, False)
    assert sorted(payment["paid"] for payment in parts) == [300, 400, 500, 700]
    assert {payment["provider_fee"] for payment in parts if payment["paid"] == 700} == {0}
    assert shop.order(order_id)["state"] == "paid"
    assert shop.due() == []


async def test_a_part_of_the_first_bill_pays_no_order(shop: Shop) -> None:
    """The order is paying until all of its bill has come; nobody is told before."""
    customer = shop.world.customer()
    begun = shop.stripe.now() - 3600
    sub = shop.stripe.subscribe(customer, [BASIC], collection_method="send_invoice", days_until_due=7, created=begun)
    invoice = str(sub["latest_invoice"])
    shop.stripe.pay_part(invoice, 1000)
    await shop.hear()
    row = shop.order()
    assert (row["state"], row["paid_at"]) == ("paying", None)
    shop.stripe.pay_part(invoice, 900)
    events = [event for event in shop.stripe.undelivered() if event["type"] != "invoice.paid"]
    for event in shop.stripe.events_of("invoice.paid"):
        shop.stripe.drop(event)
    await shop.hear(events)
    await shop.rest()
    assert shop.order()["state"] == "paid"
    assert [payment["paid"] for payment in came(shop)] == [1000, 900]


async def test_one_of_several_payments_given_back_is_no_refunded_bill(shop: Shop) -> None:
    """With ON_REFUND=suspend the hosting stays until all that paid the bill went back; one that failed counts not."""
    customer = shop.world.customer()
    begun = shop.stripe.now() - 3600
    sub = shop.stripe.subscribe(customer, [BASIC], collection_method="send_invoice", days_until_due=7, created=begun)
    first, second = [shop.stripe.pay_part(str(sub["latest_invoice"]), part) for part in (1000, 900)]

    async def holds() -> list[str]:
        await shop.hear(ON_REFUND="suspend")
        await shop.world.sync(customer, ON_REFUND="suspend")
        (row,) = shop.world.sql("SELECT holds FROM services")
        return list(row["holds"])

    assert await holds() == []
    back = shop.stripe.refund(first["id"])
    assert await holds() == []
    shop.stripe.refund(second["id"])
    assert await holds() == ["refund"]
    shop.stripe.fail_refund(back["id"])
    assert await holds() == []


# --- sold for somebody else -------------------------------------------------------------------------------------------


async def test_fees_are_those_of_the_start(shop: Shop) -> None:
    """A learnt order bears the tariff that held when it began, with the rule's version; a later one touches nothing."""
    insert = "INSERT INTO fee_rules (kind, percent, fixed, currency, valid_from) VALUES ('platform', %s, 30, 'eur', %s)"
    shop.world.sql(insert, 2.5, "2020-01-01")
    session = shop.link()
    shop.stripe.complete_checkout(session, "ada@example.com")
    shop.world.sql(insert, 9, "2100-01-01")
    await shop.hear()
    (fee,) = shop.order()["fees"]
    assert (fee["kind"], fee["version"], fee["base"], fee["amount"]) == ("platform", 1, 1900, 78)


async def test_the_sellers_money_is_released_after_quiet_days(shop: Shop) -> None:
    """Held when it is paid, releasable at its date, which the order's own row waits for."""
    order_id, _ = await bought(shop, seller_id="acct_1", seller_net=1900)
    await shop.hear()
    row = shop.order(order_id)
    assert row["state"] == OrderState.PAID
    assert row["escrow"] == "held"
    assert (row["releasable_at"] - row["paid_at"]).days == 14
    (waiting,) = shop.due()
    assert (waiting["key"], waiting["waits_for"]) == (order_id, "escrow")
    past(shop.world, 15)
    await shop.rest()
    assert shop.order(order_id)["escrow"] == "releasable"
    assert shop.steps("escrow") == [("succeeded", "releasable")]
    assert shop.due() == []
