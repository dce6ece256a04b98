"""Outgoing events, what became of them, and where they go."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from lib.web.typed import View


class AttemptView(View):
    """One try to deliver."""

    at: datetime
    status: int | None
    """Of the answer; null: there was none."""
    duration_ms: int
    error: str | None


class DeliveryView(View):
    """One outgoing event at one endpoint."""

    event_id: str
    type: str
    customer_id: str | None
    endpoint: str
    sequence: int
    state: Literal["waiting", "delivered", "skipped"]
    attempts: int
    error: str | None
    created_at: datetime
    ended_at: datetime | None
    """When it was delivered, or skipped."""
    tries: list[AttemptView] | None = None
    """Only of one event by its id."""


class EndpointView(View):
    """Where outgoing events go."""

    id: str
    url: str
    """Without its query, which may be secret."""
    state: Literal["ok", "failing", "disabled", "removed"]
    """removed: it is not in OUTBOX_URL any more; what waits for it is kept for EVENT_RETENTION_DAYS."""
    types: list[str]
    waiting: int
    oldest_waiting_at: datetime | None
    failing_since: datetime | None
    failures: int
    error: str | None
    next_try_at: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


class Deliveries(View):
    """A page of deliveries, and every endpoint."""

    data: list[DeliveryView]
    next_cursor: str | None
    endpoints: list[EndpointView]


class OutgoingEventView(View):
    """One outgoing event: its body, and what became of it at each endpoint."""

    event_id: str
    type: str
    customer_id: str | None
    body: dict[str, Any] | None
    """As the first of the endpoints gets it; null once its customer was erased."""
    deliveries: list[DeliveryView]


class Tested(View):
    """What came of a test."""

    action: Literal["test"]
    endpoint: str
    event_id: str
    delivered: bool
    status: int | None
    duration_ms: int
    error: str | None


class Changed(View):
    """How many events will be sent (again), or will not be sent any more."""

    action: Literal["resend", "skip", "enable"]
    endpoint: str
    events: int


class OutgoingNumbers(View):
    """What goes to the operator's own systems."""

    waiting: int
    endpoints: list[EndpointView]
