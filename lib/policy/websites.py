"""Whose website is whose: who comes back gets theirs, and nothing deletes one that a purchase waits for.

Goals are laid beside each other here and nowhere else: a domain is one website in the panel, and two subscriptions of
one customer may name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lib.model import Goal, Hold, PlanMapping, Problem, Service, ServiceKey, ServiceState, Subscription, Want
from lib.model.reason import Reason, WaitReason
from lib.structs import replace

UNKNOWN = ""
"""Stands in `Goal.awaits` for a domain that may still become known."""


def has_ended(service: Service) -> bool:
    """Whether its hosting is only kept: its subscription or item is over."""
    return Hold.ENDED in service.holds and service.state is not ServiceState.TERMINATED


def kept_back(service: Service) -> str | None:
    """Why the website of an ended service may not go to who bought it again: somebody switched it off for a cause.

    Moving it would lift what is not ours to lift.
    """
    if Hold.ADMIN in service.holds:
        return f"{service.key} is held by an admin"
    return f"{service.key} was suspended in the panel" if service.panel_suspended else None


def awaited(
    subscription: Subscription, services: Sequence[Service], domains: Sequence[str], mappings: Mapping[str, PlanMapping]
) -> list[str | None]:
    """For each service: the domain of the website that it is bought with and does not have; `UNKNOWN`: which may come.

    Args:
        services: those that this live subscription buys.
        domains: those that could be read in its metadata.
    """
    named = {service.domain for service in services if service.domain is not None}
    free = [domain for domain in domains if domain not in named]
    result: list[str | None] = []
    for service in services:
        mapping = mappings.get(service.price_id)
        if service.website_id is not None or (mapping is not None and not mapping.create_website):
            result.append(None)
        elif service.domain is not None:
            result.append(service.domain)
        elif free:  # not given to it yet, because its price has no mapping
            result.append(free.pop(0))
        elif named or domains:  # fewer were named than bought: there is none for this one
            result.append(None)
        else:
            result.append(UNKNOWN if subscription.domain or service.domain_sought_at is None else None)
    return result


def differs(service: Service, subscription: Subscription, domains: Sequence[str]) -> bool:
    """Whether the metadata name another domain than the one its website was made with, which stays.

    Args:
        domains: those that could be read in the metadata.
    """
    named = (subscription.domain or "").strip()
    return bool(named) and service.website_id is not None and service.domain not in (None, *domains)


def arrange(goals: Iterable[Goal], besides: Iterable[str]) -> tuple[list[Goal], list[Problem]]:
    """The goals with their websites sorted out: who gets one from whom, who waits, and what is not deleted over it.

    Args:
        goals: all of one customer, oldest subscription first.
        besides: domains for which purchases may wait that have no goal, because they could not be read.
    """
    arranged, problems = _share_out(list(goals))
    waiting = {goal.awaits for goal in arranged if goal.awaits is not None}.union(besides)
    return [_spared(goal, waiting) for goal in arranged], problems


def _share_out(goals: list[Goal]) -> tuple[list[Goal], list[Problem]]:
    """Who has paid and lacks its website gets it from an ended service, or makes it; the others of a domain wait."""
    holders: dict[str, Goal] = {}
    for goal in sorted(goals, key=lambda g: not has_ended(g.service)):  # where two remember it, the living one has it
        service = goal.service
        if service.website_id is not None and service.domain and service.state is not ServiceState.TERMINATED:
            holders[service.domain] = goal
    taken: dict[str, ServiceKey] = {}
    problems: list[Problem] = []
    for place, goal in enumerate(goals):
        if goal.want is not Want.ON or not goal.awaits:
            continue
        holder, domain = holders.get(goal.awaits), goal.awaits
        other = taken.get(domain) or (holder.key if holder and not _gives_up(holder) else None)
        if other is not None:
            problems.append(same_domain(goal.key, other, domain))
        elif holder is not None and (why := kept_back(holder.service)):
            problems.append(held_website(goal.key, domain, why))
        else:
            taken[domain] = goal.key
            goals[place] = replace(goal, website_from=holder.key if holder else None)
            continue
        reason = problems[-1].reason
        waiting = replace(goal.service, wait_reason=goal.service.wait_reason or reason)
        goals[place] = replace(goal, service=waiting, create_website=False)
    return goals, problems


def _gives_up(goal: Goal) -> bool:
    return goal.want in (Want.OFF, Want.GONE) and has_ended(goal.service)


def _spared(goal: Goal, waiting: set[str]) -> Goal:
    """An ended service whose website is waited for says so, and is not deleted while it has it."""
    service = goal.service
    if service.website_id is None or not _gives_up(goal):
        return goal
    if service.domain not in waiting and not (UNKNOWN in waiting and goal.want is Want.GONE):
        return goal
    goal = replace(goal, service=replace(service, wait_reason=WaitReason.WEBSITE_WAITED_FOR))
    return replace(goal, want=Want.OFF, rule=WaitReason.WEBSITE_WAITED_FOR) if goal.want is Want.GONE else goal


def same_domain(key: ServiceKey, other: ServiceKey, domain: str) -> Problem:
    """Two live purchases of one customer name one domain."""
    detail = f"{key} was bought with {domain}, which is the domain of {other}: cancel one, or name another domain"
    return Problem(Reason.SAME_DOMAIN_PURCHASE, detail, str(key))


def held_website(key: ServiceKey, domain: str, why: str) -> Problem:
    """The website of an ended service can't be given to who bought it again."""
    return Problem(Reason.WEBSITE_HELD, f"{key} was bought with {domain}, whose website is kept: {why}", str(key))
