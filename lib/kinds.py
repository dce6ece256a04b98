"""The kinds of passes that share the queue. A new one is a module with `run` and a line in `KINDS`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lib.config import Settings
from lib.model import Claim, Lane, Mandate, Nudge, Outcome

if TYPE_CHECKING:
    from lib.database import Database
    from lib.enhance_client import EnhanceClient
    from lib.model.report import PassReport
    from lib.stripe_client import StripeClient

LONGEST = 60.0
"""Seconds after which a pass that hangs has failed."""

READERS = 4
SENDERS = 4
"""Passes at one time over all processes in the lanes that leave the panel alone."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a pass may use, whatever its kind."""

    settings: Settings
    db: Database
    stripe: StripeClient
    enhance: EnhanceClient
    mandate: Mandate


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a pass."""

    outcome: Outcome
    customer: str | None = None
    """Whom it was about, as far as it came to be known."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the log says of it besides."""
    report: PassReport | None = None
    """What whoever asked for it is told."""


Run = Callable[[Claim, Context], Awaitable[Ended]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of pass: where it runs, and what runs."""

    lane: Lane
    module: str
    """The module whose `run` it is; loaded when the first of its kind runs, so that a webhook loads none."""
    longest: float | None = LONGEST
    """Seconds that a pass may take; `None` where it sees to that itself."""
    about: str = "object"
    """What its key names, in the log."""

    @property
    def run(self) -> Run:
        found: Run = import_module(self.module).run
        return found


_HERE = "lib.subscription_manager"

KINDS: dict[str, Kind] = {
    "customer": Kind(Lane.PANEL, f"{_HERE}.customer", longest=None, about="customer"),
    "subscription": Kind(Lane.STRIPE, f"{_HERE}.lead"),
    "invoice": Kind(Lane.STRIPE, f"{_HERE}.lead"),
    "checkout_session": Kind(Lane.STRIPE, f"{_HERE}.lead"),
    "dispute": Kind(Lane.STRIPE, f"{_HERE}.money_back"),
    "refund": Kind(Lane.STRIPE, f"{_HERE}.money_back"),
    "charge": Kind(Lane.STRIPE, f"{_HERE}.money_back"),
    "nudge": Kind(Lane.STRIPE, f"{_HERE}.nudge"),
}


def nudge(kind: str, key: str) -> Nudge:
    """The row of the queue for a subject, in the lane of its kind."""
    known = KINDS.get(kind)
    return Nudge(kind, key, known.lane if known else Lane.STRIPE)


def places(settings: Settings) -> dict[Lane, int]:
    """How many passes may run at one time in each lane, over all processes."""
    return {Lane.PANEL: settings.panel_concurrency, Lane.STRIPE: READERS, Lane.OUT: SENDERS}
