"""Received events, and playing them again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from lib.database.ledger import EntryState
from lib.web.typed import View


class EventView(View):
    """A received event, and what came of it."""

    event_id: str
    provider: str
    type: str
    livemode: bool | None
    object_id: str | None
    customer_id: str | None
    created_at: datetime | None
    received_at: datetime
    outcome: str
    error: str | None
    source: str
    work: list[EventWork]
    body: dict[str, Any] | None
    """Only of one event by its id."""


class EventWork(View):
    """What an event made due, and how that stands now."""

    kind: str
    key: str
    state: Literal["done", "due", "working", "failing", "waiting", "parked"]
    """done: a pass has come to rest since, and nothing more is to be done."""
    due_at: datetime | None = None
    error: str | None = None
    waits_for: str | None = None
    reason: str | None = None


class Matches(View):
    """How many an action on many would concern, some of them, and as of when: send both back to do it."""

    matches: int
    sample: list[str]
    as_of: datetime


class Begun(View):
    """An action on many that is under way."""

    id: str
    matches: int


class Progress(View):
    """How far an act on many has come."""

    id: str
    at: datetime
    actor: str
    action: str
    filter: dict[str, Any]
    matches: int
    given: dict[str, Any]
    """What is done besides: the reason, the date of a grace, the hold that is lifted."""
    subjects: int
    """Rows of the queue that it has made due so far."""
    left: int
    """Whom it has still to come to, and those whose pass has not ended since."""


class Replayed(View):
    """Events that were played again, and how many subjects (customers, disputes ...) that made due."""

    events: int
    subjects: int
    id: str | None = None


class LedgerLine(View):
    """One line of the ledger: a thing that became known of one action."""

    id: int
    """Greater than those of lines that began to be written before; not without gaps."""
    at: datetime
    action_id: str
    """The same in all lines of one action."""
    actor: str
    """A person's name, or `bridge`."""
    customer_id: str
    service: str | None
    kind: str
    state: EntryState
    rule: str | None
    error: str | None


class Grown(View):
    """What the ledger has behind a line, oldest first."""

    data: list[LedgerLine]
    next_cursor: str
    """What to send as `after` next time. Lines of the last seconds come again with it: know them by their `id`."""
