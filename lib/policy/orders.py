"""How an order moves: the one table of what may follow what, and what each observation means.

Facts come in any order and more than once. What would lead to where the order is already changes nothing; what the
table does not know is refused with a reason, and a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from lib.model.money import EscrowState, Order, OrderFact, OrderState
from lib.structs import replace

_TO: Mapping[OrderFact, OrderState] = {
    OrderFact.STARTED: OrderState.PENDING,
    OrderFact.UNDER_WAY: OrderState.PAYING,
    OrderFact.PART_COLLECTED: OrderState.PAYING,
    OrderFact.PAID: OrderState.PAID,
    OrderFact.NOTHING_TO_PAY: OrderState.PAID,
    OrderFact.COLLECTED: OrderState.PAID,
    OrderFact.SESSION_EXPIRED: OrderState.EXPIRED,
    OrderFact.CANCELLED: OrderState.EXPIRED,
    OrderFact.DUE_DATE_PASSED: OrderState.EXPIRED,
    OrderFact.REFUSED: OrderState.FAILED,
    OrderFact.ATTEMPT_FAILED: OrderState.FAILED,
    OrderFact.GIVEN_UP: OrderState.FAILED,
    OrderFact.REFUNDED: OrderState.REFUNDED,
    OrderFact.REFUND_FAILED: OrderState.PAID,
    OrderFact.PAID_AGAIN: OrderState.PAID,
}
"""Each fact leads to one state only, so that the same fact twice is nothing new."""

_FROM: Mapping[OrderFact, frozenset[OrderState | None]] = {
    OrderFact.STARTED: frozenset({None}),
    OrderFact.UNDER_WAY: frozenset({OrderState.PENDING}),
    OrderFact.PART_COLLECTED: frozenset({OrderState.PENDING}),
    OrderFact.PAID: frozenset({OrderState.PENDING, OrderState.PAYING, OrderState.FAILED, OrderState.EXPIRED}),
    OrderFact.NOTHING_TO_PAY: frozenset({OrderState.PENDING, OrderState.PAYING}),
    OrderFact.COLLECTED: frozenset({OrderState.PENDING, OrderState.PAYING, OrderState.FAILED, OrderState.EXPIRED}),
    OrderFact.SESSION_EXPIRED: frozenset({OrderState.PENDING}),
    OrderFact.CANCELLED: frozenset({OrderState.PENDING}),
    OrderFact.DUE_DATE_PASSED: frozenset({OrderState.PENDING}),
    OrderFact.REFUSED: frozenset({OrderState.PENDING, OrderState.PAYING}),
    OrderFact.ATTEMPT_FAILED: frozenset({OrderState.PENDING, OrderState.PAYING}),
    OrderFact.GIVEN_UP: frozenset({OrderState.PAYING}),
    OrderFact.REFUNDED: frozenset({OrderState.PAID}),
    OrderFact.REFUND_FAILED: frozenset({OrderState.REFUNDED}),
    OrderFact.PAID_AGAIN: frozenset({OrderState.REFUNDED}),
}
"""Where each fact is news (design section 7, row by row)."""

MOVES: frozenset[tuple[OrderState | None, OrderFact, OrderState]] = frozenset(
    (begin, fact, _TO[fact]) for fact, begins in _FROM.items() for begin in begins
)
"""Every move there is: (from, fact, to). `None` is "no order yet"."""

_LATE = frozenset({OrderState.FAILED, OrderState.EXPIRED})


class NoMove(StrEnum):
    """Why an order stays where it is although something happened; the stable half of what a person is told."""

    SAME = "same"
    OLDER_ATTEMPT = "older_attempt"
    NOT_IN_THE_TABLE = "order_move_unknown"


class Moved(Struct, frozen=True):
    """The order goes on."""

    to: OrderState
    late: bool = False
    """Money for what had failed or expired already: somebody is to be told."""


class Unchanged(Struct, frozen=True):
    """Nothing new."""

    why: NoMove


class NotAllowed(Struct, frozen=True):
    """The table has no such move: nothing is changed, and a person is asked."""

    reason: NoMove
    detail: str


Move = Moved | Unchanged | NotAllowed


def move(state: OrderState | None, fact: OrderFact, *, attempt: int | None = None, newest: int = 0) -> Move:
    """What a fact does to an order in this state.

    Args:
        attempt: the attempt to pay that it is about; `None`: it is about the order as a whole.
        newest: the order's newest attempt. A failure of an older one says nothing about the order any more.
    """
    if fact is OrderFact.ATTEMPT_FAILED and attempt is not None and attempt < newest:
        return Unchanged(NoMove.OLDER_ATTEMPT)
    to = _TO[fact]
    if state is to:
        return Unchanged(NoMove.SAME)
    if state in _FROM[fact]:
        return Moved(to, late=state in _LATE)
    known = state.value if state else "not there yet"
    return NotAllowed(
        NoMove.NOT_IN_THE_TABLE,
        f"the order is {known}, and {fact.value} does not follow that; compare it with Stripe or with the bank",
    )


def after(order: Order, fact: OrderFact, moved: Moved, now: datetime) -> Order:
    """The order as it is to be remembered when it has moved, with the dates of that."""
    paid = moved.to in (OrderState.PAID, OrderState.REFUNDED)
    ended = moved.to in (OrderState.EXPIRED, OrderState.FAILED)
    first_paid = paid and order.paid_at is None
    return replace(
        order,
        state=moved.to,
        paid_at=now if first_paid else order.paid_at,
        paid_late=order.paid_late or moved.late,
        ended_at=now if ended else None if paid else order.ended_at,
        cancelled=order.cancelled or fact in (OrderFact.CANCELLED, OrderFact.GIVEN_UP),
        escrow=EscrowState.HELD if first_paid and order.terms.seller_id is not None else order.escrow,
    )


class Seen(Struct, frozen=True):
    """What Stripe says of an order, all of it read by one pass. `None`: there is no such object."""

    session: tuple[str, str] | None = None
    """(`status`, `payment_status`) of the Checkout session."""
    invoice: str | None = None
    """Status of its first invoice."""
    intent: str | None = None
    """Status of the PaymentIntent that pays it, where one is known."""
    came: int = 0
    """What succeeded payments brought."""
    went: int = 0
    """What succeeded refunds took."""
    went_before: int = 0
    """What they had taken when that was written down last."""


def fact_of(seen: Seen, state: OrderState | None) -> OrderFact | None:
    """The fact in what Stripe says now; `None`: nothing that moves an order in this state.

    A session stays paid at Stripe when its money goes back, and complete when its payment failed: where an order has
    been already says which part of the answer can be news.
    """
    if state in (OrderState.PAID, OrderState.REFUNDED):
        return _money_back(seen, state)
    status, payment = seen.session or (None, None)
    if payment == "no_payment_required" and status == "complete":
        return OrderFact.NOTHING_TO_PAY
    if payment == "paid" or seen.invoice == "paid" or seen.intent == "succeeded":
        return OrderFact.PAID
    if state in _LATE:  # only money is news to what is over
        return None
    if status == "expired":
        return OrderFact.SESSION_EXPIRED
    if status == "complete" or (status is None and seen.intent in ("processing", "canceled")):
        failed = seen.intent in ("canceled", "requires_payment_method")
        return OrderFact.ATTEMPT_FAILED if failed else OrderFact.UNDER_WAY
    return None


def _money_back(seen: Seen, state: OrderState) -> OrderFact | None:
    if seen.came <= 0:  # nothing was asked for, or its payments are not known
        return None
    if seen.went >= seen.came:
        return OrderFact.REFUNDED
    if state is not OrderState.REFUNDED:
        return None
    return OrderFact.REFUND_FAILED if seen.went < seen.went_before else OrderFact.PAID_AGAIN
