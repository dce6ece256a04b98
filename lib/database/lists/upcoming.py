"""What happens next by the clock alone: suspensions and deletions in the order of their dates.

Each service once: by the end of its grace or by that of its subscription, whichever comes first (see `policy.coming`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from lib.database.connection import Database
from lib.database.keys import as_text


class Coming(Struct, frozen=True):
    """One service that is suspended or deleted at a date, unless money comes before."""

    at: datetime
    """The date that is remembered; that of an end may be moved to the operator's hours."""
    what: Literal["suspend", "delete"]
    customer_id: str
    provider: str
    email: str | None
    subscription_id: str
    slot: int
    domain: str | None
    price_id: str
    why: str
    """Which of the service's dates it is."""
    unpaid_since: datetime | None
    reason: str | None
    """`ending` where it was cancelled for that date; else what the pass waits for until then."""
    first: bool
    """The first service of its subscription: what the subscription owes is counted with it."""
    owed: int | None
    """Of a suspension: what is open of its subscription, as far as orders and payments are kept."""
    currency: str | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What a page begins behind."""
        return self.at.isoformat(), self.subscription_id, self.slot, self.why


_BEHIND = " AND ({date}, subscription_id, slot, '{date}') > (%(at)s::timestamptz, %(subscription)s, %(slot)s, %(why)s)"

_ONE = """
    (SELECT {date} AS at, '{what}' AS what, '{date}' AS why, s.* FROM services s
     WHERE state = '{state}' AND {date} IS NOT NULL AND {date} < %(until)s{first}{behind}
     ORDER BY {date}, subscription_id, slot LIMIT %(limit)s)
"""

_OWED = """
    (SELECT DISTINCT ON (p.invoice_id) p.amount, p.currency FROM orders o JOIN payments p USING (order_id)
    WHERE n.provider = 'stripe' AND o.subscription_id = n.subscription_id AND p.invoice_id IS NOT NULL
        AND p.state NOT IN ('succeeded', 'canceled') AND p.created_at > n.unpaid_since - interval '3 days'
        AND NOT EXISTS (SELECT FROM payments b WHERE b.invoice_id = p.invoice_id AND b.state = 'succeeded')
    ORDER BY p.invoice_id, p.created_at DESC)
    UNION ALL
    SELECT o.amount - o.collected + o.returned, o.currency FROM orders o
    WHERE n.subscription_id ~ '^off_[0-9a-f]{32}$' AND o.state IN ('pending', 'paying')
        AND o.line_id = (CASE WHEN n.subscription_id ~ '^off_[0-9a-f]{32}$' THEN substr(n.subscription_id, 5) END)::uuid
"""

_PAGE = """
    WITH next AS MATERIALIZED (
        SELECT * FROM ({grace} UNION ALL {ends} UNION ALL {retention}) AS either
        ORDER BY at, subscription_id, slot, why LIMIT %(limit)s
    )
    SELECT n.at, n.what, {customer} AS customer_id, n.provider, c.email, n.subscription_id, n.slot, n.domain,
        n.price_id, n.why, n.unpaid_since, CASE WHEN n.why = 'ends_at' THEN 'ending' ELSE d.waits_for END AS reason,
        NOT EXISTS (SELECT FROM services b WHERE b.provider = n.provider AND b.subscription_id = n.subscription_id
            AND b.slot < n.slot AND b.state = n.state AND b.grace_until IS NOT NULL) AS first,
        CASE WHEN o.currencies = 1 THEN o.owed END::bigint AS owed, o.currency
    FROM next n
    JOIN customers c ON c.provider = n.provider AND c.customer_id = n.customer_id
    LEFT JOIN due d ON d.kind = 'customer' AND d.key = {customer}
    LEFT JOIN LATERAL (
        SELECT sum(amount) AS owed, min(currency) AS currency, count(DISTINCT currency) AS currencies FROM ({owed}) AS q
    ) AS o ON n.why = 'grace_until' OR n.why = 'ends_at' AND n.unpaid_since IS NOT NULL
    ORDER BY n.at, n.subscription_id, n.slot, n.why
"""


async def upcoming(
    db: Database, until: datetime, after: Sequence[Any] | None, limit: int
) -> tuple[list[Coming], tuple[Any, ...] | None]:
    """A page of what comes before a date, and the key of its last row when there are more.

    What is overdue (the brake is on, nothing runs) comes first. A range of one index for each kind.

    Args:
        after: the key of the last row of the page before.
    """
    parts = {
        name: _ONE.format(
            date=date, what=what, state=state, first=first, behind=_BEHIND.format(date=date) if after else ""
        )
        for name, date, what, state, first in (
            ("grace", "grace_until", "suspend", "live", " AND (ends_at IS NULL OR grace_until <= ends_at)"),
            ("ends", "ends_at", "suspend", "live", " AND (grace_until IS NULL OR ends_at < grace_until)"),
            ("retention", "retain_until", "delete", "suspended", ""),
        )
    }
    values: dict[str, Any] = {"until": until, "limit": limit + 1}
    if after is not None:
        values |= dict(zip(("at", "subscription", "slot", "why"), after, strict=True))
    rows = await db.rows(_PAGE.format(**parts, customer=as_text("n."), owed=_OWED), values)
    page = [Coming(**row) for row in rows[:limit]]
    return page, page[-1].key if len(rows) > limit else None
