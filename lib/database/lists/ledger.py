"""The ledger as a list: newest first, or from one line on as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.database.connection import Database
from lib.database.keys import as_text, whose
from lib.database.ledger import EntryState
from lib.model import CustomerKey, ServiceKey


class LedgerFilter(Struct, frozen=True):
    """Which lines; what is `None` is not asked for."""

    since: datetime | None = None
    until: datetime | None = None
    customer: str | None = None
    kind: str | None = None
    actor: str | None = None
    state: EntryState | None = None


class LedgerRow(Struct, frozen=True):
    """One line: a thing that became known of one action."""

    id: int
    at: datetime
    action_id: str
    actor: str
    customer_id: str
    subscription_id: str | None
    slot: int | None
    kind: str
    state: EntryState
    rule: str | None
    error: str | None

    @property
    def service(self) -> str | None:
        """Which service it is about, as a person reads it."""
        if self.subscription_id is None:
            return None
        return str(ServiceKey(self.subscription_id, self.slot)) if self.slot is not None else self.subscription_id


_COLUMNS = (
    "id, at, action_id::text AS action_id, actor, subscription_id, slot, kind, state, rule, error, "
    f"{as_text()} AS customer_id"
)

_RARE: tuple[EntryState, ...] = ("unknown", "failed", "planned")
"""States that have an index of their own (`actions_rare_idx`), which only a literal condition finds."""


async def page(
    db: Database, found: LedgerFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[LedgerRow], tuple[Any, ...] | None]:
    """A page of lines, newest first, and the key of its last one when there are more."""
    behind = ["(at, id) < (%(after0)s::timestamptz, %(after1)s)"] if after else []
    rows = await db.rows(
        f"SELECT {_COLUMNS} FROM actions {_where(found, *behind)} ORDER BY at DESC, id DESC LIMIT %(limit)s",
        {**_parameters(found), "limit": limit + 1, **{f"after{n}": value for n, value in enumerate(after or ())}},
    )
    shown = [LedgerRow(**row) for row in rows[:limit]]
    return shown, (shown[-1].at, shown[-1].id) if len(rows) > limit else None


async def grown(db: Database, found: LedgerFilter, after: int, limit: int) -> list[LedgerRow]:
    """The lines behind the one with this id, oldest first."""
    rows = await db.rows(
        f"SELECT {_COLUMNS} FROM actions {_where(found, 'id > %(after)s')} ORDER BY id LIMIT %(limit)s",
        {**_parameters(found), "after": after, "limit": limit},
    )
    return [LedgerRow(**row) for row in rows]


def _where(found: LedgerFilter, *more: str) -> str:
    parts = list(more)
    if found.since is not None:
        parts.append("at >= %(since)s")
    if found.until is not None:
        parts.append("at < %(until)s")
    if found.customer is not None:
        parts.append("provider = %(provider)s AND customer_id = %(customer)s")
    if found.kind is not None:
        parts.append("kind = %(kind)s")
    if found.actor is not None:
        parts.append("actor = %(actor)s" + (" AND actor <> 'bridge'" if found.actor != "bridge" else ""))
    if found.state is not None:
        parts.append(f"state = '{found.state}'" if found.state in _RARE else "state = %(state)s")
    return "WHERE " + " AND ".join(parts) if parts else ""


def _parameters(found: LedgerFilter) -> dict[str, Any]:
    return {
        "since": found.since,
        "until": found.until,
        "kind": found.kind,
        "actor": found.actor,
        "state": found.state,
        **(whose(CustomerKey.read(found.customer)) if found.customer is not None else {}),
    }
