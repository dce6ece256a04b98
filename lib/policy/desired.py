"""What should be true of a customer: every row of the decision table (design section 3).

A subscription's trouble stays its own: each service gets a goal from its own subscription and item only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from lib.config import Policy
from lib.model import (
    Catalogue,
    Goal,
    Hold,
    Item,
    Memory,
    Payer,
    Problem,
    Question,
    Service,
    ServiceState,
    Subscription,
    Want,
    Wanted,
)
from lib.model.reason import Reason, Rule, WaitReason
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.double_purchase import double_purchases
from lib.policy.goal import OVER, ended, goal_of, undecided
from lib.policy.items import Layout, addons_without_base, bought_as, lay_out
from lib.policy.standing import Place, Terms
from lib.policy.websites import UNKNOWN, arrange, awaited, differs
from lib.structs import replace

KNOWN_STATUSES = frozenset(
    {"incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused", "canceled"}
)
"""Stripe's statuses that have a row in the table; its enums are open, and another one changes nothing."""

_NOT_CLEARED = (WaitReason.SETTLEMENT, Reason.DOUBLE_PURCHASE, WaitReason.FIRST_PAYMENT)
"""What a service waits for that has not been let in yet: its money must still come."""


def desired(payer: Payer, memory: Memory, catalogue: Catalogue, policy: Policy, now: datetime) -> Wanted:
    """The goal of each service of `payer`, with the services as they are to be remembered."""
    terms = Terms(catalogue, policy, now)
    bought: list[list[Goal]] = []
    problems: list[Problem] = []
    remembered: dict[str, list[Service]] = {}
    for service in memory.services:
        remembered.setdefault(service.key.subscription_id, []).append(service)
    for subscription in sorted(payer.subscriptions, key=lambda s: (s.created, s.id)):
        known = remembered.get(subscription.id, [])
        most = max(policy.quantity_max, memory.let_pass.get(subscription.id, 0))
        if payer.deleted and subscription.status != "canceled":
            subscription = replace(subscription, status="canceled")
        found, trouble = _of_subscription(subscription, known, terms, most)
        if subscription.status == "canceled" and found and known and subscription.id not in memory.closed:
            # Its open invoices can still be paid, which changes nothing and somebody must know of.
            found[0] = replace(found[0], asks=Question.INVOICES if subscription.invoices is None else None)
        bought.append(found)
        problems += trouble
    if policy.on_double_purchase == "hold":
        bought, twice = double_purchases(bought)
        problems += twice
    listed = {subscription.id for subscription in payer.subscriptions}
    unknown = [service for service in memory.services if service.key.subscription_id not in listed]
    goals = [goal for found in bought for goal in found]
    goals += [Goal(service, Want.KEEP, Reason.UNKNOWN_SUBSCRIPTION) for service in unknown]
    problems += [_unknown(service) for service in unknown]
    goals, trouble = arrange(goals, _may_wait(payer, remembered, listed))
    return Wanted(tuple(goals), tuple(dict.fromkeys([*problems, *trouble])))


def _unknown(service: Service) -> Problem:
    name = service.key.subscription_id
    detail = f"Stripe does not know {name}: check the key's account and mode; nothing was changed"
    return Problem(Reason.UNKNOWN_SUBSCRIPTION, detail, name)


def _may_wait(payer: Payer, remembered: Mapping[str, list[Service]], listed: set[str]) -> set[str]:
    """The domains for whose websites purchases may wait of which we can't tell what they are."""
    domains = set()
    for subscription in payer.subscriptions:
        known = remembered.get(subscription.id, [])
        if subscription.status not in KNOWN_STATUSES and not (known and all(s.website_id for s in known)):
            domains.update(_domains(subscription)[0] or [UNKNOWN])
    for service in (service for services in remembered.values() for service in services):
        unlisted = service.key.subscription_id not in listed and Hold.ENDED not in service.holds
        if unlisted and service.website_id is None:
            domains.add(service.domain or UNKNOWN)
    return domains


def _of_subscription(
    subscription: Subscription, known: list[Service], terms: Terms, most: int
) -> tuple[list[Goal], list[Problem]]:
    if subscription.status not in KNOWN_STATUSES:
        detail = f"Stripe's status {subscription.status!r} of {subscription.id} is new to us; nothing was changed"
        problem = Problem(Reason.UNKNOWN_STATUS, detail, subscription.id)
        return [undecided(service, Reason.UNKNOWN_STATUS) for service in known], [problem]
    laid = lay_out(subscription, known, terms.catalogue, most)
    if subscription.status in OVER:  # what has ended is no new service, also not beside one that is gone
        there = {service.key for service in known}
        laid = replace(laid, pairs=tuple(pair for pair in laid.pairs if pair[1].key in there))
    running = _Running.of(known, laid)
    domains, trouble = _domains(subscription)
    problems = trouble if any(service.website_id is None for _, service in laid.pairs) else []
    goals: list[Goal] = []
    for place in _places(subscription, known, laid, domains, running, terms):
        goal, trouble = _of_place(place, laid, terms, most)
        goals.append(_with_cause(goal, bought_as(subscription, place.item)))
        problems += trouble
    goals = _with_websites(subscription, goals, domains, terms.catalogue)
    problems += addons_without_base(subscription, laid, terms.catalogue)
    left = [replace(s, unpaid_since=None, holds=s.holds - {Hold.UNPAID}) if running.owing else s for s in laid.surplus]
    goals += [_surplus(subscription, service, terms) for service in left]
    if ends := subscription.changes_at:
        goals = [replace(goal, wake_at=min(ends, goal.wake_at or ends)) for goal in goals]
    said = {problem.subject for problem in problems if problem.reason is Reason.MAPPING_CHANGED}
    return goals, [p for p in problems if p.reason is not Reason.UNMAPPED_PRICE or p.subject not in said]


class _Running(Struct, frozen=True):
    """What is in the panel of one subscription."""

    made: bool
    """Whether anything of it ever was: what is bought to it later is a purchase of its own."""
    owing: bool
    """Whether any of it is bought today."""
    behind: datetime | None
    """Since when what is bought today has been behind; what a surplus one was behind with says nothing of it."""
    deleted_since: datetime | None
    """When what is deleted by now ended."""
    all_held: bool
    """An admin who holds a subscription, for abuse say, holds what is bought to it as well."""

    @classmethod
    def of(cls, known: Sequence[Service], laid: Layout) -> _Running:
        running = [service for service in known if service.made and service.state is not ServiceState.TERMINATED]
        bought_now = {service.key for _, service in laid.pairs}
        owing = [service for service in running if service.key in bought_now]
        behind = min((s.unpaid_since for s in owing if s.unpaid_since is not None), default=None)
        all_held = bool(running) and all(Hold.ADMIN in service.holds for service in running)
        deleted = [s.ended_at for s in known if s.state is ServiceState.TERMINATED and s.ended_at is not None]
        made = any(service.made for service in known)
        return cls(made, bool(owing), behind, max(deleted, default=None), all_held)


def _places(
    subscription: Subscription,
    known: Sequence[Service],
    laid: Layout,
    domains: Sequence[str],
    running: _Running,
    terms: Terms,
) -> Iterator[Place]:
    """Each item with its service, as it is bought today."""
    taken = {service.domain for _, service in laid.pairs if service.website_id is not None}
    free_domains = [domain for domain in domains if domain not in taken]
    remembered = {service.key: service for service in known}
    so_many: Counter[str] = Counter()
    for item, service in laid.pairs:
        so_many[item.id] += 1
        mapping = terms.catalogue.mappings.get(item.price_id)
        if service.key not in laid.lost:
            service = replace(service, item_id=item.id, price_id=item.price_id)
            if service.website_id is None and free_domains and mapping is not None and mapping.create_website:
                service = replace(service, domain=free_domains.pop(0))
        if service.made:
            service = replace(service, unpaid_since=running.behind)
        elif running.all_held:
            service = replace(service, holds=service.holds | {Hold.ADMIN})
        yield Place(
            subscription,
            item,
            service,
            mapping,
            more=running.made,
            cleared=_is_cleared(remembered.get(service.key)),
            before=so_many[item.id] - 1,
            since=running.deleted_since,
            changed=service.made_for != bought_as(subscription, item),
        )


def _of_place(place: Place, laid: Layout, terms: Terms, most: int) -> tuple[Goal, list[Problem]]:
    goal, trouble = goal_of(place, terms)
    mapping, service = place.mapping, place.service
    if mapping is None or mapping.kind != "service" or mapping.grace_days is not None:
        goal = _as_promised(goal, service, terms.at)
    if service.key in laid.lost and place.subscription.status not in OVER:
        return _kept(place.item, service, goal, terms)
    if place.item.id in laid.unusual and goal.want is Want.ON and not service.made:
        return _withheld(place.subscription, place.item, goal, most)
    return goal, trouble


def _with_cause(goal: Goal, bought: tuple[tuple[str, int], ...]) -> Goal:
    """The goal that tells whether Stripe asked for its plan, or a mapping was edited or somebody moved it by hand."""
    service = goal.service
    if not service.made:
        return goal
    if goal.plan is not None and goal.plan == service.plan:
        if service.made_for != bought:
            goal = replace(goal, service=replace(service, made_for=bought))
        return replace(goal, plan_rule=Rule.PLAN_PUT_BACK)
    edited = goal.plan is not None and service.made_for == bought
    return replace(goal, plan_rule=Rule.MAPPING_EDITED) if edited else goal


def _as_promised(goal: Goal, remembered: Service, now: datetime) -> Goal:
    """The goal with the grace that runs already, where a mapping would end it sooner: it holds nobody retroactively."""
    until = remembered.grace_until
    if until is None or until <= now or remembered.grace_override is not None:
        return goal
    if goal.rule == Rule.GRACE_OVER and goal.service.holds == {Hold.UNPAID}:
        running = replace(goal.service, holds=frozenset(), grace_until=until)
        return replace(goal, service=running, want=Want.ON, rule=WaitReason.IN_GRACE, wake_at=until)
    if goal.rule == WaitReason.IN_GRACE and goal.wake_at is not None and goal.wake_at < until:
        return replace(goal, service=replace(goal.service, grace_until=until), wake_at=until)
    return goal


def _kept(item: Item, service: Service, goal: Goal, terms: Terms) -> tuple[Goal, list[Problem]]:
    """What a mapping does not call hosting any more, and is still paid for: as it is, until a person confirms.

    Confirmed is what an admin has ended (`release`); it stays so until its item is hosting again.
    """
    was_surplus = Hold.ENDED in service.holds
    if was_surplus and (service.wait_reason is not None or service.released):
        return ended(service, Rule.MAPPING_CONFIRMED, None, terms), []
    detail = (
        f"{service.key} is there for price {item.price_id}, which plan_mappings does not call hosting any more; correct"
        " the row, or release it to end the hosting"
    )
    if was_surplus:  # and is bought again: it stays off, and is not deleted over what a mapping says
        goal = Goal(replace(service, retain_until=None), Want.OFF, Reason.MAPPING_CHANGED)
        return goal, [Problem(Reason.MAPPING_CHANGED, detail, item.price_id)]
    waiting = replace(goal.service, wait_reason=Reason.MAPPING_CHANGED)
    goal = replace(goal, service=waiting, plan=None, create_website=False)
    return goal, [Problem(Reason.MAPPING_CHANGED, detail, item.price_id)]


def _withheld(subscription: Subscription, item: Item, goal: Goal, most: int) -> tuple[Goal, list[Problem]]:
    """A quantity that looks like a slip of the hand: what is there stays, no more is made before a person says so."""
    detail = (
        f"{subscription.id} has {item.quantity} of price {item.price_id}, and more than {most} are not made unasked;"
        " correct the quantity in Stripe, or release it"
    )
    waiting = replace(goal.service, wait_reason=Reason.QUANTITY_UNUSUAL)
    goal = Goal(waiting, Want.NOTHING, Reason.QUANTITY_UNUSUAL, wake_at=goal.wake_at)
    return goal, [Problem(Reason.QUANTITY_UNUSUAL, detail, subscription.id)]


def _with_websites(
    subscription: Subscription, goals: list[Goal], domains: list[str], catalogue: Catalogue
) -> list[Goal]:
    """The goals of a subscription with what each still waits for, and whether its domain was changed afterwards."""
    if subscription.status in OVER:
        return goals
    waiting = awaited(subscription, [goal.service for goal in goals], domains, catalogue.mappings)
    result = []
    for goal, domain in zip(goals, waiting, strict=True):
        if goal.service.wait_reason is None and differs(goal.service, subscription, domains):
            goal = replace(goal, service=replace(goal.service, wait_reason=WaitReason.DOMAIN_DIFFERS))
        result.append(replace(goal, awaits=domain))
    return result


def _is_cleared(remembered: Service | None) -> bool:
    """Whether it waits for nothing but being made: it is remembered from the moment on which it is to be."""
    if remembered is None or Hold.ENDED in remembered.holds:  # what comes back is bought anew
        return False
    return remembered.wait_reason not in _NOT_CLEARED


def _domains(subscription: Subscription) -> tuple[list[str], list[Problem]]:
    """The domains in the subscription's metadata, one for each service in order; separated by commas or spaces."""
    domains: list[str] = []
    if subscription.status in OVER:  # no website is made for what has ended
        return [], []
    for typed in (subscription.domain or "").replace(",", " ").split():
        try:
            domains.append(normalise_domain(typed))
        except InvalidDomain as problem:
            remedy = f"{problem}; correct metadata.domain of {subscription.id} in Stripe"
            return [], [Problem(Reason.INVALID_DOMAIN, remedy, subscription.id)]
    return domains, []


def _surplus(subscription: Subscription, service: Service, terms: Terms) -> Goal:
    # What was never made is not cleared any more: should it be bought again, that is another purchase.
    waits = None if service.made else service.wait_reason or WaitReason.SETTLEMENT
    service = replace(service, wait_reason=waits, grace_until=None)
    if service.state is ServiceState.TERMINATED:
        return Goal(service, Want.NOTHING, Rule.TERMINATED)
    if subscription.status == "canceled":
        return ended(service, Rule.CANCELED, subscription.ended_at, terms)
    goal = ended(service, Rule.ITEM_GONE, None, terms)
    debts = service.holds & {Hold.UNPAID}  # it may be bought again
    return replace(goal, service=replace(goal.service, holds=goal.service.holds | debts))
