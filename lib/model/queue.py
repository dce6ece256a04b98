"""A row of the queue as its passes see it, and what a pass may do for it."""

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
    claimed_at: datetime
    """The database's time when it was claimed."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """For whom, how long and under which lease a pass works."""

    pass_id: str
    now: datetime
    """The database's time; what follows counts from it with this process's steady clock."""
    lease_id: str = ""
    """The lease under which the panel may be changed; empty for a dry run."""
    deadline: float | None = None
    """On the steady clock (`time.monotonic`), when this process must have come to an end."""
    actor: str = "bridge"
