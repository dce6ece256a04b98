"""A sweep finds what no event tells of orders, payments and refunds, and asks about nothing more often than it must."""

import pytest

from lib.database import due, unsettled
from lib.errors import Retryable
from lib.kinds import nudge
from tests.money.shop import ONCE, Shop, one_paid_order
from tests.money.test_money_back_passes import give_back, hand
from tests.world import World


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop with orders kept."""
    return Shop(world)


def forget(shop: Shop, age: str = "2 hours") -> None:
    """Nobody ever hears of what has happened, Stripe's list of events has forgotten it, and time has passed."""
    for event in list(shop.stripe.undelivered()):
        shop.stripe.drop(event)
    shop.stripe.events.clear()
    for event_id in list(shop.stripe.tables["event"]):
        shop.stripe.tables["event"].drop(event_id)
    shop.world.sql("DELETE FROM due")
    for table in ("orders", "payments"):
        shop.world.sql(f"UPDATE {table} SET updated_at = updated_at - %s::interval", age)  # noqa: S608
    shop.world.sql("UPDATE refunds SET created_at = created_at - %s::interval", age)


@pytest.mark.parametrize("price", ["price_basic_monthly", ONCE])
async def test_a_purchase_that_nobody_told_of_is_found(shop: Shop, price: str) -> None:
    """The order is ours: its session is read once more."""
    order_id, session = await shop.begin(price)
    shop.stripe.complete_checkout(session, "ada@example.com")
    forget(shop)
    await shop.sweep()
    one_paid_order(shop, order_id, total=1900 if price != ONCE else 5000)


async def test_numbers_that_nobody_told_of_are_found(shop: Shop) -> None:
    """The row that waited for them is gone; the payment is not."""
    shop.stripe.late_balance_transactions = True
    order_id, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    shop.stripe.settle_balance(shop.payments()[0]["charge_id"])
    forget(shop)
    await shop.sweep()
    one_paid_order(shop, order_id)


async def test_a_bill_that_was_paid_later_is_found_within_a_day(shop: Shop) -> None:
    """A failed payment can succeed for weeks: it is asked about once a day, and no more often."""
    order_id, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com", payment="processing")
    await shop.hear()
    shop.stripe.settle_checkout(session, ok=False)
    await shop.hear()
    forget(shop)
    asked = shop.stripe.count("GET", "/v1/payment_intents/.*")
    await shop.sweep()
    assert shop.stripe.count("GET", "/v1/payment_intents/.*") == asked
    shop.stripe.pay_invoice(shop.stripe.get(session)["invoice"])
    forget(shop, "1 day")
    await shop.sweep()
    one_paid_order(shop, order_id)
    await shop.sweep()
    assert shop.stripe.count("GET", "/v1/payment_intents/.*") == asked + 1


async def test_a_refund_whose_row_is_lost_goes_on(shop: Shop) -> None:
    """Asked for, never answered, and the queue knows nothing of it: once, in the end."""
    order_id, session = await shop.begin(ONCE)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    shop.stripe.fail_next("POST", "/v1/refunds", 503, times=99)
    with pytest.raises(Retryable):
        await give_back(shop, order_id)
    shop.stripe.clear_faults()
    forget(shop)
    await shop.sweep()
    assert [row["status"] for row in shop.books()["refunds"]] == ["succeeded"]
    assert shop.order(order_id)["state"] == "refunded"


async def test_what_is_at_rest_is_not_asked_about(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page at a time, whatever there is; what is paid, expired or waits by itself is none of it."""
    monkeypatch.setattr(unsettled, "PAGE", 2)
    states = ["paid", "expired", "pending", "pending", "pending"]
    expected = set()
    for number, state in enumerate(states):
        order_id, session = await shop.begin(ONCE)
        if state == "paid":
            shop.stripe.complete_checkout(session, f"ada{number}@example.com")
        elif state == "expired":
            shop.stripe.expire_checkout(session)
        else:
            expected.add(("order", order_id))
    await shop.hear()
    shop.world.sql("UPDATE orders SET updated_at = now() - interval '1 hour'")
    found: list[tuple[str, str]] = []
    async with hand(shop) as at:
        while page := await unsettled.unsettled(at.db, 14):
            assert len(page) <= 2
            found += page
            await due.mark(at.db, [nudge(kind, key) for kind, key in page])
    assert (set(found), len(found)) == (expected, 3)
