"""Before a mapping is edited it can be said what comes of it."""

from dataclasses import replace

import pytest

from lib.model import Actual, Catalogue, Item, PanelPlan, PlanMapping, Resource, ServiceKey
from lib.policy.preview import Consequence, Effect, consequences
from tests.policy.worlds import INVOICES, NOW, PLANS, catalogue, customer, in_panel, payer, service, subscription, world

KEY = ServiceKey("sub_1", 1)
LIST = (*(PanelPlan(number, name) for number, name in PLANS.items()), PanelPlan(9, "Small", (Resource("websites", 1),)))


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        (catalogue(PlanMapping("price_1", plan="Pro")), []),
        (catalogue(PlanMapping("price_1", plan="2")), []),
        (catalogue(PlanMapping("price_1", plan="3")), [(Effect.MOVED, "3", "")]),
        (catalogue(PlanMapping("price_1", plan="Max")), [(Effect.MOVED, "Max", "")]),
        (catalogue(PlanMapping("price_1", plan="9")), [(Effect.REFUSED, "9", "it does not fit: websites 4 of 1")]),
        (catalogue(PlanMapping("price_1", plan="x")), [(Effect.REFUSED, "x", "0 plans of the panel are meant by 'x'")]),
        (catalogue(PlanMapping("price_1", kind="ignore")), [(Effect.KEPT, None, "")]),
        (Catalogue(), [(Effect.KEPT, None, "")]),
    ],
)
def test_an_edit_tells_what_becomes_of_who_is_there(
    edited: Catalogue, expected: list[tuple[Effect, str | None, str]]
) -> None:
    """Who is moved, who can't be, who is kept: with the reason, and nobody else is named."""
    there = in_panel(service(), resources=(Resource("websites", None, 4),))
    actual = Actual(subscriptions=(there,), plans=LIST)
    start = world(payer(subscription(latest=INVOICES["paid"])), customer(service()))
    found = consequences(start.payer, start.memory, actual, edited, start.policy, NOW)
    assert list(found) == [Consequence(KEY, *parts) for parts in expected]


def test_what_is_told_of_a_sound_edit_is_what_passes_then_do() -> None:
    """The moves and the new hosting that are named are made, and nothing else."""
    items = (Item("si_1", "price_1", 1), Item("si_2", "price_2", 1))
    end = world(payer(subscription(items=items, latest=INVOICES["paid"])), customer(service()))
    edited = catalogue(PlanMapping("price_1", plan="3"), PlanMapping("price_2", plan="1", create_website=False))
    actual = replace(end.actual, plans=LIST)
    told = consequences(end.payer, end.memory, actual, edited, end.policy, NOW)
    assert {(c.service.slot, c.effect.value, c.plan) for c in told} == {(1, "moved", "3"), (2, "made", "1")}
    end.catalogue = edited
    end.run()
    assert sorted(found.plan_id for found in end.actual.subscriptions) == [1, 3]
