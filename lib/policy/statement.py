"""The lines of a bank statement laid onto orders: money is taken by an exact reference and an exact amount alone.

Everything else is a person's to decide: a name or an amount that looks right has paid the wrong order before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from lib.model.money import Order, OrderState
from lib.policy import references
from lib.policy.currencies import shown

_WORD = re.compile(r"[^\s,;:|]{3,}")


class StatementLine(Struct, frozen=True):
    """Money that came, as the bank says."""

    id: str
    """The bank's own id of it, or one that is made from everything else: the same line has the same."""
    amount: int
    """In minor units."""
    currency: str
    at: datetime | None
    text: str
    """What the payer wrote, and what the bank has as the reference."""
    payer: str | None = None


class TakenBefore(Struct, frozen=True):
    """What was taken in under the id of a line."""

    order_id: str
    amount: int
    currency: str


class Left(StrEnum):
    """Why a line is left for a person."""

    NO_REFERENCE = "no_reference"
    UNKNOWN_REFERENCE = "unknown_reference"
    SEVERAL = "several_orders"
    OTHER_CURRENCY = "other_currency"
    CANCELLED = "cancelled"
    PAID_ALREADY = "paid_already"
    AMOUNT_DIFFERS = "amount_differs"
    ID_REUSED = "id_reused"


class Unmatched(Struct, frozen=True):
    """A line that a person has to look at."""

    why: Left
    detail: str


def candidates(line: StatementLine) -> frozenset[str]:
    """Every reference that the text of a line could mean, in the spelling in which they are kept."""
    found = {*references.found_in(line.text), references.normalise(line.text)}
    found.update(references.normalise(word) for word in _WORD.findall(line.text))
    return frozenset(text for text in found if text)


def other_money(line: StatementLine, before: TakenBefore, found: Sequence[Order]) -> Unmatched | None:
    """Why a line is other money than what was taken in under its id; `None`: it is the same line once more.

    The ids of some files only count their lines, and begin anew in the next file: who has paid must not go missing.

    Args:
        found: the orders with one of its `candidates` as their reference.
    """
    waits = [order for order in found if order.missing and order.id != before.order_id and not order.cancelled]
    if (line.amount, line.currency) == (before.amount, before.currency) and not waits:
        return None
    what = f"{shown(before.amount, before.currency)} of order {before.order_id}"
    remedy = "if the file only counts its lines, add --column id=none"
    return Unmatched(Left.ID_REUSED, f"its id {line.id} stands for {what}: {remedy}; else collect it by hand")


def match(line: StatementLine, found: Sequence[Order], paid: Collection[str] = ()) -> Order | Unmatched:
    """The one order that a line pays exactly, or why there is none.

    Args:
        found: the orders with one of its `candidates` as their reference.
        paid: ids of the orders that lines before it pay.
    """
    if not found:
        if references.found_in(line.text):
            return Unmatched(
                Left.UNKNOWN_REFERENCE,
                "no order has its reference: is it mistyped? Find the order, and collect it by hand",
            )
        return Unmatched(Left.NO_REFERENCE, "no reference of ours stands in it: find the order, and collect it by hand")
    if len(found) > 1:
        named = ", ".join(sorted(str(order.reference) for order in found))
        return Unmatched(Left.SEVERAL, f"it names {named}: collect each of them by hand")
    (order,) = found
    if line.currency != order.currency:
        return Unmatched(Left.OTHER_CURRENCY, f"order {order.id} is in {(order.currency or '').upper()}: give it back")
    if order.id in paid or order.state in (OrderState.PAID, OrderState.REFUNDED) or not order.missing:
        return Unmatched(Left.PAID_ALREADY, f"order {order.id} is paid: collect it by hand and return it")
    if order.cancelled:
        return Unmatched(Left.CANCELLED, f"order {order.id} was cancelled: collect it by hand if it is meant")
    if line.amount != order.missing:
        asked = shown(order.missing, line.currency)
        return Unmatched(Left.AMOUNT_DIFFERS, f"order {order.id} waits for {asked}: collect it by hand")
    return order
