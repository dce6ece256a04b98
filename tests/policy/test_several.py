"""Several subscriptions, items and quantities: what belongs together stays together, what does not stays apart."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config import Policy
from lib.model import (
    ActionKind,
    Actual,
    Hold,
    Item,
    PlanMapping,
    PlanRule,
    Problem,
    Service,
    ServiceKey,
    ServiceState,
    Wait,
)
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
    stranger,
    subscription,
    world,
)

# --- two subscriptions ------------------------------------------------------------------------------------------------

REMEMBERED: dict[str, dict[str, Any] | None] = {
    "never seen": None,
    "never seen, unmapped": None,
    "live": {},
    "suspended by us": {"state": ServiceState.SUSPENDED, "suspended_by": OURS, "holds": frozenset({Hold.UNPAID})},
    "suspended by hand": {},
    "moved by hand": {},
    "deleted by hand": {},
    "unmapped": {"price_id": "price_unmapped"},
    "on another plan": {"plan": "1"},
}
IN_PANEL: dict[str, dict[str, Any]] = {
    "suspended by hand": {"suspended_by": SOMEBODY},
    "moved by hand": {"plan_id": 3, "plan_name": "Max"},
    "deleted by hand": {"deleted": True},
}
# Disputes, refunds and double purchases: their states belong here, so that they too are met by every other one.
FIRST, SECOND = "sub_1", "sub_2"
STATES = list(product(STATUSES, REMEMBERED))
State = tuple[str, str]
Ends = dict[tuple[str, State], tuple[object, set[Problem], Wait | None]]


def together(*states: tuple[str, State], order: int = 1) -> World:
    """A customer with the named subscriptions, each in its state; `order` -1: told the other way round."""
    bought, remembered, found = [], [], []
    for name, (status, memory) in states:
        price = "price_unmapped" if "unmapped" in memory else "price_1"
        items = (Item(name.replace("sub", "si"), price, 1),)
        bought.append(subscription(name, items=items, latest=INVOICES["paid"], **STATUSES[status]))
        changes = REMEMBERED[memory]
        if changes is not None:
            remembered.append(service(name, **changes))
            found.append(in_panel(remembered[-1], **IN_PANEL.get(memory, {})))
    return World(
        payer=payer(*bought[::order]),
        catalogue=catalogue(),
        memory=customer(*remembered[::order]),
        actual=Actual(subscriptions=tuple(found[::order])),
        policy=Policy(retention_days=30, pause_collection="suspend"),
    )


def outcome(end: World, name: str) -> object:
    """What became of a subscription's service, without the panel's number for it and what is looked for before."""
    key = ServiceKey(name, 1)
    remembered, found = end.service(key), end.panel(key)
    changes = [
        (action.kind, action.rule, {name: value for name, value in action.details.items() if name != "awaited"})
        for action in end.done
        if action.service == key
    ]
    return (
        remembered and replace(remembered, panel_subscription_id=None),
        found and replace(found, id=0),
        changes,
    )


@pytest.fixture(scope="module")
def alone() -> Ends:
    """How each subscription ends, and what is said about it, when it is the customer's only one."""
    ends: Ends = {}
    for name, state in product((FIRST, SECOND), STATES):
        end = together((name, state))
        last = end.run()
        ends[name, state] = (outcome(end, name), set(last.problems), last.wait)
    return ends


@pytest.mark.parametrize("status", STATUSES)
def test_no_subscription_ever_moves_another(status: str, alone: Ends) -> None:
    """Each of two subscriptions ends as it would alone, by the same changes, in whatever state the other one is."""
    for mine, other in product([state for state in STATES if state[0] == status], STATES):
        end = together((FIRST, mine), (SECOND, other), order=1 if mine[1] < other[1] else -1)
        last = end.run(limit=20)
        for name, state in ((FIRST, mine), (SECOND, other)):
            assert outcome(end, name) == alone[name, state][0], (name, mine, other)
        assert set(last.problems) == alone[FIRST, mine][1] | alone[SECOND, other][1], (mine, other)
        waits = [wait.at for name, state in ((FIRST, mine), (SECOND, other)) if (wait := alone[name, state][2])]
        assert (last.wait and last.wait.at) == min(waits, default=None), (mine, other)


def test_what_the_panel_refuses_for_one_stops_no_other(alone: Ends) -> None:
    """When every change to one service fails, the other subscription still ends as it would alone."""
    for mine, other in combinations_with_replacement(STATES[::3], 2):
        end = together((FIRST, mine), (SECOND, other))
        end.failing = frozenset({ServiceKey(FIRST, 1)})
        end.run(limit=20)
        assert outcome(end, SECOND) == alone[SECOND, other][0], (mine, other)
        assert not [action for action in end.done if action.service == ServiceKey(FIRST, 1)]


def test_two_new_subscriptions_share_one_organisation_and_one_mail() -> None:
    """A customer who buys twice has one organisation, one login, one welcome, and two hosting subscriptions."""
    end = world(payer(subscription(FIRST), subscription(SECOND)))
    end.run()
    kinds = [action.kind for action in end.done]
    assert kinds.count(ActionKind.CREATE_ORG) == kinds.count(ActionKind.CREATE_LOGIN) == end.welcomes == 1
    assert kinds.count(ActionKind.CREATE_SUBSCRIPTION) == kinds.count(ActionKind.CREATE_WEBSITE) == 2


# --- double purchases -------------------------------------------------------------------------------------------------


def test_a_second_live_subscription_of_one_price_is_held_where_the_operator_wants_it() -> None:
    """With `ON_DOUBLE_PURCHASE=hold` the later of two live subscriptions of one price is shown and makes nothing."""
    bought = payer(subscription(FIRST, age=9), subscription(SECOND, age=1))
    end = world(bought, customer(service()), policy=Policy(on_double_purchase="hold"))
    assert [problem.reason for problem in end.run().problems] == ["double_purchase"]
    assert not end.done
    end.policy = Policy()
    end.run()
    assert len(end.actual.subscriptions) == 2


@pytest.mark.parametrize("state", [ServiceState.SUSPENDED, ServiceState.TERMINATED])
def test_a_customer_who_returns_buys_nothing_twice(state: ServiceState) -> None:
    """What was cancelled is no live subscription: the same price bought anew is no double purchase, it runs."""
    old = service(state=state, suspended_by=OURS, holds=frozenset({Hold.ENDED}))
    bought = payer(subscription(FIRST, "canceled", ended_days=40), subscription(SECOND, latest=INVOICES["paid"], age=1))
    end = world(bought, customer(old), policy=Policy(on_double_purchase="hold", retention_days=365))
    assert not end.run().problems
    assert (found := end.panel(ServiceKey(SECOND, 1)))
    assert found.suspended_by is None


@pytest.mark.parametrize(
    "first",
    [
        {"latest": INVOICES["open"]},  # its debit is still under way
        {"status": "incomplete"},
    ],
    ids=["processing", "incomplete"],
)
def test_a_first_purchase_that_is_paid_last_is_the_double_one(first: dict[str, Any]) -> None:
    """Two purchases of one price make one hosting, however late the money of the first one comes."""
    hold = Policy(on_double_purchase="hold")
    older, younger = subscription(FIRST, age=9, **first), subscription(SECOND, latest=INVOICES["paid"], age=1)
    end = world(payer(older, younger), policy=hold)
    end.run()
    end.payer = payer(subscription(FIRST, age=9, latest=INVOICES["paid"]), younger)
    assert [problem.reason for problem in end.run().problems] == ["double_purchase"]
    assert len(end.actual.subscriptions) == 1


def test_a_purchase_in_a_new_status_is_a_purchase() -> None:
    """Hosting that runs counts as bought whatever Stripe calls its subscription's status."""
    bought = payer(subscription(FIRST, "hibernating", age=9), subscription(SECOND, latest=INVOICES["paid"], age=1))
    end = world(bought, customer(service()), policy=Policy(on_double_purchase="hold"))
    assert "double_purchase" in [problem.reason for problem in end.run().problems]
    assert len(end.actual.subscriptions) == 1


@pytest.mark.parametrize("released", [True, False], ids=["released", "made before it was a rule"])
def test_a_second_purchase_that_was_let_in_may_grow(released: bool) -> None:
    """What an admin let pass, or runs already, is no double purchase when its quantity is raised."""
    bought = payer(subscription(FIRST, age=9), subscription(SECOND, items=(Item("si_2", "price_1", 2),), age=1))
    second = service(SECOND, item_id="si_2", released=released)
    end = world(bought, customer(service(), second), policy=Policy(on_double_purchase="hold"))
    assert not end.run().problems
    assert len(end.actual.subscriptions) == 3


# --- quantities and items ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["past_due", "unpaid"])
def test_nobody_who_is_behind_gets_more(status: str) -> None:
    """Grace keeps on what runs; services that are added meanwhile are made once the money is there."""
    promised = NOW + days(3)
    behind = subscription(items=(Item("si_1", "price_1", 4),), status=status, unpaid_days=1)
    end = world(payer(behind), customer(service(grace_override=promised)))
    end.run()
    assert len(end.actual.subscriptions) == 1
    assert end.actual.subscriptions[0].suspended_by is None
    end.payer = payer(subscription(items=behind.items, latest=INVOICES["paid"]))
    end.run()
    assert len(end.actual.subscriptions) == 4


def test_an_admins_hold_covers_what_is_bought_to_it() -> None:
    """Who is held for abuse gets no fresh hosting by raising the quantity, and all of it when the hold is lifted."""
    held = service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.ADMIN}))
    end = world(payer(subscription(items=(Item("si_1", "price_1", 2),))), customer(held))
    end.run()
    assert [found.suspended_by for found in end.actual.subscriptions] == [OURS]
    end.memory = replace(
        end.memory, services=tuple(replace(s, holds=s.holds - {Hold.ADMIN}) for s in end.memory.services)
    )
    end.run()
    assert [found.suspended_by for found in end.actual.subscriptions] == [None, None]


SOLD = catalogue(
    PlanMapping("price_1", plan="1", create_website=False),
    PlanMapping("price_2", plan="2", create_website=False),
    PlanMapping("price_3", plan="Max", create_website=False),
)
PRICE_PLANS = {"price_1": 1, "price_2": 2, "price_3": 3}


def buying(*items: Item, after: World | None = None, **changes: Any) -> World:
    """The same customer, whose one subscription now has these items."""
    bought = subscription(items=items, latest=INVOICES["paid"], **changes)
    if after is None:
        return world(payer(bought), stranger(), sold=SOLD)
    return replace(after, payer=payer(bought), done=[])


def running(end: World) -> list[int]:
    """The slots of the services that are on."""
    return sorted(
        remembered.key.slot
        for remembered in end.memory.services
        if (found := end.panel(remembered.key)) and not found.deleted and found.suspended_by is None
    )


def test_quantity_is_so_many_services() -> None:
    """Quantity 3 is three hosting subscriptions, each with a mark of its own."""
    end = buying(Item("si_1", "price_1", 3))
    end.run()
    assert sorted(found.friendly_name.split()[-1] for found in end.actual.subscriptions) == [
        "[sub_1/2]",
        "[sub_1/3]",
        "[sub_1]",
    ]
    assert running(end) == [1, 2, 3]


def test_a_lower_quantity_holds_the_same_surplus_at_every_pass() -> None:
    """The surplus services are held as ended, and no later pass holds others in their stead."""
    end = buying(Item("si_1", "price_1", 3))
    end.run()
    end = buying(Item("si_1", "price_1", 1), after=end)
    end.run()
    assert running(end) == [1]
    held = {remembered.key.slot: remembered.holds for remembered in end.memory.services if remembered.holds}
    assert held == {2: {Hold.ENDED}, 3: {Hold.ENDED}}
    for later in (1, 30, 300):
        end.now += days(later)
        end.done = []
        end.run()
        assert not end.done
        assert running(end) == [1]


def test_a_higher_quantity_takes_the_surplus_back_first() -> None:
    """A quantity raised again resumes what was held, before anything new is made."""
    end = buying(Item("si_1", "price_1", 3))
    end.run()
    end = buying(Item("si_1", "price_1", 1), after=end)
    end.run()
    end = buying(Item("si_1", "price_1", 4), after=end)
    end.run()
    assert [action.kind for action in end.done] == [
        ActionKind.RESUME,
        ActionKind.RESUME,
        ActionKind.CREATE_SUBSCRIPTION,
    ]
    assert running(end) == [1, 2, 3, 4]


def test_quantity_zero_ends_all() -> None:
    """Quantity 0 leaves every service held as ended, and none deleted."""
    end = buying(Item("si_1", "price_1", 2))
    end.run()
    end = buying(Item("si_1", "price_1", 0), after=end)
    end.run()
    assert running(end) == []
    assert all(remembered.holds == {Hold.ENDED} for remembered in end.memory.services)
    assert not any(found.deleted for found in end.actual.subscriptions)


def test_a_surplus_is_deleted_only_after_a_configured_retention() -> None:
    """What is surplus is kept as long as what was cancelled, and without `RETENTION_DAYS` for ever."""
    end = buying(Item("si_1", "price_1", 2))
    end.run()
    end = buying(Item("si_1", "price_1", 1), after=end)
    end.policy = Policy(retention_days=30)
    end.run()
    end.now += days(29)
    end.run()
    assert not any(found.deleted for found in end.actual.subscriptions)


def test_what_was_never_made_is_the_first_to_be_surplus() -> None:
    """When the quantity is lowered before all were made, those that exist stay and none is held for one to be made."""
    # The panel refused the first one for a while, so only the second exists ("existing services are matched first").
    unmade = service(slot=1, state=ServiceState.PENDING, panel_subscription_id=None, plan=None, website_id=None)
    made = service(slot=2)
    end = world(payer(subscription(items=(Item("si_1", "price_1", 1),))), customer(unmade, made))
    end.run()
    assert [action.kind for action in end.done] == []
    assert running(end) == [2]


@pytest.mark.parametrize("new_price", ["price_1", "price_2"])
def test_a_replaced_item_is_a_plan_change(new_price: str) -> None:
    """Another item in the place of the old one moves the service at most: nothing is deleted, held or made."""
    end = buying(Item("si_old", "price_1", 1))
    end.run()
    end = buying(Item("si_new", new_price, 1), after=end)
    end.run()
    expected = [] if new_price == "price_1" else [ActionKind.CHANGE_PLAN]
    assert [action.kind for action in end.done] == expected
    remembered = end.memory.services[0]
    assert (remembered.item_id, remembered.price_id, len(end.memory.services)) == ("si_new", new_price, 1)


def test_an_item_that_stays_keeps_its_service() -> None:
    """Of two items one is replaced: the other keeps its own service, by its item id, in whatever order they come."""
    end = buying(Item("si_a", "price_1", 1), Item("si_b", "price_2", 1))
    end.run()
    before = {remembered.item_id: remembered.panel_subscription_id for remembered in end.memory.services}
    end = buying(Item("si_c", "price_3", 1), Item("si_b", "price_2", 1), after=end)
    end.run()
    after = {remembered.item_id: remembered.panel_subscription_id for remembered in end.memory.services}
    assert after == {"si_b": before["si_b"], "si_c": before["si_a"]}
    assert [action.kind for action in end.done] == [ActionKind.CHANGE_PLAN]


ITEMS = st.lists(
    st.builds(
        Item,
        id=st.sampled_from(["si_a", "si_b", "si_c", "si_d"]),
        price_id=st.sampled_from(sorted(PRICE_PLANS)),
        quantity=st.integers(0, 3),
    ),
    max_size=3,
    unique_by=lambda item: item.id,
)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.lists(ITEMS, min_size=1, max_size=5))
def test_whatever_is_bought_next_nothing_is_made_twice(history: list[list[Item]]) -> None:
    """After every change of items as many services run as are bought, each on its plan, made only when none is free."""
    end = buying()
    most = 0
    for items in history:
        end = buying(*items, after=end)
        end.run(limit=60)
        total = sum(item.quantity for item in items)
        most = max(most, total)
        assert len(running(end)) == total
        assert len(end.actual.subscriptions) == most
        assert not any(found.deleted for found in end.actual.subscriptions)
        for item in items:
            own = [remembered for remembered in end.memory.services if _runs_for(end, remembered, item)]
            assert len(own) == item.quantity
            plans = {found.plan_id for remembered in own if (found := end.panel(remembered.key))}
            assert plans <= {PRICE_PLANS[item.price_id]}
        end.run()
        still = (end.memory, end.actual)
        end = buying(*reversed(items), after=end)  # the order in which Stripe lists them says nothing
        end.run()
        assert (end.memory, end.actual) == still


def _runs_for(end: World, remembered: Service, item: Item) -> bool:
    return remembered.item_id == item.id and remembered.key.slot in running(end)


# --- stray prices and add-ons -----------------------------------------------------------------------------------------

BASE = PlanMapping("price_1", plan="1")
ADDON = PlanMapping("price_more", kind="addon")
BASE_ITEM, ADDON_ITEM = Item("si_1", "price_1", 1), Item("si_more", "price_more", 1)
RULES = (PlanRule("price_1", "price_more", 1, "2"), PlanRule("price_1", "price_more", 5, "3"))


@pytest.mark.parametrize(("quantity", "plan"), [(1, 2), (4, 2), (5, 3), (9, 3)])
def test_the_most_specific_rule_names_the_plan(quantity: int, plan: int) -> None:
    """Base and add-on buy one service, on the plan of the rule with the greatest least quantity that is reached."""
    items = (BASE_ITEM, replace(ADDON_ITEM, quantity=quantity))
    end = world(payer(subscription(items=items)), sold=catalogue(BASE, ADDON, rules=RULES))
    last = end.run()
    assert [found.plan_id for found in end.actual.subscriptions] == [plan]
    assert not last.problems


def test_an_addon_bought_later_and_dropped_again_moves_the_service_there_and_back() -> None:
    """An add-on changes the plan of the service beside it and, when it goes, gives the base's plan back."""
    sold = catalogue(BASE, ADDON, rules=RULES)
    end = world(payer(subscription(items=(BASE_ITEM,))), customer(service(plan="1")), sold=sold)
    end.payer = payer(subscription(items=(ADDON_ITEM, BASE_ITEM), latest=INVOICES["paid"]))
    end.run()
    assert end.actual.subscriptions[0].plan_id == 2
    end.payer = payer(subscription(items=(BASE_ITEM,), latest=INVOICES["paid"]))
    end.run()
    assert end.actual.subscriptions[0].plan_id == 1
    assert [action.kind for action in end.done] == [ActionKind.CHANGE_PLAN, ActionKind.CHANGE_PLAN]


def test_an_addon_waits_for_its_money() -> None:
    """An add-on whose invoice is open changes nothing yet, and the wait is shown."""
    sold = catalogue(BASE, ADDON, rules=RULES)
    bought = subscription(items=(BASE_ITEM, ADDON_ITEM), latest=INVOICES["open"])
    end = world(payer(bought), customer(service(plan="1")), sold=sold)
    end.run()
    assert not end.done
    assert end.memory.services[0].wait_reason == "change_waits_for_payment"


OTHER_ADDON, OTHER_ITEM = PlanMapping("price_other", kind="addon"), Item("si_other", "price_other", 1)


@pytest.mark.parametrize("order", [1, -1])
def test_two_addons_that_name_different_plans_are_shown(order: int) -> None:
    """Whatever order Stripe lists them in, the service stays on one plan, and a person learns of the other add-on."""
    sold = catalogue(BASE, ADDON, OTHER_ADDON, rules=(*RULES, PlanRule("price_1", "price_other", 1, "3")))
    end = world(payer(subscription(items=(BASE_ITEM, ADDON_ITEM, OTHER_ITEM)[::order])), sold=sold)
    last = end.run()
    assert [found.plan_id for found in end.actual.subscriptions] == [2]
    assert [problem.reason for problem in last.problems] == ["unmapped_price"]


def test_an_addon_belongs_to_the_base_that_has_a_rule_for_it() -> None:
    """Beside two bases an add-on changes the one that its rule names; the other one is made as it was bought."""
    other = PlanMapping("price_2", plan="1")
    sold = catalogue(BASE, other, ADDON, rules=RULES)
    items = (BASE_ITEM, Item("si_2", "price_2", 1), ADDON_ITEM)
    end = world(payer(subscription(items=items)), sold=sold)
    assert not end.run().problems
    assert [found.plan_id for found in end.actual.subscriptions] == [2, 1]


@pytest.mark.parametrize("left", [(), (replace(BASE_ITEM, quantity=0),)], ids=["gone", "lowered to nothing"])
def test_an_addon_left_alone_keeps_no_service_on(left: tuple[Item, ...]) -> None:
    """An item that is gone or lowered to nothing ends its service, though its add-on is still paid for, and shown."""
    end = world(
        payer(subscription(items=(*left, ADDON_ITEM))), customer(service()), sold=catalogue(BASE, ADDON, rules=RULES)
    )
    last = end.run()
    assert end.memory.services[0].holds == {Hold.ENDED}
    assert end.actual.subscriptions[0].suspended_by == OURS
    assert [problem.reason for problem in last.problems] == ["unmapped_price"]


def test_a_base_that_is_called_an_addon_by_mistake_ends_nothing() -> None:
    """A mapping gone wrong is shown, and hosting that is paid for stays on meanwhile."""
    end = world(payer(subscription()), customer(service()), sold=catalogue(PlanMapping("price_1", kind="addon")))
    last = end.run()
    assert not end.done
    assert [problem.reason for problem in last.problems] == ["mapping_changed"]


def test_an_addon_without_a_rule_parks_and_leaves_the_service() -> None:
    """An add-on that no rule knows parks the customer as `unmapped_price`; what runs goes on as it is."""
    end = world(
        payer(subscription(items=(BASE_ITEM, ADDON_ITEM))), customer(service(plan="1")), sold=catalogue(BASE, ADDON)
    )
    last = end.run()
    assert not end.done
    assert [problem.reason for problem in last.problems] == ["unmapped_price"]


def test_an_addon_without_a_base_parks() -> None:
    """An add-on that stands alone has been paid for and can't be given: the customer is parked as `unmapped_price`."""
    end = world(payer(subscription(items=(ADDON_ITEM,))), sold=catalogue(BASE, ADDON, rules=RULES))
    last = end.run()
    assert not end.done
    assert [problem.reason for problem in last.problems] == ["unmapped_price"]


@pytest.mark.parametrize("kind", ["ignore", "service"])
@pytest.mark.parametrize("stray_first", [False, True])
def test_it_runs_by_itself_once_a_stray_price_is_mapped(kind: Any, stray_first: bool) -> None:
    """A price without a mapping parks; once a row appears all is made, with its site, in whatever order they came."""
    stray = Item("si_stray", "price_stray", 1)
    items = (stray, BASE_ITEM) if stray_first else (BASE_ITEM, stray)
    end = world(payer(subscription(items=items)), sold=catalogue(BASE))
    assert [problem.reason for problem in end.run().problems] == ["unmapped_price"]
    end.catalogue = catalogue(BASE, PlanMapping("price_stray", kind=kind, plan="2" if kind == "service" else None))
    last = end.run()
    assert not last.problems
    assert len(end.actual.subscriptions) == (2 if kind == "service" else 1)
    assert [remembered.website_id for remembered in end.memory.services if remembered.website_id]
