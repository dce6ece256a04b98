"""Notices: mails to customers, each about one fact, written beside it and sent once."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from lib.model.customer_key import CustomerKey
from lib.model.reason import Explained
from lib.model.service import ServiceKey


class NoticeKind(Explained):
    """Everything that customers are told; each has a template of its name."""

    PAYMENT_FAILED = "payment_failed", "a payment is outstanding: the date of the suspension, and where to pay"
    SUSPENSION_SOON = "suspension_soon", "it still is, `NOTICE_DAYS` before the suspension"
    SUSPENDED = "suspended", "hosting was suspended"
    RUNNING_AGAIN = "running_again", "hosting that was suspended runs again"
    ENDING = "ending", "a cancellation is known: until when hosting runs"
    ENDED = "ended", "hosting has ended; the date of its deletion, where there is one"
    DELETION_SOON = "deletion_soon", "hosting that has ended is deleted, `NOTICE_DAYS` before it"
    RENEWAL_DUE = (
        "renewal_due",
        "the next period of an offline order is to be paid: how much and until when",
    )
    ORDER_PAID = "order_paid", "an order is paid"


class NoticeStatus(StrEnum):
    """What became of a notice."""

    PENDING = "pending"
    SENDING = "sending"
    """It is being handed over: a process that dies now leaves open whether it was taken."""
    SENT = "sent"
    """The server has taken it."""
    REFUSED = "refused"
    """The server refused it for good, or there is no address; `answer` says why."""
    BOUNCED = "bounced"
    """The server had taken it, and it came back; `reported` says why."""
    OBSOLETE = "obsolete"
    """It was no longer true when it was to be sent."""
    UNSURE = "unsure"
    """The answer was lost twice; it is not sent a third time."""

    @property
    def over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self not in (NoticeStatus.PENDING, NoticeStatus.SENDING)


TROUBLE = (NoticeStatus.REFUSED, NoticeStatus.BOUNCED, NoticeStatus.UNSURE)
"""What a person should look at."""


class Notice(Struct, frozen=True):
    """One mail about one fact, as it is written beside the fact."""

    kind: NoticeKind
    customer: CustomerKey | None
    about: str
    """Names the fact among those of its kind: written twice, it is sent once."""
    service: ServiceKey | None = None
    order_id: str | None = None
    date: datetime | None = None
    """The date that it announces; with another one it is no longer true."""
    send_at: datetime | None = None
    """Not before; `None`: at once."""


class Written(Struct, frozen=True):
    """A notice as it stands."""

    id: str
    notice: Notice
    status: NoticeStatus
    at: datetime
    """When it was so, by the database's clock."""
    created_at: datetime
    send_at: datetime
    attempts: int = 0
    lost: int = 0
    """How often it was handed over without an answer."""
    looked_again: bool = False
    """The customer's own pass was asked already whether it is still true."""
    answer: str | None = None
    reported: str | None = None
    """What was reported of it after the server had taken it: that it came back, or takes its time."""
    report: str | None = None
    """A digest of that report."""
    recipient: str | None = None
    tried_at: datetime | None = None
    ended_at: datetime | None = None
    erased: bool = False
    """Its customer's personal data was erased."""

    @property
    def age(self) -> timedelta:
        """How long ago it was written."""
        return self.at - self.created_at
