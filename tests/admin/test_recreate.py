"""Recreate: what was deleted in the panel by hand is made anew, and only that."""

import asyncio

import pytest

from tests.admin.hand import DAY, act, assert_problem, by_hand, done, provisioned, suspended
from tests.world import World


@pytest.mark.parametrize("by", ["customerId", "subscriptionId"])
@pytest.mark.parametrize("force", [False, True], ids=["soft-deleted", "wiped"])
async def test_recreate_after_the_organisation_was_deleted_by_hand(world: World, force: bool, by: str) -> None:
    """Organisation, owner and hosting are made anew, with a mail for the new login's password.

    A soft-deleted website still reserves its domain, and says so.
    """
    customer, subscription = await provisioned(world)
    old = world.service(subscription)["panel_subscription_id"]
    world.panel.delete_by_hand(next(iter(world.panel.orgs)), force=force)
    await world.sync(customer)
    assert world.due()[0]["parked_reason"] == "panel_deleted"
    async with world.functions() as client:
        answer = await done(client, "recreate", **{by: subscription if by == "subscriptionId" else customer})
    row = world.service(subscription)
    assert (row["state"], row["panel_subscription_id"] != old) == ("live", True)
    alive = world.panel.world()
    assert (alive["orgs"], alive["subscriptions"], alive["logins"]) == (1, 1, 1)
    assert len(world.panel.recovery_mails) == 2
    (note,) = by_hand(world, "recreate")
    assert note["facts"]["organisation"] is True
    if force:
        assert answer["outcome"]["state"] == "settled"
        assert (alive["websites"], world.due()) == (1, [])
    else:
        assert answer["outcome"]["reason"] == "domain_reserved"
        assert world.due()[0]["parked_reason"] == "domain_reserved"


@pytest.mark.parametrize("by", ["customerId", "subscriptionId"])
@pytest.mark.parametrize("force", [False, True], ids=["soft-deleted", "wiped"])
async def test_recreate_after_the_subscription_was_deleted_by_hand(world: World, force: bool, by: str) -> None:
    """Only the hosting subscription is made anew, in the same organisation, without a second set-password mail."""
    customer, subscription = await provisioned(world)
    org = world.sql("SELECT org_id FROM customers")
    world.panel.delete_by_hand(world.only_subscription().id, force=force)
    await world.sync(customer)
    assert world.due()[0]["parked_reason"] == "panel_deleted"
    async with world.functions() as client:
        answer = await done(client, "recreate", **{by: subscription if by == "subscriptionId" else customer})
    assert world.sql("SELECT org_id FROM customers") == org
    assert world.service(subscription)["panel_subscription_id"] == world.only_subscription().id
    assert len(world.panel.recovery_mails) == 1
    (note,) = by_hand(world, "recreate")
    assert note["facts"]["organisation"] is False
    if force:
        assert answer["outcome"]["state"] == "settled"
        assert world.panel.world()["websites"] == 1
    else:
        assert answer["outcome"]["reason"] == "domain_reserved"
        assert world.panel.world()["websites"] == 0


async def test_recreate_of_one_subscription_leaves_the_other_missing_one(world: World) -> None:
    """With a subscription's id, only what is missing of it is made anew."""
    customer = world.customer()
    one, two = world.buy(customer, domain=None), world.buy(customer, price="price_big_monthly", domain=None)
    await world.sync(customer)
    for subscription in (one, two):
        world.panel.delete_by_hand(world.service(subscription)["panel_subscription_id"])
    async with world.functions() as client:
        answer = await done(client, "recreate", subscriptionId=one)
        assert answer["outcome"]["reason"] == "panel_deleted"
        assert world.panel.world()["subscriptions"] == 1
        assert world.only_subscription().id == world.service(one)["panel_subscription_id"]
        await done(client, "recreate", customerId=customer)
    assert world.panel.world()["subscriptions"] == 2
    assert world.due() == []


async def test_recreate_lets_no_double_purchase_in(world: World) -> None:
    """What waits for an admin's word on a second purchase goes on waiting when the organisation is made anew."""
    settings = {"ON_DOUBLE_PURCHASE": "hold"}
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, **settings)
    world.buy(customer, domain="two.example")
    world.panel.delete_by_hand(next(iter(world.panel.orgs)), force=True)
    await world.sync(customer, **settings)
    async with world.functions(**settings) as client:
        answer = await done(client, "recreate", customerId=customer)
    assert answer["outcome"]["reason"] == "double_purchase"
    assert world.panel.world()["subscriptions"] == 1


async def test_recreate_waits_for_no_renewal(world: World) -> None:
    """A debit of the next period that is still under way keeps nothing off that was paid for before."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.renew(subscription, "processing")
    world.panel.delete_by_hand(world.only_subscription().id, force=True)
    await world.sync(customer)
    async with world.functions() as client:
        await done(client, "recreate", subscriptionId=subscription)
    assert world.service(subscription)["state"] == "live"


async def test_recreate_of_a_closed_organisation_says_so(world: World) -> None:
    """The token works and may not look at that organisation: what is told is neither a wrong token nor "gone"."""
    customer, _ = await provisioned(world)
    world.panel.fail_next("GET", f"/orgs/{next(iter(world.panel.orgs))}$", 403, code="unauthorized", times=9)
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", customerId=customer), 409, "panel_org_closed")


@pytest.mark.parametrize("side", ["stripe", "panel"])
async def test_nothing_is_wiped_that_could_not_be_looked_at(world: World, side: str) -> None:
    """Bought again since, and one refused look: hardDelete wipes nothing on what was remembered."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.change_items(subscription, quantity=0)
    await world.sync(customer)
    world.stripe.change_items(subscription, quantity=1)
    if side == "stripe":
        world.stripe.fail_next("GET", "/v1/subscriptions", 400)
    else:
        world.panel.fail_next("GET", "/subscriptions", 400, code="bad_request", detail="x")
    async with world.functions() as client:
        assert_problem(
            await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription), 503, "unavailable"
        )
    assert by_hand(world, "hard_delete") == []
    assert world.panel.world()["websites"] == 1


async def test_recreate_needs_no_new_payment(world: World) -> None:
    """What was paid for and ran in its grace is made anew in its grace, though nothing is added meanwhile."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [("price_basic_monthly", 2)])["id"])
    await world.sync(customer)
    world.stripe.fail_payment(subscription)
    world.panel.delete_by_hand(world.service(subscription, 2)["panel_subscription_id"])
    async with world.functions() as client:
        answer = await done(client, "recreate", subscriptionId=subscription)
    assert answer["outcome"]["state"] == "settled"
    assert world.panel.world()["subscriptions"] == 2
    assert world.service(subscription, 2)["state"] == "live"


@pytest.mark.parametrize("state", ["live", "suspended", "never made", "terminated"])
async def test_recreate_with_nothing_gone_is_refused(world: World, state: str) -> None:
    """What is there, was never there, or was ended by us is not made anew."""
    customer = world.customer()
    subscription = world.buy(customer, status="incomplete" if state == "never made" else "active")
    await world.sync(customer)
    if state == "suspended":
        world.stripe.mark_unpaid(subscription)
    if state == "terminated":
        world.stripe.cancel(subscription, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    before = world.panel.world()
    async with world.functions(RETENTION_DAYS="30") as client:
        assert_problem(await act(client, "recreate", customerId=customer), 409, "nothing_gone")
    assert world.panel.world() == before
    assert by_hand(world, "recreate") == []


async def test_what_was_restored_in_the_panel_is_not_recreated(world: World) -> None:
    """The panel is asked afresh: what is back by now is not made a second time."""
    customer, _ = await provisioned(world)
    number = world.only_subscription().id
    world.panel.delete_by_hand(number)
    await world.sync(customer)
    world.panel.restore_by_hand(number)
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", customerId=customer), 409, "nothing_gone")
    await world.come_to_rest()
    assert world.only_subscription().id == number
    assert world.due() == []


async def test_twenty_recreations_at_once_make_one(world: World) -> None:
    """The first one makes it, the others find nothing gone."""
    customer, _ = await provisioned(world, domain=None)
    world.panel.delete_by_hand(world.only_subscription().id)
    async with world.functions() as client:
        answers = await asyncio.gather(*(act(client, "recreate", customerId=customer) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert [answer.status_code for answer in answers].count(200) == 1
    assert world.panel.world()["subscriptions"] == 1
    assert len(by_hand(world, "recreate")) == 1


async def test_recreate_does_not_switch_on_what_is_held(world: World) -> None:
    """What was held when it was deleted stays unmade until its hold is gone."""
    customer, subscription = await provisioned(world, domain=None)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        world.panel.delete_by_hand(world.only_subscription().id)
        await done(client, "recreate", customerId=customer)
        assert world.panel.world()["subscriptions"] == 0
        await done(client, "lift", subscriptionId=subscription)
    assert world.panel.world()["subscriptions"] == 1
    assert not suspended(world, subscription)


async def test_recreate_while_the_panel_is_away_forgets_nothing(world: World) -> None:
    """An outage is no deletion: whatever can't be seen is remembered as it was."""
    customer, subscription = await provisioned(world)
    before = world.service(subscription)
    world.panel.down = True
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", customerId=customer), 503, "unavailable")
    assert world.service(subscription)["panel_subscription_id"] == before["panel_subscription_id"]
    world.panel.down = False
    await world.come_to_rest()
    assert world.panel.world()["subscriptions"] == 1
