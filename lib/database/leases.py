"""Leases: the right to work on one row of the queue, or on one thing that only one process may do, for now.

A pass gets its lease with `due.claim`, prolongs it with `renew` and ends it with `due.settle`. What it writes
meanwhile carries its lease, and is written under `held` or not at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from msgspec import Struct
from psycopg.rows import DictRow

from lib.database.connection import Beside, Connection, Database, Write
from lib.errors import Declined, LeaseLost
from lib.model import Priority

LEASE = timedelta(seconds=30)
"""How long a dead process keeps its customer: short, because a living one renews it (see `renew`)."""

RENEW_EVERY = LEASE / 3
"""Two renewals may be lost before a lease is."""


def held(*, begins: bool = False) -> str:
    """The condition of a statement that only the holder of the lease `%(lease)s` may run.

    Nobody takes the row over until the statement is committed. What a pass has learnt it may write down after its lease
    ran out too, as long as nobody has taken the row over: it is still the newest that anybody knows, and what the
    panel did would be forgotten otherwise. One that was overtaken would write back what it knew before.

    Args:
        begins: something begins by it, such as a call to the panel. Then the lease must not have run out either: from
            that moment on another pass may begin the same.
    """
    alive = " AND leased_until > clock_timestamp()" if begins else ""
    return f"EXISTS (SELECT FROM due WHERE lease_id = %(lease)s{alive} FOR SHARE)"


def insist(written: object) -> None:
    """Go on only if a statement under `held` has found its lease.

    Raises:
        LeaseLost: it has not, and nothing of it was written.
    """
    if not written:
        raise LeaseLost("the lease of this pass is over or another process has it; nothing of this was written")


async def insist_held(connection: Connection, lease_id: str) -> None:
    """Let the rest of a transaction be the holder's alone: nobody takes the lease over before it ends.

    Raises:
        LeaseLost: another process holds this row now.
    """
    guard = holds(lease_id)
    cursor = await connection.execute(guard.statement, guard.parameters)
    insist(await cursor.fetchone())


def holds(lease_id: str) -> Write:
    """A row for the holder of a lease, whom nobody overtakes before the transaction ends."""
    return Write(f"SELECT 1 WHERE {held()}", {"lease": lease_id})


async def together(db: Database, guard: Write, then: Sequence[Write | Beside]) -> list[list[DictRow]] | None:
    """Write all of this in one transaction if `guard` finds the lease; the rows of each statement, `None`: it did not.

    In one exchange where there are only statements: each of these carries the lease itself, so that none of them does
    anything without it.
    """
    writes = [one for one in then if isinstance(one, Write)]
    if len(writes) == len(then):
        first, *found = await db.exchange([guard, *writes])
        return found if first else None

    async def work(connection: Connection) -> list[list[DictRow]] | None:
        cursor = await connection.execute(guard.statement, guard.parameters)
        if await cursor.fetchone() is None:
            return None
        found = []
        for one in then:
            if isinstance(one, Write):
                cursor = await connection.execute(one.statement, one.parameters)
                found.append(await cursor.fetchall() if cursor.description else [])
            else:
                await one(connection)
        return found

    return await db.transact(work)


@asynccontextmanager
async def holding(db: Database, lease_id: str) -> AsyncIterator[Connection]:
    """A short transaction for what only the holder of a lease may write; nobody takes the lease over inside it.

    Raises:
        LeaseLost: another process holds this row now; nothing is written.
    """
    async with db.transaction() as connection:
        await insist_held(connection, lease_id)
        yield connection


async def renew(db: Database, lease_id: str) -> bool:
    """Prolong a lease; False when it is not ours any more."""
    row = await db.row(
        "UPDATE due SET leased_until = clock_timestamp() + %(lease)s"
        " WHERE lease_id = %(id)s AND leased_until > clock_timestamp() RETURNING 1",
        {"id": lease_id, "lease": LEASE},
    )
    return row is not None


class Alone(Struct, frozen=True):
    """A transaction that is nobody else's to disturb, and the lease under which it writes."""

    connection: Connection
    lease_id: str


@asynccontextmanager
async def alone(db: Database, kind: str, key: str, *, priority: Priority = Priority.ASKED) -> AsyncIterator[Alone]:
    """Work on one row of the queue in one transaction, outside of any pass; the row need not exist.

    It has the ordinary lease, which begins and ends with the transaction: nobody else ever sees it, so it takes no
    place of the others, and nothing of it is left when this process dies. A row that was not there before is gone
    again afterwards, unless it was nudged meanwhile.

    Args:
        priority: of a row that was not there before, should it be nudged.

    Raises:
        Declined: `busy`: a pass works on the row just now.
    """
    subject = {"kind": kind, "key": key, "length": LEASE, "priority": priority.value}
    async with db.transaction() as connection:
        # The row's lock keeps every pass away until the end: who would claim it skips it, who has claimed it is seen.
        cursor = await connection.execute(
            """
            INSERT INTO due (kind, key, priority, lease_id, leased_until)
            VALUES (%(kind)s, %(key)s, %(priority)s, gen_random_uuid(), clock_timestamp() + %(length)s)
            ON CONFLICT (kind, key) DO UPDATE SET lease_id = excluded.lease_id, leased_until = excluded.leased_until
                WHERE due.leased_until IS NULL OR due.leased_until <= clock_timestamp()
            RETURNING lease_id::text, generation, xmax = 0 AS is_new
            """,
            subject,
        )
        row = await cursor.fetchone()
        if row is None:
            raise Declined("busy", "a pass works on this customer just now; run this again")
        yield Alone(connection, row["lease_id"])
        await connection.execute(
            "DELETE FROM due WHERE lease_id = %(lease_id)s AND %(is_new)s AND generation = %(generation)s", row
        )
        await connection.execute(
            "UPDATE due SET lease_id = NULL, leased_until = NULL WHERE lease_id = %(lease_id)s", row
        )


# --- leases that have a name, and no row of the queue -----------------------------------------------------------------


async def take(db: Database, name: str, holder: str, length: timedelta) -> bool:
    """Take or prolong the one lease called `name`; False while somebody else has it."""
    row = await db.row(
        """
        INSERT INTO leases (name, holder, leased_until) VALUES (%(name)s, %(holder)s, clock_timestamp() + %(length)s)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
            WHERE leases.leased_until <= clock_timestamp() OR leases.holder = excluded.holder
        RETURNING 1
        """,
        {"name": name, "holder": holder, "length": length},
    )
    return row is not None


def taking_turn(name: str, lease_id: str, length: timedelta) -> Write:
    """Take the one lease called `name` for as long as the pass that holds `lease_id` lives, at most for `length`.

    A row: it is ours. A pass that died gives its turn back with its own lease, which is short because the living renew
    it.
    """
    return Write(
        """
        INSERT INTO leases (name, holder, leased_until) VALUES (%(name)s, %(holder)s, clock_timestamp() + %(length)s)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
            WHERE leases.leased_until <= clock_timestamp() OR leases.holder = excluded.holder
                OR NOT EXISTS (SELECT FROM due WHERE lease_id = leases.holder AND due.leased_until > clock_timestamp())
        RETURNING 1
        """,
        {"name": name, "holder": lease_id, "length": length},
    )


def giving_back(name: str, holder: str) -> Write:
    """End the lease called `name` if it is still ours."""
    return Write("DELETE FROM leases WHERE name = %(name)s AND holder = %(holder)s", {"name": name, "holder": holder})


async def give_back(db: Database, name: str, holder: str) -> None:
    """`giving_back` by itself."""
    ended = giving_back(name, holder)
    await db.rows(ended.statement, ended.parameters)
