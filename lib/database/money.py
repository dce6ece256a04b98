"""Disputes and refunds as Stripe last said, by the subscription whose money they concern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from lib.database.connection import Database
from lib.model import Dispute, Refund


async def remember_dispute(db: Database, dispute: Dispute, *, provider: str = "stripe") -> str | None:
    """Write the dispute; the status it had before, `None` for a new one."""
    row = await db.row(
        """
        WITH before AS (
            SELECT status FROM disputes WHERE provider = %(provider)s AND dispute_id = %(dispute_id)s
        ), written AS (
            INSERT INTO disputes (provider, dispute_id, customer_id, subscription_id, charge_id, status, reason, amount,
                currency, created_at)
            VALUES (%(provider)s, %(dispute_id)s, %(customer_id)s, %(subscription_id)s, %(charge_id)s, %(status)s,
                %(reason)s, %(amount)s, %(currency)s, %(created_at)s)
            ON CONFLICT (provider, dispute_id) DO UPDATE SET
                status = excluded.status, reason = excluded.reason, amount = excluded.amount, updated_at = now(),
                customer_id = coalesce(excluded.customer_id, disputes.customer_id),
                subscription_id = coalesce(excluded.subscription_id, disputes.subscription_id)
        )
        SELECT (SELECT status FROM before) AS status
        """,
        {"provider": provider, **asdict(dispute)},
    )
    return row["status"] if row else None


async def remember_refunds(db: Database, refunds: Sequence[Refund], *, provider: str = "stripe") -> None:
    """Write every refund of one charge; all of them follow the charge's own word on whether it is refunded in full."""
    for refund in refunds:
        await db.rows(
            """
            INSERT INTO refunds (provider, refund_id, customer_id, subscription_id, invoice_id, charge_id, status,
                amount, currency, charge_refunded, created_at)
            VALUES (%(provider)s, %(refund_id)s, %(customer_id)s, %(subscription_id)s, %(invoice_id)s, %(charge_id)s,
                %(status)s, %(amount)s, %(currency)s, %(charge_refunded)s, %(created_at)s)
            ON CONFLICT (provider, refund_id) DO UPDATE SET
                status = excluded.status, amount = excluded.amount, charge_refunded = excluded.charge_refunded,
                customer_id = coalesce(excluded.customer_id, refunds.customer_id),
                subscription_id = coalesce(excluded.subscription_id, refunds.subscription_id),
                invoice_id = coalesce(excluded.invoice_id, refunds.invoice_id), updated_at = now()
            """,
            {"provider": provider, **asdict(refund)},
        )


async def changed_disputes(db: Database, statuses: dict[str, str], *, provider: str = "stripe") -> list[str]:
    """Which of these disputes (id -> status) we remember otherwise, or not at all."""
    rows = await db.rows(
        """
        SELECT f.id FROM unnest(%(ids)s::text[], %(statuses)s::text[]) AS f (id, status)
        LEFT JOIN disputes d ON d.provider = %(provider)s AND d.dispute_id = f.id
        WHERE d.status IS DISTINCT FROM f.status
        """,
        {"provider": provider, "ids": list(statuses), "statuses": list(statuses.values())},
    )
    return [row["id"] for row in rows]


async def changed_refunds(db: Database, statuses: dict[str, str], *, provider: str = "stripe") -> list[str]:
    """Which of these refunds (id -> status) we remember otherwise, or not at all."""
    rows = await db.rows(
        """
        SELECT f.id FROM unnest(%(ids)s::text[], %(statuses)s::text[]) AS f (id, status)
        LEFT JOIN refunds r ON r.provider = %(provider)s AND r.refund_id = f.id
        WHERE r.status IS DISTINCT FROM f.status
        """,
        {"provider": provider, "ids": list(statuses), "statuses": list(statuses.values())},
    )
    return [row["id"] for row in rows]


async def open_disputes(db: Database, before: datetime, *, provider: str = "stripe") -> list[str]:
    """Those that began before this time and were not decided when we last asked."""
    rows = await db.rows(
        "SELECT dispute_id FROM disputes WHERE provider = %(provider)s AND created_at < %(before)s AND NOT waived"
        " AND status NOT IN ('won', 'lost', 'prevented', 'warning_closed')",
        {"provider": provider, "before": before},
    )
    return [row["dispute_id"] for row in rows]


async def open_refunds(db: Database, before: datetime, *, provider: str = "stripe") -> list[str]:
    """Those that began before this time and had neither succeeded nor failed when we last asked."""
    rows = await db.rows(
        "SELECT refund_id FROM refunds WHERE provider = %(provider)s AND created_at < %(before)s AND NOT waived"
        " AND status NOT IN ('succeeded', 'failed', 'canceled')",
        {"provider": provider, "before": before},
    )
    return [row["refund_id"] for row in rows]
