"""What a bill comes to: discount, then tax on what is left, line by line and rounded half up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.sim.stripe_sim.store import Obj


@dataclass(frozen=True)
class Reckoned:
    """The numbers of one line, or of several together."""

    subtotal: int = 0
    discount: int = 0
    exclusive: int = 0
    """Tax on top."""
    inclusive: int = 0
    """Tax that the price contains."""

    @property
    def tax(self) -> int:
        return self.exclusive + self.inclusive

    @property
    def total(self) -> int:
        return self.subtotal - self.discount + self.exclusive

    def __add__(self, other: Reckoned) -> Reckoned:
        return Reckoned(
            self.subtotal + other.subtotal,
            self.discount + other.discount,
            self.exclusive + other.exclusive,
            self.inclusive + other.inclusive,
        )


def line(amount: int, percent_off: Decimal, tax_rate: Decimal | None, behavior: str | None) -> Reckoned:
    """One line; a price that does not say it contains its tax has it on top."""
    discount = _whole(amount * percent_off / 100)
    taxable = amount - discount
    if tax_rate is None:
        return Reckoned(amount, discount)
    if behavior == "inclusive":
        return Reckoned(amount, discount, inclusive=taxable - _whole(taxable / (1 + tax_rate)))
    return Reckoned(amount, discount, exclusive=_whole(taxable * tax_rate))


def together(lines: Iterable[Reckoned]) -> Reckoned:
    """The sum of lines."""
    return sum(lines, Reckoned())


def taxes(reckoned: Reckoned) -> list[Obj]:
    """`total_taxes` of an invoice: what is on top, and what is contained."""
    kinds = (("exclusive", reckoned.exclusive), ("inclusive", reckoned.inclusive))
    return [
        {
            "amount": amount,
            "tax_behavior": behavior,
            "tax_rate_details": {"tax_rate": "txr_sim"},
            "taxability_reason": "standard_rated",
            "taxable_amount": None,
            "type": "tax_rate_details",
        }
        for behavior, amount in kinds
        if amount
    ]


DIGITS = {"jpy": 0, "krw": 0, "kwd": 3, "bhd": 3}
"""Currencies whose minor unit is no hundredth."""


def exchanged(amount: int, currency: str, other: str, rate: Decimal) -> int:
    """An amount of minor units in another currency, at a rate between the whole units."""
    return _whole(amount * rate * Decimal(10) ** (DIGITS.get(other, 2) - DIGITS.get(currency, 2)))


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
