"""Whether what a subscription uses fits into a plan."""

from __future__ import annotations

from lib.model import Resource


def may_be_over(shown: tuple[Resource, ...], plan: tuple[Resource, ...]) -> bool:
    """Whether usage must be measured afresh before moving to `plan`: it is a smaller one, or is exceeded already.

    What the panel shows was counted some time ago: it may be too low as well as too high. What it does not show at all
    may be anything.
    """
    limits = _limits(plan)
    smaller = any(r.name in limits and (r.total is None or r.total > limits[r.name]) for r in shown)
    return smaller or bool(limits.keys() - {r.name for r in shown}) or bool(over(shown, plan))


def uncounted(used: tuple[Resource, ...], shown: tuple[Resource, ...], plan: tuple[Resource, ...]) -> str:
    """Which resources that a plan limits, and that the panel counts for this subscription, are not among `used`."""
    return ", ".join(sorted((_limits(plan).keys() & {r.name for r in shown}) - {r.name for r in used}))


def over(used: tuple[Resource, ...], plan: tuple[Resource, ...]) -> str:
    """Which resources are used beyond what a plan allows, with the numbers; empty when it fits."""
    limits = _limits(plan)
    found = [(r.name, r.usage, limits[r.name]) for r in used if r.name in limits and r.usage > limits[r.name]]
    return ", ".join(f"{name} {usage} of {limit}" for name, usage, limit in found)


def over_with(moving: tuple[Resource, ...], there: tuple[Resource, ...], plan: tuple[Resource, ...]) -> str:
    """Which resources a website that moves in would use beyond what a plan allows, with the numbers.

    Args:
        moving: what the website uses.
        there: what is used already where it goes.
    """
    used = {r.name: r.usage for r in there}
    # What was transferred this month stays with the subscription that transferred it.
    both = [Resource(r.name, None, r.usage + used.get(r.name, 0)) for r in moving if r.name != "transfer"]
    return over(tuple(both), plan)


def _limits(plan: tuple[Resource, ...]) -> dict[str, int]:
    return {r.name: r.total for r in plan if r.total is not None}
