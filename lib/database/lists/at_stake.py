"""The services that a change of the policies may concern: those in trouble, by small indexes."""

from __future__ import annotations

from lib.database.connection import Database
from lib.database.tallies import LIVE
from lib.model import CustomerKey, Hold, Service, ServiceKey, ServiceState
from lib.model.provider import Provider
from lib.policy.what_if import Remembered

_CONCERNED = """
    WITH concerned AS (
        SELECT provider, subscription_id, slot FROM services WHERE state = 'live' AND grace_until IS NOT NULL
        UNION SELECT provider, subscription_id, slot FROM services WHERE holds @> ARRAY['unpaid']::text[]
        UNION SELECT provider, subscription_id, slot FROM services WHERE holds @> ARRAY['paused']::text[]
        UNION SELECT provider, subscription_id, slot FROM services WHERE holds @> ARRAY['refund']::text[]
        UNION SELECT provider, subscription_id, s.slot FROM services s
        JOIN disputes d USING (provider, subscription_id) WHERE NOT d.waived
        UNION SELECT provider, subscription_id, s.slot FROM services s
        JOIN refunds r USING (provider, subscription_id) WHERE r.charge_refunded AND NOT r.waived AND %(refunds)s
        UNION SELECT provider, subscription_id, slot FROM services
        WHERE holds @> ARRAY['ended']::text[] AND state = 'suspended' AND %(ended)s
    )
    SELECT s.customer_id, s.provider, s.subscription_id, s.slot, s.item_id, s.price_id, s.state,
        s.panel_subscription_id, s.domain, s.holds, s.unpaid_since, s.grace_until, s.grace_override, s.ended_at,
        s.retain_until, m.grace_days, (SELECT count(*) FROM concerned) AS total,
        EXISTS (SELECT FROM disputes d WHERE d.provider = s.provider AND d.customer_id = s.customer_id
            AND d.subscription_id = s.subscription_id AND NOT d.waived AND d.status = ANY(%(open)s)) AS dispute_open,
        EXISTS (SELECT FROM disputes d WHERE d.provider = s.provider AND d.customer_id = s.customer_id
            AND d.subscription_id = s.subscription_id AND NOT d.waived AND d.status = 'lost') AS dispute_lost,
        EXISTS (SELECT FROM refunds r WHERE r.provider = s.provider AND r.customer_id = s.customer_id
            AND r.subscription_id = s.subscription_id AND NOT r.waived AND r.charge_refunded) AS refunded
    FROM concerned JOIN services s USING (provider, subscription_id, slot)
    LEFT JOIN plan_mappings m ON m.billing_provider = s.provider AND m.billing_plan_id = s.price_id
    ORDER BY s.provider, s.subscription_id, s.slot LIMIT %(limit)s
"""


_COLUMNS = (
    "item_id", "price_id", "panel_subscription_id", "domain", "unpaid_since", "grace_until", "grace_override",
    "ended_at", "retain_until",
)  # fmt: skip
"""What of a service the policies look at, besides its key, state and holds."""


async def concerned(
    db: Database, open_statuses: list[str], *, ended: bool, refunds: bool, limit: int
) -> tuple[list[tuple[CustomerKey, Remembered]], int]:
    """Those services, with whose they are, and how many there are in all.

    Args:
        ended: also what has ended and is kept, of which there may be many.
        refunds: also those of which an invoice was refunded in full.
        limit: no more are read than that.
    """
    rows = await db.rows(_CONCERNED, {"open": open_statuses, "ended": ended, "refunds": refunds, "limit": limit})
    found = []
    for row in rows:
        service = Service(
            key=ServiceKey(row["subscription_id"], row["slot"]),
            state=ServiceState(row["state"]),
            holds=frozenset(Hold(hold) for hold in row["holds"]),
            **{name: row[name] for name in _COLUMNS},
        )
        more = (row["grace_days"], row["dispute_open"], row["dispute_lost"], row["refunded"])
        whom = CustomerKey(Provider(row["provider"]), row["customer_id"])
        found.append((whom, Remembered(service, *more)))
    return found, rows[0]["total"] if rows else 0


async def live(db: Database) -> int:
    """How many services run."""
    row = await db.row(f"SELECT {LIVE} AS n")
    assert row is not None
    return int(row["n"])
