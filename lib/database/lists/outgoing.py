"""Outgoing events as a list of deliveries, newest first, and the endpoints that they go to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.database.connection import Database, Reading


class OutgoingFilter(Struct, frozen=True):
    """Which deliveries; what is `None` is not asked for."""

    since: datetime
    until: datetime
    endpoint: str | None = None
    state: str | None = None
    type: str | None = None
    """Exact, or with ``*`` at its end the beginning of it."""
    customer: str | None = None


class Delivery(Struct, frozen=True):
    """One event at one endpoint."""

    id: int
    event_id: str
    endpoint: str
    customer: str
    sequence: int
    type: str
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None
    body: str


class Try(Struct, frozen=True):
    """One attempt to deliver."""

    outbox_id: int
    at: datetime
    status: int | None
    duration_ms: int
    error: str | None


class EndpointRow(Struct, frozen=True):
    """How an endpoint does."""

    endpoint: str
    url: str
    failing_since: datetime | None
    failures: int
    last_error: str | None
    next_try_at: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    waiting: int
    oldest_waiting_at: datetime | None


_COLUMNS = "id, event_id, endpoint, customer, sequence, type, state, attempts, last_error, created_at, ended_at, body"


async def deliveries(
    db: Database, found: OutgoingFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[Delivery], tuple[Any, ...] | None]:
    """A page, newest first, and the key of its last row when there are more."""
    conditions = ["created_at >= %(since)s", "created_at <= %(until)s"]
    conditions += [f"{name} = %({name})s" for name in ("endpoint", "state", "customer") if getattr(found, name)]
    if found.type is not None:
        conditions.append("starts_with(type, %(stem)s)" if found.type.endswith("*") else "type = %(type)s")
    if after:
        conditions.append("(created_at, id) < (%(after0)s, %(after1)s)")
    rows = await db.rows(
        f"SELECT {_COLUMNS} FROM outbox WHERE {' AND '.join(conditions)}"
        " ORDER BY created_at DESC, id DESC LIMIT %(limit)s",
        {
            "since": found.since,
            "until": found.until,
            "endpoint": found.endpoint,
            "state": found.state,
            "customer": found.customer,
            "type": found.type,
            "stem": (found.type or "").removesuffix("*"),
            "limit": limit + 1,
            **{f"after{n}": value for n, value in enumerate(after or ())},
        },
    )
    page = [Delivery(**row) for row in rows[:limit]]
    return page, (page[-1].created_at, page[-1].id) if len(rows) > limit else None


async def one(db: Database, event_id: str) -> tuple[list[Delivery], list[Try]]:
    """An event at every endpoint, and every attempt to deliver it, oldest first."""
    rows = await db.rows(f"SELECT {_COLUMNS} FROM outbox WHERE event_id = %(id)s ORDER BY id", {"id": event_id})
    tries = await db.rows(
        "SELECT outbox_id, at, status, duration_ms, error FROM outbox_attempts WHERE outbox_id = ANY(%(ids)s)"
        " ORDER BY outbox_id, id",
        {"ids": [row["id"] for row in rows]},
    )
    return [Delivery(**row) for row in rows], [Try(**row) for row in tries]


async def endpoints(db: Database) -> list[EndpointRow]:
    """Every endpoint that was ever written for, and what waits for it."""
    return await db.read(reading_endpoints())


def reading_endpoints() -> Reading[list[EndpointRow]]:
    """The same, to be read together with something else."""
    return Reading(
        """
        SELECT e.endpoint, e.url, e.failing_since, e.failures, e.last_error, e.next_try_at, e.disabled_at,
            e.disabled_reason, coalesce(w.n, 0) AS waiting,
            (SELECT o.created_at FROM outbox o WHERE o.endpoint = e.endpoint AND o.state = 'waiting'
                ORDER BY o.created_at LIMIT 1) AS oldest_waiting_at
        FROM outbox_endpoints e LEFT JOIN (
            SELECT labels[1] AS endpoint, sum(n)::bigint AS n FROM tallies WHERE name = 'outbox' GROUP BY 1
        ) AS w USING (endpoint) ORDER BY e.created_at, e.endpoint
        """,
        {},
        lambda rows: [EndpointRow(**row) for row in rows],
    )
