"""Everything that one decision is made from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from lib.model.panel import Actual

if TYPE_CHECKING:
    from lib.model.catalogue import Catalogue
    from lib.model.decision import Read
    from lib.model.memory import Memory
    from lib.model.stripe import Payer


class Facts(Struct, frozen=True):
    """What Stripe says, what we remember, what is sold, and what the panel has, of one customer at one time."""

    payer: Payer
    memory: Memory
    catalogue: Catalogue
    actual: Actual = Actual()
    tried: frozenset[Read] = frozenset()
    """What was asked besides, whether or not an answer came: it is not asked again."""


class Clock(Struct, frozen=True):
    """What time it is, on both sides."""

    here: datetime
    """Ours: leases, intents and dates of the queue."""
    ahead: timedelta = timedelta()
    """How far Stripe's clock is ahead of it."""

    @property
    def stripe(self) -> datetime:
        """Stripe's time: what Stripe dates is only ever compared with Stripe's own clock."""
        return self.here + self.ahead

    def ours(self, when: datetime) -> datetime:
        """Stripe's date on our clock."""
        try:
            return when - self.ahead
        except OverflowError:  # a date at the end of all time, which an admin may have typed
            return when
