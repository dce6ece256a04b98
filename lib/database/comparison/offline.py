"""Lines of offline orders, compared with what they said when each customer was last at rest."""

from __future__ import annotations

from collections.abc import Sequence

from lib.database.comparison.walk import NUDGE_DIFFERING, walked
from lib.database.connection import Database
from lib.database.sweeps import HELD, Sweep
from lib.model import CustomerKey


async def compare_lines(db: Database, sweep: Sweep, page: Sequence[tuple[str, CustomerKey, str]]) -> list[str]:
    """Mark the customers due whose lines (name, customer, fingerprint) differ from what we remember."""
    rows = await db.rows(
        f"""
        WITH page AS (
            SELECT * FROM unnest(%(ids)s::text[], %(providers)s::text[], %(customers)s::text[], %(prints)s::text[])
                AS p (id, provider, customer_id, fingerprint)
            WHERE {HELD}
        ), differing AS (
            SELECT page.customer_id FROM page
            LEFT JOIN subscriptions s ON s.provider = page.provider AND s.subscription_id = page.id
            WHERE s.fingerprint IS DISTINCT FROM page.fingerprint
        ) {NUDGE_DIFFERING}
        """,
        {
            **walked(sweep, "offline"),
            "ids": [name for name, _, _ in page],
            "providers": [customer.provider.value for _, customer, _ in page],
            "customers": [str(customer) for _, customer, _ in page],
            "prints": [fingerprint for _, _, fingerprint in page],
        },
    )
    return [row["key"] for row in rows]
