"""What an edit of mappings or rules would do to one customer, before anybody is touched by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lib.config import Policy
from lib.model import Actual, Catalogue, Goal, Memory, PanelPlan, PanelSubscription, Payer, ServiceKey, Want
from lib.policy.desired import desired
from lib.policy.plans import on_plan, plans_meant
from lib.policy.usage import over


class Effect(StrEnum):
    """What becomes of one service."""

    MOVED = "moved"
    REFUSED = "refused"
    """It would be moved and can't be: `detail` says why."""
    KEPT = "kept"
    """Its price would be no hosting any more: it stays as it is until a person confirms its end."""
    MADE = "made"
    """It is missing, and would be made."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """One service that an edit concerns."""

    service: ServiceKey
    effect: Effect
    plan: str | None = None
    """Where it would be, as the mapping spells it."""
    detail: str = ""


def consequences(
    payer: Payer, memory: Memory, actual: Actual, edited: Catalogue, policy: Policy, now: datetime
) -> tuple[Consequence, ...]:
    """Who would be moved, refused, kept or made under the `edited` catalogue; who is not named stays as they are.

    Args:
        actual: with the panel's plans; usage as it shows it, which may be old.
    """
    found = {subscription.id: subscription for subscription in actual.subscriptions if not subscription.deleted}
    told = []
    for goal in desired(payer, memory, edited, policy, now).goals:
        there = found.get(goal.service.panel_subscription_id or 0)
        told.append(_of(goal, there, actual.plans or ()))
    return tuple(consequence for consequence in told if consequence is not None)


def _of(goal: Goal, there: PanelSubscription | None, plans: tuple[PanelPlan, ...]) -> Consequence | None:
    if goal.service.waits_for == "mapping_changed":
        return Consequence(goal.key, Effect.KEPT)
    if goal.want is not Want.ON or goal.plan is None:
        return None
    if there is not None and on_plan(there, goal.plan, plans):
        return None
    meant = plans_meant(goal.plan, plans)
    if len(meant) != 1:
        detail = f"{len(meant)} plans of the panel are meant by {goal.plan!r}"
        return Consequence(goal.key, Effect.REFUSED, goal.plan, detail)
    if there is None:
        return None if goal.service.made else Consequence(goal.key, Effect.MADE, goal.plan)
    if excess := over(there.resources, meant[0].resources):
        return Consequence(goal.key, Effect.REFUSED, goal.plan, f"it does not fit: {excess}")
    return Consequence(goal.key, Effect.MOVED, goal.plan)
