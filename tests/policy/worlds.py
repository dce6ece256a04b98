"""A panel and a memory in a few lines, which take an action as the real ones would, and starting worlds of every kind.

The world knows nothing of `lib.policy.effects` on purpose: the two are held against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from typing import Any

from msgspec import Struct, field

from lib.config import Policy
from lib.model import (
    Action,
    ActionKind,
    Actual,
    Catalogue,
    Clock,
    Decision,
    Facts,
    Hold,
    Invoice,
    Item,
    Line,
    Memory,
    PanelSubscription,
    Payer,
    PlanMapping,
    PlanRule,
    Service,
    ServiceKey,
    ServiceState,
    Subscription,
)
from lib.policy import decide, friendly_name
from lib.structs import replace
from tests.policy.oracle import Circumstances

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
OURS = "0a0a0a0a-0000-4000-8000-000000000001"
SOMEBODY = "0b0b0b0b-0000-4000-8000-000000000002"
PLANS = {1: "Start", 2: "Pro", 3: "Max"}
CUSTOMER = "cus_Anna"
CLEAN_NAME = "Anna Example"


class Impossible(AssertionError):
    """The action can't be taken, or must never be."""


def days(number: float) -> timedelta:
    """A short word for a span."""
    return timedelta(days=number)


# --- the world --------------------------------------------------------------------------------------------------------


class World(Struct):
    """Stripe's truth, our memory and the panel; `run` goes on as a pass does until it is told to stop."""

    payer: Payer
    catalogue: Catalogue
    memory: Memory
    actual: Actual
    policy: Policy = field(default_factory=Policy)
    now: datetime = NOW
    welcomes: int = 0
    done: list[Action] = field(default_factory=list)
    failing: frozenset[ServiceKey] = frozenset()
    """Every change to these services is refused by the panel."""

    def look(self, blocked: Iterable[tuple[ActionKind, ServiceKey | None]] = ()) -> Decision:
        """One look: what should be is remembered, then one decision is made."""
        facts = Facts(self.payer, self.memory, self.catalogue, self.actual)
        decided = decide(facts, self.policy, Clock(self.now), blocked)
        keys = [goal.key for goal in decided.wanted.goals]
        if len(set(keys)) != len(keys):
            raise Impossible(f"two goals for one service: {keys}")
        if lost := {service.key for service in self.memory.services} - set(keys):
            raise Impossible(f"remembered services without a goal: {lost}")
        if twice := [problem for problem in decided.wanted.problems if problem.reason == "duplicate_in_panel"]:
            raise Impossible(f"made twice: {twice}")
        self.memory = decided.memory
        return decided.decision

    def run(self, limit: int = 14) -> Decision:
        """Act until told to stop; the last decision, which has no action."""
        blocked: set[tuple[ActionKind, ServiceKey | None]] = set()
        for _ in range(limit + 1):
            decision = self.look(blocked)
            if decision.action is None:
                return decision
            if decision.action.service in self.failing:
                if decision.action.subject in blocked:
                    raise Impossible(f"tried again in the same pass: {decision.action}")
                blocked.add(decision.action.subject)
            else:
                self.apply(decision.action)
        raise Impossible(f"does not end: {[str(action.kind) for action in self.done[-4:]]}")

    def service(self, key: ServiceKey) -> Service | None:
        """What we remember of a service."""
        return next((service for service in self.memory.services if service.key == key), None)

    def panel(self, key: ServiceKey) -> PanelSubscription | None:
        """What the panel has for a service, deleted or not."""
        service = self.service(key)
        number = service.panel_subscription_id if service else None
        return next((found for found in self.actual.subscriptions if found.id == number), None)

    def apply(self, action: Action) -> None:
        """Change panel and memory as the real ones would; refuse what the panel refuses and what must never happen."""
        self.done.append(action)
        if self.actual.org_gone:
            raise Impossible(f"{action.kind} on an organisation that is gone")
        if action.service is None:
            self._apply_to_customer(action)
        else:
            self._apply_to_service(action, action.service)

    def _apply_to_customer(self, action: Action) -> None:
        memory = self.memory
        match action.kind:
            case ActionKind.CREATE_ORG:
                self._need(memory.org_id is None, "a second organisation")
                name = str(action.details["name"])
                self._need(f"[{self.payer.id}]" in name, "an organisation without our mark")
                self.memory = replace(memory, org_id="org-1", org_name=name)
            case ActionKind.CREATE_LOGIN:
                self._need(memory.org_id is not None and memory.login_id is None, "a login too many or too early")
                self._need(bool(self.payer.email), "a login without an address")
                self.memory = replace(memory, login_id="login-1")
            case ActionKind.ADD_OWNER:
                self._need(memory.login_id is not None and memory.member_id is None, "an owner too many or too early")
                self.memory = replace(memory, member_id="member-1")
            case ActionKind.RENAME_ORG:
                self._need(memory.org_id is not None, "renaming nothing")
                self.memory = replace(memory, org_name=str(action.details["name"]))
            case ActionKind.SEND_WELCOME:
                self._need(self.policy.welcome != "none", "a mail that nobody wants")
                self._need(memory.member_id is not None, "a mail to nobody")
                self.welcomes += 1
                self.memory = replace(memory, welcomed=True)
            case _:
                raise Impossible(f"{action.kind} without a service")

    def _apply_to_service(self, action: Action, key: ServiceKey) -> None:
        service = self.service(key)
        if service is None:
            raise Impossible(f"{action.kind} of {key}, which is not remembered")
        if action.kind is ActionKind.CREATE_SUBSCRIPTION:
            self._need(self.memory.org_id is not None, "a subscription without an organisation")
            self._need(not service.made, f"a second subscription for {key}")
            name = str(action.details["friendly_name"])
            self._need(f"[{key}]" in name, "a subscription without our mark")
            number, plan_name = plan_of(str(action.details["plan"]))
            made = PanelSubscription(
                1 + max((s.id for s in self.actual.subscriptions), default=100), number, plan_name, name
            )
            self.actual = replace(self.actual, subscriptions=(*self.actual.subscriptions, made))
            self._remember(
                service, panel_subscription_id=made.id, plan=str(action.details["plan"]), state=ServiceState.LIVE
            )
            return
        found = self.panel(key)
        if found is None or found.deleted:
            raise Impossible(f"{action.kind} of {key}, which the panel does not have")
        match action.kind:
            case ActionKind.CREATE_WEBSITE:
                self._need(service.website_id is None, "a second website")
                self._need(found.suspended_by is None, "a website on something suspended")
                self._need(bool(action.details["domain"]), "a website without a domain")
                self._remember(service, website_id=f"website-{key}")
            case ActionKind.MOVE_WEBSITE:
                self._move_website(action, service, found)
            case ActionKind.SUSPEND:
                # What a panel writes when it suspends twice is not known: it may put our name over somebody else's.
                self._need(found.suspended_by is None, "suspending what is suspended")
                self._change(found, suspended_by=OURS)
                self._remember(service, suspended_by=OURS, state=ServiceState.SUSPENDED)
            case ActionKind.RESUME:
                self._need(found.suspended_by == OURS, "lifting a suspension that is not ours")
                self._change(found, suspended_by=None)
                self._remember(service, suspended_by=None, state=ServiceState.LIVE)
            case ActionKind.CHANGE_PLAN:
                number, plan_name = plan_of(str(action.details["plan"]))
                self._need(found.plan_id != number, "a plan change to the same plan")
                self._change(found, plan_id=number, plan_name=plan_name)
                self._remember(service, plan=str(action.details["plan"]))
            case ActionKind.TERMINATE:
                self._need(self.policy.retention_days is not None, "deleting without a retention")
                spared = service.website_id is None or service.domain not in self.awaited()
                self._need(spared, "deleting a website that a purchase waits for")
                self._change(found, deleted=True)
                self._remember(service, state=ServiceState.TERMINATED)
            case ActionKind.MARK:
                name = str(action.details["friendly_name"])
                self._need(f"[{key}]" not in found.friendly_name, "a mark that is there already")
                self._need(f"[{key}]" in name, "a name without our mark")
                self._need(found.friendly_name in name, "the name that somebody gave is lost")
                self._change(found, friendly_name=name)
            case _:
                raise Impossible(f"{action.kind} of a service")

    def _move_website(self, action: Action, service: Service, found: PanelSubscription) -> None:
        source = next((s for s in self.memory.services if str(s.key) == action.details["from"]), None)
        if source is None or source.website_id is None:
            raise Impossible("moving a website that nobody has")
        old = self.panel(source.key)
        self._need(old is not None and not old.deleted, "moving a website out of what is deleted")
        self._need(old is not None and old.suspended_by in (None, OURS), "lifting somebody else's suspension")
        self._need(found.suspended_by is None, "moving a website to something suspended")
        self._need(service.website_id is None, "a second website")
        self._need(source.domain == service.domain == action.details["domain"], "another domain's website")
        self._need(Hold.ENDED in source.holds and Hold.ADMIN not in source.holds, "taking a website from who has it")
        self._remember(source, website_id=None)
        self._remember(service, website_id=source.website_id)

    def awaited(self) -> set[str]:
        """Domains of living purchases whose website is not theirs yet, read from Stripe's side alone."""
        domains: set[str] = set()
        for bought in self.payer.subscriptions:
            if bought.status in ("canceled", "incomplete_expired") or self.payer.deleted or not bought.domain:
                continue
            have = {s.domain for s in self.memory.services if s.key.subscription_id == bought.id and s.website_id}
            places = sum(item.quantity for item in bought.items)
            lacking = [domain for domain in bought.domain.replace(",", " ").split() if domain not in have]
            domains.update(lacking[: max(places - len(have), 0)])
        return domains

    def _need(self, fact: bool, otherwise: str) -> None:
        if not fact:
            raise Impossible(otherwise)

    def _remember(self, service: Service, **changes: Any) -> None:
        changed = replace(service, **changes)
        self.memory = replace(
            self.memory, services=tuple(changed if s.key == service.key else s for s in self.memory.services)
        )

    def _change(self, found: PanelSubscription, **changes: Any) -> None:
        changed = replace(found, **changes)
        self.actual = replace(
            self.actual, subscriptions=tuple(changed if s.id == found.id else s for s in self.actual.subscriptions)
        )


def plan_of(plan: str) -> tuple[int, str]:
    """A mapping's plan as the panel resolves it: its id as digits, or its exact name."""
    for number, name in PLANS.items():
        if plan in (str(number), name):
            return number, name
    raise Impossible(f"no such plan: {plan}")


# --- the parts of a world ---------------------------------------------------------------------------------------------


def line(
    price: str = "price_1",
    amount: int = 1900,
    *,
    proration: bool = False,
    start: float = -1,
    item: str | None = None,
    quantity: int = 1,
) -> Line:
    """A line of an invoice: for a month that began `start` days from now, or for what is left of it."""
    return Line(price, amount, proration, NOW + days(start), NOW + days(start + 30), item, quantity)


def invoice(
    status: str, billing_reason: str = "subscription_cycle", amount_due: int = 1900, *lines: Line, **changes: Any
) -> Invoice:
    """An invoice of yesterday; without lines it bills `price_1` for the running month."""
    made = NOW - days(1)
    usual = Invoice(
        "in_1",
        status,
        made,
        billing_reason,
        amount_due,
        total=amount_due,
        due=made,
        paid_at=made if status == "paid" else None,
        amount_paid=amount_due if status == "paid" else 0,
        lines=lines or (line(amount=amount_due),),
    )
    return replace(usual, **changes)


def subscription(
    name: str = "sub_1",
    status: str = "active",
    items: tuple[Item, ...] | None = None,
    *,
    latest: Invoice | None = None,
    unpaid_days: float | None = None,
    older: tuple[Invoice, ...] = (),
    ended_days: float | None = None,
    paused: bool = False,
    payment: str | None = None,
    domain: str | None = None,
    age: float = 400,
) -> Subscription:
    """A Stripe subscription; without items it has one of `price_1`, and its domain is its name's.

    Args:
        unpaid_days: an invoice has been open for so long, beside the latest one.
        older: invoices before the latest one, newest first.
    """
    items = (Item(name.replace("sub", "si"), "price_1", 1),) if items is None else items
    latest, older = latest and _billing(latest, items), tuple(_billing(each, items) for each in older)
    invoices = (*((latest,) if latest else ()), *older)
    if unpaid_days is not None:
        due = NOW - days(unpaid_days)
        invoices += (invoice("open", id="in_open", created=due, due=due),)
    return Subscription(
        id=name,
        status=status,
        items=items,
        created=NOW - days(age),
        latest_invoice=latest,
        invoices=invoices,
        first_payment=payment or ("requires_payment_method" if status in ("incomplete", "active") else None),
        ended_at=None if ended_days is None else NOW - days(ended_days),
        collection_paused=paused,
        domain=f"{name.replace('_', '-')}.example" if domain is None else domain or None,
    )


def _billing(bill: Invoice, items: tuple[Item, ...]) -> Invoice:
    """An invoice of which nobody said what it bills: it bills what is bought."""
    if bill.lines != (line(amount=bill.amount_due),) or "price_1" in [item.price_id for item in items]:
        return bill
    lines = [line(item.price_id, bill.amount_due, item=item.id, quantity=item.quantity) for item in items]
    return replace(bill, lines=tuple(lines))


def service(name: str = "sub_1", slot: int = 1, **changes: Any) -> Service:
    """A remembered service that runs on plan 2 with its website; `changes` say what is different."""
    usual = Service(
        key=ServiceKey(name, slot),
        item_id=name.replace("sub", "si"),
        price_id="price_1",
        plan="2",
        made_for=(("price_1", 1),),
        state=ServiceState.LIVE,
        panel_subscription_id=100 * slot + sum(name.encode()),
        website_id=f"website-{name}/{slot}",
        domain=f"{name.replace('_', '-')}.example",
    )
    return replace(usual, **changes)


def in_panel(remembered: Service, **changes: Any) -> PanelSubscription:
    """What the panel has when it is as remembered; `changes` say what somebody did there."""
    number, name = plan_of(remembered.plan or "2")
    usual = PanelSubscription(
        id=remembered.panel_subscription_id or 0,
        plan_id=number,
        plan_name=name,
        friendly_name=friendly_name(remembered.key, remembered.domain),
        deleted=remembered.state is ServiceState.TERMINATED,
        suspended_by=remembered.suspended_by if remembered.state is ServiceState.SUSPENDED else None,
    )
    return replace(usual, **changes)


def customer(*services: Service, **changes: Any) -> Memory:
    """A customer whom we have given everything; `changes` say how far we really came."""
    usual = Memory(
        customer_id=CUSTOMER,
        org_id="org-1",
        org_name=CLEAN_NAME,
        login_id="login-1",
        member_id="member-1",
        email="anna@shop.example",
        welcomed=True,
        services=services,
    )
    return replace(usual, **changes)


def stranger(*services: Service) -> Memory:
    """A customer for whom nothing was made yet."""
    return Memory(CUSTOMER, services=services)


def payer(*subscriptions: Subscription, **changes: Any) -> Payer:
    """Anna, as Stripe knows her."""
    return replace(Payer(CUSTOMER, "anna@shop.example", CLEAN_NAME, subscriptions), **changes)


def catalogue(*mappings: PlanMapping, rules: tuple[PlanRule, ...] = ()) -> Catalogue:
    """What is sold; without mappings `price_1` buys plan 2."""
    return Catalogue({m.price_id: m for m in mappings or (PlanMapping("price_1", plan="2"),)}, rules)


def world(
    payer: Payer,
    memory: Memory | None = None,
    *panel: PanelSubscription,
    sold: Catalogue | None = None,
    policy: Policy | None = None,
    now: datetime = NOW,
) -> World:
    """A world; without `panel` it has what is remembered."""
    memory = memory or stranger()
    found = panel or tuple(in_panel(s) for s in memory.services if s.made)
    return World(payer, sold or catalogue(), memory, Actual(subscriptions=found), policy or Policy(), now)


# --- starting worlds --------------------------------------------------------------------------------------------------

MAPPINGS: dict[str, PlanMapping | None] = {
    "by_id": PlanMapping("price_1", plan="2"),
    "by_name": PlanMapping("price_1", plan="Pro"),
    "processing": PlanMapping("price_1", plan="2", activate_on="processing"),
    "long_grace": PlanMapping("price_1", plan="2", grace_days=20),
    "no_website": PlanMapping("price_1", plan="2", create_website=False),
    "ignore": PlanMapping("price_1", kind="ignore"),
    "addon": PlanMapping("price_1", kind="addon"),
    "missing": None,
}

POLICIES: dict[str, Policy] = {
    "defaults": Policy(),
    "strict": Policy(pause_collection="suspend", retention_days=30),
    "at once": Policy(grace_days=0, retention_days=0),
    "patient": Policy(grace_days=14, pause_collection="suspend", retention_days=365, welcome="none"),
    "money may go": Policy(on_dispute="ignore", on_dispute_lost="ignore"),
    "lost is lost": Policy(on_dispute="ignore", on_refund="suspend", retention_days=30),
    "forgiving": Policy(on_dispute_lost="ignore", on_refund="suspend", pause_collection="suspend"),
    "one of each": Policy(on_double_purchase="hold", on_refund="suspend"),
}

MONEY_BACK: dict[str, tuple[tuple[str, ...], bool]] = {
    "none": ((), False),
    "inquiry": (("warning_needs_response",), False),
    "inquiry under review": (("warning_under_review",), False),
    "inquiry closed": (("warning_closed",), False),
    "disputed": (("needs_response",), False),
    "under review": (("under_review",), False),
    "won": (("won",), False),
    "lost": (("lost",), False),
    "prevented": (("prevented",), False),
    "won, lost and an inquiry": (("won", "lost", "warning_under_review"), False),
    "lost and another open": (("lost", "needs_response"), False),
    "refunded": ((), True),
    "refunded and disputed": (("under_review",), True),
}
"""The statuses of a subscription's disputes, and whether its latest invoice was refunded in full."""

INVOICES: dict[str, Invoice | None] = {
    "none": None,
    "paid": invoice("paid"),
    "open": invoice("open"),
    "first open": invoice("open", "subscription_create"),
    "draft": invoice("draft"),
    "first draft": invoice("draft", "subscription_create"),
    "void": invoice("void"),
    "uncollectible": invoice("uncollectible"),
}

STATUSES: dict[str, dict[str, Any]] = {
    "incomplete": {"status": "incomplete"},
    "incomplete, its debit under way": {"status": "incomplete", "payment": "processing"},
    "incomplete_expired": {"status": "incomplete_expired", "ended_days": 100},
    "trialing": {"status": "trialing"},
    "active": {"status": "active"},
    "active, its debit under way": {"status": "active", "payment": "processing"},
    "past_due for 2 days": {"status": "past_due", "unpaid_days": 2},
    "past_due for 7 days": {"status": "past_due", "unpaid_days": 7},
    "past_due for 10 days": {"status": "past_due", "unpaid_days": 10},
    "past_due, nobody knows since when": {"status": "past_due"},
    "unpaid": {"status": "unpaid", "unpaid_days": 40},
    "paused": {"status": "paused"},
    "canceled yesterday": {"status": "canceled", "ended_days": 1},
    "canceled 100 days ago": {"status": "canceled", "ended_days": 100},
    "canceled, nobody knows when": {"status": "canceled"},
    "unknown": {"status": "on_holiday"},
}

_NEVER_MADE: dict[str, Any] = {
    "panel_subscription_id": None,
    "website_id": None,
    "state": ServiceState.PENDING,
    "plan": None,
    "domain": None,
}
MEMORIES: dict[str, Memory] = {
    "nothing": stranger(),
    "organisation": replace(stranger(service(**_NEVER_MADE)), org_id="org-1", org_name=f"{CLEAN_NAME} [{CUSTOMER}]"),
    "login": replace(stranger(service(**_NEVER_MADE)), org_id="org-1", org_name=CLEAN_NAME, login_id="login-1"),
    "owner": customer(service(**_NEVER_MADE), welcomed=False),
    "held before it was made": customer(service(**_NEVER_MADE, holds=frozenset({Hold.ADMIN})), welcomed=False),
    "made without a website": customer(service(website_id=None), welcomed=False),
    "live": customer(service()),
    "on another plan": customer(service(plan="1", price_id="price_0", made_for=(("price_0", 1),))),
    "suspended as unpaid": customer(
        service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.UNPAID}))
    ),
    "suspended as ended": customer(
        service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.ENDED}), ended_at=NOW - days(5))
    ),
    "held by an admin": customer(
        service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.ADMIN}))
    ),
    "suspended as disputed": customer(
        service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.DISPUTE, Hold.REFUND}))
    ),
    "linked by an operator": customer(service(adopted=True)),
    "promised more time": customer(service(grace_override=NOW + days(3))),
    "promised time is over": customer(service(grace_override=NOW - days(1))),
    "terminated": customer(
        service(
            state=ServiceState.TERMINATED, suspended_by=OURS, holds=frozenset({Hold.ENDED}), ended_at=NOW - days(99)
        )
    ),
}

PANELS = (
    "as remembered",
    "suspended by hand",
    "resumed by hand",
    "moved by hand",
    "renamed by hand",
    "deleted",
    "missing",
    "org gone",
)


@dataclass(frozen=True)
class Case:
    """One starting world by the names of its parts; what a failure shows."""

    status: str
    paused: bool
    invoice: str
    mapping: str
    memory: str
    panel: str
    policy: str
    money_back: str = "none"

    def circumstances(self, now: datetime = NOW) -> Circumstances:
        """The facts for the oracle."""
        start = self.world()
        remembered = start.memory.services[0] if start.memory.services else None
        found = start.actual.subscriptions[0] if start.actual.subscriptions else None
        return Circumstances(
            subscription=start.payer.subscriptions[0],
            mapping=MAPPINGS[self.mapping],
            service=remembered,
            panel=found,
            policy=start.policy,
            now=now,
            org_gone=start.actual.org_gone,
        )

    def world(self) -> World:
        """The world for the policy."""
        disputes, refunded = MONEY_BACK[self.money_back]
        bought = replace(
            subscription(latest=INVOICES[self.invoice], paused=self.paused, **STATUSES[self.status]),
            disputes=disputes,
            refunded=frozenset({"in_1"} if refunded else ()),
        )
        mapping = MAPPINGS[self.mapping]
        memory = MEMORIES[self.memory]
        return World(
            payer=payer(bought),
            catalogue=Catalogue({mapping.price_id: mapping} if mapping else {}),
            memory=memory,
            actual=_panel(memory, self.panel),
            policy=POLICIES[self.policy],
        )


def _panel(memory: Memory, name: str) -> Actual:
    made = [remembered for remembered in memory.services if remembered.made]
    if name == "org gone":
        return Actual(org_gone=True)
    if name == "missing" or not made:
        return Actual()
    changes: dict[str, dict[str, Any]] = {
        "as remembered": {},
        "suspended by hand": {"suspended_by": SOMEBODY},
        "resumed by hand": {"suspended_by": None},
        "moved by hand": {"plan_id": 3, "plan_name": PLANS[3]},
        "renamed by hand": {"friendly_name": "Anna's shop"},
        "deleted": {"deleted": True},
    }
    return Actual(subscriptions=(in_panel(made[0], **changes[name]),))


def _can_be(memory: Memory, panel: str) -> bool:
    made = any(remembered.made for remembered in memory.services)
    suspended = any(remembered.state is ServiceState.SUSPENDED for remembered in memory.services)
    terminated = any(remembered.state is ServiceState.TERMINATED for remembered in memory.services)
    if terminated:
        return panel in ("as remembered", "missing")
    if panel == "as remembered":
        return True
    if panel == "org gone":
        return memory.org_id is not None
    return made and (suspended or panel != "resumed by hand")


def parts(status: str) -> tuple[Iterable[str], tuple[bool, ...], Iterable[str], list[tuple[str, str]], Any, Any]:
    """What the worlds of a status are put together from: invoices, pauses, mappings, memories with panels, ..."""
    # Which invoice is the latest makes a difference where money or a plan change is waited for.
    latest = INVOICES if status in ("active", "trialing") else ("none", "paid", "open")
    over = status.startswith(("canceled", "incomplete_expired"))
    placed = [
        (memory, panel)
        for memory, panel in product(MEMORIES, PANELS)
        # What was deleted belonged to a subscription that never comes back.
        if _can_be(MEMORIES[memory], panel) and (over or memory != "terminated")
    ]
    return latest, (False, True), MAPPINGS, placed, POLICIES, MONEY_BACK


def cases(status: str, every: int = 1) -> Iterator[Case]:
    """All starting worlds of a status that can be; `every` thins them out evenly."""
    everything = product(*parts(status))
    for bill, paused, mapping, (memory, panel), policy, money_back in islice(everything, 0, None, every):
        yield Case(status, paused, bill, mapping, memory, panel, policy, money_back)
