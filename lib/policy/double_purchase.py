"""What one customer has bought twice."""

from __future__ import annotations

from collections import Counter

from lib.model import Goal, Hold, Problem, Want
from lib.model.reason import Reason, Rule
from lib.structs import replace


def double_purchases(bought: list[list[Goal]]) -> tuple[list[list[Goal]], list[Problem]]:
    """Hold back what another live subscription of the same customer has bought already, unless an admin let it pass.

    Args:
        bought: the goals of each subscription, oldest first. The older one has the right of way, but what has been
            made already has it before any that has not: its money came first.
    """
    result: list[list[Goal]] = []
    problems: list[Problem] = []
    made_by = Counter(price for goals in bought for price in {g.service.price_id for g in goals if _is_made(g)})
    older: set[str] = set()
    for goals in bought:
        let_in = {g.service.price_id for g in goals if g.service.released or _is_made(g)}
        own = {g.service.price_id for g in goals if _is_made(g)}
        prices = {g.service.price_id for g in goals}
        taken = {p for p in prices if p in older or made_by[p] > (p in own)} - let_in
        older |= {g.service.price_id for g in goals if _is_bought(g)}
        result.append([])
        for goal in goals:
            service = goal.service
            if goal.want is Want.ON and not service.made and service.price_id in taken:
                detail = (
                    f"{service.key} buys {service.price_id} once more; release it, or refund and cancel it in Stripe"
                )
                problems.append(Problem(Reason.DOUBLE_PURCHASE, detail, str(service.key)))
                waiting = replace(service, wait_reason=Reason.DOUBLE_PURCHASE)
                goal = Goal(waiting, Want.NOTHING, Reason.DOUBLE_PURCHASE, wake_at=goal.wake_at)
            result[-1].append(goal)
    return result, problems


def _is_made(goal: Goal) -> bool:
    return goal.service.made and _is_bought(goal)


def _is_bought(goal: Goal) -> bool:
    """Whether it stands for a purchase that is live: what has ended may be bought anew."""
    kept = goal.want is Want.KEEP and goal.service.made
    live = kept or goal.want in (Want.ON, Want.OFF) or goal.rule == Rule.MONEY_NOT_SETTLED
    return live and Hold.ENDED not in goal.service.holds
