"""Outgoing events: what of a service is worth telling, and when an endpoint that fails is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.model import Service, ServiceState
from lib.model.outgoing import Attempt, Disabled, OutgoingType, Standing
from lib.policy.retry import JITTER, MAX_ATTEMPTS

DELAYS = (
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
)
"""After so many failures of an endpoint in a row it is tried again; at the end each hour, which harms nobody."""

GIVEN_UP_AFTER = timedelta(days=5)
"""An endpoint that has failed for so long is disabled; its events go on queueing."""

LONGEST_WISH = timedelta(days=1)
"""A `Retry-After` of more than this is not believed."""

GONE = 410

_TOLD = {
    (ServiceState.LIVE, ServiceState.SUSPENDED): OutgoingType.SERVICE_SUSPENDED,
    (ServiceState.SUSPENDED, ServiceState.LIVE): OutgoingType.SERVICE_RESUMED,
    (ServiceState.PENDING, ServiceState.LIVE): OutgoingType.SERVICE_PROVISIONED,
    (ServiceState.TERMINATED, ServiceState.LIVE): OutgoingType.SERVICE_PROVISIONED,
}


def news_of(before: Service | None, after: Service) -> list[OutgoingType]:
    """What is told of a service when this is remembered in place of that, in order.

    A change beside a change of state is told as well; what is made or ends tells its plan, domain and website itself.
    """
    was = before.state if before is not None else ServiceState.PENDING
    if after.state is not was:
        if after.state is ServiceState.TERMINATED:
            return [OutgoingType.SERVICE_TERMINATED] if was is not ServiceState.PENDING else []
        made = _TOLD.get((was, after.state), OutgoingType.SERVICE_PROVISIONED)
        if after.state is ServiceState.PENDING:  # forgotten, because somebody deleted it in the panel
            return []
        if was in (ServiceState.PENDING, ServiceState.TERMINATED):
            suspended = [OutgoingType.SERVICE_SUSPENDED] if after.state is ServiceState.SUSPENDED else []
            return [OutgoingType.SERVICE_PROVISIONED, *suspended]
        return [made, *([OutgoingType.SERVICE_CHANGED] if _changed(before, after) else [])]
    living = after.state in (ServiceState.LIVE, ServiceState.SUSPENDED)
    return [OutgoingType.SERVICE_CHANGED] if living and _changed(before, after) else []


def _changed(before: Service | None, after: Service) -> bool:
    if before is None:
        return False
    return (before.plan, before.domain, before.website_id) != (after.plan, after.domain, after.website_id)


def next_try(failures: int, now: datetime, noise: float, wish: timedelta | None = None) -> datetime:
    """When an endpoint is tried again after so many failures in a row (1 or more).

    Args:
        noise: from 0 to 1, the caller's random number.
        wish: its own ``Retry-After``; never shortened, but for `LONGEST_WISH`.
    """
    delay = DELAYS[min(failures, len(DELAYS)) - 1]
    delay += delay * JITTER * noise
    return now + max(delay, min(wish or timedelta(), LONGEST_WISH))


def disabled_by(attempt: Attempt, standing: Standing) -> Disabled | None:
    """Whether a failed attempt is the last one until an admin enables the endpoint."""
    if attempt.status == GONE:
        return Disabled.GONE
    since = standing.failing_since
    return Disabled.FAILING if since is not None and standing.at - since >= GIVEN_UP_AFTER else None


def may_send(standing: Standing, customer: str) -> bool:
    """Whether it is this customer's turn at an endpoint: all of them have one, but while it fails."""
    if standing.disabled is not None:
        return False
    if standing.probing:
        return standing.probe == customer
    waits = standing.next_try_at is not None and standing.next_try_at > standing.at
    return not (waits and standing.last_failed == customer)


def is_refused(attempts: int) -> bool:
    """Whether an event failed so often that a person should look at it."""
    return attempts > MAX_ATTEMPTS
