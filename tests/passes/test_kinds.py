"""Kinds of passes and their lanes: each has its places, and what happens in one is no matter of another."""

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Iterator

import pytest

from lib import stripe_events
from lib.config import Secret
from lib.database import Database, due
from lib.kinds import KINDS, Kind, nudge
from lib.model import Lane, Nudge
from lib.policy import MAX_ATTEMPTS
from lib.stripe_client import transport
from lib.subscription_manager.drain import TIME_FOR_A_PASS
from tests.passes import kind_of_a_test
from tests.world import World

ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    """A kind of our own in the lane that leads outside."""
    kind = Kind(Lane.OUT, "tests.passes.kind_of_a_test", longest=None)
    monkeypatch.setitem(KINDS, "strange", kind)
    kind_of_a_test.ran.clear()
    yield kind
    kind_of_a_test.ran.clear()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that others are about to do."""
    while not true():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)


async def test_a_new_kind_is_a_module_and_a_line(
    world: World, strange: Kind, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is claimed in its lane, run, logged with its facts, and settled, and nothing else knows of it."""
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("strange", "thing")])
        assert [row["lane"] for row in world.due()] == ["out"]
        drained = await bridge.drain(deadline=time.monotonic() + 60)
    assert (drained.passes, drained.outcomes, kind_of_a_test.ran) == (1, {"settled": 1}, ["thing"])
    assert world.due() == []
    assert world.ledger() == []


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_has_what_runs_it(name: str) -> None:
    """Its module is named, not imported: a wrong name must not wait for the first row of its kind."""
    assert inspect.iscoroutinefunction(KINDS[name].run)
    assert list(inspect.signature(KINDS[name].run).parameters) == ["claim", "context"]


async def test_a_kind_that_hangs_leaves_customers_alone(world: World, strange: Kind) -> None:
    """Every place of its lane hangs for ever: who pays is provisioned meanwhile, by this process and by any other."""
    async with world.bridge() as bridge, world.functions() as client:
        await due.mark(bridge.db, [nudge("strange", f"hangs {n}") for n in range(9)])
        drain = asyncio.create_task(bridge.drain(deadline=time.monotonic() + 600, workers=4))
        await until(lambda: len(kind_of_a_test.ran) == 4)
        world.buy(customer := world.customer())
        await due.mark(bridge.db, [nudge("customer", customer)])
        await until(lambda: "customer" not in {row["kind"] for row in world.due()})
        assert world.panel.world() == ONE
        other = world.customer("Bob", "bob@example.com")
        bought = world.buy(other, domain="bob.example")
        answer = await world.deliver(client, world.stripe.events_of("customer.subscription.created", bought)[0])
        assert answer.status_code == 200  # it comes with the end of the work behind it
        assert world.panel.world() == dict.fromkeys(ONE, 2)
        assert len(kind_of_a_test.ran) == 4
        assert not drain.done()
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)


async def test_a_pass_that_takes_too_long_has_failed(
    world: World, strange: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off after its kind's time, and goes onto the curve with the reason."""
    monkeypatch.setitem(KINDS, "strange", Kind(Lane.OUT, "tests.passes.kind_of_a_test", longest=0.05))
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("strange", "hangs")])
        drained = await bridge.drain(deadline=time.monotonic() + 60)
    assert drained.outcomes == {"failed": 1}
    (row,) = world.due()
    assert (row["attempts"], row["lease_id"]) == (1, None)
    assert "longer than" in row["last_error"]


async def test_a_pass_that_hangs_is_over_before_its_process_is(
    world: World, strange: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is given back at the deadline and not when the lease has run out, and somebody tries again at once."""
    monkeypatch.setitem(KINDS, "strange", Kind(Lane.OUT, "tests.passes.kind_of_a_test", longest=600.0))
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("strange", "hangs")])
        (claim,) = await due.claim(bridge.db, concurrency=1, lane=Lane.OUT)
        await bridge.runner.run(claim, deadline=time.monotonic() + 0.2)
        assert await due.openings(bridge.db, {Lane.OUT: 1}) == {Lane.OUT: 1}
    (row,) = world.due()
    assert (row["attempts"], row["lease_id"]) == (1, None)
    assert "longer than" in row["last_error"]


async def test_a_kind_that_this_version_lacks_waits_for_one_that_has_it(world: World) -> None:
    """After a rollback a row of tomorrow's kind fails with the reason, and is neither dropped nor run as another."""
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("of_tomorrow", "x")])
        await bridge.drain(deadline=time.monotonic() + 60)
    (row,) = world.due()
    assert "of_tomorrow" in row["last_error"]


async def test_lanes_share_no_places(database_url: str) -> None:
    """Each lane has its own leases to count, its own rows to claim and its own lock."""
    db = Database(Secret(database_url))
    rows = [Nudge("a", str(n), lane) for lane in Lane for n in range(3) if lane is not Lane.PANEL]
    await due.mark(db, [*rows[:3], *(row._replace(kind="b") for row in rows[3:])])
    assert len(await due.claim(db, concurrency=2, limit=9, lane=Lane.OUT)) == 2
    assert await due.claim(db, concurrency=2, limit=9, lane=Lane.OUT) == []
    assert await due.claim(db, concurrency=2, limit=9) == []
    assert len(await due.claim(db, concurrency=9, limit=9, lane=Lane.STRIPE)) == 3
    assert await due.openings(db, {Lane.PANEL: 9, Lane.STRIPE: 9, Lane.OUT: 3}) == {Lane.OUT: 1}
    assert await due.openings(db, {Lane.PANEL: 9, Lane.STRIPE: 9, Lane.OUT: 2}) == {}
    await db.close()


async def test_a_row_that_is_locked_is_not_looked_for_without_end(world: World) -> None:
    """Somebody's open transaction on a due row: a drain sees that it is due, can't have it, and comes to its end."""
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', 'cus_locked')")
    world.sql("BEGIN")
    world.sql("SELECT key FROM due FOR UPDATE")
    async with world.bridge() as bridge:
        drained = await bridge.drain(deadline=time.monotonic() + TIME_FOR_A_PASS + 60, workers=4)
    world.sql("ROLLBACK")
    assert (drained.passes, drained.out_of_time) == (0, False)


def paid() -> bytes:
    """An event that two kinds care about."""
    thing = {"id": "in_1", "object": "invoice", "customer": "cus_1"}
    event = {"id": "evt_1", "object": "event", "type": "invoice.paid", "livemode": False, "data": {"object": thing}}
    return json.dumps(event).encode()


async def test_an_event_makes_everything_due_that_it_is_about(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its subjects, not the first: each in its lane, in the statement that stores the event."""
    several = {**stripe_events.DUE_BY_TYPE, "invoice.paid": ("customer=customer", "invoice=id", "charge=charge")}
    monkeypatch.setattr(stripe_events, "DUE_BY_TYPE", several)
    # Neither what an earlier test has asked for is remembered, nor this by a later one.
    monkeypatch.setattr(stripe_events, "_sources", stripe_events._sources.__wrapped__)
    async with world.bridge() as bridge:
        (event,) = await bridge.accept([paid()])
    assert event.nudges == (("customer", "cus_1"), ("invoice", "in_1"))
    assert {row["kind"]: row["lane"] for row in world.due()} == {"customer": "panel", "invoice": "stripe"}


async def test_a_dispute_that_gives_up_is_no_customer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is parked with its reason for a person, and the ledger of customers says nothing of it."""
    monkeypatch.setattr(transport, "RETRIES", 0)
    world.stripe.down = True
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("dispute", "dp_1")])
        for _ in range(MAX_ATTEMPTS + 1):
            world.hurry()
            await bridge.drain(deadline=time.monotonic() + 60)
    (row,) = world.due()
    assert (row["parked_reason"], row["kind"]) == ("gave_up", "dispute")
    assert world.ledger() == []
