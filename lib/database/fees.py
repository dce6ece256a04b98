"""The operator's fee rules. They are written as plain SQL and never changed; here they are read."""

from __future__ import annotations

from datetime import datetime

from lib.database.connection import Database
from lib.model.money import FeeKind, FeeRule
from lib.model.provider import Provider


async def rules(
    db: Database, currency: str, *, provider: Provider, billing_plan_id: str | None, at: datetime
) -> list[FeeRule]:
    """Every rule that could hold for an order that starts at this time; `policy.fees` chooses among them."""
    found = await db.rows(
        """
        SELECT id, kind, version, percent, fixed, valid_from, minimum, maximum, currency, provider, billing_plan_id
        FROM fee_rules
        WHERE valid_from <= %(at)s AND coalesce(currency, %(currency)s) = %(currency)s
            AND coalesce(provider, %(provider)s) = %(provider)s
            AND (billing_plan_id IS NULL OR billing_plan_id = %(plan)s)
        ORDER BY id
        """,
        {"at": at, "currency": currency, "provider": provider, "plan": billing_plan_id},
    )
    return [
        FeeRule(
            **{**row, "kind": FeeKind(row["kind"]), "provider": Provider(row["provider"]) if row["provider"] else None}
        )
        for row in found
    ]
