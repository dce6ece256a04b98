"""No sweep marks the same unchanged customer twice, whatever a side shows in its lists; what changes is still found."""

import itertools
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.world import World

Oddity = Callable[[World], None]


def _rows(change: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    def changed(page: Any) -> Any:
        rows = [row for row in map(change, page[name]) if row is not None]
        shown = {**page, name: rows}
        return {**shown, "total": page["total"] - len(page[name]) + len(rows)} if "total" in page else shown

    return changed


def _websites(change: Callable[[Any], Any]) -> Oddity:
    return lambda world: world.panel_says.tamper("GET", "/websites$", _rows(change, "items"))


def _orgs(change: Callable[[Any], Any]) -> Oddity:
    return lambda world: world.panel_says.tamper("GET", "/customers$", _rows(change, "items"))


def _lacks_the_ended(world: World) -> None:
    ended = {s["id"] for s in world.stripe.subscriptions.values() if s["status"] == "canceled"}
    change = _rows(lambda row: None if row["id"] in ended else row, "data")
    world.stripe_says.tamper("GET", "/v1/subscriptions$", change)


def _tells_of_no_website(world: World) -> None:
    world.panel.fail_next("GET", "/websites/[^/]+$", 403, code="only_mo_allowed", times=1000)


def _tells_of_no_organisation(world: World) -> None:
    theirs = "|".join(org for org in world.panel.orgs if org != world.panel.org_id)
    world.panel.fail_next("GET", f"^/orgs/({theirs})$", 403, code="only_mo_allowed", times=1000)


def _both(*oddities: Oddity) -> Oddity:
    def all_of_them(world: World) -> None:
        for oddity in oddities:
            oddity(world)

    return all_of_them


ODDITIES: dict[str, Oddity] = {
    "websites show no suspension": _websites(lambda row: {**row, "status": "active", "suspendedBy": None}),
    "websites are all off": _websites(lambda row: {**row, "status": "disabled"}),
    "websites show another plan": _websites(lambda row: {**row, "planId": 4711}),
    "websites show no subscription": _websites(lambda row: {**row, "subscriptionId": None, "planId": None}),
    "no website is listed": _websites(lambda _: None),
    "no website is listed, and none is told of": _both(_websites(lambda _: None), _tells_of_no_website),
    "organisations are spelt otherwise": _orgs(lambda row: {**row, "name": row["name"].upper()}),
    "organisations count otherwise": _orgs(lambda row: {**row, "subscriptionsCount": 0}),
    "organisations look deleted": _orgs(lambda row: {**row, "status": "deleted"}),
    "no organisation is listed": _orgs(lambda _: None),
    "no organisation is listed, and none is told of": _both(_orgs(lambda _: None), _tells_of_no_organisation),
    "what has ended is listed no more": _lacks_the_ended,
}


async def _customers(world: World) -> dict[str, str]:
    """One of each kind; kind -> subscription."""
    numbers = itertools.count(1)

    def bought(**more: Any) -> str:
        number = next(numbers)
        customer = world.customer(f"Customer {number}", f"customer{number}@example.com")
        return world.buy(customer, domain=f"site{number}.example", **more)

    made = {kind: bought() for kind in ("live", "ended", "held", "off by hand")}
    await _sweep(world)
    world.stripe.cancel(made["ended"])
    world.stripe.renew(made["held"], "failed")
    hosting = world.service(made["off by hand"])["panel_subscription_id"]
    world.panel.suspend_by_hand(hosting)
    for _ in range(2):
        await _sweep(world)
    return made


async def _sweep(world: World) -> int:
    """One whole sweep, and the passes it asks for; how many it marked."""
    async with world.bridge(GRACE_DAYS="0") as manager:
        report = await manager.sweep(deadline=time.monotonic() + 120)
        assert report.finished
        await manager.drain(deadline=time.monotonic() + 120)
    return report.counts.get("marked", 0)


async def _comes_to_rest(world: World, names: list[str]) -> None:
    for name in names:
        ODDITIES[name](world)
    for _ in range(2):
        await _sweep(world)
    before = world.dump(), world.panel.world()
    for _ in range(3):
        assert await _sweep(world) == 0
    assert (world.dump(), world.panel.world()) == before


@pytest.mark.parametrize("name", ODDITIES)
async def test_no_sweep_marks_the_same_unchanged_customer_twice(world: World, name: str) -> None:
    """What a list shows otherwise costs at most one pass, and then nothing, as long as it stays so."""
    await _customers(world)
    await _comes_to_rest(world, [name])


@pytest.mark.parametrize("seed", range(3))
async def test_nor_when_several_things_are_odd(world: World, seed: int) -> None:
    """Any three oddities together come to rest as each of them does."""
    await _customers(world)
    await _comes_to_rest(world, random.Random(seed).sample(sorted(ODDITIES), 3))  # noqa: S311 - guards nothing


async def test_what_is_done_by_hand_is_found_each_time(world: World) -> None:
    """What was remembered of one hand's work hides no other: resumed twice, moved twice, it is put right twice."""
    made = await _customers(world)
    held, live = (world.service(made[kind])["panel_subscription_id"] for kind in ("held", "live"))
    for _ in range(2):
        world.panel.resume_by_hand(held)
        world.panel.change_plan_by_hand(live, world.big_plan_id)
        assert await _sweep(world) == 2
        assert world.panel.subscriptions[held].suspended_by is not None
        assert world.panel.subscriptions[live].plan_id == world.plan_id
        assert await _sweep(world) == 0


@pytest.mark.parametrize("what", ["dispute", "refund"])
async def test_what_stays_undecided_for_months_costs_no_pass(world: World, what: str) -> None:
    """An old dispute or refund is asked about by each sweep, and its customer is due only when that brings news."""
    customer = world.customer()
    subscription = world.buy(customer)
    invoice = world.stripe.get(subscription)["latest_invoice"]
    now = world.stripe.now()
    if what == "dispute":
        object_id = world.stripe.dispute(invoice)["id"]
    else:
        object_id = world.stripe.refund(invoice, amount=1)["id"]
    thing = world.stripe.get(object_id)
    thing["status"] = "under_review" if what == "dispute" else "pending"
    for _ in range(2):
        await _sweep(world)
    thing["created"] = now - 100 * 86_400
    world.sql(f"UPDATE {what}s SET created_at = now() - interval '100 days'")  # noqa: S608 - one of the two
    world.stripe.calls.clear()
    async with world.bridge(GRACE_DAYS="0") as manager:
        assert (await manager.sweep(deadline=time.monotonic() + 120)).finished
        drained = await manager.drain(deadline=time.monotonic() + 120)
    assert (drained.passes, world.due()) == (1, [])
    assert world.stripe.count("GET", f"/v1/{what}s/{object_id}") == 1
    thing["status"] = "lost" if what == "dispute" else "succeeded"
    async with world.bridge(GRACE_DAYS="0") as manager:
        assert (await manager.sweep(deadline=time.monotonic() + 120)).finished
        drained = await manager.drain(deadline=time.monotonic() + 120)
    assert (drained.passes, world.due()) == (2, [])
