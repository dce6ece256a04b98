"""The queue: who is due, who holds a lease, how many at a time, and when a person is asked. Pooled or not."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from lib.config import Secret
from lib.database import Database, due, latest_version, leases, ledger, migrate, schema_version
from lib.errors import DatabaseUnavailable, LeaseLost
from lib.kinds import nudge
from lib.model import Claim, Parked, Problem, Settlement
from lib.model.reason import Reason
from lib.policy import MAX_ATTEMPTS
from lib.stripe_client import transport as stripe_transport
from tests.world import World, make_world

ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
ADA = nudge("customer", "cus_ada")


@pytest.fixture(params=["direct", "pooled"])
def address(request: pytest.FixtureRequest) -> str:
    """This test's database, once directly and once through PgBouncer in transaction mode."""
    return str(request.getfixturevalue("database_url" if request.param == "direct" else "pooled_url"))


@pytest.fixture
def db(address: str) -> Database:
    """A process' handle of that database."""
    return Database(Secret(address))


async def only_row(db: Database) -> dict[str, object]:
    """The one row of the queue."""
    (row,) = await db.rows("SELECT *, due_at <= clock_timestamp() AS is_due FROM due")
    return row


async def claim_one(db: Database) -> Claim:
    """Claim the one row that is due."""
    (claim,) = await due.claim(db, concurrency=4)
    return claim


# --- leases and generations -------------------------------------------------------------------------------------------


async def test_a_settled_pass_leaves_no_row(db: Database) -> None:
    """Who is at rest is not in the queue."""
    await due.mark(db, [ADA])
    assert await due.settle(db, await claim_one(db), Settlement())
    assert await db.rows("SELECT * FROM due") == []
    await db.close()


async def test_a_nudge_and_the_fact_behind_it_are_written_together_or_not_at_all(db: Database) -> None:
    """A row is due once the transaction that says why is committed, at its date, and an earlier date stays."""
    later = await db.now() + timedelta(days=3)

    async def undone() -> None:
        async with db.transaction() as connection:
            await due.nudge(connection, [ADA])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    assert await db.rows("SELECT 1 AS found FROM due") == []
    for at in (later, later - timedelta(days=1), later + timedelta(days=1)):
        async with db.transaction() as connection:
            await due.nudge(connection, [ADA, nudge("dispute", "dp_1")], at=at)
    rows = await db.rows("SELECT kind, lane, due_at, generation FROM due ORDER BY kind")
    written = [(row["kind"], row["lane"], row["generation"]) for row in rows]
    assert written == [("customer", "panel", 3), ("dispute", "stripe", 3)]
    assert {row["due_at"] for row in rows} == {later - timedelta(days=1)}


async def test_a_nudge_during_a_pass_leaves_the_row_due(db: Database) -> None:
    """What came in after the pass had looked is looked at by another one, at once, whatever this one found."""
    later = (await db.rows("SELECT clock_timestamp() + interval '1 day' AS t"))[0]["t"]
    problem = Problem(Reason.DOMAIN_IN_USE, "taken", "sub_1")
    for end in (Settlement(), Settlement(due_at=later), Settlement(problems=(problem,))):
        await due.mark(db, [ADA])
        claim = await claim_one(db)
        await due.mark(db, [ADA])
        assert await due.claim(db, concurrency=4) == []  # one pass of a customer at a time
        assert await due.settle(db, claim, end)
        row = await only_row(db)
        assert (row["is_due"], row["lease_id"]) == (True, None)
        assert await due.settle(db, await claim_one(db), Settlement())
    await db.close()


async def test_a_lease_that_ran_out_is_taken_over_and_fences_its_old_holder(db: Database) -> None:
    """The dead holder's row goes to somebody else; should it wake, it can neither act, renew nor settle."""
    await due.mark(db, [ADA])
    old = await claim_one(db)
    await db.rows("UPDATE due SET leased_until = clock_timestamp() - interval '1 second'")
    new = await claim_one(db)
    assert new.lease_id != old.lease_id
    assert not await leases.renew(db, old.lease_id)
    assert await leases.renew(db, new.lease_id)
    fact = ledger.Entry("00000000-0000-4000-8000-000000000001", "intent", "suspend", "cus_ada")
    with pytest.raises(LeaseLost):
        await ledger.intend(db, fact, old.lease_id)
    assert not await due.settle(db, old, Settlement())
    assert (await only_row(db))["lease_id"] is not None
    assert await db.rows("SELECT * FROM actions") == []
    await ledger.intend(db, fact, new.lease_id)
    assert await due.settle(db, new, Settlement())
    await db.close()


async def test_a_lease_that_ran_out_can_not_act_even_before_it_is_taken_over(db: Database) -> None:
    """From its end on, somebody else may begin at any moment."""
    await due.mark(db, [ADA])
    claim = await claim_one(db)
    await db.rows("UPDATE due SET leased_until = clock_timestamp() - interval '1 second'")
    assert not await leases.renew(db, claim.lease_id)
    with pytest.raises(LeaseLost):
        await ledger.intend(
            db, ledger.Entry("00000000-0000-4000-8000-000000000001", "intent", "suspend", "c"), claim.lease_id
        )
    await db.close()


async def test_many_workers_never_claim_the_same_row(address: str) -> None:
    """Sixty rows, six processes: each row is claimed exactly once, and nobody waits for anybody's row."""
    processes = [Database(Secret(address)) for _ in range(6)]
    await due.mark(processes[0], [nudge("customer", f"cus_{number}") for number in range(60)])
    claimed: Counter[str] = Counter()

    async def work(db: Database) -> None:
        while claims := await due.claim(db, concurrency=1000, limit=3):
            claimed.update(claim.key for claim in claims)

    await asyncio.gather(*(work(db) for db in processes for _ in range(3)))
    assert len(claimed) == 60
    assert set(claimed.values()) == {1}
    for db in processes:
        await db.close()


async def test_no_more_leases_than_allowed_exist_anywhere(address: str) -> None:
    """Eighteen claimers in six processes never hold more than the four leases that are allowed."""
    processes = [Database(Secret(address)) for _ in range(6)]
    await due.mark(processes[0], [nudge("customer", f"cus_{number}") for number in range(30)])
    held, peak, passes = 0, 0, 0

    async def work(db: Database) -> None:
        nonlocal held, peak, passes
        while passes < 30:
            claims = []
            for _ in range(2):  # greedy: asks for more while it still holds what it has
                more = await due.claim(db, concurrency=4, limit=2)
                claims += more
                held += len(more)
                peak = max(peak, held)
            for claim in claims:
                held -= 1
                passes += 1
                await due.settle(db, claim, Settlement())

    await asyncio.gather(*(work(db) for db in processes for _ in range(3)))
    assert peak == 4
    assert await processes[0].rows("SELECT * FROM due") == []
    for db in processes:
        await db.close()


async def test_a_dead_process_gives_its_place_back(db: Database) -> None:
    """A lease that ran out does not count against the others."""
    await due.mark(db, [nudge("customer", f"cus_{number}") for number in range(6)])
    assert len(await due.claim(db, concurrency=4, limit=10)) == 4
    assert await due.claim(db, concurrency=4, limit=10) == []
    await db.rows("UPDATE due SET leased_until = clock_timestamp() - interval '1 second' WHERE lease_id IS NOT NULL")
    assert len(await due.claim(db, concurrency=4, limit=10)) == 4
    await db.close()


async def test_the_longest_waiting_goes_first(db: Database) -> None:
    """A customer with many events does not push the others back."""
    await due.mark(db, [nudge("customer", "cus_first")])
    await due.mark(db, [nudge("customer", "cus_second")])
    for _ in range(5):
        await due.mark(db, [nudge("customer", "cus_first"), nudge("customer", "cus_second")])
    await due.mark(db, [nudge("customer", "cus_third")])
    keys = [(await due.claim(db, concurrency=4))[0].key for _ in range(3)]
    assert keys == ["cus_first", "cus_second", "cus_third"]
    await db.close()


# --- failing, waiting, parked -----------------------------------------------------------------------------------------


@pytest.fixture
def anywhere(address: str) -> Iterator[World]:
    """A whole world over that database."""
    with make_world(address) as world:
        yield world


async def test_a_failing_pass_is_tried_on_the_curve_and_then_parked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure waits longer than the one before; the last of them asks a person, loudly and once."""
    monkeypatch.setattr(stripe_transport, "RETRIES", 0)
    customer = world.customer()
    world.buy(customer)
    world.stripe.down = True
    await world.sync(customer)
    waits = []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        (row,) = world.sql("SELECT attempts, parked_reason, due_at - updated_at AS wait FROM due")
        assert (row["attempts"], row["parked_reason"]) == (attempt, None)
        waits.append(row["wait"])
        world.hurry()
        await world.drain()
    assert waits[:-1] == sorted(waits[:-1])  # the last two are equally long, give or take
    assert timedelta(seconds=29) < waits[0] < timedelta(seconds=40)
    assert waits[-1] > timedelta(hours=9)
    (row,) = world.due()
    assert (row["parked_reason"], row["due_at"], row["lease_id"]) == ("gave_up", None, None)
    assert world.ledger() == ["parked"]
    await world.drain()
    assert world.ledger() == ["parked"]
    assert isinstance((await world.sync(customer)).outcome, Parked)  # who asks by hand is told so, too


async def test_whoever_is_parked_runs_again_when_something_comes_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event is enough to try again, and success clears the whole row."""
    monkeypatch.setattr(stripe_transport, "RETRIES", 0)
    customer = world.customer()
    world.buy(customer)
    world.stripe.down = True
    await world.sync(customer)
    for _ in range(MAX_ATTEMPTS):
        world.hurry()
        await world.drain()
    assert world.due()[0]["parked_reason"] == "gave_up"
    world.stripe.down = False
    async with world.functions() as client:
        await world.deliver(client, world.stripe.events_of("customer.subscription.created")[0])
    assert world.panel.world() == ONE
    assert world.due() == []


async def test_a_success_forgets_the_failures_before(world: World) -> None:
    """Failures count in a row only."""
    customer = world.customer()
    subscription = world.buy(customer)
    world.stripe.forbid("/v1/subscriptions")
    for _ in range(4):
        world.hurry()
        await world.sync(customer)
    assert world.due()[0]["attempts"] == 4
    world.stripe.clear_faults()
    await world.sync(customer)
    world.stripe.fail_payment(subscription)
    await world.sync(customer)
    (row,) = world.due()
    assert (row["attempts"], row["last_error"], row["waits_for"]) == (0, None, "in_grace")


async def test_waiting_is_not_failing(world: World) -> None:
    """However often a pass finds that the grace is not over, it never counts as an attempt or gets parked."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription)
    for _ in range(MAX_ATTEMPTS + 2):
        await world.sync(customer)
    (row,) = world.due()
    assert (row["attempts"], row["parked_reason"]) == (0, None)
    assert row["due_at"] == world.service(subscription)["grace_until"]


async def test_a_parked_row_with_a_date_wakes_by_itself(world: World) -> None:
    """A problem with one subscription does not make us miss the end of another one's grace."""
    customer = world.customer()
    world.stripe.create_price("price_nobody_sells")
    first = world.buy(customer)
    await world.sync(customer)
    world.buy(customer, "price_nobody_sells", domain=None)
    failed = world.stripe.now() - 6 * 86400
    world.stripe.fail_payment(first, failed)
    await world.sync(customer)
    (row,) = world.due()
    assert row["parked_reason"] == "unmapped_price"
    assert isinstance(row["due_at"], datetime)
    assert row["due_at"].timestamp() == failed + 7 * 86400
    world.hurry()
    await world.drain(GRACE_DAYS="5")
    assert world.only_subscription().suspended_by is not None
    (row,) = world.due()
    assert (row["parked_reason"], row["due_at"]) == ("unmapped_price", None)


async def test_one_customers_trouble_does_not_hold_up_another(world: World) -> None:
    """One drain runs everybody who is due, whatever became of those before."""
    bad, good = world.customer("Bad", "bad@example.com"), world.customer("Good", "good@example.com")
    world.stripe.create_price("price_nobody_sells")
    world.buy(bad, "price_nobody_sells")
    world.buy(good)
    world.panel.fail_next("POST", "/customers$", 500)
    for customer in (bad, good):
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    await world.drain()
    rows = {row["key"]: row for row in world.due()}
    assert rows[bad]["parked_reason"] == "unmapped_price"
    assert rows[good]["attempts"] == 1
    await world.come_to_rest()
    assert world.panel.world() == ONE


async def test_an_object_leads_to_its_customer(world: World) -> None:
    """An event may name an object and no customer: its own row finds the customer, makes them due and is gone."""
    customer = world.customer()
    world.buy(customer)
    invoice = world.stripe.get(next(iter(world.stripe.subscriptions)))["latest_invoice"]
    world.sql("INSERT INTO due (kind, key) VALUES ('invoice', %s), ('invoice', 'in_unknown')", invoice)
    await world.drain()
    assert world.panel.world() == ONE
    assert world.due() == []


# --- whole passes, pooled or not --------------------------------------------------------------------------------------


async def test_no_more_passes_at_a_time_than_allowed(anywhere: World) -> None:
    """Four managers with room for many passes each never run more than two customers at one moment."""
    world, peak = anywhere, 0
    for number in range(8):
        customer = world.customer(f"Ada {number}", f"ada{number}@example.com")
        world.buy(customer, domain=f"shop{number}.example")
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)

    async def watch(when: str, call: object) -> None:
        nonlocal peak
        leased = world.sql("SELECT count(*) AS n FROM due WHERE leased_until > clock_timestamp()")[0]["n"]
        peak = max(peak, leased)

    stop = world.panel.on_call(watch)
    while world.due():
        await asyncio.gather(*(worker(world) for _ in range(4)))
        world.hurry()
    stop()
    assert peak == 2
    assert world.panel.world() == dict.fromkeys(ONE, 8)


async def worker(world: World) -> None:
    """One process of several."""
    async with world.bridge(PANEL_CONCURRENCY="2") as manager:
        await manager.drain(deadline=math.inf, workers=8)


async def test_from_the_event_to_the_website(anywhere: World) -> None:
    """Accept, claim, pass and settle work over the pooled address as over the direct one."""
    world = anywhere
    subscription = world.buy(world.customer())
    async with world.functions() as client:
        events = [e for e in world.stripe.undelivered() if e["type"].startswith(("customer.sub", "invoice."))]
        answers = await asyncio.gather(*(world.deliver(client, event) for event in events for _ in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        assert world.panel.world() == ONE
        world.stripe.fail_payment(subscription, world.stripe.now() - 8 * 86400)
        await world.deliver(client, world.stripe.events_of("invoice.payment_failed")[-1])
        assert world.only_subscription().suspended_by is not None
        world.stripe.pay_open_invoice(subscription)
        await world.deliver(client, world.stripe.events_of("invoice.paid")[-1])
    assert world.only_subscription().suspended_by is None
    assert world.due() == []
    assert world.dangling() == []


@pytest.mark.parametrize("way", ["direct", "pooled"])
async def test_many_processes_migrate_at_once(
    request: pytest.FixtureRequest, empty_database_url: str, way: str
) -> None:
    """Six cold starts on an empty database: each migration is applied once, and everybody goes on."""
    url = empty_database_url
    if way == "pooled":
        url = f"postgresql://postgres@127.0.0.1:{request.getfixturevalue('pooler_port')}/{url.rpartition('/')[2]}"
    processes = [Database(Secret(url)) for _ in range(6)]
    applied = await asyncio.gather(*(migrate(db) for db in processes))
    assert sum(len(each) for each in applied) == latest_version()
    assert {await schema_version(db) for db in processes} == {latest_version()}
    for db in processes:
        await db.close()


async def test_events_do_not_use_up_the_retry_curve(world: World) -> None:
    """However many events come in during an outage, a customer is not parked by them, and runs when it is over."""
    customer = world.customer()
    world.buy(customer)
    world.panel.down = True
    async with world.bridge() as manager:
        for _ in range(15):
            await manager.reconcile(customer)  # what an event does, too: it makes the row due before its time
        (row,) = world.due()
        assert (row["attempts"], row["parked_reason"]) == (1, None)
        assert row["due_at"] == row["retry_at"]
        world.panel.down = False
        world.age_intents()
        world.hurry()
        await manager.drain(deadline=time.monotonic() + 30)
    assert world.panel.world()["websites"] == 1
    assert world.due() == []


async def test_an_intent_that_is_sent_again_is_the_same_one(db: Database) -> None:
    """The answer to writing it was lost: it stands once, and the pass goes on."""
    await due.mark(db, [ADA])
    (claim,) = await due.claim(db, concurrency=4)
    fact = ledger.Entry("00000000-0000-4000-8000-000000000001", "intent", "suspend", "cus_ada")
    for _ in range(2):
        await ledger.intend(db, fact, claim.lease_id)
    assert [row["n"] for row in await db.rows("SELECT count(*) AS n FROM actions")] == [1]
    await db.close()


async def test_a_fact_is_written_once_however_often_it_is_told(db: Database) -> None:
    """The answer to writing it may be lost, and then it is told again: the ledger's numbers stay right."""
    fact = ledger.Entry("00000000-0000-4000-8000-000000000001", "applied", "suspend", "cus_ada")
    for _ in range(3):
        await ledger.record(db, [fact])
    (row,) = await db.rows("SELECT count(*) AS n FROM actions")
    assert row["n"] == 1
    await db.close()


async def test_who_is_parked_is_noted_although_the_answer_of_the_database_was_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parking and its note are one: neither a repeated statement nor a death between them loses the note."""
    world.stripe.create_price("price_nobody_sells")
    customer = world.customer()
    world.buy(customer, "price_nobody_sells")
    settle = due.settle

    async def lost(*args: Any, **named: Any) -> bool:
        await settle(*args, **named)
        raise DatabaseUnavailable("the answer was lost")

    async with world.bridge() as manager:
        await due.mark(manager.db, [nudge("customer", customer)])
        with monkeypatch.context() as patched:
            patched.setattr(due, "settle", lost)
            await manager.drain(deadline=time.monotonic() + 21)
        world.hurry()
        await manager.drain(deadline=time.monotonic() + 60)
    assert world.due()[0]["parked_reason"] == "unmapped_price"
    assert world.ledger("noted") == ["parked"]
