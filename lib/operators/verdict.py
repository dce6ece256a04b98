"""The one line of the first page: is it healthy, or does somebody have to do something?"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from lib.operators.views.overview import Need, Verdict, What


class Needs(Struct, frozen=True):
    """How many of each kind wait for a person. Nothing is counted under two of them."""

    parked: int = 0
    """Rows of the queue."""
    braked: int = 0
    """Services that the brake keeps as they are."""
    receivers: int = 0
    """Of the operator's own systems those that take no events."""
    disputes: int = 0
    """To be answered at Stripe."""
    to_return: int = 0
    """Offline orders of which money is to be given back."""
    part_paid: int = 0
    """Offline orders that are past their date, and of whose money only a part has come."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))


_WORDS: tuple[tuple[What, str, str], ...] = (
    ("parked", "parked", "parked"),
    ("braked", "held back by the brake", "held back by the brake"),
    ("receivers", "of your own systems takes no events", "of your own systems take no events"),
    ("disputes", "dispute to answer", "disputes to answer"),
    ("to_return", "order with money to return", "orders with money to return"),
    ("part_paid", "order past its date and paid in part", "orders past their date and paid in part"),
)
"""Field, and what one and several of it are called."""

STUCK = "stuck"
"""The alert that due work stands still."""


def of(needs: Needs, busy: int, alerts: Sequence[str], failing: int = 0) -> Verdict:
    """The verdict.

    Args:
        busy: rows of the queue that are due or worked on.
        failing: rows that wait for their next try, since the last one failed: nobody is equal who was not looked at.
        alerts: codes of what calls for a person otherwise (the mode, a sweep that left something out).
    """
    waiting = [need for need in (_need(needs, *words) for words in _WORDS) if need.count]
    parts = [need.says for need in waiting]
    if STUCK in alerts:
        detail = "; ".join(["due work stands still: does the drain cron or the worker run?", *parts])
        return Verdict(state="stuck", need_you=needs.total, detail=detail, needs=waiting)
    if needs.total or alerts:
        told = ", ".join(parts) or f"nobody is stuck; see the alerts: {', '.join(alerts)}"
        return Verdict(state="attention", need_you=needs.total, detail=told, needs=waiting)
    if busy or failing:
        doing = [f"{busy} under way"] if busy else []
        doing += [f"{failing} failed for now and {'is' if failing == 1 else 'are'} tried again"] if failing else []
        return Verdict(state="working", need_you=0, detail=f"{', '.join(doing)}; nobody is stuck", needs=[])
    told = "the panel equals Stripe; nothing is due and nobody is stuck"
    return Verdict(state="equal", need_you=0, detail=told, needs=[])


def _need(needs: Needs, what: What, one: str, several: str) -> Need:
    count = getattr(needs, what)
    return Need(what=what, count=count, says=f"{count} {one if count == 1 else several}")
