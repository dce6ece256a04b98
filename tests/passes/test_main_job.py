"""The main job, end to end: a signed event becomes an account, a login, a subscription and a website, once."""

import asyncio
import math
from collections.abc import Callable, Sequence

import pytest

from scripts.sim.stripe_sim import Obj
from tests.world import BASIC, World

ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
NONE = dict.fromkeys(ONE, 0)
DAY = 86400


def checkout(world: World, domain: str) -> Obj:
    """A buyer goes through a Checkout page that asks for the domain; the finished session."""
    session = world.stripe.create_checkout(
        mode="subscription",
        line_items=[{"price": "price_basic_monthly", "quantity": 1}],
        success_url="https://shop.example/thanks",
        custom_fields=[{"key": "domain", "type": "text", "label": {"type": "custom", "custom": "Domain"}}],
    )
    return world.stripe.complete_checkout(session["id"], "ada@example.com", "Ada Example", domain)


def parked(world: World) -> list[str]:
    """The reasons for which somebody is parked."""
    return [row["parked_reason"] for row in world.due() if row["parked_reason"]]


def suspended(world: World) -> bool:
    """Whether the one hosting subscription is suspended."""
    return world.only_subscription().suspended_by is not None


# --- once, whatever is delivered --------------------------------------------------------------------------------------

ORDERS: dict[str, Callable[[list[Obj]], Sequence[Obj]]] = {
    "in order": lambda events: events,
    "reversed": lambda events: events[::-1],
    "doubled": lambda events: [event for event in events for _ in range(2)],
    "only the first": lambda events: events[:1],
    "only the last": lambda events: events[-1:],
}


@pytest.mark.parametrize("order", ORDERS)
async def test_all_events_of_a_checkout(world: World, order: str) -> None:
    """However the events of one purchase arrive, one of everything exists, on the plan and domain that were bought."""
    checkout(world, domain="shop.example")
    events = [e for e in world.stripe.undelivered() if e["type"].startswith(("checkout.", "customer.sub", "invoice."))]
    async with world.functions() as client:
        for event in ORDERS[order](events):
            answer = await world.deliver(client, event)
            assert answer.status_code == 200, answer.text
    assert world.panel.world() == ONE
    assert world.only_subscription().plan_id == world.plan_id
    assert [site.domain for site in world.panel.websites.values()] == ["shop.example"]
    assert len(world.panel.recovery_mails) == 1
    assert world.due() == []
    assert world.dangling() == []


async def test_one_event_twenty_times_at_once_and_later_again(world: World) -> None:
    """Doubled deliveries end in one stored event, one of everything in the panel, and one set-password mail."""
    world.buy(world.customer())
    (event,) = world.stripe.events_of("customer.subscription.created")
    async with world.functions() as one, world.bridge() as other:
        elsewhere = asyncio.create_task(other.drain(deadline=math.inf))
        answers = await asyncio.gather(*(world.deliver(one, event) for _ in range(20)))
        await elsewhere
        later = await world.deliver(one, event)
    assert {answer.status_code for answer in answers} == {200}
    assert later.json() == {"received": True, "new": False}
    assert sum(answer.json()["new"] for answer in answers) == 1
    assert world.sql("SELECT count(*) AS n FROM events")[0]["n"] == 1
    assert world.panel.world() == ONE
    assert len(world.panel.recovery_mails) == 1
    assert world.due() == []


async def test_the_mapping_of_the_documentation_provisions_the_plan_of_that_name(world: World) -> None:
    """The literal INSERT that the panel's operators type is all that a new price needs."""
    world.sql("DELETE FROM plan_mappings")
    world.sql(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('stripe', 'price_basic_monthly', 'basic-hosting-plan');"
    )
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    assert world.panel.plans[world.only_subscription().plan_id].name == "basic-hosting-plan"


async def test_a_mapping_may_name_the_plan_by_number(world: World) -> None:
    """An integer id works as the name does."""
    world.sql("UPDATE plan_mappings SET enhance_plan_id = %s", str(world.big_plan_id))
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    assert world.only_subscription().plan_id == world.big_plan_id


# --- what a pass costs ------------------------------------------------------------------------------------------------


async def test_a_first_provisioning_asks_stripe_once_and_the_panel_ten_times(world: World) -> None:
    """The truth is one list call, and no step in the panel is done twice."""
    customer = world.customer()
    world.buy(customer)
    report = await world.sync(customer)
    assert len(world.stripe.calls) == report.stripe_calls == 1
    assert len(world.panel.calls) == report.panel_calls <= 10
    assert world.panel.world() == ONE


async def test_a_domain_typed_at_checkout_costs_one_more_call(world: World) -> None:
    """Only the Checkout session knows a custom field, so it is asked, once."""
    session = checkout(world, domain="Shop.Example")
    report = await world.sync(session["customer"])
    assert len(world.stripe.calls) == report.stripe_calls == 2
    assert report.panel_calls <= 10
    assert world.service(session["subscription"])["domain"] == "shop.example"
    world.stripe.calls.clear()
    await world.sync(session["customer"])
    assert len(world.stripe.calls) == 1


@pytest.mark.parametrize("domain", ["shop.example", None])
async def test_an_unchanged_customer_costs_one_call_each_and_writes_nothing(world: World, domain: str | None) -> None:
    """A pass that finds both sides equal leaves every row exactly as it was, down to the transaction that wrote it."""
    customer = world.customer()
    world.buy(customer, domain=domain)
    await world.sync(customer)
    before, panel = world.dump(), world.panel.world()
    world.stripe.calls.clear()
    world.panel.forget_calls()
    await world.sync(customer)
    assert (len(world.stripe.calls), len(world.panel.calls)) == (1, 1)
    assert world.dump() == before
    assert world.panel.world() == panel


async def test_an_unchanged_suspended_customer_writes_nothing(world: World) -> None:
    """Being held is a state like any other: looking at it again changes no row."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription, world.stripe.now() - 8 * DAY)
    await world.sync(customer)
    before = world.dump()
    world.panel.forget_calls()
    await world.sync(customer)
    assert suspended(world)
    assert world.dump() == before
    assert len(world.panel.calls) == 1


# --- money comes and goes ---------------------------------------------------------------------------------------------


async def test_grace_then_suspension_then_paid_again(world: World) -> None:
    """A failed payment changes nothing for the length of the grace, then suspends; the payment lifts it."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    failed = world.stripe.now() - 3 * DAY
    world.stripe.fail_payment(subscription, failed)
    report = await world.sync(customer)
    assert not suspended(world)
    assert world.service(subscription)["grace_until"].timestamp() == failed + 7 * DAY
    assert world.due()[0]["due_at"].timestamp() == failed + 7 * DAY
    assert report.actions == ()

    await world.sync(customer, GRACE_DAYS="2")
    row = world.service(subscription)
    assert suspended(world)
    assert (row["holds"], row["state"]) == (["unpaid"], "suspended")
    assert row["suspended_by"] is not None

    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer, GRACE_DAYS="2")
    row = world.service(subscription)
    assert not suspended(world)
    assert (row["holds"], row["state"], row["suspended_by"]) == ([], "live", None)
    assert world.due() == []
    assert world.panel.world() == ONE


async def test_the_mappings_own_grace_wins(world: World) -> None:
    """`grace_days` of a price is what its buyers get."""
    world.sql("UPDATE plan_mappings SET grace_days = 0")
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription, world.stripe.now() - 60)
    await world.sync(customer)
    assert suspended(world)


async def test_unpaid_is_held_without_grace(world: World) -> None:
    """When Stripe gave up on the money, the grace is over."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription, world.stripe.now() - 60)
    world.stripe.mark_unpaid(subscription)
    await world.sync(customer)
    assert suspended(world)
    assert world.service(subscription)["holds"] == ["unpaid"]


async def test_paused_and_resumed(world: World) -> None:
    """A paused subscription is held until it is resumed and paid."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.pause(subscription)
    await world.sync(customer)
    assert suspended(world)
    assert world.service(subscription)["holds"] == ["paused"]
    world.stripe.resume(subscription)
    await world.sync(customer)
    assert not suspended(world)


async def test_cancelled_is_suspended_and_kept(world: World) -> None:
    """Without a configured retention nothing is ever deleted."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.cancel(subscription, created=world.stripe.now() - 1000 * DAY)
    await world.sync(customer)
    assert suspended(world)
    assert world.panel.world() == ONE
    assert world.service(subscription)["holds"] == ["ended"]
    assert world.due() == []


async def test_a_cancellation_at_the_periods_end_changes_nothing_before(world: World) -> None:
    """What is paid for stays on until it ends."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.cancel(subscription, at_period_end=True)
    await world.sync(customer)
    assert not suspended(world)


async def test_retention_over_is_soft_deleted(world: World) -> None:
    """With a retention configured, what ended longer ago is deleted softly; the panel keeps the data."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.cancel(subscription, created=world.stripe.now() - 31 * DAY)
    await world.sync(customer, RETENTION_DAYS="32")
    assert world.panel.world()["subscriptions"] == 1
    assert world.due()[0]["due_at"] == world.service(subscription)["retain_until"]
    await world.sync(customer, RETENTION_DAYS="30")
    assert world.panel.world() == {**ONE, "subscriptions": 0, "websites": 0}
    assert len(world.panel.subscriptions) == 1
    assert world.service(subscription)["state"] == "terminated"
    assert world.panel.count("DELETE", "") == 1
    assert not any("force" in call.query for call in world.panel.calls)


async def test_a_plan_change_up_and_down(world: World) -> None:
    """The hosting subscription is moved, never made anew."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    number = world.only_subscription().id
    for price, plan in (("price_big_monthly", world.big_plan_id), ("price_basic_monthly", world.plan_id)):
        world.stripe.change_items(subscription, price=price, invoice="paid")
        await world.sync(customer)
        assert (world.only_subscription().id, world.only_subscription().plan_id) == (number, plan)
    assert world.panel.world() == ONE


async def test_a_replaced_item_is_a_plan_change(world: World) -> None:
    """Another item in the same place moves the service, as the portal does it."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.change_items(subscription, replace=["price_big_monthly"], invoice="paid")
    await world.sync(customer)
    assert world.only_subscription().plan_id == world.big_plan_id
    assert world.panel.world() == ONE


async def test_a_plan_change_waits_for_its_payment(world: World) -> None:
    """While the invoice of the change is open the present plan stays and says so; the payment moves it."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="open")
    await world.sync(customer)
    assert world.only_subscription().plan_id == world.plan_id
    assert world.service(subscription)["waits_for"] == "change_waits_for_payment"
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer)
    assert world.only_subscription().plan_id == world.big_plan_id
    assert world.service(subscription)["waits_for"] is None


async def test_a_downgrade_that_does_not_fit_is_parked_with_the_numbers(world: World) -> None:
    """Nothing is moved into a plan that is too small for what is used."""
    small = world.panel.add_plan("small", resources={"diskspace": 100})
    world.stripe.create_price("price_small_monthly")
    world.map_price("price_small_monthly", str(small))
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.panel.set_usage(world.only_subscription().id, diskspace=101)
    world.stripe.change_items(subscription, price="price_small_monthly", invoice="paid")
    await world.sync(customer)
    assert world.only_subscription().plan_id == world.plan_id
    assert parked(world) == ["downgrade_blocked"]
    assert "101 of 100" in world.due()[0]["problems"][0]["detail"]


async def test_two_subscriptions_of_one_customer_keep_to_themselves(world: World) -> None:
    """They share organisation and login; the trouble of one does not touch the other, and one mail is sent."""
    customer = world.customer()
    first = world.buy(customer, domain="one.example")
    second = world.buy(customer, "price_big_monthly", domain="two.example")
    await world.sync(customer)
    assert world.panel.world() == {**ONE, "subscriptions": 2, "websites": 2}
    world.stripe.cancel(first)
    await world.sync(customer)
    ids = [world.service(one)["panel_subscription_id"] for one in (first, second)]
    assert [world.panel.subscriptions[one].suspended_by is not None for one in ids] == [True, False]
    assert len(world.panel.recovery_mails) == 1


@pytest.mark.parametrize("when", ["before", "while held"])
async def test_a_suspension_made_by_hand_is_never_lifted(world: World, when: str) -> None:
    """Somebody in the panel had a reason that we don't know: neither payment nor anything else lifts it."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    if when == "while held":
        world.stripe.pause(subscription)
        await world.sync(customer)
        world.panel.resume_by_hand(world.only_subscription().id)
    world.panel.suspend_by_hand(world.only_subscription().id)
    await world.sync(customer)
    if when == "while held":
        world.stripe.resume(subscription)
        await world.sync(customer)
    assert world.only_subscription().suspended_by == world.panel.staff_id
    assert world.service(subscription)["panel_suspended"] is True
    world.panel.resume_by_hand(world.only_subscription().id)
    await world.sync(customer)
    assert world.service(subscription)["panel_suspended"] is False


# --- money that is under way ------------------------------------------------------------------------------------------


async def test_a_bank_debit_under_way_makes_nothing_until_it_arrives(world: World) -> None:
    """`activate_on = 'paid'`: an active subscription whose first invoice is still open waits, and is no failure."""
    customer = world.customer()
    subscription = world.buy(customer, payment="processing")
    await world.sync(customer)
    assert world.panel.world() == NONE
    assert parked(world) == []
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer)
    assert world.panel.world() == ONE


async def test_a_price_may_be_delivered_while_its_debit_is_under_way(world: World) -> None:
    """`activate_on = 'processing'` trusts the debit."""
    world.sql("UPDATE plan_mappings SET activate_on = 'processing'")
    customer = world.customer()
    world.buy(customer, payment="processing")
    await world.sync(customer)
    assert world.panel.world() == ONE


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired", "canceled", "unpaid", "paused"])
async def test_what_was_never_on_makes_nothing(world: World, status: str) -> None:
    """Off states of something that was never made make nothing at all in the panel."""
    customer = world.customer()
    world.buy(customer, status=status)
    await world.sync(customer)
    assert world.panel.world() == NONE
    assert world.panel.calls == []


async def test_a_trial_is_on(world: World) -> None:
    """Nobody waits for money that is not owed yet."""
    customer = world.customer()
    world.buy(customer, status="trialing")
    await world.sync(customer)
    assert world.panel.world() == ONE


# --- noise ------------------------------------------------------------------------------------------------------------


async def test_what_stripe_trigger_sends_is_stored_and_leaves_at_most_one_parked_line(world: World) -> None:
    """Fixture objects without customer, or of a price nobody sells, neither fail nor reach the panel."""
    stripe = world.stripe
    stripe.create_price("price_fixture")
    stripe.create_price("price_once", interval=None)
    fixture = stripe.create_customer(name=None, email=None)["id"]
    stripe.subscribe(fixture, ["price_fixture"])
    guest = stripe.create_checkout(
        mode="payment",
        line_items=[{"price": "price_once", "quantity": 1}],
        success_url="https://shop.example/thanks",
    )
    stripe.complete_checkout(guest["id"], email="guest@example.com")
    stripe.refund(stripe.get(guest["id"])["payment_intent"])
    async with world.functions() as client:
        for event in stripe.undelivered():
            assert (await world.deliver(client, event)).status_code == 200
    stored = world.sql("SELECT count(*) AS n FROM events")[0]["n"]
    assert stored == len(stripe.events)
    assert parked(world) == ["unmapped_price"]
    assert len(world.due()) == 1
    assert world.ledger() == ["parked"]
    assert world.panel.calls == []


async def test_an_unmapped_price_runs_by_itself_once_it_is_mapped(world: World) -> None:
    """A plain INSERT wakes whoever waits for that price; nobody has to press anything."""
    world.stripe.create_price("price_new")
    customer = world.customer()
    world.buy(customer, "price_new")
    await world.sync(customer)
    assert parked(world) == ["unmapped_price"]
    assert world.panel.world() == NONE
    await world.drain()
    world.sql(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('stripe', 'price_new', 'basic-hosting-plan')"
    )
    await world.drain()
    assert world.panel.world() == ONE
    assert world.due() == []


async def test_a_plan_that_the_panel_lacks_is_parked_and_runs_once_corrected(world: World) -> None:
    """A mapping with a misspelt plan makes no subscription; correcting it by SQL is enough."""
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'no-such-plan'")
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    assert parked(world) == ["plan_not_found"]
    assert world.panel.world()["subscriptions"] == 0
    world.sql("UPDATE plan_mappings SET enhance_plan_id = %s", BASIC)
    await world.drain()
    assert world.panel.world() == ONE


# --- the other side is wrong, away or busy ----------------------------------------------------------------------------


async def test_a_wrong_stripe_key_changes_nothing(world: World) -> None:
    """With a refused key nobody is known to be unpaid: nothing is suspended or terminated, and it is tried again."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    before, panel = world.dump(), world.panel.world()
    world.panel.forget_calls()
    await world.sync(customer, STRIPE_SECRET_KEY="sk_test_another_fake", RETENTION_DAYS="1")
    assert world.dump() == before
    assert world.panel.world() == panel
    assert world.panel.calls == []
    assert "stripe_key" in world.due()[0]["last_error"]
    assert world.due()[0]["attempts"] == 1


async def test_an_account_that_does_not_know_the_customer_changes_nothing(world: World) -> None:
    """The key of another account sees nobody: that parks, and is never taken for a cancellation."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.subscriptions.drop(subscription)
    world.stripe.customers.drop(customer)
    await world.sync(customer, RETENTION_DAYS="1")
    assert parked(world) == ["unknown_customer"]
    assert not suspended(world)


async def test_stripe_away_changes_nothing_and_is_tried_again(world: World) -> None:
    """Without the truth there is no decision."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    before = world.dump()
    world.stripe.down = True
    await world.sync(customer)
    assert world.dump() == before
    assert (world.due()[0]["attempts"], parked(world)) == (1, [])


async def test_a_deleted_stripe_customer_is_a_cancelled_one(world: World) -> None:
    """Who was deleted at Stripe is held as ended, and keeps the name and the data."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.delete_customer(customer)
    await world.sync(customer)
    assert suspended(world)
    assert world.service(subscription)["holds"] == ["ended"]
    assert [org.name for org in world.panel.orgs.values()] == ["Ada Example"]
    assert parked(world) == []


async def test_a_refused_panel_token_is_nobodys_fault(world: World) -> None:
    """A wrong token is tried again and named in the error; no customer is parked for it."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, ENHANCE_API_TOKEN="another_fake_token")
    assert world.panel.world() == NONE
    assert "ENHANCE_API_TOKEN" in world.due()[0]["last_error"]
    assert parked(world) == []
    assert [row["kind"] for row in world.dangling()] == []
    await world.sync(customer)
    assert world.panel.world() == ONE


@pytest.mark.parametrize("status", [502, 503])
async def test_a_panel_that_is_away_or_updating_is_tried_again(world: World, status: int) -> None:
    """Whatever stands before the panel answers meanwhile: nothing is parked, and later one of everything exists."""
    customer = world.customer()
    world.buy(customer)
    world.panel.status_value = "updating"
    world.panel.fail_next("*", ".", status, times=1000)
    await world.sync(customer)
    world.hurry()
    await world.drain()
    assert world.panel.world() == NONE
    assert parked(world) == []
    assert world.due()[0]["attempts"] >= 1
    world.panel.clear_faults()
    assert await world.come_to_rest() == []
    assert world.panel.world() == ONE
    assert world.dangling() == []


async def test_the_panels_wish_to_wait_is_honoured(world: World) -> None:
    """`Retry-After` longer than a pass may wait goes to the queue, and counts from then on."""
    customer = world.customer()
    world.buy(customer)
    world.panel.fail_next("POST", "/customers$", 429, retry_after=1800)
    await world.sync(customer)
    (wait,) = world.sql("SELECT due_at - now() > interval '29 minutes' AS long FROM due")
    assert wait["long"]
    assert world.panel.count("POST", "/customers$") == 1


# --- domains ----------------------------------------------------------------------------------------------------------


def correct_domain(world: World, subscription: str, domain: str) -> None:
    """The operator types another `metadata.domain` in Stripe's dashboard."""
    stripe = world.stripe
    stripe.edit(stripe.get(subscription), stripe.now(), "customer.subscription.updated", metadata={"domain": domain})


async def test_no_domain_means_no_website_until_one_appears(world: World) -> None:
    """The account is made at once; the website follows when a domain is known, and costs no second account."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    await world.sync(customer)
    assert world.panel.world() == {**ONE, "websites": 0}
    assert world.due() == []
    correct_domain(world, subscription, "https://www.Shop.example/")
    async with world.functions() as client:
        await world.deliver(client, world.stripe.events_of("customer.subscription.updated")[-1])
    assert world.panel.world() == ONE
    assert [site.domain for site in world.panel.websites.values()] == ["shop.example"]
    assert len(world.panel.recovery_mails) == 1


async def test_a_checkout_event_that_comes_late_brings_the_domain(world: World) -> None:
    """A session that did not show its domain to the first pass is asked once more when its event arrives."""
    session = checkout(world, domain="shop.example")
    typed = session["custom_fields"]
    world.stripe.set(session["id"], custom_fields=[])
    await world.sync(session["customer"])
    assert world.panel.world() == {**ONE, "websites": 0}
    world.stripe.set(session["id"], custom_fields=typed)
    async with world.functions() as client:
        await world.deliver(client, world.stripe.events_of("checkout.session.completed")[0])
    assert world.panel.world() == ONE


async def test_a_session_that_the_list_lacks_after_its_event_is_asked_for_again(world: World) -> None:
    """Stripe's list of sessions may lag behind the event: the website follows by itself once it shows, or none ever."""
    session = checkout(world, domain="shop.example")
    bought = session["subscription"]
    world.stripe.set(session["id"], subscription=None)
    async with world.functions() as client:
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
    assert world.panel.world() == {**ONE, "websites": 0}

    def later(seconds: int) -> None:
        world.sql("UPDATE events SET received_at = received_at - make_interval(secs => %s)", seconds)
        world.sql("UPDATE services SET domain_sought_at = domain_sought_at - make_interval(secs => %s)", seconds)
        world.sql("UPDATE due SET due_at = due_at - make_interval(secs => %s)", seconds)

    later(31)
    await world.drain()
    assert world.panel.world() == {**ONE, "websites": 0}
    world.stripe.set(session["id"], subscription=bought)
    later(90)
    await world.drain()
    assert world.panel.world() == ONE
    assert world.due() == []
    other = checkout(world, domain="other.example")
    world.stripe.set(other["id"], subscription=None)
    async with world.functions() as client:
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
    for _ in range(3):
        assert len(world.due()) == 1
        later(600)
        await world.drain()
        if not world.due():
            break
    assert world.due() == []


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        ("another tenant", "domain_in_use"),
        ("another customer of ours", "domain_in_use"),
        ("below another customer's", "panel_refused"),
        ("a deleted site", "domain_reserved"),
        ("prohibited", "domain_prohibited"),
        ("no domain at all", "invalid_domain"),
    ],
)
async def test_a_domain_that_cannot_be_had_is_parked_until_it_is_corrected(
    world: World, obstacle: str, reason: str
) -> None:
    """The account and its mail are there meanwhile, and the website follows the correction."""
    wanted = "shop.example"
    match obstacle:
        case "another tenant":
            world.panel.reserve_domain_elsewhere(wanted)
        case "prohibited":
            world.panel.prohibit(wanted)
        case "no domain at all":
            wanted = "shop"
        case _:
            other = world.panel.add_subscription(world.panel.add_customer("Another"), world.plan_id)
            site = world.panel.add_website(other, "shop.example")
            if obstacle == "a deleted site":
                world.panel.delete_by_hand(site)
            elif obstacle.startswith("below"):
                wanted = "www2.shop.example"
    before = world.panel.world()
    customer = world.customer()
    subscription = world.buy(customer, domain=wanted)
    await world.sync(customer)
    made = {name: count - before[name] for name, count in world.panel.world().items()}
    assert made == {**ONE, "websites": 0}
    assert parked(world) == [reason]
    assert len(world.panel.recovery_mails) == 1
    correct_domain(world, subscription, "free.example")
    await world.sync(customer)
    assert world.panel.world()["websites"] == before["websites"] + 1
    assert world.due() == []
    assert len(world.panel.recovery_mails) == 1


async def test_an_international_domain_is_made_in_its_ascii_form(world: World) -> None:
    """Buyers type what they read; the panel gets punycode."""
    session = checkout(world, domain="www.Bücher.example")
    await world.sync(session["customer"])
    assert [site.domain for site in world.panel.websites.values()] == ["xn--bcher-kva.example"]


async def test_a_mapping_without_website_makes_none(world: World) -> None:
    """`create_website = false` sells the account alone, and nobody is asked for a domain."""
    world.sql("UPDATE plan_mappings SET create_website = false")
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    assert world.panel.world() == {**ONE, "websites": 0}
    assert parked(world) == []


# --- people -----------------------------------------------------------------------------------------------------------


async def test_two_stripe_customers_with_one_e_mail_share_a_login(world: World) -> None:
    """The panel has one login per e-mail: it becomes the owner of both organisations, which stay apart."""
    first, second = world.customer(), world.customer(email="Ada@Example.com")
    world.buy(first, domain="one.example")
    world.buy(second, domain="two.example")
    await asyncio.gather(world.sync(first), world.sync(second))
    await world.come_to_rest()
    assert world.panel.world() == {"orgs": 2, "logins": 1, "members": 2, "subscriptions": 2, "websites": 2}
    rows = world.sql("SELECT org_id, login_id, member_id FROM customers")
    assert [len({row[name] for row in rows}) for name in ("org_id", "login_id", "member_id")] == [2, 1, 2]


async def test_an_organisation_of_the_same_name_and_e_mail_is_never_adopted(world: World) -> None:
    """Somebody else's organisation stays theirs, however much it looks like this customer's."""
    world.panel.add_customer("Ada Example", "ada@example.com")
    (theirs,) = world.panel.orgs
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    assert world.panel.world() == {**ONE, "orgs": 2, "members": 2}
    assert world.panel.orgs[theirs].subscription_ids == []
    assert str(world.sql("SELECT org_id FROM customers")[0]["org_id"]) != theirs


async def test_a_customer_without_e_mail_is_parked_and_runs_once_it_is_known(world: World) -> None:
    """No login can be made without an e-mail, so nothing is; `customer.updated` is what starts it."""
    customer = str(world.stripe.create_customer(name="Ada Example")["id"])
    world.buy(customer)
    await world.sync(customer)
    assert parked(world) == ["no_email"]
    assert world.panel.world() == NONE
    world.stripe.update_customer(customer, email="ada@example.com")
    async with world.functions() as client:
        await world.deliver(client, world.stripe.events_of("customer.updated")[-1])
    assert world.panel.world() == ONE
    assert world.due() == []


async def test_a_new_name_is_followed_and_a_new_e_mail_noted(world: World) -> None:
    """The organisation is renamed; a login's e-mail can't be changed by the API, so the ledger tells the admin."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    world.stripe.update_customer(customer, name="Ada Lovelace", email="lovelace@example.com")
    await world.sync(customer)
    await world.sync(customer)
    assert [org.name for org in world.panel.orgs.values()] == ["Ada Lovelace"]
    assert world.ledger("noted") == ["email_changed"]
    assert world.panel.world() == ONE
    assert len(world.panel.recovery_mails) == 1


async def test_no_mail_where_the_operator_wants_none(world: World) -> None:
    """`WELCOME=none` leaves the first contact to the operator."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, WELCOME="none")
    assert world.panel.world() == ONE
    assert world.panel.recovery_mails == []


# --- things done by hand in the panel ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["organisation", "subscription"])
async def test_what_was_deleted_by_hand_is_shown_and_not_made_again(world: World, what: str) -> None:
    """A person deleted it for a reason; the customer is parked until a person decides."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    world.panel.delete_by_hand(next(iter(world.panel.orgs)) if what == "organisation" else world.only_subscription().id)
    gone = world.panel.world()
    await world.sync(customer)
    assert parked(world) == ["panel_deleted"]
    assert world.panel.world() == gone


async def test_a_plan_changed_by_hand_is_put_back_to_what_was_bought(world: World) -> None:
    """The panel ends up equal to Stripe."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    world.panel.change_plan_by_hand(world.only_subscription().id, world.big_plan_id)
    await world.sync(customer)
    assert world.only_subscription().plan_id == world.plan_id


# --- modes ------------------------------------------------------------------------------------------------------------


async def test_an_event_of_another_mode_makes_nobody_due(world: World) -> None:
    """It is stored as ignored and answered with 200; a test event never touches live customers, nor the other way."""
    world.buy(world.customer())
    event = {**world.stripe.events_of("customer.subscription.created")[0], "livemode": True}
    async with world.functions() as client:
        assert (await world.deliver(client, event)).status_code == 200
    assert world.sql("SELECT outcome FROM events") == [{"outcome": "ignored"}]
    assert world.due() == []
    assert world.panel.world() == NONE


async def test_a_thin_notification_is_enough(world: World) -> None:
    """Type, id and related object are all that is needed to find whose pass it is."""
    world.buy(world.customer())
    thin = world.stripe.thin(world.stripe.events_of("customer.subscription.created")[0])
    async with world.functions() as client:
        assert (await world.deliver(client, thin)).status_code == 200
    await world.come_to_rest()
    assert world.panel.world() == ONE


async def test_paused_provisioning_takes_everything_in_and_does_nothing(world: World) -> None:
    """`PROVISIONING_MODE=paused`: events are kept, and run once it is live again."""
    world.buy(world.customer())
    async with world.functions(PROVISIONING_MODE="paused") as client:
        await world.deliver(client, world.stripe.events_of("customer.subscription.created")[0])
    assert world.panel.world() == NONE
    assert len(world.due()) == 1
    await world.drain()
    assert world.panel.world() == ONE


async def test_a_dry_run_changes_nothing_and_tells_all(world: World) -> None:
    """What would be done is answered, and not a row or a thing in the panel is touched."""
    customer = world.customer()
    world.buy(customer)
    async with world.bridge() as manager:
        report = await manager.reconcile(customer, dry_run=True)
    assert [action.kind.value for action in report.actions][:3] == ["create_org", "create_login", "add_owner"]
    assert world.panel.world() == NONE
    assert {table: len(rows) for table, rows in world.dump().items()} == {"customers": 0, "services": 0, "actions": 0}
    assert world.due() == []
