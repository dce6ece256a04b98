"""Orders, payments and refunds that are not at rest and that nothing waits for: what a sweep looks at once more."""

from __future__ import annotations

from lib.database.connection import Database

PAGE = 200
"""Rows of each kind at one time."""


async def unsettled(db: Database, escrow_days: int) -> list[tuple[str, str]]:
    """(kind, key) of what nobody has looked at lately and of which no row of the queue is left; a page of each kind.

    What is looked at has a row of the queue from then on, or is at rest, or was seen just now: so the next page is
    another one, and a payment that nothing more is heard of is asked about once a day, for a month. What is held for a
    seller is among them when its quiet days are over and its own date is another one, as where `ESCROW_DAYS` changed.
    """
    rows = await db.rows(
        """
        WITH open_orders AS (
            SELECT 'order' AS kind, order_id::text AS key FROM orders
            WHERE provider = 'stripe' AND state IN ('pending', 'paying') AND updated_at < now() - interval '15 minutes'
                AND (session_id IS NOT NULL OR expires_at IS NOT NULL)
                AND NOT EXISTS (SELECT FROM due WHERE kind = 'order' AND key = order_id::text)
            ORDER BY created_at DESC LIMIT %(page)s
        ), numberless AS (
            SELECT 'payment' AS kind, p.key FROM payments, coalesce(payment_intent_id, invoice_id) AS p (key)
            WHERE state = 'succeeded' AND settled_at IS NULL AND updated_at < now() - interval '15 minutes'
                AND provider = 'stripe' AND p.key IS NOT NULL
                AND NOT EXISTS (SELECT FROM due WHERE kind = 'payment' AND key = p.key)
            LIMIT %(page)s
        ), open_payments AS (
            SELECT 'payment' AS kind, p.key FROM payments, coalesce(payment_intent_id, invoice_id) AS p (key)
            WHERE state NOT IN ('succeeded', 'canceled') AND created_at > now() - interval '30 days'
                AND updated_at < now() - interval '1 day' AND provider = 'stripe' AND p.key IS NOT NULL
                AND NOT EXISTS (SELECT FROM due WHERE kind = 'payment' AND key = p.key)
            ORDER BY created_at DESC LIMIT %(page)s
        ), unanswered AS (
            SELECT 'refund' AS kind, request_id::text AS key FROM refunds
            WHERE status = 'requested' AND created_at < now() - interval '5 minutes'
                AND NOT EXISTS (SELECT FROM due WHERE kind = 'refund' AND key = request_id::text)
            ORDER BY created_at LIMIT %(page)s
        ), twice AS (
            SELECT kind, key FROM due
            WHERE kind = 'debt' AND parked_reason IS NOT NULL AND updated_at < now() - interval '15 minutes'
            ORDER BY updated_at LIMIT %(page)s
        ), held AS (
            SELECT 'order' AS kind, order_id::text AS key FROM (
                SELECT order_id FROM orders WHERE escrow = 'held' AND provider = 'stripe'
                    AND quiet_since < now() - interval '15 minutes' - make_interval(days => %(days)s)
                UNION
                SELECT order_id FROM orders WHERE escrow IN ('held', 'releasable') AND provider = 'stripe'
                    AND seller_due IS NULL
            ) AS o WHERE NOT EXISTS (SELECT FROM due WHERE kind = 'order' AND key = order_id::text AND due_at <= now())
            LIMIT %(page)s
        )
        SELECT kind, key FROM open_orders UNION ALL SELECT kind, key FROM numberless
        UNION ALL SELECT kind, key FROM open_payments UNION ALL SELECT kind, key FROM unanswered
        UNION ALL SELECT kind, key FROM twice UNION ALL SELECT kind, key FROM held
        """,
        {"page": PAGE, "days": escrow_days},
    )
    return [(row["kind"], row["key"]) for row in rows]
