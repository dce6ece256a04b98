"""What comes for operators: who is suspended or deleted when, and what money is at stake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lib.database.lists import upcoming as lists
from lib.database.lists.upcoming import Coming
from lib.model import ServiceKey
from lib.operators.price_list import prices
from lib.operators.views.upcoming import UpcomingItem
from lib.policy.coming import at_the_end

if TYPE_CHECKING:
    from lib.bridge import Bridge


async def listing(
    bridge: Bridge, now: datetime, days: int, after: Sequence[Any] | None, limit: int
) -> tuple[list[UpcomingItem], tuple[Any, ...] | None]:
    """A page of what comes within so many days, and the key behind which the next one begins."""
    rows, key = await lists.upcoming(bridge.db, now + timedelta(days=days), after, limit)
    asked = {row.price_id for row in rows if row.owed is None and row.provider == "stripe"}
    known = await prices(bridge, asked) if asked else {}

    def item(row: Coming) -> UpcomingItem:
        at, what = row.at, row.what
        if row.why == "ends_at":
            at, what = at_the_end(row.at, row.unpaid_since, bridge.settings.policy)
        amount, currency = row.owed, row.currency
        if amount is not None:
            # One bill for all services of a subscription: it is counted once.
            amount = amount if row.first else 0
        elif price := known.get(row.price_id):
            amount, currency = price.amount, price.currency if price.amount is not None else None
        else:
            currency = None
        return UpcomingItem(
            at=at,
            what=what,
            customer_id=row.customer_id,
            email=row.email,
            subscription_id=row.subscription_id,
            service=str(ServiceKey(row.subscription_id, row.slot)),
            domain=row.domain,
            reason=row.reason,
            amount=amount,
            currency=currency,
        )

    return sorted((item(row) for row in rows), key=lambda item: item.at), key
