"""The work queue: who needs a pass, who holds the lease, and how a pass ended.

All dates are the database's own clock, which every process shares.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from lib.database import ledger
from lib.database.connection import Connection, Database
from lib.errors import LeaseLost
from lib.model import Problem

LEASE = timedelta(seconds=30)
"""How long a dead process keeps its customer: short, because a living one renews it (see `renew`)."""

RENEW_EVERY = LEASE / 3
"""Two renewals may be lost before a lease is."""

_CLAIM_LOCK = 0x5B1D6E02
"""Arbitrary, but ours: makes counting the leases and taking one a single step."""


NUDGE = """ON CONFLICT (kind, key) DO UPDATE
    SET due_at = least(due.due_at, excluded.due_at), generation = due.generation + 1, updated_at = now()"""
"""What every INSERT into `due` ends with: it is due no later than before, and a pass that runs just then runs again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased row: the right to work on one customer for now."""

    kind: str
    key: str
    lease_id: str
    generation: int
    attempts: int
    parked_reason: str | None
    retry_at: datetime | None
    """When the retry curve would have let it run by itself."""
    now: datetime
    """The database's time when it was claimed."""


_CLAIM = """
    WITH room AS (
        SELECT greatest(0, least(%(limit)s, %(concurrency)s - count(*))) AS places
        FROM due WHERE leased_until > statement_timestamp()
    ), picked AS (
        SELECT kind, key FROM {rows}
        WHERE (due_at <= statement_timestamp() OR %(force)s)
            AND (leased_until IS NULL OR leased_until <= statement_timestamp())
        ORDER BY due_at
        LIMIT (SELECT places FROM room)
        FOR UPDATE OF due SKIP LOCKED
    )
    UPDATE due
    SET lease_id = gen_random_uuid(), leased_until = statement_timestamp() + %(lease)s
    -- The limit a second time, as a number: else the planner expects a tenth of the queue, and reads all of it.
    FROM (SELECT * FROM picked LIMIT %(limit)s) AS picked
    WHERE due.kind = picked.kind AND due.key = picked.key
    RETURNING due.kind, due.key, due.lease_id::text, due.generation, due.attempts,
        due.parked_reason, due.retry_at, statement_timestamp() AS now
"""
_CLAIM_DUE = _CLAIM.format(rows="due")
_CLAIM_THESE = _CLAIM.format(
    rows="unnest(%(kinds)s::text[], %(keys)s::text[]) AS o (kind, key) JOIN due USING (kind, key)"
)
"""Everybody waits for the lock while one of these runs, so they must find their rows by an index. `clock_timestamp()`
could not be looked up in one; the time of the statement is the same here, because the lock was taken before it."""


async def claim(
    db: Database,
    *,
    concurrency: int,
    limit: int = 1,
    only: Sequence[tuple[str, str]] | None = None,
    force: bool = False,
) -> list[Claim]:
    """Lease up to `limit` rows that are due, oldest first, while fewer than `concurrency` leases exist anywhere.

    Args:
        only: consider just these (kind, key) rows.
        force: also rows whose time has not come or that are parked (an admin asks for a pass now).
    """
    async with db.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CLAIM_LOCK,))
        cursor = await connection.execute(
            _CLAIM_DUE if only is None else _CLAIM_THESE,
            {
                "limit": limit,
                "concurrency": concurrency,
                "force": force,
                "kinds": [kind for kind, _ in only or ()],
                "keys": [key for _, key in only or ()],
                "lease": LEASE,
            },
        )
        return [Claim(**row) for row in await cursor.fetchall()]


@asynccontextmanager
async def holding(db: Database, lease_id: str) -> AsyncIterator[Connection]:
    """A short transaction for what only the holder of a lease may write; nobody takes the lease over inside it.

    Raises:
        LeaseLost: another process holds this row now; nothing is written.
    """
    async with db.transaction() as connection:
        cursor = await connection.execute("SELECT 1 FROM due WHERE lease_id = %s FOR SHARE", (lease_id,))
        if await cursor.fetchone() is None:
            raise LeaseLost("another process holds this customer now; nothing of this was written")
        yield connection


async def renew(db: Database, lease_id: str) -> bool:
    """Prolong a lease; False when it is not ours any more."""
    row = await db.row(
        "UPDATE due SET leased_until = clock_timestamp() + %(lease)s"
        " WHERE lease_id = %(id)s AND leased_until > clock_timestamp() RETURNING 1",
        {"id": lease_id, "lease": LEASE},
    )
    return row is not None


_SETTLE = """
    WITH dropped AS (
        DELETE FROM due
        WHERE lease_id = %(lease)s AND generation = %(generation)s
            AND %(due_at)s::timestamptz IS NULL AND %(reason)s::text IS NULL
        RETURNING 1
    ), kept AS (
        UPDATE due SET
            lease_id = NULL, leased_until = NULL, attempts = %(attempts)s, retry_at = %(retry_at)s,
            last_error = %(error)s,
            waits_for = %(waits_for)s,
            due_at = CASE WHEN generation <> %(generation)s THEN clock_timestamp() ELSE %(due_at)s END,
            parked_reason = CASE WHEN %(keeps)s THEN parked_reason ELSE %(reason)s END,
            problems = CASE WHEN %(keeps)s THEN problems ELSE %(problems)s END,
            parked_at = CASE WHEN %(keeps)s THEN parked_at WHEN %(reason)s::text IS NULL THEN NULL
                WHEN parked_reason = %(reason)s THEN parked_at ELSE clock_timestamp() END,
            updated_at = clock_timestamp()
        WHERE lease_id = %(lease)s
            AND NOT (generation = %(generation)s AND %(due_at)s::timestamptz IS NULL AND %(reason)s::text IS NULL)
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM dropped) OR EXISTS (SELECT FROM kept) AS held
"""


async def settle(
    db: Database,
    claim: Claim,
    *,
    due_at: datetime | None = None,
    error: str | None = None,
    waits_for: str | None = None,
    problems: Sequence[Problem] = (),
    keeps_problems: bool = False,
    attempts: int = 0,
    retry_at: datetime | None = None,
    notes: Sequence[ledger.Fact] = (),
) -> bool:
    """End a pass: drop the row, or leave it for `due_at`, or park it with its problems. False: the lease was lost.

    A nudge that came meanwhile raised the generation: then the row stays due at once, whatever this pass found.

    Args:
        keeps_problems: this pass decided nothing, so what was found before still stands.
        notes: facts for the ledger, written together with the end or not at all.
    """
    async with db.transaction() as connection:  # a statement alone may be sent twice, and would find the lease gone
        cursor = await connection.execute(
            _SETTLE,
            {
                "lease": claim.lease_id,
                "generation": claim.generation,
                "due_at": due_at,
                "error": error,
                "waits_for": waits_for,
                "keeps": keeps_problems,
                "reason": problems[0].reason if problems else None,
                "problems": Jsonb([asdict(problem) for problem in problems]),
                "attempts": attempts,
                "retry_at": retry_at,
            },
        )
        row = await cursor.fetchone()
        held = bool(row and row["held"])
        if held and notes:
            await ledger.add(connection, notes)
    return held


async def give_back(db: Database, claim: Claim) -> None:
    """End a lease under which no pass was run: the row is as it was before, and due."""
    await db.rows(
        "UPDATE due SET lease_id = NULL, leased_until = NULL, due_at = least(due_at, %(now)s), updated_at = now()"
        " WHERE lease_id = %(lease)s",
        {"lease": claim.lease_id, "now": claim.now},
    )


async def mark(db: Database, subjects: Sequence[tuple[str, str]]) -> int:
    """Make (kind, key) rows due now; how many."""
    rows = await db.rows(
        f"""
        INSERT INTO due (kind, key)
        SELECT DISTINCT kind, key FROM unnest(%(kinds)s::text[], %(keys)s::text[]) AS n (kind, key) ORDER BY kind, key
        {NUDGE} RETURNING 1
        """,  # noqa: S608 - the constant above
        {"kinds": [kind for kind, _ in subjects], "keys": [key for _, key in subjects]},
    )
    return len(rows)


async def mark_everybody(db: Database, at_once: int, spacing: timedelta, *, provider: str = "stripe") -> int:
    """Make every customer whom we remember due, `at_once` of them now and the others one after another; how many."""
    row = await db.row(
        f"""
        WITH marked AS (
            INSERT INTO due (kind, key, due_at)
            SELECT 'customer', customer_id,
                now() + greatest(0, row_number() OVER (ORDER BY customer_id) - %(at_once)s) * %(spacing)s::interval
            FROM customers WHERE provider = %(provider)s ORDER BY customer_id
            {NUDGE} RETURNING 1
        )
        SELECT count(*) AS n FROM marked
        """,  # noqa: S608 - the constant above
        {"provider": provider, "at_once": at_once, "spacing": spacing},
    )
    return int(row["n"]) if row else 0


async def keep(db: Database, kind: str, key: str) -> None:
    """Make sure that there is a row, without a nudge: a pass that ended meanwhile may have taken it away."""
    await db.rows(
        "INSERT INTO due (kind, key) VALUES (%(kind)s, %(key)s) ON CONFLICT DO NOTHING", {"kind": kind, "key": key}
    )


@dataclass(frozen=True, slots=True)
class Load:
    """How the queue stands."""

    oldest_seconds: float
    """How long the oldest due row has been waiting without anybody working on it."""
    due: int
    parked: int
    failing: int
    """Whose last pass failed, and is repeated by itself."""


async def load(db: Database) -> Load:
    """How much is due and parked, and for how long the oldest waits."""
    row = await db.row(
        """
        SELECT
            coalesce(extract(epoch FROM clock_timestamp() - min(due_at) FILTER (WHERE due_at <= clock_timestamp()
                AND (leased_until IS NULL OR leased_until <= clock_timestamp()))), 0)::float AS oldest_seconds,
            count(*) FILTER (WHERE due_at <= clock_timestamp()) AS due,
            count(*) FILTER (WHERE parked_reason IS NOT NULL) AS parked,
            count(*) FILTER (WHERE parked_reason IS NULL AND last_error IS NOT NULL) AS failing
        FROM due
        """
    )
    assert row is not None
    return Load(**row)


async def take_lease(db: Database, name: str, holder: str, length: timedelta) -> bool:
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


async def take_turn(db: Database, name: str, lease_id: str, length: timedelta) -> bool:
    """Take the one lease called `name` for as long as the pass that holds `lease_id` lives, at most for `length`.

    A pass that died gives its turn back with its own lease, which is short because the living renew it.
    """
    row = await db.row(
        """
        INSERT INTO leases (name, holder, leased_until) VALUES (%(name)s, %(holder)s, clock_timestamp() + %(length)s)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
            WHERE leases.leased_until <= clock_timestamp() OR leases.holder = excluded.holder
                OR NOT EXISTS (SELECT FROM due WHERE lease_id = leases.holder AND due.leased_until > clock_timestamp())
        RETURNING 1
        """,
        {"name": name, "holder": lease_id, "length": length},
    )
    return row is not None


async def give_back_lease(db: Database, name: str, holder: str) -> None:
    """End the lease called `name` if it is still ours."""
    await db.rows("DELETE FROM leases WHERE name = %(name)s AND holder = %(holder)s", {"name": name, "holder": holder})
