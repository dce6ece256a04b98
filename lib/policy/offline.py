"""Offline money: what a collection does to an order, when it is due, and which time it pays for.

An order pays a period. A line of orders, each renewing the one before, is what a subscription at Stripe is:
`standing` says in which of its statuses, so that grace, hold and retention are the same rules for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from lib.model.money import Order, OrderFact, OrderState

DUE_AFTER = timedelta(days=14)
"""How long a first order waits for its money before it expires; a bank transfer takes days, and people forget."""

RENEW_BEFORE = timedelta(days=14)
"""How long before its end the next period is asked for, so that a transfer can come in time."""

PERIOD_DAYS = 30
"""Of an order that names no length."""

_CAME = (OrderState.PAID, OrderState.REFUNDED)
"""The period was paid for; what becomes of one whose money went back is the operator's choice (`ON_REFUND`)."""


class WrongCurrency(Exception):
    """Money of another currency pays nothing: it is to be given back, or written down as what it is worth."""


class Collected(Struct, frozen=True):
    """What an order is after some money came."""

    fact: OrderFact
    missing: int
    """What is still to come."""
    too_much: int
    """What is to be returned."""


def collect(asked: int, before: int, amount: int, *, asked_currency: str, currency: str) -> Collected:
    """What it means that `amount` came for an order of `asked`, of which `before` is there already.

    Raises:
        WrongCurrency: it is no money of this order.
        ValueError: it is no money at all.
    """
    if currency != asked_currency:
        raise WrongCurrency(f"the order is in {asked_currency.upper()}, the money in {currency.upper()}")
    if amount <= 0:
        raise ValueError(f"{amount} is no money that came")
    together = before + amount
    fact = OrderFact.COLLECTED if together >= asked else OrderFact.PART_COLLECTED
    return Collected(fact, max(asked - together, 0), max(together - asked, 0))


def due(created_at: datetime, renewed: Order | None) -> datetime:
    """When an order's money is due: a renewal's at the end of the period that it continues."""
    if renewed is not None and renewed.period_end is not None:
        return renewed.period_end
    return created_at + DUE_AFTER


def expires(order: Order, now: datetime) -> bool:
    """Whether the due date of an order makes it expire. One that is paid in part waits for a person instead.

    A renewal stays to be paid: the service is in grace, then held, and runs again when the money comes.
    """
    past = order.due_at is not None and now >= order.due_at
    return past and order.state is OrderState.PENDING and order.renews is None


def period(order: Order, renewed: Order | None, paid_at: datetime, grace: timedelta) -> tuple[datetime, datetime]:
    """The time that an order pays for.

    A renewal continues where the last period ended, also when its money came within the grace: the service ran. Money
    that comes later begins a new period, because the service was off.
    """
    start = paid_at
    if renewed is not None and renewed.period_end is not None and paid_at < renewed.period_end + grace:
        start = renewed.period_end
    return start, start + timedelta(days=order.period_days or PERIOD_DAYS)


def renews_at(line: Sequence[Order]) -> datetime | None:
    """When the next period of a line is to be asked for; `None`: it was, or the line ends.

    Args:
        line: all orders of one line, in any order.
    """
    last = max(line, key=_age)
    if last.state not in _CAME or last.period_end is None or last.cancelled:
        return None
    return last.period_end - RENEW_BEFORE


def acts_at(line: Sequence[Order]) -> datetime | None:
    """When the calendar does something to a line the next time: a first order expires, or the next period is asked for.

    Args:
        line: all orders of one line, in any order.
    """
    dates = [order.due_at for order in line if order.state is OrderState.PENDING and order.renews is None]
    dates.append(renews_at(line))
    return min((date for date in dates if date is not None), default=None)


class Standing(Struct, frozen=True):
    """How a line of offline orders stands, in Stripe's words for a subscription."""

    status: str
    """`incomplete`, `incomplete_expired`, `active`, `past_due` or `canceled`."""
    created_at: datetime
    order: Order
    """Whose plan, quantity and domain count: the one whose period runs, else the last that was paid, else the first."""
    unpaid_since: datetime | None = None
    """The end of the last paid period: where grace begins."""
    cancel_at: datetime | None = None
    """The end of the paid time, where no renewal is wanted."""
    ended_at: datetime | None = None
    refunded: bool = False
    """The money of the running period went back in full."""
    wake_at: datetime | None = None
    """When the clock alone changes it."""


def standing(line: Sequence[Order], now: datetime) -> Standing:
    """How a line of orders stands now.

    Args:
        line: all orders of one line, in any order; at least one.
    """
    orders = sorted(line, key=_age)
    first, last = orders[0], orders[-1]
    paid = [(order.period_end, order) for order in orders if order.state in _CAME and order.period_end is not None]
    if not paid:
        waiting = any(order.state in (OrderState.PENDING, OrderState.PAYING) for order in orders)
        status = "incomplete" if waiting else "incomplete_expired"
        return Standing(status, first.created_at, first, wake_at=first.due_at if waiting else None)
    end, newest = max(paid, key=lambda pair: (pair[0], pair[1].id))
    if now < end:
        running = next(order for until, order in sorted(paid, key=lambda pair: pair[0]) if now < until)
        return Standing(
            "active",
            first.created_at,
            running,
            cancel_at=end if last.cancelled else None,
            refunded=running.state is OrderState.REFUNDED,
            wake_at=end,
        )
    if last.cancelled:
        return Standing("canceled", first.created_at, newest, ended_at=end)
    return Standing("past_due", first.created_at, newest, unpaid_since=end)


def _age(order: Order) -> tuple[datetime, str]:
    return order.created_at, order.id
