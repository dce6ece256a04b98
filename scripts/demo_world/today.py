"""What happened within the last hour in the populated world, by real passes: purchases, and money without Stripe.

With outgoing events, the sellers' own systems are told of it; one that is broken has a queue then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scripts.demo_world.lives import BASIC, PLANS

if TYPE_CHECKING:
    import psycopg

    from lib.bridge import Bridge
    from scripts.sim.stripe_sim import StripeSim

BOUGHT = ("Saffron Tiles", "Copper Kettle", "Maple Frames", "Indigo Prints", "Coral Yoga", "Granite Gym")
OFFLINE_PLAN, ASKED = "basic-by-transfer", 1900
TRANSFERS = {
    "Larch Cabins": ASKED, "Moss Gardens": 900, "Pine Sauna": ASKED + 600, "Reed Canoes": 0, "Sorrel Soups": 0,
}  # fmt: skip
"""Who ordered by bank transfer, and what came: all of it, a part, too much, nothing yet, nothing in time."""

LATE = "Sorrel Soups"
PATIENCE = 120.0


async def happen(stripe: StripeSim, environ: Mapping[str, str], database: psycopg.Connection[Any]) -> None:
    """Let it happen; what is told to receivers that fail goes on failing since yesterday."""
    from lib.bridge import Bridge
    from lib.config import Settings

    bridge = Bridge(Settings.load(environ))
    try:
        _buy(stripe)
        events = stripe.undelivered()
        await bridge.accept([stripe.signed(event)[0] for event in events])
        for event in events:
            stripe.mark_delivered(event)
        await _transfer(bridge, database)
        await bridge.drain(deadline=time.monotonic() + PATIENCE, workers=8)
    finally:
        await bridge.close()
    database.execute(
        "UPDATE outbox_endpoints SET failing_since = now() - interval '26 hours' WHERE failing_since IS NOT NULL"
    )


def _buy(stripe: StripeSim) -> None:
    for number, name in enumerate(BOUGHT):
        at = stripe.now() - 60 * (50 - 8 * number)
        domain = f"{name.replace(' ', '-').lower()}.example"
        field = {"key": "domain", "type": "text", "label": {"type": "custom", "custom": "Your domain"}}
        session = stripe.create_checkout(
            created=at,
            mode="subscription",
            line_items=[{"price": BASIC, "quantity": 1}],
            success_url="https://hosting.example/welcome",
            custom_fields=[field],
        )
        stripe.complete_checkout(session["id"], email=f"office@{domain}", name=name, domain=domain, created=at)


async def _transfer(bridge: Bridge, database: psycopg.Connection[Any]) -> None:
    from lib.checkout.till import Till
    from lib.database import due
    from lib.kinds import nudge
    from lib.operators import bodies, orders

    database.execute(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('bank_transfer', %s, %s) ON CONFLICT DO NOTHING",
        (OFFLINE_PLAN, PLANS[BASIC]),
    )
    till = Till(bridge.settings, bridge.db, "bank")
    for name, came in TRANSFERS.items():
        domain = f"{name.replace(' ', '-').lower()}.example"
        asked = bodies.CreateOrder(
            provider="bank_transfer",
            billing_plan_id=OFFLINE_PLAN,
            amount=ASKED,
            currency="eur",
            email=f"office@{domain}",
            name=name,
            domain=domain,
        )
        made = (await orders.create(bridge, till, asked)).order
        if came:
            money = bodies.CollectMoney(order_id=made.id, amount=came, currency="eur")
            await orders.collect(bridge, till, money, None)
        if name == LATE:
            _let_fall_due(database, made.id)
        # A sweep would find it: nobody needs a pass for an order that waits for its money.
        await due.mark(bridge.db, [nudge("customer", str(made.customer_id))])


def _let_fall_due(database: psycopg.Connection[Any], order_id: str) -> None:
    database.execute("UPDATE orders SET due_at = now() - interval '1 day' WHERE order_id = %s", (order_id,))
    database.execute(
        "INSERT INTO due (kind, key) VALUES ('offline', %s) ON CONFLICT (kind, key) DO UPDATE SET due_at = now()",
        (order_id,),
    )
