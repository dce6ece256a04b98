"""Lift of a dispute or refund: the present one is waived, the next one counts."""

import httpx
import pytest

from tests.admin.hand import done, provisioned, suspended
from tests.world import World


async def disputed(world: World, client: httpx.AsyncClient, subscription: str) -> str:
    """Dispute the subscription's latest payment, and let the event arrive; the dispute's id."""
    world.stripe.dispute(subscription)
    event = world.stripe.events_of("charge.dispute.created")[-1]
    await world.deliver(client, event)
    return str(event["data"]["object"]["id"])


async def test_a_lifted_dispute_stays_lifted_until_the_next_one(world: World) -> None:
    """The waiver is for this dispute: it survives passes and its own progress, and the next dispute holds again."""
    customer, subscription = await provisioned(world)
    async with world.functions() as client:
        dispute = await disputed(world, client, subscription)
        assert world.service(subscription)["holds"] == ["dispute"]
        await done(client, "lift", subscriptionId=subscription, hold="dispute")
        assert not suspended(world, subscription)
        world.stripe.update_dispute(dispute, "under_review")
        await world.deliver(client, world.stripe.events_of("charge.dispute.updated")[-1])
        await done(client, "retry", customerId=customer)
        assert not suspended(world, subscription)
        world.stripe.close_dispute(dispute, "won")
        await world.deliver(client, world.stripe.events_of("charge.dispute.closed")[-1])
        world.stripe.renew(subscription)
        await disputed(world, client, subscription)
    assert world.service(subscription)["holds"] == ["dispute"]
    assert suspended(world, subscription)


@pytest.mark.parametrize("first", ["lost", "still open"])
async def test_a_waiver_does_not_excuse_a_second_dispute(world: World, first: str) -> None:
    """A lost dispute stays lost for good, and cases overlap: a waiver never stands for what is disputed afterwards."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        dispute = await disputed(world, client, subscription)
        if first == "lost":
            world.stripe.close_dispute(dispute, "lost")
            await world.deliver(client, world.stripe.events_of("charge.dispute.closed")[-1])
        assert world.service(subscription)["holds"] == ["dispute"]
        await done(client, "lift", subscriptionId=subscription, hold="dispute")
        assert not suspended(world, subscription)
        world.stripe.renew(subscription)
        await disputed(world, client, subscription)
    assert world.service(subscription)["holds"] == ["dispute"]
    assert suspended(world, subscription)


async def test_a_lifted_refund_is_of_that_invoice_only(world: World) -> None:
    """The refund of a later invoice holds again."""
    customer, subscription = await provisioned(world)
    async with world.functions(ON_REFUND="suspend") as client:
        world.stripe.refund(subscription)
        await world.deliver(client, world.stripe.events_of("charge.refunded")[-1])
        assert world.service(subscription)["holds"] == ["refund"]
        await done(client, "lift", subscriptionId=subscription, hold="refund")
        await done(client, "retry", customerId=customer)
        assert not suspended(world, subscription)
        world.stripe.renew(subscription)
        await done(client, "retry", customerId=customer)
        world.stripe.refund(subscription)
        await world.deliver(client, world.stripe.events_of("charge.refunded")[-1])
    assert world.service(subscription)["holds"] == ["refund"]
    assert suspended(world, subscription)


async def test_a_lift_of_what_is_not_there_waives_nothing(world: World) -> None:
    """A dispute that does not exist yet can't be waived ahead."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        await done(client, "lift", subscriptionId=subscription, hold="dispute")
        await disputed(world, client, subscription)
    assert suspended(world, subscription)
