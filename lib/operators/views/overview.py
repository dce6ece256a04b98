"""How everything stands: the dashboard, sweeps, health and what the timed work did."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

import msgspec

from lib.model.notice import Written
from lib.operators.views.events import EventView
from lib.operators.views.outgoing import OutgoingNumbers
from lib.web.typed import View


class Alert(View):
    """Something that somebody must know of, and what to do about it."""

    code: str
    detail: str
    remedy: str


class OpenAlert(View):
    """Something that somebody must know of, and what was told of it."""

    cause: str
    """Names it for good."""
    title: str
    detail: str
    remedy: str
    opened_at: datetime | None
    """Since when it is so, as far as that is known."""
    last_told_at: datetime | None
    """When the receiver last took a word of it; null: nobody is told, or not yet."""
    delivery_error: str | None
    """Why those who did not take the last word did not."""
    over: bool = False
    """It is over, and who was told of it has not taken that yet."""


class Migration(View):
    """Which migration the database has, and which one this version wants."""

    applied: int
    wanted: int


class ServiceRef(View):
    """A service that calls for a look."""

    customer_id: str
    subscription_id: str
    slot: int
    domain: str | None


class ServiceRefs(View):
    """How many services call for a look, and the first of them by their subscriptions."""

    total: int
    services: list[ServiceRef]


class ParkedGroup(View):
    """Everything that is parked for one reason."""

    reason: str
    count: int
    oldest_at: datetime
    remedy: str


class Parked(View):
    """How many wait for a person."""

    total: int
    by_reason: dict[str, int]
    groups: list[ParkedGroup]
    """The same with what to do about each; most of them first."""


class QueueView(View):
    """How the queue stands."""

    due: int
    oldest_seconds: float
    oldest_due_at: datetime | None
    """Since when the oldest of what is due waits, deliveries to your own systems left out."""
    working: int
    waiting: dict[str, int]
    """What for -> how many."""
    parked: Parked


class Braked(View):
    """A service that the brake stopped, and what was to be done."""

    customer_id: str
    subscription_id: str
    slot: int
    kind: str
    plan: str | None


class Waiting(View):
    """Whom the brake stopped: how many, and the first of them."""

    total: int
    digest: str
    """Of all of them, and of what is to be done to each: sent back, the release is of just these."""
    services: list[Braked]


class BrakeCount(View):
    """How the brake stands under one count."""

    engaged: bool
    engaged_at: datetime | None
    reason: str | None
    released_at: datetime | None
    released_by: str | None
    waiting: Waiting


class BrakeView(BrakeCount, kw_only=True):
    """How the brake stands for suspensions and terminations, its limits, and how it stands for moves."""

    max: int
    percent: int
    moves: BrakeCount


class ShadowPlan(View):
    """What shadow mode would do to one customer."""

    customer_id: str
    actions: list[dict[str, Any]]


class ShadowView(View):
    """What shadow mode would do."""

    customers: int
    actions: dict[str, int]
    plans: list[ShadowPlan]


class SweepView(View):
    """A sweep, under way or finished."""

    id: int
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    asked_by: str | None
    """Who asked for it; null: it was time."""
    phase: str | None
    counts: dict[str, int]
    errors: dict[str, str]
    orphans: list[dict[str, str]]


class EventNumbers(View):
    """How many events came in."""

    last_day: int
    newest_webhook_at: datetime | None
    not_done: int
    """How many have led to nothing yet, because the pass of their customer fails or is parked; counted up to 500."""
    newest_not_done: list[EventView]


class OrderNumbers(View):
    """How the money side stands: what is open, and what is not as it should be."""

    kept: bool
    """Whether orders are kept (ORDERS); without, nothing is known of them."""
    pending: int
    paying: int
    not_live: int
    """Paid, and no hosting of it has ever run."""
    disputed: int
    open_disputes: int
    """Disputes of which Stripe has not said the last word, also those that are about no order."""
    open_offline: int
    overdue: int
    """Of these: past the date."""
    overdue_in_part: int
    """Of these: a part has come, so that only a person ends them."""
    paid_late: int
    """Offline: paid when it had expired or was cancelled."""
    missing: dict[str, int]
    """Of these: what is still to come, by currency, in minor units."""
    to_return: dict[str, int]
    """What came too much or too late, by currency, in minor units."""
    exponents: dict[str, int]
    """Of each currency in these two: how many digits of an amount stand behind the point."""


class NoticeView(View):
    """A mail to a customer that calls for a look."""

    id: str
    customer_id: str | None
    kind: str
    status: str
    answer: str | None
    reported: str | None
    """What was reported after the server had taken it: why it came back, or that it takes its time."""
    subscription_id: str | None
    order_id: str | None
    ended_at: datetime | None

    @classmethod
    def of_written(cls, written: Written) -> Self:
        notice = written.notice
        return cls.of(
            written,
            customer_id=str(notice.customer) if notice.customer else None,
            kind=notice.kind.value,
            status=written.status.value,
            subscription_id=notice.service.subscription_id if notice.service else None,
            order_id=notice.order_id,
        )


ReportOutcome = Literal["bounced", "delayed", "unchanged", "unknown", "ambiguous", "not_recognised"]
"""bounced: it came back. delayed: it is still tried, which is noted. unchanged: it was known, or the mail is sent once
more anyway. unknown: no mail that is kept fits. ambiguous: several fit, and none is marked. not_recognised: it tells of
no mail that did not arrive.
"""


class NoticeReported(View):
    """What was made of a report about a mail to a customer, and the mail as it stands. Nothing of it is an error: who
    sends reports on has nothing to send again.
    """

    outcome: ReportOutcome
    detail: str
    notice: NoticeView | None


class NoticeNumbers(View):
    """Mails to customers that were refused for good, came back, or whose answer was lost twice: how many, and the
    newest.
    """

    total: int
    newest: list[NoticeView]


What = Literal["parked", "braked", "receivers", "disputes", "to_return", "part_paid"]
"""What can wait for a person."""


class Need(View):
    """How many of one kind wait for a person."""

    what: What
    count: int
    says: str
    """With the number, as in the verdict's detail."""


class Verdict(View):
    """The one line that says whether somebody has to do something."""

    state: Literal["equal", "working", "attention", "stuck"]
    """equal: both sides are. working: what is due is under way, or failed for now and is tried again. attention: it
    goes on, and needs a person somewhere. stuck: due work stands still."""
    need_you: int
    """How many things wait for a person: parked, braked, receivers that fail, disputes to answer, money to return."""
    detail: str
    needs: list[Need]
    """What these are."""


class PaidToLive(View):
    """How long it took, in the last 7 days, from Stripe's `invoice.paid` (offline: from the money) of a new
    subscription until its hosting was seen to run.
    """

    count: int
    p50_seconds: float
    p95_seconds: float


class EventsOfHour(View):
    """How many events came in within the hour that begins at `at`."""

    at: datetime
    webhook: int
    sweep: int
    """Those that the webhook had missed."""


class SweepPoint(View):
    """What one sweep found."""

    id: int
    at: datetime
    found: int
    """Events that had been missed."""
    made: int
    """Customers and objects that it made due, because the two sides differed."""
    partial: bool
    """Something could not be compared."""


class Charts(View):
    """The last 48 hours, and the last 48 sweeps, oldest first."""

    events_per_hour: list[EventsOfHour]
    sweeps: list[SweepPoint]


class Links(View):
    """Where the ids of both sides can be looked at."""

    stripe: str
    panel: str


class Dashboard(View):
    """How everything stands."""

    verdict: Verdict
    mode: str
    version: str
    migration: Migration
    alerts: list[Alert]
    open_alerts: list[OpenAlert]
    """The same, each with its cause and what was told of it."""
    customers: int
    services: dict[str, int]
    holds: dict[str, int]
    suspended_in_panel: int
    organisations_suspended_in_panel: int
    websites_gone: ServiceRefs
    domains_differ: ServiceRefs
    queue: QueueView
    brake: BrakeView
    shadow: ShadowView
    sweep: SweepView | None
    events: EventNumbers
    outgoing: OutgoingNumbers | None
    """Null without OUTBOX_URL."""
    orders: OrderNumbers
    actions_last_day: dict[str, int]
    notices_not_sent: NoticeNumbers
    paid_to_live: PaidToLive | None
    """Null when nothing was made in that time."""
    charts: Charts
    links: Links


class SweepRun(View):
    """How far a sweep has come by the end of one run."""

    finished: bool
    elsewhere: bool
    """Another process was at it; this run did nothing."""
    counts: dict[str, int]
    errors: dict[str, str]
    stopped: str | None
    job: Literal["sweep"] = "sweep"


class CronDrain(View, omit_defaults=True):
    """What a drain did."""

    job: Literal["drain"]
    passes: int
    outcomes: dict[str, int]
    sweep: dict[str, Any] | None = None
    rests_until: datetime | None = None
    """Until then nothing can be due, as an earlier look has found: the database was not asked."""


class Received(View):
    """The event is stored."""

    received: bool
    new: bool
    """Whether it was seen for the first time."""


class SyncBegun(View):
    """Everybody gets a pass, and a sweep goes over both sides."""

    started: Literal["sweep"]
    sweep: int
    follows: bool
    """Whether another sweep follows the one that is under way."""
    customers: int


class BrakeReleased(View):
    """The brake was released."""

    action: Literal["releaseBrake"]
    released: int
    """How many customers go on."""


class Health(View, omit_defaults=True):
    """Whether this deployment can do its work. Strangers see `status`, `version` and `checks`; a key shows the rest."""

    status: Literal["ok", "degraded", "failing"]
    version: str
    checks: dict[str, Literal["ok", "failing", "outdated"]]
    mode: str | None = None
    errors: dict[str, str] | None = None
    latencies_ms: dict[str, float] | None = None
    last_call_at: dict[str, datetime | None] | None = None
    """When a process last called Stripe and the panel in earnest; the checks tell how that ended."""
    last_pass_at: datetime | None = None
    oldest_due_seconds: float | None = None
    oldest_routine_seconds: float | None = None
    due: int | None = None
    parked: int | None = None
    migration: int | None = None
    migration_wanted: int | None = None


class FaultView(View):
    """One thing that is wrong with a request."""

    field: str
    code: Literal["missing", "invalid", "unknown"]
    detail: str


class ProblemDocument(View):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    code: str
    """Stable: programs may go by it."""
    detail: str
    field: str | None = None
    errors: list[FaultView] = msgspec.field(default_factory=list)
