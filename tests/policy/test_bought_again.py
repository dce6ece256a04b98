"""Bought again, and first seen late: what is ahead of the money waits for it, and what was paid for is there."""

from __future__ import annotations

from typing import Any

import pytest

from lib.config import Policy
from lib.model import Hold, Invoice, Item, Line, PlanMapping, PlanRule, ServiceState, Subscription
from lib.model.reason import Reason
from lib.structs import replace
from tests.policy.worlds import (
    NOW,
    OURS,
    World,
    catalogue,
    customer,
    days,
    in_panel,
    invoice,
    line,
    payer,
    service,
    stranger,
    subscription,
    world,
)

# --- bought again -----------------------------------------------------------------------------------------------------

BOUGHT_OFF: dict[str, Any] = {
    "state": ServiceState.SUSPENDED,
    "suspended_by": OURS,
    "holds": frozenset({Hold.ENDED}),
    "ended_at": NOW - days(20),
}


def bill(status: str, reason: str, *lines: Line, age: float, name: str = "in_change") -> Invoice:
    """An invoice of so many days ago, as its lines say."""
    made = NOW - days(age)
    paid = made if status == "paid" else None
    return invoice(status, reason, 1000, *lines, id=name, created=made, due=made, paid_at=paid)


def raised(status: str, quantity: int = 2, price: str = "price_1", item: str = "si_1") -> Invoice:
    """The bill of yesterday for more of a price."""
    back = line(price, -1900, proration=True, item=item)
    return bill(
        status, "subscription_update", back, line(price, 3800, proration=True, item=item, quantity=quantity), age=1
    )


SHELF = catalogue(PlanMapping("price_1", plan="2"), PlanMapping("price_2", plan="3"))
FIRST_OF_TWO = bill("paid", "subscription_create", line(start=-30, item="si_1", quantity=2), age=30, name="in_first")
RENEWED = bill("paid", "subscription_cycle", line(start=-10, item="si_1"), age=10, name="in_renewal")
"""Paid for one, while the other was surplus."""


def on_again(said: Subscription, *sold: PlanMapping) -> World:
    """Two were bought, one was given back and is bought again, as Stripe says."""
    memory = customer(
        service(item_id="si_1"), service(slot=2, item_id="si_1", website_id=None, domain=None, **BOUGHT_OFF)
    )
    end = world(payer(said), memory, sold=catalogue(*sold))
    end.run()
    return end


def in_service(end: World) -> list[int]:
    """The slots that the panel serves."""
    found = {s.panel_subscription_id: s.key.slot for s in end.memory.services}
    return sorted(found[s.id] for s in end.actual.subscriptions if s.suspended_by is None and not s.deleted)


TWO = (Item("si_1", "price_1", 2),)


@pytest.mark.parametrize("status", ["active", "past_due", "unpaid", "paused"])
@pytest.mark.parametrize("of_the_change", ["draft", "open", "void", "uncollectible"])
def test_what_is_bought_again_waits_for_its_money(status: str, of_the_change: str) -> None:
    """A quantity that is raised again is a purchase: the surplus comes back once it is paid, and says so meanwhile."""
    said = subscription(status=status, items=TWO, latest=raised(of_the_change), older=(RENEWED, FIRST_OF_TWO))
    end = on_again(said)
    two = end.memory.services[1]
    assert 2 not in in_service(end)
    assert Hold.ENDED in two.holds
    assert (two.ended_at, two.wait_reason) == (NOW - days(20), "change_waits_for_payment")
    end.payer = payer(subscription(items=TWO, latest=raised("paid"), older=(RENEWED, FIRST_OF_TWO)))
    end.run()
    two = end.memory.services[1]
    assert in_service(end) == [1, 2]
    assert (two.holds, two.ended_at, two.wait_reason) == (frozenset(), None, None)


@pytest.mark.parametrize("older", [(RENEWED, FIRST_OF_TWO), (FIRST_OF_TWO,)])
@pytest.mark.parametrize("status", ["active", "trialing"])
def test_what_nothing_bills_comes_back_at_once(status: str, older: tuple[Invoice, ...]) -> None:
    """Without a proration there is no bill to wait for: as a change of plan without one, it counts at once."""
    assert in_service(on_again(subscription(status=status, items=TWO, latest=older[0], older=older[1:]))) == [1, 2]


def test_what_nothing_bills_waits_while_the_running_period_is_owed() -> None:
    """As a change of plan does."""
    owed = bill("open", "subscription_cycle", line(item="si_1", quantity=2), age=1, name="in_owed")
    assert in_service(on_again(subscription(items=TWO, latest=owed, older=(FIRST_OF_TWO,)))) == [1]


@pytest.mark.parametrize("put_away", ["open", "void", "uncollectible"])
def test_a_later_change_that_nothing_bills_pays_no_earlier_bill(put_away: str) -> None:
    """Raised again with a bill that nobody pays, then moved to another price without one: it waits as before."""
    items, sold = (Item("si_1", "price_2", 2),), SHELF.mappings.values()
    older = (RENEWED, FIRST_OF_TWO)
    end = on_again(subscription(items=items, latest=raised(put_away), older=older), *sold)
    assert in_service(end) == [1]
    renewal = bill("paid", "subscription_cycle", line("price_2", item="si_1", quantity=2), age=0, name="in_next")
    end.payer = payer(subscription(items=items, latest=renewal, older=(raised("void"), *older)))
    end.run()
    assert in_service(end) == [1, 2]


def test_who_paid_for_two_has_two_while_the_third_waits() -> None:
    """Raised once and paid, raised once more and not: each is what was paid for."""
    three = replace(raised("open", 3), id="in_third", created=NOW)
    said = subscription(
        items=(Item("si_1", "price_1", 3),), latest=three, older=(raised("paid"), RENEWED, FIRST_OF_TWO)
    )
    end = on_again(said)
    assert in_service(end) == [1, 2]
    end.payer = payer(
        replace(said, latest_invoice=replace(three, status="paid"), invoices=(replace(three, status="paid"),))
    )
    end.run()
    assert in_service(end) == [1, 2, 3]


@pytest.mark.parametrize(("of_the_item", "slots"), [("open", [1]), ("paid", [1, 2])])
def test_what_goes_to_another_item_waits_for_that_ones_money(of_the_item: str, slots: list[int]) -> None:
    """A surplus service that another item takes over is what that item pays for."""
    items = (Item("si_1", "price_1", 1), Item("si_2", "price_2", 1))
    new = bill(of_the_item, "subscription_update", line("price_2", item="si_2"), age=1)
    end = on_again(subscription(items=items, latest=new, older=(RENEWED, FIRST_OF_TWO)), *SHELF.mappings.values())
    assert in_service(end) == slots
    assert len(end.actual.subscriptions) == 2


def test_what_is_bought_again_and_given_back_unpaid_is_surplus_as_before() -> None:
    """Nothing that was never paid begins a new time of keeping."""
    said = subscription(items=TWO, latest=raised("open"), older=(RENEWED, FIRST_OF_TWO))
    end = on_again(said)
    end.policy = Policy(retention_days=10)
    end.run()
    assert not end.actual.subscriptions[1].deleted  # it is bought, and waits
    void = raised("void")
    end.payer = payer(subscription(latest=void, older=(RENEWED, FIRST_OF_TWO)))
    end.run()
    assert end.actual.subscriptions[1].deleted


def test_what_is_made_anew_after_a_retention_waits_for_its_money() -> None:
    """All of it was deleted at quantity 0; bought again, the old money buys nothing."""
    gone = service(item_id="si_1", **{**BOUGHT_OFF, "state": ServiceState.TERMINATED})
    older = (bill("paid", "subscription_create", line(start=-30, item="si_1"), age=30, name="in_first"),)
    end = world(
        payer(subscription(latest=raised("open", 1), older=older)), customer(gone), in_panel(gone, deleted=True)
    )
    end.run()
    assert in_service(end) == []
    end.payer = payer(subscription(latest=raised("paid", 1), older=older))
    end.run()
    assert in_service(end) == [2]


def test_what_was_never_made_and_given_back_is_another_purchase() -> None:
    """Its money was there, the panel was not; lowered and raised again it waits for the new bill."""
    never = service(slot=2, item_id="si_1", panel_subscription_id=None, website_id=None, state=ServiceState.PENDING)
    end = world(payer(subscription(latest=RENEWED, older=(FIRST_OF_TWO,))), customer(service(item_id="si_1"), never))
    end.run()
    end.payer = payer(subscription(items=TWO, latest=raised("open"), older=(RENEWED, FIRST_OF_TWO)))
    end.run()
    assert in_service(end) == [1]
    end.payer = payer(subscription(items=TWO, latest=raised("paid"), older=(RENEWED, FIRST_OF_TWO)))
    end.run()
    assert in_service(end) == [1, 2]


def test_what_an_admin_ended_for_a_mapping_comes_back_with_the_mapping() -> None:
    """Nobody buys anything anew: what was confirmed runs again once its price is hosting again, whatever is open."""
    ended = service(**{**BOUGHT_OFF, "wait_reason": Reason.MAPPING_CHANGED})
    owed = bill("open", "subscription_cycle", line(item="si_1"), age=1, name="in_owed")
    end = world(payer(subscription(latest=owed, older=(RENEWED,))), customer(ended))
    end.run()
    assert in_service(end) == [1]


# --- first seen late --------------------------------------------------------------------------------------------------

SMALL = bill("paid", "subscription_create", line("price_1", item="si_1", start=-9), age=9, name="in_first")


def upgrade(status: str, *, item: str = "si_1", quantity: int = 1, age: float = 1, name: str = "in_change") -> Invoice:
    """The bill of a change from one of the small price to the large one."""
    back = line("price_1", -900, proration=True, item="si_1", start=-age)
    new = line("price_2", 2900, proration=True, item=item, quantity=quantity, start=-age)
    return bill(status, "subscription_update", back, new, age=age, name=name)


def plans(end: World) -> list[int]:
    """The panel plans that are served, by slot."""
    found = {s.panel_subscription_id: s.key.slot for s in end.memory.services}
    return [s.plan_id for s in sorted(end.actual.subscriptions, key=lambda s: found[s.id]) if s.suspended_by is None]


@pytest.mark.parametrize("item", ["si_1", "si_new"])
@pytest.mark.parametrize("status", ["active", "past_due", "trialing"])
@pytest.mark.parametrize("of_the_change", ["draft", "open", "void", "uncollectible"])
def test_a_purchase_seen_late_gets_what_was_paid_for(status: str, item: str, of_the_change: str) -> None:
    """The first event was lost, and an upgrade is not paid: it begins on the plan that is, and moves with the money."""
    items = (Item(item, "price_2", 1),)
    said = subscription(status=status, items=items, latest=upgrade(of_the_change, item=item), older=(SMALL,))
    end = world(payer(said), stranger(), sold=SHELF)
    end.run()
    assert plans(end) == [2]
    assert end.memory.services[0].wait_reason == "change_waits_for_payment"
    end.payer = payer(subscription(items=items, latest=upgrade("void", item=item), older=(SMALL,)))
    end.run()
    assert plans(end) == [2]
    end.payer = payer(subscription(items=items, latest=upgrade("paid", item=item), older=(SMALL,)))
    end.run()
    assert plans(end) == [3]
    assert len(end.actual.subscriptions) == 1


@pytest.mark.parametrize(("payment", "made"), [("processing", [2, 2]), ("requires_payment_method", [])])
def test_a_purchase_seen_late_is_trusted_as_one_seen_early(payment: str, made: list[int]) -> None:
    """Its first debit is on its way, which is enough here; the upgrade that followed is another matter."""
    first = bill("open", "subscription_create", line(item="si_1", quantity=2, start=-2), age=2, name="in_first")
    items = (Item("si_1", "price_2", 3),)
    said = subscription(items=items, latest=upgrade("open", quantity=3), older=(first,), payment=payment, domain="")
    trusting = [replace(mapping, activate_on="processing") for mapping in SHELF.mappings.values()]
    end = world(payer(said), stranger(), sold=catalogue(*trusting))
    end.run()
    assert plans(end) == made


def test_a_purchase_seen_late_gets_the_last_that_was_paid() -> None:
    """One upgrade is paid and the next one is not: it begins on the plan between."""
    sold = catalogue(*SHELF.mappings.values(), PlanMapping("price_3", plan="1"))
    back = line("price_2", -900, proration=True, item="si_1")
    more = bill("open", "subscription_update", back, line("price_3", 3900, proration=True, item="si_1"), age=1)
    older = (upgrade("paid", age=2, name="in_between"), SMALL)
    end = world(
        payer(subscription(items=(Item("si_1", "price_3", 1),), latest=more, older=older)), stranger(), sold=sold
    )
    end.run()
    assert plans(end) == [3]


@pytest.mark.parametrize("quantity", [2, 3])
def test_a_quantity_seen_late_is_so_many_as_were_paid_for(quantity: int) -> None:
    """So many are made as were paid for, on the plan that was, also when the pass that makes them is interrupted."""
    first = bill(
        "paid", "subscription_create", line(item="si_1", quantity=quantity - 1, start=-9), age=9, name="in_first"
    )
    for price in ("price_1", "price_2"):
        items = (Item("si_1", price, quantity),)
        change = raised("open", quantity) if price == "price_1" else upgrade("open", quantity=quantity)
        end = world(payer(subscription(items=items, latest=change, older=(first,), domain="")), stranger(), sold=SHELF)
        while (action := end.look().action) is not None:
            end.apply(action)
            end.look()
        assert plans(end) == [2] * (quantity - 1)
        change = replace(change, status="paid", paid_at=NOW)
        end.payer = payer(subscription(items=items, latest=change, older=(first,), domain=""))
        end.run()
        assert plans(end) == [2 if price == "price_1" else 3] * quantity


def test_a_purchase_seen_late_waits_where_nobody_can_tell_what_was_paid_for() -> None:
    """Two items were replaced by two: which was which is not guessed, and both wait for the bill of the change."""
    first = bill(
        "paid",
        "subscription_create",
        line(item="si_1", start=-9),
        line("price_2", item="si_2", start=-9),
        age=9,
        name="in_1",
    )
    new = (Item("si_3", "price_2", 1), Item("si_4", "price_1", 1))
    lines = (line("price_2", item="si_3", proration=True), line("price_1", item="si_4", proration=True))
    change = bill("open", "subscription_update", *lines, age=1)
    end = world(payer(subscription(items=new, latest=change, older=(first,))), stranger(), sold=SHELF)
    end.run()
    assert plans(end) == []
    end.payer = payer(subscription(items=new, latest=replace(change, status="paid"), older=(first,)))
    end.run()
    assert plans(end) == [3, 2]


def test_a_price_that_is_no_hosting_any_more_is_no_plan_that_was_paid_for() -> None:
    """What was paid for meant nothing here: the hosting that was bought instead waits for its money."""
    sold = catalogue(PlanMapping("price_1", kind="ignore"), PlanMapping("price_2", plan="3"))
    said = subscription(items=(Item("si_1", "price_2", 1),), latest=upgrade("open"), older=(SMALL,))
    end = world(payer(said), stranger(), sold=sold)
    end.run()
    assert plans(end) == []


def test_what_is_made_anew_gets_what_was_paid_for() -> None:
    """Deleted by hand, and to be made again while an upgrade is not paid: on the plan that was paid for."""
    lost = service(item_id="si_1", panel_subscription_id=None, plan=None, website_id=None, state=ServiceState.PENDING)
    said = subscription(items=(Item("si_1", "price_2", 1),), latest=upgrade("open"), older=(SMALL,))
    end = world(payer(said), customer(lost), sold=SHELF)
    end.run()
    assert plans(end) == [2]
    end.payer = payer(subscription(items=(Item("si_1", "price_2", 1),), latest=upgrade("paid"), older=(SMALL,)))
    end.run()
    assert plans(end) == [3]


def test_an_addon_that_is_not_paid_makes_no_larger_plan() -> None:
    """Base and add-on buy a plan together; with the bill of the add-on open it begins on that of the base."""
    sold = catalogue(
        PlanMapping("price_1", plan="2"),
        PlanMapping("price_2", kind="addon"),
        rules=(PlanRule("price_1", "price_2", 1, "3"),),
    )
    items = (Item("si_1", "price_1", 1), Item("si_2", "price_2", 1))
    change = bill("open", "subscription_update", line("price_2", item="si_2", proration=True), age=1)
    end = world(payer(subscription(items=items, latest=change, older=(SMALL,))), stranger(), sold=sold)
    end.run()
    assert plans(end) == [2]
    end.payer = payer(subscription(items=items, latest=replace(change, status="paid"), older=(SMALL,)))
    end.run()
    assert plans(end) == [3]
