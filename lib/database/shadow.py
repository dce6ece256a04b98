"""What shadow mode would do, kept for each customer until it is done or no longer wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from lib.database import due
from lib.database.connection import Database
from lib.database.keys import as_text, whose
from lib.model import CustomerKey, Priority


async def remember(db: Database, customer: CustomerKey, actions: Sequence[dict[str, Any]]) -> bool:
    """Write what would be done to this customer; whether it differs from what was written before."""
    if not actions:
        gone = await db.rows(
            "DELETE FROM shadow_plans WHERE provider = %(provider)s AND customer_id = %(customer)s RETURNING 1",
            whose(customer),
        )
        return bool(gone)
    row = await db.row(
        """
        INSERT INTO shadow_plans (provider, customer_id, actions) VALUES (%(provider)s, %(customer)s, %(actions)s)
        ON CONFLICT (provider, customer_id) DO UPDATE SET actions = excluded.actions, planned_at = now()
            WHERE shadow_plans.actions IS DISTINCT FROM excluded.actions
        RETURNING 1
        """,
        {**whose(customer), "actions": Jsonb(list(actions))},
    )
    return row is not None


async def go_live(db: Database) -> int:
    """Make everybody due for whom shadow mode had plans, and forget the plans; how many."""
    rows = await db.rows(
        f"""
        WITH planned AS (DELETE FROM shadow_plans RETURNING {as_text()} AS key)
        INSERT INTO due (kind, key, priority)
        SELECT 'customer', key, {Priority.ROUTINE.value} FROM planned ORDER BY key
        {due.NUDGE} RETURNING 1
        """
    )
    return len(rows)
