"""Money that did not come, and money that did, end to end: over fresh processes, found by events or by the sweep."""

import time
from collections.abc import Callable
from typing import Any, Literal

import pytest

from lib.model import Parked
from lib.stripe_events import SUBSCRIBE_TO
from tests.world import ADMIN_KEY, World

DAY = 86400
NOTHING = {"orgs": 0, "logins": 0, "members": 0, "subscriptions": 0, "websites": 0}
Finder = Literal["events", "sweep"]
FOUND_BY: tuple[Finder, ...] = ("events", "sweep")


async def find(world: World, by: Finder, **environ: str) -> None:
    """Let the product learn what has happened: by the events that the endpoint is sent, or by a sweep after a loss."""
    if by == "sweep":
        for event in world.stripe.undelivered():
            world.stripe.mark_delivered(event)
        async with world.bridge(**environ) as manager:
            assert (await manager.sweep(deadline=time.monotonic() + 300)).finished
    else:
        async with world.functions(**environ) as client:
            for event in world.stripe.undelivered():
                if event["type"] in SUBSCRIBE_TO:
                    assert (await world.deliver(client, event)).status_code == 200
                world.stripe.mark_delivered(event)
    await world.drain(**environ)
    assert [row["last_error"] for row in world.due() if row["attempts"]] == []


async def at_rest(world: World, **environ: str) -> None:
    """What no event tells (a renewal that is only drafted) one sweep may still find; two more mark nobody."""
    marked = []
    for _ in range(3):
        async with world.bridge(**environ) as manager:
            report = await manager.sweep(deadline=time.monotonic() + 300)
        assert report.finished
        marked.append(report.counts.get("marked", 0))
        await world.drain(**environ)
    assert marked[1:] == [0, 0]


async def unchanged_costs_one_call(world: World, customer: str, **environ: str) -> None:
    """A pass in which nothing has changed asks Stripe once."""
    world.stripe.calls.clear()
    report = await world.sync(customer, **environ)
    assert not report.actions
    assert len(world.stripe.calls) == 1, world.stripe.calls


async def running(world: World, **more: Any) -> tuple[str, str]:
    """A customer whose service runs: customer and subscription."""
    customer = world.customer()
    subscription = world.buy(customer, **more)
    await world.sync(customer)
    assert held(world, subscription) == []
    world.stripe.events.clear()
    return customer, subscription


def held(world: World, subscription: str) -> list[str]:
    """The holds of a service; the panel must have it off exactly when there are any."""
    row = world.service(subscription)
    found = world.panel.subscriptions[row["panel_subscription_id"]]
    assert (found.suspended_by is not None) is bool(row["holds"])
    return list(row["holds"])


def on_plan(world: World, subscription: str) -> int:
    """The panel plan that a service is on."""
    return world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]].plan_id


def parked(world: World) -> list[str]:
    """The reasons for which somebody is parked."""
    return [row["parked_reason"] for row in world.due() if row["parked_reason"]]


async def by_hand(world: World, action: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    """Do something as an admin: status and answer."""
    async with world.functions() as client:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        answer = await client.post("/api/admin/work", json={"action": action, **fields}, headers=headers)
        return answer.status_code, answer.json()


def bill(world: World, subscription: str) -> str:
    """Its newest invoice."""
    return str(world.stripe.subscriptions[subscription]["latest_invoice"])


# --- first money ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", FOUND_BY)
@pytest.mark.parametrize("mapping", ["paid", "processing"])
async def test_an_invoice_that_was_sent_and_falls_due_makes_no_hosting(world: World, by: Finder, mapping: str) -> None:
    """`send_invoice`, nothing made; unpaid on its date: nothing still; paid at last: everything."""
    world.sql("UPDATE plan_mappings SET activate_on = %s", "paid")
    customer = world.customer()
    subscription = world.buy(customer, collection_method="send_invoice", days_until_due=5)
    await find(world, by)
    assert world.panel.world() == NOTHING
    world.sql("UPDATE plan_mappings SET activate_on = %s", mapping)
    world.stripe.fall_due(subscription)
    await find(world, by)
    assert world.panel.world() == NOTHING
    world.stripe.renew(subscription, "failed")
    await find(world, by)
    assert world.panel.world() == NOTHING
    world.stripe.pay_open_invoice(subscription, every=True)
    await find(world, by)
    assert held(world, subscription) == []


@pytest.mark.parametrize("by", FOUND_BY)
async def test_a_first_bank_debit_that_fails_makes_no_hosting(world: World, by: Finder) -> None:
    """Neither while it is under way, nor when it fails, nor when Stripe calls the subscription `past_due` over it."""
    customer = world.customer()
    subscription = world.buy(customer, payment="processing")
    await find(world, by)
    world.stripe.pay_invoice(bill(world, subscription), "failed")
    await find(world, by)
    world.stripe.set(subscription, status="past_due")
    await find(world, by)
    assert world.panel.world() == NOTHING


@pytest.mark.parametrize("write_off", ["void_invoice", "mark_uncollectible"])
@pytest.mark.parametrize("by", FOUND_BY)
async def test_a_first_invoice_that_nobody_will_pay_waits_for_an_admin(
    world: World, by: Finder, write_off: str
) -> None:
    """`active` at once, voided or written off: nothing is made, somebody is told, and a release makes it."""
    customer = world.customer()
    subscription = world.buy(customer, collection_method="send_invoice")
    await find(world, by)
    getattr(world.stripe, write_off)(bill(world, subscription))
    await find(world, by)
    assert (world.panel.world(), parked(world)) == (NOTHING, ["never_paid"])
    status, answer = await by_hand(world, "release", subscriptionId=subscription)
    assert (status, answer["outcome"]["state"]) == (200, "settled")
    assert held(world, subscription) == []
    await at_rest(world)
    await unchanged_costs_one_call(world, customer)


# --- bank debits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", FOUND_BY)
@pytest.mark.parametrize("ok", [True, False])
async def test_a_debit_under_way_is_delivered_and_its_failure_ends_it(world: World, by: Finder, ok: bool) -> None:
    """`incomplete` while its payment is `processing`: on with `activate_on=processing`, held once Stripe gives up."""
    world.sql("UPDATE plan_mappings SET activate_on = 'processing'")
    customer = world.customer()
    subscription = world.buy(customer, payment="processing")
    assert world.stripe.subscriptions[subscription]["status"] == "incomplete"
    await find(world, by)
    assert held(world, subscription) == []
    assert world.panel.world()["websites"] == 1
    await at_rest(world)
    world.stripe.pay_invoice(bill(world, subscription), "paid" if ok else "failed")
    if not ok:
        await find(world, by)
        assert held(world, subscription) == []
        world.stripe.expire_incomplete(subscription)
    await find(world, by)
    assert held(world, subscription) == ([] if ok else ["ended"])
    await at_rest(world)


async def test_a_payment_that_begins_later_is_heard_of(world: World) -> None:
    """The page was left open: only `payment_intent.processing` tells that the debit has begun."""
    world.sql("UPDATE plan_mappings SET activate_on = 'processing'")
    customer = world.customer()
    subscription = world.buy(customer, status="incomplete", payment="open")
    await find(world, "events")
    assert world.panel.world() == NOTHING
    world.stripe.pay_invoice(bill(world, subscription), "processing")
    assert [event["type"] for event in world.stripe.undelivered()] == ["payment_intent.processing"]
    await find(world, "events")
    assert held(world, subscription) == []


# --- grace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", FOUND_BY)
@pytest.mark.parametrize("write_off", ["void_invoice", "mark_uncollectible"])
async def test_writing_off_the_oldest_of_two_restarts_no_grace(world: World, by: Finder, write_off: str) -> None:
    """Open for 9 and 2 days, suspended; the older is written off: it stays suspended, with and without an event."""
    customer, subscription = await running(world)
    now = world.stripe.now()
    world.stripe.fail_payment(subscription, now - 9 * DAY)
    older = bill(world, subscription)
    world.stripe.fail_payment(subscription, now - 2 * DAY)
    await find(world, by)
    assert held(world, subscription) == ["unpaid"]
    getattr(world.stripe, write_off)(older)
    await find(world, by)
    await world.sync(customer)
    assert held(world, subscription) == ["unpaid"]
    world.stripe.pay_open_invoice(subscription)
    await find(world, by)
    assert held(world, subscription) == []
    assert world.service(subscription)["unpaid_since"] is None
    await at_rest(world)
    await unchanged_costs_one_call(world, customer)


@pytest.mark.parametrize("by", FOUND_BY)
@pytest.mark.parametrize("write_off", ["void_invoice", "mark_uncollectible"])
async def test_a_debt_that_is_written_off_is_no_payment(world: World, by: Finder, write_off: str) -> None:
    """Held, written off, `active` at Stripe: held until money comes."""
    customer, subscription = await running(world, created=int(time.time()) - 70 * DAY)
    world.stripe.fail_payment(subscription, world.stripe.now() - 9 * DAY)
    await find(world, by)
    getattr(world.stripe, write_off)(bill(world, subscription))
    assert world.stripe.subscriptions[subscription]["status"] == "active"
    await find(world, by)
    assert held(world, subscription) == ["unpaid"]
    await at_rest(world)
    assert held(world, subscription) == ["unpaid"]
    world.stripe.renew(subscription)
    await find(world, by)
    assert held(world, subscription) == []
    await unchanged_costs_one_call(world, customer)


async def test_a_debt_that_is_written_off_may_be_forgiven(world: World) -> None:
    """An admin's word lifts it, and only then: while Stripe says that it is owed there is nothing to forgive."""
    customer, subscription = await running(world, created=int(time.time()) - 70 * DAY)
    world.stripe.fail_payment(subscription, world.stripe.now() - 9 * DAY)
    await world.sync(customer)
    status, answer = await by_hand(world, "lift", subscriptionId=subscription, hold="unpaid")
    assert (status, answer["code"]) == (409, "still_owed")
    world.stripe.mark_uncollectible(bill(world, subscription))
    await world.sync(customer)
    assert held(world, subscription) == ["unpaid"]
    status, _ = await by_hand(world, "lift", subscriptionId=subscription, hold="unpaid")
    assert (status, held(world, subscription)) == (200, [])
    await at_rest(world)
    await unchanged_costs_one_call(world, customer)
    world.stripe.fail_payment(subscription, world.stripe.now() - 1 * DAY)
    await world.sync(customer)
    assert held(world, subscription) == []  # another debt has its own grace


async def test_a_running_grace_runs_out_although_the_debt_was_written_off(world: World) -> None:
    """The queue keeps the old date; at it a process that heard of nothing suspends."""
    _, subscription = await running(world, created=int(time.time()) - 70 * DAY)
    failed = world.stripe.now() - 7 * DAY + 1800
    world.stripe.fail_payment(subscription, failed)
    await find(world, "events")
    world.stripe.void_invoice(bill(world, subscription))
    await find(world, "events")
    assert held(world, subscription) == []
    assert [row["due_at"].timestamp() for row in world.due()] == [failed + 7 * DAY]
    world.stripe.clock = lambda: time.time() + 1801
    world.sql("UPDATE due SET due_at = due_at - interval '1801 seconds'")
    await world.drain()
    assert held(world, subscription) == ["unpaid"]


@pytest.mark.parametrize("by", FOUND_BY)
async def test_unpaid_because_of_drafts_says_so(world: World, by: Finder) -> None:
    """Its old invoice is paid and it stays `unpaid` over drafts: held and parked with the remedy, on once they are."""
    _, subscription = await running(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - 60 * DAY)
    world.stripe.mark_unpaid(subscription)
    world.stripe.renew(subscription, created=world.stripe.now() - 30 * DAY)
    draft = bill(world, subscription)
    await find(world, by)
    assert (held(world, subscription), parked(world)) == (["unpaid"], [])
    world.stripe.pay_open_invoice(subscription)
    assert world.stripe.subscriptions[subscription]["status"] == "unpaid"
    await find(world, by)
    assert (held(world, subscription), parked(world)) == (["unpaid"], ["only_drafts_left"])
    world.stripe.finalize_invoice(draft, "paid")
    await find(world, by)
    assert (held(world, subscription), parked(world)) == ([], [])


# --- plan changes -----------------------------------------------------------------------------------------------------


def _renew_net_30(world: World, subscription: str) -> None:
    world.stripe.set(subscription, collection_method="send_invoice", days_until_due=30)
    world.stripe.renew(subscription, "open")


THEN: dict[str, tuple[list[Callable[[World, str], object]], bool]] = {
    "open": ([], False),
    "void": ([lambda w, s: w.stripe.void_invoice(bill(w, s))], False),
    "written off": ([lambda w, s: w.stripe.mark_uncollectible(bill(w, s))], False),
    "paid": ([lambda w, s: w.stripe.pay_open_invoice(s)], True),
    "open, a draft renewal": ([lambda w, s: w.stripe.renew(s, "draft")], False),
    "void, a draft renewal": (
        [lambda w, s: w.stripe.void_invoice(bill(w, s)), lambda w, s: w.stripe.renew(s, "draft")],
        False,
    ),
    "paid, a net-30 renewal": ([lambda w, s: w.stripe.pay_open_invoice(s), _renew_net_30], True),
    "void, a net-30 renewal": ([lambda w, s: w.stripe.void_invoice(bill(w, s)), _renew_net_30], False),
    "void, a paid renewal": ([lambda w, s: w.stripe.void_invoice(bill(w, s)), lambda w, s: w.stripe.renew(s)], True),
}


@pytest.mark.parametrize("by", FOUND_BY)
@pytest.mark.parametrize("then", THEN)
async def test_an_upgrade_is_delivered_when_it_is_itself_paid(world: World, by: Finder, then: str) -> None:
    """Whatever the latest invoice happens to be: a draft, an open renewal, one that was voided."""
    customer, subscription = await running(world)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="open")
    await find(world, by)
    assert on_plan(world, subscription) == world.plan_id
    assert world.service(subscription)["waits_for"] == "change_waits_for_payment"
    steps, delivered = THEN[then]
    for step in steps:
        step(world, subscription)
        await find(world, by)
    assert on_plan(world, subscription) == (world.big_plan_id if delivered else world.plan_id)
    assert held(world, subscription) == []
    await at_rest(world)
    if delivered:
        await unchanged_costs_one_call(world, customer)


async def test_a_change_without_an_invoice_is_delivered_at_once_and_once(world: World) -> None:
    """No proration: nothing bills it, nothing is owed, so it is there, and the next pass asks nothing about it."""
    customer, subscription = await running(world)
    world.stripe.change_items(subscription, price="price_big_monthly")
    await find(world, "events")
    assert on_plan(world, subscription) == world.big_plan_id
    await unchanged_costs_one_call(world, customer)


async def test_a_mapping_that_spells_a_plan_otherwise_is_asked_about_once(world: World) -> None:
    """By its name or by its id, it is the plan that is there: no move, and no call for it at every pass."""
    customer, _ = await running(world)
    world.sql("UPDATE plan_mappings SET enhance_plan_id = %s WHERE billing_plan_id = 'price_basic_monthly'",
              str(world.plan_id))  # fmt: skip
    await world.drain()
    await unchanged_costs_one_call(world, customer)


async def test_more_of_the_same_waits_for_its_own_invoice(world: World) -> None:
    """A quantity that is raised is made when that change is paid, however well the first one was."""
    _, subscription = await running(world)
    world.stripe.change_items(subscription, quantity=3, invoice="open")
    await find(world, "events")
    assert world.panel.world()["subscriptions"] == 1
    world.stripe.renew(subscription, "draft")
    await find(world, "events")
    assert world.panel.world()["subscriptions"] == 1
    world.stripe.pay_open_invoice(subscription)
    await find(world, "events")
    assert world.panel.world()["subscriptions"] == 3


# --- refunds ----------------------------------------------------------------------------------------------------------

SUSPEND = {"ON_REFUND": "suspend"}


@pytest.mark.parametrize("by", FOUND_BY)
async def test_only_a_refund_of_the_running_period_holds(world: World, by: Finder) -> None:
    """A refunded proration switches nobody off; the period's own does, also while the proration is the latest."""
    customer, subscription = await running(world)
    period = bill(world, subscription)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
    await find(world, by, **SUSPEND)
    world.stripe.refund(bill(world, subscription))
    await find(world, by, **SUSPEND)
    assert held(world, subscription) == []
    world.stripe.update_customer(customer, balance=-500)  # credit to the balance gives no money back
    await find(world, by, **SUSPEND)
    assert held(world, subscription) == []
    world.stripe.refund(period)
    await find(world, by, **SUSPEND)
    assert held(world, subscription) == ["refund"]
    await at_rest(world, **SUSPEND)
    world.stripe.renew(subscription)
    await find(world, by, **SUSPEND)
    assert held(world, subscription) == []
    await unchanged_costs_one_call(world, customer, **SUSPEND)


# --- after the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", FOUND_BY)
async def test_money_after_the_end_is_noted_once(world: World, by: Finder) -> None:
    """An open invoice of a cancelled subscription is paid: nothing changes but the timeline, once for all passes."""
    customer, subscription = await running(world, created=int(time.time()) - 70 * DAY)
    world.stripe.fail_payment(subscription, world.stripe.now() - 40 * DAY)
    older = bill(world, subscription)
    world.stripe.fail_payment(subscription, world.stripe.now() - 10 * DAY)
    world.stripe.cancel(subscription, created=world.stripe.now() - 5 * DAY)
    await find(world, by)
    assert held(world, subscription) == ["ended"]
    world.stripe.pay_invoice(older)
    for _ in range(2):
        await find(world, by)
        await world.sync(customer)
    assert held(world, subscription) == ["ended"]
    notes = world.sql("SELECT * FROM actions WHERE kind = 'paid_after_end'")
    assert [(n["state"], n["rule"], n["subscription_id"]) for n in notes] == [("noted", "paid_after_end", subscription)]
    assert {k: notes[0]["facts"][k] for k in ("invoice", "amount", "currency")} == {
        "invoice": older,
        "amount": 1900,
        "currency": "eur",
    }
    world.stripe.pay_open_invoice(subscription)
    await find(world, by)
    assert len(world.sql("SELECT 1 FROM actions WHERE kind = 'paid_after_end'")) == 2
    await at_rest(world)
    await unchanged_costs_one_call(world, customer)  # nothing of it can be paid any more


async def test_an_end_with_everything_paid_is_asked_about_once(world: World) -> None:
    """One look at the end; from then on the customer costs one call, whatever else they buy."""
    customer, subscription = await running(world)
    world.stripe.cancel(subscription)
    await world.sync(customer)
    await unchanged_costs_one_call(world, customer)
    other = world.buy(customer, "price_big_monthly", domain="two.example")
    world.stripe.calls.clear()
    await world.sync(customer)
    assert held(world, other) == []
    assert len(world.stripe.calls) == 1


@pytest.mark.parametrize("status", ["active", "past_due", "incomplete_expired", "canceled"])
async def test_a_deleted_customer_is_asked_about_once(world: World, status: str) -> None:
    """Whatever their subscription is called, its invoices are looked at once; two sweeps and a pass ask no more."""
    customer, subscription = await running(world)
    world.stripe.delete_customer(customer)
    world.stripe.subscriptions[subscription]["status"] = status
    await find(world, "events")
    assert held(world, subscription) == ["ended"]
    await at_rest(world)
    await unchanged_costs_one_call(world, customer)


async def test_a_customer_who_was_not_deleted_after_all_is_woken(world: World) -> None:
    """An event still wakes who was taken for deleted: they run again, and a later end of theirs is looked at anew."""
    customer, subscription = await running(world, created=int(time.time()) - DAY)
    person = world.stripe.customers[customer]
    world.stripe.delete_customer(customer)
    await find(world, "events")
    await unchanged_costs_one_call(world, customer)
    del world.stripe.deleted_customers[customer]
    world.stripe.put(person)
    again = world.stripe.subscriptions[subscription]
    again.update(ended_at=None, canceled_at=None)
    world.stripe.edit(again, world.stripe.now(), "customer.subscription.updated", status="active")
    await find(world, "events")
    assert held(world, subscription) == []
    world.stripe.renew(subscription, "open")
    world.stripe.cancel(subscription, created=world.stripe.now() - 60)
    await find(world, "events")
    assert held(world, subscription) == ["ended"]
    world.stripe.calls.clear()
    await world.sync(customer)
    assert len(world.stripe.calls) == 2  # that invoice may still be paid
    world.stripe.pay_open_invoice(subscription)
    await find(world, "events")
    assert len(world.sql("SELECT 1 FROM actions WHERE kind = 'paid_after_end'")) == 1
    await unchanged_costs_one_call(world, customer)


# --- what can't be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 500])
async def test_without_the_invoices_nothing_is_decided_and_the_others_go_on(world: World, status: int) -> None:
    """The list of invoices fails: nothing is moved or suspended, nobody is parked, and another purchase is made."""
    customer, subscription = await running(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - 30 * DAY)
    other = world.buy(customer, "price_big_monthly", domain="two.example")
    world.stripe.fail_next("GET", "/v1/invoices", status, times=9)
    report = await world.sync(customer)
    assert not isinstance(report.outcome, Parked)
    assert held(world, subscription) == []
    assert held(world, other) == []
    world.stripe.clear_faults()
    await world.sync(customer)
    assert held(world, subscription) == ["unpaid"]
