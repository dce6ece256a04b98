"""Stripe's list of subscriptions, compared with what it said when each customer was last at rest."""

from __future__ import annotations

from collections.abc import Sequence

from lib.database.comparison.walk import (
    LOCKED,
    NUDGE_DIFFERING,
    SEEN,
    UNSEEN,
    WHOLE,
    as_page,
    count_seen,
    page_of,
    walked,
)
from lib.database.connection import Database
from lib.database.keys import STRIPE
from lib.database.sweeps import HELD, Sweep

_COLUMNS = {"id": "text", "customer_id": "text", "fingerprint": "text"}


async def compare_subscriptions(db: Database, sweep: Sweep, page: Sequence[tuple[str, str, str]]) -> list[str]:
    """Mark the customers due whose subscriptions (id, customer, fingerprint) differ from what we remember."""
    relisted = """
        SELECT s.customer_id FROM page
        JOIN services s ON s.provider = %(provider)s AND s.subscription_id = page.id AND s.unlisted
    """
    rows = await db.rows(
        f"""
        WITH {page_of(_COLUMNS)}, seen AS ({SEEN}), {LOCKED.format(customers=relisted)}, listed AS (
            UPDATE services s SET unlisted = false, updated_at = now() FROM page, first
            WHERE s.provider = %(provider)s AND s.subscription_id = page.id AND s.unlisted
            RETURNING s.customer_id
        ), differing AS (
            SELECT page.customer_id FROM page
            LEFT JOIN subscriptions s ON s.provider = %(provider)s AND s.subscription_id = page.id
            WHERE s.fingerprint IS DISTINCT FROM page.fingerprint
            UNION SELECT customer_id FROM listed
        ) {NUDGE_DIFFERING}
        """,
        {**walked(sweep, "subscription"), "provider": STRIPE, "page": as_page(_COLUMNS, page)},
    )
    return [row["key"] for row in rows]


async def any_subscription(db: Database) -> bool:
    """Whether we answer for any subscription."""
    row = await db.row(
        "SELECT EXISTS (SELECT FROM services WHERE provider = %(provider)s AND state <> 'terminated') AS found",
        {"provider": STRIPE},
    )
    return bool(row and row["found"])


async def missing_subscriptions(db: Database, sweep: Sweep) -> list[str]:
    """Mark the customers due of whose services Stripe listed no subscription any more, once until it does again."""
    await count_seen(db)
    rows = await db.rows(
        f"""
        WITH gone AS (
            SELECT s.provider, s.subscription_id, s.slot, s.customer_id FROM services s
            WHERE s.provider = %(provider)s AND s.state <> 'terminated' AND s.created_at < %(began)s
                AND NOT s.unlisted AND {UNSEEN.format(id="s.subscription_id")}
                AND {HELD} AND {WHOLE}
        ), {LOCKED.format(customers="SELECT customer_id FROM gone")}, differing AS (
            UPDATE services s SET unlisted = true, updated_at = now() FROM gone, first
            WHERE (s.provider, s.subscription_id, s.slot) = (gone.provider, gone.subscription_id, gone.slot)
            RETURNING s.customer_id
        ) {NUDGE_DIFFERING}
        """,
        {**walked(sweep, "subscription"), "provider": STRIPE},
    )
    return [row["key"] for row in rows]
