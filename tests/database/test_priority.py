"""Whose turn it is: what an event or a person asked for goes before what a sweep found, and neither waits for ever."""

from collections.abc import Sequence

import pytest

from lib.config import Secret
from lib.database import Database, due, leases, sweeps
from lib.kinds import nudge
from lib.model import Claim, Nudge, Priority, Problem, Settlement
from lib.model.reason import Reason
from lib.structs import replace
from tests.world import World

ASKED, ROUTINE = Priority.ASKED, Priority.ROUTINE


@pytest.fixture
def db(database_url: str) -> Database:
    """A process' handle of this test's database."""
    return Database(Secret(database_url))


def customers(*names: str) -> list[Nudge]:
    """Rows of the queue."""
    return [nudge("customer", name) for name in names]


async def claimed(db: Database, limit: int = 1, first: Priority = ASKED) -> list[str]:
    """Whose turn it is."""
    return [claim.key for claim in await due.claim(db, concurrency=100, limit=limit, prefer=first)]


async def priorities(db: Database) -> dict[str, int]:
    """Every row's priority."""
    return {row["key"]: row["priority"] for row in await db.rows("SELECT key, priority FROM due")}


async def test_a_purchase_goes_before_what_a_sweep_marked(db: Database) -> None:
    """The 61st in the queue is the first in turn, however long the other sixty have waited."""
    await due.mark(db, customers(*(f"cus_{n:02}" for n in range(60))), priority=ROUTINE)
    await due.mark(db, customers("cus_buyer"))
    assert await claimed(db) == ["cus_buyer"]
    assert await claimed(db) == ["cus_00"]
    await db.close()


async def test_a_sweep_never_takes_an_events_turn_away(db: Database) -> None:
    """A mark of a sweep leaves the priority that an event gave; an event's mark raises what a sweep had marked."""
    await due.mark(db, customers("cus_event"))
    await due.mark(db, customers("cus_sweep", "cus_event", "cus_both"), priority=ROUTINE)
    await due.mark(db, customers("cus_both"))
    assert await priorities(db) == {"cus_event": ASKED, "cus_sweep": ROUTINE, "cus_both": ASKED}
    await db.close()


async def test_one_claim_takes_both_and_fills_its_room(db: Database) -> None:
    """What is asked for and what is routine share the room that there is, in that order."""
    await due.mark(db, customers("a", "b", "c"), priority=ROUTINE)
    await due.mark(db, customers("x", "y"))
    assert sorted(await claimed(db, limit=4)) == ["a", "b", "x", "y"]
    assert len(await due.claim(db, concurrency=4, limit=4)) == 0
    await db.close()


async def test_routine_has_its_share_of_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is asked for, some of the claims begin with routine: nobody waits for ever."""
    async with world.bridge() as bridge:
        await due.mark(bridge.db, customers("cus_routine"), priority=ROUTINE)
        await due.mark(bridge.db, customers("cus_asked"))
        assert await claimed(bridge.db, first=ROUTINE) == ["cus_routine"]
        for share, name in ((1.0, "cus_routine"), (0.0, "cus_asked")):
            monkeypatch.setattr(due, "ROUTINE_SHARE", share)
            world.sql("TRUNCATE due")
            await due.mark(bridge.db, customers("cus_routine"), priority=ROUTINE)
            await due.mark(bridge.db, customers("cus_asked"))
            order: list[str] = []

            async def run(claim: Claim, order: list[str] = order, **how: object) -> None:
                order.append(claim.key)

            monkeypatch.setattr(bridge, "_run", run)
            await bridge.drain(deadline=float("inf"))
            assert order[0] == name


def test_most_turns_are_for_what_is_asked() -> None:
    """About one claim in ten begins with routine, by the caller's noise."""
    assert [due.turn(noise) for noise in (0.0, 0.09, 0.11, 0.5, 0.99)] == [ROUTINE, ROUTINE, ASKED, ASKED, ASKED]


@pytest.mark.parametrize(
    ("ended", "priority"),
    [
        (Settlement(answered=True), ROUTINE),
        (Settlement(error="the panel is away", attempts=1), ASKED),
        (Settlement(answered=True, problems=(Problem(Reason.UNMAPPED_PRICE, "no plan", "price_1"),)), ROUTINE),
    ],
    ids=["waits for a date", "failed", "parked"],
)
async def test_a_turn_lasts_until_it_is_answered(db: Database, ended: Settlement, priority: int) -> None:
    """A purchase that failed stays urgent; a date that was found, and who waits for a person, are routine."""
    await due.mark(db, customers("cus_1"))
    (claim,) = await due.claim(db, concurrency=4)
    later = (await db.rows("SELECT clock_timestamp() + interval '1 day' AS t"))[0]["t"]
    assert await due.settle(db, claim, replace(ended, due_at=later))
    assert await priorities(db) == {"cus_1": priority}
    await db.close()


async def test_what_came_during_a_pass_is_asked_for(db: Database) -> None:
    """An event while a sweep's pass runs has its own turn, whatever that pass found."""
    await due.mark(db, customers("cus_1"), priority=ROUTINE)
    (claim,) = await due.claim(db, concurrency=4)
    await due.mark(db, customers("cus_1"))
    assert await due.settle(db, claim, Settlement(answered=True))
    assert await priorities(db) == {"cus_1": ASKED}
    await db.close()


def keys(rows: Sequence[dict[str, object]]) -> dict[object, object]:
    """Priority by key."""
    return {row["key"]: row["priority"] for row in rows}


async def test_a_changed_setting_holds_no_purchase_up(world: World) -> None:
    """GRACE_DAYS changed, so the sweep marks everybody: the next buyer is provisioned by the very next pass."""
    for number in range(5):
        customer = world.customer(f"Ada {number}", f"ada{number}@example.com")
        world.buy(customer, domain=f"shop{number}.example")
        await world.sync(customer)
    for event in world.stripe.undelivered():
        world.stripe.mark_delivered(event)
    async with world.bridge(GRACE_DAYS="9") as bridge:
        await bridge.accept([world.stripe.signed(event)[0] for event in world.stripe.events])
        world.sql("TRUNCATE due")
        await bridge.sweep(deadline=float("inf"))
        assert set(keys(world.due()).values()) == {ROUTINE}
        assert len(world.due()) == 5
        buyer = world.customer("Bob", "bob@example.com")
        subscription = world.buy(buyer, domain="bob.example")
        created = world.stripe.events_of("customer.subscription.created", subscription)[0]
        await bridge.accept([world.stripe.signed(created)[0]])
        (claim,) = await due.claim(bridge.db, concurrency=4)
        assert claim.key == buyer


async def test_a_retry_by_the_sweep_is_routine(world: World) -> None:
    """Hundreds who are parked get their hourly try after whoever has just paid; an event's own turn stays."""
    world.sql(
        "INSERT INTO due (kind, key, due_at, parked_reason, parked_at, updated_at) VALUES"
        " ('customer', 'cus_parked', NULL, 'unmapped_price', now(), now() - interval '1 day'),"
        " ('customer', 'cus_asked', now() - interval '1 day', 'unmapped_price', now(), now() - interval '1 day')"
    )
    async with world.bridge() as bridge:
        holder = "00000000-0000-4000-8000-000000000001"
        assert await leases.take(bridge.db, "sweep", holder, leases.LEASE)
        sweep = await sweeps.begin(bridge.db, holder)
        assert await sweeps.retry_parked(bridge.db, sweep) == 2
    assert keys(world.due()) == {"cus_parked": ROUTINE, "cus_asked": ASKED}


async def test_a_mapping_wakes_who_waits_for_it_before_who_lives_by_it(world: World) -> None:
    """An edited mapping may concern thousands; first come those who have paid and were parked for want of it."""
    lives, waits = world.customer("Ada", "ada@example.com"), world.customer("Bob", "bob@example.com")
    world.buy(lives)
    await world.sync(lives)
    world.stripe.create_price("price_new")
    world.buy(waits, "price_new", domain="bob.example")
    await world.sync(waits)
    assert [row["parked_reason"] for row in world.due()] == ["unmapped_price"]
    world.sql("UPDATE plan_mappings SET grace_days = 3 WHERE billing_plan_id = 'price_basic_monthly'")
    world.map_price("price_new", "basic-hosting-plan")
    assert keys(world.due()) == {lives: ROUTINE, waits: ASKED}


async def test_everybody_at_once_is_routine(world: World) -> None:
    """`{"all": true}` is asked for by a person, and yet nobody waits for any one of them."""
    world.buy(customer := world.customer())
    await world.sync(customer)
    async with world.bridge() as bridge:
        await bridge.begin_everything("anna")
    assert keys(world.due()) == {customer: ROUTINE}


async def test_who_waits_for_a_pass_of_their_own_finds_the_row_free(db: Database) -> None:
    """A row that is kept for a person is nobody else's for a while, and due by itself if they give up."""
    await due.keep(db, *customers("cus_1"))
    assert await claimed(db) == []
    (row,) = await db.rows("SELECT due_at BETWEEN now() AND now() + interval '2 minutes' AS soon FROM due")
    assert row["soon"]
    found = await due.claim_this(db, nudge("customer", "cus_1"), concurrency=1, force=True)
    assert found is not None and found.key == "cus_1"
    await db.close()
