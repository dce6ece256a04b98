"""What somebody must know of: the facts that are looked at, each cause that they show, and what was told of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

Severity = Literal["critical", "error", "warning"]
"""As receivers of alerts sort them; the words are PagerDuty's."""

Receives = Literal["webhook", "mail"]
"""Who is told: the address, and the mailbox."""

What = Literal["open", "reminder", "over"]
"""What is told of a cause: that it is there, that it still is, that it is over."""


class ParkedGroup(Struct, frozen=True):
    """Everything that is parked for one reason."""

    reason: str
    count: int
    oldest_at: datetime


class Engaged(Struct, frozen=True):
    """A brake that is on."""

    counts: str
    since: datetime
    reason: str | None


class Swept(Struct, frozen=True):
    """A sweep, as far as it is looked at."""

    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    phase: str
    errors: Mapping[str, str]
    orphans: int
    """Organisations that carry our mark and belong to nobody."""


class SideFault(Struct, frozen=True):
    """Another side whose last call failed, and what was said."""

    side: str
    error: str
    at: datetime
    """Of the last call."""
    since: datetime | None = None
    """Of the first one that failed, and none was answered since; `None`: nobody knows."""


class Receiver(Struct, frozen=True):
    """One of the operator's own systems that takes no events."""

    number: int
    """Its place in OUTBOX_URL."""
    url: str
    disabled: bool
    since: datetime | None
    waiting: int
    error: str | None


class LateMoney(Struct, frozen=True):
    """An invoice that was paid when its subscription had ended."""

    customer: str
    subscription: str
    amount: int | None
    currency: str | None
    at: datetime


class ToAnswer(Struct, frozen=True):
    """A dispute in which Stripe waits for the operator."""

    dispute: str
    customer: str | None
    amount: int
    currency: str
    due_by: datetime
    opened_at: datetime


class AlertFacts(Struct, frozen=True):
    """One look at everything that may call for a person."""

    at: datetime
    """When it was so, by the database's clock."""
    parked: tuple[ParkedGroup, ...] = ()
    brakes: tuple[Engaged, ...] = ()
    oldest_seconds: float = 0.0
    """How long the oldest work that was asked for waits."""
    newest: Swept | None = None
    """The newest sweep, under way or ended."""
    ended: Swept | None = None
    """The newest one that has ended."""
    missed: int = 0
    """Events that it found and that the webhook should have brought minutes before."""
    faults: tuple[SideFault, ...] = ()
    token_expires_at: datetime | None = None
    """When the panel's token ends; `None`: never, or the panel does not say."""
    receivers: tuple[Receiver, ...] = ()
    not_live: int = 0
    """Orders that were paid long ago, and nothing runs for them."""
    not_live_since: datetime | None = None
    turns_not_live_at: datetime | None = None
    """When the next order comes to be one of these."""
    late_money: tuple[LateMoney, ...] = ()
    to_answer: tuple[ToAnswer, ...] = ()
    to_return: Mapping[str, int] | None = None
    """What came too much or too late, by currency, in minor units."""
    part_paid: int = 0
    """Offline orders past their date of which a part has come."""
    paid_late: int = 0
    """Offline orders that were paid in the last days when they had expired or were cancelled already."""
    database_bytes: int | None = None
    """Size of the database; `None`: not asked for."""
    mails_refused: int = 0
    """Of the last days."""
    mails_refused_at: datetime | None = None


class AlertLimits(Struct, frozen=True):
    """The operator's settings that say from when on something calls for a person."""

    mode: str
    max_lag: int
    allowance_bytes: int | None = None


class Cause(Struct, frozen=True):
    """One thing that somebody must know of."""

    cause: str
    """Names it for good: told once, however often it is seen. Such as `parked:unmapped_price`."""
    code: str
    """Its kind."""
    title: str
    detail: str
    remedy: str
    severity: Severity = "error"
    since: datetime | None = None
    """Since when it is so, where that is known."""
    told: bool = True
    """Whether it is sent; what an operator has chosen, or may leave as it is, is shown only."""


class Told(Struct, frozen=True):
    """What one receiver has taken of a cause."""

    at: datetime | None = None
    """When it last took the word that it is so; `None`: it took none, or took that it is over."""
    title: str | None = None
    """As what it was told."""
    error: str | None = None
    """Why it did not take the last word."""


class AlertRow(Struct, frozen=True):
    """An open cause, and what has been told of it. What is over has none."""

    cause: str
    code: str
    title: str
    detail: str
    remedy: str
    severity: Severity
    opened_at: datetime
    clean_since: datetime | None = None
    """When it was looked for and not found any more, if it was not found since."""
    told: Mapping[Receives, Told] = field(default_factory=dict)
    """By receiver; without those to whom nothing was sent, or who took that it is over."""

    @property
    def told_at(self) -> datetime | None:
        """When any of them last took the word that it is so."""
        return max((told.at for told in self.told.values() if told.at is not None), default=None)

    @property
    def delivery_error(self) -> str | None:
        """Why those who did not take the last word did not."""
        return "; ".join(self.told[name].error or "" for name in sorted(self.told) if self.told[name].error) or None
