"""From the wish to the website with the passes that are really run: whatever becomes of Stripe's events on the way."""

from typing import Any

import httpx
import pytest

from tests.checkout.shop import SELLS, open_shop, orders, wish
from tests.world import World


async def bought(world: World, client: httpx.AsyncClient, **others: Any) -> dict[str, Any]:
    """A purchase that the buyer has just paid; its events are still with Stripe."""
    answer = await client.post("/api/checkout", json=wish(**others))
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    world.stripe.complete_checkout(begun["sessionId"], name="Ada Example")
    return begun


@pytest.mark.parametrize("events", ["all", "none", "twice and backwards"])
async def test_what_was_paid_is_there_whatever_events_come(world: World, events: str) -> None:
    """One paid order, one service with its website, and a page that says so; the buyer's look is enough."""
    async with open_shop(world) as client:
        begun = await bought(world, client)
        waiting = list(world.stripe.undelivered())
        sent = {"all": waiting, "none": [], "twice and backwards": [*reversed(waiting), *waiting]}[events]
        for event in sent:
            await world.deliver(client, event)
        path = f"/api/checkout?session_id={begun['sessionId']}"
        assert (await client.get(path)).json()["state"] in ("paid", "provisioning", "ready")
        now = (await client.get(path)).json()
        assert (now["state"], now["urls"]["site"]) == ("ready", "https://shop.example")
        again = await client.post("/api/checkout", json=wish())
        assert (again.status_code, again.json()["code"]) == (409, "just_bought")
    (order,) = orders(world)
    assert (order["state"], order["paid_at"] is not None, order["customer_id"] is not None) == ("paid", True, True)
    assert len(world.sql("SELECT 1 FROM services")) == 1


async def test_a_page_that_nobody_paid_expires_with_its_order(world: World) -> None:
    """Also when its buyer is gone and no event tells: the order's own pass looks once the page is over."""
    async with open_shop(world) as client:
        begun = (await client.post("/api/checkout", json=wish())).json()
        (row,) = world.due()
        assert (row["kind"], row["key"]) == ("order", begun["orderId"])
        assert row["due_at"] > orders(world)[0]["expires_at"]
        world.stripe.expire_checkout(begun["sessionId"])
        await world.come_to_rest(**SELLS)
        now = (await client.get(f"/api/checkout?session_id={begun['sessionId']}")).json()
    assert (now["state"], now["urls"]["again"]) == ("expired", SELLS["CHECKOUT_CANCEL_URL"])
    assert world.due() == []


async def test_counts_of_asking_are_forgotten_by_the_sweep(world: World) -> None:
    """Neither a digest of an address nor one of a mailbox is kept for longer than two days."""
    async with open_shop(world) as client:
        await client.post("/api/checkout", json=wish())
    assert len(world.sql("SELECT 1 FROM checkout_limits")) == 4
    world.sql("UPDATE checkout_limits SET begun_at = now() - interval '3 days'")
    async with world.bridge(**SELLS) as bridge:
        while not (await bridge.sweep(deadline=float("inf"))).finished:
            pass
    assert world.sql("SELECT 1 FROM checkout_limits") == []
