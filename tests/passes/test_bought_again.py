"""What is bought again, and what is first seen late, end to end: found by events, or by a sweep after their loss."""

import pytest

from tests.admin.hand import act, assert_problem
from tests.passes.test_money_came import FOUND_BY, Finder, at_rest, find, held, on_plan, running
from tests.world import World

BIG = "price_big_monthly"


def slots(world: World, subscription: str) -> dict[int, str]:
    """What each service of a subscription is in the panel: on or off."""
    rows = world.sql("SELECT * FROM services WHERE subscription_id = %s AND panel_subscription_id > 0", subscription)
    found = {row["slot"]: world.panel.subscriptions[row["panel_subscription_id"]] for row in rows}
    return {slot: "off" if hosting.suspended_by else "on" for slot, hosting in found.items()}


@pytest.mark.parametrize("by", FOUND_BY)
async def test_a_quantity_raised_again_waits_for_its_bill(world: World, by: Finder) -> None:
    """Two, one, and two again with the bill open: the second is off until that is paid, and no second one is made."""
    _, subscription = await running(world)
    world.stripe.change_items(subscription, quantity=2, invoice="paid")
    await find(world, by)
    assert slots(world, subscription) == {1: "on", 2: "on"}
    world.stripe.change_items(subscription, quantity=1)
    await find(world, by)
    assert slots(world, subscription) == {1: "on", 2: "off"}
    world.stripe.change_items(subscription, quantity=2, invoice="open")
    await find(world, by)
    assert slots(world, subscription) == {1: "on", 2: "off"}
    assert world.service(subscription, 2)["waits_for"] == "change_waits_for_payment"
    await at_rest(world)
    world.stripe.pay_open_invoice(subscription)
    await find(world, by)
    assert slots(world, subscription) == {1: "on", 2: "on"}
    assert world.service(subscription, 2)["waits_for"] is None


@pytest.mark.parametrize("by", FOUND_BY)
async def test_a_quantity_raised_again_without_a_bill_counts_at_once(world: World, by: Finder) -> None:
    """`proration_behavior=none`: nothing bills it before the renewal, so there is nothing to wait for."""
    _, subscription = await running(world)
    for quantity, end in ((2, {1: "on", 2: "on"}), (1, {1: "on", 2: "off"}), (2, {1: "on", 2: "on"})):
        world.stripe.change_items(subscription, quantity=quantity)
        await find(world, by)
        assert slots(world, subscription) == end


@pytest.mark.parametrize("by", FOUND_BY)
async def test_a_purchase_seen_after_an_unpaid_upgrade_gets_what_was_paid_for(world: World, by: Finder) -> None:
    """The events of a purchase are lost, and its upgrade to more of another price is not paid."""
    subscription = world.buy(world.customer())
    world.stripe.change_items(subscription, price=BIG, quantity=2, invoice="open")
    await find(world, by)
    basic = on_plan(world, subscription)
    assert slots(world, subscription) == {1: "on"}
    other = world.buy(world.customer("Bob", "bob@example.com"), domain="bob.example")
    await find(world, by)
    assert basic == on_plan(world, other)
    await at_rest(world)
    world.stripe.void_invoice(world.stripe.open_invoice(subscription)["id"])
    await find(world, by)
    assert (slots(world, subscription), on_plan(world, subscription)) == ({1: "on"}, basic)  # that pays nothing
    world.stripe.renew(subscription)
    await find(world, by)
    assert slots(world, subscription) == {1: "on", 2: "on"}
    big = world.buy(world.customer("Cyd", "cyd@example.com"), BIG, domain="cyd.example")
    await find(world, by)
    assert on_plan(world, subscription) == on_plan(world, big) != basic


async def test_what_is_bought_again_is_not_wiped(world: World) -> None:
    """It waits for its money, and only what nobody buys can be wiped."""
    _, subscription = await running(world)
    world.stripe.change_items(subscription, quantity=0)
    await find(world, "events")
    world.stripe.change_items(subscription, quantity=1, invoice="open")
    await find(world, "events")
    assert held(world, subscription) == ["ended"]
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409, "not_ended")
    assert slots(world, subscription) == {1: "off"}
