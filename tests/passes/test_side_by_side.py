"""One customer's services side by side: what goes wrong with one neither stops nor delays what is due to another."""

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from lib.model import Failed, Settled, Waits
from lib.policy import MAX_ATTEMPTS
from tests.passes.test_lifecycle import DAY, held, parked, plan_of, running, sweep
from tests.world import World

BIG = "big-hosting-plan"


@pytest.mark.parametrize("attempts", [6, 8, 9])
async def test_a_failure_delays_no_other_deadline(world: World, attempts: int) -> None:
    """While one service fails again and again, at last for good, another one's grace ends at its time."""
    customer = world.customer()
    failing = world.buy(customer, domain="one.example")
    behind = world.buy(customer, "price_big_monthly", domain="two.example")
    await world.sync(customer)
    world.stripe.fail_payment(behind, world.stripe.now() - 7 * DAY + 600)
    world.stripe.change_items(failing, quantity=2, invoice="paid")
    world.panel.fail_next("POST", "/customers/[^/]+/subscriptions$", 500, times=50)
    world.sql("INSERT INTO due (kind, key, attempts) VALUES ('customer', %s, %s)", customer, attempts)
    await world.drain()
    (row,) = world.due()
    assert row["due_at"] <= datetime.now(UTC) + timedelta(minutes=11)
    assert row["attempts"] == attempts + 1


async def test_failing_websites_stop_no_suspension(world: World) -> None:
    """However many websites can't be made, what is unpaid is suspended in the same pass."""
    customer = world.customer()
    unpaid = world.buy(customer, "price_big_monthly", domain="two.example")
    await world.sync(customer)
    other = world.buy(customer, domain="a.example, b.example, c.example, d.example")
    world.stripe.change_items(other, quantity=4, invoice="paid")
    world.stripe.mark_unpaid(unpaid)
    world.panel.forget_calls()
    world.panel.fail_next("POST", "/websites$", 500, times=1000)
    await world.sync(customer)
    assert held(world, unpaid) == ["unpaid"]
    refused = [call for call in world.panel.calls if call.method == "POST" and call.path.endswith("/websites")]
    assert len(refused) == 3  # and not four: the panel is not hammered


async def test_lost_answers_count_until_one_comes(world: World) -> None:
    """Waiting for what may still appear is no success: failures in a row are counted over it."""
    customer = world.customer()
    world.buy(customer)
    world.panel.fail_next("POST", "/customers$", 500, times=50)
    for failures in (1, 2, 3):
        await world.sync(customer)
        assert world.due()[0]["attempts"] == failures
        world.hurry()
        await world.drain()  # not settled yet: it is looked for, and not made again
        assert (world.due()[0]["attempts"], world.due()[0]["parked_reason"]) == (failures, None)
        world.hurry()
        world.age_intents()
    world.panel.clear_faults()
    await world.come_to_rest()
    assert world.panel.world()["orgs"] == 1


async def test_a_great_many_services_are_no_failure(world: World) -> None:
    """More than one pass can do is done by the next one, at once, and counts as no failed attempt."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [("price_basic_monthly", 110)])["id"])
    report = await world.sync(customer, QUANTITY_MAX="200")
    assert isinstance(report.outcome, Waits)
    await world.drain(QUANTITY_MAX="200")
    assert world.panel.world()["subscriptions"] == 110
    assert world.service(subscription, 110)["state"] == "live"
    assert world.due() == []


@pytest.mark.parametrize("status", [400, 403, 503])
async def test_a_checkout_that_is_not_told_stops_only_its_own_site(world: World, status: int) -> None:
    """While the domain of one purchase can't be looked up, another one is suspended and resumed as it is paid."""
    customer = world.customer()
    one = world.buy(customer, "price_big_monthly", domain=None)
    await world.sync(customer)
    world.buy(customer, domain=None)
    world.stripe.fail_next("GET", "/v1/checkout/sessions.*", status, times=50)
    world.stripe.mark_unpaid(one)
    await world.sync(customer)
    assert held(world, one) == ["unpaid"]
    world.stripe.set(one, status="active")
    await world.sync(customer)
    assert held(world, one) == []


async def test_failures_are_counted_beside_a_problem(world: World) -> None:
    """Somebody who waits for a mapping as well is given up after as many lost answers as anybody, and told of once."""
    customer = world.customer()
    world.buy(customer, domain=None)
    world.buy(customer, world.stripe.create_price("price_nomap")["id"], domain=None)
    world.panel.drop_next("POST", "/customers$", "before", times=5000)
    await world.sync(customer)
    for _ in range(2 * MAX_ATTEMPTS + 2):
        world.hurry()
        world.age_intents(1)
        await world.drain()
    (row,) = world.due()
    assert (row["parked_reason"], row["attempts"]) == ("gave_up", MAX_ATTEMPTS + 1)
    told = world.sql("SELECT rule FROM actions WHERE kind = 'parked' ORDER BY id")
    assert [row["rule"] for row in told] == ["unmapped_price", "gave_up"]


async def test_a_blip_forgets_no_problem(world: World) -> None:
    """Why somebody is parked stands through an outage, so it is told once; and the mapping that comes reaches them."""
    customer = world.customer()
    world.buy(customer, domain=None)
    await world.sync(customer)
    world.buy(customer, world.stripe.create_price("price_nomap")["id"], domain=None)
    await world.sync(customer)
    world.panel.down = True
    await world.sync(customer)
    assert parked(world) == ["unmapped_price"]
    world.map_price("price_nomap", BIG)
    assert world.due()[0]["due_at"] <= datetime.now(UTC) + timedelta(seconds=1)
    world.panel.down = False
    world.hurry()
    await world.drain()
    assert world.panel.world()["subscriptions"] == 2
    assert len(world.sql("SELECT 1 FROM actions WHERE kind = 'parked'")) == 1


async def test_a_mapping_that_comes_while_something_fails_reaches_its_customer(world: World) -> None:
    """A pass that failed elsewhere still tells which price it lacks."""
    customer = world.customer()
    failing = world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.mark_unpaid(failing)
    world.buy(customer, world.stripe.create_price("price_nomap")["id"], domain=None)
    world.panel.fail_next("PATCH", ".*", 503, times=99)
    await world.sync(customer)
    before = world.due()[0]["generation"]
    world.map_price("price_nomap", BIG)
    assert world.due()[0]["generation"] > before


async def test_what_is_refused_before_a_decision_is_tried_again_by_itself(world: World) -> None:
    """No date of a customer is lost over one call that Stripe refuses: it is shown, and tried again within minutes."""
    customer, subscription = await running(world)
    world.stripe.fail_payment(subscription)
    await world.sync(customer)
    world.stripe.fail_next("GET", "/v1/subscriptions", 400)
    await world.sync(customer)
    (row,) = world.due()
    assert row["parked_reason"] == "stripe_refused"
    assert row["due_at"] <= datetime.now(UTC) + timedelta(minutes=16)
    world.hurry()
    await world.drain()
    assert parked(world) == []
    assert world.due()[0]["waits_for"] == "in_grace"


# --- money that is behind ---------------------------------------------------------------------------------------------


async def test_what_was_bought_before_is_made_whole_in_its_grace(world: World) -> None:
    """Seen for the first time when a renewal has failed: all of it is made, not the first of two."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [("price_basic_monthly", 2)])["id"])
    world.stripe.fail_payment(subscription)
    await world.sync(customer)
    assert world.panel.world()["subscriptions"] == 2


async def test_growth_that_was_paid_is_made_although_a_renewal_fails_meanwhile(world: World) -> None:
    """The panel was away when it was bought; the grace covers it like everything else that was paid for."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.change_items(subscription, quantity=2, invoice="paid")
    world.panel.fail_next("POST", "/subscriptions$", 503, times=9)
    await world.sync(customer)
    world.panel.clear_faults()
    world.stripe.renew(subscription, "failed")
    await world.come_to_rest()
    assert world.panel.world()["subscriptions"] == 2


# --- mappings and settings that change --------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["addon->ignore", "ignore->service", "ignore->addon", "addon->nothing"])
async def test_a_mapping_that_changes_reaches_who_bought_the_price(world: World, change: str) -> None:
    """Add-ons and ignored prices have no service of their own, and still their customers are due by plain SQL."""
    before, after = change.split("->")
    world.stripe.create_price("price_extra")
    world.map_price("price_extra", BIG, kind=before)
    world.sql(
        "INSERT INTO plan_rules (base_plan_id, addon_plan_id, enhance_plan_id)"
        " VALUES ('price_basic_monthly', 'price_extra', %s)",
        BIG,
    )
    customer = world.customer()
    subscription = world.buy(customer)
    world.stripe.change_items(subscription, add=["price_extra"], invoice="paid")
    await world.sync(customer)
    assert plan_of(world, subscription) == (world.big_plan_id if before == "addon" else world.plan_id)
    if after == "nothing":
        world.sql("DELETE FROM plan_mappings WHERE billing_plan_id = 'price_extra'")
    else:
        world.sql("UPDATE plan_mappings SET kind = %s WHERE billing_plan_id = 'price_extra'", after)
    await world.drain()
    assert parked(world) == (["unmapped_price"] if after == "nothing" else [])
    assert world.panel.world()["subscriptions"] == (2 if after == "service" else 1)
    if after != "nothing":
        assert plan_of(world, subscription) == (world.big_plan_id if after == "addon" else world.plan_id)


async def test_a_retention_that_is_set_later_reaches_what_ended_before(world: World) -> None:
    """A changed setting makes every customer due once, at the next sweep, and then no more."""
    _, subscription = await running(world)
    world.stripe.cancel(subscription, created=world.stripe.now() - 40 * DAY)
    await sweep(world)
    assert held(world, subscription) == ["ended"]
    await sweep(world, RETENTION_DAYS="30")
    assert held(world, subscription) is None
    async with world.bridge(RETENTION_DAYS="30") as manager:
        assert (await manager.sweep(deadline=time.monotonic() + 300)).counts.get("marked", 0) == 0
    assert world.due() == []


async def test_collection_that_was_paused_before_the_setting_is_followed(world: World) -> None:
    """`PAUSE_COLLECTION=suspend` reaches those whose collection rests already."""
    _, subscription = await running(world)
    world.stripe.set_pause_collection(subscription)
    await sweep(world)
    assert held(world, subscription) == []
    await sweep(world, PAUSE_COLLECTION="suspend")
    assert held(world, subscription) == ["paused"]


# --- what people do in the panel meanwhile ----------------------------------------------------------------------------


async def test_a_suspension_by_hand_while_ours_is_looked_for_stays(world: World) -> None:
    """Ours got no answer and never happened; what staff did meanwhile is theirs, and no payment lifts it."""
    other, known = await running(world)
    world.stripe.mark_unpaid(known)
    await world.sync(other)
    assert held(world, known) == ["unpaid"]  # so the panel's name for us is known
    customer = world.customer("Bob Example", "bob@example.com")
    subscription = world.buy(customer, domain="bob.example")
    await world.sync(customer)
    world.stripe.mark_unpaid(subscription)
    world.panel.drop_next("PATCH", "/subscriptions/", "before", times=10)
    await world.sync(customer)
    world.panel.clear_faults()
    number = world.service(subscription)["panel_subscription_id"]
    assert world.panel.subscriptions[number].suspended_by is None
    world.panel.suspend_by_hand(number)
    world.hurry()
    await world.drain()
    world.stripe.set(subscription, status="active")
    await world.come_to_rest()
    await world.sync(customer)
    assert world.panel.subscriptions[number].suspended_by == world.panel.staff_id
    assert world.service(subscription)["panel_suspended"] is True


async def test_a_suspension_by_hand_during_a_long_pass_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass may make websites for minutes before it suspends: it looks again before it does."""
    monkeypatch.setattr("lib.subscription_manager.customer.FRESH", 0.0)
    customer = world.customer()
    unpaid = world.buy(customer, "price_big_monthly", domain="two.example")
    await world.sync(customer)
    number = world.service(unpaid)["panel_subscription_id"]
    world.buy(customer, domain="one.example")
    world.stripe.mark_unpaid(unpaid)

    async def meanwhile(when: str, call: object) -> None:
        if when == "after" and str(getattr(call, "path", "")).endswith("/websites"):
            world.panel.suspend_by_hand(number)

    world.panel.on_call(meanwhile)
    await world.sync(customer)
    assert world.panel.subscriptions[number].suspended_by == world.panel.staff_id
    world.stripe.set(unpaid, status="active")
    report = await world.sync(customer)
    assert isinstance(report.outcome, Settled)
    assert world.panel.subscriptions[number].suspended_by == world.panel.staff_id


async def test_an_organisation_that_the_token_may_not_see_parks_only_its_customer(world: World) -> None:
    """403 is one answer for two things: a token that works otherwise makes it this customer's matter."""
    customer, subscription = await running(world)
    (org,) = world.panel.orgs
    world.panel.fail_next("GET", f"/customers/{org}/subscriptions$", 403, code="unauthorized", times=9)
    world.panel.fail_next("GET", f"/orgs/{org}$", 403, code="unauthorized", times=9)
    await world.sync(customer)
    assert parked(world) == ["panel_org_closed"]
    world.panel.fail_next("GET", "/orgs/", 403, code="unauthorized", times=9)
    other = world.customer("Bob Example", "bob@example.com")
    world.buy(other, domain="bob.example")
    world.sql("INSERT INTO customers (customer_id, livemode, org_id) VALUES (%s, false, %s)", other, str(uuid4()))
    report = await world.sync(other)
    assert isinstance(report.outcome, Failed)
    assert "panel_token" in report.outcome.error
    world.panel.clear_faults()
    await sweep(world)
    assert held(world, subscription) == []
    assert "panel_org_closed" not in parked(world)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_nothing_is_made_in_a_deleted_organisation(world: World, cancelled: bool) -> None:
    """The panel goes on listing what a deleted organisation had: a further purchase parks, whatever became of it."""
    customer, subscription = await running(world)
    (org,) = world.panel.orgs
    world.panel.delete_by_hand(org)
    if cancelled:
        world.stripe.cancel(subscription)
    world.buy(customer, "price_big_monthly", domain="new.example")
    world.panel.forget_calls()
    await world.sync(customer)
    assert parked(world) == ["panel_deleted"]
    assert world.due()[0]["problems"][0]["subject"] == str(org)
    assert [call.path for call in world.panel.calls if call.method != "GET"] == []
