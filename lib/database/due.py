"""The work queue: who needs a pass, who holds the lease, and how a pass ended.

All dates are the database's own clock, which every process shares.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from lib.database import ledger
from lib.database.connection import Connection, Database
from lib.database.leases import LEASE
from lib.model import Claim, Lane, Nudge, Priority, Settlement
from lib.model.reason import SettingsFault

_CLAIM_LOCKS = {Lane.PANEL: 0x5B1D6E02, Lane.STRIPE: 0x5B1D6E12, Lane.OUT: 0x5B1D6E22}
"""Arbitrary, but ours: makes counting the leases of a lane and taking one a single step."""

ROUTINE_SHARE = 0.1
"""How many of the claims look at routine first, so that it comes on however much is asked for."""


def turn(noise: float) -> Priority:
    """Whose turn it is first. `noise`: from 0 to 1, the caller's random number."""
    return Priority.ROUTINE if noise < ROUTINE_SHARE else Priority.ASKED


NUDGE = """ON CONFLICT (kind, key) DO UPDATE
    SET due_at = least(due.due_at, excluded.due_at), priority = least(due.priority, excluded.priority),
        lane = excluded.lane, generation = due.generation + 1, updated_at = now()"""
"""What every INSERT into `due` ends with: it is due no later and no less urgently than before, and a pass that runs
just then runs again."""

KEPT_FOR = timedelta(minutes=1)
"""For how long a row that a person waits for is left to them alone."""

FREE = "(leased_until IS NULL OR leased_until <= statement_timestamp())"
"""What a row is that nobody works on."""

_THIS = f"""
    FROM due WHERE kind = %(kind)s AND key = %(key)s AND lane = %(lane)s
        AND (due_at <= statement_timestamp() OR %(force)s) AND {FREE}
"""
_OF_PRIORITY = (
    f"FROM due WHERE lane = {{lane}} AND priority = {{priority}} AND due_at <= statement_timestamp() AND {FREE}"
)
"""Equal to each priority, and not just sorted by it: so the index finds where the due ones of it begin and end."""

_PICK = "SELECT kind, key {rows} ORDER BY due_at LIMIT {places} FOR UPDATE OF due SKIP LOCKED"

_PICK_THIS = "picked AS ({})".format(_PICK.format(rows=_THIS, places="(SELECT places FROM room)"))
_PICK_DUE = ", ".join(
    (
        "ahead AS ({})".format(
            _PICK.format(
                rows=_OF_PRIORITY.format(lane="%(lane)s", priority="%(first)s"), places="(SELECT places FROM room)"
            )
        ),
        "behind AS ({})".format(
            _PICK.format(
                rows=_OF_PRIORITY.format(lane="%(lane)s", priority="1 - %(first)s"),
                places="(SELECT places - (SELECT count(*) FROM ahead) FROM room)",
            )
        ),
        "picked AS (SELECT * FROM ahead UNION ALL SELECT * FROM behind)",
    )
)

_TAKEN = "(SELECT count(*) FROM due WHERE lane = {lane} AND leased_until > statement_timestamp())"

_LOOK = f"SELECT {_TAKEN.format(lane='%(lane)s')} < %(concurrency)s AND EXISTS (SELECT {{rows}}) AS worth_it"

_OPENINGS = f"""
    SELECT l.lane, waiting.passes FROM unnest(%(lanes)s::text[], %(places)s::integer[]) AS l (lane, places),
        LATERAL {_TAKEN.format(lane="l.lane")} AS taken (places),
        LATERAL (
            SELECT count(*) AS passes FROM (
                SELECT 1 {_OF_PRIORITY.format(lane="l.lane", priority="ANY('{0, 1}')")}
                LIMIT greatest(0, l.places - taken.places)
            ) AS rows
        ) AS waiting
    WHERE waiting.passes > 0
"""

_LOCK = """
    SELECT set_config('idle_in_transaction_session_timeout', '10s', true), set_config('lock_timeout', '20s', true),
        pg_advisory_xact_lock(%(lock)s)
"""
"""A process that is frozen while it holds the lock is cut off, and those who wait get their turn."""

_CLAIM = """
    WITH room AS (
        SELECT greatest(0, least(%(limit)s, %(concurrency)s - count(*))) AS places
        FROM due WHERE lane = %(lane)s AND leased_until > statement_timestamp()
    ), {picked}
    UPDATE due
    SET lease_id = gen_random_uuid(), leased_until = statement_timestamp() + %(lease)s
    -- The limit a second time, as a number: else the planner expects a tenth of the queue, and reads all of it.
    FROM (SELECT * FROM picked LIMIT %(limit)s) AS picked
    WHERE due.kind = picked.kind AND due.key = picked.key
    RETURNING due.kind, due.key, due.lease_id::text, due.generation, due.attempts,
        due.parked_reason, due.retry_at, statement_timestamp() AS claimed_at
"""
"""Everybody waits for the lock while one of these runs, so they must find their rows by an index. `clock_timestamp()`
could not be looked up in one; the time of the statement is the same here, because the lock was taken before it."""


async def openings(db: Database, places: Mapping[Lane, int]) -> dict[Lane, int]:
    """How many passes could begin in each lane: what is due, as far as it has places that nobody holds anywhere."""
    rows = await db.rows(_OPENINGS, {"lanes": [lane.value for lane in places], "places": list(places.values())})
    return {Lane(row["lane"]): row["passes"] for row in rows}


async def claim(
    db: Database,
    *,
    concurrency: int,
    limit: int = 1,
    lane: Lane = Lane.PANEL,
    prefer: Priority = Priority.ASKED,
) -> list[Claim]:
    """Lease up to `limit` rows of a lane that are due, oldest first, while fewer than `concurrency` leases of it exist.

    Args:
        prefer: the priority that goes first; the other one takes what room it leaves.
    """
    rows = _OF_PRIORITY.format(lane="%(lane)s", priority="ANY('{0, 1}')")
    return await _claim(db, lane, rows, _PICK_DUE, concurrency=concurrency, limit=limit, first=prefer.value)


async def due_of(db: Database, kinds: Sequence[str]) -> list[Nudge]:
    """The rows of these kinds that are due and free."""
    rows = await db.rows(
        f"""
        SELECT kind, key, lane FROM due
        WHERE kind = ANY(%(kinds)s) AND due_at <= statement_timestamp() AND {FREE} ORDER BY due_at, key
        """,
        {"kinds": list(kinds)},
    )
    return [Nudge(row["kind"], row["key"], Lane(row["lane"])) for row in rows]


async def claim_this(db: Database, wanted: Nudge, *, concurrency: int, force: bool = False) -> Claim | None:
    """Lease this very row if it is due and free, while fewer than `concurrency` leases of its lane exist.

    Args:
        force: also while its time has not come, or parked (an admin asks for a pass now).
    """
    found = await _claim(
        db,
        wanted.lane,
        _THIS,
        _PICK_THIS,
        concurrency=concurrency,
        limit=1,
        kind=wanted.kind,
        key=wanted.key,
        force=force,
    )
    return found[0] if found else None


async def _claim(db: Database, lane: Lane, rows: str, picked: str, **parameters: Any) -> list[Claim]:
    """A look without the lock comes first: with every event somebody asks, and mostly there is no room."""
    parameters |= {"lane": lane.value, "lease": LEASE}
    look = await db.row(_LOOK.format(rows=rows), parameters)
    if not look or not look["worth_it"]:
        return []

    async def take(connection: Connection) -> list[Claim]:
        await connection.execute(_LOCK, {"lock": _CLAIM_LOCKS[lane]})
        cursor = await connection.execute(_CLAIM.format(picked=picked), parameters)
        return [Claim(**row) for row in await cursor.fetchall()]

    return await db.transact(take)


_SETTLE = """
    UPDATE due SET
        lease_id = NULL, leased_until = NULL, attempts = %(attempts)s, retry_at = %(retry_at)s,
        last_error = %(error)s,
        waits_for = %(waits_for)s,
        due_at = CASE WHEN %(nudged)s THEN clock_timestamp() ELSE %(due_at)s END,
        dated = %(due_at)s::timestamptz IS NOT NULL,
        priority = CASE WHEN %(nudged)s OR NOT %(answered)s THEN priority ELSE %(routine)s END,
        parked_reason = CASE WHEN %(keeps)s THEN parked_reason ELSE %(reason)s END,
        problems = CASE WHEN %(keeps)s THEN problems ELSE %(problems)s END,
        parked_at = CASE WHEN %(keeps)s THEN parked_at WHEN %(reason)s::text IS NULL THEN NULL
            WHEN parked_reason = %(reason)s THEN parked_at ELSE clock_timestamp() END,
        rested_at = CASE WHEN %(rested)s THEN clock_timestamp() ELSE rested_at END,
        batch_id = CASE WHEN %(nudged)s THEN batch_id END,
        updated_at = clock_timestamp()
    WHERE lease_id = %(lease)s
"""


FAILED = "failed"
"""Why a pass failed that names no reason: another side was away, or something unforeseen."""

_COUNT_FAILURE = """
    INSERT INTO metric_totals (name, labels, value) VALUES ('failures', ARRAY[%(why)s::text], 1)
    ON CONFLICT (name, labels) DO UPDATE SET value = metric_totals.value + 1
"""


def why_failed(settled: Settlement) -> str:
    """The one word for it: what it is parked for, what of the settings is to blame, or `FAILED`."""
    if settled.problems:
        return str(settled.problems[0].reason)
    word = (settled.error or "").partition(":")[0]
    return word if word in tuple(SettingsFault) else FAILED


async def settle(
    db: Database,
    claim: Claim,
    settled: Settlement,
    *,
    notes: Sequence[ledger.Entry] = (),
    beside: Callable[[Connection], Awaitable[None]] | None = None,
) -> bool:
    """End a pass: drop the row, or leave it for a date, or park it with its problems. False: the lease was lost.

    A nudge that came meanwhile raised the generation: then the row stays due at once, whatever this pass found.

    Args:
        notes: facts for the ledger, written together with the end or not at all.
        beside: what else is.
    """

    async def end(connection: Connection) -> bool:
        # In a statement of its own: one that waited here for a nudge to be committed would not see it.
        cursor = await connection.execute(
            "SELECT generation FROM due WHERE lease_id = %s FOR UPDATE", (claim.lease_id,)
        )
        row = await cursor.fetchone()
        if row is None:
            return False
        nudged = row["generation"] != claim.generation
        if not nudged and settled.due_at is None and not settled.problems:
            await connection.execute("DELETE FROM due WHERE lease_id = %s", (claim.lease_id,))
        else:
            await connection.execute(_SETTLE, _ended(claim, settled, nudged=nudged))
        if notes:
            await ledger.add(connection, notes)
        if settled.error is not None or settled.problems:
            await connection.execute(_COUNT_FAILURE, {"why": why_failed(settled)})
        if beside is not None:
            await beside(connection)
        return True

    return await db.transact(end)  # a statement alone may be sent twice, and would find the lease gone


def _ended(claim: Claim, settled: Settlement, *, nudged: bool) -> dict[str, Any]:
    problems = settled.problems
    reason = problems[0].reason if problems else None
    return {
        "lease": claim.lease_id,
        "nudged": nudged,
        "due_at": settled.due_at,
        "error": settled.error,
        "waits_for": settled.waits_for,
        "keeps": settled.keeps_problems,
        "reason": reason,
        "rested": settled.error is None and not settled.keeps_problems and reason is None,
        "problems": Jsonb([asdict(problem) for problem in problems]),
        "attempts": settled.attempts,
        "retry_at": settled.retry_at,
        "answered": settled.answered,
        "routine": Priority.ROUTINE.value,
    }


async def give_back(db: Database, claim: Claim) -> None:
    """End a lease under which no pass was run: the row is as it was before, and due."""
    await db.rows(
        "UPDATE due SET lease_id = NULL, leased_until = NULL, due_at = least(due_at, %(now)s), updated_at = now()"
        " WHERE lease_id = %(lease)s",
        {"lease": claim.lease_id, "now": claim.claimed_at},
    )


_MARK = f"""
    INSERT INTO due (kind, key, lane, priority, due_at)
    SELECT DISTINCT kind, key, lane, %(priority)s::smallint, coalesce(%(at)s::timestamptz, now())
    FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(lanes)s::text[]) AS n (kind, key, lane) ORDER BY kind, key
    {NUDGE} RETURNING 1
"""


def _marked(nudges: Sequence[Nudge], priority: Priority, at: datetime | None) -> dict[str, Any]:
    return {
        "priority": priority.value,
        "at": at,
        "kinds": [nudge.kind for nudge in nudges],
        "keys": [nudge.key for nudge in nudges],
        "lanes": [nudge.lane.value for nudge in nudges],
    }


async def mark(
    db: Database, nudges: Sequence[Nudge], *, priority: Priority = Priority.ASKED, patience: float | None = None
) -> int:
    """Make rows due now; how many. `patience`: seconds to wait for somebody who holds one of them."""
    return len(await db.rows(_MARK, _marked(nudges, priority, None), patience=patience))


async def nudge(
    connection: Connection,
    nudges: Sequence[Nudge],
    *,
    at: datetime | None = None,
    priority: Priority = Priority.ASKED,
) -> None:
    """Make rows due in the transaction that writes why: both are there, or neither.

    Args:
        at: not before this date; one that stands already and is earlier stays.
    """
    await connection.execute(_MARK, _marked(nudges, priority, at))


async def keep(db: Database, row: Nudge) -> None:
    """Make sure that there is a row, without a nudge: a pass that ended meanwhile may have taken it away.

    It is due a little later, so that whoever waits for a pass of their own finds it free.
    """
    await db.rows(
        "INSERT INTO due (kind, key, lane, due_at) VALUES (%(kind)s, %(key)s, %(lane)s, now() + %(later)s)"
        " ON CONFLICT DO NOTHING",
        {"kind": row.kind, "key": row.key, "lane": row.lane.value, "later": KEPT_FOR},
    )


@dataclass(frozen=True, slots=True)
class Load:
    """How the queue stands."""

    oldest_seconds: float
    """How long the oldest row that was asked for has been waiting without anybody working on it.

    What waits for somebody else's server is left out."""
    backlog_seconds: float
    """The same of the oldest row that is only routine."""
    due: int
    parked: int
    failing: int
    """Whose last pass failed, and is repeated by itself."""


_OLDEST = f"""
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(d.due_at)), 0)::float
    FROM unnest(%(ours)s::text[]) AS l (lane) CROSS JOIN LATERAL (
        SELECT due_at {_OF_PRIORITY.format(lane="l.lane", priority="{priority}")} ORDER BY due_at LIMIT 1) AS d)
"""

_LOAD = f"""
    SELECT {_OLDEST.format(priority=Priority.ASKED.value)} AS oldest_seconds,
        {_OLDEST.format(priority=Priority.ROUTINE.value)} AS backlog_seconds,
        (SELECT count(*) FROM unnest(%(lanes)s::text[]) AS l (lane)
            CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
            JOIN due USING (lane, priority) WHERE due_at <= statement_timestamp()) AS due,
        (SELECT count(*) FROM due WHERE parked_reason IS NOT NULL) AS parked,
        (SELECT count(*) FROM due WHERE parked_reason IS NULL AND last_error IS NOT NULL) AS failing
"""
"""Ranges of indexes: of rows whose date has not come none is read, however many there are."""


async def load(db: Database) -> Load:
    """How much is due and parked, and for how long the oldest waits."""
    row = await db.row(
        _LOAD,
        {
            "ours": [lane.value for lane in Lane if lane is not Lane.OUT],
            "lanes": [lane.value for lane in Lane],
            "priorities": [priority.value for priority in Priority],
        },
    )
    assert row is not None
    return Load(**row)
