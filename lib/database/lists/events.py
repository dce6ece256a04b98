"""Events as a list: newest first, as Stripe's own list of them is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.database.connection import Connection, Database, Reading
from lib.database.keys import whose
from lib.database.lists.like import prefix
from lib.database.previews import digest_of
from lib.model import CustomerKey


class EventFilter(Struct, frozen=True):
    """Which events; what is `None` is not asked for."""

    since: datetime
    until: datetime
    type: str | None = None
    """Exact, or with ``*`` at its end the beginning of it."""
    outcome: str | None = None
    source: str | None = None
    customer_id: str | None = None
    object_id: str | None = None


class EventRow(Struct, frozen=True):
    """A received event; the body only where it was asked for."""

    provider: str
    event_id: str
    type: str
    livemode: bool | None
    object_id: str | None
    customer_id: str | None
    created_at: datetime | None
    received_at: datetime
    outcome: str
    error: str | None
    source: str
    body: str


_COLUMNS = (
    "provider, event_id, type, livemode, object_id, customer_id, created_at, received_at, outcome, error, source, body"
)


async def events(
    db: Database, found: EventFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[EventRow], tuple[Any, ...] | None]:
    """A page of events, newest first, and the key of its last row when there are more."""
    rows = await db.rows(
        f"""
        SELECT {_COLUMNS} FROM events
        WHERE {where(found)}{" AND (received_at, event_id) < (%(after0)s, %(after1)s)" if after else ""}
        ORDER BY received_at DESC, event_id DESC LIMIT %(limit)s
        """,
        {**parameters(found), "limit": limit + 1, **{f"after{n}": value for n, value in enumerate(after or ())}},
    )
    page = [EventRow(**row) for row in rows[:limit]]
    return page, (page[-1].received_at, page[-1].event_id) if len(rows) > limit else None


async def event(db: Database, event_id: str) -> EventRow | None:
    """One event; `None` when it was never received, or has been pruned."""
    row = await db.row(
        f"SELECT {_COLUMNS} FROM events WHERE provider = 'stripe' AND event_id = %(id)s", {"id": event_id}
    )
    return EventRow(**row) if row else None


async def counted(connection: Connection, found: EventFilter) -> tuple[int, str]:
    """How many there are, and the digest of them."""
    cursor = await connection.execute(
        f"SELECT count(*) AS n, {digest_of('event_id')} AS digest FROM events WHERE {where(found)}", parameters(found)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"]), str(row["digest"])


COUNTED = 500
"""More events than this are not counted: an outage leaves those of everybody."""


def reading_not_done(limit: int) -> Reading[tuple[int, list[EventRow]]]:
    """How many events came in since their customer's passes last came to rest (at most `COUNTED`), and the newest.

    Only of customers whose pass fails or is parked: what is merely due is taken up in a moment.
    """
    return Reading(
        f"""
        WITH stuck AS (
            (SELECT key, rested_at FROM due WHERE kind = 'customer' AND parked_reason IS NOT NULL LIMIT {COUNTED})
            UNION ALL (SELECT key, rested_at FROM due
                WHERE kind = 'customer' AND last_error IS NOT NULL AND parked_reason IS NULL LIMIT {COUNTED})
            LIMIT {COUNTED}
        ), found AS (
            SELECT e.event_id, e.received_at FROM stuck s CROSS JOIN LATERAL (
                SELECT event_id, received_at FROM events e
                WHERE e.provider = 'stripe' AND e.customer_id = s.key AND e.outcome = 'accepted'
                    AND e.received_at > coalesce(s.rested_at, '-infinity')
                ORDER BY e.received_at DESC LIMIT {COUNTED}
            ) AS e LIMIT {COUNTED}
        ), newest AS (
            SELECT * FROM found ORDER BY received_at DESC, event_id DESC LIMIT %(limit)s
        )
        SELECT {", ".join(f"e.{column}" for column in _COLUMNS.split(", "))},
            (SELECT count(*) FROM found) AS total
        FROM newest n CROSS JOIN LATERAL (
            SELECT * FROM events WHERE provider = 'stripe' AND event_id = n.event_id) AS e
        ORDER BY n.received_at DESC, n.event_id DESC
        """,
        {"limit": limit},
        _read_not_done,
    )


def _read_not_done(rows: list[dict[str, Any]]) -> tuple[int, list[EventRow]]:
    total = rows[0]["total"] if rows else 0
    return total, [EventRow(**{name: row[name] for name in row if name != "total"}) for row in rows]


async def standing(db: Database, subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """How the queue stands with these (kind, key): only those that it still has."""
    rows = await db.rows(
        """
        SELECT d.kind, d.key, d.due_at, d.last_error, d.waits_for, d.parked_reason,
            CASE WHEN d.leased_until > clock_timestamp() THEN 'working'
                WHEN d.parked_reason IS NOT NULL THEN 'parked'
                WHEN d.last_error IS NOT NULL THEN 'failing'
                WHEN d.due_at <= clock_timestamp() THEN 'due' ELSE 'waiting' END AS state
        FROM unnest(%(kinds)s::text[], %(keys)s::text[]) AS n (kind, key) JOIN due d USING (kind, key)
        """,
        {"kinds": [kind for kind, _ in subjects], "keys": [key for _, key in subjects]},
    )
    return {(row["kind"], row["key"]): row for row in rows}


def where(found: EventFilter) -> str:
    """The condition: a range of the time of arrival, or of one customer's events, and what else they must be."""
    parts = ["received_at >= %(since)s AND received_at < %(until)s"]
    if found.type is not None:
        parts.append("type LIKE %(type)s" if found.type.endswith("*") else "type = %(type)s")
    if found.outcome is not None:
        parts.append("outcome = %(outcome)s")
    if found.source is not None:
        parts.append("source = %(source)s")
    if found.customer_id is not None:
        parts.append("provider = %(provider)s AND customer_id = %(customer)s")
    if found.object_id is not None:
        parts.append("object_id = %(object)s")
    return " AND ".join(parts)


def parameters(found: EventFilter) -> dict[str, Any]:
    """What the condition is filled with."""
    return {
        "since": found.since,
        "until": found.until,
        "type": prefix(found.type[:-1]) if found.type and found.type.endswith("*") else found.type,
        "outcome": found.outcome,
        "source": found.source,
        **(whose(CustomerKey.read(found.customer_id)) if found.customer_id is not None else {}),
        "object": found.object_id,
    }


def plain(found: EventFilter) -> dict[str, Any]:
    """The filter as plain JSON, for the record."""
    told = {**parameters(found), "type": found.type}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items() if value}
