"""Mails about a cancellation that is known before its date: told once, and taken back with it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lib.checkout import offline
from tests.messages.postoffice import PostOffice
from tests.money.till import came, counter, order, sell
from tests.world import BASIC, World

EVERY = [
    lambda world, sub: world.stripe.cancel(sub, at_period_end=True),
    lambda world, sub: world.stripe.cancel(sub, portal=True),
]
"""Asked for by the operator, and by the customer in Stripe's portal, which says it differently."""


async def runs(world: World) -> tuple[str, str]:
    """A customer whose hosting runs."""
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer)
    await world.drain()
    return customer, bought


async def look(world: World, customer: str) -> None:
    """Two passes, and whatever they made due."""
    for _ in range(2):
        await world.sync(customer)
        await world.drain()


def told(world: World) -> list[tuple[str, str]]:
    """Every mail and what became of it, oldest first."""
    return [(row["kind"], row["status"]) for row in world.sql("SELECT * FROM notices ORDER BY created_at")]


def written(at: datetime) -> str:
    """A date as the English templates write it."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


@pytest.mark.parametrize("cancel", EVERY)
async def test_it_is_told_with_its_date_and_once(
    world: World, post: PostOffice, cancel: Callable[[World, str], Any]
) -> None:
    """When it becomes known, however often passes run; its end is another fact."""
    customer, bought = await runs(world)
    cancel(world, bought)
    await look(world, customer)
    ends_at = world.service(bought)["ends_at"]
    assert ends_at == datetime.fromtimestamp(world.stripe.get(bought, "subscription")["cancel_at"], UTC)
    assert post.subjects == [f"shop.example ends on {written(ends_at)}"]
    assert f"runs until {written(ends_at)}" in post.plain()
    world.stripe.cancel(bought)
    await look(world, customer)
    assert post.subjects[1:] == ["shop.example has ended"]
    assert told(world) == [("ending", "sent"), ("ended", "sent")]
    assert world.service(bought)["ends_at"] is None


async def test_taken_back_before_it_went_out_it_is_not_sent(world: World, post: PostOffice) -> None:
    """The mail server was away meanwhile; the next cancellation, to the same date, is told."""
    customer, bought = await runs(world)
    post.recipient_says = lambda _: "451 not now"
    world.stripe.cancel(bought, portal=True)
    await look(world, customer)
    world.stripe.uncancel(bought)
    await look(world, customer)
    post.recipient_says = None
    world.hurry()
    await world.drain()
    assert (post.taken, told(world)) == ([], [("ending", "obsolete")])
    world.stripe.cancel(bought, portal=True)
    await look(world, customer)
    assert told(world) == [("ending", "sent")]
    assert len(post.taken) == 1


async def test_a_mail_that_waited_long_asks_once_more(world: World, post: PostOffice) -> None:
    """The customer took it back, its event was lost, and the mail server comes back: nothing false is sent."""
    customer, bought = await runs(world)
    post.recipient_says = lambda _: "451 not now"
    world.stripe.cancel(bought, portal=True)
    await look(world, customer)
    world.stripe.uncancel(bought)
    assert world.service(bought)["ends_at"], "nobody knows of it yet"
    world.sql("UPDATE notices SET created_at = created_at - interval '1 hour'")
    post.recipient_says = None
    await world.come_to_rest()
    assert (post.taken, told(world)) == ([], [("ending", "obsolete")])


async def test_told_again_with_another_date_only(world: World, post: PostOffice) -> None:
    """Taken back and cancelled again to the same date is the same news; to another date it is not."""
    customer, bought = await runs(world)
    world.stripe.cancel(bought, portal=True)
    await look(world, customer)
    world.stripe.uncancel(bought)
    await look(world, customer)
    world.stripe.cancel(bought, portal=True)
    await look(world, customer)
    assert len(post.taken) == 1
    sooner = world.service(bought)["ends_at"] - timedelta(days=3)
    world.stripe.edit(
        world.stripe.get(bought, "subscription"), world.stripe.now(), None, cancel_at=int(sooner.timestamp())
    )
    await look(world, customer)
    assert post.subjects[1:] == [f"shop.example ends on {written(sooner)}"]


async def test_what_does_not_run_yet_is_told_once_it_does(world: World, post: PostOffice) -> None:
    """Bought and cancelled before it was made: nobody is told of the end of what never began."""
    customer = world.customer()
    bought = world.buy(customer)
    world.stripe.cancel(bought, portal=True)
    world.sql("DELETE FROM plan_mappings")
    await world.sync(customer)
    assert told(world) == []
    world.map_price("price_basic_monthly", BASIC)
    await look(world, customer)
    assert [kind for kind, _ in told(world)] == ["ending"]


async def test_an_offline_order_that_is_cancelled_ends_with_its_period(world: World, post: PostOffice) -> None:
    """Paid and then cancelled by telephone: it runs to the end of what was paid."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900, external_id="line 1")
    for _ in range(3):
        await world.drain()
    async with counter(world) as (_, till):
        await offline.cancel(till, made.id)
    for _ in range(3):
        await world.drain()
    (paid,) = world.sql("SELECT period_end FROM orders")
    assert post.subjects == ["Thank you for your order", f"shop.example ends on {written(paid['period_end'])}"]
