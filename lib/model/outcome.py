"""How a pass ended, and what that means for its row in the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from lib.model.decision import Problem
    from lib.model.reason import Why


class Settled(Struct, frozen=True):
    """Both sides are equal. `wake_at`: the next date by which that may change."""

    wake_at: datetime | None = None
    why: Why | None = None


class Waits(Struct, frozen=True):
    """It is not done yet and did not fail: it goes on at a time that is known."""

    at: datetime
    why: Why
    """What it waits for, in the queue's words."""
    detail: str = ""
    """The same for people."""
    problems: tuple[Problem, ...] = ()
    """What a person must solve besides."""
    decided: bool = False
    """Whether it is known what should be; else what was found before still stands."""


class Failed(Struct, frozen=True):
    """It did not work: the retry curve, or the other side's wish, says when it is tried again."""

    error: str
    wish: timedelta | None = None
    """The least delay that the other side asked for."""
    at: datetime | None = None
    """A fixed time instead of the curve; once settled, when it is tried again."""
    why: Why | None = None
    """What it waits for besides."""
    problems: tuple[Problem, ...] = ()
    """What a person must solve besides."""
    wake_at: datetime | None = None
    """The nearest date of this customer's other services, which no failure may delay."""
    parks: bool = True
    """Whether it comes to be a person's turn when this goes on: not for what is nobody's own matter."""
    decided: bool = False
    """Whether it is known what should be; else what was found before still stands."""


class Parked(Struct, frozen=True):
    """A person must act; retried by every sweep and by every new event."""

    problems: tuple[Problem, ...]
    wake_at: datetime | None = None

    @property
    def reason(self) -> str:
        return self.problems[0].reason


Outcome = Settled | Waits | Failed | Parked


class Settlement(Struct, frozen=True):
    """What becomes of the row of a pass that has ended. Without a date and without a problem it is gone."""

    due_at: datetime | None = None
    waits_for: Why | None = None
    error: str | None = None
    problems: tuple[Problem, ...] = ()
    keeps_problems: bool = False
    """This pass decided nothing, so what was found before still stands."""
    attempts: int = 0
    """Failures in a row."""
    retry_at: datetime | None = None
    """When the retry curve lets it run by itself."""
    answered: bool = False
    """What was asked for is done as far as it can be; what follows is routine."""
    gave_up: bool = False
    """It failed too often, and became a person's turn."""
