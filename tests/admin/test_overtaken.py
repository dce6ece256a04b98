"""Whoever was overtaken, or is refused, changes nothing."""

from typing import Any

import pytest

from lib.enhance_client import EnhanceClient
from lib.subscription_manager import SubscriptionManager
from lib.subscription_manager.customer import Reconciler
from tests.admin.hand import act, assert_problem, by_hand, done, provisioned, wipes
from tests.world import World


def overtaken(world: World, monkeypatch: pytest.MonkeyPatch, place: object, verb: str, *, after: bool = False) -> None:
    """Another process takes the customer over, for a second, when `verb` is called for the first time."""
    original = getattr(place, verb)
    waiting = [True]

    def steal() -> None:
        if waiting and waiting.pop():
            world.sql(
                "UPDATE due SET lease_id = gen_random_uuid(), leased_until = clock_timestamp() + interval '1 second'"
            )

    async def stealing(*args: Any, **named: Any) -> Any:
        if not after:
            steal()
        found = await original(*args, **named)
        if after:
            steal()
        return found

    monkeypatch.setattr(place, verb, stealing)


@pytest.mark.parametrize("action", ["hold", "lift", "release", "grace", "recreate", "hardDelete"])
async def test_who_was_overtaken_changes_nothing_and_asks_again(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Each action by hand is written under a lease that is still ours, once, and the panel is touched once."""
    customer, subscription = await provisioned(world)
    more: dict[str, Any] = {"subscriptionId": subscription}
    if action == "grace":
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        more["until"] = "2030-01-01"
    if action == "recreate":
        world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]].deleted = True
    if action == "hardDelete":
        world.stripe.cancel(subscription)
        more["confirm"] = subscription
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        overtaken(world, monkeypatch, SubscriptionManager, "_edit")
        await done(client, action, **more)
    kind = "hard_delete" if action == "hardDelete" else action
    assert [row["state"] for row in by_hand(world, kind)] == (
        ["intent", "applied"] if action == "hardDelete" else ["noted"]
    )
    assert len(wipes(world)) == (1 if action == "hardDelete" else 0)
    assert world.dangling() == []


async def test_a_wipe_that_is_overtaken_in_the_middle_is_known_by_the_next_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel wiped it and the lease is gone before that is remembered: it is found, written down, not repeated."""
    customer, subscription = await provisioned(world)
    world.stripe.cancel(subscription)
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        overtaken(world, monkeypatch, EnhanceClient, "hard_delete", after=True)
        await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    await world.sync(customer)
    assert world.service(subscription)["state"] == "terminated"
    assert len(wipes(world)) == 1
    assert world.dangling() == []


async def test_a_pass_that_is_overtaken_at_its_end_does_not_call_its_finding_settled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pass without its lease found is not reported: the answer tells of a pass that was written down."""
    customer = world.customer()
    world.stripe.create_price("price_unmapped")
    world.buy(customer, "price_unmapped")
    async with world.functions() as client:
        overtaken(world, monkeypatch, Reconciler, "run", after=True)
        answer = await done(client, "retry", customerId=customer)
    assert answer["outcome"]["state"] == "parked"
    (row,) = world.due()
    assert row["parked_reason"] == "unmapped_price"
    assert len(by_hand(world, "parked")) == 1


async def test_a_refused_action_leaves_the_queue_as_it_was(world: World) -> None:
    """Since when somebody is parked, and for what, is not forgotten over a 409; nor is it told a second time."""
    customer, subscription = await provisioned(world)
    world.stripe.create_price("price_unmapped")
    world.buy(customer, "price_unmapped", domain=None)
    await world.sync(customer)
    (before,) = world.due()
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", subscriptionId=subscription), 409, "nothing_gone")
    await world.drain()
    (after,) = world.due()
    kept = ("parked_reason", "parked_at", "problems")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert len(by_hand(world, "parked")) == 1


async def test_a_refused_action_uses_up_no_step_of_the_retry_curve(world: World) -> None:
    """A customer whose passes fail keeps the date of the next try, however often somebody asks for what is refused."""
    customer, subscription = await provisioned(world)
    world.stripe.fail_next("GET", "/v1/subscriptions", 500, times=99)
    await world.sync(customer)
    (before,) = world.due()
    async with world.functions() as client:
        for _ in range(3):
            assert (await act(client, "recreate", subscriptionId=subscription)).status_code == 409
    await world.drain()
    (after,) = world.due()
    assert (after["attempts"], after["retry_at"]) == (before["attempts"], before["retry_at"])
