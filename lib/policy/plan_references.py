"""What a mapping means by a panel plan: its integer id in digits, or its exact name. Every comparison is made here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lib.model import PanelPlan, PanelSubscription, Service
from lib.model.reason import Rule

UNASKED_MOVES = frozenset({Rule.MAPPING_EDITED, Rule.PLAN_PUT_BACK})
"""Rules of moves to another plan that no change at Stripe asked for: a mapping or rule says something else now, or
somebody moved it in the panel."""

PRICE_IDS = "Test and live mode have their own ids, and a product's (prod_...) is none of a price (price_...)."
"""What is wrong with most ids of prices that Stripe does not know."""

_NUMBER = re.compile(r"[0-9]{1,10}")
"""ASCII only: `²` and `٣` are digits to some functions and no numbers to others. The ids are 32 bit."""


def plan_number(reference: str) -> int | None:
    """The plan's id, if the reference is one; `None`: it is a name."""
    reference = reference.strip()
    return int(reference) if _NUMBER.fullmatch(reference) else None


def named(name: str, reference: str) -> bool:
    """Whether a plan of this name is meant by a reference that is no id. Blanks around either say nothing."""
    return plan_number(reference) is None and name.strip() == reference.strip()


def plans_meant(reference: str, plans: Iterable[PanelPlan]) -> list[PanelPlan]:
    """The plans that a reference means: one, or none, or several of the same name."""
    number = plan_number(reference)
    return [plan for plan in plans if (plan.id == number if number is not None else named(plan.name, reference))]


def put_on(service: Service, reference: str) -> bool:
    """Whether a service was last put on the plan that is meant, as far as that shows without a look at the panel."""
    number = plan_number(reference)
    return reference == service.plan or (number is not None and number == service.panel_plan_id)


def on_plan(found: PanelSubscription, reference: str, plans: Iterable[PanelPlan] = ()) -> bool:
    """Whether a hosting subscription is on the plan that is meant.

    Args:
        plans: the panel's list, as far as it was read. A name is looked up there where the subscription shows another
            one: the plan may be called otherwise since, and moving to where it is already would never end.
    """
    number = plan_number(reference)
    if number is not None:
        return found.plan_id == number
    return named(found.plan_name, reference) or any(plan.id == found.plan_id for plan in plans_meant(reference, plans))
