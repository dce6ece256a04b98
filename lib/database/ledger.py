"""The ledger: what was intended, applied, verified, failed or noted, with the facts behind it. Only ever added to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from lib.database.connection import Connection, Database, Write
from lib.database.keys import whose
from lib.database.leases import held, insist
from lib.model import CustomerKey, ServiceKey

EntryState = Literal["intent", "unknown", "applied", "verified", "failed", "planned", "noted"]


class Entry(Struct, frozen=True):
    """One line of the ledger: a thing that is now known about one action."""

    action_id: str
    state: EntryState
    kind: str
    customer_id: str
    """The text of their `CustomerKey`, or the id of what it is about while nobody knows whose it is."""
    service: ServiceKey | None = None
    rule: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] | None = field(default=None)
    error: str | None = None
    actor: str = "bridge"
    pass_id: str | None = None

    @property
    def customer(self) -> CustomerKey:
        """Whose it is."""
        return CustomerKey.read(self.customer_id)


_COLUMNS = (
    "action_id uuid, pass_id uuid, provider text, customer_id text, subscription_id text, slot integer, kind text,"
    " state text, rule text, before jsonb, after jsonb, facts jsonb, error text, actor text"
)
_NAMES = ", ".join(column.split()[0] for column in _COLUMNS.split(", "))


def insert_of(rows: str, *beside: str) -> str:
    """A statement that adds entries, without its conditions: an expression of `rows_of` them, and what is joined."""
    source = ", ".join([*beside, f"jsonb_to_recordset({rows}) AS r ({_COLUMNS})"])
    return (
        f"INSERT INTO actions ({_NAMES}) SELECT {', '.join(f'r.{name}' for name in _NAMES.split(', '))} FROM {source}"
    )


_INSERT = insert_of("%(rows)s::jsonb")

_RECORD = _INSERT + " ON CONFLICT (action_id, state) DO NOTHING"

_RECORD_HELD = f"{_INSERT} WHERE {held()} ON CONFLICT (action_id, state) DO NOTHING"

_INTEND = f"""
    WITH written AS (
        {_INSERT} WHERE {held(begins=True)}
        ON CONFLICT (action_id, state) DO NOTHING RETURNING 1
    )
    SELECT 1 FROM written UNION ALL
    SELECT 1 FROM actions WHERE action_id = %(action)s AND state = 'intent'
"""
"""The second half is for a statement that was sent again because the answer to it was lost."""


async def record(db: Database, entries: Sequence[Entry]) -> list[str]:
    """Add entries; one that stands there already is not written again. The action ids of those that were written."""
    written = await db.rows(_RECORD + " RETURNING action_id", {"rows": rows_of(entries)})
    return [str(row["action_id"]) for row in written]


async def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """`record` inside a transaction: what was changed and why stand together or not at all."""
    await connection.execute(_RECORD, {"rows": rows_of(entries)})


def recording(entries: Sequence[Entry], lease_id: str) -> Write:
    """Add entries as the holder of a lease."""
    return Write(_RECORD_HELD, {"rows": rows_of(entries), "lease": lease_id})


def intending(entry: Entry, lease_id: str) -> Write:
    """Write an intent, but only as the holder of the lease: a process that lost it must not touch the panel.

    A row: it stands there.
    """
    return Write(_INTEND, {"rows": rows_of([entry]), "action": entry.action_id, "lease": lease_id})


async def intend(db: Database, entry: Entry, lease_id: str) -> None:
    """`intending` by itself.

    Raises:
        LeaseLost: another process may hold this customer now.
    """
    intent = intending(entry, lease_id)
    insist(await db.rows(intent.statement, intent.parameters))


async def suspenders(db: Database, token_id: str) -> frozenset[str]:
    """Whom the panel has named right after suspensions that were made with this token. Empty: nothing is known of it.

    It may know another token by another name, so that other tokens prove nothing.
    """
    rows = await db.rows(
        """
        SELECT DISTINCT after ->> 'suspended_by' AS who FROM (
            SELECT after FROM actions WHERE kind = 'suspend' AND state = 'verified' ORDER BY id DESC LIMIT 100
        ) AS newest
        WHERE after ->> 'token' = %(token)s AND after ->> 'suspended_by' IS NOT NULL
        """,
        {"token": token_id},
    )
    return frozenset(row["who"] for row in rows)


async def timeline(db: Database, customer: CustomerKey, *, limit: int = 200) -> list[dict[str, Any]]:
    """The newest entries of one customer, oldest first."""
    rows = await db.rows(
        "SELECT * FROM (SELECT * FROM actions WHERE provider = %(provider)s AND customer_id = %(customer)s"
        " ORDER BY id DESC LIMIT %(limit)s) AS newest ORDER BY id",
        {**whose(customer), "limit": limit},
    )
    return list(rows)


def rows_of(entries: Sequence[Entry]) -> str:
    """Entries as a parameter."""
    return json.dumps(
        [
            {
                "action_id": f.action_id,
                "pass_id": f.pass_id,
                "provider": customer.provider,
                "customer_id": customer.id,
                "subscription_id": f.service.subscription_id if f.service else None,
                "slot": f.service.slot if f.service else None,
                "kind": f.kind,
                "state": f.state,
                "rule": f.rule,
                "before": f.before,
                "after": f.after,
                "facts": f.facts,
                "error": f.error,
                "actor": f.actor,
            }
            for f in entries
            for customer in [f.customer]
        ],
        default=str,
    )
