"""Sweeps: their cursor, and the comparison of whole pages with what we remember."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from psycopg.types.json import Jsonb

from lib.database.connection import Database, Reading


class Sweep(Struct, frozen=True):
    """A sweep as far as it has come."""

    id: int
    started_at: datetime
    phase: str
    cursor: str | None
    counts: dict[str, int]
    orphans: list[dict[str, str]]
    errors: dict[str, str]
    """What could not be compared, and why, by phase."""
    tries: int
    """How often it was begun at this place, this time included."""
    updated_at: datetime
    finished_at: datetime | None = None
    since: datetime | None = None
    """When the last sweep before it began that took in all events."""
    asked_by: str | None = None
    """The person who asked for it; `None`: it was time."""
    holder: str = ""
    """The sweeper who has it in hand."""


_COLUMNS = """
    s.id, s.started_at, s.phase, s.cursor, s.counts, s.orphans, s.errors, s.tries, s.updated_at, s.finished_at,
    s.asked_by,
    (SELECT max(p.started_at) FROM sweeps p WHERE p.finished_at IS NOT NULL AND p.id < s.id
        AND NOT p.errors ?| ARRAY['events', 'undelivered']) AS since
"""

HELD = """
    EXISTS (SELECT FROM leases WHERE name = 'sweep' AND holder = %(holder)s::uuid FOR SHARE)
    AND EXISTS (SELECT FROM sweeps WHERE id = %(sweep)s AND finished_at IS NULL)
"""
"""Only the present holder of the lease may compare: one that was overtaken knows old pages, and a finished sweep has
forgotten what it met."""


async def begin(db: Database, holder: str) -> Sweep:
    """The sweep under way, else a new one, for the holder of its lease."""
    await db.rows("INSERT INTO sweeps DEFAULT VALUES ON CONFLICT ((true)) WHERE finished_at IS NULL DO NOTHING")
    row = await db.row(f"UPDATE sweeps s SET tries = tries + 1 WHERE s.finished_at IS NULL RETURNING {_COLUMNS}")
    assert row is not None
    return Sweep(**row, holder=holder)


async def request(db: Database, actor: str) -> tuple[int, bool]:
    """See to it that a whole sweep follows: (the sweep under way, whether it is another one that follows it)."""
    row = await db.row(
        """
        INSERT INTO sweeps (asked_by) VALUES (%(actor)s)
        ON CONFLICT ((true)) WHERE finished_at IS NULL
        DO UPDATE SET again = sweeps.again OR sweeps.phase <> 'events',
            asked_by = CASE WHEN sweeps.phase = 'events' THEN coalesce(sweeps.asked_by, excluded.asked_by)
                ELSE sweeps.asked_by END,
            again_by = CASE WHEN sweeps.phase <> 'events' THEN coalesce(sweeps.again_by, excluded.asked_by)
                ELSE sweeps.again_by END
        RETURNING id, again
        """,
        {"actor": actor},
    )
    assert row is not None
    return row["id"], row["again"]


async def unfinished(db: Database) -> bool:
    """Whether a sweep is under way."""
    row = await db.row("SELECT EXISTS (SELECT FROM sweeps WHERE finished_at IS NULL) AS found")
    return bool(row and row["found"])


async def fresh(db: Database, age: timedelta) -> bool:
    """Whether none is under way and one that has finished began within `age`."""
    row = await db.row(
        """
        SELECT NOT EXISTS (SELECT FROM sweeps WHERE finished_at IS NULL)
            AND EXISTS (SELECT FROM sweeps WHERE started_at > now() - %(age)s::interval) AS fresh
        """,
        {"age": age},
    )
    return bool(row and row["fresh"])


async def newest(db: Database, *, ended: bool = False) -> Sweep | None:
    """The newest sweep, under way or finished; with `ended` the newest of those that are finished."""
    return await db.read(reading_newest(ended=ended))


def reading_newest(*, ended: bool = False) -> Reading[Sweep | None]:
    """The same, to be read together with something else."""
    return Reading(
        f"SELECT {_COLUMNS} FROM sweeps s WHERE s.finished_at IS NOT NULL OR NOT %(ended)s ORDER BY s.id DESC LIMIT 1",
        {"ended": ended},
        lambda rows: Sweep(**rows[0]) if rows else None,
    )


async def save(db: Database, sweep: Sweep) -> bool:
    """Write how far it has come; False when it is not this sweeper's any more."""
    row = await db.row(
        f"""
        UPDATE sweeps SET phase = %(phase)s, cursor = %(cursor)s, counts = %(counts)s, orphans = %(orphans)s,
            errors = %(errors)s, tries = 0, updated_at = now()
        WHERE id = %(sweep)s AND {HELD} RETURNING 1
        """,
        {
            "sweep": sweep.id,
            "holder": sweep.holder,
            "phase": sweep.phase,
            "cursor": sweep.cursor,
            "counts": Jsonb(sweep.counts),
            "orphans": Jsonb(sweep.orphans),
            "errors": Jsonb(sweep.errors),
        },
    )
    return row is not None


async def stumble(db: Database, sweep: Sweep, phase: str, error: str) -> None:
    """Write why it stopped; where it is and how often it has been tried there stay as they are."""
    await db.rows(
        f"UPDATE sweeps SET errors = errors || jsonb_build_object(%(phase)s::text, %(error)s::text)"
        f" WHERE id = %(sweep)s AND {HELD}",
        {"sweep": sweep.id, "holder": sweep.holder, "phase": phase, "error": error},
    )


FORGOTTEN = 20_000
"""Rows of what was met that are forgotten in one statement: of a million, all at once would take a second or more."""

_FORGET = """
    WITH gone AS (
        DELETE FROM sweep_seen WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM sweep_seen WHERE sweep_id <= %(id)s LIMIT %(step)s)) RETURNING 1
    )
    SELECT count(*) AS n FROM gone HAVING count(*) = %(step)s
"""


async def finish(db: Database, sweep: Sweep) -> None:
    """Close it, begin the one that was asked for meanwhile, and forget what this one has met."""
    await db.rows(
        f"""
        WITH ended AS (
            UPDATE sweeps SET finished_at = now(), updated_at = now() WHERE id = %(sweep)s AND {HELD}
            RETURNING again, again_by
        )
        INSERT INTO sweeps (phase, asked_by) SELECT 'events', again_by FROM ended WHERE again
        """,
        {"sweep": sweep.id, "holder": sweep.holder},
    )
    while await db.rows(_FORGET, {"id": sweep.id, "step": FORGOTTEN}):
        pass


async def retry_parked(db: Database, sweep: Sweep) -> int:
    """Give everything that is parked one more try, unless it had one since the sweep began; how many."""
    rows = await db.rows(
        f"""
        WITH stuck AS (
            SELECT kind, key FROM due
            WHERE parked_reason IS NOT NULL AND updated_at < %(began)s
                AND (leased_until IS NULL OR leased_until < clock_timestamp()) AND {HELD}
            ORDER BY kind, key FOR UPDATE
        )
        -- Whom an event has made due meanwhile keeps the priority of that.
        UPDATE due SET due_at = now(), priority = CASE WHEN due_at <= now() THEN priority ELSE 1 END,
            generation = generation + 1, updated_at = now()
        FROM stuck WHERE (due.kind, due.key) = (stuck.kind, stuck.key)
        RETURNING 1
        """,
        {"sweep": sweep.id, "holder": sweep.holder, "began": sweep.started_at},
    )
    return len(rows)
