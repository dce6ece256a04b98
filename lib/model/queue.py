"""A row of the queue as its passes see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased row: the right to work on one subject for now."""

    kind: str
    key: str
    lease_id: str
    generation: int
    attempts: int
    parked_reason: str | None
    retry_at: datetime | None
    """When the retry curve would have let it run by itself."""
    now: datetime
    """The database's time when it was claimed."""
