"""Whose Checkout sessions are asked for the domain that was typed there, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.model import Goal, Memory, Want, Wanted
from lib.structs import replace

SESSION_SHOWS = (timedelta(), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
"""After a Checkout event its session may be missing in Stripe's list of sessions for a while: when it is looked at."""


def sought_domains(wanted: Wanted, memory: Memory, now: datetime) -> tuple[str, ...]:
    """Subscriptions whose Checkout session must be asked for the domain: once, and a few times after a Checkout event.

    Args:
        now: the database's time, in which it is remembered when they were asked.
    """
    sought = []
    for goal in _without_domain(wanted):
        asked = goal.service.domain_sought_at
        if asked is None or any(asked < look <= now for look in _looks(memory)):
            sought.append(goal.key.subscription_id)
    return tuple(dict.fromkeys(sought))


def seeking_on(wanted: Wanted, memory: Memory, now: datetime) -> Wanted:
    """With the date when a session that did not show a domain is asked the next time."""
    next_look = min((look for look in _looks(memory) if look > now), default=None)
    if next_look is None:
        return wanted
    seeking = {goal.key for goal in _without_domain(wanted)}
    goals = tuple(
        replace(goal, wake_at=min(next_look, goal.wake_at or next_look)) if goal.key in seeking else goal
        for goal in wanted.goals
    )
    return replace(wanted, goals=goals)


def _looks(memory: Memory) -> list[datetime]:
    came = memory.session_event_at
    return [came + delay for delay in SESSION_SHOWS] if came is not None else []


def _without_domain(wanted: Wanted) -> list[Goal]:
    """What is to be on with a website, of subscriptions of which no domain is known."""
    known = {goal.key.subscription_id for goal in wanted.goals if goal.service.domain is not None}
    return [
        goal
        for goal in wanted.goals
        if goal.want is Want.ON
        and goal.create_website
        and goal.service.website_id is None
        and goal.key.subscription_id not in known
    ]
