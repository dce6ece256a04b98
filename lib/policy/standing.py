"""Where a service stands while it is decided: what was bought for it, by which terms, and why it is on or held."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from lib.config import Policy
from lib.model import Catalogue, Hold, Item, PlanMapping, Question, Service, Subscription
from lib.model.reason import Why


class Terms(Struct, frozen=True):
    """What holds for everything that one customer has bought."""

    catalogue: Catalogue
    policy: Policy
    at: datetime
    """Stripe's time."""


class Place(Struct, frozen=True):
    """A service, and what was bought for it."""

    subscription: Subscription
    item: Item
    service: Service
    mapping: PlanMapping | None
    more: bool
    """Others of its subscription have been made already."""
    cleared: bool
    """It was to be made before, when its money was there."""
    before: int
    """How many others of its item come before it."""
    since: datetime | None
    """When others of its subscription ended that are deleted by now: the money before that was for those."""
    changed: bool
    """Something else is bought than what its plan was made true for."""

    @property
    def trusted(self) -> bool:
        """Whether money that is under way counts."""
        return self.mapping is not None and self.mapping.activate_on == "processing"


class Standing(Struct, frozen=True):
    """Where a service stands before its plan is looked at."""

    service: Service
    rule: Why
    """Why it is on, if nothing holds it."""
    causes: dict[Hold, Why] = field(default_factory=dict)
    """Why it is held, the first one being the one that is told."""
    wake_at: datetime | None = None
    asks: Question | None = None
