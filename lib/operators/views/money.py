"""Amounts: each stands beside its currency and beside how many of its digits are behind the point."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from lib.policy.currencies import digits
from lib.web.typed import View


class MoneyView(View, kw_only=True):
    """Something with amounts in minor units of one currency."""

    currency: str | None
    exponent: int | None = None
    """How many digits of these amounts stand behind the point: 2 for eur, 0 for jpy. Nobody needs to guess."""

    def __post_init__(self) -> None:
        """Tell the exponent, whoever makes this."""
        msgspec.structs.force_setattr(self, "exponent", exponent_of(self.currency))

    @classmethod
    def of(cls, found: object, **more: Any) -> Self:
        """As of any view; the exponent follows from the currency."""
        return super().of(found, **{"exponent": None, **more})


def exponent_of(currency: str | None) -> int | None:
    """How many digits of an amount stand behind the point; `None` where no currency is known."""
    return digits(currency) if currency is not None else None
