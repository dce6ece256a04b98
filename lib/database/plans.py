"""What the operator sells: mappings of prices to panel plans, rules for add-ons, and previews of their changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from psycopg.types.json import Jsonb

from lib.database.connection import Connection, Database
from lib.database.keys import provider_in
from lib.database.previews import digest_of
from lib.model import CustomerKey
from lib.model.provider import Provider

PREVIEW_KEPT = timedelta(days=1)


class MappingRow(Struct, frozen=True):
    """One row of `plan_mappings`."""

    billing_provider: str
    billing_plan_id: str
    enhance_plan_id: str | None
    kind: str
    activate_on: str
    grace_days: int | None
    create_website: bool
    server_group_id: str | None
    updated_at: datetime
    services: int
    """How many services that are not terminated were bought by it."""


class RuleRow(Struct, frozen=True):
    """One row of `plan_rules`."""

    billing_provider: str
    base_plan_id: str
    addon_plan_id: str
    min_quantity: int
    enhance_plan_id: str


class Preview(Struct, frozen=True):
    """A change as it was shown."""

    as_of: datetime
    change: dict[str, Any]
    before: dict[str, Any] | None
    moves: list[dict[str, Any]]
    concerned: str
    """The digest of those who lived by it then."""


WRITTEN = (
    "billing_provider",
    "billing_plan_id",
    "enhance_plan_id",
    "kind",
    "activate_on",
    "grace_days",
    "create_website",
    "server_group_id",
)
"""The columns that an operator writes, in one place for reading and writing."""

_ROWS = f"""
    SELECT {", ".join(f"m.{name}" for name in WRITTEN if name != "server_group_id")},
        m.server_group_id::text AS server_group_id, m.updated_at,
        (SELECT coalesce(sum(t.n), 0)::bigint FROM tallies t
            WHERE t.name = 'prices' AND t.labels = ARRAY[m.billing_provider, m.billing_plan_id]) AS services
    FROM plan_mappings m
"""


async def mappings(
    db: Database, after: Sequence[Any] | None, limit: int
) -> tuple[list[MappingRow], tuple[Any, ...] | None]:
    """A page of mappings in the order of their keys, and the key of its last row when there are more."""
    behind = "WHERE (billing_provider, billing_plan_id) > (%(after0)s, %(after1)s)" if after else ""
    rows = await db.rows(
        f"{_ROWS} {behind} ORDER BY billing_provider, billing_plan_id LIMIT %(limit)s",
        {"limit": limit + 1, **{f"after{place}": value for place, value in enumerate(after or ())}},
    )
    page = [MappingRow(**row) for row in rows[:limit]]
    more = len(rows) > limit
    return page, (page[-1].billing_provider, page[-1].billing_plan_id) if more else None


async def mapping(db: Database, provider: str, price_id: str) -> MappingRow | None:
    """One mapping."""
    row = await db.row(
        f"{_ROWS} WHERE billing_provider = %(provider)s AND billing_plan_id = %(price)s",
        {"provider": provider, "price": price_id},
    )
    return MappingRow(**row) if row else None


async def grace_days(connection: Connection, provider: str, price_id: str | None) -> int | None:
    """The grace of a plan; `None`: that of everybody."""
    cursor = await connection.execute(
        "SELECT grace_days FROM plan_mappings WHERE billing_provider = %(provider)s AND billing_plan_id = %(price)s",
        {"provider": provider, "price": price_id},
    )
    row = await cursor.fetchone()
    return row["grace_days"] if row else None


class Changed(Struct, frozen=True):
    """A line of the ledger about a mapping, and the row as it is now."""

    at: datetime
    actor: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    now: dict[str, Any] | None


async def changes(db: Database, limit: int) -> list[Changed]:
    """The newest changes to mappings that were made here."""
    rows = await db.rows(
        f"""
        SELECT a.at, a.actor, a.before, a.after, to_jsonb(m) AS now
        FROM (SELECT * FROM actions WHERE kind = 'mapping' AND state = 'noted' ORDER BY id DESC LIMIT %(limit)s) AS a
        LEFT JOIN (SELECT {", ".join(WRITTEN)} FROM plan_mappings) AS m
            ON m.billing_provider = coalesce(a.after, a.before) ->> 'billing_provider'
            AND m.billing_plan_id = coalesce(a.after, a.before) ->> 'billing_plan_id'
        ORDER BY a.id DESC
        """,
        {"limit": limit},
    )
    return [Changed(**row) for row in rows]


async def rules(db: Database) -> list[RuleRow]:
    """Every rule for add-ons."""
    rows = await db.rows(
        "SELECT billing_provider, base_plan_id, addon_plan_id, min_quantity, enhance_plan_id FROM plan_rules"
        " ORDER BY billing_provider, base_plan_id, addon_plan_id, min_quantity"
    )
    return [RuleRow(**row) for row in rows]


async def waiting_for(db: Database) -> dict[str, int]:
    """Stripe's prices without a mapping that customers wait for, and how many do.

    Who is looked at again anyway since the price was mapped waits for that, and for nobody's decision.
    """
    rows = await db.rows(
        f"""
        SELECT p ->> 'subject' AS price, count(DISTINCT key) AS customers
        FROM due, jsonb_array_elements(problems) AS p
        WHERE kind = 'customer' AND parked_reason IS NOT NULL AND p ->> 'reason' = 'unmapped_price'
            AND {provider_in("key")} = 'stripe'
            AND NOT (due_at <= statement_timestamp() AND EXISTS (
                SELECT 1 FROM plan_mappings WHERE billing_provider = 'stripe' AND billing_plan_id = p ->> 'subject'))
        GROUP BY 1 ORDER BY 2 DESC, 1
        """
    )
    return {row["price"]: row["customers"] for row in rows}


async def living_by(db: Database, provider: str, price_id: str, limit: int) -> list[str]:
    """Customers who have bought a price and are not through with it, as the text of their keys; at most so many."""
    rows = await db.rows(
        f"SELECT customer_id FROM ({_LIVING}) AS found ORDER BY customer_id LIMIT %(limit)s",
        {"provider": provider, "price": price_id, "limit": limit},
    )
    return [str(CustomerKey(Provider(provider), row["customer_id"])) for row in rows]


_LIVING = """
    SELECT customer_id FROM services
    WHERE provider = %(provider)s AND price_id = %(price)s AND state <> 'terminated'
    UNION
    SELECT customer_id FROM subscriptions WHERE provider = %(provider)s AND prices @> ARRAY[%(price)s]::text[]
"""


async def concerned(connection: Connection, provider: str, price_id: str) -> tuple[int, str]:
    """How many customers live by a price, and the digest of them."""
    cursor = await connection.execute(
        f"SELECT count(*) AS n, {digest_of('customer_id')} AS digest FROM ({_LIVING}) AS found",
        {"provider": provider, "price": price_id},
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"]), str(row["digest"])


async def put(connection: Connection, row: dict[str, Any]) -> None:
    """Write one mapping: a new row, or the same one changed."""
    names = ", ".join(WRITTEN)
    changed = ", ".join(f"{name} = excluded.{name}" for name in WRITTEN[2:])
    await connection.execute(
        f"""
        INSERT INTO plan_mappings ({names}) VALUES ({", ".join(f"%({name})s" for name in WRITTEN)})
        ON CONFLICT (billing_provider, billing_plan_id) DO UPDATE SET {changed}, updated_at = now()
        """,
        row,
    )


async def delete(connection: Connection, provider: str, price_id: str) -> bool:
    """Take one mapping away; whether there was one."""
    cursor = await connection.execute(
        "DELETE FROM plan_mappings WHERE billing_provider = %(provider)s AND billing_plan_id = %(price)s RETURNING 1",
        {"provider": provider, "price": price_id},
    )
    return await cursor.fetchone() is not None


async def keep_preview(
    db: Database,
    actor: str,
    change: dict[str, Any],
    before: dict[str, Any] | None,
    moves: Sequence[dict[str, Any]],
    concerned: str,
) -> datetime:
    """Remember what was shown, and forget what was shown long ago; as of when."""
    row = await db.row(
        """
        WITH old AS (DELETE FROM plan_previews WHERE as_of < now() - %(kept)s::interval)
        INSERT INTO plan_previews (as_of, actor, change, before, moves, concerned)
        VALUES (clock_timestamp(), %(actor)s, %(change)s, %(before)s, %(moves)s, %(concerned)s) RETURNING as_of
        """,
        {
            "kept": PREVIEW_KEPT,
            "actor": actor,
            "change": Jsonb(change),
            "before": Jsonb(before) if before is not None else None,
            "moves": Jsonb(list(moves)),
            "concerned": concerned,
        },
    )
    assert row is not None
    found: datetime = row["as_of"]
    return found


async def preview(connection: Connection, as_of: datetime) -> Preview | None:
    """What was shown then."""
    cursor = await connection.execute(
        "SELECT as_of, change, before, moves, concerned FROM plan_previews WHERE as_of = %(as_of)s", {"as_of": as_of}
    )
    row = await cursor.fetchone()
    return Preview(**row) if row else None


async def locked(connection: Connection, provider: str, price_id: str) -> dict[str, Any] | None:
    """The row as it is, kept from changing until the transaction ends."""
    cursor = await connection.execute(
        f"SELECT {', '.join(WRITTEN)} FROM plan_mappings"
        " WHERE billing_provider = %(provider)s AND billing_plan_id = %(price)s FOR UPDATE",
        {"provider": provider, "price": price_id},
    )
    row = await cursor.fetchone()
    return None if row is None else written(row)


def written(row: Any) -> dict[str, Any]:
    """What an operator wrote of a mapping, as plain JSON."""
    found = row if isinstance(row, dict) else {name: getattr(row, name) for name in WRITTEN}
    return {name: None if found[name] is None else _plain(found[name]) for name in WRITTEN}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int) else str(value)
