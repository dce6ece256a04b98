"""Two subscriptions of one customer with one domain: who pays has the website, and nothing deletes it meanwhile."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from lib.config import Policy
from lib.model import (
    Action,
    ActionKind,
    Clock,
    Facts,
    Hold,
    Item,
    Memory,
    PlanMapping,
    ServiceKey,
    ServiceState,
    Subscription,
    Want,
)
from lib.model.reason import Reason, waited_for
from lib.policy import decide, desired, imagine
from lib.structs import replace
from tests.policy.worlds import (
    INVOICES,
    NOW,
    OURS,
    SOMEBODY,
    STATUSES,
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

SHOP = "shop.example"
OLD, NEW = ServiceKey("sub_1", 1), ServiceKey("sub_2", 1)
SITE = "website-of-the-shop"
ENDED: dict[str, Any] = {
    "state": ServiceState.SUSPENDED,
    "suspended_by": OURS,
    "holds": frozenset({Hold.ENDED}),
    "ended_at": NOW - days(40),
}
NEVER_MADE: dict[str, Any] = {"panel_subscription_id": None, "state": ServiceState.PENDING, "plan": None}
POLICIES = {"kept": Policy(), "deleted at once": Policy(retention_days=0), "deleted": Policy(retention_days=30)}
OVER = ("canceled yesterday", "canceled 100 days ago", "canceled, nobody knows when", "incomplete_expired")
PAYS = ("trialing", "active")
HOW_OLD: dict[str, dict[str, Any]] = {
    "runs still": {},
    "suspended as ended": ENDED,
    "suspended as unpaid": {**ENDED, "holds": frozenset({Hold.UNPAID}), "ended_at": None},
    "held by an admin": {**ENDED, "holds": frozenset({Hold.ADMIN})},
    "suspended by hand": {},
    "deleted by hand": ENDED,
    "linked by an operator": {**ENDED, "adopted": True},
}
HOW_NEW: dict[str, dict[str, Any] | None] = {
    "never seen": None,
    "to be made": {**NEVER_MADE, "domain": SHOP},
    "made, and parked": {"domain": SHOP, "wait_reason": Reason.SAME_DOMAIN_PURCHASE},
    "suspended": {
        "domain": SHOP,
        "state": ServiceState.SUSPENDED,
        "suspended_by": OURS,
        "holds": frozenset({Hold.UNPAID}),
    },
    "suspended by hand": {"domain": SHOP},
}


def bought(name: str, status: str, **changes: Any) -> Subscription:
    """A subscription in a state of the table, with the shop's domain."""
    age = 400 if name == "sub_1" else 20
    return replace(subscription(name, domain=SHOP, latest=INVOICES["paid"], age=age, **STATUSES[status]), **changes)


def shop(old: str, how_old: str, new: str, how_new: str, policy: Policy) -> World:
    """The old subscription has the website; the new one was bought with its domain."""
    had = service("sub_1", website_id=SITE, domain=SHOP, **HOW_OLD[how_old])
    by_hand: dict[str, dict[str, Any]] = {
        "suspended by hand": {"suspended_by": SOMEBODY},
        "deleted by hand": {"deleted": True},
    }
    remembered, found = [had], [in_panel(had, **by_hand.get(how_old, {}))]
    changes = HOW_NEW[how_new]
    if changes is not None:
        remembered.append(service("sub_2", website_id=None, **changes))
        if remembered[-1].made:
            found.append(in_panel(remembered[-1], **by_hand.get(how_new, {})))
    return world(payer(bought("sub_1", old), bought("sub_2", new)), customer(*remembered), *found, policy=policy)


def site_of(end: World, key: ServiceKey) -> str | None:
    """The website that a service has in our memory."""
    found = end.service(key)
    return found.website_id if found else None


def runs(end: World, key: ServiceKey) -> bool:
    """Whether its hosting is there and not suspended."""
    found = end.panel(key)
    return found is not None and not found.deleted and found.suspended_by is None


EVERY = 11
"""Of all worlds one in so many, which meets every pair of circumstances; all of them take a minute."""

CASES = list(product(STATUSES, HOW_OLD, STATUSES, HOW_NEW))[::EVERY]


@pytest.mark.parametrize("policy", POLICIES)
def test_who_pays_has_the_website_and_nothing_deletes_it_meanwhile(policy: str) -> None:
    """In every state of both: it settles, stays still, and the website is with who pays unless somebody holds it back.

    That an awaited website is deleted, or taken from who is not ended, is what the world itself refuses.
    """
    for old, how_old, new, how_new in CASES:
        case = f"{old} ({how_old}), {new} ({how_new})"
        end = shop(old, how_old, new, how_new, POLICIES[policy])
        last = end.run(limit=20)
        memory, actual = end.memory, end.actual
        assert (end.look(), end.memory, end.actual) == (last, memory, actual), case
        told = {problem.reason: problem.detail for problem in last.problems}
        had = end.service(OLD)
        assert had is not None, case
        # What is bought again waits for its money, and who pays meanwhile is the one who has it.
        over = old in OVER or (Hold.ENDED in had.holds and old.startswith(("past_due", "unpaid", "paused")))
        held_back = Hold.ADMIN in had.holds or how_old == "suspended by hand"
        assert runs(end, NEW) or new not in PAYS or how_new == "suspended by hand", case
        on = (
            runs(end, NEW) and new != "unknown" and not new.startswith("incomplete")
        )  # of which nobody can tell whether it is paid
        fetched = on and over and not held_back and how_old != "deleted by hand"
        sites = (site_of(end, OLD), site_of(end, NEW))
        if fetched:
            assert sites == (None, SITE), case
            assert not told, case
        elif how_old != "deleted by hand" or not over:
            assert sites == (SITE, None), case
        if on and not over:
            assert "sub_1" in told[Reason.SAME_DOMAIN_PURCHASE] and "sub_2" in told[Reason.SAME_DOMAIN_PURCHASE], case
        if on and over and held_back and how_old != "deleted by hand":
            assert "website_held" in told, case
        if new in OVER:
            assert not {"same_domain_purchase", "website_held"} & told.keys(), case


@pytest.mark.parametrize("new", PAYS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("old", PAYS)
def test_the_end_of_the_other_one_makes_it_a_win_back(old: str, new: str, policy: str) -> None:
    """Parked while both run; the moment the older one ends, the website goes to the other by itself."""
    end = shop(old, "runs still", new, "never seen", POLICIES[policy])
    assert [problem.reason for problem in end.run(limit=20).problems] == ["same_domain_purchase"]
    assert (site_of(end, OLD), runs(end, OLD), runs(end, NEW)) == (SITE, True, True)
    end.payer = payer(bought("sub_1", "canceled yesterday"), end.payer.subscriptions[1])
    assert end.run(limit=20).problems == ()
    assert (site_of(end, OLD), site_of(end, NEW)) == (None, SITE)
    assert runs(end, NEW) and not runs(end, OLD)


def test_a_website_goes_back_and_forth_as_often_as_it_is_bought() -> None:
    """Ended and bought again, three times over: it is always the same website, and always with who pays."""
    end = shop("canceled yesterday", "suspended as ended", "active", "never seen", Policy(retention_days=30))
    for name in ("sub_2", "sub_3", "sub_4"):
        end.run(limit=20)
        assert site_of(end, ServiceKey(name, 1)) == SITE
        end.done.clear()
        later = replace(bought("sub_9", "active"), id=f"sub_{int(name[-1]) + 1}", items=(Item("si_9", "price_1", 1),))
        over = [replace(s, status="canceled", ended_at=NOW) for s in end.payer.subscriptions]
        end.payer = payer(*over, later)
    assert len([s for s in end.memory.services if s.website_id]) == 1


def test_only_one_of_two_new_purchases_gets_it() -> None:
    """The older of two that pay; the other is told which one has it, and follows when that ends."""
    end = shop("canceled yesterday", "suspended as ended", "active", "never seen", Policy())
    third = replace(bought("sub_3", "active"), created=NOW - days(1))
    end.payer = payer(*end.payer.subscriptions, third)
    (problem,) = end.run(limit=20).problems
    assert (problem.reason, problem.subject) == ("same_domain_purchase", "sub_3")
    assert "sub_2" in problem.detail
    assert site_of(end, NEW) == SITE
    end.payer = payer(bought("sub_1", "canceled yesterday"), bought("sub_2", "canceled yesterday"), third)
    assert end.run(limit=20).problems == ()
    assert site_of(end, ServiceKey("sub_3", 1)) == SITE


def test_two_new_purchases_of_a_free_domain_make_one_website() -> None:
    """The second one is parked before it asks the panel for what the first one gets."""
    end = world(payer(bought("sub_1", "active"), bought("sub_2", "active")))
    (problem,) = end.run(limit=20).problems
    assert (problem.reason, problem.subject) == ("same_domain_purchase", "sub_2")
    assert (site_of(end, OLD) is None, site_of(end, NEW)) == (False, None)


def test_each_of_several_domains_goes_to_its_own_slot() -> None:
    """Two services with two domains, bought again the other way round: each website by its own domain."""
    had = [service("sub_1", slot, website_id=f"site-{slot}", domain=f"{slot}.example", **ENDED) for slot in (1, 2)]
    again = subscription("sub_2", items=(Item("si_2", "price_1", 2),), domain="2.example, 1.example", age=1)
    over = replace(bought("sub_1", "canceled yesterday"), items=(Item("si_1", "price_1", 2),))
    end = world(payer(over, replace(again, latest_invoice=INVOICES["paid"])), customer(*had))
    assert end.run(limit=20).problems == ()
    found = {s.domain: (s.key, s.website_id) for s in end.memory.services if s.website_id}
    assert found == {
        "2.example": (ServiceKey("sub_2", 1), "site-2"),
        "1.example": (ServiceKey("sub_2", 2), "site-1"),
    }


def test_a_domain_of_a_deleted_slot_is_free_for_a_new_one() -> None:
    """Quantity down, retention over, quantity up: the new slot is made with the domain that the old one had."""
    slots = [
        service("sub_1", 1, website_id="site-1", domain="1.example"),
        service("sub_1", 2, website_id="site-2", domain="2.example", **{**ENDED, "state": ServiceState.TERMINATED}),
    ]
    both = subscription("sub_1", items=(Item("si_1", "price_1", 2),), domain="1.example 2.example")
    end = world(
        payer(replace(both, latest_invoice=INVOICES["paid"])), customer(*slots), policy=Policy(retention_days=30)
    )
    end.run(limit=20)
    assert sorted((s.key.slot, s.domain) for s in end.memory.services) == [
        (1, "1.example"),
        (2, "2.example"),
        (3, "2.example"),
    ]


@pytest.mark.parametrize(
    "change",
    ["incomplete", "money not settled", "unmapped", "a new status", "domain not readable", "domain not known yet"],
)
def test_a_retention_waits_for_whatever_may_still_want_the_website(change: str) -> None:
    """A purchase that is not on yet, or not understood, keeps the website of the ended one from being deleted."""
    end = shop("canceled 100 days ago", "suspended as ended", "active", "never seen", Policy(retention_days=30))
    new = bought("sub_2", "incomplete" if change in ("incomplete", "domain not known yet") else "active")
    match change:
        case "money not settled":
            new = replace(new, latest_invoice=INVOICES["first open"], invoices=None)
        case "unmapped":
            new = replace(new, items=(Item("si_2", "price_lost", 1),))
        case "a new status":
            new = replace(new, status="on_holiday")
        case "domain not readable":
            new = replace(new, domain="shop")
        case "domain not known yet":
            new = replace(new, domain=None)
    end.payer = payer(end.payer.subscriptions[0], new)
    end.run(limit=20)
    found, had = end.panel(OLD), end.service(OLD)
    assert found is not None and had is not None
    assert (found.deleted, had.website_id, had.wait_reason) == (False, SITE, "website_waited_for")
    end.payer = payer(end.payer.subscriptions[0], bought("sub_2", "incomplete_expired"))
    end.run(limit=20)
    found, had = end.panel(OLD), end.service(OLD)
    assert found is not None and had is not None
    assert (found.deleted, had.wait_reason) == (True, None)


@pytest.mark.parametrize("new", ["other.example", ""])
def test_a_purchase_of_something_else_keeps_no_website(new: str) -> None:
    """A retention ends on its day whatever else the customer buys: another domain, or known to be none."""
    end = shop("canceled 100 days ago", "suspended as ended", "active", "made, and parked", Policy(retention_days=30))
    end.payer = payer(end.payer.subscriptions[0], replace(bought("sub_2", "active"), domain=new or None))
    end._remember(end.memory.services[1], domain=None, domain_sought_at=NOW)
    end.run(limit=20)
    found = end.panel(OLD)
    assert found is not None and found.deleted


def test_a_deletion_is_told_for_which_domains_to_look() -> None:
    """What a purchase waits for may be a second website in the hosting that is to be deleted, unknown to us."""
    end = shop("canceled 100 days ago", "suspended as ended", "active", "made, and parked", Policy(retention_days=30))
    end.payer = payer(end.payer.subscriptions[0], replace(bought("sub_2", "active"), domain="second.example"))
    end.failing = frozenset({NEW})
    end.run(limit=20)
    (deleted,) = [action for action in end.done if action.kind is ActionKind.TERMINATE]
    assert deleted.details["awaited"] == "second.example"


@pytest.mark.parametrize("how_new", ["never seen", "made, and parked", "suspended"])
def test_imagining_a_move_goes_where_moving_goes(how_new: str) -> None:
    """A dry run names the same changes in the same order, and imagines both services as they then are."""
    real = shop("canceled yesterday", "suspended as ended", "active", how_new, Policy())
    memory, actual = real.memory, real.actual
    for _ in range(20):
        decided = decide(Facts(real.payer, memory, real.catalogue, actual), real.policy, Clock(real.now))
        memory, dry, decision = decided.memory, decided.decision, real.look()
        assert _said(dry.action) == _said(decision.action)
        assert _sites(memory) == _sites(real.memory)
        if dry.action is None or decision.action is None:
            break
        memory, actual = imagine(dry.action, memory, actual)
        real.apply(decision.action)
    assert _sites(memory) == {OLD: None, NEW: SITE}


def _said(action: Action | None) -> object:
    return action and (action.kind, action.rule, action.service, action.details.get("website"))


def _sites(memory: Memory) -> dict[ServiceKey, str | None]:
    return {s.key: s.website_id for s in memory.services}


# --- a domain that was changed afterwards -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("shop.example", None),
        ("https://www.Shop.example/", None),
        ("shop.example, second.example", None),
        (None, None),
        (" ", None),
        ("other.example", "domain_differs"),
        ("no domain", "domain_differs"),
    ],
)
def test_a_domain_changed_afterwards_is_shown_and_touches_nothing(named: str | None, shown: str | None) -> None:
    """The website keeps its domain, the customer is not parked over it, and the note goes when the two agree again."""
    had = service("sub_1", website_id=SITE, domain=SHOP, panel_plan_id=2)
    end = world(payer(replace(bought("sub_1", "active"), domain=named)), customer(had))
    last = end.run()
    assert (end.done, last.problems) == ([], ())
    assert end.service(OLD) == replace(had, wait_reason=waited_for(shown))
    end.payer = payer(bought("sub_1", "active"))
    end.run()
    assert end.service(OLD) == had


def test_what_has_ended_differs_from_nothing() -> None:
    """Nobody is shown a difference in what is over."""
    had = service("sub_1", website_id=SITE, domain=SHOP, **ENDED)
    end = world(payer(replace(bought("sub_1", "canceled yesterday"), domain="other.example")), customer(had))
    end.run()
    found = end.service(OLD)
    assert found is not None and found.wait_reason is None


def test_a_price_that_makes_no_website_waits_for_none() -> None:
    """With `create_website = false` nothing is fetched, and the retention ends on its day."""
    end = shop("canceled 100 days ago", "suspended as ended", "active", "never seen", Policy(retention_days=30))
    end.catalogue = catalogue(PlanMapping("price_1", plan="2", create_website=False))
    end.payer = payer(end.payer.subscriptions[0], bought("sub_2", "active"))
    wanted = desired(end.payer, end.memory, end.catalogue, end.policy, end.now)
    assert [goal.want for goal in wanted.goals] == [Want.GONE, Want.ON]
    assert all(goal.awaits is None for goal in wanted.goals)
