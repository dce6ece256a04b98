"""The queue as a list: what is due or waits in the order of turns, the rest in the order of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from lib.database.connection import Connection, Database
from lib.database.due import FREE
from lib.database.keys import id_in, provider_in
from lib.model import CustomerKey, Lane, Priority

State = Literal["due", "parked", "waiting", "working"]
Part = Literal["due", "parked", "waiting", "working", "failing", "braked"]
"""Of the queue: the rows of one state; and of those that wait what failed last, and what a brake keeps."""


class WorkRow(Struct, frozen=True):
    """One row of the queue as it stands."""

    kind: str
    key: str
    lane: Lane
    priority: int
    state: State
    due_at: datetime | None
    attempts: int
    last_error: str | None
    waits_for: str | None
    parked_reason: str | None
    parked_at: datetime | None
    since: datetime
    """Since when it is parked; else since when there is something to do for them."""
    problems: list[dict[str, str]]
    email: str | None


_ROW = f"""
    SELECT d.kind, d.key, d.lane, d.priority,
        CASE WHEN d.leased_until > statement_timestamp() THEN 'working'
            WHEN d.parked_reason IS NOT NULL THEN 'parked'
            WHEN d.due_at <= statement_timestamp() THEN 'due' ELSE 'waiting' END AS state,
        d.due_at, d.attempts, d.last_error, d.waits_for, d.parked_reason, d.parked_at,
        coalesce(d.parked_at, d.created_at) AS since, d.problems, c.email
    FROM page d
    LEFT JOIN customers c ON d.kind = 'customer'
        AND c.provider = {provider_in("d.key")} AND c.customer_id = {id_in("d.key")}
"""

_STATES: Mapping[Part, str] = {
    "working": "leased_until > statement_timestamp()",
    "parked": f"parked_reason IS NOT NULL AND {FREE}",
    "due": f"parked_reason IS NULL AND due_at <= statement_timestamp() AND {FREE}",
    "waiting": f"parked_reason IS NULL AND due_at > statement_timestamp() AND {FREE}",
}
_PARTS: Mapping[Part, str] = {
    **_STATES,
    "failing": f"last_error IS NOT NULL AND waits_for IS NULL AND {_STATES['waiting']}",
    "braked": f"waits_for = 'brake' AND {_STATES['waiting']}",
}
"""What a row of each part is; of those that wait the same as `tallies` counts them by."""

Place = tuple[Any, ...]
"""Where a row stands in its list: (lane, priority, due_at, kind, key) where rows have a turn, else (kind, key)."""

_TURNS: tuple[type, ...] = (str, int, datetime, str, str)
_KEYS: tuple[type, ...] = (str, str)


def place_types(state: Part | None) -> tuple[type, ...]:
    """Of what a place in the list of this state consists."""
    return _TURNS if state in ("due", "waiting") else _KEYS


def place_of(row: WorkRow, state: Part | None) -> Place:
    """Where a row stands in the list of this state."""
    if state in ("due", "waiting"):
        assert row.due_at is not None
        return row.lane, row.priority, row.due_at, row.kind, row.key
    return row.kind, row.key


async def row_of(db: Database, customer: CustomerKey) -> WorkRow | None:
    """The queue's row of one customer; `None` when nothing is to be done for them."""
    found = await db.row(
        f"WITH page AS (SELECT * FROM due WHERE kind = 'customer' AND key = %(key)s) {_ROW}",
        {"key": str(customer)},
    )
    return WorkRow(**found) if found else None


_BY_KEY = "SELECT * FROM due WHERE {where} ORDER BY kind, key LIMIT %(limit)s"
_BEHIND_KEY = "(kind, key) > (%(kind)s, %(key)s)"

_BY_TURN = """
    SELECT d.* FROM unnest(%(lanes)s::text[]) AS l (lane) CROSS JOIN unnest(%(priorities)s::smallint[]) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT * FROM due WHERE lane = l.lane AND priority = p.priority AND {where}
        ORDER BY due_at, kind, key LIMIT %(limit)s
    ) d
    WHERE {turn}
    ORDER BY lane, priority, due_at, kind, key LIMIT %(limit)s
"""
"""Lane by lane and priority by priority, so that each is a range of the index that claims read, too."""

_BEHIND_TURN = """(due_at, kind, key) > (
    CASE WHEN {here} THEN %(due_at)s::timestamptz ELSE '-infinity' END,
    CASE WHEN {here} THEN %(kind)s ELSE '' END, CASE WHEN {here} THEN %(key)s ELSE '' END)
""".format(here="(l.lane, p.priority) = (%(lane)s, %(priority)s)")


async def rows(
    db: Database, *, state: Part | None, reason: str | None, after: Place | None, limit: int
) -> list[WorkRow]:
    """The queue in the order of turns (of what is due or waiting) or of keys; a page can begin after any row.

    Args:
        reason: only rows parked with this reason among their problems.
        after: the place of the last row of the page before, in the list of the same state.
    """
    by_turn = state in ("due", "waiting")
    if by_turn and reason is not None:
        return []
    where = condition(state, reason)
    values: dict[str, Any] = {"reason": reason, "limit": limit}
    if by_turn:
        values |= {"lanes": [lane.value for lane in Lane], "priorities": [priority.value for priority in Priority]}
    if after is not None:
        where += " AND " + (_BEHIND_TURN if by_turn else _BEHIND_KEY)
        names = ("lane", "priority", "due_at", "kind", "key") if by_turn else ("kind", "key")
        values |= dict(zip(names, after, strict=True))
    turn = "(l.lane, p.priority) >= (%(lane)s, %(priority)s)" if by_turn and after is not None else "true"
    page = (_BY_TURN if by_turn else _BY_KEY).format(where=where, turn=turn)
    order = "d.lane, d.priority, d.due_at, d.kind, d.key" if by_turn else "d.kind, d.key"
    found = await db.rows(f"WITH page AS MATERIALIZED ({page}) {_ROW} ORDER BY {order}", values)
    return [WorkRow(**row) for row in found]


def condition(state: Part | None, reason: str | None) -> str:
    """What a row of the queue must be; with `%(reason)s`."""
    parts = ["true"]
    if state is not None:
        parts.append(_PARTS[state])
    if reason is not None:
        parts.append("parked_reason IS NOT NULL")
        parts.append("problems @> jsonb_build_array(jsonb_build_object('reason', %(reason)s::text))")
    return " AND ".join(parts)


async def matching(connection: Connection, state: Part | None, reason: str | None) -> list[tuple[str, str]]:
    """(kind, key) of every row of the queue that matches, in the order of its keys."""
    cursor = await connection.execute(
        f"SELECT kind, key FROM due WHERE {condition(state, reason)} ORDER BY kind, key", {"reason": reason}
    )
    return [(row["kind"], row["key"]) for row in await cursor.fetchall()]
