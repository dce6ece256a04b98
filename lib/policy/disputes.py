"""What an operator has to do about a dispute, by what Stripe last said of it."""

from __future__ import annotations

from datetime import datetime

ANSWER = ("needs_response", "warning_needs_response", "appeal_needs_response")
"""Statuses of a dispute in which Stripe waits for the operator."""

OVER = ("won", "lost", "prevented", "warning_closed")
"""Statuses that Stripe does not change any more."""

_LOOKED_AT = ("under_review", "warning_under_review", "appeal_under_review")


def next_step(
    status: str, due_by: datetime | None, now: datetime, *, order_kept: bool, customer_known: bool
) -> str | None:
    """What to do about it; `None` once it is over.

    Args:
        due_by: until when Stripe takes an answer; `None` where it says no date.
        order_kept: whether its payment belongs to an order of ours.
        customer_known: whether its charge names a customer, whose hosting can be held for it.
    """
    if status in OVER:
        return None
    return " ".join([_answer(status, due_by, now), *_stranger(order_kept, customer_known)])


def _answer(status: str, due_by: datetime | None, now: datetime) -> str:
    if status in _LOOKED_AT:
        return "Nothing: the bank looks at the answer."
    if status not in ANSWER:
        return "Look at it in Stripe."
    if due_by is not None and due_by <= now:
        return "Its date is over, and Stripe takes no answer any more: look at it in Stripe."
    return "Answer it in Stripe before its date; what there is to say is collected for you."


def _stranger(order_kept: bool, customer_known: bool) -> list[str]:
    """What else, where it is not about an order that we know."""
    if order_kept:
        return []
    told = ["Its payment belongs to no order that is kept here: see at its charge in Stripe what it was for."]
    if not customer_known:
        told.append("Nobody is held for it: if it was for hosting, hold that customer by hand.")
    return told
