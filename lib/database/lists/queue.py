"""The queue as a list, in the order of its keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lib.database.connection import Connection, Database
from lib.database.keys import id_in, provider_in
from lib.model import CustomerKey

State = Literal["due", "parked", "waiting", "working"]


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One row of the queue as it stands."""

    kind: str
    key: str
    state: State
    due_at: datetime | None
    attempts: int
    last_error: str | None
    waits_for: str | None
    parked_reason: str | None
    parked_at: datetime | None
    problems: list[dict[str, str]]
    email: str | None


_ROW = f"""
    SELECT d.kind, d.key,
        CASE WHEN d.leased_until > clock_timestamp() THEN 'working'
            WHEN d.parked_reason IS NOT NULL THEN 'parked'
            WHEN d.due_at <= clock_timestamp() THEN 'due' ELSE 'waiting' END AS state,
        d.due_at, d.attempts, d.last_error, d.waits_for, d.parked_reason, d.parked_at, d.problems, c.email
    FROM page d
    LEFT JOIN customers c ON d.kind = 'customer'
        AND c.provider = {provider_in("d.key")} AND c.customer_id = {id_in("d.key")}
"""

_STATES: dict[State, str] = {
    "working": "leased_until > clock_timestamp()",
    "parked": "parked_reason IS NOT NULL AND (leased_until IS NULL OR leased_until <= clock_timestamp())",
    "due": "parked_reason IS NULL AND due_at <= clock_timestamp()"
    " AND (leased_until IS NULL OR leased_until <= clock_timestamp())",
    "waiting": "parked_reason IS NULL AND due_at > clock_timestamp()"
    " AND (leased_until IS NULL OR leased_until <= clock_timestamp())",
}


async def row_of(db: Database, customer: CustomerKey) -> WorkRow | None:
    """The queue's row of one customer; `None` when nothing is to be done for them."""
    found = await db.row(
        f"WITH page AS (SELECT * FROM due WHERE kind = 'customer' AND key = %(key)s) {_ROW}",
        {"key": str(customer)},
    )
    return WorkRow(**found) if found else None


async def rows(
    db: Database,
    *,
    state: State | None,
    reason: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> list[WorkRow]:
    """The queue in the order of its keys, so that a page can begin after any row.

    Args:
        reason: only rows parked with this reason among their problems.
        after: (kind, key) of the last row of the page before.
    """
    behind = " AND (kind, key) > (%(kind)s, %(key)s)" if after is not None else ""
    found = await db.rows(
        f"""
        WITH page AS MATERIALIZED (
            SELECT * FROM due WHERE {_where(state, reason)}{behind} ORDER BY kind, key LIMIT %(limit)s
        )
        {_ROW} ORDER BY d.kind, d.key
        """,
        {
            "reason": reason,
            "kind": after[0] if after else None,
            "key": after[1] if after else None,
            "limit": limit,
        },
    )
    return [WorkRow(**row) for row in found]


def _where(state: State | None, reason: str | None) -> str:
    parts = ["true"]
    if state is not None:
        parts.append(_STATES[state])
    if reason is not None:
        parts.append("parked_reason IS NOT NULL")
        parts.append("problems @> jsonb_build_array(jsonb_build_object('reason', %(reason)s::text))")
    return " AND ".join(parts)


async def matching(connection: Connection, state: State | None, reason: str | None) -> list[tuple[str, str]]:
    """(kind, key) of every row of the queue that matches, in the order of its keys."""
    cursor = await connection.execute(
        f"SELECT kind, key FROM due WHERE {_where(state, reason)} ORDER BY kind, key", {"reason": reason}
    )
    return [(row["kind"], row["key"]) for row in await cursor.fetchall()]
