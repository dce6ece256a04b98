"""An operator's side of offline money, for tests: what they sell, what comes in, and the time that passes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from lib.bridge import Bridge
from lib.checkout import collecting, offline
from lib.checkout.collecting import Money
from lib.checkout.offline import Sale
from lib.checkout.till import Done, Till
from lib.model.money import Order
from lib.model.provider import Provider
from tests.world import BASIC, World

PLAN = "basic-yearly"
TRANSFER = Provider.BANK_TRANSFER


def sell(world: World, plan: str = PLAN, provider: Provider = TRANSFER, panel_plan: str = BASIC) -> None:
    """Type the mapping of an offline plan the way an operator does."""
    world.sql(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES (%s, %s, %s)",
        provider.value,
        plan,
        panel_plan,
    )


def sale(**others: Any) -> Sale:
    """What somebody orders by telephone."""
    asked: dict[str, Any] = {
        "provider": TRANSFER,
        "plan": PLAN,
        "amount": 1900,
        "currency": "eur",
        "email": "ada@example.com",
        "name": "Ada Example",
        "domain": "shop.example",
    }
    return Sale(**{**asked, **others})


@asynccontextmanager
async def counter(world: World, key: str | None = None, actor: str = "anna") -> AsyncIterator[tuple[Bridge, Till]]:
    """A fresh process and somebody in front of it."""
    async with world.bridge() as bridge:
        yield bridge, Till(bridge.settings, bridge.db, actor, key)


async def order(world: World, key: str | None = None, **others: Any) -> Order:
    """Write an order down in a fresh process."""
    async with counter(world, key) as (_, till):
        return (await offline.create(till, sale(**others))).order


async def came(world: World, of: Order, amount: int, key: str | None = None, **others: Any) -> Done:
    """Take money in, in a fresh process."""
    async with counter(world, key) as (bridge, till):
        return await collecting.collect(till, of.id, Money(amount, "eur", **others), bridge.stripe)


def past(world: World, days: float) -> None:
    """Let so many days pass for every order, service and date of the queue."""
    ago = timedelta(days=days)
    world.sql("ALTER TABLE orders DISABLE TRIGGER orders_keep_their_word")
    world.sql(
        "UPDATE orders SET created_at = created_at - %s, due_at = due_at - %s, paid_at = paid_at - %s,"
        " period_start = period_start - %s, period_end = period_end - %s, ended_at = ended_at - %s,"
        " quiet_since = quiet_since - %s",
        *[ago] * 7,
    )
    world.sql("UPDATE payments SET paid_at = paid_at - %s", ago)
    world.sql("UPDATE refunds SET created_at = created_at - %s, ended_at = ended_at - %s", ago, ago)
    world.sql("ALTER TABLE orders ENABLE TRIGGER orders_keep_their_word")
    world.sql(
        "UPDATE services SET unpaid_since = unpaid_since - %s, grace_until = grace_until - %s,"
        " ended_at = ended_at - %s, retain_until = retain_until - %s",
        *[ago] * 4,
    )
    world.sql("UPDATE due SET due_at = due_at - %s", ago)


def states(world: World) -> list[tuple[str, str]]:
    """Every order as (origin, state), oldest first."""
    return [(row["origin"], row["state"]) for row in world.sql("SELECT * FROM orders ORDER BY created_at")]
