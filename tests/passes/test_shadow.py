"""Shadow mode shows what would happen and changes nothing, going live does exactly that; paused runs nothing."""

import time

import pytest

from lib.errors import Declined
from tests.passes.test_sweep import remembered
from tests.world import World

ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
NONE = dict.fromkeys(ONE, 0)
SHADOW = {"PROVISIONING_MODE": "shadow"}
PAUSED = {"PROVISIONING_MODE": "paused"}


def plans(world: World) -> dict[str, list[tuple[str, str]]]:
    """What shadow mode would do, by customer: (kind, rule)."""
    rows = world.sql("SELECT customer_id, actions FROM shadow_plans ORDER BY customer_id")
    return {row["customer_id"]: [(a["kind"], a["rule"]) for a in row["actions"]] for row in rows}


def wrote(world: World) -> list[str]:
    """The calls that changed something in the panel."""
    return [f"{call.method} {call.path}" for call in world.panel.calls if call.method != "GET"]


def applied(world: World) -> list[tuple[str, str]]:
    """What was really done, in its order."""
    rows = world.sql("SELECT kind, rule FROM actions WHERE state = 'applied' ORDER BY id")
    return [(row["kind"], row["rule"]) for row in rows]


async def sweep(world: World, **environ: str) -> dict[str, int]:
    """One sweep and the passes it asks for."""
    async with world.bridge(**environ) as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
        await manager.drain(deadline=time.monotonic() + 300)
    return report.counts


async def test_a_purchase_in_shadow_mode_is_shown_once_and_made_when_live(world: World) -> None:
    """Nothing is written to the panel and the plan is noted once; the first live drain does exactly that plan."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions(**SHADOW) as client:
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
    await world.drain(**SHADOW)
    planned = world.ledger("planned")
    assert planned[0] == "create_org" and "create_website" in planned
    assert (wrote(world), world.panel.world(), world.due()) == ([], NONE, [])
    shown = plans(world)[customer]
    assert [kind for kind, _ in shown] == planned
    assert world.sql("SELECT count(*) AS n FROM services") == [{"n": 0}]

    for _ in range(2):
        await world.sync(customer, **SHADOW)
    assert world.ledger("planned") == planned
    await world.drain()
    assert applied(world) == shown
    assert world.panel.world() == ONE
    assert plans(world) == {}
    assert world.due() == []


async def test_shadow_mode_over_a_running_world_shows_the_differences_and_keeps_every_row(world: World) -> None:
    """Suspend, resume, move, delete: all are planned by a sweep, and neither panel, memory nor brake change by it."""
    subscriptions = await remembered(world, 30)
    for subscription in subscriptions[:2]:
        world.stripe.set(subscription, status="paused")
    await sweep(world)
    world.stripe.set(subscriptions[0], status="active")
    world.stripe.change_items(subscriptions[2], price="price_big_monthly", invoice="paid")
    world.stripe.set(subscriptions[3], status="canceled", ended_at=world.stripe.now() - 90 * 86400)
    for subscription in subscriptions[5:]:
        world.stripe.set(subscription, status="unpaid")
    settings = {"RETENTION_DAYS": "30"}
    decided = "SELECT subscription_id, state, holds, plan, suspended_by, ended_at FROM services ORDER BY 1"
    before, done = world.sql(decided), applied(world)
    world.panel.forget_calls()
    await sweep(world, **SHADOW, **settings)
    assert wrote(world) == []
    assert world.sql(decided) == before
    assert world.sql("SELECT counts FROM brake WHERE engaged_at IS NOT NULL") == []
    assert world.due() == []
    shown = plans(world)
    by_customer = [shown.get(str(world.stripe.subscriptions[s]["customer"])) for s in subscriptions]
    assert by_customer[:5] == [
        [("resume", "active")],
        None,
        [("change_plan", "active")],
        [("terminate", "retention_over")],
        None,
    ]
    assert by_customer[5:] == [[("suspend", "unpaid")]] * 25
    assert (await sweep(world, **SHADOW, **settings)).get("marked", 0) == 0
    assert len(world.ledger("planned")) == 28

    async with world.bridge(BRAKE_MAX="100", **settings) as manager:
        await manager.drain(deadline=time.monotonic() + 300)
    assert sorted(applied(world)[len(done) :]) == sorted(action for plan in shown.values() for action in plan)
    assert plans(world) == {}


async def test_a_plan_that_nobody_needs_any_more_is_gone(world: World) -> None:
    """Paid while it was only a plan: it is no longer shown, and going live does nothing."""
    (subscription,) = await remembered(world, 1)
    customer = str(world.stripe.subscriptions[subscription]["customer"])
    world.stripe.set(subscription, status="unpaid")
    await world.sync(customer, **SHADOW)
    assert plans(world) == {customer: [("suspend", "unpaid")]}
    world.stripe.set(subscription, status="active")
    await world.sync(customer, **SHADOW)
    assert plans(world) == {}
    await world.drain()
    assert wrote(world) == []


async def test_a_plan_that_changes_is_shown_anew(world: World) -> None:
    """The newest plan stands; the ledger has each once."""
    (subscription,) = await remembered(world, 1)
    customer = str(world.stripe.subscriptions[subscription]["customer"])
    for status in ("unpaid", "paused", "paused", "unpaid"):
        world.stripe.set(subscription, status=status)
        await world.sync(customer, **SHADOW)
    assert plans(world) == {customer: [("suspend", "unpaid")]}
    rows = world.sql("SELECT rule FROM actions WHERE state = 'planned' ORDER BY id")
    assert [row["rule"] for row in rows] == ["unpaid", "paused", "unpaid"]


async def test_a_deadline_in_shadow_mode_is_kept_for_the_day_of_going_live(world: World) -> None:
    """The end of a grace stays on the queue in shadow mode, and is a suspension once it is live."""
    (subscription,) = await remembered(world, 1)
    customer = str(world.stripe.subscriptions[subscription]["customer"])
    failed = world.stripe.now() - 3 * 86400
    world.stripe.fail_payment(subscription, failed)
    await world.sync(customer, **SHADOW)
    assert [row["due_at"].timestamp() for row in world.due()] == [failed + 7 * 86400]
    assert plans(world) == {}
    world.hurry()
    await world.drain(GRACE_DAYS="2")
    assert world.service(subscription)["holds"] == ["unpaid"]


async def test_going_live_is_braked_like_everything_else(world: World) -> None:
    """A shadow plan of thirty suspensions suspends twenty."""
    subscriptions = await remembered(world, 30)
    for subscription in subscriptions:
        world.stripe.set(subscription, status="unpaid")
    await sweep(world, **SHADOW)
    assert len(plans(world)) == 30
    await world.drain()
    assert sum(one.suspended_by is not None for one in world.panel.subscriptions.values()) == 20
    assert sum(row["waits_for"] == "brake" for row in world.due()) == 10


async def test_paused_accepts_events_runs_nothing_and_catches_up(world: World) -> None:
    """Every delivery is stored and answered; neither drain, nor sweep, nor a person's sync reaches the panel."""
    customer, other = world.customer(), world.customer("Ben", "ben@example.com")
    world.buy(customer)
    async with world.functions(**PAUSED) as client:
        events = world.stripe.undelivered()
        answers = [await world.deliver(client, event) for event in events]
        assert {answer.status_code for answer in answers} == {200}
    assert world.sql("SELECT count(*) AS n FROM events") == [{"n": len(events)}]
    world.buy(other, domain="other.example")
    await sweep(world, **PAUSED)
    assert {row["key"] for row in world.due() if row["kind"] == "customer"} >= {customer, other}
    assert (wrote(world), world.panel.world()) == ([], NONE)
    await world.drain()
    assert world.panel.world() == dict.fromkeys(ONE, 2)
    assert world.due() == []


async def test_paused_runs_no_pass_that_a_person_asks_for_either(world: World) -> None:
    """Paused means that nothing is changed in the panel, whoever asks; it stays due."""
    customer = world.customer()
    world.buy(customer)
    with pytest.raises(Declined) as refused:
        await world.sync(customer, **PAUSED)
    assert refused.value.code == "paused"
    assert (wrote(world), world.panel.world()) == ([], NONE)
    await world.sync(customer)
    assert world.panel.world() == ONE


OBSTACLES = {
    "a plan that the panel does not have": "plan_not_found",
    "two plans of one name": "plan_ambiguous",
    "a smaller plan than what is used": "downgrade_blocked",
    "another's website": "domain_in_use",
    "a deleted website": "domain_reserved",
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_shadow_mode_does_not_promise_what_will_be_refused(world: World, obstacle: str) -> None:
    """What stops a live pass is parked in shadow mode already, with the same reason, and the rest is what is done."""
    customer = world.customer()
    price = "price_basic_monthly"
    match obstacle:
        case "a plan that the panel does not have":
            world.map_price(world.stripe.create_price("price_lost")["id"], "lost-plan")
            price = "price_lost"
        case "two plans of one name":
            world.panel.add_plan("big-hosting-plan")
            price = "price_big_monthly"
        case "a smaller plan than what is used":
            world.panel.add_plan("small", resources={"diskspace": 100})
            world.map_price(world.stripe.create_price("price_small")["id"], "small")
            subscription = world.buy(customer, domain=None)
            await world.sync(customer)
            world.panel.set_usage(world.only_subscription().id, diskspace=101)
            world.stripe.change_items(subscription, price="price_small", invoice="paid")
        case "another's website" | "a deleted website":
            other = world.panel.add_subscription(world.panel.add_customer("Another"), world.plan_id)
            site = world.panel.add_website(other, "shop.example")
            if obstacle == "a deleted website":
                world.panel.delete_by_hand(site)
    world.buy(customer, price)
    done, before = applied(world), world.panel.world()
    world.panel.forget_calls()
    await world.sync(customer, **SHADOW)
    assert (wrote(world), world.panel.world()) == ([], before)
    promised = plans(world)[customer]
    (row,) = world.due()
    assert row["parked_reason"] == OBSTACLES[obstacle]
    await world.sync(customer)
    assert applied(world)[len(done) :] == promised
    (row,) = world.due()
    assert row["parked_reason"] == OBSTACLES[obstacle]


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_a_list_that_only_a_dry_run_reads_stops_nobody(world: World, status: int) -> None:
    """A panel that declines to search its websites: shadow mode plans what a live pass then does."""
    customer = world.customer()
    world.buy(customer)
    world.panel.fail_next("GET", "/websites$", status, code="bad_request", times=9)
    await world.sync(customer, **SHADOW)
    world.panel.clear_faults()
    assert world.due() == []
    promised = plans(world)[customer]
    await world.sync(customer)
    assert applied(world) == promised
