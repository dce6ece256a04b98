"""The numbers of one payment and the sums between them, before they are frozen.

    total = subtotal - discount + shipping + (tax - tax_included)
    paid  = what this payment brought; where it is less than the total, the rest came otherwise (the customer's credit,
            a credit note, another payment of the same invoice), and where it is more, it was paid too much
    gross = paid, where the balance has the order's currency; else an exchange rate says how they belong together
    net   = gross - provider_fee

Numbers that do not add up are refused: one of them is not what we take it for, and it would be frozen for good.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from lib.model.money import BalanceTransaction, Bill, Breakdown, Source
from lib.policy.currencies import shown


class SumsDiffer(Exception):
    """Numbers of one payment contradict each other; `name` is the sum that does not hold."""

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        super().__init__(detail)


class NotYet(Struct, frozen=True):
    """A number is still to come: again later. Waiting is not failing."""

    waits_for: str


def break_down(bill: Bill, transaction: BalanceTransaction | None, *, charged: bool = True) -> Breakdown | NotYet:
    """The numbers of a payment as they are to be frozen.

    Args:
        transaction: what the provider took of it; `None` while it is not there yet.
        charged: whether a charge brought the money. Without one (nothing to pay, offline, paid outside of Stripe) the
            provider takes nothing.

    Raises:
        SumsDiffer: the numbers contradict each other.
    """
    included = _tax_included(bill)
    paid = bill.total if bill.paid is None else bill.paid
    _require("paid", paid >= 0, bill, f"paid {paid} of {bill.total}")
    if not charged or paid == 0:
        brought = _Brought(paid, 0, paid, bill.currency, None, Source.COMPUTED)
    elif transaction is None:
        return NotYet("balance_transaction")
    else:
        brought = _brought(bill, paid, transaction)
    return Breakdown(
        currency=bill.currency,
        subtotal=bill.subtotal,
        discount=bill.discount,
        tax=bill.tax,
        tax_included=included,
        shipping=bill.shipping,
        total=bill.total,
        paid=paid,
        gross=brought.gross,
        provider_fee=brought.fee,
        net=brought.net,
        balance_currency=brought.currency,
        exchange_rate=brought.exchange_rate,
        presentment_amount=bill.presentment[0] if bill.presentment else None,
        presentment_currency=bill.presentment[1] if bill.presentment else None,
        sources=_sources(bill, included, brought),
    )


def _sources(bill: Bill, included: int | None, brought: _Brought) -> dict[str, Source]:
    """Where each number came from."""
    sources = {**bill.sources}
    sources.setdefault("paid", sources.get("total", Source.COMPUTED))
    if included is not None:
        sources.setdefault("tax_included", Source.COMPUTED)
    sources |= dict.fromkeys(("gross", "provider_fee", "net"), brought.source)
    if brought.exchange_rate is not None:
        sources["exchange_rate"] = brought.source
    return sources


def _tax_included(bill: Bill) -> int | None:
    """What of the tax the prices contain; a session does not say, but its sums do."""
    on_top = bill.total - (bill.subtotal - (bill.discount or 0) + (bill.shipping or 0))
    tax = bill.tax or 0
    detail = f"{on_top} on top of the prices, but a tax of {tax}"
    _require("total", min(tax, 0) <= on_top <= max(tax, 0), bill, detail)
    if bill.tax_included is not None:
        _require("tax", bill.tax_included == tax - on_top, bill, f"{detail}, {bill.tax_included} of it included")
    return None if bill.tax is None else tax - on_top


class _Brought(NamedTuple):
    """What came of a payment: what the provider took of it, and what is left."""

    gross: int
    fee: int
    net: int
    currency: str
    exchange_rate: Decimal | None
    source: Source


def _brought(bill: Bill, paid: int, transaction: BalanceTransaction) -> _Brought:
    right = transaction.net == transaction.amount - transaction.fee
    _require("net", right, bill, f"{transaction.amount} less {transaction.fee} is not {transaction.net}")
    if transaction.currency == bill.currency:
        detail = f"paid {paid}, but {transaction.amount} were added to the balance"
        _require("gross", transaction.amount == paid, bill, detail)
    else:
        detail = f"{transaction.amount} {transaction.currency} for {paid} {bill.currency} without an exchange rate"
        _require("exchange_rate", bool(transaction.exchange_rate), bill, detail)
    return _Brought(
        transaction.amount,
        transaction.fee,
        transaction.net,
        transaction.currency,
        transaction.exchange_rate,
        Source.BALANCE_TRANSACTION,
    )


def _require(name: str, holds: bool, bill: Bill, detail: str) -> None:
    if not holds:
        raise SumsDiffer(name, f"the numbers of a payment of {shown(bill.total, bill.currency)} differ: {detail}")
