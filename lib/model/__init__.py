"""The nouns: what Stripe says (truth), what we remember (memory), what the panel has (actual), and the verbs between.

Words: *subscription* is Stripe's, *service* is one hosting subscription that we answer for, *panel subscription* is the
panel's own record of it. Times are aware UTC datetimes, money is integer minor units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

# --- what came in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as it goes into the inbox, and whom it makes due."""

    event_id: str
    type: str
    body: str
    outcome: Literal["accepted", "ignored", "unreadable"]
    nudges: tuple[tuple[str, str], ...] = ()
    """(kind, key) of each `due` row."""
    livemode: bool | None = None
    object_id: str | None = None
    customer_id: str | None = None
    subscription_id: str | None = None
    """The subscription that it speaks of, or belongs to."""
    created_at: datetime | None = None
    error: str | None = None


# --- truth: what Stripe says ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an invoice: what it asks for, and for which time."""

    price_id: str | None
    """`None` for what has no price, such as an amount that somebody typed."""
    amount: int
    """Minor units; negative for what is given back, as a change to another price does for the old one."""
    proration: bool
    """A part of a period, because something changed within it."""
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of a subscription, as far as decisions need it."""

    id: str
    status: str
    """draft, open, paid, void or uncollectible."""
    created: datetime
    billing_reason: str | None = None
    amount_due: int = 0
    """What is left to pay after credit of the customer."""
    total: int = 0
    due: datetime | None = None
    """Since when it is owed: its due date, else when it was finalized."""
    paid_at: datetime | None = None
    amount_paid: int = 0
    currency: str = ""
    lines: tuple[Line, ...] | None = None
    """`None`: not told, or not all of them."""

    @property
    def owed_since(self) -> datetime:
        """When it began to be owed."""
        return self.due or self.created

    @property
    def asks(self) -> bool:
        """Whether it asks for money at all; one that does not is paid without any coming."""
        return self.total > 0 or self.amount_due > 0


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a subscription: a price, so many times."""

    id: str
    price_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Stripe subscription as it is now."""

    id: str
    status: str
    """Stripe's word; an unknown one changes nothing and parks the customer."""
    items: tuple[Item, ...]
    created: datetime
    latest_invoice: Invoice | None = None
    """Whatever is newest, a draft too."""
    invoices: tuple[Invoice, ...] | None = None
    """All of its invoices, newest first. `None`: not read; that costs a call, so it is done only where it matters."""
    first_payment: str | None = None
    """How the payment of its first invoice stands, in Stripe's words. `None`: not read; `incomplete` needs it."""
    ended_at: datetime | None = None
    trial_end: datetime | None = None
    cancel_at: datetime | None = None
    """When it is scheduled to end, whichever of Stripe's two ways said so."""
    collection_paused: bool = False
    domain: str | None = None
    """`metadata.domain` as typed; `None` when there is none."""
    disputes: tuple[str, ...] = ()
    """Statuses of the disputes about its payments."""
    refunded: frozenset[str] = frozenset()
    """Invoices of its customer whose money went back in full."""

    @property
    def known_invoices(self) -> tuple[Invoice, ...]:
        """All of them where they were read, else the latest one."""
        if self.invoices is not None:
            return self.invoices
        return (self.latest_invoice,) if self.latest_invoice is not None else ()


@dataclass(frozen=True, slots=True)
class Payer:
    """A customer at Stripe with every subscription in any status: the truth that one pass works from."""

    id: str
    email: str | None
    name: str | None
    subscriptions: tuple[Subscription, ...]
    deleted: bool = False
    as_of: datetime | None = None
    """Stripe's own clock when it said so: what Stripe dates is compared with this, not with ours."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """One dispute; amounts in minor units of its currency."""

    dispute_id: str
    customer_id: str | None
    subscription_id: str | None
    charge_id: str | None
    status: str
    reason: str | None
    amount: int
    currency: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund, and whether its charge is refunded in full by now."""

    refund_id: str
    customer_id: str | None
    subscription_id: str | None
    invoice_id: str | None
    charge_id: str | None
    status: str
    amount: int
    currency: str
    charge_refunded: bool
    created_at: datetime


# --- memory: what we remember -----------------------------------------------------------------------------------------


class Hold(StrEnum):
    """A reason to be suspended. Several at once are normal; each is lifted by its own cause."""

    UNPAID = "unpaid"
    PAUSED = "paused"
    ENDED = "ended"
    DISPUTE = "dispute"
    REFUND = "refund"
    ADMIN = "admin"


class ServiceState(StrEnum):
    """What we last made true in the panel."""

    PENDING = "pending"
    LIVE = "live"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """Names one service for good: a subscription and the number of the service within it, from 1."""

    subscription_id: str
    slot: int

    def __str__(self) -> str:
        return self.subscription_id if self.slot == 1 else f"{self.subscription_id}/{self.slot}"


@dataclass(frozen=True, slots=True)
class Service:
    """One hosting subscription that we answer for. Panel ids are `None` until the panel has told them."""

    key: ServiceKey
    item_id: str
    price_id: str
    plan: str | None = None
    """The mapping's plan that we last made true: an id as digits, or a name."""
    made_for: tuple[tuple[str, int], ...] = ()
    """What had been bought when `plan` was made true: (price, quantity), its own price first. Empty: not known."""
    plan_since: datetime | None = None
    """Stripe's time when it said what led to `plan`: what was billed before is no matter of a later change."""
    state: ServiceState = ServiceState.PENDING
    panel_subscription_id: int | None = None
    panel_plan_id: int | None = None
    website_id: str | None = None
    domain: str | None = None
    """The domain it was bought for, as ASCII; what the website is made with."""
    domain_sought_at: datetime | None = None
    """When the Checkout session was last asked for a domain."""
    holds: frozenset[Hold] = frozenset()
    suspended_by: str | None = None
    """What the panel wrote into `suspendedBy` when we suspended it: another value there is somebody else's."""
    unpaid_since: datetime | None = None
    """Since when its subscription has been behind; remembered until money comes."""
    grace_until: datetime | None = None
    """When the present grace ends, shown to people; decided anew at every pass."""
    grace_override: datetime | None = None
    """A one-off date set by an admin; wins over every length."""
    panel_suspended: bool = False
    """Somebody in the panel suspended it: shown, never lifted."""
    ended_at: datetime | None = None
    retain_until: datetime | None = None
    """When a configured retention is over and it is soft-deleted."""
    released: bool = False
    """An admin let it through: a second purchase of the same price, or one whose first invoice nobody will pay."""
    adopted: bool = False
    """It existed before us; an operator linked it."""
    waits_for: str | None = None
    """Why it is not (yet) as bought: `settlement`, `double_purchase`, `change_waits_for_payment` ...

    Shown to people. What is remembered without one of the first two has been admitted: it is made without asking for
    its money again. `domain_differs` is for reading only: the metadata name another domain than its website has."""

    @property
    def made(self) -> bool:
        """Whether the panel has had it."""
        return self.panel_subscription_id is not None


class ActionKind(StrEnum):
    """Every change we ever make in the panel."""

    CREATE_ORG = "create_org"
    CREATE_LOGIN = "create_login"
    ADD_OWNER = "add_owner"
    CREATE_SUBSCRIPTION = "create_subscription"
    CREATE_WEBSITE = "create_website"
    MOVE_WEBSITE = "move_website"
    """From an ended service to the one that was bought again with its domain."""
    SEND_WELCOME = "send_welcome"
    RENAME_ORG = "rename_org"
    SUSPEND = "suspend"
    RESUME = "resume"
    CHANGE_PLAN = "change_plan"
    MARK = "mark"
    TERMINATE = "terminate"
    HARD_DELETE = "hard_delete"
    """Only ever by an admin's confirmed word; no pass decides it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An action that was begun and whose end nobody recorded: it may have happened."""

    action_id: str
    kind: ActionKind
    service: ServiceKey | None
    at: datetime
    answered: bool = False
    """The panel answered, with a server error; else the answer was lost, or we died."""
    lost_at: datetime | None = None
    """When the last try ended without telling; `None`: we died before it did."""
    plan: str | None = None
    """The plan it was made with, as the mapping spells it."""
    token: str | None = None
    """Which of the panel's tokens it was made with, if it is a suspension."""
    website: str | None = None
    """The website that was to be moved, if it is a move."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What we remember of one customer."""

    customer_id: str
    provider: str = "stripe"
    org_id: str | None = None
    org_name: str | None = None
    """The name that we last gave the organisation; still with the mark until the id is safely remembered."""
    login_id: str | None = None
    member_id: str | None = None
    email: str | None = None
    """As Stripe last said; the panel's login keeps the one it was made with."""
    name: str | None = None
    known: bool = False
    """Whether there is a row of this customer yet."""
    erased: bool = False
    """Their personal data was erased on request and is not written down again."""
    welcomed: bool = False
    services: tuple[Service, ...] = ()
    intents: tuple[Intent, ...] = ()
    disputes: tuple[tuple[str, str], ...] = ()
    """(subscription id, status) of each dispute that led to a subscription, but for those that an admin waived."""
    refunded_invoices: frozenset[str] = frozenset()
    """Invoices whose money went back in full."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What Stripe said of each subscription when we last came to rest (see `policy.fingerprint`)."""
    named: frozenset[str] = frozenset()
    """Subscriptions that events of the last days named: what a list lacks just then counts all the same."""
    let_pass: Mapping[str, int] = field(default_factory=dict)
    """Subscription -> the quantity of one of its items that an admin let pass."""
    closed: frozenset[str] = frozenset()
    """Ended subscriptions of which no invoice can be paid any more."""
    session_event_at: datetime | None = None
    """When the last Checkout event of this customer came in: a reason to ask for the domain once more."""

    @property
    def heard_of(self) -> frozenset[str]:
        """Every subscription of theirs that we answer for, have looked at, or were told of."""
        return frozenset({s.key.subscription_id for s in self.services}) | self.fingerprints.keys() | self.named


@dataclass(frozen=True, slots=True)
class PlanMapping:
    """A price and the panel plan it buys (one row of `plan_mappings`)."""

    price_id: str
    kind: Literal["service", "addon", "ignore"] = "service"
    plan: str | None = None
    """The panel plan's integer id as digits, or its exact name."""
    activate_on: Literal["paid", "processing"] = "paid"
    grace_days: int | None = None
    create_website: bool = True
    server_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlanRule:
    """What a base price and an add-on buy together (one row of `plan_rules`)."""

    base_price_id: str
    addon_price_id: str
    min_quantity: int
    plan: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the operator sells: mappings by price, and the rules for add-ons."""

    mappings: Mapping[str, PlanMapping] = field(default_factory=dict)
    rules: tuple[PlanRule, ...] = ()


# --- actual: what the panel has ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resource:
    """One counted resource of a panel subscription or plan; `total` is `None` when unlimited."""

    name: str
    total: int | None
    usage: int = 0


@dataclass(frozen=True, slots=True)
class PanelPlan:
    """A plan in the panel's list."""

    id: int
    name: str
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class PanelSubscription:
    """A hosting subscription as the panel has it. Suspended means: `suspended_by` is set while it is not deleted."""

    id: int
    plan_id: int
    plan_name: str
    friendly_name: str
    deleted: bool = False
    suspended_by: str | None = None
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Actual:
    """The panel's side of one customer. Empty before the organisation exists."""

    org_gone: bool = False
    """The organisation that we remember does not exist any more."""
    subscriptions: tuple[PanelSubscription, ...] = ()
    plans: tuple[PanelPlan, ...] | None = None
    """The panel's plans; `None` while they were not needed."""


# --- decisions --------------------------------------------------------------------------------------------------------


class Want(StrEnum):
    """What should be true of a service."""

    ON = "on"
    OFF = "off"
    NOTHING = "nothing"
    """Nothing yet, or never: make nothing."""
    KEEP = "keep"
    """We can't tell: leave everything as it is."""
    GONE = "gone"
    """Soft-deleted: its retention is over."""


class Question(StrEnum):
    """Something of a subscription that a decision needs and that costs a call of its own."""

    INVOICES = "invoices"
    FIRST_PAYMENT = "first_payment"


@dataclass(frozen=True, slots=True)
class Goal:
    """What should be true of one service, and by which rule."""

    service: Service
    """The service as it should be remembered from now on (holds, dates, item)."""
    want: Want
    rule: str
    plan: str | None = None
    """The plan it should be on; `None`: the present one stays."""
    plan_rule: str | None = None
    """Why it is to be moved there, when no change at Stripe asked for it: such moves are braked."""
    create_website: bool = True
    server_group_id: str | None = None
    awaits: str | None = None
    """The domain of the website that it is bought with and does not have yet; empty while nobody knows which."""
    website_from: ServiceKey | None = None
    """The ended service whose website it gets."""
    wake_at: datetime | None = None
    """When this goal may change by the clock alone."""
    asks: Question | None = None
    """What must be read before this is certain; until then nothing is changed that depends on it."""

    @property
    def key(self) -> ServiceKey:
        return self.service.key


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that only a person can solve; `reason` is stable, `detail` is for people."""

    reason: str
    detail: str
    subject: str = ""
    """The price, subscription or organisation it is about."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should be true of a customer: a goal for each service, and what could not be decided."""

    goals: tuple[Goal, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def questions(self) -> tuple[tuple[str, Question], ...]:
        """(subscription id, what must be read of it), each once."""
        return tuple(dict.fromkeys((g.key.subscription_id, g.asks) for g in self.goals if g.asks is not None))


@dataclass(frozen=True, slots=True)
class Action:
    """One change to make in the panel, with the rule that led to it. The same object feeds ledger, log and dry run."""

    kind: ActionKind
    rule: str
    service: ServiceKey | None = None
    details: Mapping[str, str | int | None] = field(default_factory=dict)
    """What the change is made with (name, plan, domain ...); never a password."""

    @property
    def subject(self) -> tuple[ActionKind, ServiceKey | None]:
        """What it is about: after a failure the pass leaves the same subject alone and goes on with the rest."""
        return self.kind, self.service


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `at`. Waiting is not failing."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now: at most one action; else until when to wait, and what a person must solve."""

    action: Action | None = None
    wait: Wait | None = None
    problems: tuple[Problem, ...] = ()


# --- how a pass ended -------------------------------------------------------------------------------------------------


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
