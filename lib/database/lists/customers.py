"""Customers as a list: newest first, by e-mail, or those who own services in some state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from lib.database.connection import Database
from lib.database.keys import as_text, id_in, provider_in
from lib.database.lists.like import prefix
from lib.model import CustomerKey
from lib.model.provider import Provider

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Order = Literal["newest", "email", "name", "domain", "id", "parked", "hold", "state"]


class CustomerFilter(Struct, frozen=True):
    """Which customers; what is `None` is not asked for. Texts match from their beginning, in any case."""

    email: str | None = None
    name: str | None = None
    domain: str | None = None
    id: str | None = None
    """Of the customer, of one of their subscriptions, or of their organisation in the panel."""
    reason: str | None = None
    """Who is parked for this reason."""
    hold: str | None = None
    """Who has a service with this hold."""
    state: str | None = None
    """Who has a service in this state."""

    @property
    def order(self) -> Order:
        """The order of the list: that of the index which finds the fewest rows for this filter."""
        orders: tuple[tuple[object, Order], ...] = (
            (self.id, "id"), (self.email, "email"), (self.domain, "domain"), (self.name, "name"),
            (self.reason, "parked"), (self.hold, "hold"), (self.state, "state"),
        )  # fmt: skip
        return next((order for part, order in orders if part is not None), "newest")

    @property
    def key_types(self) -> tuple[type, ...]:
        """Of what the key consists that a page begins behind."""
        return tuple(datetime if column == "created_at" else str for column in _RANGES[self.order].key)


class CustomerRow(Struct, frozen=True):
    """A customer and how their services stand."""

    provider: str
    customer_id: str
    email: str | None
    name: str | None
    org_id: str | None
    created_at: datetime
    erased: bool
    states: dict[str, int]
    """Service state -> how many."""
    holds: list[str]
    domains: list[str]
    parked_reason: str | None
    last_error: str | None
    due_at: datetime | None

    @property
    def key(self) -> str:
        """The text of their key, by which everything asks for them."""
        return str(CustomerKey(Provider(self.provider), self.customer_id))


_ROW = f"""
    SELECT c.provider, c.customer_id, c.email, c.name, c.org_id::text AS org_id, c.created_at,
        c.erased_at IS NOT NULL AS erased, s.states, s.holds, s.domains, d.parked_reason, d.last_error,
        d.due_at, picked.*
    FROM picked
    JOIN customers c USING (provider, customer_id)
    LEFT JOIN due d ON d.kind = 'customer' AND d.key = {as_text("c.")}
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(state, n), '{{}}') AS states,
            coalesce((SELECT array_agg(DISTINCT h) FROM services o, unnest(o.holds) AS h
                WHERE (o.provider, o.customer_id) = (c.provider, c.customer_id)), '{{}}') AS holds,
            coalesce((SELECT array_agg(DISTINCT o.domain) FROM services o
                WHERE (o.provider, o.customer_id) = (c.provider, c.customer_id) AND o.domain IS NOT NULL), '{{}}')
                AS domains
        FROM (SELECT state, count(*) AS n FROM services o
            WHERE (o.provider, o.customer_id) = (c.provider, c.customer_id) GROUP BY state) AS counted
    ) AS s
"""


class _Range(Struct, frozen=True):
    """A range of one index: what it begins behind, and in which direction it is read."""

    key: tuple[str, ...]
    """Its columns, as they stand in the statement; those of the customer last, or the key of the queue."""
    rows: str
    """Whose rows, up to the condition."""
    condition: str
    descending: bool = False

    @property
    def columns(self) -> int:
        return len(self.key)

    def owner(self, key: Sequence[str]) -> tuple[str, str]:
        """Provider and customer of a row, from its key."""
        if self.rows == "due":
            return provider_in(key[-1]), id_in(key[-1])
        return key[-2], key[-1]


_OWNER = ("provider", "customer_id")
_RANGES: dict[Order, _Range] = {
    "newest": _Range(("created_at", *_OWNER), "customers", "true", descending=True),
    "email": _Range(('lower(email) COLLATE "C"', *_OWNER), "customers", 'lower(email) COLLATE "C" LIKE %(email)s'),
    "name": _Range(('lower(name) COLLATE "C"', *_OWNER), "customers", 'lower(name) COLLATE "C" LIKE %(name)s'),
    "domain": _Range(('domain COLLATE "C"', *_OWNER), "services", 'domain COLLATE "C" LIKE %(domain)s'),
    "id": _Range(
        _OWNER,
        "customers",
        "(provider, customer_id) IN ("
        " SELECT provider, customer_id FROM customers WHERE provider = ANY(%(providers)s) AND customer_id = %(id)s"
        " UNION SELECT provider, customer_id FROM customers WHERE org_id = %(org)s::uuid"
        " UNION SELECT provider, customer_id FROM services"
        " WHERE provider = ANY(%(providers)s) AND subscription_id = %(id)s)",
    ),
    "parked": _Range(("key",), "due", "kind = 'customer' AND parked_reason = %(reason)s"),
    "hold": _Range(_OWNER, "services", "holds @> ARRAY[%(hold)s]::text[]"),
    "state": _Range(_OWNER, "services", "state = %(state)s"),
}


async def customers(
    db: Database, found: CustomerFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[CustomerRow], tuple[Any, ...] | None]:
    """A page of customers, and the key of its last row when there are more.

    Args:
        after: the key of the last row of the page before, as this returned it.
    """
    span = _RANGES[found.order]
    direction = "DESC" if span.descending else "ASC"
    ordered = ", ".join(f"k{place} {direction}" for place in range(span.columns))
    named = ", ".join(f"{column} AS k{place}" for place, column in enumerate(span.key))
    behind = f"AND ({', '.join(span.key)}) {'<' if span.descending else '>'} ({_places(span)})" if after else ""
    provider, customer = span.owner([f"k{place}" for place in range(span.columns)])
    rows = await db.rows(
        f"""
        WITH picked AS MATERIALIZED (
            SELECT {provider} AS provider, {customer} AS customer_id, keys.* FROM (
                SELECT DISTINCT {named} FROM {span.rows} WHERE {span.condition} {behind}{_also(found, span)}
                ORDER BY {ordered} LIMIT %(limit)s
            ) AS keys
        )
        {_ROW} ORDER BY {ordered}
        """,
        _parameters(found, after, limit),
    )
    keys = [tuple(row.pop(f"k{place}") for place in range(span.columns)) for row in rows]
    page = [CustomerRow(**row) for row in rows[:limit]]
    return page, keys[limit - 1] if len(rows) > limit else None


def _parameters(found: CustomerFilter, after: Sequence[Any] | None, limit: int) -> dict[str, Any]:
    return {
        "email": _prefix(found.email),
        "name": _prefix(found.name),
        "domain": _prefix(found.domain),
        "id": found.id,
        "org": found.id if found.id and _UUID.fullmatch(found.id) else None,
        "providers": [provider.value for provider in Provider],
        "state": found.state,
        "hold": found.hold,
        "reason": found.reason,
        "limit": limit + 1,
        **{f"after{place}": value for place, value in enumerate(after or ())},
    }


def _places(span: _Range) -> str:
    return ", ".join(f"%(after{place})s" for place in range(span.columns))


def _also(found: CustomerFilter, span: _Range) -> str:
    """What else is asked for besides the range that the list is read by: looked up for each of its rows."""
    parts = []
    provider, customer = span.owner([f"{span.rows}.{column}" for column in span.key])
    theirs = f"SELECT FROM customers a WHERE a.provider = {provider} AND a.customer_id = {customer}"
    services = f"SELECT FROM services a WHERE a.provider = {provider} AND a.customer_id = {customer}"
    waiting = f"SELECT FROM due a WHERE a.kind = 'customer' AND a.key = {as_text(f'{span.rows}.')}"
    wanted: tuple[tuple[object, Order, str], ...] = (
        (found.email, "email", theirs + ' AND lower(a.email) COLLATE "C" LIKE %(email)s'),
        (found.name, "name", theirs + ' AND lower(a.name) COLLATE "C" LIKE %(name)s'),
        (found.domain, "domain", services + ' AND a.domain COLLATE "C" LIKE %(domain)s'),
        (found.hold, "hold", services + " AND a.holds @> ARRAY[%(hold)s]::text[]"),
        (found.state, "state", services + " AND a.state = %(state)s"),
        (found.reason, "parked", waiting + " AND a.parked_reason = %(reason)s"),
    )
    for part, order, look in wanted:
        if part is not None and order != found.order:
            parts.append(f" AND EXISTS ({look})")
    return "".join(parts)


def _prefix(text: str | None) -> str | None:
    return None if text is None else prefix(text.lower())
