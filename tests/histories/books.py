"""What happened, as bookkeeping: subscriptions, invoices, payments and what became of each, with its time.

Nothing here knows of hosting. `account` writes these books, `wire` shows them as JSON, `sentences` judge by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

BEGIN = datetime(2027, 1, 1, 9, 17, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONTH = 30 * DAY
CUSTOMER = "cus_Ada"
PRICES = {"price_small": 900, "price_medium": 1900, "price_large": 2900}
"""Each price and its monthly amount in cents."""

Method = Literal["charge_automatically", "send_invoice"]
Card = Literal["good", "bad", "slow"]
"""What happens when a subscription's means of payment are asked: it pays, it fails, or it takes days (bank debit)."""

Change = Literal["unbilled", "billed", "later", "anew"]
"""How a change is billed: not at all, by an invoice of its own, with the next renewal, or as a new period from now."""

FINAL = ("open", "paid", "void", "uncollectible")
ENDED = ("canceled", "incomplete_expired")


@dataclass(slots=True)
class Line:
    """One line of an invoice: a price, so many times, for a span."""

    item: str
    price: str
    quantity: int
    amount: int
    begins: datetime
    ends: datetime
    proration: bool = False


@dataclass(slots=True)
class Refund:
    """Money that went back, or is on its way."""

    id: str
    amount: int
    status: str
    at: datetime


@dataclass(slots=True)
class Dispute:
    """A buyer's bank asks for the money back."""

    id: str
    status: str
    at: datetime


@dataclass(slots=True)
class Payment:
    """One try to pay an invoice through Stripe."""

    id: str
    """The number behind `pi_`, `ch_` and `inpay_`."""
    invoice: str
    amount: int
    at: datetime
    status: Literal["processing", "succeeded", "failed"]
    decides_at: datetime | None = None
    debit: bool = False
    """Whether it took days to decide."""
    refunds: list[Refund] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)

    @property
    def refunded(self) -> int:
        """What went back of it, or is on its way."""
        return sum(refund.amount for refund in self.refunds if refund.status in ("succeeded", "pending"))


@dataclass(slots=True)
class Invoice:
    """One bill, and everything that became of it."""

    id: str
    subscription: str
    reason: str
    created: datetime
    lines: list[Line]
    method: Method
    amount: int
    status: str = "draft"
    finalizes_at: datetime | None = None
    finalized_at: datetime | None = None
    due_at: datetime | None = None
    failed_at: datetime | None = None
    paid_at: datetime | None = None
    voided_at: datetime | None = None
    written_off_at: datetime | None = None
    shelved: bool = False
    """Put away because collection was paused, not because somebody did not pay."""
    payments: list[Payment] = field(default_factory=list)

    @property
    def owed_from(self) -> datetime | None:
        """When it began to be owed; `None` while it is a draft."""
        return self.due_at or self.finalized_at

    @property
    def closed_at(self) -> datetime | None:
        """When nobody was expected to pay it any more."""
        return min((at for at in (self.voided_at, self.written_off_at) if at is not None), default=None)

    @property
    def buys(self) -> bool:
        """Whether paying it buys something: not when it only sets one credit off against another."""
        return self.amount > 0 or all(line.amount == 0 for line in self.lines)

    @property
    def back_in_full(self) -> bool:
        """Whether all its money went back."""
        paid = [payment for payment in self.payments if payment.status == "succeeded"]
        return bool(paid) and sum(p.refunded for p in paid) >= self.amount > 0


@dataclass(slots=True)
class Item:
    """One line of a subscription, and its changes."""

    id: str
    price: str
    quantity: int
    begins: datetime
    ends: datetime
    changes: list[tuple[datetime, str, int, Change | None]] = field(default_factory=list)
    """(when, price, quantity, how it was billed) of each state it was in, the first one too."""


@dataclass(slots=True)
class Subscription:
    """One subscription, its items now and its statuses ever."""

    id: str
    created: datetime
    method: Method
    card: Card
    domain: str | None
    items: list[Item]
    net_days: int = 14
    free: bool = False
    """A coupon takes everything off."""
    trial_end: datetime | None = None
    cancel_at: datetime | None = None
    at_period_end: bool = False
    """Whether the planned end is told by `cancel_at_period_end`, too."""
    ended_at: datetime | None = None
    collection: Literal["keep_as_draft", "mark_uncollectible", "void"] | None = None
    pending: list[Line] = field(default_factory=list)
    """Prorations that the next renewal will bill."""
    statuses: list[tuple[datetime, str]] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    """Oldest first."""

    @property
    def status(self) -> str:
        """Stripe's word for it now."""
        return self.statuses[-1][1]

    @property
    def open(self) -> list[Invoice]:
        """Its open invoices, oldest first."""
        return [invoice for invoice in self.invoices if invoice.status == "open"]

    def was(self, status: str, by: datetime) -> bool:
        """Whether it ever had this status until then."""
        return any(at <= by and word == status for at, word in self.statuses)
