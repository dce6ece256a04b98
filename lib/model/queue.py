"""A row of the queue: what it is about, its places and its turn; and what a pass may do for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from msgspec import Struct


class Lane(StrEnum):
    """Passes that share places. What hangs in one lane takes no place in another."""

    PANEL = "panel"
    """They change the panel."""
    STRIPE = "stripe"
    """They read Stripe and remember; what they end there is a page on which the same would be paid twice."""
    OUT = "out"
    """They send something to somebody else's server."""


class Priority(IntEnum):
    """Whose turn is first. A pass that comes to rest ends a row's priority with it."""

    ASKED = 0
    """An event came in, or a person asked: somebody may be waiting for it."""
    ROUTINE = 1
    """A comparison found a difference, a date has come, or it is everybody's turn."""


class Nudge(NamedTuple):
    """A row of the queue that is to be made due."""

    kind: str
    key: str
    lane: Lane


class Claim(Struct, frozen=True):
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
    """By the database's clock."""
    memory: Mapping[str, Any] | None = None
    """What was remembered at that time of the customer it is about (see `customer_memory.Recollection`)."""


class Mandate(Struct, frozen=True):
    """For whom, how long and under which lease a pass works."""

    pass_id: str
    now: datetime
    """The database's time; what follows counts from it with this process's steady clock."""
    lease_id: str = ""
    """The lease under which the panel may be changed; empty for a dry run."""
    deadline: float | None = None
    """On the steady clock (`time.monotonic`), when this process must have come to an end."""
    actor: str = "bridge"
