"""What becomes true of money is told to the operator's own systems, once, in the transaction in which it is written."""

import json
from typing import Any

import pytest

from tests.messages.receiver import SECRET
from tests.money.shop import ONCE, Shop
from tests.money.till import past
from tests.world import World

OUT = {"OUTBOX_URL": "http://127.0.0.1:9/events", "OUTBOX_SECRET": SECRET, "OUTBOX_ALLOW_PRIVATE": "1"}
"""Nobody listens there: what is told stays written."""


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop whose operator wants to hear everything."""
    return Shop(world)


def told(shop: Shop) -> list[tuple[str, dict[str, Any]]]:
    """(type, data) of everything about money that was told, oldest first."""
    rows = shop.world.sql("SELECT type, body FROM outbox ORDER BY sequence, id")
    money = [row for row in rows if not row["type"].startswith("service.")]
    return [(row["type"], json.loads(row["body"])["data"]) for row in money]


async def test_a_purchase_is_told_once(shop: Shop) -> None:
    """That its money came and that its order is paid, however often Stripe says it."""
    order_id, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com")
    events = shop.stripe.undelivered()
    await shop.hear(**OUT)
    await shop.hear(events, **OUT)
    by_type = dict(told(shop))
    assert sorted(kind for kind, _ in told(shop)) == ["order.paid", "payment.succeeded"]
    assert by_type["order.paid"]["orderId"] == by_type["payment.succeeded"]["orderId"] == order_id
    assert by_type["order.paid"]["total"] == 1900


async def test_each_failure_is_told_with_where_to_pay(shop: Shop) -> None:
    """A renewal fails twice and is paid then: two failures and the success of one payment."""
    _, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**OUT)
    subscription = shop.stripe.get(session)["subscription"]
    shop.stripe.fail_payment(subscription)
    await shop.hear(**OUT)
    shop.stripe.fail_payment(subscription, retry=True)
    await shop.hear(**OUT)
    shop.stripe.pay_open_invoice(subscription)
    await shop.hear(**OUT)
    renewal = [(kind, data) for kind, data in told(shop) if data.get("attempt") == 2]
    assert [kind for kind, _ in renewal] == ["payment.failed", "payment.failed", "payment.succeeded"]
    failed = renewal[0][1]
    assert failed["hostedInvoiceUrl"].startswith("https://invoice.stripe.com/i/")
    assert failed["failureCode"] == "card_declined"
    assert [kind for kind, _ in told(shop)].count("order.paid") == 1


async def test_a_subscription_from_before_is_not_told_as_a_new_order(shop: Shop) -> None:
    """Outgoing events were switched on in the middle of its life: its renewal is told, and no purchase."""
    subscription = shop.world.buy(shop.world.customer(), created=shop.stripe.now() - 40 * 86400)
    for event in shop.stripe.undelivered():
        shop.stripe.mark_delivered(event)
    shop.stripe.renew(subscription, created=shop.stripe.now() - 3600)
    await shop.hear(**OUT)
    assert [kind for kind, _ in told(shop)] == ["payment.succeeded"]


async def test_the_sellers_money_is_told_when_it_may_be_paid_out(shop: Shop) -> None:
    """With the seller, what is theirs, and where it came from."""
    order_id, session = await shop.begin(ONCE, seller_id="acct_1", seller_net=5000)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**OUT)
    past(shop.world, 15)
    await shop.rest(**OUT)
    (paid,) = shop.payments()
    numbers = {"sellerNet": 5000, "sellerDue": 5000, "came": 5000, "wentBack": 0, "currency": "eur"}
    whose = {"orderId": order_id, "sellerId": "acct_1", "paymentIds": [str(paid["payment_id"])]}
    assert told(shop)[-1] == ("escrow.releasable", {**whose, **numbers})
