"""What of a seller's money is here and may go to them: overpaid, renewed, refunded or lost in part, free at first."""

import time
from typing import Any

import pytest

from lib.checkout import collecting, offline, offline_refund
from lib.checkout import escrow as held
from lib.checkout.collecting import Money
from lib.checkout.till import Till
from lib.database import due
from lib.errors import Declined, Retryable
from lib.kinds import nudge
from lib.ledger.refunding import Refunding, refund
from lib.policy.escrow import Pot, due_to_seller
from lib.stripe_client import writes as stripe_writes
from lib.structs import replace
from tests.admin.test_orders import HEADERS, ROUTE
from tests.killed import lives, writes
from tests.money import goods
from tests.money.shop import BASIC, ON, ONCE, OURS, Shop
from tests.money.test_money_told import OUT, told
from tests.money.till import came, counter, order, past, sell
from tests.world import World

SELLER = "acct_1"


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop whose operator wants to hear everything."""
    return Shop(world)


async def bought(shop: Shop, price: str = ONCE, **columns: Any) -> tuple[str, str]:
    """A purchase for a seller whose net is what it costs: (order, what of Stripe's leads to it)."""
    amount = 1900 if price == BASIC else 5000
    order_id, session = await shop.begin(price, seller_id=SELLER, seller_net=amount, **columns)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**OUT)
    return order_id, str(shop.stripe.get(session)["subscription"] or session)


async def days_pass(shop: Shop, days: int = 15) -> None:
    """So many days, for every date that escrow goes by."""
    past(shop.world, days)
    shop.world.sql("UPDATE disputes SET closed_at = closed_at - make_interval(days => %s)", days)
    await shop.rest(**OUT)


def free(shop: Shop) -> list[tuple[int, int]]:
    """(what may go to the seller, what went back) of each `escrow.releasable` that was told, oldest first."""
    return [(data["sellerDue"], data["wentBack"]) for kind, data in told(shop) if kind == "escrow.releasable"]


# --- offline ----------------------------------------------------------------------------------------------------------


async def test_what_came_too_much_is_none_of_the_sellers(world: World) -> None:
    """An overpaid order whose price went back in full is the buyer's again, whether the surplus is here or not."""
    sell(world)
    made = await order(world, seller_id=SELLER)
    await came(world, made, 2500)
    await world.drain()
    async with counter(world) as (_, till):
        await offline_refund.refund(till, made.id, None, None)
        past(world, 15)
        await world.drain()
        assert world.sql("SELECT escrow FROM orders") == [{"escrow": "returned"}]
        await offline.returned(till, made.id, 600)
        assert "offline" in [row["kind"] for row in world.due()]
        await world.drain()
        assert world.sql("SELECT escrow FROM orders") == [{"escrow": "returned"}]
        with pytest.raises(Declined, match="went back to the buyer"):
            await held.release(till, made.id)


@pytest.mark.parametrize("sums", [(2500,), (1900, 600), (900, 1600)])
async def test_a_surplus_is_no_part_of_the_frozen_numbers(world: World, sums: tuple[int, ...]) -> None:
    """The same money is the same numbers, whether too much came at once or afterwards."""
    sell(world)
    made = await order(world)
    for amount in sums:
        await came(world, made, amount)
    (payment,) = world.sql("SELECT total, paid, gross, net, sources FROM payments")
    assert [payment[name] for name in ("total", "paid", "gross", "net")] == [1900] * 4
    assert payment["sources"]["paid"] == "collection"
    assert world.sql("SELECT overpaid FROM orders") == [{"overpaid": 600}]


# --- at Stripe --------------------------------------------------------------------------------------------------------


async def test_a_renewal_brings_nothing_of_the_first_bill(shop: Shop) -> None:
    """The first bill went back; what the second one brought is not what was held for the seller."""
    _, subscription = await bought(shop, BASIC)
    shop.stripe.refund(shop.payments()[0]["charge_id"])
    await shop.hear(**OUT)
    assert shop.order()["escrow"] == "returned"
    shop.stripe.renew(subscription)
    await shop.hear(**OUT)
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("returned", [])


async def test_a_renewal_that_goes_back_takes_nothing_of_the_first_bill(shop: Shop) -> None:
    """A refund and a lost dispute of later bills leave what is held as it is."""
    _, subscription = await bought(shop, BASIC)
    shop.stripe.renew(subscription)
    await shop.hear(**OUT)
    shop.stripe.dispute(shop.payments()[1]["charge_id"])
    await shop.hear(**OUT)
    assert (shop.order()["escrow"], shop.order()["disputed"]) == ("held", True)
    shop.stripe.close_dispute(shop.world.sql("SELECT dispute_id FROM disputes")[0]["dispute_id"], "lost")
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(1900, 0)])


async def test_what_went_back_in_part_is_said_with_what_is_left(shop: Shop) -> None:
    """The frozen net stays as it was; what may be released is told, listed, logged and released without that part."""
    order_id, _ = await bought(shop)
    shop.stripe.refund(shop.payments()[0]["charge_id"], 2000)
    await shop.hear(**OUT)
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(3000, 2000)])
    assert (shop.order()["seller_net"], shop.order()["seller_due"]) == (5000, 3000)
    async with shop.world.bridge(**OUT) as bridge:
        done = await held.release(Till(bridge.settings, bridge.db, "anna"), order_id)
    assert (done.order.released, done.order.seller_net) == (3000, 5000)
    (step,) = shop.world.sql("SELECT detail FROM order_steps WHERE fact = 'released'")
    assert (step["detail"]["released"], step["detail"]["went_back"]) == (3000, 2000)
    shop.stripe.refund(shop.payments()[0]["charge_id"], 1000)
    await shop.hear(**OUT)
    row = shop.order()
    assert (row["escrow"], row["released"], row["seller_due"]) == ("released", 3000, 2000)


async def test_what_was_lost_in_part_is_not_all(shop: Shop) -> None:
    """A dispute about a part of the money that is lost takes that part."""
    await bought(shop)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"], amount=2000)
    await shop.hear(**OUT)
    shop.stripe.close_dispute(dispute["id"], "lost")
    await shop.hear(**OUT)
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(3000, 2000)])


async def test_another_sum_than_is_there_is_not_released(shop: Shop) -> None:
    """Who says what they paid out is told where it is another sum, before and after it is written down."""
    order_id, _ = await bought(shop)
    shop.stripe.refund(shop.payments()[0]["charge_id"], 2000)
    await shop.hear(**OUT)
    await days_pass(shop)
    body = {"action": "releaseEscrow", "orderId": order_id}
    async with shop.world.functions(**OUT) as client:
        for amount, code in ((5000, "not_releasable"), (3000, None), (3000, None), (5000, "not_releasable")):
            answer = await client.post(ROUTE, json={**body, "amount": amount}, headers=HEADERS)
            assert answer.json().get("code") == code
            assert code is None or "30.00 EUR" in answer.json()["detail"]
        answer = await client.post(ROUTE, json=body, headers=HEADERS)
        assert (answer.json()["repeated"], answer.json()["order"]["released"]) == (True, 3000)


@pytest.mark.parametrize(("status", "left"), [("needs_response", 0), ("warning_needs_response", 5000)])
async def test_a_prevented_dispute_took_what_is_missing(shop: Shop, status: str, left: int) -> None:
    """Stripe settles some before they are chargebacks, also by giving the money back: its balance tells which."""
    await bought(shop)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"], status)
    shop.stripe.close_dispute(dispute["id"], "prevented")
    await shop.hear(**OUT)
    await days_pass(shop)
    assert (shop.order()["escrow"], shop.order()["seller_due"]) == ("releasable" if left else "returned", left)


async def test_money_that_a_dispute_takes_later_is_seen(shop: Shop) -> None:
    """Its status says the same before and after the money is gone: what the seller was paid of it is to be claimed."""
    order_id, _ = await bought(shop)
    await days_pass(shop)
    async with shop.world.bridge(**OUT) as bridge:
        await held.release(Till(bridge.settings, bridge.db, "anna"), order_id)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    taken, dispute["balance_transactions"] = dispute["balance_transactions"], []
    shop.stripe.close_dispute(dispute["id"], "prevented")
    late = [event for event in shop.stripe.undelivered() if event["type"] == "charge.dispute.funds_withdrawn"]
    await shop.hear([event for event in shop.stripe.undelivered() if event not in late], **OUT)
    assert shop.order()["seller_due"] == 5000
    dispute["balance_transactions"] = taken
    await shop.hear(late, **OUT)
    assert (shop.order()["escrow"], shop.order()["released"], shop.order()["seller_due"]) == ("released", 5000, 0)


async def test_a_refund_that_fails_later_is_held_anew(shop: Shop) -> None:
    """The money is back since it failed: the quiet days begin there, and not where the refund was asked for."""
    await bought(shop)
    gone = shop.stripe.refund(shop.payments()[0]["charge_id"])
    await shop.hear(**OUT)
    await days_pass(shop, 40)
    assert shop.order()["escrow"] == "returned"
    shop.stripe.fail_refund(gone["id"])
    await shop.hear(**OUT)
    assert (shop.order()["state"], shop.order()["escrow"]) == ("paid", "held")
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(5000, 0)])


async def test_what_is_free_at_first_waits_for_its_money(shop: Shop) -> None:
    """A trial is paid by nothing: nothing is released until a bill brought money."""
    order_id, session = await shop.begin(BASIC, seller_id=SELLER, seller_net=1900)
    shop.stripe._requested[session]["subscription_data"]["trial_period_days"] = 14
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**OUT)
    await days_pass(shop)
    assert (shop.order(order_id)["state"], shop.order()["escrow"], free(shop)) == ("paid", "held", [])
    async with shop.world.bridge(**OUT) as bridge:
        with pytest.raises(Declined, match="nothing of its money has come yet"):
            await held.release(Till(bridge.settings, bridge.db, "anna"), order_id)
    shop.stripe.renew(shop.stripe.get(session)["subscription"])
    await shop.hear(**OUT)
    assert (shop.order()["escrow"], shop.order()["seller_due"]) == ("held", 1900)
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(1900, 0)])


async def test_days_of_none_are_told_anew_after_a_refund(shop: Shop) -> None:
    """Without quiet days a part that went back takes effect at once: what is left is told once more."""
    soon = {**OUT, "ESCROW_DAYS": "0"}
    _, session = await shop.begin(ONCE, seller_id=SELLER, seller_net=5000)
    shop.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear(**soon)
    shop.stripe.refund(shop.payments()[0]["charge_id"], 2000)
    await shop.hear(**soon)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(5000, 0), (3000, 2000)])


async def test_a_dispute_that_is_won_after_all_is_held_anew(shop: Shop) -> None:
    """Lost money that comes back weeks later is quiet since then."""
    await bought(shop)
    dispute = shop.stripe.dispute(shop.payments()[0]["charge_id"])
    shop.stripe.close_dispute(dispute["id"], "lost")
    await shop.hear(**OUT)
    assert (shop.order()["escrow"], shop.order()["seller_due"]) == ("returned", 0)
    await days_pass(shop, 40)
    shop.stripe.close_dispute(dispute["id"], "won")
    await shop.hear(**OUT)
    assert shop.order()["escrow"] == "held"
    await days_pass(shop)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(5000, 0)])


async def test_a_part_that_was_given_up_is_no_sellers(world: World) -> None:
    """Paid in part and cancelled, nothing is held; paid in full after all, the price is, and not the part before."""
    sell(world)
    made = await order(world, seller_id=SELLER)
    await came(world, made, 900)
    async with counter(world) as (_, till):
        await offline.cancel(till, made.id)
        await world.drain()
        assert world.sql("SELECT state, escrow, seller_due FROM orders") == [
            {"state": "failed", "escrow": None, "seller_due": None}
        ]
        with pytest.raises(Declined, match="not paid yet"):
            await held.release(till, made.id)
        await offline.returned(till, made.id, 900)
        await came(world, made, 1900)
        await world.drain()
        past(world, 15)
        done = await held.release(till, made.id)
    assert (done.order.released, done.order.collected, done.order.returned) == (1900, 2800, 900)


async def test_a_refund_that_never_was_takes_nothing_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for and refused at last moved no money: it is free as it was, and held by nothing."""
    monkeypatch.setattr(stripe_writes, "WRITE_RETRIES", 0)
    order_id, _ = await bought(shop)
    await days_pass(shop)
    shop.stripe.fail_next("POST", "/v1/refunds", 503, times=99)
    async with shop.world.bridge(**ON, **OUT) as bridge:
        with pytest.raises(Retryable):
            await refund(Refunding(bridge.settings, bridge.db, bridge.stripe, actor="anna"), order_id, 1000, None)
        await due.mark(bridge.db, [nudge("order", order_id)])
        await bridge.drain(deadline=time.monotonic() + 60, lanes=OURS)
    assert shop.order()["escrow"] == "held"
    shop.stripe.clear_faults()
    shop.stripe.fail_next("POST", "/v1/refunds", 400)
    await shop.rest(**OUT)
    assert [row["status"] for row in shop.books()["refunds"]] == ["failed"]
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(5000, 0)] * 2)


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["stripe", "offline"])
async def test_a_sweep_follows_shorter_days(shop: Shop, provider: str) -> None:
    """What is held by an older, longer `ESCROW_DAYS` is looked at before its own date; longer days change nothing."""
    if provider == "stripe":
        await bought(shop)
    else:
        sell(shop.world)
        await came(shop.world, await order(shop.world, seller_id=SELLER), 1900)
    await shop.rest(**OUT)
    past(shop.world, 5)
    shop.world.sql("UPDATE due SET due_at = now() + interval '9 days'")
    await shop.sweep(**OUT)
    assert shop.order()["escrow"] == "held"
    shop.world.sql("UPDATE due SET due_at = now() + interval '9 days'")
    await shop.sweep(**OUT, ESCROW_DAYS="3")
    assert shop.order()["escrow"] == "releasable"
    await shop.sweep(**OUT, ESCROW_DAYS="60")
    assert (shop.order()["escrow"], len(free(shop))) == ("releasable", 1)


async def test_what_was_decided_by_older_rules_is_decided_again(shop: Shop) -> None:
    """A row without the newer numbers is looked at by a sweep: what was promised too high is told as it is."""
    await bought(shop)
    shop.stripe.refund(shop.payments()[0]["charge_id"], 2000)
    await shop.hear(**OUT)
    past(shop.world, 20)
    shop.world.sql(
        "UPDATE orders SET escrow = 'releasable', releasable_at = now(), quiet_since = NULL, seller_due = NULL"
    )
    shop.world.sql("DELETE FROM due WHERE kind = 'order'")
    await shop.sweep(**OUT)
    assert (shop.order()["escrow"], free(shop)) == ("releasable", [(3000, 2000)])


@pytest.mark.parametrize("provider", ["stripe", "offline"])
async def test_a_wake_that_dies_tells_what_it_has_written(shop: Shop, provider: str) -> None:
    """Killed before each statement about it: the state and its event are both there or neither, and once in the end."""
    world = shop.world
    sell(world)

    def about_money(statement: str) -> bool:
        return writes(statement) and any(table in statement for table in ("UPDATE orders", "order_steps", "outbox"))

    async def wake() -> None:
        async with world.bridge(**ON, **OUT) as bridge:
            await bridge.drain(deadline=time.monotonic() + 60, lanes=OURS)

    number, died_at = 0, set()
    for number in range(1, 20):
        if provider == "stripe":
            order_id, _ = await bought(shop)
        else:
            order_id = (await order(world, seller_id=SELLER, domain=f"s{number}.example", customer_id=f"K-{number}")).id
            async with world.bridge(**ON, **OUT) as bridge:
                till = Till(bridge.settings, bridge.db, "anna")
                await collecting.collect(till, order_id, Money(1900, "eur"), bridge.stripe)
            await shop.rest(**OUT)
        assert about(shop, order_id) == ("held", 0)
        past(world, 15)
        lived = await lives(number - 1, wake, about_money)
        died_at.add(about(shop, order_id))
        assert not lived or about(shop, order_id) == ("releasable", 1)
        await shop.rest(**OUT)
        assert about(shop, order_id) == ("releasable", 1)
        if lived:
            break
    assert 3 <= number < 19
    assert died_at == {("held", 0), ("releasable", 1)}


def about(shop: Shop, order_id: str) -> tuple[str, int]:
    """(how the money of an order stands, how often it was told that it may be paid out)."""
    found = [data for kind, data in told(shop) if kind == "escrow.releasable" and data["orderId"] == order_id]
    return shop.order(order_id)["escrow"], len(found)


# --- the numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "tax", "went", "left"),
    [
        (1900, 0, 0, 1710),
        (1900, 0, 500, 1210),
        (1900, 0, 1800, 0),  # the fee was kept, and nothing of the rest is the seller's
        (950, 0, 0, 760),  # half of the price by a promotion code
        (950, 0, 100, 660),
        (2261, 361, 0, 1710),  # with 19 per cent on top
        (2261, 361, 1131, 759),  # half of it: 950.4 of the price, rounded up
        (2261, 361, 2261, 0),
        (2261, 0, 0, 1710),  # before its tax is told: more than the price is never the seller's
        (1131, 181, 0, 760),  # half of the price by a promotion code, and 19 per cent on top of the rest
        (1131, 181, 566, 284),  # half of that: 475.4 of the price, rounded up
        (1131, 181, 1131, 0),
        (1261, 361, 0, 710),  # 10.00 of the bill were paid by credit
        (0, 0, 0, 0),
    ],
)
def test_what_is_due_to_a_seller(came: int, tax: int, went: int, left: int) -> None:
    """The frozen net of 17.10 less what never came and what went back, and none of the tax; never less than nothing."""
    made = replace(goods.order(goods.terms(seller_id=SELLER)), seller_net=1710)
    assert due_to_seller(made, Pot(came=came, tax=tax, went=went)) == left
