"""Disputes and refunds: they hold their own subscription, for as long as their cause lasts, as the operator chose."""

from typing import Any

import pytest

from tests.world import World

SUSPEND = {"ON_REFUND": "suspend"}


async def told(world: World, **environ: str) -> None:
    """Deliver every event that waits, and let what it made due run."""
    async with world.functions(**environ) as client:
        for event in world.stripe.undelivered():
            assert (await world.deliver(client, event)).status_code == 200
            world.stripe.mark_delivered(event)
    await world.drain(**environ)
    assert [row for row in world.due() if row["kind"] != "customer"] == []


async def two_services(world: World, **environ: str) -> tuple[str, str]:
    """A customer with two paid services that run."""
    customer = world.customer()
    first = world.buy(customer, domain="one.example")
    second = world.buy(customer, "price_big_monthly", domain="two.example")
    await told(world, **environ)
    assert holds(world, first) == holds(world, second) == ("live", [])
    return first, second


def holds(world: World, subscription: str) -> tuple[str, list[str]]:
    """How a service is remembered; the panel must say the same."""
    row = world.service(subscription)
    off = world.panel.subscriptions[row["panel_subscription_id"]].suspended_by is not None
    assert off is (row["state"] == "suspended")
    return row["state"], row["holds"]


# --- disputes ---------------------------------------------------------------------------------------------------------


async def test_an_open_dispute_holds_its_own_subscription_until_it_is_won(world: World) -> None:
    """Only the service whose money is disputed is off, through every step of the case, and on again when it is won."""
    first, second = await two_services(world)
    dispute = world.stripe.dispute(first)["id"]
    await told(world)
    assert holds(world, first) == ("suspended", ["dispute"])
    world.stripe.update_dispute(dispute, "under_review")
    await told(world)
    assert holds(world, first) == ("suspended", ["dispute"])
    assert holds(world, second) == ("live", [])
    world.stripe.close_dispute(dispute, "won")
    await told(world)
    assert holds(world, first) == holds(world, second) == ("live", [])
    assert world.due() == []


@pytest.mark.parametrize(
    ("environ", "while_open", "when_lost"),
    [
        ({}, ["dispute"], ["dispute"]),
        ({"ON_DISPUTE_LOST": "ignore"}, ["dispute"], []),
        ({"ON_DISPUTE": "ignore"}, [], ["dispute"]),
        ({"ON_DISPUTE": "ignore", "ON_DISPUTE_LOST": "ignore"}, [], []),
    ],
    ids=["suspend both", "lost is forgiven", "only when lost", "never"],
)
async def test_a_dispute_that_is_lost(
    world: World, environ: dict[str, str], while_open: list[str], when_lost: list[str]
) -> None:
    """What an open and what a lost dispute does is the operator's choice, each its own."""
    first, second = await two_services(world, **environ)
    dispute = world.stripe.dispute(first)["id"]
    await told(world, **environ)
    assert holds(world, first)[1] == while_open
    world.stripe.close_dispute(dispute, "lost")
    await told(world, **environ)
    assert holds(world, first)[1] == when_lost
    assert holds(world, second) == ("live", [])


async def test_an_inquiry_is_noted_and_holds_nothing_until_it_becomes_a_dispute(world: World) -> None:
    """`warning_*` moves no money: the ledger tells of it, the service runs; a real dispute that grows of it holds."""
    first, _ = await two_services(world)
    dispute = world.stripe.dispute(first, "warning_needs_response")["id"]
    await told(world)
    assert holds(world, first) == ("live", [])
    (note,) = world.sql("SELECT * FROM actions WHERE kind = 'dispute'")
    assert (note["state"], note["rule"], note["subscription_id"]) == ("noted", "warning_needs_response", first)
    assert note["facts"]["dispute"] == dispute
    world.stripe.update_dispute(dispute, "needs_response")
    await told(world)
    assert holds(world, first) == ("suspended", ["dispute"])


async def test_an_inquiry_that_is_closed_leaves_no_trace_on_the_service(world: World) -> None:
    """It began and ended as a question."""
    first, _ = await two_services(world)
    dispute = world.stripe.dispute(first, "warning_needs_response")["id"]
    await told(world)
    world.stripe.close_dispute(dispute, "warning_closed")
    await told(world)
    assert holds(world, first) == ("live", [])
    assert world.ledger("noted") == ["dispute", "dispute"]


async def test_of_several_disputes_the_last_one_that_ends_lifts(world: World) -> None:
    """Two payments of one subscription are disputed: winning one is not enough."""
    first, _ = await two_services(world)
    older = world.stripe.dispute(first)["id"]
    world.stripe.renew(first)
    newer = world.stripe.dispute(first)["id"]
    await told(world)
    world.stripe.close_dispute(older, "won")
    await told(world)
    assert holds(world, first) == ("suspended", ["dispute"])
    world.stripe.close_dispute(newer, "won")
    await told(world)
    assert holds(world, first) == ("live", [])


async def test_a_dispute_and_a_failed_payment_are_lifted_each_by_its_own_cause(world: World) -> None:
    """Side by side: paying does not end the dispute, winning it does not pay."""
    first, _ = await two_services(world)
    dispute = world.stripe.dispute(first)["id"]
    world.stripe.fail_payment(first, world.stripe.now() - 30 * 86400)
    await told(world)
    assert holds(world, first) == ("suspended", ["dispute", "unpaid"])
    world.stripe.pay_open_invoice(first)
    await told(world)
    assert holds(world, first) == ("suspended", ["dispute"])
    world.stripe.close_dispute(dispute, "won")
    await told(world)
    assert holds(world, first) == ("live", [])


def pay_once(world: World, customer: str | None) -> str:
    """A one-time payment; its payment intent."""
    world.stripe.create_price("price_once", interval=None)
    more: dict[str, Any] = {"customer": customer} if customer else {}
    session = world.stripe.create_checkout(
        mode="payment",
        line_items=[{"price": "price_once", "quantity": 1}],
        success_url="https://shop.example/thanks",
        **more,
    )
    done = world.stripe.complete_checkout(session["id"], "ada@example.com")
    return str(done["payment_intent"])


@pytest.mark.parametrize("guest", [True, False], ids=["of a guest", "of a customer"])
async def test_a_dispute_about_a_one_time_payment_holds_no_subscription(world: World, guest: bool) -> None:
    """It is remembered, and what the same buyer pays for otherwise runs on."""
    first, second = await two_services(world)
    customer = str(world.stripe.subscriptions[first]["customer"])
    world.stripe.dispute(pay_once(world, None if guest else customer))
    await told(world)
    assert holds(world, first) == holds(world, second) == ("live", [])
    assert world.sql("SELECT status, subscription_id FROM disputes") == [
        {"status": "needs_response", "subscription_id": None}
    ]
    assert world.due() == []


async def test_a_dispute_before_anything_was_made_makes_nothing_until_it_is_won(world: World) -> None:
    """Who disputes the first payment before the service exists gets none; winning makes it."""
    subscription = world.buy(world.customer())
    dispute = world.stripe.dispute(subscription)["id"]
    world.sql("INSERT INTO due (kind, key) VALUES ('dispute', %s)", dispute)
    await world.drain()
    await told(world)
    assert world.panel.world()["orgs"] == 0
    world.stripe.close_dispute(dispute, "won")
    await told(world)
    assert holds(world, subscription) == ("live", [])


# --- refunds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("environ", "expected"), [({}, []), (SUSPEND, ["refund"])], ids=["ignore", "suspend"])
async def test_a_full_refund_of_the_latest_invoice(world: World, environ: dict[str, str], expected: list[str]) -> None:
    """`ON_REFUND` decides; the neighbour is not asked."""
    first, second = await two_services(world, **environ)
    world.stripe.refund(first)
    await told(world, **environ)
    assert holds(world, first)[1] == expected
    assert holds(world, second) == ("live", [])


async def test_a_partial_refund_holds_nothing_until_the_rest_is_refunded_too(world: World) -> None:
    """Half the money back is goodwill; all of it, in however many parts, is the end of the sale."""
    first, _ = await two_services(world, **SUSPEND)
    world.stripe.refund(first, amount=900)
    await told(world, **SUSPEND)
    assert holds(world, first) == ("live", [])
    world.stripe.refund(first, amount=1000)
    await told(world, **SUSPEND)
    assert holds(world, first) == ("suspended", ["refund"])


async def test_a_refund_that_fails_lifts_its_hold(world: World) -> None:
    """The money came back to us."""
    first, _ = await two_services(world, **SUSPEND)
    refund = world.stripe.refund(first)["id"]
    await told(world, **SUSPEND)
    assert holds(world, first) == ("suspended", ["refund"])
    world.stripe.fail_refund(refund)
    await told(world, **SUSPEND)
    assert holds(world, first) == ("live", [])


async def test_the_next_paid_invoice_lifts_a_refund(world: World) -> None:
    """Only the latest invoice counts: who pays the next period runs again."""
    first, _ = await two_services(world, **SUSPEND)
    world.stripe.refund(first)
    await told(world, **SUSPEND)
    world.stripe.renew(first)
    await told(world, **SUSPEND)
    assert holds(world, first) == ("live", [])


async def test_the_refund_of_an_older_invoice_holds_nothing(world: World) -> None:
    """Money of a past period given back says nothing of the present one."""
    first, _ = await two_services(world, **SUSPEND)
    older = str(world.stripe.subscriptions[first]["latest_invoice"])
    world.stripe.renew(first)
    world.stripe.refund(older)
    await told(world, **SUSPEND)
    assert holds(world, first) == ("live", [])


async def test_the_refund_of_a_one_time_payment_holds_nothing(world: World) -> None:
    """It has no subscription."""
    first, second = await two_services(world, **SUSPEND)
    world.stripe.refund(pay_once(world, str(world.stripe.subscriptions[first]["customer"])))
    await told(world, **SUSPEND)
    assert holds(world, first) == holds(world, second) == ("live", [])
    assert world.due() == []


async def test_events_of_money_back_in_any_order_and_twice_end_the_same(world: World) -> None:
    """Only what Stripe says now counts, whichever of the events comes last."""
    first, _ = await two_services(world, **SUSPEND)
    dispute = world.stripe.dispute(first)["id"]
    world.stripe.update_dispute(dispute, "under_review")
    world.stripe.close_dispute(dispute, "won")
    world.stripe.events.reverse()
    await told(world, **SUSPEND)
    assert holds(world, first) == ("live", [])
    assert world.ledger("applied").count("suspend") == 0


# --- gone customers ---------------------------------------------------------------------------------------------------


async def test_a_deleted_customers_subscriptions_have_ended(world: World) -> None:
    """All of them are held as ended, nothing is deleted, and the names in the panel stay as they were."""
    first, second = await two_services(world)
    world.stripe.delete_customer(str(world.stripe.subscriptions[first]["customer"]))
    await told(world)
    assert holds(world, first) == holds(world, second) == ("suspended", ["ended"])
    assert world.panel.world()["websites"] == 2
    assert [org.name for org in world.panel.orgs.values()] == ["Ada Example"]
    assert world.due() == []
