"""When the money of an order that was sold for somebody else may go to them.

`held -> releasable -> released | returned`. It becomes releasable after some quiet days: since it was paid, since the
last refund, since the last dispute was decided. Releasing is an operator's word; no money is moved here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.model.money import EscrowState


@dataclass(frozen=True, slots=True)
class Trouble:
    """What has happened to the money since it came."""

    refunded: int = 0
    """Succeeded refunds."""
    refund_under_way: bool = False
    dispute_open: bool = False
    dispute_lost: bool = False
    last: datetime | None = None
    """When the last refund ended or the last dispute was decided."""


@dataclass(frozen=True, slots=True)
class Escrow:
    """Where the money stands, and when the clock alone may change that."""

    state: EscrowState
    wake_at: datetime | None = None


def escrow(
    state: EscrowState | None, paid_at: datetime, total: int, trouble: Trouble, days: int, now: datetime
) -> Escrow:
    """Where the money of a paid order stands now.

    Args:
        state: where it stood; `None`: it was paid just now.
        total: what came in.
        days: how many quiet days it takes (`ESCROW_DAYS`).
    """
    if state in (EscrowState.RELEASED, EscrowState.RETURNED):
        return Escrow(state)
    if trouble.dispute_lost or 0 < total <= trouble.refunded:
        return Escrow(EscrowState.RETURNED)
    if state is EscrowState.RELEASABLE:
        return Escrow(state)
    if trouble.dispute_open or trouble.refund_under_way:
        return Escrow(EscrowState.HELD)
    quiet_since = max(paid_at, trouble.last) if trouble.last else paid_at
    end = quiet_since + timedelta(days=days)
    return Escrow(EscrowState.RELEASABLE) if now >= end else Escrow(EscrowState.HELD, end)


def why_not_released(state: EscrowState | None, trouble: Trouble) -> str | None:
    """Why an operator's word may not release it now; `None`: it may."""
    if state is EscrowState.RELEASED:
        return None  # said twice
    if state is not EscrowState.RELEASABLE:
        return f"the money is {state.value}" if state else "it was not sold for somebody else, or is not paid yet"
    if trouble.dispute_open:
        return "a dispute is open"
    if trouble.refund_under_way:
        return "a refund is under way"
    return None
