"""Acts on many customers: who matches, whom an act has still to come to, and what it changes for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from lib.database import batches, operator_edits
from lib.database.connection import Connection, Database
from lib.database.keys import as_text, whose
from lib.database.lists.queue import Part, condition
from lib.model import CustomerKey
from lib.model.provider import Provider

Action = Literal["retry", "release", "hold", "lift", "grace"]

RELEASED = ("double_purchase", "mapping_changed", "never_paid", "quantity_unusual")
"""Reasons that a release is about."""


class Choice(Struct, frozen=True):
    """Whom an act is about, and what it does. Customers match who match in everything that is given."""

    action: Action
    state: Part | None = None
    reason: str | None = None
    hold: str | None = None
    """They have a service with this hold."""
    upcoming: bool = False
    """Or, with `hold`, they have one in a grace that runs."""
    until: datetime | None = None
    """Of a grace: its date; `None` takes one back."""
    lifts: str = "admin"
    """Of a lift: the hold."""

    @property
    def of_services(self) -> bool:
        """Whether it is asked how services stand."""
        return self.hold is not None or self.upcoming

    @property
    def about(self) -> dict[str, Any]:
        """The filter as it was sent."""
        asked = {"state": self.state, "reason": self.reason, "hold": self.hold, "upcoming": self.upcoming or None}
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def values(self) -> dict[str, Any]:
        """What its statements are filled with."""
        return {"hold": self.hold, "reason": self.reason, "until": self.until, "released": list(RELEASED)}


_RUNS_OUT = "s.state = 'live' AND s.grace_until IS NOT NULL"


def _services(choice: Choice) -> str:
    """The services that are meant."""
    held = "s.holds @> ARRAY[%(hold)s]::text[]"
    parts = ([held] if choice.hold is not None else []) + ([_RUNS_OUT] if choice.upcoming else [])
    if choice.action != "grace":
        return " OR ".join(parts)
    if choice.until is None:
        # A date that was promised to one customer is theirs: only what an act on many has set is taken back by one.
        return f"({' OR '.join(parts)}) AND s.amnesty"
    # No date that is later already is made sooner.
    later = "(s.grace_override IS NULL OR s.grace_override < %(until)s)"
    sooner = " AND s.grace_until < %(until)s"
    parts = [part + (sooner if part is _RUNS_OUT else "") for part in parts]
    return f"({' OR '.join(f'({part})' for part in parts)}) AND {later}"


def _statement(choice: Choice) -> str:
    """(provider, customer_id) of everybody who matches."""
    parts = []
    if choice.of_services:
        parts.append(f"SELECT s.provider, s.customer_id FROM services s WHERE {_services(choice)}")
    if choice.state is not None or choice.reason is not None:
        only = ""
        if choice.action == "release":  # one word is no answer to two questions
            only = """ AND (SELECT count(DISTINCT p ->> 'reason') FROM jsonb_array_elements(d.problems) AS p
                WHERE p ->> 'reason' = ANY(%(released)s)) = 1"""
        parts.append(
            "SELECT c.provider, c.customer_id FROM due d JOIN customers c"
            f" ON d.key = {as_text('c.')} WHERE d.kind = 'customer' AND {condition(choice.state, choice.reason)}{only}"
        )
    return " INTERSECT ".join(parts) + " ORDER BY provider, customer_id"


async def matching(connection: Connection, choice: Choice) -> list[CustomerKey]:
    """Everybody who matches, in the order of their keys."""
    cursor = await connection.execute(_statement(choice), choice.values)
    return [CustomerKey(Provider(row["provider"]), row["customer_id"]) for row in await cursor.fetchall()]


async def write_down(connection: Connection, batch_id: str, customers: Sequence[CustomerKey]) -> None:
    """Write down whom an act is about."""
    await connection.execute(
        "INSERT INTO batch_items (batch_id, provider, customer_id)"
        " SELECT %(batch)s::uuid, * FROM unnest(%(providers)s::text[], %(customers)s::text[])",
        {
            "batch": batch_id,
            "providers": [customer.provider.value for customer in customers],
            "customers": [customer.id for customer in customers],
        },
    )


async def still_to_come(db: Database, batch_id: str, limit: int) -> list[CustomerKey]:
    """Some of those whom an act has not come to yet."""
    rows = await db.rows(
        "SELECT provider, customer_id FROM batch_items WHERE batch_id = %(batch)s::uuid"
        " ORDER BY provider, customer_id LIMIT %(limit)s",
        {"batch": batch_id, "limit": limit},
    )
    return [CustomerKey(Provider(row["provider"]), row["customer_id"]) for row in rows]


async def come_to(connection: Connection, batch_id: str, customer: CustomerKey) -> bool:
    """Take somebody off the list of an act; False: another process has come to them."""
    cursor = await connection.execute(
        "DELETE FROM batch_items WHERE batch_id = %(batch)s::uuid AND provider = %(provider)s"
        " AND customer_id = %(customer)s RETURNING 1",
        {"batch": batch_id, **whose(customer)},
    )
    return await cursor.fetchone() is not None


async def given_to(db: Database, batch_id: str) -> tuple[batches.Batch, Choice] | None:
    """An act as it was written down."""
    found = await batches.read(db, batch_id)
    if found is None:
        return None
    until = found.given.get("until")
    return found, Choice(
        action=found.action,  # type: ignore[arg-type]  # no other one is written down
        state=found.filter.get("state"),
        reason=found.filter.get("reason"),
        hold=found.filter.get("hold"),
        upcoming=bool(found.filter.get("upcoming")),
        until=datetime.fromisoformat(until) if until else None,
        lifts=found.given.get("hold") or "admin",
    )


class Edited(Struct, frozen=True):
    """What the ledger is told of an act on one of many."""

    facts: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] | None = None


async def edit(connection: Connection, customer: CustomerKey, choice: Choice) -> Edited | None:
    """Make an act true of one customer, under their lease; what of it the ledger is told, `None`: nothing to change.

    They may have changed since they were counted: who has paid meanwhile is given no date.
    """
    match choice.action:
        case "hold":
            changed = await operator_edits.hold(connection, customer, None)
            return Edited(before=operator_edits.noted(changed))
        case "lift":
            if choice.lifts == "admin":
                changed = await operator_edits.lift(connection, customer, None)
                return Edited({"hold": choice.lifts}, operator_edits.noted(changed))
            table: Literal["disputes", "refunds"] = "disputes" if choice.lifts == "dispute" else "refunds"
            await operator_edits.waive(connection, customer, None, table)
            return Edited({"hold": choice.lifts})
        case "release":
            await operator_edits.release(connection, customer, None)
            return Edited({"waited": [choice.reason]})
        case "grace":
            return await _grace(connection, customer, choice)
        case _:
            return Edited()


async def _grace(connection: Connection, customer: CustomerKey, choice: Choice) -> Edited | None:
    cursor = await connection.execute(
        f"""
        WITH b AS (
            SELECT provider, subscription_id, slot, grace_override, amnesty FROM services s
            WHERE provider = %(provider)s AND customer_id = %(customer)s AND state IN ('live', 'suspended')
                AND ({_services(choice)})
            FOR UPDATE
        )
        UPDATE services s SET grace_override = %(until)s, amnesty = %(until)s::timestamptz IS NOT NULL,
            grace_until = CASE WHEN %(until)s::timestamptz IS NOT NULL THEN s.grace_until END, updated_at = now()
        FROM b WHERE (s.provider, s.subscription_id, s.slot) = (b.provider, b.subscription_id, b.slot)
        RETURNING b.subscription_id, b.slot, b.grace_override, b.amnesty
        """,
        {**whose(customer), **choice.values},
    )
    changed = [operator_edits.Before(**row) for row in await cursor.fetchall()]
    if not changed:
        return None
    until, date = choice.until.isoformat() if choice.until else None, operator_edits.latest_date(changed)
    return Edited(
        {"until": until, "subscriptions": sorted({one.subscription_id for one in changed})},
        {"until": date.isoformat() if date else None, **operator_edits.noted(changed)},
    )
