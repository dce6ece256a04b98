"""What happens next to a service by the clock alone, told from what is remembered of it. Pages show it beforehand.

A test lets time go on and compares: what is told is what the passes then do, as long as nobody pays, sells or decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from lib.config import Policy
from lib.model import Service, ServiceState
from lib.policy.window import moved

What = Literal["suspend", "delete"]


def coming(service: Service, policy: Policy) -> tuple[datetime, What] | None:
    """When it is suspended, or deleted; `None`: no date of that is known.

    It is suspended once: by the end of its grace or by that of its subscription, whichever comes first.
    """
    if service.state is ServiceState.SUSPENDED and service.retain_until is not None:
        return service.retain_until, "delete"
    if service.state is not ServiceState.LIVE:
        return None
    grace, ends = service.grace_until, service.ends_at
    if grace is not None and (ends is None or grace <= ends):
        return grace, "suspend"
    return None if ends is None else at_the_end(ends, service.unpaid_since, policy)


def at_the_end(ends_at: datetime, unpaid_since: datetime | None, policy: Policy) -> tuple[datetime, What]:
    """When a service goes off whose subscription ends at a date, and how.

    Then, or in the operator's hours if it owes money; and it is deleted at once where nothing is retained by then.
    """
    window = policy.suspend_window
    off = ends_at if unpaid_since is None else moved(ends_at, window)
    if policy.retention_days is None:
        return off, "suspend"
    gone = moved(max(ends_at + timedelta(days=policy.retention_days), off), window)
    return off, "delete" if gone <= off else "suspend"
