"""What is remembered of orders that were paid and have never run: what paid them, and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from lib.database.connection import Database
from lib.database.keys import as_text
from lib.database.lists.orders import MEANS_HOSTING, NOT_LIVE
from lib.policy.not_live import Stands


class NotLive(Struct, frozen=True):
    """One of these orders."""

    stands: Stands
    email: str | None
    """Of its customer."""
    invoice_id: str | None
    payment_intent_id: str | None
    """What paid it last."""


_READ = f"""
    WITH theirs AS (
        SELECT *, {as_text()} AS customer_key,
            coalesce(subscription_id, 'off_' || replace(line_id::text, '-', '')) AS subscription
        FROM orders WHERE order_id = ANY(%(ids)s::uuid[]) AND {NOT_LIVE} AND {MEANS_HOSTING}
    )
    SELECT o.order_id::text AS id, CASE WHEN o.customer_id IS NOT NULL THEN o.customer_key END AS customer,
        o.billing_plan_id AS price, o.subscription, c.email, p.invoice_id, p.payment_intent_id,
        CASE WHEN d.key IS NULL THEN NULL WHEN d.leased_until > statement_timestamp() THEN 'working'
            WHEN d.parked_reason IS NOT NULL THEN 'parked'
            WHEN d.due_at <= statement_timestamp() THEN 'due' ELSE 'waiting' END AS state,
        d.due_at, d.parked_reason AS parked, d.waits_for, d.last_error AS error, coalesce(d.problems, '[]') AS problems,
        own.parked_reason AS order_parked, own.last_error AS order_error,
        coalesce(s.states, '{{}}') AS services, s.waits AS service_waits, coalesce(s.holds, '{{}}') AS holds
    FROM theirs o
    LEFT JOIN customers c ON c.provider = o.provider AND c.customer_id = o.customer_id
    LEFT JOIN due d ON d.kind = 'customer' AND d.key = o.customer_key
    LEFT JOIN due own ON own.kind = 'order' AND own.key = o.order_id::text
    LEFT JOIN LATERAL (
        SELECT invoice_id, payment_intent_id FROM payments
        WHERE order_id = o.order_id AND state = 'succeeded' ORDER BY paid_at DESC NULLS LAST, attempt DESC LIMIT 1
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(state ORDER BY slot) AS states, min(waits_for) AS waits,
            (SELECT array_agg(DISTINCT hold ORDER BY hold) FROM services h, unnest(h.holds) AS hold
                WHERE h.provider = o.provider AND h.subscription_id = o.subscription) AS holds
        FROM services WHERE provider = o.provider AND subscription_id = o.subscription
    ) s ON true
"""


async def read(db: Database, order_ids: Sequence[str]) -> dict[str, NotLive]:
    """Those of these orders that are so, by their ids."""
    if not order_ids:
        return {}
    rows = await db.rows(_READ, {"ids": list(order_ids)})
    return {row["id"]: _one(row) for row in rows}


def _one(row: dict[str, Any]) -> NotLive:
    of_order = {"id", "email", "invoice_id", "payment_intent_id"}
    stands = Stands(**{name: value for name, value in row.items() if name not in of_order})
    return NotLive(stands, row["email"], row["invoice_id"], row["payment_intent_id"])
