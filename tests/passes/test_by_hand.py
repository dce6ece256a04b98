"""What people do in the panel by hand: what is ours is put right by the next sweep, the rest is left and shown."""

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from lib.model import Failed
from tests.world import ADMIN_KEY, BASIC, World

ONE = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


async def sweep(world: World, **environ: str) -> dict[str, int]:
    """One whole sweep and the passes it asks for, in a fresh process."""
    async with world.bridge(**environ) as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
        await manager.drain(deadline=time.monotonic() + 300)
    assert report.finished
    return report.counts


async def still(world: World) -> None:
    """Another sweep finds nothing more to do."""
    world.panel.forget_calls()
    counts = await sweep(world)
    assert counts.get("marked", 0) == 0
    assert {call.method for call in world.panel.calls} == {"GET"}


def parked(world: World) -> list[str]:
    """The reasons for which somebody is parked."""
    return [row["parked_reason"] for row in world.due() if row["parked_reason"]]


async def running(world: World, domain: str = "shop.example") -> tuple[str, int]:
    """A customer whose service runs and is known to a sweep: the Stripe and the panel subscription."""
    subscription = world.buy(world.customer(), domain=domain)
    await sweep(world)
    await sweep(world)
    return subscription, int(world.service(subscription)["panel_subscription_id"])


# --- suspended and resumed --------------------------------------------------------------------------------------------


async def test_a_suspension_made_by_hand_is_found_shown_and_never_lifted(world: World) -> None:
    """The sweep shows it; neither failing nor paying, nor being held and released by us, lifts it."""
    subscription, number = await running(world)
    world.panel.suspend_by_hand(number)
    world.panel.forget_calls()
    await sweep(world)
    assert world.service(subscription)["panel_suspended"] is True
    world.stripe.fail_payment(subscription, world.stripe.now() - 30 * 86400)
    await sweep(world)
    world.stripe.pay_open_invoice(subscription)
    await sweep(world)
    world.stripe.pause(subscription)
    await sweep(world)
    world.stripe.resume(subscription)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by == world.panel.staff_id
    assert {call.method for call in world.panel.calls} == {"GET"}
    assert world.service(subscription)["panel_suspended"] is True
    await still(world)
    world.panel.resume_by_hand(number)
    await sweep(world)
    assert world.service(subscription)["panel_suspended"] is False
    await still(world)


async def test_a_hand_that_lets_go_is_seen_even_if_no_sweep_saw_it_take_hold(world: World) -> None:
    """A suspension that only a pass had seen is no longer shown after the sweep that finds the site running."""
    subscription, number = await running(world)
    world.panel.suspend_by_hand(number)
    await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    assert world.service(subscription)["panel_suspended"] is True
    world.panel.resume_by_hand(number)
    await sweep(world)
    assert world.service(subscription)["panel_suspended"] is False


@pytest.mark.parametrize("swept", [True, False], ids=["after a sweep saw it held", "before any sweep saw it held"])
async def test_what_was_resumed_by_hand_is_held_again(world: World, swept: bool) -> None:
    """Who has not paid stays off: one sweep suspends again what somebody switched on."""
    subscription, number = await running(world)
    world.stripe.set(subscription, status="unpaid")
    await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    if swept:
        await sweep(world)
    assert world.panel.subscriptions[number].suspended_by is not None
    world.panel.resume_by_hand(number)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by is not None
    assert world.service(subscription)["holds"] == ["unpaid"]
    await still(world)


async def test_when_a_hand_lets_go_of_an_unpaid_service_ours_takes_hold_and_a_payment_lifts_it(world: World) -> None:
    """Two suspensions of one service stay two: the hand's goes with the hand, ours with the payment."""
    subscription, number = await running(world)
    world.panel.suspend_by_hand(number)
    world.stripe.fail_payment(subscription, world.stripe.now() - 30 * 86400)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by == world.panel.staff_id
    world.panel.resume_by_hand(number)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by not in (None, world.panel.staff_id)
    world.stripe.pay_open_invoice(subscription)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by is None
    await still(world)


async def test_an_organisation_suspended_by_hand_is_shown_and_not_touched(world: World) -> None:
    """The customers' list shows who is suspended as a whole; we neither lift it nor suspend below it for that."""
    subscription, number = await running(world)
    (org_id,) = world.panel.orgs
    world.panel.suspend_by_hand(org_id)
    world.panel.forget_calls()
    await sweep(world)
    assert world.sql("SELECT org_suspended FROM customers") == [{"org_suspended": True}]
    assert world.panel.orgs[org_id].suspended_by == world.panel.staff_id
    assert world.panel.subscriptions[number].suspended_by is None
    assert {call.method for call in world.panel.calls} == {"GET"}
    assert parked(world) == []
    await still(world)
    world.panel.resume_by_hand(org_id)
    await sweep(world)
    assert world.sql("SELECT org_suspended FROM customers") == [{"org_suspended": False}]
    assert world.service(subscription)["state"] == "live"
    await still(world)


async def test_a_website_switched_off_by_hand_is_left(world: World) -> None:
    """One site of a paid service that staff disabled stays disabled, and does not cost a pass at every sweep."""
    await running(world)
    (site,) = world.panel.websites
    world.panel.suspend_by_hand(site)
    await sweep(world)
    assert world.panel.websites[site].suspended_by == world.panel.staff_id
    await still(world)


# --- moved and renamed ------------------------------------------------------------------------------------------------


async def test_a_plan_moved_by_hand_is_moved_back(world: World) -> None:
    """The panel ends up on the plan that is paid for."""
    _, number = await running(world)
    world.panel.change_plan_by_hand(number, world.big_plan_id)
    await sweep(world)
    assert world.panel.subscriptions[number].plan_id == world.plan_id
    await still(world)


async def test_a_plan_moved_by_hand_and_bought_the_same_day_stays(world: World) -> None:
    """Staff were faster than the buyer: what is on the bought plan already is not moved at all."""
    subscription, number = await running(world)
    world.panel.change_plan_by_hand(number, world.big_plan_id)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
    world.panel.forget_calls()
    await sweep(world)
    assert world.panel.subscriptions[number].plan_id == world.big_plan_id
    assert {call.method for call in world.panel.calls} == {"GET"}
    await still(world)


async def test_a_renamed_subscription_gets_its_mark_back(world: World) -> None:
    """The name that somebody gave stays, with our mark behind it; only then can a lost memory be found again."""
    subscription, number = await running(world)
    world.panel.rename_by_hand(number, "Ada's shop")
    await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    assert world.panel.subscriptions[number].friendly_name == f"Ada's shop [{subscription}]"
    await still(world)


async def test_an_organisation_renamed_by_hand_gets_its_name_back(world: World) -> None:
    """The name follows Stripe: one sweep puts it right, before any sweep had seen it as well as after, and once."""
    subscription = world.buy(world.customer())
    await world.drain()
    await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    (org_id,) = world.panel.orgs
    for name in ("Ada & Sons", "Somebody else"):
        world.panel.rename_by_hand(org_id, name)
        await sweep(world)
        assert world.panel.orgs[org_id].name == "Ada Example"
        await still(world)
    assert world.ledger("applied").count("rename_org") == 3
    world.stripe.update_customer(str(world.stripe.subscriptions[subscription]["customer"]), name="Ada Ltd")
    await sweep(world)
    assert world.panel.orgs[org_id].name == "Ada Ltd"
    await still(world)


async def test_a_panel_that_spells_names_in_its_own_way_is_not_asked_for_ever(world: World) -> None:
    """It cuts or trims what it is given: after each change of the name at most one more try, and then it is at rest."""

    def spelt_its_own_way() -> None:
        world.panel.rename_by_hand(org_id, world.panel.orgs[org_id].name.upper()[:8])

    subscription, _ = await running(world)
    (org_id,) = world.panel.orgs
    for change in ("nothing", "by hand", "at Stripe"):
        if change == "by hand":
            world.panel.rename_by_hand(org_id, "Somebody else")
        if change == "at Stripe":
            world.stripe.update_customer(str(world.stripe.subscriptions[subscription]["customer"]), name="Ada Ltd & Co")
        for _ in range(3):
            await sweep(world)
            spelt_its_own_way()
        await still(world)


@pytest.mark.parametrize("how", ["adopted", "erased"])
async def test_a_name_that_is_not_ours_is_left(world: World, how: str) -> None:
    """What was adopted keeps the name that it came with, and of who was erased no name is remembered."""
    subscription, _ = await running(world)
    (org_id,) = world.panel.orgs
    if how == "adopted":
        world.sql("UPDATE services SET adopted = true")
    else:
        world.sql("UPDATE customers SET erased_at = now(), org_name = NULL, panel_name = NULL")
    world.panel.rename_by_hand(org_id, "Ada & Sons")
    await still(world)
    await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    assert world.panel.orgs[org_id].name == "Ada & Sons"


async def test_the_mark_of_another_subscription_moves_nothing(world: World) -> None:
    """Somebody copies one subscription's name onto another one: ids that are remembered win over any name."""
    first, number = await running(world)
    other = world.buy(str(world.stripe.subscriptions[first]["customer"]), "price_big_monthly", domain="two.example")
    await sweep(world)
    second = int(world.service(other)["panel_subscription_id"])
    world.panel.rename_by_hand(second, world.panel.subscriptions[number].friendly_name)
    world.stripe.mark_unpaid(other)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by is None
    assert world.panel.subscriptions[second].suspended_by is not None
    assert world.panel.world() == {**ONE, "subscriptions": 2, "websites": 2}


# --- deleted and restored ---------------------------------------------------------------------------------------------


def _the_org(world: World) -> str:
    return next(iter(world.panel.orgs))


def _the_subscription(world: World) -> int:
    return next(iter(world.panel.subscriptions))


@pytest.mark.parametrize("force", [False, True], ids=["softly", "for good"])
@pytest.mark.parametrize("what", [_the_org, _the_subscription], ids=["organisation", "subscription"])
async def test_what_was_deleted_by_hand_is_found_and_parked_with_the_remedy(
    world: World, what: Callable[[World], int | str], force: bool
) -> None:
    """One sweep parks the customer and says what to do; nothing is made again, and no later sweep makes it."""
    await running(world)
    world.panel.delete_by_hand(what(world), force=force)
    gone = world.panel.world()
    for _ in range(2):
        await sweep(world)
        assert parked(world) == ["panel_deleted"]
        assert "restore" in world.due()[0]["problems"][0]["detail"]
        assert world.panel.world() == gone


@pytest.mark.parametrize("what", [_the_org, _the_subscription], ids=["organisation", "subscription"])
async def test_what_was_restored_by_hand_runs_on(world: World, what: Callable[[World], int | str]) -> None:
    """The same sweep that sees it again takes the customer out of the parked, and the rest goes on as before."""
    subscription, number = await running(world)
    world.panel.delete_by_hand(what(world))
    await sweep(world)
    world.panel.restore_by_hand(what(world))
    await sweep(world)
    assert world.due() == []
    assert world.panel.world() == ONE
    await still(world)
    world.stripe.mark_unpaid(subscription)
    await sweep(world)
    assert world.panel.subscriptions[number].suspended_by is not None


async def test_one_deleted_by_hand_stops_no_other(world: World) -> None:
    """The customer is parked for the deleted one; their other subscription is still suspended and resumed in time."""
    first, number = await running(world)
    other = world.buy(str(world.stripe.subscriptions[first]["customer"]), "price_big_monthly", domain="two.example")
    await sweep(world)
    second = int(world.service(other)["panel_subscription_id"])
    world.panel.delete_by_hand(number)
    world.stripe.pause(other)
    await sweep(world)
    assert world.panel.subscriptions[second].suspended_by is not None
    world.stripe.resume(other)
    await sweep(world)
    assert world.panel.subscriptions[second].suspended_by is None
    assert parked(world) == ["panel_deleted"]


@pytest.mark.parametrize("force", [False, True], ids=["softly", "for good"])
async def test_a_website_deleted_by_hand_is_shown_and_made_anew_on_request(world: World, force: bool) -> None:
    """The dashboard names customer, subscription and domain; recreate makes it on the hosting that is there."""
    subscription, number = await running(world)
    other, _ = await running(world, "other.example")
    customer = str(world.stripe.subscriptions[subscription]["customer"])
    old = str(world.service(subscription)["website_id"])
    world.panel.delete_by_hand(old, force=force)
    await sweep(world)
    gone = {"customerId": customer, "subscriptionId": subscription, "slot": 1, "domain": "shop.example"}
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with world.functions() as client:
        shown = (await client.get("/api/admin/dashboard", headers=admin)).json()
        assert shown["websitesGone"] == {"total": 1, "services": [gone]}
        refused = {"action": "recreate", "subscriptionId": other}
        assert (await client.post("/api/admin/work", json=refused, headers=admin)).status_code == 409
        body = {"action": "recreate", "subscriptionId": subscription}
        answer = await client.post("/api/admin/work", json=body, headers=admin)
        assert answer.status_code == 200, answer.text
        if not force:  # it still reserves the domain
            assert answer.json()["outcome"]["reason"] == "domain_reserved"
            world.panel.delete_by_hand(old, force=True)
            await sweep(world)
        shown = (await client.get("/api/admin/dashboard", headers=admin)).json()
    assert shown["websitesGone"] == {"total": 0, "services": []}
    made = world.panel.websites[str(world.service(subscription)["website_id"])]
    assert (made.subscription_id, made.id != old, world.panel.world()["websites"]) == (number, True, 2)
    await world.drain()
    assert world.due() == []
    await still(world)


async def test_a_website_deleted_by_hand_is_noted_and_not_made_again(world: World) -> None:
    """Owners may delete their own site: it is shown as gone, nobody is parked, nothing is made."""
    subscription, number = await running(world)
    (site,) = world.panel.websites
    world.panel.delete_by_hand(site)
    for _ in range(2):
        await sweep(world)
        assert world.service(subscription)["website_gone"] is True
        assert world.panel.world() == {**ONE, "websites": 0}
        assert parked(world) == []
    world.panel.restore_by_hand(site)
    await sweep(world)
    assert world.service(subscription)["website_gone"] is False
    assert world.panel.subscriptions[number].suspended_by is None
    await still(world)


async def test_what_was_made_by_hand_beside_ours_is_never_touched(world: World) -> None:
    """Another subscription and site in our customer's organisation are somebody else's, whatever happens to ours."""
    subscription, number = await running(world)
    (org_id,) = world.panel.orgs
    theirs = world.panel.add_subscription(org_id, world.big_plan_id, "by hand")
    world.panel.add_website(theirs, "hand.example")
    await sweep(world)
    await still(world)
    world.stripe.cancel(subscription, created=world.stripe.now() - 40 * 86400)
    await sweep(world, RETENTION_DAYS="30")
    assert world.panel.subscriptions[number].deleted
    found = world.panel.subscriptions[theirs]
    assert (found.deleted, found.suspended_by, found.plan_id) == (False, None, world.big_plan_id)


async def test_a_panel_plan_renamed_by_hand_parks_and_runs_when_the_mapping_follows(world: World) -> None:
    """A mapping by name whose plan is gone from the panel touches nothing that runs, and says what is missing."""
    subscription, number = await running(world)
    world.panel.plans[world.plan_id].name = "Renamed"
    customer = str(world.stripe.subscriptions[subscription]["customer"])
    await world.sync(customer)
    assert parked(world) == ["plan_not_found"]
    assert world.panel.subscriptions[number].plan_id == world.plan_id
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'Renamed' WHERE enhance_plan_id = %s", BASIC)
    await world.drain()
    assert world.due() == []
    assert world.panel.subscriptions[number].plan_id == world.plan_id


async def test_a_plan_renamed_while_its_old_name_is_remembered_moves_nobody(world: World) -> None:
    """A process that knows the plan by its old name still compares ids: one pass, and not one change in the panel."""
    async with world.bridge() as manager:
        customer = world.customer()
        world.buy(customer)
        await manager.reconcile(customer)
        world.panel.plans[world.plan_id].name = "Renamed"
        before = world.ledger()
        report = await manager.reconcile(customer)
    assert report.actions == ()
    assert world.ledger() == before


async def test_nobody_is_moved_while_the_plans_cannot_be_listed(world: World) -> None:
    """A list that is missing proves nothing: the pass fails and is repeated, and nothing is changed."""
    subscription, number = await running(world)
    world.panel.plans[world.plan_id].name = "Renamed"
    world.panel.fail_next("GET", "/plans", status=500, times=20)
    report = await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    assert (isinstance(report.outcome, Failed), report.actions) == (True, ())
    assert world.panel.subscriptions[number].plan_id == world.plan_id


async def test_what_is_called_for_again_in_the_same_pass_is_parked_and_the_rest_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever makes a decision blind to what was just done, it is done once, shown, and stops no other service."""
    customer = world.customer()
    first = world.buy(customer, domain=None)
    await world.sync(customer)
    world.buy(customer, "price_big_monthly", domain="shop.example")
    blind = sys.modules["lib.policy.next_action"]
    monkeypatch.setattr(blind, "on_plan", lambda found, *_: found.plan_id == world.big_plan_id)
    report = await world.sync(customer)
    assert [(action.kind.value, str(action.service)) for action in report.actions].count(("change_plan", first)) == 1
    assert parked(world) == ["no_progress"]
    assert {site.domain for site in world.panel.websites.values()} == {"shop.example"}


async def test_a_name_that_a_sweep_found_during_a_pass_is_corrected_by_the_next_one(world: World) -> None:
    """The pass knows the name from before; what the sweep has seen since is not written over."""
    customer = world.customer()
    world.buy(customer)
    gate = world.panel.hold_next("PUT", "password-recovery", "before")
    passing = asyncio.ensure_future(world.sync(customer))
    await gate.reached()
    (org_id,) = world.panel.orgs
    world.panel.rename_by_hand(org_id, "Somebody's idea")
    await sweep(world)
    gate.release()
    await passing
    await world.come_to_rest()
    assert world.panel.orgs[org_id].name == "Ada Example"
