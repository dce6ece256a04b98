"""The brake: mass suspensions stop, somebody is told, and they go on when a person says so."""

import asyncio
import time
from typing import Any

import pytest

from lib.database import Database, brake, due
from lib.model import Claim, Settlement
from lib.operators import dashboard
from tests.passes.test_sweep import remembered
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
        return await brake.release(manager.db, "anna", brake.Shown())


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
    (state,) = world.sql("SELECT engaged_at IS NOT NULL AS on, reason FROM brake WHERE counts = 'suspensions'")
    assert state["on"] is True
    assert state["reason"].startswith("20 suspensions")
    world.hurry()
    await drained(world)
    assert suspended(world) == 20
    assert await release(world) == 10
    await drained(world)
    assert suspended(world) == 30
    assert world.due() == []
    (state,) = world.sql("SELECT engaged_at, released_by FROM brake WHERE counts = 'suspensions'")
    assert state == {"engaged_at": None, "released_by": "anna"}


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
    assert suspended(world) == 5


async def test_a_release_reaches_a_pass_that_met_the_brake_a_moment_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released between its stop and the end of its pass, it goes on at once and not an hour later."""
    await unpaid(world, 2, 10)
    settle, released = due.settle, 0

    async def released_before(db: Database, claim: Claim, settled: Settlement, **more: Any) -> bool:
        nonlocal released
        if settled.waits_for == "brake" and not released:
            released = await release(world)
        return await settle(db, claim, settled, **more)

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


# --- whom a release lets pass -----------------------------------------------------------------------------------------


async def test_a_release_lets_pass_whom_it_showed_and_counts_anew_for_everybody_else(world: World) -> None:
    """However many were waiting all go on, and use nothing up of what others may."""
    await unpaid(world, 9, 20)
    await drained(world, BRAKE_MAX="2")
    assert (suspended(world), len(waiting(world))) == (2, 7)
    await release(world)
    await unpaid_too(world)
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 2 + 7 + 2
    assert len(waiting(world)) == 9
    await release(world)
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 20
    assert world.due() == []


async def test_who_failed_after_the_release_is_let_pass_all_the_same(world: World) -> None:
    """A panel that is away for a moment does not take back what was released."""
    await unpaid(world, 6, 10)
    await drained(world, BRAKE_MAX="1")
    await release(world)
    world.panel.fail_next("PATCH", "/subscriptions/", status=500, times=30)
    await drained(world, BRAKE_MAX="1")
    assert suspended(world) == 1
    world.panel.clear_faults()
    await world.come_to_rest(BRAKE_MAX="1")
    assert suspended(world) == 6


async def test_who_waited_and_paid_before_the_release_is_not_let_pass_later(world: World) -> None:
    """Only who waits is shown, and only who is shown passes."""
    subscriptions = await unpaid(world, 3, 10)
    await drained(world, BRAKE_MAX="2")
    (row,) = waiting(world)
    (spared,) = [s for s in subscriptions[:3] if world.stripe.subscriptions[s]["customer"] == row["key"]]
    world.stripe.set(spared, status="active")
    await world.sync(row["key"], BRAKE_MAX="2")
    assert await release(world) == 0
    await unpaid_too(world)
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 4


# --- moves ------------------------------------------------------------------------------------------------------------


def moved(world: World) -> int:
    """How many hosting subscriptions are on the big plan."""
    return sum(one.plan_id == world.big_plan_id for one in world.panel.subscriptions.values())


EDIT = "UPDATE plan_mappings SET enhance_plan_id = 'big-hosting-plan' WHERE billing_plan_id = 'price_basic_monthly'"
BACK = "UPDATE plan_mappings SET enhance_plan_id = 'basic-hosting-plan' WHERE billing_plan_id = 'price_basic_monthly'"


async def live(world: World, of: int) -> list[str]:
    """So many customers whose services run and are known."""
    subscriptions = await unpaid(world, 0, of)
    world.sql("UPDATE services SET made_for = jsonb_build_array(jsonb_build_array(price_id, 1))")
    return subscriptions


async def test_one_edit_of_a_mapping_does_not_move_everybody(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 110 five percent are moved, then it stops and says so; the mapping put right, nobody else ever is."""
    await live(world, 110)
    world.sql(EDIT)
    await drained(world, workers=4)
    assert moved(world) == 5
    assert len(waiting(world)) == len(world.due()) == 105
    assert capsys.readouterr().out.count("brake_engaged") == 1
    (state,) = world.sql("SELECT reason FROM brake WHERE engaged_at IS NOT NULL")
    assert state["reason"].startswith("5 moves to another plan that no change at Stripe asked for within an hour")
    world.sql(BACK)
    await drained(world, workers=4)
    assert moved(world) == 5  # to be put back, which nobody asked Stripe for either
    assert len(waiting(world)) == 5
    await release(world)
    await drained(world)
    assert (moved(world), world.due()) == (0, [])


async def test_a_release_moves_all_who_waited_and_only_to_the_plan_that_was_shown(world: World) -> None:
    """Edited once more, the mapping means another move, which nobody has seen."""
    await live(world, 12)
    third = world.panel.add_plan("third-hosting-plan")
    world.sql(EDIT)
    await drained(world, BRAKE_MAX="2")
    assert await release(world) == 10
    await drained(world, BRAKE_MAX="2")
    assert (moved(world), world.due()) == (12, [])
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'basic-hosting-plan' WHERE kind = 'service'")
    await drained(world, BRAKE_MAX="2")
    assert moved(world) == 10
    await release(world)
    world.sql("UPDATE plan_mappings SET enhance_plan_id = %s WHERE billing_plan_id = 'price_basic_monthly'", str(third))
    await drained(world, BRAKE_MAX="2")
    assert sum(one.plan_id == third for one in world.panel.subscriptions.values()) == 2


async def test_moves_and_suspensions_are_counted_apart(world: World) -> None:
    """A mapping gone wrong lets nobody keep what is not paid for, and a bank that is away moves nobody later."""
    subscriptions = await live(world, 10)
    world.sql(EDIT)
    await drained(world, BRAKE_MAX="2")
    assert (moved(world), suspended(world)) == (2, 0)
    for subscription in subscriptions[:3]:
        world.stripe.set(subscription, status="unpaid")
        await world.sync(str(world.stripe.subscriptions[subscription]["customer"]), BRAKE_MAX="2")
    assert suspended(world) == 2
    engaged = world.sql("SELECT counts FROM brake WHERE engaged_at IS NOT NULL ORDER BY counts")
    assert [row["counts"] for row in engaged] == ["moves", "suspensions"]
    await release(world)
    assert world.sql("SELECT counts FROM brake WHERE engaged_at IS NOT NULL") == []
    await drained(world, BRAKE_MAX="2")
    assert suspended(world) == 3


async def test_what_stripe_asks_for_is_moved_while_the_brake_for_moves_is_on(world: World) -> None:
    """Upgrades, purchases and resuming go on whatever somebody wrote into a mapping."""
    subscriptions = await live(world, 6)
    world.sql(EDIT)
    await drained(world, BRAKE_MAX="1")
    assert moved(world) == 1
    left = [s for s in subscriptions if world.service(s)["panel_plan_id"] != world.big_plan_id]
    for subscription in left[:3]:
        world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
        await world.sync(str(world.stripe.subscriptions[subscription]["customer"]), BRAKE_MAX="1")
    assert moved(world) == 4


async def test_what_was_moved_by_hand_is_put_back_under_the_same_count(world: World) -> None:
    """Somebody who moves many in the panel meant something by it: a few are put back, then a person must look."""
    await live(world, 5)
    for one in world.panel.subscriptions.values():
        one.plan_id = world.big_plan_id
    world.sql("INSERT INTO due (kind, key) SELECT 'customer', customer_id FROM customers")
    await drained(world, BRAKE_MAX="2")
    assert (moved(world), len(waiting(world))) == (3, 3)


async def test_the_dashboard_shows_what_is_braked_and_who_waits(world: World) -> None:
    """Each count has its own alert, and names the services that a release lets pass."""
    await live(world, 4)
    world.sql(EDIT)
    await drained(world, BRAKE_MAX="1")
    async with world.bridge(BRAKE_MAX="1") as manager:
        shown = await dashboard.show(manager)
    (alert,) = [alert for alert in shown.alerts if alert.code.startswith("brake")]
    found = shown.brake.moves
    assert (alert.code, alert.detail) == ("brake_moves", found.reason)
    assert (shown.brake.engaged, found.engaged, found.waiting.total) == (False, True, 3)
    assert {(one.kind, one.plan) for one in found.waiting.services} == {("change_plan", "big-hosting-plan")}
