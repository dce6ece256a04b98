"""Retry: the pass runs now, once."""

import asyncio

import pytest

from tests.admin.hand import act, by_hand, done
from tests.world import World


@pytest.mark.parametrize("by", ["customerId", "subscriptionId"])
async def test_retry_runs_the_pass_now(world: World, by: str) -> None:
    """A parked customer whose cause is gone is provisioned by the very request that asks for it."""
    customer = world.customer()
    subscription = world.buy(customer, domain="taken.example")
    world.panel.reserve_domain_elsewhere("taken.example")
    await world.sync(customer)
    assert world.due()[0]["parked_reason"] == "domain_in_use"
    world.panel.state.elsewhere.clear()
    async with world.functions() as client:
        answer = await done(client, "retry", **{by: subscription if by == "subscriptionId" else customer})
    assert answer["outcome"]["state"] == "settled"
    assert [one["kind"] for one in answer["actions"]] == ["create_website"]
    assert world.due() == []
    assert world.service(subscription)["website_id"] is not None


async def test_retry_of_what_still_fails_stays_parked(world: World) -> None:
    """A retry that changes nothing leaves the row parked for as long as it was, and says why."""
    customer = world.customer()
    world.buy(customer, domain="taken.example")
    world.panel.reserve_domain_elsewhere("taken.example")
    await world.sync(customer)
    (before,) = world.due()
    async with world.functions() as client:
        answer = await done(client, "retry", customerId=customer)
    (after,) = world.due()
    assert (answer["outcome"]["state"], answer["outcome"]["reason"]) == ("parked", "domain_in_use")
    assert (after["parked_reason"], after["parked_at"]) == (before["parked_reason"], before["parked_at"])
    assert len(by_hand(world, "parked")) == 1


async def test_twenty_retries_at_once_provision_once(world: World) -> None:
    """However often the button is pressed, one of everything is made, and every press gets an answer."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions() as client:
        answers = await asyncio.gather(*(act(client, "retry", customerId=customer) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert any(answer.status_code == 200 for answer in answers)
    await world.come_to_rest()
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    assert len(world.panel.recovery_mails) == 1
    assert world.due() == []
    assert world.dangling() == []


async def test_retry_while_the_panel_is_away_says_so_and_stays_due(world: World) -> None:
    """The other side's failure is the answer's outcome, never a crash; the customer stays in the queue."""
    customer = world.customer()
    world.buy(customer)
    world.panel.down = True
    async with world.functions() as client:
        answer = await done(client, "retry", customerId=customer)
    assert answer["outcome"]["state"] == "again"
    assert answer["outcome"]["error"]
    assert len(world.due()) == 1
