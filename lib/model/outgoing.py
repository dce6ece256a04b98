"""Events for the operator's own systems: which there are, where they go, and what became of each.

What stands in their bodies is in `model.payloads`, which is loaded when there is one to write.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from lib.model.customer_key import CustomerKey
from lib.model.reason import Explained


class OutgoingType(Explained):
    """Everything that is told, in the order of `docs/events.md`."""

    ORDER_PAID = "order.paid", "an order is paid, or there was nothing to pay"
    PAYMENT_SUCCEEDED = "payment.succeeded", "an attempt to pay, or a renewal, brought its money"
    PAYMENT_FAILED = "payment.failed", "an attempt to pay failed; Stripe may try it once more"
    REFUND_SUCCEEDED = "refund.succeeded", "money went back to the buyer"
    DISPUTE_OPENED = "dispute.opened", "the buyer's bank asks for the money back"
    DISPUTE_CLOSED = "dispute.closed", "a dispute was won or lost, or an inquiry was closed"
    SERVICE_PROVISIONED = "service.provisioned", "hosting was made in the panel, or found there by our mark"
    SERVICE_SUSPENDED = "service.suspended", "hosting was suspended by us; `holds` says why"
    SERVICE_RESUMED = "service.resumed", "hosting that we had suspended runs again"
    SERVICE_CHANGED = "service.changed", "plan, domain or website of hosting is another one; `before` has what was"
    SERVICE_TERMINATED = "service.terminated", "hosting was deleted after its end, or wiped by an admin"
    ESCROW_RELEASABLE = "escrow.releasable", "the money of an order that was sold for somebody else may be paid out"
    CUSTOMER_PARKED = "customer.parked", "a customer waits for a person; `problems` says for what"
    ENDPOINT_TEST = "endpoint.test", "an operator sent a test; it stands for nothing"


class DeliveryState(StrEnum):
    """What became of an event at one endpoint."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    """By an admin, or because its customer was erased: it is not sent any more."""


class Disabled(StrEnum):
    """Why nothing is sent to an endpoint any more until an admin enables it."""

    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """It has failed for days."""


class Told(Struct, frozen=True):
    """Something that happened, as it is written beside the fact itself."""

    type: OutgoingType
    customer: CustomerKey | None
    """Whose it is; events of one customer reach an endpoint in the order in which they were written."""
    data: object
    """The payload that belongs to the type (`model.payloads.PAYLOADS`)."""
    rule: str | None = None
    """Why: a rule of the decision, or a word of the money side."""
    pass_id: str | None = None
    actor: str = "bridge"
    once: str | None = None
    """A name of the fact, such as `payment.succeeded:<id>`: written twice under one name, it is told once."""


class Waiting(Struct, frozen=True):
    """The next event for one endpoint about one customer."""

    id: int
    event_id: str
    body: str
    attempts: int


class Standing(Struct, frozen=True):
    """How an endpoint does, and what waits for it about one customer."""

    at: datetime
    """When it was so, by the database's clock."""
    next: Waiting | None = None
    failing_since: datetime | None = None
    failures: int = 0
    """In a row, whoever they were about."""
    last_failed: str | None = None
    """Whose event failed last."""
    probing: bool = False
    """Events of more than one customer failed: one is tried at a time until one arrives."""
    probe: str | None = None
    """Whose turn it is to be tried."""
    next_try_at: datetime | None = None
    disabled: Disabled | None = None


class Attempt(Struct, frozen=True):
    """One try to deliver."""

    status: int | None
    """Of the answer; `None`: there was none."""
    duration_ms: int
    error: str | None = None
    """Empty: it was delivered."""
    retry_after: timedelta | None = None

    @property
    def delivered(self) -> bool:
        return self.error is None
