"""What Stripe said of subscriptions when their customer was last at rest."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Struct

from lib.database.connection import Write
from lib.database.keys import whose
from lib.database.leases import held
from lib.model import Memory, Subscription


class Said(Struct, frozen=True):
    """What Stripe says of a subscription now that its customer is at rest."""

    subscription: Subscription
    fingerprint: str
    closed: bool
    """It has ended, and no invoice of it can be paid any more."""

    def is_news(self, memory: Memory) -> bool:
        """Whether it is something else than what is remembered."""
        closed = self.subscription.id in memory.closed
        return memory.fingerprints.get(self.subscription.id) != self.fingerprint or self.closed is not closed


def remembering_said(memory: Memory, said: Sequence[Said], lease_id: str) -> Write:
    """Write what Stripe says of these subscriptions, as the holder of the lease."""
    rows = [
        {
            "id": s.subscription.id,
            "fingerprint": s.fingerprint,
            "prices": sorted({item.price_id for item in s.subscription.items}),
            "quantity": max((item.quantity for item in s.subscription.items), default=0),
            "closed": s.closed,
        }
        for s in said
    ]
    return Write(
        f"""
        INSERT INTO subscriptions (provider, subscription_id, customer_id, fingerprint, prices, quantity, closed)
        SELECT %(provider)s, id, %(customer)s, fingerprint, prices, quantity, closed
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS f (
            id text, fingerprint text, prices text[], quantity bigint, closed boolean)
        WHERE {held()} ORDER BY id
        ON CONFLICT (provider, subscription_id) DO UPDATE SET fingerprint = excluded.fingerprint,
            prices = excluded.prices, quantity = excluded.quantity, closed = excluded.closed,
            customer_id = excluded.customer_id, updated_at = now()
        """,
        {
            **whose(memory.key),
            "rows": json.dumps(rows),
            "lease": lease_id,
        },
    )
