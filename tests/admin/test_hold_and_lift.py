"""Hold and lift: off by an admin's word, and only by that on again."""

import asyncio
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from tests.admin.hand import DAY, act, assert_problem, done, provisioned, suspended
from tests.world import World


async def test_a_hold_suspends_and_only_a_lift_resumes(world: World) -> None:
    """An admin's hold outlives payments, renewals and passes; the lift brings the service back at once."""
    customer, subscription = await provisioned(world)
    async with world.functions() as client:
        answer = await done(client, "hold", subscriptionId=subscription, reason="abuse")
        assert [one["kind"] for one in answer["actions"]] == ["suspend"]
        assert suspended(world, subscription)
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        await done(client, "retry", customerId=customer)
        world.stripe.pay_open_invoice(subscription)
        world.stripe.renew(subscription)
        for event in world.stripe.events_of("invoice.paid"):
            await world.deliver(client, event)
        await done(client, "retry", customerId=customer)
        assert suspended(world, subscription)
        assert world.service(subscription)["holds"] == ["admin"]
        answer = await done(client, "lift", subscriptionId=subscription)
    assert [one["kind"] for one in answer["actions"]] == ["resume"]
    assert not suspended(world, subscription)
    assert (world.service(subscription)["holds"], world.due()) == ([], [])


async def test_a_lift_of_the_admins_hold_leaves_the_others(world: World) -> None:
    """Each hold is lifted by its own cause: who has not paid stays off after the admin's hold is gone."""
    customer, subscription = await provisioned(world)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        world.stripe.mark_unpaid(subscription)
        await done(client, "retry", customerId=customer)
        assert world.service(subscription)["holds"] == ["admin", "unpaid"]
        await done(client, "lift", subscriptionId=subscription)
        assert world.service(subscription)["holds"] == ["unpaid"]
        assert suspended(world, subscription)
        world.stripe.pay_open_invoice(subscription)
        await done(client, "retry", customerId=customer)
    assert not suspended(world, subscription)


async def test_holding_and_lifting_twice_is_once(world: World) -> None:
    """Doubled presses change nothing more: one suspension, one resumption."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        await asyncio.gather(*(done(client, "hold", subscriptionId=subscription) for _ in range(5)))
        assert world.service(subscription)["holds"] == ["admin"]
        await asyncio.gather(*(done(client, "lift", subscriptionId=subscription) for _ in range(5)))
    assert world.service(subscription)["holds"] == []
    applied = world.ledger("applied")
    assert (applied.count("suspend"), applied.count("resume")) == (1, 1)


async def test_a_hold_is_of_every_service_of_its_subscription_and_of_no_other(world: World) -> None:
    """Two services of one subscription are held together; the customer's other subscription runs on."""
    customer = world.customer()
    first = str(world.stripe.subscribe(customer, [("price_basic_monthly", 2)])["id"])
    second = world.buy(customer, price="price_big_monthly")
    await world.sync(customer)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=first)
    assert [world.service(first, slot)["holds"] for slot in (1, 2)] == [["admin"], ["admin"]]
    assert not suspended(world, second)
    assert world.service(second)["holds"] == []


@pytest.mark.parametrize("action", ["hold", "lift", "grace"])
async def test_by_customer_it_is_about_all_their_subscriptions(world: World, action: str) -> None:
    """With `customerId` alone an action means everything of this customer, and nothing of anybody else."""
    customer = world.customer()
    mine = [world.buy(customer), world.buy(customer, price="price_big_monthly", domain="two.example")]
    other = world.customer("Ben", "ben@example.com")
    theirs = world.buy(other, domain="ben.example")
    await world.sync(customer)
    await world.sync(other)
    until = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    cases: dict[str, tuple[str, Any, Any]] = {
        "hold": ("holds", ["admin"], []),
        "lift": ("holds", [], []),
        "grace": ("grace_override", until, None),
    }
    column, wanted, empty = cases[action]
    async with world.functions() as client:
        if action == "lift":
            await done(client, "hold", customerId=customer)
        if action == "grace":
            for subscription in mine:
                world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        await done(client, action, customerId=customer, until=until.isoformat())
    assert [world.service(subscription)[column] for subscription in mine] == [wanted, wanted]
    assert world.service(theirs)[column] == empty


async def test_a_hold_of_what_was_never_made_makes_nothing(world: World) -> None:
    """What is held before it was provisioned stays unmade until the hold is lifted."""
    customer = world.customer()
    subscription = world.buy(customer)
    world.panel.fail_next("POST", "/subscriptions$", 400, code="bad_request", times=9)
    await world.sync(customer)
    world.panel.clear_faults()
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        assert world.panel.world()["subscriptions"] == 0
        await done(client, "lift", subscriptionId=subscription)
    assert world.panel.world()["subscriptions"] == 1


async def test_a_lift_never_touches_a_suspension_made_in_the_panel(world: World) -> None:
    """Somebody else's suspension is theirs to lift."""
    _, subscription = await provisioned(world)
    world.panel.suspend_by_hand(world.only_subscription().id)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        await done(client, "lift", subscriptionId=subscription)
    assert suspended(world, subscription)
    assert world.only_subscription().suspended_by == world.panel.staff_id
    assert world.service(subscription)["panel_suspended"]


async def test_a_hold_is_never_braked_by_its_own_kind_of_work(world: World) -> None:
    """With the brake engaged a hold is remembered and waits as every suspension does; the release carries it out."""
    _, subscription = await provisioned(world)
    world.sql("UPDATE brake SET engaged_at = now(), reason = 'a test'")
    async with world.functions() as client:
        answer = await done(client, "hold", subscriptionId=subscription)
        assert answer["outcome"]["why"] == "brake"
        assert world.service(subscription)["holds"] == ["admin"]
        assert not suspended(world, subscription)
        assert (await done(client, "releaseBrake"))["released"] == 1
    assert suspended(world, subscription)


async def test_a_hold_says_what_is_off_now_and_what_is_not(world: World) -> None:
    """Suspended, never made and terminated services of one customer are told apart in the answer."""
    customer = world.customer()
    ended = world.buy(customer, domain=None)
    live, strange = world.buy(customer, domain=None), world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.cancel(ended, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    unmade = world.buy(customer, domain=None)
    world.panel.fail_next("POST", "/subscriptions$", 400, code="bad_request", times=9)
    await world.sync(customer)
    world.stripe.set(strange, status="new_in_2030")
    async with world.functions() as client:
        answer = await done(client, "hold", customerId=customer)
        assert sorted(answer["held"]) == sorted([live, unmade, strange])
        assert answer["notHeld"] == [ended]
    assert suspended(world, live) and suspended(world, strange)


async def test_a_hold_during_a_pass_waits_for_it_and_is_not_overwritten(world: World) -> None:
    """A pass that read its memory before the hold can't write it away: the hold takes its turn after the pass."""
    customer, subscription = await provisioned(world)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
    gate = world.panel.hold_next("PATCH", "/subscriptions/")
    async with world.functions() as client:
        running = asyncio.create_task(world.sync(customer))
        await gate.reached()
        holding = asyncio.create_task(done(client, "hold", subscriptionId=subscription))
        for _ in range(1000):  # until the hold has asked for its turn
            if world.due()[0]["generation"] > 1:
                break
            await asyncio.sleep(0.01)
        assert world.service(subscription)["holds"] == []
        gate.release()
        await running
        await holding
    assert world.service(subscription)["holds"] == ["admin"]
    assert suspended(world, subscription)
    assert world.only_subscription().plan_id == world.big_plan_id
    await world.come_to_rest()
    assert world.service(subscription)["holds"] == ["admin"]


async def test_a_pass_that_lost_its_lease_does_not_write_a_hold_away(world: World) -> None:
    """Whoever comes back after their lease was taken stops before the next change, and the hold stands."""
    customer, subscription = await provisioned(world)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
    gate = world.panel.hold_next("PATCH", "/subscriptions/")
    async with world.functions() as client:
        running = asyncio.create_task(world.sync(customer))
        await gate.reached()
        world.sql("UPDATE due SET leased_until = now() - interval '1 second'")  # its process seemed dead
        await done(client, "hold", subscriptionId=subscription)
        assert suspended(world, subscription)
        gate.release()
        await running
    assert "admin" in world.service(subscription)["holds"]
    await world.come_to_rest()
    assert "admin" in world.service(subscription)["holds"]
    assert suspended(world, subscription)


async def test_a_hold_that_gets_no_turn_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process works on the customer and does not end, the answer is 409 `busy`, and nothing is held."""
    monkeypatch.setattr(import_module("lib.subscription_manager.manager"), "WAIT_FOR_CLAIM", 0.0)
    customer, subscription = await provisioned(world)
    world.sql(
        "INSERT INTO due (kind, key, lease_id, leased_until)"
        " VALUES ('customer', %s, gen_random_uuid(), now() + interval '1 hour')",
        customer,
    )
    async with world.functions() as client:
        assert_problem(await act(client, "hold", subscriptionId=subscription), 409, "busy")
    assert world.service(subscription)["holds"] == []
