"""The brake: mass suspensions stop, somebody is told, and they go on when a person says so."""

import asyncio
import time
from typing import Any

import pytest

from lib.database import brake, due
from tests.test_sweep import remembered
from tests.world import World


async def drained(world: World, *, managers: int = 1, workers: int = 1, **environ: str) -> None:
    """Run what is due in so many processes at once."""

    async def one() -> None:
        async with world.bridge(**environ) as manager:
            await manager.drain(deadline=time.monotonic() + 300, workers=workers)

    await asyncio.gather(*(one() for _ in range(managers)))


async def release(world: World) -> int:
    """An admin releases the brake; how many waited for it."""
    async with world.bridge() as manager:
        return await brake.release(manager.db, "anna")


def suspended(world: World) -> int:
    """How many hosting subscriptions are off in the panel."""
    return sum(one.suspended_by is not None for one in world.panel.subscriptions.values())


def waiting(world: World) -> list[dict[str, Any]]:
    """The rows that wait for the brake."""
    return [row for row in world.due() if row["waits_for"] == "brake"]


async def unpaid(world: World, count: int, of: int) -> list[str]:
    """So many of so many remembered services have to be suspended, and their customers are due; the subscriptions."""
    subscriptions = await remembered(world, of)
    for subscription in subscriptions[:count]:
        world.stripe.set(subscription, status="unpaid")
        customer = world.stripe.subscriptions[subscription]["customer"]
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    return subscriptions


async def test_thirty_at_once_suspend_twenty_then_stop_alert_and_go_on_after_release(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The twenty-first waits as `brake`, not as failed, and is loud once; a release lets the other ten follow."""
    await unpaid(world, 30, 30)
    await drained(world)
    assert suspended(world) == 20
    rows = waiting(world)
    assert len(rows) == len(world.due()) == 10
    assert {(row["attempts"], row["last_error"], row["parked_reason"]) for row in rows} == {(0, None, None)}
    assert all(row["due_at"] is not None for row in rows)
    assert capsys.readouterr().out.count("brake_engaged") == 1
    (state,) = world.sql("SELECT engaged_at IS NOT NULL AS on, reason FROM brake")
    assert state["on"] is True
    assert state["reason"].startswith("20 suspensions")
    world.hurry()
    await drained(world)
    assert suspended(world) == 20
    assert await release(world) == 10
    await drained(world)
    assert suspended(world) == 30
    assert world.due() == []
    assert world.sql("SELECT engaged_at, released_by FROM brake") == [{"engaged_at": None, "released_by": "anna"}]


async def test_several_processes_together_never_suspend_more_than_the_limit(world: World) -> None:
    """The count is one over all processes, however many act in the same moment."""
    await unpaid(world, 30, 30)
    await drained(world, managers=4, workers=4, PANEL_CONCURRENCY="16", BRAKE_MAX="7")
    assert suspended(world) == 7
    assert len(waiting(world)) == 23


@pytest.mark.parametrize(("of", "limit"), [(99, 20), (100, 5), (140, 7)])
async def test_from_a_hundred_live_services_on_the_percentage_counts_too(world: World, of: int, limit: int) -> None:
    """Below a hundred only `BRAKE_MAX` counts; from there on five percent of what was live, over several processes."""
    await unpaid(world, 25, of)
    await drained(world, managers=2, workers=4)
    assert suspended(world) == limit
    assert len(waiting(world)) == 25 - limit


async def test_the_brake_stays_on_until_somebody_releases_it(world: World) -> None:
    """An hour later the count is small again and the brake still on: a person must look."""
    await unpaid(world, 5, 10)
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 2
    world.age_intents(minutes=120)
    world.hurry()
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 2
    await release(world)
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 4


async def test_a_release_reaches_a_pass_that_met_the_brake_a_moment_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released between its stop and the end of its pass, it goes on at once and not an hour later."""
    await unpaid(world, 2, 10)
    settle, released = due.settle, 0

    async def released_before(*args: Any, **more: Any) -> bool:
        nonlocal released
        if more.get("waits_for") == "brake" and not released:
            released = await release(world)
        return await settle(*args, **more)

    monkeypatch.setattr(due, "settle", released_before)
    await drained(world, BRAKE_MAX="1")
    assert released == 1
    assert suspended(world) == 2
    assert world.due() == []


async def test_suspensions_over_a_longer_time_are_no_mass(world: World) -> None:
    """What was suspended more than an hour ago does not count."""
    await unpaid(world, 2, 10)
    await drained(world, BRAKE_MAX="2")
    world.age_intents(minutes=61)
    for subscription in list(world.stripe.subscriptions)[2:4]:
        world.stripe.set(subscription, status="unpaid")
        customer = world.stripe.subscriptions[subscription]["customer"]
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 4
    assert world.due() == []


async def test_resuming_creating_and_moving_are_never_braked(world: World) -> None:
    """While the brake is on, who pays runs again, who buys gets it, who upgrades is moved."""
    subscriptions = await unpaid(world, 3, 10)
    await drained(world, BRAKE_MAX="2")
    assert len(waiting(world)) == 1
    held = [s for s in subscriptions[:3] if world.service(s)["state"] == "suspended"]
    world.stripe.set(held[0], status="active")
    customers = [str(world.stripe.subscriptions[s]["customer"]) for s in (held[0], subscriptions[5])]
    world.stripe.change_items(subscriptions[5], price="price_big_monthly", invoice="paid")
    new = world.customer()
    world.buy(new)
    for customer in (*customers, new):
        await world.sync(customer, BRAKE_MAX="2")
    assert world.service(held[0])["state"] == "live"
    assert world.service(subscriptions[5])["panel_plan_id"] == world.big_plan_id
    assert sum(not one.deleted for one in world.panel.subscriptions.values()) == 11
    assert len(waiting(world)) == 1


async def test_a_braked_service_that_is_paid_meanwhile_is_never_suspended(world: World) -> None:
    """What waited for the brake is decided anew when its time comes."""
    subscriptions = await unpaid(world, 3, 10)
    await drained(world, BRAKE_MAX="2")
    (row,) = waiting(world)
    (spared,) = [s for s in subscriptions[:3] if world.stripe.subscriptions[s]["customer"] == row["key"]]
    world.stripe.set(spared, status="active")
    await release(world)
    await drained(world)
    assert suspended(world) == 2
    assert world.due() == []


async def test_terminations_are_braked_with_suspensions(world: World) -> None:
    """Deleting counts and stops like suspending: a wrong retention can't sweep everybody away."""
    subscriptions = await unpaid(world, 0, 10)
    for subscription in subscriptions[:6]:
        world.stripe.set(subscription, status="canceled", ended_at=world.stripe.now() - 90 * 86400)
        customer = world.stripe.subscriptions[subscription]["customer"]
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    await drained(world, BRAKE_MAX="4", RETENTION_DAYS="30")
    assert sum(one.deleted for one in world.panel.subscriptions.values()) == 4
    assert len(waiting(world)) == 2


async def test_suspensions_that_failed_do_not_count(world: World) -> None:
    """A panel that refuses does not use the limit up."""
    await unpaid(world, 4, 10)
    world.panel.fail_next("PATCH", "/subscriptions/", status=400, times=4)
    await drained(world, BRAKE_MAX="4")
    assert suspended(world) == 0
    assert waiting(world) == []
    world.sql("UPDATE due SET due_at = now()")
    await drained(world, BRAKE_MAX="4")
    assert suspended(world) == 4


async def test_releasing_a_brake_that_is_off_changes_nothing(world: World) -> None:
    """What was suspended within the hour still counts: a release without a cause opens no second round."""
    await unpaid(world, 15, 40)
    await drained(world, BRAKE_MAX="20")
    assert suspended(world) == 15
    assert await release(world) == 0
    await unpaid_too(world)
    await drained(world, BRAKE_MAX="20")
    assert suspended(world) == 20
    assert len(waiting(world)) == 20


async def unpaid_too(world: World) -> None:
    """Everybody who is left has to be suspended as well."""
    for subscription in world.stripe.subscriptions.values():
        if subscription["status"] == "active":
            world.stripe.set(subscription["id"], status="unpaid")
            world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", subscription["customer"])


async def test_a_release_finds_who_failed_besides(world: World) -> None:
    """A customer of whom something else fails, too, goes on after the release like the others."""
    await unpaid(world, 1, 1)
    await drained(world, BRAKE_MAX="1")
    customer = world.customer()
    failing, behind = world.buy(customer, domain="a.example"), world.buy(customer, "price_big_monthly", domain=None)
    await world.sync(customer)
    world.stripe.mark_unpaid(behind)
    world.stripe.change_items(failing, quantity=2, invoice="paid")
    world.panel.fail_next("POST", "/customers/[^/]+/subscriptions$", 500, times=50)
    world.sql("INSERT INTO due (kind, key, attempts) VALUES ('customer', %s, 7)", customer)
    await drained(world, BRAKE_MAX="1")
    (row,) = world.due()
    assert (row["waits_for"], row["attempts"]) == ("brake", 8)
    assert await release(world) == 1
    await drained(world, BRAKE_MAX="1")
    assert suspended(world) == 2
