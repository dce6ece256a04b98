"""What a pass costs in the database, and that what is kept back to save that is never kept from anybody who asks."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.relay import Wire, relayed
from lib.bridge import Bridge
from lib.database import due
from lib.kinds import nudge
from tests.world import World

LOOKS = 2
"""A drain's own: what is due when it begins, and that nothing is at its end; a claim that finds nothing is one more."""


@pytest.fixture
def wire(database_url: str) -> Iterator[Wire]:
    """The way to the database, with a counter on it."""
    with relayed(database_url) as counted:
        yield counted


@asynccontextmanager
async def process(world: World, wire: Wire) -> AsyncIterator[Bridge]:
    """A process that has made passes already: its connections stand, and it has told of both sides."""
    async with world.bridge(DATABASE_URL=wire.url) as bridge:
        other = world.customer("Bob Example", "bob@example.com")
        world.buy(other, domain="bob.example")
        await cost(bridge, wire, other)
        yield bridge


async def cost(bridge: Bridge, wire: Wire, customer: str) -> dict[str, int]:
    """Statements and round trips of a drain that has one pass to make."""
    await due.mark(bridge.db, [nudge("customer", customer)])
    wire.take()
    drained = await bridge.drain(deadline=time.monotonic() + 60)
    assert drained.outcomes == {"settled": 1}
    return wire.take()


def most(round_trips: int, statements: int, seen: dict[str, int]) -> bool:
    """Whether no more was seen than this, and the drain's own."""
    own = LOOKS + 1
    return seen["round_trips"] <= round_trips + own and seen["statements"] <= statements + own


async def test_what_each_kind_of_pass_costs(world: World, wire: Wire) -> None:
    """The claim brings memory and mappings along, each intent what was learnt before it, the end all that is left."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with process(world, wire) as bridge:
        # Six changes in the panel, what the new hosting is read back to, and the turn at websites.
        assert most(12, 40, await cost(bridge, wire, customer))
        assert world.panel.world() == dict.fromkeys(("orgs", "logins", "members", "subscriptions", "websites"), 2)
        assert world.service(subscription)["state"] == "live"
        assert world.dangling() == []

        before = world.dump()
        assert most(2, 4, await cost(bridge, wire, customer))
        assert world.dump() == before

        world.stripe.fail_payment(subscription, world.stripe.now() - 30 * 86400)
        assert most(3, 12, await cost(bridge, wire, customer))
        row = world.service(subscription)
        assert (row["state"], row["holds"], world.dangling()) == ("suspended", ["unpaid"], [])
        assert world.panel.subscriptions[row["panel_subscription_id"]].suspended_by is not None

        world.stripe.pay_open_invoice(subscription)
        assert most(3, 12, await cost(bridge, wire, customer))
        assert (world.service(subscription)["state"], world.dangling(), world.due()) == ("live", [], [])


CHANGES = {"POST": "/domains/check", "PUT": "/calculate-resource-usage", "PATCH": None, "DELETE": None}
"""What changes the panel, and what of it only asks."""


async def test_nothing_is_asked_outside_while_something_is_kept_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each call to the panel its own intent stands, and of all that came before it the end and what it told."""
    customer = world.customer()
    subscription = world.buy(customer)
    seen = 0

    def look(method: str, route: str) -> None:
        nonlocal seen
        seen += 1
        asks = CHANGES.get(method, "")
        intents = world.dangling()
        if asks != "" and (asks is None or not route.endswith(asks)):
            assert len(intents) == 1, (method, route, intents)
        assert len(intents) <= 1, (method, route, intents)
        row = world.sql("SELECT org_id, login_id, member_id FROM customers")
        told: dict[str, Any] = {}
        for entry in world.sql("SELECT after FROM actions WHERE state = 'applied' AND after IS NOT NULL"):
            told |= entry["after"]
        for name in ("org_id", "login_id", "member_id"):
            assert name not in told or str(row[0][name]) == told[name]
        for name in ("panel_subscription_id", "website_id"):
            assert name not in told or str(world.service(subscription)[name]) == str(told[name])

    async with world.bridge() as bridge:
        once = bridge.enhance._transport._once

        async def watched(method: str, route: str, *rest: Any) -> Any:
            look(method, route)
            return await once(method, route, *rest)

        monkeypatch.setattr(bridge.enhance._transport, "_once", watched)
        await bridge.reconcile(customer)
        world.stripe.fail_payment(subscription, world.stripe.now() - 30 * 86400)
        await bridge.reconcile(customer)
        world.stripe.pay_open_invoice(subscription)
        await bridge.reconcile(customer)
    assert seen >= 15
    assert world.ledger("applied")[-2:] == ["suspend", "resume"]
    assert world.dangling() == []


async def test_what_the_database_refuses_at_the_end_is_a_failure_of_this_pass_alone(world: World) -> None:
    """The lease is given back with the failure in the row, and the next pass makes it whole."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    world.sql("ALTER TABLE subscriptions ADD CONSTRAINT refused CHECK (false) NOT VALID")
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("customer", customer)])
        drained = await bridge.drain(deadline=time.monotonic() + 60)
        assert drained.outcomes == {"failed": 1}
        (row,) = world.due()
        assert (row["lease_id"], row["attempts"]) == (None, 1)
        assert "CheckViolation" in row["last_error"]
        world.sql("ALTER TABLE subscriptions DROP CONSTRAINT refused")
        world.hurry()
        world.age_intents()
        await bridge.drain(deadline=time.monotonic() + 60)
    assert await world.come_to_rest() == []
    assert world.dangling() == []
    assert world.panel.world()["subscriptions"] == 1
    assert world.service(subscription)["state"] == "live"
