"""How a pass ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.model.decision import Problem


@dataclass(frozen=True, slots=True)
class Settled:
    """Both sides are equal. `wake_at`: the next date by which that may change."""

    wake_at: datetime | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """It failed, or must look again soon; the retry curve or the other side's wish says when."""

    error: str
    at: datetime | None = None
    """A fixed time instead of the retry curve."""
    failed: bool = True
    """Whether it counts as an attempt."""
    why: str | None = None
    """What it waits for, when it did not fail."""
    wish: timedelta | None = None
    """The least delay that the other side asked for."""
    problems: tuple[Problem, ...] = ()
    """What a person must solve besides."""
    wake_at: datetime | None = None
    """The nearest date of this customer's other services, which no failure may delay."""
    parks: bool = True
    """Whether it comes to be a person's turn when this goes on: not for what is nobody's own matter."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A person must act; retried by every sweep and by every new event."""

    problems: tuple[Problem, ...]
    wake_at: datetime | None = None

    @property
    def reason(self) -> str:
        return self.problems[0].reason


Outcome = Settled | Again | Parked
