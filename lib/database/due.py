"""The work queue: who needs a pass, who holds the lease, and how a pass ended.

All dates are the database's own clock, which every process shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from psycopg.types.json import Jsonb

from lib.database import ledger
from lib.database.connection import Beside, Connection, Database, Write
from lib.database.leases import LEASE, held, together
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

_OF_PRIORITY = (
    f"FROM due WHERE lane = {{lane}} AND priority = {{priority}} AND due_at <= statement_timestamp() AND {FREE}"
)
"""Equal to each priority, and not just sorted by it: so the index finds where the due ones of it begin and end."""

_TAKEN = "(SELECT count(*) FROM due WHERE lane = {lane} AND leased_until > statement_timestamp())"

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

_CLAIM = """
    SELECT * FROM claim_due(%(lane)s, %(places)s, %(most)s, %(first)s::smallint, %(lease)s, %(lock)s,
        %(kind)s, %(key)s, %(force)s)
"""
"""What it does stands in the migrations: the backend keeps the plans of a function, of a statement it does not."""


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
    return await _claim(db, lane, concurrency, most=limit, first=prefer)


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
    found = await _claim(db, wanted.lane, concurrency, this=wanted, force=force)
    return found[0] if found else None


async def _claim(
    db: Database,
    lane: Lane,
    places: int,
    *,
    most: int = 1,
    first: Priority = Priority.ASKED,
    this: Nudge | None = None,
    force: bool = False,
) -> list[Claim]:
    rows = await db.rows(
        _CLAIM,
        {
            "lane": lane.value,
            "places": places,
            "most": most,
            "first": first.value,
            "lease": LEASE,
            "lock": _CLAIM_LOCKS[lane],
            "kind": this.kind if this else None,
            "key": this.key if this else None,
            "force": force,
        },
    )
    return [Claim(**{**row, "lease_id": str(row["lease_id"])}) for row in rows]


_SETTLE = """
    UPDATE due SET
        lease_id = NULL, leased_until = NULL, attempts = %(attempts)s, retry_at = %(retry_at)s,
        last_error = %(error)s,
        waits_for = %(waits_for)s,
        due_at = CASE WHEN generation <> %(seen)s THEN clock_timestamp() ELSE %(due_at)s END,
        dated = %(due_at)s::timestamptz IS NOT NULL,
        priority = CASE WHEN generation <> %(seen)s OR NOT %(answered)s THEN priority ELSE %(routine)s END,
        parked_reason = CASE WHEN %(keeps)s THEN parked_reason ELSE %(reason)s END,
        problems = CASE WHEN %(keeps)s THEN problems ELSE %(problems)s END,
        parked_at = CASE WHEN %(keeps)s THEN parked_at WHEN %(reason)s::text IS NULL THEN NULL
            WHEN parked_reason = %(reason)s THEN parked_at ELSE clock_timestamp() END,
        rested_at = CASE WHEN %(rested)s THEN clock_timestamp() ELSE rested_at END,
        batch_id = CASE WHEN generation <> %(seen)s THEN batch_id END,
        updated_at = clock_timestamp()
    WHERE lease_id = %(lease)s
"""


FAILED = "failed"
"""Why a pass failed that names no reason: another side was away, or something unforeseen."""

_COUNT_FAILURE = f"""
    INSERT INTO metric_totals (name, labels, value) SELECT 'failures', ARRAY[%(why)s::text], 1 WHERE {held()}
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
    beside: Beside | None = None,
    unwritten: Sequence[Write | Beside] = (),
) -> bool:
    """End a pass: drop the row, or leave it for a date, or park it with its problems. False: the lease was lost.

    A nudge that came meanwhile raised the generation: then the row stays due at once, whatever this pass found.

    Args:
        notes: facts for the ledger, written together with the end or not at all.
        beside: what else is.
        unwritten: what the pass has left to write down (`Journal.take`), before all of it.
    """
    lease = {"lease": claim.lease_id}
    # In a statement of its own: one that waited here for a nudge to be committed would not see it.
    mine = Write("SELECT 1 FROM due WHERE lease_id = %(lease)s FOR UPDATE", lease)
    writes = list(unwritten)
    if notes:
        writes.append(ledger.recording(notes, claim.lease_id))
    if settled.error is not None or settled.problems:
        writes.append(Write(_COUNT_FAILURE, {**lease, "why": why_failed(settled)}))
    if beside is not None:
        writes.append(beside)
    ended = _ended(claim, settled)
    if settled.due_at is None and not settled.problems:
        writes.append(Write("DELETE FROM due WHERE lease_id = %(lease)s AND generation = %(seen)s", ended))
    return await together(db, mine, [*writes, Write(_SETTLE, ended)]) is not None


def _ended(claim: Claim, settled: Settlement) -> dict[str, Any]:
    problems = settled.problems
    reason = problems[0].reason if problems else None
    return {
        "lease": claim.lease_id,
        "seen": claim.generation,
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


class Load(Struct, frozen=True):
    """How the queue stands."""

    oldest_seconds: float
    """How long the oldest row that was asked for has been waiting without anybody working on it.

    What waits for somebody else's server is left out."""
    backlog_seconds: float
    """The same of the oldest row that is only routine."""
    due: int
    parked: int


_OLDEST = f"""
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(d.due_at)), 0)::float
    FROM unnest(%(ours)s::text[]) AS l (lane) CROSS JOIN LATERAL (
        SELECT due_at {_OF_PRIORITY.format(lane="l.lane", priority="{priority}")} ORDER BY due_at LIMIT 1) AS d)
"""

OLDEST_SECONDS = _OLDEST.format(priority=Priority.ASKED.value)
"""An expression: how long the oldest row that was asked for waits; it takes `OURS` as `ours`."""

OURS = [lane.value for lane in Lane if lane is not Lane.OUT]
"""The lanes whose pace is our own: what waits for somebody else's server is left out."""

_LOAD = f"""
    SELECT {OLDEST_SECONDS} AS oldest_seconds,
        {_OLDEST.format(priority=Priority.ROUTINE.value)} AS backlog_seconds,
        (SELECT count(*) FROM unnest(%(lanes)s::text[]) AS l (lane)
            CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
            JOIN due USING (lane, priority) WHERE due_at <= statement_timestamp()) AS due,
        (SELECT coalesce(sum(n), 0)::bigint FROM tallies WHERE name = 'parked') AS parked
"""
"""Ranges of indexes, and a number that is kept: of rows whose date has not come none is read."""


async def load(db: Database) -> Load:
    """How much is due and parked, and for how long the oldest waits."""
    row = await db.row(
        _LOAD,
        {
            "ours": OURS,
            "lanes": [lane.value for lane in Lane],
            "priorities": [priority.value for priority in Priority],
        },
    )
    assert row is not None
    return Load(**row)


async def failing(db: Database) -> int:
    """Of how many the last pass failed, and is repeated by itself."""
    row = await db.row("SELECT count(*) AS n FROM due WHERE parked_reason IS NULL AND last_error IS NOT NULL")
    assert row is not None
    return int(row["n"])
