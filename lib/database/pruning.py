"""What is too old goes in small steps: a range of an index, a short transaction each, and nobody is waited for.

A step begins where the one before has ended. So what is dead already, and is still kept for somebody's long transaction
such as a backup, is not gone over again and again.
"""

from __future__ import annotations

import json
from typing import Literal

from msgspec import Struct

from lib.database.connection import Connection, Database

STEP = 2000
"""Rows that one step looks at: tens of milliseconds, and of a cold disk's pages few enough for a statement's time."""

Table = Literal["events", "actions"]

_EVENTS = """
    WITH old AS MATERIALIZED (
        SELECT provider, event_id, received_at FROM events
        WHERE received_at < now() - make_interval(days => %(days)s)
            -- What is not in the totals yet is counted where it stands.
            AND received_at <= (SELECT at FROM metric_marks WHERE name = 'events')
            AND (received_at, event_id) > (%(at)s::timestamptz, %(id)s::text)
        ORDER BY received_at, event_id LIMIT %(step)s FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM events e USING old WHERE (e.provider, e.event_id) = (old.provider, old.event_id) RETURNING 1
    )
    SELECT received_at::text AS at, event_id AS id, (SELECT count(*) FROM gone) AS deleted,
        (SELECT count(*) FROM old) AS seen
    FROM old ORDER BY received_at DESC, event_id DESC LIMIT 1
"""

_ACTIONS = """
    WITH old AS MATERIALIZED (
        SELECT id, at, action_id FROM actions
        WHERE at < now() - make_interval(days => %(days)s)
            AND (at, id) > (%(at)s::timestamptz, %(id)s::bigint)
        ORDER BY at, id LIMIT %(step)s
    ), over AS MATERIALIZED (
        SELECT action_id FROM (SELECT DISTINCT action_id FROM old) AS o
        WHERE NOT EXISTS (
                SELECT FROM actions y WHERE y.action_id = o.action_id
                    AND (y.at >= now() - make_interval(days => %(days)s)
                        OR y.id > (SELECT id FROM metric_marks WHERE name = 'actions')))
            -- Of what became of it nothing is known yet: a pass looks for it, however long ago it was.
            AND NOT (EXISTS (SELECT FROM actions b WHERE b.action_id = o.action_id AND b.state = 'intent')
                AND NOT EXISTS (
                    SELECT FROM actions e WHERE e.action_id = o.action_id AND e.state IN ('applied', 'failed')))
            -- They tell by whose name the panel speaks of our suspensions.
            AND o.action_id NOT IN (
                SELECT action_id FROM actions WHERE state = 'verified' AND kind = 'suspend' ORDER BY id DESC LIMIT 100)
    ), gone AS (
        DELETE FROM actions a USING over WHERE a.action_id = over.action_id RETURNING 1
    )
    SELECT at::text AS at, id::text AS id, (SELECT count(*) FROM gone) AS deleted, (SELECT count(*) FROM old) AS seen
    FROM old ORDER BY old.at DESC, old.id DESC LIMIT 1
"""
"""An action goes whole, with its oldest fact, once its newest is too old; one whose end is not known stays."""

_STATEMENTS: dict[Table, tuple[str, str]] = {"events": (_EVENTS, ""), "actions": (_ACTIONS, "0")}


class Pruned(Struct, frozen=True):
    """What one step has done."""

    rows: int
    """Deleted."""
    after: str | None
    """Where the next step begins; `None`: nothing is too old any more."""


async def prune(db: Database, table: Table, days: int, after: str | None = None, *, step: int = STEP) -> Pruned:
    """Delete rows of `table` that are older than `days`, a step of them, beginning `after` what the last one reached.

    What somebody has locked just then is passed over, and goes with a later sweep.
    """
    statement, first = _STATEMENTS[table]
    at, row_id = json.loads(after) if after else ("-infinity", first)
    given = {"days": days, "at": at, "id": row_id, "step": step}

    async def delete(connection: Connection) -> Pruned:
        await connection.execute("SELECT set_config('bridge.pruning', 'on', true)")
        cursor = await connection.execute(statement, given)
        row = await cursor.fetchone()
        if row is None:
            return Pruned(0, None)
        return Pruned(row["deleted"], json.dumps([row["at"], row["id"]]) if row["seen"] == step else None)

    return await db.transact(delete)


_SWEEPS = """
    DELETE FROM sweeps WHERE finished_at < now() - make_interval(days => %(days)s)
        -- From the last one that took in all, the next one reckons, and monitoring tells its age.
        AND id < (SELECT max(id) FROM sweeps WHERE finished_at IS NOT NULL AND errors = '{}')
"""


async def prune_sweeps(db: Database, days: int) -> None:
    """Forget sweeps that ended longer ago than `days`: two dozen a day, each with what nobody answered for."""
    await db.rows(_SWEEPS, {"days": days})
