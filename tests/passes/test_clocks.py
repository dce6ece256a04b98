"""Clocks that disagree by minutes: Stripe's dates are judged by Stripe's clock, leases by the database's alone."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from lib.stripe_client import transport as stripe_transport
from tests.world import World

DAY = 86400
MINUTES = 60
ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
WRONG = pytest.mark.parametrize("minutes", [-10, 10], ids=["behind", "ahead"])


def held(world: World) -> bool:
    """Whether the one service is off."""
    return world.only_subscription().suspended_by is not None


def due_in(world: World) -> float:
    """Seconds from now, by the database's clock, until the one row is due."""
    (row,) = world.sql("SELECT extract(epoch FROM due_at - clock_timestamp())::float AS s FROM due")
    return float(row["s"])


async def bought(world: World, minutes: int) -> tuple[str, str]:
    """A customer whose service runs, at a Stripe whose clock is wrong by so many minutes."""
    world.stripe.clock = lambda: time.time() + minutes * MINUTES
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    return customer, subscription


@WRONG
async def test_grace_ends_by_stripes_clock_and_not_before(world: World, minutes: int) -> None:
    """Five minutes before its end by Stripe's own clock nobody is off; the queue knows when that is by ours."""
    customer, subscription = await bought(world, minutes)
    world.stripe.fail_payment(subscription, world.stripe.now() - 7 * DAY + 5 * MINUTES)
    await world.sync(customer)
    assert not held(world)
    assert due_in(world) == pytest.approx(5 * MINUTES, abs=20)


@WRONG
async def test_grace_is_over_by_stripes_clock_and_not_later(world: World, minutes: int) -> None:
    """Five minutes after its end by Stripe's own clock it is over, whatever ours says."""
    customer, subscription = await bought(world, minutes)
    world.stripe.fail_payment(subscription, world.stripe.now() - 7 * DAY - 5 * MINUTES)
    await world.sync(customer)
    assert held(world)


@WRONG
async def test_retention_ends_by_stripes_clock(world: World, minutes: int) -> None:
    """Nothing is deleted early because a clock is wrong."""
    customer, subscription = await bought(world, minutes)
    world.stripe.cancel(subscription, created=world.stripe.now() - 30 * DAY + 5 * MINUTES)
    await world.sync(customer, RETENTION_DAYS="30")
    assert not world.only_subscription().deleted
    assert due_in(world) == pytest.approx(5 * MINUTES, abs=20)


@WRONG
async def test_a_trial_is_looked_at_when_it_ends_by_stripes_clock(world: World, minutes: int) -> None:
    """The date to look again is Stripe's, told in the database's time."""
    world.stripe.clock = lambda: time.time() + minutes * MINUTES
    customer = world.customer()
    world.buy(customer, status="trialing", trial_end=world.stripe.now() + DAY)
    await world.sync(customer)
    assert due_in(world) == pytest.approx(DAY, abs=20)


@WRONG
async def test_an_admins_date_is_a_date_on_stripes_calendar_too(world: World, minutes: int) -> None:
    """A one-off grace is not cut short by a clock that is wrong."""
    customer, subscription = await bought(world, minutes)
    world.stripe.fail_payment(subscription, world.stripe.now() - 30 * DAY)
    until = datetime.fromtimestamp(world.stripe.now() + 5 * MINUTES, UTC)
    world.sql("UPDATE services SET grace_override = %s", until)
    await world.sync(customer)
    assert not held(world)


async def test_without_a_date_the_database_serves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Date header, or one that nobody can read: the database's clock serves."""
    monkeypatch.setattr(stripe_transport, "_header_time", lambda _: None)
    customer, subscription = await bought(world, 0)
    world.stripe.fail_payment(subscription, world.stripe.now() - 7 * DAY + 5 * MINUTES)
    await world.sync(customer)
    assert not held(world)
    assert due_in(world) == pytest.approx(5 * MINUTES, abs=20)


@WRONG
async def test_an_organisation_whose_answer_was_lost_is_found_whatever_the_panels_clock_says(
    world: World, minutes: int
) -> None:
    """Looking for our own creation by its date has a margin: it is found, not made twice."""
    world.panel.set_clock(lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    world.buy(world.customer())
    world.panel.drop_next("POST", "/customers$", "after")
    async with world.bridge() as manager:
        await manager.sweep(deadline=time.monotonic() + 300)
    await world.come_to_rest()
    assert world.panel.world() == ONE
    assert world.due() == []


@WRONG
async def test_events_of_a_clock_that_is_wrong_are_not_missed(world: World, minutes: int) -> None:
    """The window of a sweep overlaps the one before by more than any clock is wrong."""
    world.stripe.clock = lambda: time.time() + minutes * MINUTES
    async with world.bridge() as manager:
        await manager.sweep(deadline=time.monotonic() + 300)
        customer = world.customer()
        world.stripe.update_customer(customer, name="Another")
        for event in world.stripe.events:
            world.stripe.mark_delivered(event)  # delivered, and lost on our side
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert report.counts["eventsMissed"] == 1


async def test_this_machines_clock_decides_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function on a machine that is a year ahead waits out the grace like any other."""
    customer, subscription = await bought(world, 0)
    world.stripe.fail_payment(subscription, world.stripe.now() - DAY)
    world.stripe.clock = right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 365 * DAY)
    await world.sync(customer)
    monkeypatch.undo()
    assert not held(world)
    assert due_in(world) == pytest.approx(6 * DAY, abs=20)
