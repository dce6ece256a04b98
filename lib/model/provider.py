"""Who takes money in; a module of its own, since whose customer somebody is every function must know."""

from __future__ import annotations

from enum import StrEnum


class Provider(StrEnum):
    """Who takes the money in."""

    STRIPE = "stripe"
    BANK_TRANSFER = "bank_transfer"
    CASH_ON_DELIVERY = "cash_on_delivery"

    @property
    def offline(self) -> bool:
        """Whether a person or a bank statement tells us of the money, and no provider can be asked."""
        return self is not Provider.STRIPE
