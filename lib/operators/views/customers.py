"""Customers, their services, their place in the queue and their timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from lib.database.lists.customers import CustomerRow
from lib.database.lists.queue import WorkRow
from lib.database.lists.timeline import Happened
from lib.model import Memory, Service
from lib.model.reason import what_to_do
from lib.operators.views.money import exponent_of
from lib.operators.views.orders import OrderView
from lib.operators.views.passes import ProblemView, problem_views
from lib.operators.views.undo import Undo
from lib.web.typed import View


class Queued(View):
    """How the queue stands with one subject."""

    state: Literal["due", "parked", "waiting", "working"]
    due_at: datetime | None
    attempts: int
    last_error: str | None
    waits_for: str | None
    reason: str | None
    parked_at: datetime | None
    since: datetime
    """Since when they are parked; else since when there is something to do for them."""
    problems: list[ProblemView]
    remedy: str | None
    """What to do about it; `null` where it only has its turn before it."""

    @classmethod
    def of_row(cls, row: WorkRow, **more: Any) -> Self:
        problems = problem_views(row.problems)
        return cls.of(row, reason=row.parked_reason, problems=problems, remedy=remedy_of(row), **more)


def remedy_of(row: WorkRow) -> str | None:
    """What to do about a row of the queue."""
    return what_to_do(parked=row.parked_reason, waits_for=row.waits_for, error=row.last_error)


class QueueItem(Queued, kw_only=True):
    """A row of the queue in a list."""

    kind: str
    key: str
    email: str | None


class CustomerSummary(View):
    """A customer in a list."""

    customer_id: str
    provider: str
    email: str | None
    name: str | None
    org_id: str | None
    created_at: datetime
    erased: bool
    services: dict[str, int]
    """Service state -> how many."""
    holds: list[str]
    domains: list[str]
    reason: str | None
    """Why they are parked."""
    last_error: str | None
    due_at: datetime | None

    @classmethod
    def of_row(cls, row: CustomerRow) -> Self:
        return cls.of(row, customer_id=row.key, services=row.states, reason=row.parked_reason)


class ServiceView(View):
    """A service as it is remembered."""

    service: str
    """The subscription's id, with ``/2`` for its second service."""
    subscription_id: str
    slot: int
    item_id: str
    price_id: str
    plan: str | None
    state: str
    panel_subscription_id: int | None
    panel_plan_id: int | None
    website_id: str | None
    domain: str | None
    holds: list[str]
    panel_suspended: bool
    grace_until: datetime | None
    grace_override: datetime | None
    amnesty: bool
    """That date is everybody's, and nobody is told of it."""
    ends_at: datetime | None
    """By a cancellation that is known already."""
    ended_at: datetime | None
    retain_until: datetime | None
    released: bool
    adopted: bool
    waits_for: str | None

    @classmethod
    def of_service(cls, service: Service) -> Self:
        key = service.key
        return cls.of(
            service,
            waits_for=service.wait_reason,
            service=str(key),
            subscription_id=key.subscription_id,
            slot=key.slot,
            holds=sorted(service.holds),
        )


class StepView(View):
    """One fact of an action."""

    state: str
    at: datetime
    after: dict[str, Any] | None
    error: str | None


class TimelineEntry(View):
    """An event that came in, an action or a mail: why (facts and rule), and what became of it (steps)."""

    source: Literal["event", "action", "notice"]
    at: datetime
    id: str
    kind: str
    state: str | None
    """The last of its steps: applied, verified, failed ..., or what became of a mail."""
    service: str | None
    rule: str | None
    actor: str | None
    pass_id: str | None
    facts: dict[str, Any]
    before: dict[str, Any] | None
    steps: list[StepView]
    undo: Undo | None
    """What takes it back, where something does and it is still in effect."""

    @classmethod
    def of_happened(cls, happened: Happened, undo: Undo | None) -> Self:
        return cls.of(
            happened,
            undo=undo,
            facts=_with_exponent(happened.facts),
            state=happened.steps[-1].state if happened.steps else None,
            service=str(happened.service) if happened.service else None,
            steps=[StepView.of(step) for step in happened.steps],
        )


def _with_exponent(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts about money tell the exponent beside the currency, as all amounts do."""
    return {**facts, "exponent": exponent_of(facts["currency"])} if "amount" in facts and "currency" in facts else facts


class PanelIds(View):
    """What a customer has in the panel."""

    org_id: str | None
    org_name: str | None
    login_id: str | None
    member_id: str | None
    welcomed: bool


class Timeline(View):
    """A page of a timeline, newest first."""

    data: list[TimelineEntry]
    next_cursor: str | None


class LoginLink(View):
    """A link that logs its first caller in as the customer's owner, in the panel. It is good once, for a short time."""

    url: str


class CustomerView(View):
    """Everything that is remembered of one customer."""

    customer_id: str
    provider: str
    email: str | None
    name: str | None
    erased: bool
    panel: PanelIds
    services: list[ServiceView]
    queue: Queued | None
    timeline: Timeline
    orders: list[OrderView]
    """The newest ones."""
    explanation: dict[str, Any] | None
    """What both sides say just now, what should be and what comes next; only when it was asked for (`live=true`)."""

    @classmethod
    def of_memory(cls, memory: Memory, **more: Any) -> Self:
        return cls.of(
            memory,
            customer_id=str(memory.key),
            panel=PanelIds.of(memory),
            services=[ServiceView.of_service(service) for service in memory.services],
            **more,
        )
