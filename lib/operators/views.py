"""What the admin routes answer, as types: the routes, the OpenAPI document and the page share them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from lib.database.lists.customers import CustomerRow
from lib.database.lists.timeline import Happened
from lib.database.work import WorkRow
from lib.model import Memory, Service
from lib.remedies import remedy
from lib.web.typed import View


class ProblemView(View):
    """Something that only a person can solve."""

    reason: str
    detail: str
    subject: str
    remedy: str


class Queued(View):
    """How the queue stands with one subject."""

    state: Literal["due", "parked", "waiting", "working"]
    due_at: datetime | None
    attempts: int
    last_error: str | None
    waits_for: str | None
    reason: str | None
    parked_at: datetime | None
    problems: list[ProblemView]

    @classmethod
    def of(cls, row: WorkRow) -> Queued:
        return cls(
            state=row.state,
            due_at=row.due_at,
            attempts=row.attempts,
            last_error=row.last_error,
            waits_for=row.waits_for,
            reason=row.parked_reason,
            parked_at=row.parked_at,
            problems=[ProblemView(**{**problem, "remedy": remedy(problem["reason"])}) for problem in row.problems],
        )


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
    def of(cls, row: CustomerRow) -> CustomerSummary:
        return cls(
            customer_id=row.customer_id,
            provider=row.provider,
            email=row.email,
            name=row.name,
            org_id=row.org_id,
            created_at=row.created_at,
            erased=row.erased,
            services=row.states,
            holds=row.holds,
            domains=row.domains,
            reason=row.parked_reason,
            last_error=row.last_error,
            due_at=row.due_at,
        )


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
    ended_at: datetime | None
    retain_until: datetime | None
    released: bool
    adopted: bool
    waits_for: str | None

    @classmethod
    def of(cls, service: Service) -> ServiceView:
        return cls(
            service=str(service.key),
            subscription_id=service.key.subscription_id,
            slot=service.key.slot,
            item_id=service.item_id,
            price_id=service.price_id,
            plan=service.plan,
            state=service.state.value,
            panel_subscription_id=service.panel_subscription_id,
            panel_plan_id=service.panel_plan_id,
            website_id=service.website_id,
            domain=service.domain,
            holds=sorted(service.holds),
            panel_suspended=service.panel_suspended,
            grace_until=service.grace_until,
            grace_override=service.grace_override,
            ended_at=service.ended_at,
            retain_until=service.retain_until,
            released=service.released,
            adopted=service.adopted,
            waits_for=service.waits_for,
        )


class StepView(View):
    """One fact of an action."""

    state: str
    at: datetime
    after: dict[str, Any] | None
    error: str | None


class TimelineEntry(View):
    """An event that came in, or an action: why (facts and rule), and what became of it (steps)."""

    source: Literal["event", "action"]
    at: datetime
    id: str
    kind: str
    state: str | None
    """The last of its steps: applied, verified, failed ..."""
    service: str | None
    rule: str | None
    actor: str | None
    pass_id: str | None
    facts: dict[str, Any]
    before: dict[str, Any] | None
    steps: list[StepView]

    @classmethod
    def of(cls, happened: Happened) -> TimelineEntry:
        return cls(
            source=happened.source,
            at=happened.at,
            id=happened.id,
            kind=happened.kind,
            state=happened.steps[-1].state if happened.steps else None,
            service=str(happened.service) if happened.service else None,
            rule=happened.rule,
            actor=happened.actor,
            pass_id=happened.pass_id,
            facts=happened.facts,
            before=happened.before,
            steps=[StepView(state=s.state, at=s.at, after=s.after, error=s.error) for s in happened.steps],
        )


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
    explanation: dict[str, Any] | None
    """What both sides say just now, what should be and what comes next; only when it was asked for (`live=true`)."""

    @classmethod
    def of(
        cls, memory: Memory, queued: WorkRow | None, timeline: Timeline, explanation: dict[str, Any] | None
    ) -> CustomerView:
        return cls(
            customer_id=memory.customer_id,
            provider=memory.provider,
            email=memory.email,
            name=memory.name,
            erased=memory.erased,
            panel=PanelIds(
                org_id=memory.org_id,
                org_name=memory.org_name,
                login_id=memory.login_id,
                member_id=memory.member_id,
                welcomed=memory.welcomed,
            ),
            services=[ServiceView.of(service) for service in memory.services],
            queue=Queued.of(queued) if queued else None,
            timeline=timeline,
            explanation=explanation,
        )


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


class Replayed(View):
    """Events that were played again, and how many subjects (customers, disputes ...) that made due."""

    events: int
    subjects: int
    id: str | None = None
