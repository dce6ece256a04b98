"""What we remember of services: one row is a hosting subscription that we answer for."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from lib.database.connection import Connection, Database, Write
from lib.database.keys import whose
from lib.database.leases import Alone, held
from lib.model import CustomerKey, Hold, Memory, Service, ServiceKey, ServiceState
from lib.model.provider import Provider
from lib.model.reason import waited_for

_KEY = {"subscription_id": "text", "slot": "integer"}

_TYPES = {
    **_KEY,
    "item_id": "text",
    "price_id": "text",
    "plan": "text",
    "made_for": "jsonb",
    "state": "text",
    "panel_subscription_id": "integer",
    "panel_plan_id": "integer",
    "website_id": "uuid",
    "domain": "text",
    "domain_sought_at": "timestamptz",
    "holds": "text[]",
    "suspended_by": "uuid",
    "panel_suspended": "boolean",
    "plan_since": "timestamptz",
    "unpaid_since": "timestamptz",
    "grace_until": "timestamptz",
    "grace_override": "timestamptz",
    "amnesty": "boolean",
    "ends_at": "timestamptz",
    "ended_at": "timestamptz",
    "retain_until": "timestamptz",
    "released": "boolean",
    "adopted": "boolean",
    "waits_for": "text",
}
"""Every column that a pass writes, and its type; `_row` and `service_of` go the one way and the other."""

_DATES = ("plan_since", "unpaid_since", "grace_until", "grace_override", "ends_at", "ended_at", "retain_until")
_NOT_LINKED = frozenset({*_DATES, "amnesty", "released"})
"""What linking says nothing of: it stays as it is remembered."""


async def owner_of(db: Database, subscription_id: str) -> CustomerKey | None:
    """Whose services those of a subscription are."""
    row = await db.row(
        "SELECT provider, customer_id FROM services"
        " WHERE provider = ANY(%(anywhere)s) AND subscription_id = %(id)s LIMIT 1",
        {"anywhere": [provider.value for provider in Provider], "id": subscription_id},
    )
    return CustomerKey(Provider(row["provider"]), row["customer_id"]) if row else None


async def holders_of_domain(db: Database, domain: str) -> list[tuple[CustomerKey, bool]]:
    """For whom this domain is hosted, or is to be; and whether what they bought has ended."""
    rows = await db.rows(
        "SELECT provider, customer_id, 'ended' = ANY(holds) AS over FROM services"
        " WHERE domain COLLATE \"C\" = %(domain)s AND state <> 'terminated'",
        {"domain": domain},
    )
    return [(CustomerKey(Provider(row["provider"]), row["customer_id"]), row["over"]) for row in rows]


async def grace_of(connection: Connection, customer: CustomerKey, subscription_id: str) -> datetime | None:
    """Until when a subscription's services run although they are unpaid, where a date stands."""
    cursor = await connection.execute(
        "SELECT max(coalesce(grace_override, grace_until)) AS until FROM services"
        " WHERE provider = %(provider)s AND customer_id = %(customer)s AND subscription_id = %(id)s",
        {**whose(customer), "id": subscription_id},
    )
    row = await cursor.fetchone()
    return row["until"] if row else None


_SEEN_ANEW = """
    website_off = services.website_off AND services.website_id IS NOT DISTINCT FROM excluded.website_id,
    website_gone = services.website_gone AND services.website_id IS NOT DISTINCT FROM excluded.website_id,
    website_differs = services.website_differs
        AND (services.website_id, services.state, services.suspended_by, services.panel_suspended)
        IS NOT DISTINCT FROM (excluded.website_id, excluded.state, excluded.suspended_by, excluded.panel_suspended),
    website_plan_id = CASE WHEN services.panel_plan_id IS NOT DISTINCT FROM excluded.panel_plan_id
        THEN services.website_plan_id END
"""
"""What a sweep has seen is forgotten when a pass finds or makes something else: seen once more, it is news."""


def _write(columns: Collection[str]) -> str:
    """The statement that writes these columns of services, under a lease."""
    return f"""
        INSERT INTO services (provider, customer_id, {", ".join(columns)})
        SELECT %(provider)s, %(customer)s, {", ".join(columns)}
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS r ({", ".join(f"{c} {_TYPES[c]}" for c in columns)})
        WHERE {held()}
        ORDER BY website_id IS NOT NULL, subscription_id, slot
        ON CONFLICT (provider, subscription_id, slot) DO UPDATE SET
            {", ".join(f"{c} = excluded.{c}" for c in columns if c not in _KEY)}, updated_at = now(), {_SEEN_ANEW}
    """


def _written(memory: Memory, services: Sequence[Service], lease_id: str) -> dict[str, Any]:
    return {
        **whose(memory.key),
        "rows": json.dumps([_row(service) for service in services]),
        "lease": lease_id,
    }


_REMEMBER = _write(_TYPES)

_LINK = _write([column for column in _TYPES if column not in _NOT_LINKED]) + (
    " WHERE services.panel_subscription_id IS NULL AND services.customer_id = excluded.customer_id RETURNING 1"
)


def remembering_services(memory: Memory, services: Sequence[Service], lease_id: str) -> Write:
    """Write these services of a customer whose row exists, all of them or none, as the holder of the lease.

    A website that goes from one to another is taken from the one before it is given to the other.
    """
    return Write(_REMEMBER, _written(memory, services, lease_id))


async def link_services(alone: Alone, memory: Memory, services: Sequence[Service]) -> bool:
    """Write what these services have got in the panel; False: one of them has something else, or another owner."""
    cursor = await alone.connection.execute(_LINK, _written(memory, services, alone.lease_id))
    return len(await cursor.fetchall()) == len(services)


def _row(s: Service) -> dict[str, Any]:
    return {
        "subscription_id": s.key.subscription_id,
        "slot": s.key.slot,
        "item_id": s.item_id,
        "price_id": s.price_id,
        "plan": s.plan,
        "made_for": s.made_for or None,
        "state": s.state.value,
        "panel_subscription_id": s.panel_subscription_id,
        "panel_plan_id": s.panel_plan_id,
        "website_id": s.website_id,
        "domain": s.domain,
        "domain_sought_at": _iso(s.domain_sought_at),
        "holds": sorted(s.holds),
        "suspended_by": s.suspended_by,
        "panel_suspended": s.panel_suspended,
        "plan_since": _iso(s.plan_since),
        "unpaid_since": _iso(s.unpaid_since),
        "grace_until": _iso(s.grace_until),
        "grace_override": _iso(s.grace_override),
        "amnesty": s.amnesty and s.grace_override is not None,
        "ends_at": _iso(s.ends_at),
        "ended_at": _iso(s.ended_at),
        "retain_until": _iso(s.retain_until),
        "released": s.released,
        "adopted": s.adopted,
        "waits_for": s.wait_reason,
    }


def service_of(row: dict[str, Any]) -> Service:
    """A row of the table, as JSON, as a service."""
    return Service(
        key=ServiceKey(row["subscription_id"], row["slot"]),
        item_id=row["item_id"],
        price_id=row["price_id"],
        plan=row["plan"],
        made_for=tuple((price, quantity) for price, quantity in row["made_for"] or ()),
        state=ServiceState(row["state"]),
        panel_subscription_id=row["panel_subscription_id"],
        panel_plan_id=row["panel_plan_id"],
        website_id=row["website_id"],
        domain=row["domain"],
        domain_sought_at=read_time(row["domain_sought_at"]),
        holds=frozenset(Hold(h) for h in row["holds"]),
        suspended_by=row["suspended_by"],
        panel_suspended=row["panel_suspended"],
        plan_since=read_time(row["plan_since"]),
        unpaid_since=read_time(row["unpaid_since"]),
        grace_until=read_time(row["grace_until"]),
        grace_override=read_time(row["grace_override"]),
        amnesty=row["amnesty"],
        ends_at=read_time(row["ends_at"]),
        ended_at=read_time(row["ended_at"]),
        retain_until=read_time(row["retain_until"]),
        released=row["released"],
        adopted=row["adopted"],
        wait_reason=waited_for(row["waits_for"]),
    )


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def read_time(text: str | None) -> datetime | None:
    """A time that the database wrote into JSON."""
    return datetime.fromisoformat(text) if text else None
