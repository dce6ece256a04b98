"""When the money of an order that was sold for somebody else may go to them.

`held -> releasable -> released | returned`. It becomes releasable after some quiet days: since it was paid, since the
last refund, since the last dispute was decided; a new one takes it back. Releasing is an operator's word, and an end.
No money is moved here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.model.money import EscrowState, Order


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


def escrow(order: Order, came: int, trouble: Trouble, days: int, now: datetime) -> Escrow:
    """Where the money of a paid order stands now.

    What may go to the seller may go on doing so, unless something happened to it since: then it is held anew, for as
    many quiet days. What went back and came again, as where a refund failed, is held like any other.

    Args:
        order: with where it stood and since when it is releasable.
        came: what came in, before refunds.
        days: how many quiet days it takes (`ESCROW_DAYS`).
    """
    assert order.paid_at is not None
    if order.escrow is EscrowState.RELEASED:
        return Escrow(order.escrow)
    if trouble.dispute_lost or 0 < came <= trouble.refunded:
        return Escrow(EscrowState.RETURNED)
    if trouble.dispute_open or trouble.refund_under_way:
        return Escrow(EscrowState.HELD)
    since = order.releasable_at
    undisturbed = trouble.last is None or (since is not None and trouble.last <= since)
    if order.escrow is EscrowState.RELEASABLE and undisturbed:
        return Escrow(order.escrow)
    quiet_since = max(order.paid_at, trouble.last) if trouble.last else order.paid_at
    end = quiet_since + timedelta(days=days)
    return Escrow(EscrowState.RELEASABLE) if now >= end else Escrow(EscrowState.HELD, end)


def why_not_released(order: Order, trouble: Trouble) -> str | None:
    """Why an operator's word may not release it now; `None`: it may, or did before."""
    state = order.escrow
    if state is EscrowState.RELEASED:
        return None
    if trouble.dispute_open:
        return "a dispute is open"
    if trouble.refund_under_way:
        return "a refund is under way"
    if order.terms.seller_id is None:
        return "it was not sold for somebody else"
    if state is None:
        return "it is not paid yet"
    if state is EscrowState.RETURNED:
        return "it went back to the buyer"
    if state is EscrowState.HELD:
        return f"it is held until {order.releasable_at:%Y-%m-%d %H:%M} UTC" if order.releasable_at else "it is held"
    return None
