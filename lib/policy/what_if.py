"""What other settings would change now for a service, as far as what is remembered tells.

The rules are those of `goal` and `grace`; what they need of Stripe and nobody remembers makes the answer "not known".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from lib.config import Policy
from lib.model import Catalogue, Hold, Service, ServiceState
from lib.policy.grace import held_from
from lib.policy.standing import Terms
from lib.policy.window import moved

Change = Literal["suspended", "resumed", "deleted", "later", "sooner", "not_known"]


class Remembered(Struct, frozen=True):
    """A service and what else is remembered that settings bear upon."""

    service: Service
    own_grace: int | None = None
    """Days of its mapping, which win over the setting."""
    dispute_open: bool = False
    dispute_lost: bool = False
    refunded: bool = False
    """An invoice of its subscription was refunded in full; which period it paid for is not remembered."""


class _Stands(Struct, frozen=True):
    holds: frozenset[Hold]
    date: datetime | None = None
    """When a running grace ends."""
    unclear: tuple[str, ...] = ()
    """What of it depends on facts that nobody remembers, and on these settings."""


def change(found: Remembered, before: Policy, after: Policy, at: datetime) -> Change | None:
    """What the next pass would do otherwise; `None`: nothing."""
    service = found.service
    if service.state is ServiceState.SUSPENDED and Hold.ENDED in service.holds:
        return _of_end(service, before, after, at)
    if service.state not in (ServiceState.LIVE, ServiceState.SUSPENDED) or Hold.ENDED in service.holds:
        return None
    stands, would = _stands(found, before, at), _stands(found, after, at)
    if stands == would:
        return None
    if would.unclear != stands.unclear or not _explains(found, before, stands.date, at):
        return "not_known"
    if service.state is ServiceState.LIVE and would.holds and not stands.holds:
        return "suspended"
    if service.state is ServiceState.SUSPENDED and stands.holds and not would.holds:
        return "resumed"
    return _moved(stands.date, would.date) if stands.date and would.date else None


def _explains(found: Remembered, policy: Policy, date: datetime | None, at: datetime) -> bool:
    """Whether the present settings lead to the date that is remembered.

    What waits for its hours with its grace over may be what Stripe has given up, which is given no other grace.
    """
    service = found.service
    if date is None:
        return True
    end = service.grace_override or _raw_end(found, policy)
    return date == service.grace_until and (service.grace_override is not None or end is None or end > at)


def _raw_end(found: Remembered, policy: Policy) -> datetime | None:
    """The end of its grace by the lengths alone."""
    since = found.service.unpaid_since
    own = found.own_grace
    return since + timedelta(days=policy.grace_days if own is None else own) if since is not None else None


def _moved(date: datetime, then: datetime) -> Change | None:
    return None if then == date else "later" if then > date else "sooner"


def _of_end(service: Service, before: Policy, after: Policy, at: datetime) -> Change | None:
    """Of what has ended: whether and when it is deleted."""
    if before.retention_days == after.retention_days and before.suspend_window == after.suspend_window:
        return None
    if service.ended_at is None:
        return "not_known"
    dates = [
        moved(max(service.ended_at + timedelta(days=policy.retention_days), at), policy.suspend_window)
        if policy.retention_days is not None
        else None
        for policy in (before, after)
    ]
    date, then = dates
    if then is None:
        return None if date is None else "later"
    if then <= at:
        return "deleted" if date is None or date > at else None
    return "sooner" if date is None else _moved(date, then)


def _stands(found: Remembered, policy: Policy, at: datetime) -> _Stands:
    service = found.service
    holds = set(service.holds & {Hold.ADMIN, Hold.PAUSED})
    unclear: list[str] = []
    if Hold.PAUSED in service.holds:  # paused itself, or only its collection?
        unclear.append(policy.pause_collection)
    is_open = policy.on_dispute == "suspend" and found.dispute_open
    if is_open or (policy.on_dispute_lost == "suspend" and found.dispute_lost):
        holds.add(Hold.DISPUTE)
    if policy.on_refund == "suspend" and Hold.REFUND in service.holds:
        holds.add(Hold.REFUND)
    elif policy.on_refund == "suspend" and found.refunded:
        unclear.append("refunded")
    date = _debt(found, policy, at, holds, unclear)
    return _Stands(frozenset(holds), date, tuple(unclear))


def _debt(found: Remembered, policy: Policy, at: datetime, holds: set[Hold], unclear: list[str]) -> datetime | None:
    """The end of the grace that runs, if any; a hold for the debt goes into `holds`."""
    service = found.service
    held = Hold.UNPAID in service.holds
    if not held and service.grace_until is None:
        return None
    end = service.grace_override or _raw_end(found, policy)
    if end is None or (held and end <= at):
        holds.add(Hold.UNPAID)
        return None
    if held and service.grace_override is None:  # of what Stripe calls unpaid, or wrote off, no grace is asked
        holds.add(Hold.UNPAID)
        unclear.append("grace")
        return None
    end = held_from(service, end, Terms(Catalogue({}), policy, at))
    if at < end:
        return end
    holds.add(Hold.UNPAID)
    return None
