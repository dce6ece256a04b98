"""The customer who comes back: their website moves to what they pay for now, and nothing deletes it meanwhile."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from lib.database import customer_memory
from lib.database.journal import Journal
from lib.database.services import remembering_services
from lib.errors import LeaseLost, OutcomeUnknown
from lib.model import CustomerKey
from lib.structs import replace
from tests.world import ADMIN_KEY, World

DAY = 86400
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
KEPT = {"RETENTION_DAYS": "30"}


def parked(world: World) -> list[str]:
    """The reasons for which somebody is parked."""
    return [row["parked_reason"] for row in world.due() if row["parked_reason"]]


def problems(world: World) -> dict[str, str]:
    """Everything that waits for a person: reason and detail."""
    return {problem["reason"]: problem["detail"] for row in world.due() for problem in row["problems"]}


def site(world: World, domain: str = "shop.example") -> dict[str, Any]:
    """The one website of a domain, as the panel shows it."""
    (found,) = [one for one in world.panel.websites.values() if one.domain == domain]
    return world.panel.show(found.id)


def hosting(world: World, subscription: str) -> Any:
    """The hosting subscription of a service, as the panel has it."""
    return world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]]


def has_it(world: World, subscription: str, domain: str = "shop.example") -> bool:
    """Whether the website is this service's and nobody else's, here and there, and is on."""
    row, shown = world.service(subscription), site(world, domain)
    owners = world.sql("SELECT subscription_id FROM services WHERE website_id = %s", shown["id"])
    there = (shown["subscriptionId"], shown["status"], shown["suspendedBy"])
    ours = [owner["subscription_id"] for owner in owners] == [subscription] and row["holds"] == []
    return ours and there == (row["panel_subscription_id"], "active", None)


async def ended(world: World, days: int = 0, **environ: str) -> tuple[str, str]:
    """A customer whose hosting was ended so many days ago and is kept: customer and subscription."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.cancel(subscription, created=world.stripe.now() - days * DAY)
    await world.sync(customer, **environ)
    assert hosting(world, subscription).suspended_by is not None
    return customer, subscription


def moves(world: World) -> int:
    """How often a website was moved, or was to be."""
    return world.panel.count("PATCH", "/websites/")


# --- who pays has it --------------------------------------------------------------------------------------------------


async def test_who_comes_back_gets_their_website(world: World) -> None:
    """It is the same website on the new hosting, the ended one stays held without it, and the ledger tells of it."""
    customer, old = await ended(world)
    before = site(world)["id"]
    new = world.buy(customer)
    await world.sync(customer)
    assert has_it(world, new)
    assert site(world)["id"] == before
    row = world.service(old)
    assert (row["state"], row["holds"], row["website_id"]) == ("suspended", ["ended"], None)
    assert hosting(world, old).suspended_by is not None
    assert world.due() == []
    (intent,) = world.sql("SELECT * FROM actions WHERE kind = 'move_website' AND state = 'intent'")
    assert (intent["subscription_id"], intent["rule"]) == (new, "win_back")
    facts = {name: intent["facts"][name] for name in ("from", "to", "domain", "website")}
    assert facts == {"from": old, "to": new, "domain": "shop.example", "website": before}
    assert intent["before"] == {"panel_subscription_id": hosting(world, old).id}
    (seen,) = world.sql("SELECT after FROM actions WHERE kind = 'move_website' AND state = 'verified'")
    assert seen["after"] == {"panel_subscription_id": hosting(world, new).id, "off": False}
    written = world.dump()
    await world.sync(customer)
    assert (world.dump(), moves(world)) == (written, 1)


async def test_ended_and_bought_again_within_one_pass(world: World) -> None:
    """Both events lie there before anybody looks: the website goes over, and only then the old hosting is suspended."""
    customer = world.customer()
    old = world.buy(customer)
    await world.sync(customer)
    async with world.functions() as client:
        world.stripe.cancel(old)
        new = world.buy(customer)
        for event in reversed(world.stripe.undelivered()):
            await world.deliver(client, event)
    assert has_it(world, new)
    assert (hosting(world, old).suspended_by is None, hosting(world, new).suspended_by) == (False, None)
    assert world.ledger("applied").index("move_website") < world.ledger("applied").index("suspend")
    assert world.due() == []


async def test_bought_while_the_first_one_runs_it_waits_for_its_end(world: World) -> None:
    """Parked with both named; the event of the first one's end is all that it takes, and no person."""
    customer = world.customer()
    old = world.buy(customer)
    await world.sync(customer)
    new = world.buy(customer)
    await world.sync(customer)
    told = problems(world)
    assert list(told) == ["same_domain_purchase"]
    assert old in told["same_domain_purchase"] and new in told["same_domain_purchase"]
    assert has_it(world, old)
    assert (world.service(new)["state"], world.service(new)["waits_for"]) == ("live", "same_domain_purchase")
    async with world.functions() as client:
        world.stripe.cancel(old)
        (event,) = world.stripe.events_of("customer.subscription.deleted")
        await world.deliver(client, event)
    assert has_it(world, new)
    assert world.due() == []
    assert world.service(new)["waits_for"] is None


@pytest.mark.parametrize("wrote", ["shown", "written into each website"])
async def test_what_our_suspension_did_to_the_website_is_undone(world: World, wrote: str) -> None:
    """Whether the panel shows a suspension on its websites or writes it there: after the move the website is on."""
    world.panel.state.suspends_each_website = wrote != "shown"
    customer, _ = await ended(world)
    assert site(world)["status"] == "disabled"
    new = world.buy(customer)
    await world.sync(customer)
    assert has_it(world, new)


@pytest.mark.parametrize("happened", [True, False])
async def test_a_move_that_ended_before_the_website_was_switched_on_is_completed(world: World, happened: bool) -> None:
    """The website lies in the new hosting, still off by our old suspension: the next pass switches it on."""
    world.panel.state.suspends_each_website = True
    customer, _ = await ended(world)
    new = world.buy(customer)
    async with world.bridge() as manager:
        switch_on = manager.enhance.resume_website

        async def lost(org_id: str, website_id: str) -> None:
            if happened:
                await switch_on(org_id, website_id)
            raise OutcomeUnknown("no answer")

        manager.enhance.resume_website = lost  # type: ignore[method-assign]
        await manager.reconcile(customer)
    assert site(world)["subscriptionId"] == hosting(world, new).id
    assert world.dangling() != []
    await world.sync(customer)
    assert has_it(world, new)
    assert (world.dangling(), moves(world)) == ([], 2)


async def test_a_website_that_staff_suspended_stays_so(world: World) -> None:
    """It moves to who pays for it; the suspension on the website itself is theirs, and is in the ledger."""
    customer, _ = await ended(world)
    world.panel.suspend_by_hand(site(world)["id"])
    new = world.buy(customer)
    await world.sync(customer)
    assert site(world)["suspendedBy"] == world.panel.staff_id
    assert site(world)["subscriptionId"] == hosting(world, new).id
    (seen,) = world.sql("SELECT after FROM actions WHERE kind = 'move_website' AND state = 'verified'")
    assert seen["after"]["off"] is True


async def test_each_of_two_slots_gets_its_own(world: World) -> None:
    """Two services with two domains, bought again in the other order."""
    customer = world.customer()
    old = str(
        world.stripe.subscribe(customer, [("price_basic_monthly", 2)], metadata={"domain": "one.example two.example"})[
            "id"
        ]
    )
    await world.sync(customer)
    world.stripe.cancel(old)
    new = str(
        world.stripe.subscribe(customer, [("price_basic_monthly", 2)], metadata={"domain": "two.example,one.example"})[
            "id"
        ]
    )
    await world.sync(customer)
    placed = {
        domain: world.service(new, slot)["panel_subscription_id"]
        for slot, domain in ((1, "two.example"), (2, "one.example"))
    }
    assert {domain: site(world, domain)["subscriptionId"] for domain in placed} == placed
    assert len(world.panel.websites) == 2
    assert world.due() == []


async def test_hosting_that_was_linked_comes_back_too(world: World) -> None:
    """What existed before us and was adopted moves like what we made."""
    customer, old = await ended(world)
    world.sql("UPDATE services SET adopted = true WHERE subscription_id = %s", old)
    new = world.buy(customer)
    await world.sync(customer)
    assert has_it(world, new)


async def test_who_was_erased_and_comes_back_gets_it(world: World) -> None:
    """Their website is still theirs, and no personal word comes back over it."""
    customer, _ = await ended(world)
    world.sql("UPDATE customers SET erased_at = now(), email = NULL, name = NULL WHERE customer_id = %s", customer)
    new = world.buy(customer)
    await world.sync(customer)
    assert has_it(world, new)
    (row,) = world.sql("SELECT email, name FROM customers")
    assert row == {"email": None, "name": None}


# --- what the panel has meanwhile -------------------------------------------------------------------------------------


async def test_a_website_that_was_moved_by_hand_is_only_remembered(world: World) -> None:
    """Staff were quicker: nothing is moved, and both rows say where it is."""
    customer, _ = await ended(world)
    new = world.buy(customer, domain=None)
    await world.sync(customer)
    with world.panel.state.lock:
        found = world.panel.websites[site(world)["id"]]
        world.panel.state.move_website(found, hosting(world, new))
    world.stripe.set(new, metadata={"domain": "shop.example"})
    await world.sync(customer)
    assert has_it(world, new)
    assert moves(world) == 0


@pytest.mark.parametrize(("wiped", "reason"), [(True, None), (False, "domain_reserved")])
async def test_a_website_that_was_deleted_by_hand(world: World, wiped: bool, reason: str | None) -> None:
    """Wiped, a new one is made; only deleted, its domain stays reserved and a person is told."""
    customer, _ = await ended(world)
    before = site(world)["id"]
    world.panel.delete_by_hand(before, force=wiped)
    new = world.buy(customer)
    await world.sync(customer)
    assert parked(world) == ([reason] if reason else [])
    if wiped:
        assert has_it(world, new)
        assert site(world)["id"] != before


async def test_a_second_website_in_the_ended_hosting_is_found_there(world: World) -> None:
    """The customer made it themselves; who buys hosting for its domain gets it, and the first one stays where it is."""
    customer, old = await ended(world)
    world.panel.resume_by_hand(hosting(world, old).id)
    world.panel.add_website(hosting(world, old).id, "second.example")
    await world.sync(customer)
    new = world.buy(customer, domain="second.example")
    await world.sync(customer)
    assert has_it(world, new, "second.example")
    assert site(world)["subscriptionId"] == hosting(world, old).id
    assert str(world.service(old)["website_id"]) == site(world)["id"]
    assert world.due() == []


async def test_a_website_in_hosting_that_is_none_of_ours_is_left_there(world: World) -> None:
    """Hosting that staff gave them belongs to no purchase: a person decides."""
    customer, old = await ended(world)
    theirs = world.panel.add_subscription(hosting(world, old).org_id, world.plan_id, "A gift")
    world.panel.add_website(theirs, "gift.example")
    world.buy(customer, domain="gift.example")
    await world.sync(customer)
    assert list(problems(world)) == ["domain_in_use"]
    assert str(theirs) in problems(world)["domain_in_use"]
    assert site(world, "gift.example")["subscriptionId"] == theirs


# --- what is held back, and what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["an admin", "staff"])
async def test_a_website_that_somebody_holds_back_is_not_brought_to_life(world: World, who: str) -> None:
    """Buying again lifts nobody's word: it stays until that is lifted, and then goes over by itself."""
    customer, old = await ended(world)
    number = hosting(world, old).id
    async with world.functions() as client:
        if who == "an admin":
            body = {"action": "hold", "subscriptionId": old}
            assert (await client.post("/api/admin/work", json=body, headers=ADMIN)).status_code == 200
        else:
            world.panel.resume_by_hand(number)
            world.panel.suspend_by_hand(number)
        new = world.buy(customer)
        await world.sync(customer, **KEPT)
        assert list(problems(world)) == ["website_held"]
        assert (site(world)["subscriptionId"], site(world)["status"]) == (number, "disabled")
        if who == "an admin":
            body = {"action": "lift", "subscriptionId": old, "hold": "admin"}
            assert (await client.post("/api/admin/work", json=body, headers=ADMIN)).status_code == 200
        else:
            world.panel.resume_by_hand(number)
            await world.sync(customer)
    assert has_it(world, new)
    assert world.due() == []


async def test_a_website_that_is_too_big_for_the_new_plan_waits_with_the_numbers(world: World) -> None:
    """Nothing is moved and nothing deleted, however long it takes; when it fits it goes over, and the rest goes."""
    small = world.panel.add_plan("small", resources={"websites": 1, "diskspace": 500})
    world.map_price(world.stripe.create_price("price_small")["id"], str(small))
    customer, old = await ended(world, days=40)
    world.panel.set_usage(hosting(world, old).id, diskspace=900, stale=True)
    new = world.buy(customer, "price_small")
    await world.sync(customer, **KEPT)
    told = problems(world)
    assert list(told) == ["website_too_big"]
    assert "diskspace 900 of 500" in told["website_too_big"]
    assert not hosting(world, old).deleted
    assert world.service(old)["waits_for"] == "website_waited_for"
    assert moves(world) == 0
    world.panel.set_usage(hosting(world, old).id, diskspace=400)
    await world.sync(customer, **KEPT)
    assert has_it(world, new)
    assert hosting(world, old).deleted
    assert world.due() == []


async def test_what_is_in_the_new_hosting_already_counts(world: World) -> None:
    """A plan for one website, which the customer used otherwise meanwhile, has no room for the one that comes back."""
    one = world.panel.add_plan("one", resources={"websites": 1})
    world.map_price(world.stripe.create_price("price_one")["id"], str(one))
    customer, _ = await ended(world)
    new = world.buy(customer, "price_one", domain=None)
    await world.sync(customer)
    world.panel.add_website(hosting(world, new).id, "mine.example")
    world.stripe.set(new, metadata={"domain": "shop.example"})
    await world.sync(customer)
    assert "websites 2 of 1" in problems(world)["website_too_big"]


@pytest.mark.parametrize("status", [400, 403, 409])
async def test_a_panel_that_refuses_the_move_is_quoted_and_nothing_is_deleted(world: World, status: int) -> None:
    """Whatever it has against it: parked with its words, and the retention waits."""
    customer, old = await ended(world, days=40)
    world.buy(customer)
    world.panel.fail_next("PATCH", "/websites/", status, code="quota_exceeded", detail="websites")
    await world.sync(customer, **KEPT)
    assert parked(world) == ["panel_conflict" if status == 409 else "panel_refused"]
    assert site(world)["subscriptionId"] == hosting(world, old).id
    assert not hosting(world, old).deleted
    await world.sync(customer, **KEPT)
    assert hosting(world, old).deleted and site(world)["status"] == "active"


# --- deletion ---------------------------------------------------------------------------------------------------------


async def test_the_end_of_the_retention_takes_nothing_that_moved(world: World) -> None:
    """The old hosting is deleted on its day; the website is on under the new one."""
    customer, old = await ended(world, days=29, **KEPT)
    new = world.buy(customer)
    await world.sync(customer, **KEPT)
    world.hurry()
    await world.drain(RETENTION_DAYS="28")
    assert hosting(world, old).deleted
    assert has_it(world, new)


async def test_a_purchase_that_is_not_paid_yet_keeps_the_website_from_being_deleted(world: World) -> None:
    """It waits for its money past the end of the retention; paid, it gets the website; given up, it is deleted."""
    customer, old = await ended(world, days=40)
    new = str(
        world.stripe.subscribe(customer, ["price_basic_monthly"], "incomplete", metadata={"domain": "shop.example"})[
            "id"
        ]
    )
    await world.sync(customer, **KEPT)
    assert not hosting(world, old).deleted
    assert world.service(old)["waits_for"] == "website_waited_for"
    assert world.due() == []
    world.stripe.pay_open_invoice(new)
    await world.sync(customer, **KEPT)
    assert has_it(world, new)
    assert hosting(world, old).deleted


async def test_a_second_website_that_is_waited_for_keeps_its_hosting(world: World) -> None:
    """We do not know of it, so the panel is asked before its hosting is deleted; the queue says what it waits for."""
    customer, old = await ended(world)
    world.panel.resume_by_hand(hosting(world, old).id)
    world.panel.add_website(hosting(world, old).id, "second.example")
    await world.sync(customer)
    world.stripe.set(old, ended_at=world.stripe.now() - 40 * DAY)
    world.stripe.subscribe(customer, ["price_basic_monthly"], "incomplete", metadata={"domain": "second.example"})
    await world.sync(customer, **KEPT)
    assert not hosting(world, old).deleted
    (row,) = world.due()
    assert (row["waits_for"], row["parked_reason"]) == ("website_waited_for", None)


async def test_nobody_wipes_a_website_that_another_purchase_waits_for(world: World) -> None:
    """Not even an admin, confirmed: 409 names the domain, and the website is there as before."""
    customer, old = await ended(world)
    world.stripe.subscribe(customer, ["price_basic_monthly"], "incomplete", metadata={"domain": "shop.example"})
    body = {"action": "hardDelete", "subscriptionId": old, "confirm": old}
    async with world.functions() as client:
        answer = await client.post("/api/admin/work", json=body, headers=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (409, "website_waited_for")
        assert "shop.example" in answer.json()["detail"]
    assert site(world)["subscriptionId"] == hosting(world, old).id


# --- somebody else's --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["live", "shadow"])
async def test_the_customer_who_has_the_domain_is_named(world: World, mode: str) -> None:
    """Another of our customers has it: the problem says who, in shadow mode too."""
    first, second = world.customer(), world.customer("Ben", "ben@example.com")
    world.buy(first)
    await world.sync(first)
    world.buy(second)
    await world.sync(second, PROVISIONING_MODE=mode)
    assert list(problems(world)) == ["domain_in_use"]
    assert first in problems(world)["domain_in_use"]


async def test_a_domain_that_nobody_of_ours_has_names_nobody(world: World) -> None:
    """Elsewhere in the panel, or in an organisation that is not linked: in use all the same."""
    world.panel.reserve_domain_elsewhere("shop.example")
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    assert "cus_" not in problems(world)["domain_in_use"]


async def test_a_list_that_fails_does_not_hide_that_the_domain_is_in_use(world: World) -> None:
    """Who has it can't be told just then; that it is taken can."""
    first, second = world.customer(), world.customer("Ben", "ben@example.com")
    world.buy(first)
    await world.sync(first)
    world.buy(second)
    world.panel.fail_next("GET", "/websites$", 403, code="unauthorized", times=3)
    await world.sync(second)
    assert parked(world) == ["domain_in_use"]


# --- without acting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("obstacle", [None, "same_domain_purchase", "website_held", "website_too_big"])
async def test_shadow_mode_tells_what_a_live_pass_then_does(world: World, obstacle: str | None) -> None:
    """The same changes in the same order, or the same reason; and nothing is written in the panel."""
    small = world.panel.add_plan("small", resources={"websites": 1, "diskspace": 500})
    world.map_price(world.stripe.create_price("price_small")["id"], str(small))
    customer, old = await ended(world)
    price = "price_basic_monthly"
    match obstacle:
        case "same_domain_purchase":
            world.buy(customer)
            await world.sync(customer)
        case "website_held":
            world.panel.resume_by_hand(hosting(world, old).id)
            world.panel.suspend_by_hand(hosting(world, old).id)
        case "website_too_big":
            world.panel.set_usage(hosting(world, old).id, diskspace=900)
            price = "price_small"
    world.buy(customer, price)
    done, before = len(world.ledger("applied")), moves(world)
    report = await world.sync(customer, PROVISIONING_MODE="shadow")
    assert moves(world) == before
    assert parked(world) == ([obstacle] if obstacle else [])
    await world.sync(customer)
    assert world.ledger("applied")[done:] == [action.kind for action in report.actions]
    assert parked(world) == ([obstacle] if obstacle else [])


async def test_an_explanation_tells_of_the_move_and_of_what_waits(world: World) -> None:
    """What would come next names both services; afterwards the timeline does."""
    customer, old = await ended(world)
    new = world.buy(customer)
    async with world.functions() as client:
        body = {"customerId": customer, "dryRun": True}
        answer = (await client.post("/api/admin/sync", json=body, headers=ADMIN)).json()
    (move,) = [action for action in answer["actions"] if action["kind"] == "move_website"]
    assert (move["service"], move["details"]["from"], move["details"]["domain"]) == (new, old, "shop.example")


# --- a domain that was changed afterwards -----------------------------------------------------------------------------


async def test_a_domain_changed_afterwards_is_shown_and_the_website_left_alone(world: World) -> None:
    """The dashboard lists it, nobody is parked over it, and it goes when the two agree again."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    before = site(world)
    world.stripe.set(subscription, metadata={"domain": "other.example"})
    await world.sync(customer)
    assert (site(world), len(world.panel.websites), world.due()) == (before, 1, [])
    assert world.service(subscription)["waits_for"] == "domain_differs"
    async with world.functions() as client:
        shown = (await client.get("/api/admin/dashboard", headers=ADMIN)).json()["domainsDiffer"]
        differing = {
            "customerId": customer, "subscriptionId": subscription, "slot": 1, "domain": "shop.example"
        }  # fmt: skip
        assert shown == {"total": 1, "services": [differing]}
        world.stripe.set(subscription, metadata={"domain": "shop.example"})
        await world.sync(customer)
        shown = (await client.get("/api/admin/dashboard", headers=ADMIN)).json()["domainsDiffer"]
        assert shown == {"total": 0, "services": []}


# --- our memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [1, -1], ids=["giver first", "taker first"])
async def test_both_rows_are_written_or_none(world: World, told: int) -> None:
    """A website has one owner in our memory, in whatever order the rows are told; who lost the lease writes neither."""
    customer, old = await ended(world)
    new = world.buy(customer, domain=None)
    await world.sync(customer)
    website = world.service(old)["website_id"]
    lease = str(uuid4())
    world.sql(
        "INSERT INTO due (kind, key, lease_id, leased_until) VALUES ('customer', %s, %s, now() + interval '1 hour')",
        customer,
        lease,
    )
    async with world.bridge() as manager:
        memory, _ = await customer_memory.load(manager.db, CustomerKey.stripe(customer))
        services = {s.key.subscription_id: s for s in memory.services}
        both = [replace(services[old], website_id=None), replace(services[new], website_id=str(website))][::told]
        nobodys = Journal(manager.db, str(uuid4()))
        nobodys.keep(remembering_services(memory, both, nobodys.lease_id))
        with pytest.raises(LeaseLost):
            await nobodys.flush()
        assert (world.service(old)["website_id"], world.service(new)["website_id"]) == (website, None)
        ours = Journal(manager.db, lease)
        ours.keep(remembering_services(memory, both, lease))
        await ours.flush()
    assert (world.service(old)["website_id"], world.service(new)["website_id"]) == (None, website)


async def test_a_sweep_finds_nothing_to_do_after_a_move(world: World) -> None:
    """The lists of the panel agree with what we remember of both services."""
    customer, old = await ended(world)
    new = world.buy(customer)
    await world.sync(customer)
    async with world.bridge() as manager:
        for _ in range(2):
            report = await manager.sweep(deadline=time.monotonic() + 60)
            await manager.drain(deadline=time.monotonic() + 60)
    assert report.counts.get("marked", 0) == 0
    assert has_it(world, new)
    row = world.service(old)
    assert (row["website_off"], row["website_gone"]) == (False, False)


async def test_a_move_that_nobody_read_back_is_verified_by_the_sweep(world: World) -> None:
    """The list shows the website where it was moved to, which is the proof."""
    customer, _ = await ended(world)
    world.buy(customer)
    await world.sync(customer)
    world.sql("ALTER TABLE actions DISABLE TRIGGER actions_append_only")
    world.sql("DELETE FROM actions WHERE kind = 'move_website' AND state = 'verified'")
    world.sql("ALTER TABLE actions ENABLE TRIGGER actions_append_only")
    async with world.bridge() as manager:
        await manager.sweep(deadline=time.monotonic() + 60)
    seen = world.sql("SELECT rule FROM actions WHERE kind = 'move_website' AND state = 'verified'")
    assert seen == [{"rule": "seen_by_sweep"}]
