"""A subscription's whole life, end to end: every cause, every deadline, every plan, over fresh processes each time."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.world import BASIC, World

DAY = 86400
ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


def held(world: World, subscription: str, slot: int = 1) -> list[str] | None:
    """The holds of a service; the panel must have it off exactly when there are any. `None`: soft-deleted."""
    row = world.service(subscription, slot)
    found = world.panel.subscriptions[row["panel_subscription_id"]]
    if found.deleted:
        return None
    assert (found.suspended_by is not None) is bool(row["holds"])
    return list(row["holds"])


def plan_of(world: World, subscription: str, slot: int = 1) -> int:
    """The panel plan that a service is on."""
    return world.panel.subscriptions[world.service(subscription, slot)["panel_subscription_id"]].plan_id


def parked(world: World) -> list[str]:
    """The reasons for which somebody is parked."""
    return [row["parked_reason"] for row in world.due() if row["parked_reason"]]


def wakes(world: World) -> list[float]:
    """When the rows of the queue are due, in unix seconds."""
    return [row["due_at"].timestamp() for row in world.due()]


async def sweep(world: World, **environ: str) -> None:
    """One whole sweep and the passes it asks for."""
    async with world.bridge(**environ) as manager:
        assert (await manager.sweep(deadline=time.monotonic() + 300)).finished
        await manager.drain(deadline=time.monotonic() + 300)


async def running(world: World, price: str = "price_basic_monthly", **more: Any) -> tuple[str, str]:
    """A customer whose service runs: customer and subscription."""
    customer = world.customer()
    subscription = world.buy(customer, price, **more)
    await world.sync(customer)
    assert held(world, subscription) == []
    return customer, subscription


# --- grace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "one_off", "ends"),
    [(None, None, 7), (3, None, 3), (20, None, 20), (None, 9, 9), (3, 1, 1), (20, 12, 12)],
    ids=["setting", "shorter mapping", "longer mapping", "one-off", "earlier one-off", "one-off over mapping"],
)
async def test_grace_has_three_levels_and_a_deadline_to_the_second(
    world: World, mapping: int | None, one_off: int | None, ends: int
) -> None:
    """Setting, mapping, one-off date: the queue holds the exact date; before it nothing is off, at it everything."""
    world.sql("UPDATE plan_mappings SET grace_days = %s", mapping)
    customer, subscription = await running(world)
    for age, expected in ((ends * DAY - 3600, []), (ends * DAY + 1, ["unpaid"])):
        failed = world.stripe.now() - age
        if world.stripe.subscriptions[subscription]["status"] == "active":
            world.stripe.fail_payment(subscription, failed)
        else:
            world.stripe.set(
                world.stripe.open_invoice(subscription)["id"],
                status_transitions={"finalized_at": failed, "paid_at": None},
                created=failed,
            )
            world.sql("UPDATE services SET grace_until = NULL")  # of the other date, which was promised
        if one_off is not None:
            world.sql("UPDATE services SET grace_override = to_timestamp(%s)", failed + one_off * DAY)
        await world.sync(customer)
        assert held(world, subscription) == expected
        assert wakes(world) == ([] if expected else [failed + ends * DAY])


async def test_a_deadline_outlives_every_process_and_is_kept_at_its_time(world: World) -> None:
    """Nothing runs before T; at T a process that never heard of it suspends, without an event."""
    customer, subscription = await running(world)
    failed = world.stripe.now() - 7 * DAY + 1800
    world.stripe.fail_payment(subscription, failed)
    await world.sync(customer)
    world.stripe.calls.clear()
    await world.drain()
    assert world.stripe.calls == []
    world.stripe.clock = lambda: time.time() + 1801  # T has come, for both sides
    world.sql("UPDATE due SET due_at = due_at - interval '1801 seconds'")
    await world.drain()
    assert held(world, subscription) == ["unpaid"]
    assert world.due() == []


async def test_a_second_failed_invoice_neither_lifts_nor_restarts_the_grace(world: World) -> None:
    """It counts from the oldest open invoice; only paying all of them ends it."""
    customer, subscription = await running(world)
    first = world.stripe.now() - 6 * DAY
    world.stripe.fail_payment(subscription, first)
    world.stripe.fail_payment(subscription, first + 5 * DAY)
    await world.sync(customer)
    assert wakes(world) == [first + 7 * DAY]
    world.stripe.fail_payment(subscription, retry=True)
    await world.sync(customer)
    assert wakes(world) == [first + 7 * DAY]


# --- holds side by side -----------------------------------------------------------------------------------------------


async def test_holds_are_lifted_each_by_its_own_cause(world: World) -> None:
    """Unpaid, paused collection and a dispute at once: it runs only when the last of them is over."""
    environ = {"PAUSE_COLLECTION": "suspend", "GRACE_DAYS": "0"}
    customer, subscription = await running(world)
    dispute = world.stripe.dispute(subscription)["id"]
    world.sql("INSERT INTO due (kind, key) VALUES ('dispute', %s)", dispute)
    await world.drain(**environ)
    world.stripe.fail_payment(subscription, world.stripe.now() - 60)
    world.stripe.set_pause_collection(subscription)
    await world.sync(customer, **environ)
    assert held(world, subscription) == ["dispute", "paused", "unpaid"]
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer, **environ)
    assert held(world, subscription) == ["dispute", "paused"]
    world.stripe.set_pause_collection(subscription, None)
    await world.sync(customer, **environ)
    assert held(world, subscription) == ["dispute"]
    world.stripe.close_dispute(dispute, "won")
    world.sql("INSERT INTO due (kind, key) VALUES ('dispute', %s)", dispute)
    await world.drain(**environ)
    assert held(world, subscription) == []
    assert world.ledger("applied").count("suspend") == world.ledger("applied").count("resume") == 1


@pytest.mark.parametrize(("choice", "expected"), [("keep", []), ("suspend", ["paused"])])
async def test_paused_collection(world: World, choice: str, expected: list[str]) -> None:
    """`PAUSE_COLLECTION` decides; taking the pause back lifts the hold, also when the choice itself is taken back."""
    customer, subscription = await running(world)
    world.stripe.set_pause_collection(subscription)
    await world.sync(customer, PAUSE_COLLECTION=choice)
    assert held(world, subscription) == expected
    await world.sync(customer, PAUSE_COLLECTION="keep")
    assert held(world, subscription) == []


async def test_every_state_of_one_subscription_leaves_the_others_alone(world: World) -> None:
    """Whatever happens to one of three, the two others stay as they are, in panel and memory."""
    customer = world.customer()
    one = world.buy(customer, domain="one.example")
    others = [world.buy(customer, "price_big_monthly", domain=f"{name}.example") for name in ("two", "three")]
    await world.sync(customer)
    before = [world.sql("SELECT *, xmin::text FROM services WHERE subscription_id = %s", other) for other in others]
    changes: tuple[Callable[[], object], ...] = (
        lambda: world.stripe.fail_payment(one, world.stripe.now() - 8 * DAY),
        lambda: world.stripe.mark_unpaid(one),
        lambda: world.stripe.pay_open_invoice(one),
        lambda: world.stripe.pause(one),
        lambda: world.stripe.resume(one),
        lambda: world.stripe.change_items(one, price="price_big_monthly", invoice="open"),
        lambda: world.stripe.set(one, status="a_new_word"),
        lambda: world.stripe.set(one, status="active"),
        lambda: world.stripe.cancel(one, created=world.stripe.now() - 99 * DAY),
    )
    for change in changes:
        change()
        await world.sync(customer, RETENTION_DAYS="30")
        now = [world.sql("SELECT *, xmin::text FROM services WHERE subscription_id = %s", other) for other in others]
        assert now == before
        assert [held(world, other) for other in others] == [[], []]
    assert held(world, one) is None


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_retention_then_one_soft_delete(world: World) -> None:
    """Held as ended for the retention, deleted softly at its end, and never again, whatever is swept later."""
    customer, subscription = await running(world)
    ended = world.stripe.now() - 29 * DAY
    world.stripe.cancel(subscription, created=ended)
    await world.sync(customer, RETENTION_DAYS="30")
    assert held(world, subscription) == ["ended"]
    assert wakes(world) == [ended + 30 * DAY]
    world.hurry()
    await world.drain(RETENTION_DAYS="28")
    assert held(world, subscription) is None
    for _ in range(2):
        await sweep(world, RETENTION_DAYS="28")
    assert world.panel.count("DELETE", "") == 1
    assert not any("force" in call.query for call in world.panel.calls)
    assert world.panel.world()["orgs"] == 1
    assert world.due() == []


async def test_a_retention_that_is_switched_off_deletes_nothing(world: World) -> None:
    """The date that was planned under another setting is decided anew."""
    customer, subscription = await running(world)
    world.stripe.cancel(subscription, created=world.stripe.now() - 29 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    world.hurry()
    await world.drain()
    assert held(world, subscription) == ["ended"]
    assert world.due() == []


async def test_who_returns_after_the_end_gets_a_new_service(world: World) -> None:
    """A new subscription of a customer whose old one is held: the old one stays as it is, the new one runs."""
    customer, old = await running(world)
    world.stripe.cancel(old)
    await world.sync(customer)
    new = world.buy(customer, domain="new.example")
    await world.sync(customer)
    assert (held(world, old), held(world, new)) == (["ended"], [])
    assert world.panel.world() == {**ONE, "subscriptions": 2, "websites": 2}
    assert len(world.panel.recovery_mails) == 1


async def test_a_planned_end_without_the_flag_wakes_at_its_date(world: World) -> None:
    """Flexible billing and the portal set `cancel_at` alone: it runs until then and is looked at then."""
    customer, subscription = await running(world)
    world.stripe.cancel(subscription, portal=True)
    row = world.stripe.subscriptions[subscription]
    assert (row["cancel_at_period_end"], row["cancel_at"] > world.stripe.now()) == (False, True)
    await world.sync(customer)
    assert held(world, subscription) == []
    assert wakes(world) == [row["cancel_at"]]
    world.stripe.uncancel(subscription)
    await world.sync(customer)
    assert world.due() == []


async def test_a_trial_wakes_at_its_end_and_then_follows_its_status(world: World) -> None:
    """Nobody waits for money during a trial; when it ends unpaid and paused, it is held."""
    end = world.stripe.now() + 10 * DAY
    _, subscription = await running(world, status="trialing", trial_end=end)
    assert wakes(world) == [end]
    world.stripe.pause(subscription, "trial_end_without_payment_method")
    world.hurry()
    await world.drain()
    assert held(world, subscription) == ["paused"]


async def test_a_trial_whose_end_stripe_is_late_with_is_looked_at_again(world: World) -> None:
    """The date has passed and the status has not changed yet: it is asked again later, not at once and not never."""
    _, subscription = await running(world, status="trialing", trial_end=world.stripe.now() - 60)
    assert held(world, subscription) == []
    (again,) = wakes(world)
    assert 60 < again - time.time() <= 2 * 3600


# --- quantities, items, plans -----------------------------------------------------------------------------------------


async def test_quantities_up_and_down(world: World) -> None:
    """Three, one, two, none, two: the same services are held and taken back, none is made without need or deleted."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [("price_basic_monthly", 3)])["id"])
    await world.sync(customer)
    assert [held(world, subscription, slot) for slot in (1, 2, 3)] == [[], [], []]
    for quantity, expected in (
        (1, [[], ["ended"], ["ended"]]),
        (2, [[], [], ["ended"]]),
        (0, [["ended"]] * 3),
        (2, [[], [], ["ended"]]),
    ):
        world.stripe.change_items(subscription, quantity=quantity, invoice="paid")
        await world.sync(customer)
        assert [held(world, subscription, slot) for slot in (1, 2, 3)] == expected
    assert world.panel.world()["subscriptions"] == 3


async def test_several_items_and_one_that_is_taken_away(world: World) -> None:
    """Each item is its own service on its own plan; the one that goes is held, the other one never moves."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, ["price_basic_monthly", "price_big_monthly"])["id"])
    await world.sync(customer)
    assert [plan_of(world, subscription, slot) for slot in (1, 2)] == [world.plan_id, world.big_plan_id]
    world.stripe.change_items(subscription, remove=["price_basic_monthly"], invoice="paid")
    await world.sync(customer)
    assert [held(world, subscription, slot) for slot in (1, 2)] == [["ended"], []]
    assert [plan_of(world, subscription, slot) for slot in (1, 2)] == [world.plan_id, world.big_plan_id]


async def test_an_ignored_price_beside_a_service_means_nothing(world: World) -> None:
    """A domain fee on the same subscription buys no hosting and stops none."""
    world.stripe.create_price("price_fee")
    world.map_price("price_fee", None, kind="ignore")
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, ["price_fee", "price_basic_monthly"])["id"])
    await world.sync(customer)
    assert world.panel.world()["subscriptions"] == 1
    assert held(world, subscription) == []
    assert world.due() == []


async def test_an_addon_changes_the_plan_by_rule_and_back(world: World) -> None:
    """No rule: parked. A rule by plain SQL: moved by itself. More of it: the more specific rule. Gone: moved back."""
    big, huge = world.big_plan_id, world.panel.add_plan("huge")
    world.stripe.create_price("price_space")
    world.map_price("price_space", None, kind="addon")
    customer, subscription = await running(world)
    world.stripe.change_items(subscription, add=["price_space"], invoice="paid")
    await world.sync(customer)
    assert parked(world) == ["unmapped_price"]
    assert plan_of(world, subscription) == world.plan_id
    for least, plan in ((1, "big-hosting-plan"), (5, str(huge))):
        world.sql(
            "INSERT INTO plan_rules (base_plan_id, addon_plan_id, min_quantity, enhance_plan_id)"
            " VALUES ('price_basic_monthly', 'price_space', %s, %s)",
            *(least, plan),
        )
    await world.drain()
    assert (parked(world), plan_of(world, subscription)) == ([], big)
    world.stripe.change_items(subscription, item="price_space", quantity=6, invoice="paid")
    await world.sync(customer)
    assert plan_of(world, subscription) == huge
    world.stripe.change_items(subscription, remove=["price_space"], invoice="paid")
    await world.sync(customer)
    assert plan_of(world, subscription) == world.plan_id
    assert world.panel.world() == ONE


async def test_an_upgrade_waits_for_its_money_and_a_failed_one_never_comes(world: World) -> None:
    """Open invoice: the present plan, and why; failed: still the present plan, in grace; taken back: nothing moved."""
    customer, subscription = await running(world)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="failed")
    await world.sync(customer)
    assert plan_of(world, subscription) == world.plan_id
    assert world.service(subscription)["waits_for"] == "change_waits_for_payment"
    assert held(world, subscription) == []
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer)
    assert plan_of(world, subscription) == world.big_plan_id


async def test_a_mapping_that_moves_takes_its_services_along(world: World) -> None:
    """The operator maps a price to another plan: everybody who pays for it is moved, by the mapping alone."""
    _, subscription = await running(world)
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'big-hosting-plan' WHERE enhance_plan_id = %s", BASIC)
    await world.drain()
    assert plan_of(world, subscription) == world.big_plan_id
    assert world.due() == []


async def test_a_blocked_downgrade_shows_fresh_numbers_and_runs_by_itself_once_it_fits(world: World) -> None:
    """Stale usage blocks nobody, real usage parks with the numbers, and the next sweep after it shrank moves it."""
    small = world.panel.add_plan("small", resources={"diskspace": 100})
    world.stripe.create_price("price_small")
    world.map_price("price_small", "small")
    _, subscription = await running(world)
    number = world.only_subscription().id
    world.panel.set_usage(number, diskspace=150)
    world.stripe.change_items(subscription, price="price_small", invoice="paid")
    await sweep(world)
    assert (parked(world), plan_of(world, subscription)) == (["downgrade_blocked"], world.plan_id)
    assert "150 of 100" in world.due()[0]["problems"][0]["detail"]
    await sweep(world)
    assert parked(world) == ["downgrade_blocked"]
    world.panel.set_usage(number, stale=True, diskspace=50)
    await sweep(world)
    assert plan_of(world, subscription) == small
    assert world.due() == []


async def test_a_downgrade_whose_stale_numbers_hide_what_is_used_is_not_made(world: World) -> None:
    """The panel's shown usage is too low, the real one too high: nothing moves, and a person is told."""
    world.panel.add_plan("small", resources={"diskspace": 100})
    world.stripe.create_price("price_small")
    world.map_price("price_small", "small")
    customer, subscription = await running(world)
    world.panel.set_usage(world.only_subscription().id, stale=True, diskspace=150)
    world.stripe.change_items(subscription, price="price_small", invoice="paid")
    await world.sync(customer)
    assert plan_of(world, subscription) == world.plan_id
    assert parked(world) == ["downgrade_blocked"]


async def test_a_blocked_downgrade_stops_no_suspension(world: World) -> None:
    """Parked for the one thing, the customer who stops paying is still held."""
    world.panel.add_plan("small", resources={"diskspace": 100})
    world.stripe.create_price("price_small")
    world.map_price("price_small", "small")
    customer, subscription = await running(world)
    world.panel.set_usage(world.only_subscription().id, diskspace=150)
    world.stripe.change_items(subscription, price="price_small", invoice="paid")
    await world.sync(customer)
    world.stripe.set(subscription, status="unpaid")
    await world.sync(customer)
    assert held(world, subscription) == ["unpaid"]


# --- what can't be told -----------------------------------------------------------------------------------------------


async def test_a_subscription_that_stripe_does_not_know_is_parked_and_not_touched(world: World) -> None:
    """404: no suspension, no deletion; the customer's other subscription still gets what it paid for."""
    customer, subscription = await running(world)
    world.stripe.subscriptions.drop(subscription)
    other = world.buy(customer, "price_big_monthly", domain="two.example")
    await world.sync(customer, RETENTION_DAYS="1")
    assert parked(world) == ["unknown_subscription"]
    assert held(world, subscription) == held(world, other) == []


async def test_a_wrong_key_parks_nobody_and_changes_nothing(world: World) -> None:
    """401, and 403 for a missing permission: it is tried again later; not a row and not a thing in the panel moves."""
    customer, subscription = await running(world)
    world.stripe.set(subscription, status="canceled", ended_at=1)
    before, panel = world.dump(), world.panel.world()
    await world.sync(customer, STRIPE_SECRET_KEY="sk_test_fake_of_nobody", RETENTION_DAYS="1")
    assert parked(world) == []
    assert "stripe_key" in world.due()[0]["last_error"]
    world.stripe.forbid("/v1/subscriptions.*")
    await world.sync(customer, RETENTION_DAYS="1")
    assert parked(world) == []
    assert (world.dump(), world.panel.world()) == (before, panel)


async def test_the_key_of_another_account_suspends_nobody(world: World) -> None:
    """An account that knows none of our customers answers with empty lists: everything is parked, nothing touched."""
    customer, subscription = await running(world)
    world.stripe.subscriptions.drop(subscription)
    world.stripe.customers.drop(customer)
    before = world.panel.world()
    await sweep(world, RETENTION_DAYS="1")
    assert parked(world) == ["unknown_customer"]
    assert world.panel.world() == before
    assert world.only_subscription().suspended_by is None


async def test_a_stripe_that_is_down_or_lies_half_way_suspends_nobody(world: World) -> None:
    """What Stripe refuses to tell ends the pass before anything is decided, and is shown until it is told."""
    customer, subscription = await running(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - 30 * DAY)
    world.stripe.fail_next("GET", "/v1/invoices", 400)
    await world.sync(customer)
    assert held(world, subscription) == []
    assert parked(world) == ["stripe_refused"]
    world.stripe.clear_faults()
    await sweep(world)
    assert held(world, subscription) == ["unpaid"]
    assert parked(world) == []


async def test_the_double_purchase_is_held_until_an_admin_lets_it_pass(world: World) -> None:
    """Of two live subscriptions of one price the later makes nothing; let through, it runs beside the first."""
    environ = {"ON_DOUBLE_PURCHASE": "hold"}
    customer, first = await running(world)
    second = world.buy(customer, domain="two.example")
    await world.sync(customer, **environ)
    assert parked(world) == ["double_purchase"]
    assert world.panel.world() == ONE
    assert held(world, first) == []
    world.sql("UPDATE services SET released = true WHERE subscription_id = %s", second)
    await world.sync(customer, **environ)
    assert world.due() == []
    assert held(world, second) == []


async def test_a_double_purchase_whose_first_one_ends_runs(world: World) -> None:
    """Cancelling either of the two is the remedy: the other one is what was bought."""
    environ = {"ON_DOUBLE_PURCHASE": "hold"}
    customer, first = await running(world)
    second = world.buy(customer, domain="two.example")
    await world.sync(customer, **environ)
    world.stripe.cancel(first)
    await world.sync(customer, **environ)
    assert held(world, first) == ["ended"]
    assert held(world, second) == []
    assert world.due() == []


async def test_a_service_held_before_its_pass_died_is_known_as_ours(world: World) -> None:
    """The answer to a suspension is lost: the payment that follows still lifts it."""
    customer, subscription = await running(world)
    world.stripe.set(subscription, status="unpaid")
    world.panel.drop_next("PATCH", "/subscriptions/", "after", times=5)
    await world.sync(customer)
    world.panel.clear_faults()
    world.stripe.set(subscription, status="active")
    world.hurry()
    await world.come_to_rest()
    assert held(world, subscription) == []
    assert world.service(subscription)["panel_suspended"] is False
    assert world.due() == []
