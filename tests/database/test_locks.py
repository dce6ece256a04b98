"""Who waits for whom in the database: nobody without end, nobody in a circle, and nothing is lost over it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import psycopg
import pytest

from lib.config import Secret
from lib.database import Database, comparison, customer_memory, due, events, leases, operator_edits, sweeps
from lib.errors import Conflicted
from lib.kinds import nudge
from lib.model import Lane, Problem, Settlement
from lib.model.reason import Reason
from tests.admin.test_webhook import cut, elsewhere, event, post
from tests.world import World

ADA = nudge("customer", "cus_ada")
CLAIM_LOCK = due._CLAIM_LOCKS[Lane.PANEL]
HOLDER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(params=["direct", "pooled"])
def address(request: pytest.FixtureRequest) -> str:
    """This test's database, once directly and once through PgBouncer in transaction mode."""
    return str(request.getfixturevalue("database_url" if request.param == "direct" else "pooled_url"))


@pytest.fixture
async def db(address: str) -> AsyncIterator[Database]:
    """A process' handle of that database."""
    database = Database(Secret(address))
    yield database
    await database.close()


@asynccontextmanager
async def somebody(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Another one's open transaction; rolled back at the end unless it commits itself."""
    opened = await psycopg.AsyncConnection.connect(url, prepare_threshold=None)
    try:
        yield opened
        await opened.rollback()
    finally:
        await opened.close()


async def waits_for_a_lock(connection: psycopg.Connection[Any]) -> None:
    """Until one of the other connections waits for a lock."""
    query = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
    )
    for _ in range(2000):
        if await asyncio.to_thread(lambda: connection.execute(query).fetchall()):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nobody waits")


# --- settling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["at rest", "later", "parked"])
async def test_a_nudge_that_is_committed_while_a_pass_settles_is_seen(
    db: Database, connection: psycopg.Connection[Any], database_url: str, end: str
) -> None:
    """The settling waits for the nudge's transaction, and then ends the lease and leaves the row due at once."""
    await due.mark(db, [ADA])
    (claim,) = await due.claim(db, concurrency=4)
    ended: dict[str, Any] = {}
    if end == "later":
        ended["due_at"] = (await db.now()).replace(year=2199)
    if end == "parked":
        ended["problems"] = (Problem(Reason.DOMAIN_IN_USE, "taken", "sub_1"),)
    async with somebody(database_url) as other:
        await other.execute(f"INSERT INTO due (kind, key) VALUES ('customer', 'cus_ada') {due.NUDGE}")  # noqa: S608
        settling = asyncio.create_task(due.settle(db, claim, Settlement(**ended)))
        await waits_for_a_lock(connection)
        await other.commit()
        assert await settling
    (row,) = await db.rows("SELECT lease_id, due_at <= clock_timestamp() AS is_due FROM due")
    assert (row["lease_id"], row["is_due"]) == (None, True)
    assert len(await due.claim(db, concurrency=4)) == 1


# --- claiming ---------------------------------------------------------------------------------------------------------


@contextmanager
def claims_held_up(url: str) -> Iterator[None]:
    """A time in which some other process is taking a claim, and does not come to an end."""
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (CLAIM_LOCK,))
        yield


async def test_nobody_waits_in_order_to_learn_that_there_is_no_room(db: Database, database_url: str) -> None:
    """With all places taken, or nothing due, a claim is answered without the lock that all claims share."""
    await due.mark(db, [nudge("customer", f"cus_{n}") for n in range(6)])
    assert len(await due.claim(db, concurrency=4, limit=4)) == 4
    with claims_held_up(database_url):
        assert await due.claim(db, concurrency=4) == []
        assert await due.claim_this(db, nudge("customer", "cus_5"), concurrency=4, force=True) is None
        await db.rows("DELETE FROM due")
        assert await due.claim(db, concurrency=4) == []


async def test_acknowledgements_share_no_connection_with_work(world: World) -> None:
    """However many drains hang in this process, each on a connection, the next events are stored."""
    for number in range(5):
        world.buy(world.customer(f"Ada {number}", f"ada{number}@example.com"), domain=None)
    bodies = [world.stripe.signed(found)[0] for found in world.stripe.undelivered()]
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', 'cus_nobody')")
    async with world.bridge(PANEL_CONCURRENCY="20") as bridge:
        await bridge.ensure_schema(migrates=False)
        end = time.monotonic() + 600
        with claims_held_up(world.environ["DATABASE_URL"]):
            drains = [asyncio.create_task(bridge.drain_quietly(deadline=end)) for _ in range(20)]
            try:
                await waits_for_a_lock(world.connection)
                assert len(await bridge.accept(bodies)) == len(bodies)
                assert not any(drain.done() for drain in drains)
            finally:
                for drain in drains:
                    drain.cancel()
                await asyncio.gather(*drains, return_exceptions=True)


async def test_a_process_that_freezes_inside_a_claim_keeps_nobody_waiting(db: Database, database_url: str) -> None:
    """It stands still before it has read the answer: the lock that all claims share is free, and one lease is taken."""
    await due.mark(db, [ADA, nudge("customer", "cus_bob")])
    with closing(psycopg.connect(database_url, autocommit=True)) as frozen:
        anything = {"lane": "panel", "places": 4, "most": 1, "first": 0, "lease": leases.LEASE, "lock": CLAIM_LOCK}
        anything |= {"kind": None, "key": None, "force": False}
        frozen.pgconn.send_query(psycopg.ClientCursor(frozen).mogrify(due._CLAIM, anything).encode())
        for _ in range(2000):
            if await db.rows("SELECT 1 FROM due WHERE lease_id IS NOT NULL"):
                break
            await asyncio.sleep(0.005)
        assert [claim.key for claim in await due.claim(db, concurrency=4, limit=4)] == ["cus_bob"]
        assert await db.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s", [CLAIM_LOCK]) == []


# --- whose row is locked ----------------------------------------------------------------------------------------------


async def test_an_open_transaction_on_the_mappings_holds_nobody_up(world: World) -> None:
    """An operator edits a mapping and goes for lunch: events and passes go on; all are due at the end."""
    subscription = world.buy(customer := world.customer())
    await world.sync(customer)
    async with somebody(world.environ["DATABASE_URL"]) as operator, world.functions() as client:
        await operator.execute("UPDATE plan_mappings SET grace_days = 3")
        world.stripe.fail_payment(subscription, world.stripe.now() - 30 * 86400)
        delivery = world.stripe.events_of("invoice.payment_failed")[-1]
        assert (await world.deliver(client, delivery)).status_code == 200
        assert world.only_subscription().suspended_by is not None
        assert world.due() == []
        await operator.commit()
    assert [row["key"] for row in world.due()] == [customer]


@pytest.mark.parametrize("patience", ["ours", "lock_timeout", "statement_timeout"])
async def test_an_event_is_stored_although_its_customers_row_is_locked(
    world: World, monkeypatch: pytest.MonkeyPatch, patience: str
) -> None:
    """Somebody's open transaction on the queue: 200 all the same, and the customer gets the pass when it is over.

    Whoever gives up waiting first: we, or the database, where its owner has set a limit that is shorter.
    """
    own_limit = f"{world.environ['DATABASE_URL']}?options=-c%20{patience}%3D300"
    limits = {} if patience == "ours" else {"DATABASE_URL": own_limit}
    monkeypatch.setattr(events, "PROMPT", 20.0 if limits else 0.3)
    world.buy(customer := world.customer())
    created = world.stripe.events_of("customer.subscription.created")[0]
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', %s, now() + interval '9 days')", customer)
    async with somebody(world.environ["DATABASE_URL"]) as other, world.functions(**limits) as client:
        await other.execute("SELECT FROM due FOR UPDATE")
        answer = await world.deliver(client, created)
        assert (answer.status_code, answer.json()["new"]) == (200, True)
        rows = {row["kind"]: row for row in world.due()}
        assert (rows["nudge"]["key"], rows["nudge"]["attempts"]) == (f"customer:{customer}", 1)
        assert "locked" in rows["nudge"]["last_error"]
        assert (await world.deliver(client, created)).json()["new"] is False
    world.sql("UPDATE due SET due_at = now(), retry_at = NULL WHERE kind = 'nudge'")
    await world.drain()
    assert world.due() == []
    assert world.panel.world()["subscriptions"] == 1


# --- in a circle ------------------------------------------------------------------------------------------------------


async def test_a_sweep_locks_the_queue_before_what_is_remembered(world: World) -> None:
    """As edits and passes do: whoever has a customer's row of the queue never waits for a sweep that waits for it."""
    subscription = world.buy(customer := world.customer())
    await world.sync(customer)
    await due.mark(database := Database(Secret(world.environ["DATABASE_URL"])), [nudge("customer", customer)])
    assert await leases.take(database, "sweep", HOLDER, leases.LEASE)
    sweep = await sweeps.begin(database, HOLDER)
    service = world.service(subscription)
    site = comparison.SeenWebsite(
        str(service["website_id"]), service["panel_subscription_id"], service["panel_plan_id"], gone=False, off=True
    )
    (org,) = world.sql("SELECT org_id::text AS id, org_name FROM customers")
    gone = comparison.SeenOrg(org["id"], org["org_name"], True, False, None, None, 0)
    compares: tuple[Callable[[], Awaitable[list[str]]], ...] = (
        lambda: comparison.compare_websites(database, sweep, [site]),
        lambda: comparison.compare_orgs(database, sweep, [gone]),
        lambda: comparison.websites_gone(database, sweep, [site.id], []),
    )
    for compare in compares:
        async with somebody(world.environ["DATABASE_URL"]) as edit:
            await edit.execute("SELECT FROM due WHERE key = %s FOR SHARE", (customer,))
            comparing = asyncio.ensure_future(compare())
            await waits_for_a_lock(world.connection)
            await edit.execute("SELECT FROM services FOR UPDATE NOWAIT")
            await edit.execute("SELECT FROM customers FOR UPDATE NOWAIT")
            await edit.commit()
            assert await comparing == [customer]
    await database.close()


async def test_of_two_that_wait_for_each_other_both_come_to_an_end(db: Database) -> None:
    """The database undoes one of two transactions in a circle; it is begun anew, and neither caller hears of it."""
    await due.mark(db, [nudge("customer", "a"), nudge("customer", "b")])
    both_hold_one = asyncio.Barrier(2)
    begun: list[str] = []

    async def write(own: str, other: str) -> str:
        async def work(connection: psycopg.AsyncConnection[Any]) -> str:
            begun.append(own)
            await connection.execute("UPDATE due SET attempts = attempts + 1 WHERE key = %s", (own,))
            if len(begun) <= 2:
                await both_hold_one.wait()
            await connection.execute("UPDATE due SET attempts = attempts + 1 WHERE key = %s", (other,))
            return own

        return await db.transact(work)

    assert set(await asyncio.gather(write("a", "b"), write("b", "a"))) == {"a", "b"}
    assert len(begun) > 2
    assert [row["attempts"] for row in await db.rows("SELECT attempts FROM due")] == [2, 2]


async def test_what_is_undone_again_and_again_is_told(db: Database) -> None:
    """The repetition is bounded: a transaction that can't succeed ends with its error."""
    begun = 0

    async def work(connection: psycopg.AsyncConnection[Any]) -> None:
        nonlocal begun
        begun += 1
        await connection.execute("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")

    with pytest.raises(Conflicted):
        await db.transact(work)
    with pytest.raises(Conflicted):
        await db.rows("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
    assert begun == 3


async def test_a_pass_that_was_undone_gives_its_place_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The victim of a deadlock holds no lease that others would have to wait out: it runs again at once."""
    world.buy(customer := world.customer())
    recall, undone = customer_memory.recall, 0

    def victim(*args: Any, **named: Any) -> Any:
        nonlocal undone
        undone += 1
        if undone <= 2:
            raise Conflicted("deadlock detected")
        return recall(*args, **named)

    monkeypatch.setattr(customer_memory, "recall", victim)
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("customer", customer)])
        drained = await bridge.drain(deadline=float("inf"))
    assert (drained.passes, drained.outcomes["failed"]) == (3, 2)
    assert world.panel.world()["subscriptions"] == 1
    assert world.due() == []


async def test_an_edit_that_was_undone_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's word is not lost to a deadlock, and not answered with an error: it is made under a new lease."""
    subscription = world.buy(customer := world.customer())
    await world.sync(customer)
    hold, undone = operator_edits.hold, 0

    async def victim(*args: Any, **named: Any) -> list[operator_edits.Before]:
        nonlocal undone
        changed = await hold(*args, **named)
        undone += 1
        if undone == 1:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return changed

    monkeypatch.setattr(operator_edits, "hold", victim)
    headers = {"Authorization": "Bearer admin_fake_key"}
    async with world.functions() as client:
        body = {"action": "hold", "subscriptionId": subscription}
        answer = await client.post("/api/admin/work", json=body, headers=headers)
    assert (answer.status_code, undone) == (200, 2)
    assert world.service(subscription)["holds"] == ["admin"]
    assert world.only_subscription().suspended_by is not None


# --- another server is the first one now ------------------------------------------------------------------------------


@contextmanager
def read_only(world: World) -> Iterator[None]:
    """A time in which every connection leads to a server that takes no writes, as a standby does."""
    name = psycopg.conninfo.conninfo_to_dict(world.environ["DATABASE_URL"])["dbname"]
    with elsewhere(world) as admin:
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        cut(world)
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')


async def test_a_database_that_takes_no_writes_is_503_and_is_left(world: World) -> None:
    """At a failover Stripe is asked to send again; connections to the old server are given up with the first write."""
    async with world.functions(PROVISIONING_MODE="paused") as client:
        with read_only(world):
            answer = await post(world, client, event("evt_1"))
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await post(world, client, event("evt_1"))).json() == {"received": True, "new": True}
    assert [row["key"] for row in world.due()] == ["cus_1"]


async def test_work_over_a_database_that_takes_no_writes_is_put_off(world: World) -> None:
    """A pass or a person's word at a failover ends with 503 and is done afterwards, over the same process."""
    world.buy(customer := world.customer())
    headers = {"Authorization": "Bearer admin_fake_key"}
    async with world.functions() as client:
        with read_only(world):
            answer = await client.post("/api/admin/sync", json={"customerId": customer}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        answer = await client.post("/api/admin/sync", json={"customerId": customer}, headers=headers)
        assert (answer.status_code, answer.json()["outcome"]["state"]) == (200, "settled")
    assert world.panel.world()["subscriptions"] == 1
