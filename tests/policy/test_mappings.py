"""What an operator writes into a mapping is no decision of a customer: it ends nothing, and moves nobody unnoticed."""

from __future__ import annotations

from typing import Any

import pytest

from lib.config import Policy
from lib.model import ActionKind, Catalogue, Hold, Item, PlanMapping, PlanRule, ServiceKey, ServiceState
from lib.structs import replace
from tests.policy.worlds import (
    INVOICES,
    NOW,
    OURS,
    World,
    catalogue,
    customer,
    days,
    in_panel,
    payer,
    service,
    subscription,
    world,
)

KEY = ServiceKey("sub_1", 1)
PAID = INVOICES["paid"]
HOSTING = PlanMapping("price_1", plan="2")
NOTHING: dict[str, Catalogue] = {
    "ignored": catalogue(PlanMapping("price_1", kind="ignore")),
    "ignored, with a plan": catalogue(PlanMapping("price_1", kind="ignore", plan="3")),
    "an add-on without a base": catalogue(PlanMapping("price_1", kind="addon")),
    "an add-on with a rule": catalogue(
        PlanMapping("price_1", kind="addon"), rules=(PlanRule("price_2", "price_1", 1, "3"),)
    ),
    "row gone": catalogue(PlanMapping("price_9", plan="2")),
}
STRICT = Policy(retention_days=1, grace_days=0)


def edited(meaning: str, **changes: Any) -> World:
    """A paying customer whose price meant hosting until just now."""
    bought = subscription(latest=PAID, **changes)
    return world(payer(bought), customer(service()), sold=NOTHING[meaning], policy=STRICT)


def held(end: World) -> set[Hold]:
    """What holds the first service."""
    return set(end.memory.services[0].holds)


@pytest.mark.parametrize("meaning", NOTHING)
def test_a_price_that_is_no_hosting_any_more_ends_and_moves_nothing(meaning: str) -> None:
    """The service stays as it is, however long, and somebody is told; the mapping put right, nothing ever happened."""
    end = edited(meaning)
    for _ in range(3):
        last = end.run()
        assert [problem.reason for problem in last.problems] == ["mapping_changed"]
        end.now += days(400)
    assert not end.done
    kept = end.memory.services[0]
    assert (kept.holds, kept.ended_at, kept.retain_until, kept.wait_reason) == (
        frozenset(),
        None,
        None,
        "mapping_changed",
    )
    end.catalogue = catalogue(HOSTING)
    assert not end.run().problems
    assert not end.done
    assert end.memory.services[0].wait_reason is None


@pytest.mark.parametrize("meaning", NOTHING)
def test_what_an_admin_confirms_ends_and_comes_back_with_its_mapping(meaning: str) -> None:
    """Confirmed, it is held as ended and deleted after a retention like any other; hosting again, it runs again."""
    end = edited(meaning)
    end.run()
    end.memory = replace(
        end.memory, services=tuple(replace(s, holds=frozenset({Hold.ENDED})) for s in end.memory.services)
    )
    assert not end.run().problems
    assert [(action.kind, action.rule) for action in end.done] == [(ActionKind.SUSPEND, "mapping_confirmed")]
    end.catalogue = catalogue(HOSTING)
    end.run()
    assert end.actual.subscriptions[0].suspended_by is None
    assert end.memory.services[0].holds == frozenset()
    end.catalogue = NOTHING[meaning]
    assert [problem.reason for problem in end.run().problems] == ["mapping_changed"]
    assert end.actual.subscriptions[0].suspended_by is None


@pytest.mark.parametrize("meaning", NOTHING)
def test_what_stripe_says_counts_whatever_the_mapping_says(meaning: str) -> None:
    """Who does not pay is held, who pays runs again, and a cancelled subscription ends: by Stripe's word alone."""
    end = edited(meaning)
    end.payer = payer(subscription(status="unpaid", unpaid_days=40))
    end.run()
    assert held(end) == {Hold.UNPAID}
    assert end.panel(KEY) == replace(in_panel(service()), suspended_by=OURS)
    end.payer = payer(subscription(latest=PAID))
    end.run()
    assert held(end) == set()
    assert end.panel(KEY) == replace(in_panel(service()), suspended_by=None)
    end.payer = payer(subscription(status="canceled", ended_days=0))
    assert not end.run().problems
    assert held(end) == {Hold.ENDED}


@pytest.mark.parametrize("meaning", NOTHING)
def test_only_the_quantity_that_stripe_lowered_ends(meaning: str) -> None:
    """Of three services under a price that means nothing now, the one that is not bought any more ends, no other."""
    three = [service(slot=slot) for slot in (1, 2, 3)]
    bought = subscription(items=(Item("si_1", "price_1", 2),), latest=PAID)
    end = world(payer(bought), customer(*three), sold=NOTHING[meaning])
    end.run()
    assert [sorted(s.holds) for s in end.memory.services] == [[], [], ["ended"]]


def test_another_item_of_the_same_price_is_kept_and_told_at_once() -> None:
    """The row is gone, and the item was replaced by one of the same price: somebody is told by the first pass."""
    end = edited("row gone", items=(Item("si_new", "price_1", 1),))
    assert [problem.reason for problem in end.run().problems] == ["mapping_changed"]
    assert end.memory.services[0].wait_reason == "mapping_changed"
    assert not end.done

    end = edited("row gone", items=(Item("si_new", "price_1", 1),))
    end.memory = replace(end.memory, services=(replace(end.memory.services[0], holds=frozenset({Hold.ADMIN})),))
    assert [problem.reason for problem in end.run().problems] == ["mapping_changed"]


def test_hosting_beside_what_means_nothing_now_is_delivered() -> None:
    """One price is ignored by mistake: the other service of the subscription is made and moved as ever."""
    items = (Item("si_1", "price_1", 1), Item("si_2", "price_2", 1))
    sold = catalogue(PlanMapping("price_1", kind="ignore"), PlanMapping("price_2", plan="3"))
    end = world(payer(subscription(items=items, latest=PAID)), customer(service()), sold=sold)
    assert [problem.reason for problem in end.run().problems] == ["mapping_changed"]
    assert sorted(found.plan_id for found in end.actual.subscriptions) == [2, 3]
    assert not [action for action in end.done if action.service == KEY]


def test_a_price_that_the_customer_gave_up_for_an_ignored_one_ends() -> None:
    """Another price in the item's place is a change at Stripe: the hosting that is not bought any more ends."""
    bought = subscription(items=(Item("si_1", "price_parking", 1),), latest=PAID)
    sold = catalogue(HOSTING, PlanMapping("price_parking", kind="ignore"))
    end = world(payer(bought), customer(service()), sold=sold)
    assert not end.run().problems
    assert end.memory.services[0].holds == {Hold.ENDED}


def test_the_site_and_the_login_of_who_is_kept_are_left_alone() -> None:
    """Kept means kept: what a panel lacks is not made for a price that means nothing just now."""
    end = world(payer(subscription(latest=PAID)), customer(service(website_id=None)), sold=NOTHING["row gone"])
    end.run()
    assert not end.done


@pytest.mark.parametrize("after", [3, 0, "row gone", "ignored"])
def test_a_mapping_ends_no_grace_before_its_date(after: Any) -> None:
    """Who was told a date keeps it, whatever is written into the mapping meanwhile; then the hold comes."""
    owed = subscription(status="past_due", unpaid_days=5, latest=INVOICES["open"])
    promised = catalogue(replace(HOSTING, grace_days=20))
    end = world(payer(owed), customer(service()), sold=promised, policy=Policy(grace_days=1))
    end.run()
    date = end.memory.services[0].grace_until
    assert date == NOW + days(15)
    end.catalogue = NOTHING[after] if isinstance(after, str) else catalogue(replace(HOSTING, grace_days=after))
    for later in (1, 14):
        end.now = NOW + days(later)
        last = end.run()
        assert last.wait is not None
        assert last.wait.at == date
        assert not end.done
    end.now = date
    end.run()
    assert held(end) == {Hold.UNPAID}


# --- plans ------------------------------------------------------------------------------------------------------------


def moves(end: World) -> list[tuple[str, object]]:
    """The rule and the plan of each move."""
    return [(action.rule, action.details["plan"]) for action in end.done if action.kind is ActionKind.CHANGE_PLAN]


def test_a_move_says_whether_stripe_or_a_mapping_asked_for_it() -> None:
    """Another price is Stripe's wish; another plan for the same price is somebody's edit, however it came about."""
    sold = catalogue(HOSTING, PlanMapping("price_2", plan="3"))
    end = world(payer(subscription(latest=PAID)), customer(service()), sold=sold)
    end.run()
    end.payer = payer(subscription(items=(Item("si_1", "price_2", 1),), latest=PAID))
    end.run()
    assert moves(end) == [("active", "3")]
    end.catalogue = catalogue(HOSTING, PlanMapping("price_2", plan="1"))
    end.run()
    assert moves(end)[1:] == [("mapping_edited", "1")]
    assert end.memory.services[0].made_for == (("price_2", 1),)


def test_a_change_that_waits_for_its_money_is_still_stripes() -> None:
    """While a change waits to be paid, passes come and go; once it is paid it is what Stripe asked for."""
    sold = catalogue(HOSTING, PlanMapping("price_2", plan="3"))
    changed = subscription(items=(Item("si_1", "price_2", 1),), latest=INVOICES["open"])
    end = world(payer(changed), customer(service()), sold=sold)
    for _ in range(3):
        end.run()
        assert not end.done
    end.payer = payer(subscription(items=changed.items, latest=PAID))
    end.run()
    assert moves(end) == [("active", "3")]


def test_a_price_for_the_same_plan_is_remembered_before_its_mapping_is_edited() -> None:
    """Who was moved to a new price of the same plan is moved by a later edit of its mapping, not by Stripe."""
    sold = catalogue(HOSTING, PlanMapping("price_2", plan="2"))
    end = world(payer(subscription(items=(Item("si_1", "price_2", 1),), latest=PAID)), customer(service()), sold=sold)
    end.run()
    end.catalogue = catalogue(HOSTING, PlanMapping("price_2", plan="3"))
    end.run()
    assert moves(end) == [("mapping_edited", "3")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((PlanRule("price_1", "price_more", 1, "2"),), (PlanRule("price_1", "price_more", 1, "3"),)),
        ((PlanRule("price_1", "price_more", 1, "2"), PlanRule("price_1", "price_more", 9, "3")),) * 2,
    ],
    ids=["rule edited", "quantity raised"],
)
def test_an_edited_rule_is_a_mapping_and_another_quantity_is_stripes(
    before: tuple[PlanRule, ...], after: tuple[PlanRule, ...]
) -> None:
    """A rule that names another plan moves nobody by Stripe's word; more of the add-on does."""
    base, addon = PlanMapping("price_1", plan="1"), PlanMapping("price_more", kind="addon")
    items = (Item("si_1", "price_1", 1), Item("si_more", "price_more", 1))
    end = world(
        payer(subscription(items=items, latest=PAID)), customer(service()), sold=catalogue(base, addon, rules=before)
    )
    end.run()
    assert not moves(end)
    end.catalogue = catalogue(base, addon, rules=after)
    if before == after:
        end.payer = payer(subscription(items=(items[0], replace(items[1], quantity=9)), latest=PAID))
    end.run()
    assert moves(end) == [("active" if before == after else "mapping_edited", "3")]


def test_an_addon_that_becomes_hosting_is_a_mapping_too() -> None:
    """The kind of what stands beside it is no change at Stripe: the base's move back is the edit's."""
    base, addon = PlanMapping("price_1", plan="1"), PlanMapping("price_more", kind="addon")
    items = (Item("si_1", "price_1", 1), Item("si_more", "price_more", 1))
    sold = catalogue(base, addon, rules=(PlanRule("price_1", "price_more", 1, "2"),))
    end = world(payer(subscription(items=items, latest=PAID)), customer(service()), sold=sold)
    end.run()
    end.catalogue = catalogue(base, PlanMapping("price_more", plan="3"))
    end.run()
    assert moves(end) == [("mapping_edited", "1")]


def test_what_was_moved_in_the_panel_is_put_back_by_nobodys_wish_at_stripe() -> None:
    """A move by hand is no change at Stripe either."""
    moved = service()
    end = world(payer(subscription(latest=PAID)), customer(moved), in_panel(moved, plan_id=3, plan_name="Max"))
    end.run()
    assert moves(end) == [("plan_put_back", "2")]


def test_a_mapping_spelt_otherwise_moves_nobody() -> None:
    """The plan's name in the place of its id is the same plan."""
    end = world(
        payer(subscription(latest=PAID)), customer(service()), sold=catalogue(PlanMapping("price_1", plan="Pro"))
    )
    end.run()
    assert not end.done


def test_other_columns_of_a_mapping_take_nothing_away() -> None:
    """When it is switched on, whether it gets a site, where: what runs under a mapping runs on when these change."""
    columns: list[dict[str, Any]] = [
        {"activate_on": "processing"},
        {"create_website": False},
        {"server_group_id": "other"},
    ]
    for changes in columns:
        mapping = replace(HOSTING, **changes)
        end = world(payer(subscription(latest=INVOICES["open"])), customer(service()), sold=catalogue(mapping))
        assert not end.run().problems
        assert not end.done
        end.catalogue = catalogue(HOSTING)
        end.run()
        assert not end.done


# --- quantity ---------------------------------------------------------------------------------------------------------


def buying(quantity: int, there: int = 0, **changes: Any) -> World:
    """So many bought, and so many there."""
    bought = subscription(items=(Item("si_1", "price_1", quantity),), latest=PAID, **changes)
    sold = catalogue(PlanMapping("price_1", plan="2", create_website=False))
    return world(payer(bought), customer(*[service(slot=n + 1) for n in range(there)]), sold=sold)


def in_the_panel(end: World) -> int:
    """How many hosting subscriptions there are."""
    return len(end.actual.subscriptions)


@pytest.mark.parametrize("there", [0, 3])
def test_an_unusual_quantity_makes_nothing_and_ends_nothing(there: int) -> None:
    """What is there stays, nothing is made of the rest, not even a first one, and a person is asked."""
    end = buying(5_000_000_000, there)
    last = end.run()
    assert [problem.reason for problem in last.problems] == ["quantity_unusual"]
    assert not end.done
    assert [s.holds for s in end.memory.services if s.made] == [frozenset()] * there


def test_the_highest_usual_quantity_is_made_unasked() -> None:
    """As many as `QUANTITY_MAX` are nothing unusual."""
    end = buying(4)
    end.policy = Policy(quantity_max=4)
    assert not end.run().problems
    assert in_the_panel(end) == 4


def test_a_released_quantity_is_made_and_a_higher_one_asks_again() -> None:
    """A release is of the quantity that was shown."""
    end = buying(6, there=2)
    end.policy = Policy(quantity_max=4)
    end.run()
    assert in_the_panel(end) == 2
    end.memory = replace(end.memory, let_pass={"sub_1": 6})
    assert not end.run().problems
    assert in_the_panel(end) == 6
    end.payer = buying(7).payer
    assert [problem.reason for problem in end.run().problems] == ["quantity_unusual"]
    assert in_the_panel(end) == 6


def test_services_move_to_an_item_with_an_unusual_quantity() -> None:
    """An item replaced by one with a wrong quantity is a plan change: who is there is neither ended nor made anew."""
    end = buying(900, there=3)
    end.payer = payer(subscription(items=(Item("si_new", "price_1", 900),), latest=PAID))
    assert [problem.reason for problem in end.run().problems] == ["quantity_unusual"]
    assert not end.done
    assert {s.item_id for s in end.memory.services if s.made} == {"si_new"}


def test_an_unusual_quantity_that_is_not_paid_or_over_bothers_nobody() -> None:
    """There is nothing to let pass before its money is there, nor after its end."""
    for status in ("incomplete", "canceled", "incomplete_expired", "unpaid"):
        assert not buying(900, status=status).run().problems


def test_what_was_begun_before_the_quantity_became_unusual_is_not_gone_on_with() -> None:
    """A service that was remembered and never made waits with the rest, and is made with it."""
    unmade = service(slot=2, state=ServiceState.PENDING, panel_subscription_id=None, plan=None, website_id=None)
    end = buying(900, there=1)
    end.memory = replace(end.memory, services=(*end.memory.services, unmade))
    end.run()
    assert in_the_panel(end) == 1
    end.payer = buying(2).payer
    assert not end.run().problems
    assert in_the_panel(end) == 2


def test_what_is_bought_again_is_not_deleted_over_a_mapping() -> None:
    """A surplus that a raised quantity asks for again outlives its retention while its price means nothing."""
    surplus = service(
        slot=2,
        state=ServiceState.SUSPENDED,
        suspended_by=OURS,
        holds=frozenset({Hold.ENDED}),
        ended_at=NOW - days(40),
    )
    bought = payer(subscription(items=(Item("si_1", "price_1", 2),)))
    sold = catalogue(PlanMapping("price_1", kind="ignore"))
    end = world(bought, customer(service(), surplus), sold=sold, policy=Policy(retention_days=30))
    assert {problem.reason for problem in end.run().problems} == {"mapping_changed"}
    assert [(found.suspended_by, found.deleted) for found in end.actual.subscriptions] == [(None, False), (OURS, False)]
    end.catalogue = catalogue()
    end.run()
    assert [found.suspended_by for found in end.actual.subscriptions] == [None, None]
