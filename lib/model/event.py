"""An event as it came in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class ReceivedEvent(msgspec.Struct, frozen=True):  # is made for each delivery, at a tenth of a frozen dataclass's cost
    """An event as it goes into the inbox, and whom it makes due."""

    event_id: str
    type: str
    body: str
    outcome: Literal["accepted", "ignored", "unreadable"]
    nudges: tuple[tuple[str, str], ...] = ()
    """(kind, key) of each `due` row."""
    livemode: bool | None = None
    object_id: str | None = None
    customer_id: str | None = None
    subscription_id: str | None = None
    """The subscription that it speaks of, or belongs to."""
    created_at: datetime | None = None
    error: str | None = None
