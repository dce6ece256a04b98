"""Disputes as a list, also those whose payment belongs to no order that is kept: the open ones by when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.database.connection import Database
from lib.database.keys import STRIPE, whose
from lib.model import CustomerKey
from lib.policy.disputes import ANSWER, OVER

_OVER = "('" + "', '".join(OVER) + "')"
OPEN = f"status NOT IN {_OVER}"
"""What a dispute is of which Stripe has not said the last word; written as the index has it."""
_ANSWER = "('" + "', '".join(ANSWER) + "')"
TO_ANSWER = f"closed_at IS NULL AND due_by IS NOT NULL AND status IN {_ANSWER}"
"""What a dispute is that waits for the operator's answer; written as the index has it."""

_PAGE = {
    False: f"""
        SELECT *, coalesce(due_by, 'infinity'::timestamptz) AS place FROM disputes WHERE {OPEN} {{where}} {{behind}}
        ORDER BY coalesce(due_by, 'infinity'::timestamptz), dispute_id LIMIT %(limit)s
    """,
    True: f"""
        SELECT *, created_at AS place FROM disputes WHERE status IN {_OVER} {{where}} {{behind}}
        ORDER BY created_at DESC, dispute_id DESC LIMIT %(limit)s
    """,
}
_BEHIND = {
    False: "AND (coalesce(due_by, 'infinity'::timestamptz), dispute_id) > (%(after0)s::timestamptz, %(after1)s)",
    True: "AND (created_at, dispute_id) < (%(after0)s::timestamptz, %(after1)s)",
}
_ROWS = """
    SELECT d.dispute_id, d.status, d.reason, d.network_reason, d.amount, d.currency, d.created_at, d.due_by,
        d.closed_at, d.has_evidence, d.waived, d.withdrawn, d.fee, d.customer_id, d.subscription_id, d.charge_id,
        d.payment_intent_id, d.payment_id::text AS payment_id, d.order_id::text AS order_id,
        coalesce(o.email, c.email) AS email, coalesce(o.name, c.name) AS name, d.place::text AS place
    FROM page d
    LEFT JOIN orders o ON o.order_id = d.order_id
    LEFT JOIN customers c ON c.provider = d.provider AND c.customer_id = d.customer_id
    ORDER BY d.place {direction}, d.dispute_id {direction}
"""


class DisputeRow(Struct, frozen=True):
    """A dispute as Stripe last told it, and whom and what it is about, as far as that is known."""

    dispute_id: str
    status: str
    reason: str | None
    network_reason: str | None
    amount: int
    currency: str
    created_at: datetime
    due_by: datetime | None
    closed_at: datetime | None
    has_evidence: bool | None
    waived: bool
    withdrawn: int | None
    fee: int | None
    customer_id: str | None
    subscription_id: str | None
    charge_id: str | None
    payment_intent_id: str | None
    payment_id: str | None
    order_id: str | None
    email: str | None
    name: str | None
    place: str
    """By what it is put in order."""


async def listing(
    db: Database, *, over: bool, customer: CustomerKey | None, after: Sequence[Any] | None, limit: int
) -> tuple[list[DisputeRow], tuple[Any, ...] | None]:
    """A page of the disputes that are open, the next one due first; or of those that are over, newest first.

    Args:
        after: the key of the last row of the page before, as this returned it.
    """
    about = whose(customer) if customer is not None else {"provider": STRIPE, "customer": None}
    where = "AND provider = %(provider)s" + (" AND customer_id = %(customer)s" if customer is not None else "")
    page = _PAGE[over].format(where=where, behind=_BEHIND[over] if after else "")
    rows = await db.rows(
        f"WITH page AS MATERIALIZED ({page}) " + _ROWS.format(direction="DESC" if over else ""),
        {**about, "limit": limit + 1, **{f"after{n}": value for n, value in enumerate(after or ())}},
    )
    found = [DisputeRow(**row) for row in rows]
    shown = found[:limit]
    return shown, (shown[-1].place, shown[-1].dispute_id) if len(found) > limit else None
