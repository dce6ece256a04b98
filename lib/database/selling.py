"""What is asked of our own records before something is sold, and what a buyer is told of it afterwards."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from lib.database.connection import Database
from lib.database.plans import MappingRow, mapping


class Holder(Struct, frozen=True):
    """A service that has a domain, or is to have it."""

    customer_id: str
    ended: bool
    """Its hosting is only kept."""
    made: bool
    """Its website exists."""


async def price(db: Database, price_id: str) -> MappingRow | None:
    """What a Stripe price means here; `None`: nothing."""
    return await mapping(db, "stripe", price_id)


async def prices_of(db: Database, plan: str) -> list[str]:
    """The Stripe prices that buy a panel plan, as the mappings spell it."""
    rows = await db.rows(
        "SELECT billing_plan_id FROM plan_mappings WHERE billing_provider = 'stripe' AND kind = 'service'"
        " AND lower(enhance_plan_id) = lower(%(plan)s) ORDER BY billing_plan_id",
        {"plan": plan},
    )
    return [row["billing_plan_id"] for row in rows]


async def holders_of(db: Database, domain: str) -> list[Holder]:
    """Every service that is not gone and has this domain."""
    rows = await db.rows(
        "SELECT customer_id, 'ended' = ANY(holds) AS ended, website_id IS NOT NULL AS made FROM services"
        " WHERE domain = %(domain)s AND state <> 'terminated'",
        {"domain": domain},
    )
    return [Holder(**row) for row in rows]


async def sold(db: Database, domain: str, *, since: datetime, livemode: bool) -> dict[str, str | None]:
    """Orders that are being paid for this domain, or were paid since a time and are being provisioned, by whom."""
    rows = await db.rows(
        "SELECT order_id::text AS id, buyer FROM orders WHERE domain = %(domain)s AND livemode = %(livemode)s"
        " AND (state = 'paying' OR (state = 'paid' AND paid_at >= %(since)s))",
        {"domain": domain, "livemode": livemode, "since": since},
    )
    return {row["id"]: row["buyer"] for row in rows}


class Made(Struct, frozen=True):
    """How far a bought service has come."""

    state: str
    domain: str | None
    website: bool
    account: bool
    login: bool


async def made_for(db: Database, subscription_id: str) -> list[Made]:
    """The services of a Stripe subscription, in their order."""
    rows = await db.rows(
        """
        SELECT s.state, s.domain, s.website_id IS NOT NULL AS website, c.org_id IS NOT NULL AS account,
            c.member_id IS NOT NULL AS login
        FROM services s JOIN customers c USING (provider, customer_id)
        WHERE s.provider = 'stripe' AND s.subscription_id = %(id)s ORDER BY s.slot
        """,
        {"id": subscription_id},
    )
    return [Made(**row) for row in rows]
