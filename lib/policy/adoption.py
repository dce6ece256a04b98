"""Which existing hosting subscription of the panel belongs to which purchase. Pure; what is not certain is refused.

The places to fill come from `desired` itself, so that what is linked here is what every later pass finds in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from lib.config import Policy
from lib.model import (
    Action,
    Actual,
    Catalogue,
    Clock,
    Facts,
    Goal,
    Memory,
    PanelSubscription,
    Payer,
    Problem,
    Service,
    ServiceKey,
    ServiceState,
    Want,
)
from lib.model.reason import Reason
from lib.policy.decide import decide
from lib.policy.desired import desired
from lib.policy.effects import imagine
from lib.policy.fingerprint import with_money_back
from lib.policy.naming import marks
from lib.policy.plan_references import on_plan
from lib.structs import replace

ADOPTABLE = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
"""Statuses in which hosting may be running already. What has ended, or was never paid, links nothing."""

FORESEEN = 20
"""Actions after which looking ahead stops: the operator has seen enough by then."""


class Row(Struct, frozen=True):
    """What the operator says of one customer, or of one of their hosting subscriptions."""

    customer_id: str
    org_id: str
    subscription_id: str | None = None
    panel_subscription_id: int | None = None
    domain: str | None = None
    """As ASCII: names the hosting subscription that holds this website."""
    email: str | None = None
    """Of the customer: must be theirs at Stripe."""


def spelt(email: str) -> str:
    """An e-mail address in the spelling by which two of them are compared."""
    return email.strip().casefold()


class Site(Struct, frozen=True):
    """A living website of the organisation."""

    id: str
    domain: str
    subscription_id: int


class Holdings(Struct, frozen=True):
    """What the panel has of one organisation, and which of it is linked already."""

    subscriptions: tuple[PanelSubscription, ...]
    sites: tuple[Site, ...] = ()
    taken: Mapping[int, ServiceKey] = field(default_factory=dict)
    """Panel subscription -> the service that it answers to, of any customer."""


class Refusal(Struct, frozen=True):
    """Why something is not linked; `reason` is stable, `detail` is for people."""

    reason: str
    detail: str


class Match(Struct, frozen=True):
    """What would be linked. One refusal refuses the customer whole: half a customer would be provisioned anew."""

    services: tuple[Service, ...] = ()
    """As they are to be remembered."""
    linked: tuple[ServiceKey, ...] = ()
    """Those that an earlier run has linked."""
    refusals: tuple[Refusal, ...] = ()


class _Doubt(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        self.refusal = Refusal(reason, detail)
        super().__init__(detail)


def match(
    rows: Sequence[Row], facts: Facts, holdings: Holdings, policy: Policy, at: datetime, *,
    accept_plan_changes: bool = False,
) -> Match:  # fmt: skip
    """Pair what a customer has bought with what their organisation has.

    Args:
        rows: everything that the operator says of this one customer.
        accept_plan_changes: link a hosting subscription on another plan too; the next pass moves it.
    """
    payer, memory = facts.payer, facts.memory
    scope = {row.subscription_id for row in rows}
    try:
        _sound(payer, memory, scope)
        _same_person(rows, payer)
        goals = _bought(payer, memory, facts.catalogue, policy, at, scope)
    except _Doubt as doubt:
        return Match(refusals=(doubt.refusal,))
    linked = tuple(goal.key for goal in goals if goal.service.made)
    pairing = _Pairing([goal for goal in goals if not goal.service.made], holdings, at, accept_plan_changes)
    refusals = []
    for row in sorted(
        rows, key=lambda r: (r.panel_subscription_id is None, r.domain is None, r.subscription_id or "~")
    ):
        try:
            pairing.add(row, linked)
        except _Doubt as doubt:
            refusals.append(doubt.refusal)
    if not refusals and not pairing.services and not linked:
        refusals.append(Refusal("nothing_fits", _nothing(holdings)))
    if refusals:
        return Match(linked=linked, refusals=tuple(dict.fromkeys(refusals)))
    return Match(tuple(sorted(pairing.services, key=lambda s: (s.key.subscription_id, s.key.slot))), linked)


def foresee(
    payer: Payer, memory: Memory, catalogue: Catalogue, subscriptions: Sequence[PanelSubscription], policy: Policy,
    now: datetime,
) -> tuple[tuple[Action, ...], tuple[Problem, ...]]:  # fmt: skip
    """What the passes after the linking would do to this customer, and what would park them."""
    facts = Facts(with_money_back(payer, memory), memory, catalogue, Actual(subscriptions=tuple(subscriptions)))
    actions: list[Action] = []
    while True:
        decided = decide(facts, policy, Clock(now))
        action = decided.decision.action
        if action is None or len(actions) == FORESEEN:
            return tuple(actions), decided.decision.problems
        actions.append(action)
        memory, actual = imagine(action, decided.memory, facts.actual)
        facts = replace(facts, memory=memory, actual=actual)


def _sound(payer: Payer, memory: Memory, scope: set[str | None]) -> None:
    if payer.deleted:
        raise _Doubt("customer_deleted", f"{payer.id} was deleted in Stripe")
    if memory.intents:
        raise _Doubt("unfinished", "an action for this customer is unfinished; let a pass run first")
    by_id = {s.id: s for s in payer.subscriptions}
    for named in sorted(filter(None, scope)):
        if named not in by_id:
            raise _Doubt("subscription_unknown", f"{payer.id} has no subscription {named}")
        if by_id[named].status not in ADOPTABLE:
            raise _Doubt("not_subscribed", f"{named} is {by_id[named].status}")
    if not any(s.status in ADOPTABLE for s in payer.subscriptions):
        raise _Doubt("not_subscribed", f"Stripe knows no running subscription of {payer.id}")


def _same_person(rows: Sequence[Row], payer: Payer) -> None:
    for row in rows:
        if row.email is not None and spelt(row.email) != spelt(payer.email or ""):
            detail = f"{row.email} is named, and {payer.id} has the e-mail {payer.email or 'none'}; correct one"
            raise _Doubt("ambiguous", detail)


def _bought(
    payer: Payer, memory: Memory, catalogue: Catalogue, policy: Policy, now: datetime, scope: set[str | None]
) -> list[Goal]:
    """The places to fill, as `desired` numbers them: of everything in good standing, which it may not be today."""
    standing = [
        replace(
            s,
            status="trialing",
            latest_invoice=None,
            invoices=(),
            collection_paused=False,
            disputes=(),
            refunded=frozenset(),
        )
        for s in payer.subscriptions
        if s.status in ADOPTABLE and (None in scope or s.id in scope)
    ]
    named = {s.id for s in standing}
    memory = replace(memory, services=tuple(s for s in memory.services if s.key.subscription_id in named))
    policy = replace(policy, on_double_purchase="provision")
    wanted = desired(replace(payer, subscriptions=tuple(standing)), memory, catalogue, policy, now)
    for problem in wanted.problems:
        # The website is there already, whatever the metadata say.
        if problem.reason not in (Reason.INVALID_DOMAIN, Reason.SAME_DOMAIN_PURCHASE):
            raise _Doubt(problem.reason, problem.detail)
    goals = [goal for goal in wanted.goals if goal.want is Want.ON]
    if not goals:
        raise _Doubt("not_subscribed", f"{payer.id} has bought nothing that is hosting")
    return goals


class _Pairing:
    """Places and hosting subscriptions, each used once."""

    def __init__(self, places: list[Goal], holdings: Holdings, now: datetime, accept_plan_changes: bool) -> None:
        self.services: list[Service] = []
        self._places = places
        self._holdings = holdings
        self._now = now
        self._accept = accept_plan_changes
        self._free = {
            s.id: s
            for s in sorted(holdings.subscriptions, key=lambda s: s.id)
            if not s.deleted and not _resells(s) and s.id not in holdings.taken and self._may_be_linked(s)
        }

    def add(self, row: Row, linked: Sequence[ServiceKey]) -> None:
        """Link what one row speaks of.

        Raises:
            _Doubt: it is not certain what that is.
        """
        number = row.panel_subscription_id
        if number is None and row.domain is not None:
            number = self._of_domain(row.domain)
        if number is None:
            self._everything(row)
        elif self._holdings.taken.get(number) not in linked:
            self._one(self._named(number), row)

    def _may_be_linked(self, found: PanelSubscription) -> bool:
        """Without a mark of ours, or with the mark of an open place: a mark says for good whose it is."""
        return not marks(found.friendly_name) or any(_carries_mark(found, goal) for goal in self._places)

    def _of_domain(self, domain: str) -> int:
        for site in self._holdings.sites:
            if site.domain == domain:
                return site.subscription_id
        raise _Doubt("domain_unknown", f"no website of the organisation is {domain}")

    def _named(self, number: int) -> PanelSubscription:
        found = next((s for s in self._holdings.subscriptions if s.id == number), None)
        if found is None:
            raise _Doubt("panel_unknown", f"the organisation has no hosting subscription {number}")
        if found.deleted:
            raise _Doubt("panel_deleted", f"hosting subscription {number} is deleted")
        if number in self._holdings.taken:
            raise _Doubt("panel_linked", f"hosting subscription {number} is linked to {self._holdings.taken[number]}")
        if _resells(found):
            raise _Doubt("reseller", f"hosting subscription {number} is a reseller's")
        if number not in self._free:
            if not self._may_be_linked(found):
                raise _Doubt("panel_marked", f"hosting subscription {number} carries a mark: {found.friendly_name}")
            raise _Doubt("ambiguous", f"hosting subscription {number} is named twice")
        return found

    def _one(self, found: PanelSubscription, row: Row) -> None:
        """One hosting subscription, named: which purchase is it?"""
        open_places = self._in_scope(row)
        open_places = [goal for goal in open_places if _carries_mark(found, goal)] or open_places
        if not open_places:
            raise _Doubt("nothing_fits", f"nothing is bought that hosting subscription {found.id} could be linked to")
        fitting = [goal for goal in open_places if _fits(found, goal)]
        if not fitting and not self._accept:
            raise _Doubt("plan_mismatch", _mismatch(found, open_places))
        domains = {site.domain for site in self._holdings.sites if site.subscription_id == found.id}
        candidates = fitting or open_places
        candidates = [goal for goal in candidates if goal.service.domain in domains] or candidates
        purchases = _purchases(candidates)
        if len(purchases) > 1:
            raise _Doubt("ambiguous", f"{_listed(purchases)} fit hosting subscription {found.id}; name subscription_id")
        self._link(candidates[0], found, row.domain)

    def _everything(self, row: Row) -> None:
        """Whatever is left of what the row covers, where only one answer is possible."""
        for goal in self._in_scope(row):
            ours = [found for found in self._free.values() if _carries_mark(found, goal)]
            if ours:
                self._link(goal, ours[0], goal.service.domain)
        for goal in self._in_scope(row):
            holding = {s.subscription_id for s in self._holdings.sites if s.domain == goal.service.domain}
            same = [found for found in self._free.values() if found.id in holding and _fits(found, goal)]
            if same:
                self._link(goal, same[0], goal.service.domain)
        empty: list[Goal] = []
        for plan in dict.fromkeys(goal.plan for goal in self._in_scope(row)):
            places = [goal for goal in self._in_scope(row) if goal.plan == plan]
            fitting = [found for found in self._free.values() if _fits(found, places[0])]
            if not fitting:
                empty += places
                continue
            purchases = _purchases(places)
            if len(purchases) > 1:
                raise _Doubt(
                    "ambiguous", f"{_listed(purchases)} buy the same plan; name panel_subscription_id for each"
                )
            if len(fitting) > len(places):
                numbers = _listed([str(found.id) for found in fitting])
                raise _Doubt(
                    "ambiguous", f"hosting subscriptions {numbers} are on the plan; name panel_subscription_id"
                )
            for goal, found in zip(places, fitting, strict=False):
                self._link(goal, found, None)
        if empty and self._free:
            left = list(self._free.values())
            if not self._accept or len(left) > 1 or len(empty) > 1:
                raise _Doubt("plan_mismatch", "; ".join(_mismatch(found, empty) for found in left))
            self._link(empty[0], left[0], None)

    def _in_scope(self, row: Row) -> list[Goal]:
        return [goal for goal in self._places if row.subscription_id in (None, goal.key.subscription_id)]

    def _link(self, goal: Goal, found: PanelSubscription, domain: str | None) -> None:
        self._places.remove(goal)
        del self._free[found.id]
        sites = [site for site in self._holdings.sites if site.subscription_id == found.id]
        meant = [site for site in sites if site.domain in (domain, goal.service.domain)]
        site = sites[0] if len(sites) == 1 else meant[0] if len(meant) == 1 else None
        self.services.append(
            replace(
                goal.service,
                state=ServiceState.LIVE,
                # What was last made true; when it is not what was bought, a pass sees the difference.
                plan=goal.plan if _fits(found, goal) else str(found.plan_id),
                made_for=(),
                panel_subscription_id=found.id,
                panel_plan_id=found.plan_id,
                panel_suspended=found.suspended_by is not None,
                website_id=site.id if site else None,
                domain=site.domain if site else None,
                domain_sought_at=self._now,  # what was typed at Checkout long ago makes no website now
                adopted=True,
            )
        )


def _fits(found: PanelSubscription, goal: Goal) -> bool:
    return goal.plan is not None and on_plan(found, goal.plan)


def _carries_mark(found: PanelSubscription, goal: Goal) -> bool:
    return (goal.key.subscription_id, goal.key.slot) in marks(found.friendly_name)


def _resells(found: PanelSubscription) -> bool:
    """Whether it may have customers of its own: a reseller's, which no price of ours stands for."""
    return any(resource.name == "customers" and resource.total != 0 for resource in found.resources)


def _purchases(goals: Sequence[Goal]) -> list[str]:
    """What must not be mistaken for each other: services of one item are equal, others are not."""
    pairs = dict.fromkeys((goal.key.subscription_id, goal.service.item_id) for goal in goals)
    return [f"{subscription} ({item})" for subscription, item in pairs]


def _mismatch(found: PanelSubscription, places: Sequence[Goal]) -> str:
    plans = _listed(list(dict.fromkeys(str(goal.plan) for goal in places)))
    said = f"hosting subscription {found.id} is on plan {found.plan_name}, bought is {plans}"
    return f"{said}; --accept-plan-changes links it, and the next pass moves it"


def _nothing(holdings: Holdings) -> str:
    living = [s for s in holdings.subscriptions if not s.deleted]
    if any(_resells(s) for s in living):
        return "the organisation has only reseller subscriptions, which are left out"
    return "the organisation has no hosting subscription" + (" that is not linked yet" if living else "")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
