"""What is too old goes in small steps: nobody waits for them, and they wait for nobody."""

from typing import Any, cast

import psycopg
import pytest
from psycopg.rows import dict_row

from lib.config import Outlet, Secret
from lib.database import Database, events, notices, outbox, pruning
from lib.kinds import nudge
from lib.model import ReceivedEvent
from tests.world import World

OLD = """
    INSERT INTO events (event_id, type, outcome, body, received_at)
    SELECT 'evt_old_' || n, 'invoice.paid', 'accepted', '{}', now() - interval '91 days' + n * interval '1 second'
    FROM generate_series(1, 50) AS n;
    UPDATE metric_marks SET at = now(), id = 1000000000
"""

LEDGER = """
    INSERT INTO actions (action_id, customer_id, kind, state, at)
    SELECT md5(%(name)s || n)::uuid, 'cus_1', %(kind)s, state, now() - make_interval(days => %(days)s)
    FROM generate_series(1, %(count)s) AS n, unnest(%(states)s::text[]) AS state
"""


NOWHERE = Outlet((), livemode=False, allow_private=False)


class Unfinished:
    """A handle whose transactions are not committed yet: a step in the middle of its work."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def transact(self, work: Any) -> Any:
        return await work(self.connection)


async def all_of(db: Database, table: pruning.Table, days: int, step: int) -> list[int]:
    """Prune to the end; what each step deleted."""
    deleted, after = [], None
    while True:
        done = await pruning.prune(db, table, days, after, step=step)
        deleted.append(done.rows)
        if (after := done.after) is None:
            return deleted


async def test_a_prune_and_what_comes_in_do_not_wait_for_each_other(world: World) -> None:
    """While a step is under way events are stored, and another step passes over its rows, as over a locked one."""
    world.sql(OLD)
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f"ALTER DATABASE {name} SET lock_timeout = '200ms'")
    url = world.environ["DATABASE_URL"]
    db = Database(Secret(url))
    coming = ReceivedEvent("evt_new", "invoice.paid", "{}", "accepted", (("customer", "cus_1"),), customer_id="cus_1")
    async with (
        await psycopg.AsyncConnection.connect(url) as person,
        await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as other,
    ):
        await person.execute("UPDATE events SET error = 'looked at' WHERE event_id = 'evt_old_7'")
        under_way = await pruning.prune(cast(Database, Unfinished(other)), "events", 90, step=20)
        assert under_way.rows == 20
        assert await events.accept(db, [coming], nudge) == ["evt_new"]
        assert sum(await all_of(db, "events", 90, step=20)) == 29
        await other.commit()
        await person.commit()
    assert world.sql("SELECT event_id FROM events ORDER BY 1") == [{"event_id": "evt_new"}, {"event_id": "evt_old_7"}]
    assert sum(await all_of(db, "events", 90, step=20)) == 1
    await db.close()


async def test_mails_and_outgoing_events_that_somebody_has_locked_are_passed_over(world: World) -> None:
    """A person's open transaction holds up no sweep: what it has locked goes with the next one."""
    world.sql(
        "INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot, status, ended_at)"
        " SELECT 'stripe', 'cus_1', 'suspended', 'sub_' || n, 'sub_' || n, 1, 'sent', now() - interval '91 days'"
        " FROM generate_series(1, 5) n"
    )
    world.sql("INSERT INTO outbox_endpoints (endpoint, url) VALUES ('ep_1', 'https://app.example.com')")
    world.sql("INSERT INTO outbox_streams (endpoint, customer, sequence) VALUES ('ep_1', 'cus_1', 5)")
    world.sql(
        "INSERT INTO outbox (endpoint, event_id, type, customer, body, state, ended_at, sequence)"
        " SELECT 'ep_1', 'evt_' || n, 'order.paid', 'cus_1', '{}', 'delivered', now() - interval '91 days', n"
        " FROM generate_series(1, 5) n"
    )
    db = Database(Secret(world.environ["DATABASE_URL"]))
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f"ALTER DATABASE {name} SET lock_timeout = '200ms'")
    async with await psycopg.AsyncConnection.connect(world.environ["DATABASE_URL"]) as person:
        await person.execute("SELECT 1 FROM notices WHERE about = 'sub_3' FOR UPDATE")
        await person.execute("SELECT 1 FROM outbox WHERE event_id = 'evt_3' FOR UPDATE")
        assert await notices.prune(db, 90) == 4
        assert await outbox.prune(db, Outlet((), livemode=False, allow_private=False), 90) == 4
    assert (
        await notices.prune(db, 90),
        await outbox.prune(db, Outlet((), livemode=False, allow_private=False), 90),
    ) == (1, 1)
    await db.close()


async def test_old_sweeps_are_forgotten_but_the_last_that_took_in_all(world: World) -> None:
    """Their number does not grow with the years, and the next sweep knows since when to look."""
    world.sql(
        "INSERT INTO sweeps (started_at, finished_at, errors) SELECT at, at, errors::jsonb FROM (VALUES"
        " (now() - interval '95 days', '{}'), (now() - interval '94 days', '{}'),"
        " (now() - interval '93 days', '{\"events\": \"away\"}')) AS s (at, errors)"
    )
    ids = [row["id"] for row in world.sql("SELECT id FROM sweeps ORDER BY id")]
    db = Database(Secret(world.environ["DATABASE_URL"]))
    await pruning.prune_sweeps(db, 90)
    assert [row["id"] for row in world.sql("SELECT id FROM sweeps ORDER BY id")] == ids[1:]
    world.sql("INSERT INTO sweeps (finished_at) VALUES (now())")
    await pruning.prune_sweeps(db, 90)
    assert len(world.sql("SELECT id FROM sweeps")) == 1
    await db.close()


async def test_each_step_looks_at_so_many_rows_and_begins_where_the_last_ended(world: World) -> None:
    """Steps are small, and what is dead already is not read again."""
    world.sql(OLD)
    db = Database(Secret(world.environ["DATABASE_URL"]))
    assert await all_of(db, "events", 90, step=20) == [20, 20, 10]
    world.sql(
        "INSERT INTO events (event_id, type, outcome, body, received_at)"
        " VALUES ('evt_older', 'x', 'ignored', '{}', now() - interval '400 days')"
    )
    first = await pruning.prune(db, "events", 90, '["2020-01-01", "evt"]')
    assert (first.rows, first.after) == (1, None)
    await db.close()


async def test_the_ledger_is_kept_unless_the_settings_say_otherwise(world: World) -> None:
    """A sweep deletes no line of it, however old; with LEDGER_RETENTION_DAYS whole actions that are long over go."""

    def written(name: str, kind: str, days: int, states: list[str], count: int = 1) -> None:
        given = {"name": name, "kind": kind, "days": days, "states": states, "count": count}
        world.connection.execute(LEDGER, given)

    written("over", "resume", 500, ["intent", "applied", "verified"], count=30)
    written("noted", "parked", 500, ["noted"])
    written("young", "resume", 399, ["intent", "applied", "verified"])
    written("open", "create_website", 500, ["intent", "unknown"])
    written("spans", "resume", 500, ["intent"])
    written("spans", "resume", 10, ["applied"])
    written("named", "suspend", 500, ["intent", "applied", "verified"], count=101)
    world.sql("UPDATE metric_marks SET at = now(), id = 1000000000")
    everything = world.sql("SELECT count(*) AS n FROM actions")
    async with world.bridge() as bridge:
        assert (await bridge.sweep(deadline=float("inf"))).finished
        assert world.sql("SELECT count(*) AS n FROM actions") == everything
    async with world.bridge(LEDGER_RETENTION_DAYS="400") as bridge:
        swept = await bridge.sweep(deadline=float("inf"))
        assert (swept.finished, swept.counts["actionsPruned"]) == (True, 30 * 3 + 1 + 3)
    left = world.sql("SELECT kind, count(*) AS n FROM actions GROUP BY 1 ORDER BY 1")
    assert {row["kind"]: row["n"] for row in left} == {"create_website": 2, "resume": 3 + 2, "suspend": 300}


@pytest.mark.parametrize("pruning_is", ["off", "on"])
async def test_no_line_of_the_last_year_can_be_deleted(world: World, pruning_is: str) -> None:
    """Whatever asks for it, and whatever the settings say: the table itself refuses."""
    world.connection.execute(
        LEDGER, {"name": "y", "kind": "resume", "days": 360, "states": ["intent", "applied"], "count": 1}
    )
    world.sql(f"SET bridge.pruning = '{pruning_is}'")
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        world.sql("DELETE FROM actions")
    assert len(world.sql("SELECT id FROM actions")) == 2
