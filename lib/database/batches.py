"""Acts of a person on many rows of the queue at once, and how far they have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from psycopg.types.json import Jsonb

from lib.database.connection import Connection, Database
from lib.model import Nudge, Priority


class Batch(Struct, frozen=True):
    """One act on many."""

    id: str
    at: datetime
    actor: str
    action: str
    filter: dict[str, Any]
    matches: int
    subjects: int
    """Rows of the queue that it made due."""
    left: int
    """Whom it has still to come to, and those whose pass has not ended since."""
    given: dict[str, Any] = field(default_factory=dict)
    """What is done besides: reason, date, hold."""


async def begin(
    connection: Connection,
    actor: str,
    action: str,
    about: Mapping[str, Any],
    matches: int,
    given: Mapping[str, Any] | None = None,
) -> str:
    """Write down an act; its id."""
    cursor = await connection.execute(
        "INSERT INTO batches (actor, action, filter, matches, given)"
        " VALUES (%(actor)s, %(action)s, %(about)s, %(matches)s, %(given)s) RETURNING id::text",
        {
            "actor": actor,
            "action": action,
            "about": Jsonb(dict(about)),
            "matches": matches,
            "given": Jsonb(dict(given or {})),
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row["id"])


async def mark(connection: Connection, batch_id: str, nudges: Sequence[Nudge]) -> int:
    """Make rows due as part of an act; how many. They are many, and go after whoever has asked for themselves."""
    cursor = await connection.execute(
        """
        WITH marked AS (
            INSERT INTO due (kind, key, lane, priority, batch_id)
            SELECT DISTINCT kind, key, lane, %(priority)s::smallint, %(batch)s::uuid
            FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(lanes)s::text[]) AS n (kind, key, lane)
            ORDER BY kind, key
            ON CONFLICT (kind, key) DO UPDATE SET due_at = least(due.due_at, clock_timestamp()),
                generation = due.generation + 1, batch_id = excluded.batch_id,
                updated_at = clock_timestamp()
            RETURNING 1
        )
        UPDATE batches SET subjects = subjects + (SELECT count(*) FROM marked) WHERE id = %(batch)s::uuid
        RETURNING (SELECT count(*) FROM marked) AS n
        """,
        {
            "batch": batch_id,
            "priority": Priority.ROUTINE.value,
            "kinds": [nudge.kind for nudge in nudges],
            "keys": [nudge.key for nudge in nudges],
            "lanes": [nudge.lane.value for nudge in nudges],
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"])


async def read(db: Database, batch_id: str) -> Batch | None:
    """One act, and how far it has come."""
    row = await db.row(
        "SELECT id::text, at, actor, action, filter, matches, subjects, given,"
        " (SELECT count(*) FROM due WHERE batch_id = b.id)"
        " + (SELECT count(*) FROM batch_items WHERE batch_id = b.id) AS left FROM batches b WHERE id = %(id)s::uuid",
        {"id": batch_id},
    )
    return Batch(**row) if row else None
