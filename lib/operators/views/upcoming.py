"""What comes by the clock alone."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from lib.operators.views.money import MoneyView


class UpcomingItem(MoneyView, kw_only=True):
    """A service that is suspended or deleted at a date, unless money comes before."""

    at: datetime
    """In the hours of SUSPEND_WINDOW, where that is set."""
    what: Literal["suspend", "delete"]
    customer_id: str
    email: str | None
    subscription_id: str
    service: str
    domain: str | None
    reason: str | None
    """`ending`: cancelled for that date. Else what its customer's pass waits for until then; null: one is due, or they
    are parked."""
    amount: int | None
    """What is owed, counted with the first service of a subscription; else what the price costs for a period. Null:
    not known."""
