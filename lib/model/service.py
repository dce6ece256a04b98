"""Memory: one hosting subscription that we answer for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from msgspec import Struct

if TYPE_CHECKING:
    from lib.model.reason import Reason, WaitReason


class Hold(StrEnum):
    """A reason to be suspended. Several at once are normal; each is lifted by its own cause."""

    UNPAID = "unpaid"
    PAUSED = "paused"
    ENDED = "ended"
    DISPUTE = "dispute"
    REFUND = "refund"
    ADMIN = "admin"


class ServiceState(StrEnum):
    """What we last made true in the panel."""

    PENDING = "pending"
    LIVE = "live"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


class ServiceKey(Struct, frozen=True):
    """Names one service for good: a subscription and the number of the service within it, from 1."""

    subscription_id: str
    slot: int

    def __str__(self) -> str:
        return self.subscription_id if self.slot == 1 else f"{self.subscription_id}/{self.slot}"

    @classmethod
    def read(cls, text: str) -> Self:
        """The key that was written like that."""
        subscription_id, _, slot = text.partition("/")
        return cls(subscription_id, int(slot or 1))


class Service(Struct, frozen=True):
    """One hosting subscription that we answer for. Panel ids are `None` until the panel has told them."""

    key: ServiceKey
    item_id: str
    price_id: str
    plan: str | None = None
    """The mapping's plan that we last made true: an id as digits, or a name."""
    made_for: tuple[tuple[str, int], ...] = ()
    """What had been bought when `plan` was made true: (price, quantity), its own price first. Empty: not known."""
    plan_since: datetime | None = None
    """Stripe's time when it said what led to `plan`: what was billed before is no matter of a later change."""
    state: ServiceState = ServiceState.PENDING
    panel_subscription_id: int | None = None
    panel_plan_id: int | None = None
    website_id: str | None = None
    domain: str | None = None
    """The domain it was bought for, as ASCII; what the website is made with."""
    domain_sought_at: datetime | None = None
    """When the Checkout session was last asked for a domain."""
    holds: frozenset[Hold] = frozenset()
    suspended_by: str | None = None
    """What the panel wrote into `suspendedBy` when we suspended it: another value there is somebody else's."""
    unpaid_since: datetime | None = None
    """Since when its subscription has been behind; remembered until money comes."""
    grace_until: datetime | None = None
    """When the present grace ends, shown to people; decided anew at every pass."""
    grace_override: datetime | None = None
    """A one-off date set by an admin; wins over every length."""
    amnesty: bool = False
    """That date is everybody's, as after an outage of a bank: no mail about it is sent before it is over."""
    panel_suspended: bool = False
    """Somebody in the panel suspended it: shown, never lifted."""
    ends_at: datetime | None = None
    """When its subscription ends by a cancellation that is known; `None`: none is, or it has ended."""
    ended_at: datetime | None = None
    retain_until: datetime | None = None
    """When a configured retention is over and it is soft-deleted."""
    released: bool = False
    """An admin let it through: a second purchase of the same price, or one whose first invoice nobody will pay."""
    adopted: bool = False
    """It existed before us; an operator linked it."""
    wait_reason: Reason | WaitReason | None = None
    """Why it is not (yet) as bought.

    Shown to people. What is remembered while it waits for no money was cleared: it is made without asking for
    its money again. `domain_differs` is for reading only: the metadata name another domain than its website has."""

    def suspension_is_ours(self, suspended_by: str | None) -> bool:
        """Whether the panel shows our own suspension of it; somebody else's is never lifted."""
        return suspended_by is not None and suspended_by == self.suspended_by

    @property
    def made(self) -> bool:
        """Whether the panel has had it."""
        return self.panel_subscription_id is not None
