"""Hard delete: what has ended is wiped for good, once, after its id was repeated."""

import asyncio
from typing import Any

import pytest

from tests.admin.hand import (
    ANNA,
    DAY,
    TWO_KEYS,
    WORK,
    act,
    assert_problem,
    by_hand,
    done,
    ended,
    provisioned,
    suspended,
    wipes,
)
from tests.world import World


async def test_a_confirmed_hard_delete_wipes_what_has_ended(world: World) -> None:
    """Hosting and website are gone for good, the service is terminated, and the ledger says who asked and why."""
    customer, subscription = await ended(world)
    async with world.functions(**TWO_KEYS) as client:
        body = {"action": "hardDelete", "subscriptionId": subscription, "confirm": subscription, "reason": "GDPR"}
        answer = await client.post(WORK, json=body, headers=ANNA)
        assert answer.status_code == 200, answer.text
    assert [(a["kind"], a["rule"], a["service"]) for a in answer.json()["actions"]] == [
        ("hard_delete", "by_hand", subscription)
    ]
    assert [(s["slot"], s["state"]) for s in answer.json()["services"]] == [(1, "terminated")]
    assert (world.panel.subscriptions, world.panel.websites) == ({}, {})
    assert world.panel.world()["orgs"] == 1
    assert world.service(subscription)["state"] == "terminated"
    rows = by_hand(world, "hard_delete")
    assert [(row["state"], row["actor"]) for row in rows] == [("intent", "anna"), ("applied", "anna")]
    assert rows[0]["facts"]["reason"] == "GDPR"
    assert len(wipes(world)) == 1
    await world.sync(customer)
    assert (world.due(), world.dangling()) == ([], [])


async def test_a_hard_delete_by_customer_wipes_all_their_ended_hosting(world: World) -> None:
    """With the customer's id, repeated in `confirm`, everything of theirs goes, provided that all of it has ended."""
    customer = world.customer()
    subscriptions = [world.buy(customer, domain=None), world.buy(customer, price="price_big_monthly", domain=None)]
    await world.sync(customer)
    world.stripe.cancel(subscriptions[0])
    await world.sync(customer)
    async with world.functions() as client:
        assert_problem(await act(client, "hardDelete", customerId=customer, confirm=customer), 409, "not_ended")
        assert len(world.panel.subscriptions) == 2
        world.stripe.cancel(subscriptions[1])
        await done(client, "hardDelete", customerId=customer, confirm=customer)
    assert world.panel.subscriptions == {}


@pytest.mark.parametrize("confirm", ["", "SUB", "sub", "other", "prefix", None])
async def test_the_confirmation_must_be_the_very_id(world: World, confirm: str | None) -> None:
    """Anything but the exact id wipes nothing."""
    _, subscription = await ended(world)
    typed = {"SUB": subscription.upper(), "other": "sub_other", "prefix": subscription[:-1]}.get(confirm or "", confirm)
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=typed)
        assert_problem(answer, 422, field="confirm")
    assert wipes(world) == []
    assert len(world.panel.subscriptions) == 1


@pytest.mark.parametrize("state", ["live", "unpaid", "paused", "held"])
async def test_what_has_not_ended_is_never_wiped(world: World, state: str) -> None:
    """Live, unpaid, paused or held by an admin: only an ended subscription may be wiped."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        if state == "unpaid":
            world.stripe.mark_unpaid(subscription)
        if state == "paused":
            world.stripe.pause(subscription)
        await done(client, "hold" if state == "held" else "retry", subscriptionId=subscription)
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409, "not_ended")
    assert wipes(world) == []
    assert by_hand(world, "hard_delete") == []


async def test_what_is_live_again_without_our_knowing_is_not_wiped(world: World) -> None:
    """The truth is read afresh before anything is wiped: a lost event must not cost a paying customer their data."""
    customer, subscription = await provisioned(world)
    world.stripe.change_items(subscription, quantity=0)
    await world.sync(customer)
    assert world.service(subscription)["holds"] == ["ended"]
    world.stripe.change_items(subscription, quantity=1, invoice="paid")
    world.panel.forget_calls()
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409, "not_ended")
    assert wipes(world) == []
    assert not suspended(world, subscription)


async def test_nothing_is_wiped_while_the_truth_is_unknown(world: World) -> None:
    """While Stripe is away nobody can say that it has ended."""
    _, subscription = await ended(world)
    world.stripe.down = True
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert answer.status_code in (409, 503), answer.text
    assert wipes(world) == []


async def test_twenty_hard_deletes_at_once_wipe_once(world: World) -> None:
    """The data is wiped by one call; the others find it gone, and none of them fails."""
    _, subscription = await ended(world)
    async with world.functions() as client:
        answers = await asyncio.gather(
            *(act(client, "hardDelete", subscriptionId=subscription, confirm=subscription) for _ in range(20))
        )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(wipes(world)) == 1
    assert [row["state"] for row in by_hand(world, "hard_delete")] == ["intent", "applied"]
    assert (world.panel.subscriptions, world.dangling()) == ({}, [])
    await world.come_to_rest()
    assert world.due() == []


async def test_a_hard_delete_of_what_was_soft_deleted(world: World) -> None:
    """What retention soft-deleted may be wiped, too."""
    customer, subscription = await provisioned(world)
    world.stripe.cancel(subscription, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    assert world.service(subscription)["state"] == "terminated"
    async with world.functions(RETENTION_DAYS="30") as client:
        await done(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    assert world.panel.subscriptions == {}


async def test_a_hard_delete_of_what_was_wiped_by_hand(world: World) -> None:
    """It is gone already, which is what was asked for."""
    _, subscription = await ended(world)
    world.panel.delete_by_hand(world.only_subscription().id, force=True)
    async with world.functions() as client:
        await done(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    assert world.service(subscription)["state"] == "terminated"
    assert world.dangling() == []


async def test_a_hard_delete_of_what_was_never_made_is_unknown(world: World) -> None:
    """There is nothing to wipe."""
    customer = world.customer()
    subscription = world.buy(customer, status="incomplete_expired")
    await world.sync(customer)
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 404, "unknown_subscription")


async def test_a_resellers_token_may_not_wipe_and_the_answer_says_so(world: World) -> None:
    """The panel's 403 is told in its words, nothing is changed, and the customer's next pass runs as ever."""
    customer, subscription = await ended(world)
    world.panel.state.role = "reseller"
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 502, "panel_refused")
        assert "only_mo_allowed" in answer.json()["detail"]
        assert [row["state"] for row in by_hand(world, "hard_delete")] == ["intent", "failed"]
        row = world.service(subscription)
        assert (row["state"], row["holds"]) == ("suspended", ["ended"])
        assert len(world.panel.subscriptions) == 1
        await done(client, "retry", customerId=customer)
    assert (world.due(), world.dangling()) == ([], [])
    world.panel.violations.clear()  # the contract's word on a reseller's force; asking was the test


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_wipe_whose_answer_was_lost_poisons_nothing(world: World, when: Any) -> None:
    """Nobody knows whether it happened: the next pass finds out and goes on, and asking again completes it."""
    customer, subscription = await ended(world)
    world.panel.drop_next("DELETE", "/subscriptions/", when=when, times=3)
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert answer.status_code in (200, 503), answer.text
        world.panel.clear_faults()
        assert (await done(client, "retry", customerId=customer))["outcome"]["state"] == "settled"
        if world.panel.subscriptions:
            await done(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    assert world.panel.subscriptions == {}
    assert world.service(subscription)["state"] == "terminated"
    assert (world.due(), world.dangling()) == ([], [])


async def test_no_other_action_ever_asks_for_force(world: World) -> None:
    """Only the confirmed hard delete does: neither a pass, nor retention, nor any other button."""
    customer, subscription = await provisioned(world)
    async with world.functions(RETENTION_DAYS="30") as client:
        for action in ("retry", "hold", "lift", "release", "grace", "recreate"):
            await act(client, action, subscriptionId=subscription, until=None, confirm=subscription)
        world.stripe.cancel(subscription, created=world.stripe.now() - 100 * DAY)
        await done(client, "retry", customerId=customer)
    assert world.service(subscription)["state"] == "terminated"
    assert wipes(world) == []
