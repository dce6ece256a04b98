"""What should be true of a customer: every row of the decision table (design section 3).

A subscription's trouble stays its own: each service gets a goal from its own subscription and item only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from lib.config import Policy
from lib.model import (
    Catalogue,
    Goal,
    Hold,
    Item,
    Memory,
    Payer,
    PlanMapping,
    Problem,
    Question,
    Service,
    ServiceState,
    Subscription,
    Want,
    Wanted,
)
from lib.policy import money
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.items import addons_without_base, bought_as, kind_of, lay_out, plan_of
from lib.policy.websites import UNKNOWN, arrange, awaited, differs

KNOWN_STATUSES = frozenset(
    {"incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused", "canceled"}
)
"""Stripe's statuses that have a row in the table; its enums are open, and another one changes nothing."""

OPEN_DISPUTE = frozenset({"needs_response", "under_review", "appeal_needs_response", "appeal_under_review"})
"""Dispute statuses in which money has been taken and the case is open. Inquiries (`warning_*`) are not among them."""

LATE = timedelta(hours=1)
"""How long after its announced date Stripe may take to end a trial or a subscription before we look again."""

_PLAN_MAY_CHANGE = ("active", "trialing")

_OVER = ("canceled", "incomplete_expired")

_NOT_ADMITTED = ("settlement", "double_purchase", "first_payment")
"""What a service waits for that has not been let in yet: its money must still come."""


def desired(payer: Payer, memory: Memory, catalogue: Catalogue, policy: Policy, now: datetime) -> Wanted:
    """The goal of each service of `payer`, with the services as they are to be remembered."""
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
        found, trouble = _of_subscription(subscription, known, catalogue, policy, now, most)
        if subscription.status == "canceled" and found and known and subscription.id not in memory.closed:
            # Its open invoices can still be paid, which changes nothing and somebody must know of.
            found[0] = replace(found[0], asks=Question.INVOICES if subscription.invoices is None else None)
        bought.append(found)
        problems += trouble
    if policy.on_double_purchase == "hold":
        bought, twice = _double_purchases(bought)
        problems += twice
    goals = [goal for found in bought for goal in found]
    listed = {subscription.id for subscription in payer.subscriptions}
    for service in memory.services:
        if service.key.subscription_id not in listed:
            goals.append(Goal(service, Want.KEEP, "unknown_subscription"))
            problems.append(
                Problem(
                    "unknown_subscription",
                    f"Stripe does not know {service.key.subscription_id}: check the key's account and mode;"
                    " nothing was changed",
                    service.key.subscription_id,
                )
            )
    goals, trouble = arrange(goals, _may_wait(payer, remembered, listed))
    return Wanted(tuple(goals), tuple(dict.fromkeys([*problems, *trouble])))


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


def _double_purchases(bought: list[list[Goal]]) -> tuple[list[list[Goal]], list[Problem]]:
    """Hold back what another live subscription of the same customer has bought already, unless an admin let it pass.

    Args:
        bought: the goals of each subscription, oldest first. The older one has the right of way, but what has been
            made already has it before any that has not: its money came first.
    """
    result: list[list[Goal]] = []
    problems: list[Problem] = []
    made_by = Counter(price for goals in bought for price in {g.service.price_id for g in goals if _is_made(g)})
    older: set[str] = set()
    for goals in bought:
        let_in = {g.service.price_id for g in goals if g.service.released or _is_made(g)}
        own = {g.service.price_id for g in goals if _is_made(g)}
        prices = {g.service.price_id for g in goals}
        taken = {p for p in prices if p in older or made_by[p] > (p in own)} - let_in
        older |= {g.service.price_id for g in goals if _is_bought(g)}
        result.append([])
        for goal in goals:
            service = goal.service
            if goal.want is Want.ON and not service.made and service.price_id in taken:
                detail = (
                    f"{service.key} buys {service.price_id} once more; release it, or refund and cancel it in Stripe"
                )
                problems.append(Problem("double_purchase", detail, str(service.key)))
                waiting = replace(service, waits_for="double_purchase")
                goal = Goal(waiting, Want.NOTHING, "double_purchase", wake_at=goal.wake_at)
            result[-1].append(goal)
    return result, problems


def _is_made(goal: Goal) -> bool:
    return goal.service.made and _is_bought(goal)


def _is_bought(goal: Goal) -> bool:
    """Whether it stands for a purchase that is live: what has ended may be bought anew."""
    kept = goal.want is Want.KEEP and goal.service.made
    live = kept or goal.want in (Want.ON, Want.OFF) or goal.rule == "money_not_settled"
    return live and Hold.ENDED not in goal.service.holds


SESSION_SHOWS = (timedelta(), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
"""After a Checkout event its session may be missing in Stripe's list of sessions for a while: when it is looked at."""


def sought_domains(wanted: Wanted, memory: Memory, now: datetime) -> tuple[str, ...]:
    """Subscriptions whose Checkout session must be asked for the domain: once, and a few times after a Checkout event.

    Args:
        now: the database's time, in which it is remembered when they were asked.
    """
    sought = []
    for goal in _without_domain(wanted):
        asked = goal.service.domain_sought_at
        if asked is None or any(asked < look <= now for look in _looks(memory)):
            sought.append(goal.key.subscription_id)
    return tuple(dict.fromkeys(sought))


def seeking_on(wanted: Wanted, memory: Memory, now: datetime) -> Wanted:
    """With the date when a session that did not show a domain is asked the next time."""
    next_look = min((look for look in _looks(memory) if look > now), default=None)
    if next_look is None:
        return wanted
    seeking = {goal.key for goal in _without_domain(wanted)}
    goals = tuple(
        replace(goal, wake_at=min(next_look, goal.wake_at or next_look)) if goal.key in seeking else goal
        for goal in wanted.goals
    )
    return replace(wanted, goals=goals)


def _looks(memory: Memory) -> list[datetime]:
    came = memory.session_event_at
    return [came + delay for delay in SESSION_SHOWS] if came is not None else []


def _without_domain(wanted: Wanted) -> list[Goal]:
    """What is to be on with a website, of subscriptions of which no domain is known."""
    known = {goal.key.subscription_id for goal in wanted.goals if goal.service.domain is not None}
    return [
        goal
        for goal in wanted.goals
        if goal.want is Want.ON
        and goal.create_website
        and goal.service.website_id is None
        and goal.key.subscription_id not in known
    ]


def _of_subscription(
    subscription: Subscription, known: list[Service], catalogue: Catalogue, policy: Policy, now: datetime, most: int
) -> tuple[list[Goal], list[Problem]]:
    goals: list[Goal] = []
    problems: list[Problem] = []
    if subscription.status not in KNOWN_STATUSES:
        detail = f"Stripe's status {subscription.status!r} of {subscription.id} is new to us; nothing was changed"
        problem = Problem("unknown_status", detail, subscription.id)
        return [_undecided(service, "unknown_status") for service in known], [problem]
    laid = lay_out(subscription, known, catalogue, most)
    if subscription.status in _OVER:  # what has ended is no new service, also not beside one that is gone
        there = {service.key for service in known}
        laid = replace(laid, pairs=tuple(pair for pair in laid.pairs if pair[1].key in there))
    domains, trouble = _domains(subscription)
    if any(service.website_id is None for _, service in laid.pairs):
        problems += trouble
    running = [service for service in known if service.made and service.state is not ServiceState.TERMINATED]
    # What a surplus one was behind with says nothing of what is bought today.
    bought_now = {service.key for _, service in laid.pairs}
    owing = [service for service in running if service.key in bought_now]
    behind = min((s.unpaid_since for s in owing if s.unpaid_since is not None), default=None)
    # An admin who holds a subscription, for abuse say, holds what is bought to it as well.
    all_held = bool(running) and all(Hold.ADMIN in service.holds for service in running)
    taken = {service.domain for _, service in laid.pairs if service.website_id is not None}
    free_domains = [domain for domain in domains if domain not in taken]
    remembered = {service.key: service for service in known}
    bought = {item.id: bought_as(subscription, item) for item in subscription.items}
    for item, service in laid.pairs:
        mapping = catalogue.mappings.get(item.price_id)
        lost = service.key in laid.lost
        if not lost:
            service = replace(service, item_id=item.id, price_id=item.price_id)
            if service.website_id is None and free_domains and mapping is not None and mapping.create_website:
                service = replace(service, domain=free_domains.pop(0))
        if service.made:
            service = replace(service, unpaid_since=behind)
        elif all_held:
            service = replace(service, holds=service.holds | {Hold.ADMIN})
        goal, trouble = _goal(
            subscription,
            item,
            service,
            mapping,
            catalogue,
            policy,
            now,
            more=bool(running),
            admitted=_is_admitted(remembered.get(service.key)),
            changed=service.made_for != bought[item.id],
        )
        if mapping is None or mapping.kind != "service" or mapping.grace_days is not None:
            goal = _as_promised(goal, service, now)
        if lost and subscription.status not in _OVER:
            goal, trouble = _kept(item, service, goal, policy, now)
        elif item.id in laid.unusual and goal.want is Want.ON and not service.made:
            goal, trouble = _withheld(subscription, item, goal, most)
        goals.append(_with_cause(goal, bought[item.id]))
        problems += trouble
    goals = _with_websites(subscription, goals, domains, catalogue)
    problems += addons_without_base(subscription, laid, catalogue)
    left = [replace(s, unpaid_since=None) if owing else s for s in laid.surplus]
    goals += [_surplus(subscription, service, policy, now) for service in left]
    said = {problem.subject for problem in problems if problem.reason == "mapping_changed"}
    return goals, [p for p in problems if p.reason != "unmapped_price" or p.subject not in said]


def _with_cause(goal: Goal, bought: tuple[tuple[str, int], ...]) -> Goal:
    """The goal that tells whether Stripe asked for its plan, or a mapping was edited or somebody moved it by hand."""
    service = goal.service
    if not service.made or (goal.plan is not None and goal.plan == service.plan):
        if service.made_for != bought:
            goal = replace(goal, service=replace(service, made_for=bought))
        return replace(goal, plan_rule="plan_put_back") if service.made else goal
    return replace(goal, plan_rule="mapping_edited") if goal.plan is not None and service.made_for == bought else goal


def _as_promised(goal: Goal, remembered: Service, now: datetime) -> Goal:
    """The goal with the grace that runs already, where a mapping would end it sooner: it holds nobody retroactively."""
    until = remembered.grace_until
    if until is None or until <= now or remembered.grace_override is not None:
        return goal
    if goal.rule == "grace_over" and goal.service.holds == {Hold.UNPAID}:
        running = replace(goal.service, holds=frozenset(), grace_until=until)
        return replace(goal, service=running, want=Want.ON, rule="in_grace", wake_at=until)
    if goal.rule == "in_grace" and goal.wake_at is not None and goal.wake_at < until:
        return replace(goal, service=replace(goal.service, grace_until=until), wake_at=until)
    return goal


def _kept(item: Item, service: Service, goal: Goal, policy: Policy, now: datetime) -> tuple[Goal, list[Problem]]:
    """What a mapping does not call hosting any more, and is still paid for: as it is, until a person confirms.

    Confirmed is what an admin has ended (`release`); it stays so until its item is hosting again.
    """
    was_surplus = Hold.ENDED in service.holds
    if was_surplus and (service.waits_for is not None or service.released):
        return _ended(service, "mapping_confirmed", None, policy, now), []
    detail = (
        f"{service.key} is there for price {item.price_id}, which plan_mappings does not call hosting any more; correct"
        " the row, or release it to end the hosting"
    )
    if was_surplus:  # and is bought again: it stays off, and is not deleted over what a mapping says
        goal = Goal(replace(service, retain_until=None), Want.OFF, "mapping_changed")
        return goal, [Problem("mapping_changed", detail, item.price_id)]
    waiting = replace(goal.service, waits_for="mapping_changed")
    goal = replace(goal, service=waiting, plan=None, create_website=False)
    return goal, [Problem("mapping_changed", detail, item.price_id)]


def _withheld(subscription: Subscription, item: Item, goal: Goal, most: int) -> tuple[Goal, list[Problem]]:
    """A quantity that looks like a slip of the hand: what is there stays, no more is made before a person says so."""
    detail = (
        f"{subscription.id} has {item.quantity} of price {item.price_id}, and more than {most} are not made unasked;"
        " correct the quantity in Stripe, or release it"
    )
    waiting = replace(goal.service, waits_for="quantity_unusual")
    goal = Goal(waiting, Want.NOTHING, "quantity_unusual", wake_at=goal.wake_at)
    return goal, [Problem("quantity_unusual", detail, subscription.id)]


def _with_websites(
    subscription: Subscription, goals: list[Goal], domains: list[str], catalogue: Catalogue
) -> list[Goal]:
    """The goals of a subscription with what each still waits for, and whether its domain was changed afterwards."""
    if subscription.status in _OVER:
        return goals
    waiting = awaited(subscription, [goal.service for goal in goals], domains, catalogue.mappings)
    result = []
    for goal, domain in zip(goals, waiting, strict=True):
        if goal.service.waits_for is None and differs(goal.service, subscription, domains):
            goal = replace(goal, service=replace(goal.service, waits_for="domain_differs"))
        result.append(replace(goal, awaits=domain))
    return result


def _is_admitted(remembered: Service | None) -> bool:
    """Whether it waits for nothing but being made: it is remembered from the moment on which it is to be."""
    return remembered is not None and remembered.waits_for not in _NOT_ADMITTED


def _undecided(service: Service, rule: str) -> Goal:
    """Left as it is, but for what an admin holds."""
    held = service.made and service.state is not ServiceState.TERMINATED and Hold.ADMIN in service.holds
    return Goal(service, Want.OFF, "admin_hold") if held else Goal(service, Want.KEEP, rule)


def _domains(subscription: Subscription) -> tuple[list[str], list[Problem]]:
    """The domains in the subscription's metadata, one for each service in order; separated by commas or spaces."""
    domains: list[str] = []
    if subscription.status in _OVER:  # no website is made for what has ended
        return [], []
    for typed in (subscription.domain or "").replace(",", " ").split():
        try:
            domains.append(normalise_domain(typed))
        except InvalidDomain as problem:
            remedy = f"{problem}; correct metadata.domain of {subscription.id} in Stripe"
            return [], [Problem("invalid_domain", remedy, subscription.id)]
    return domains, []


def _goal(
    subscription: Subscription,
    item: Item,
    service: Service,
    mapping: PlanMapping | None,
    catalogue: Catalogue,
    policy: Policy,
    now: datetime,
    *,
    more: bool,
    admitted: bool,
    changed: bool,
) -> tuple[Goal, list[Problem]]:
    """What should become of one service.

    Args:
        more: others of its subscription have been made already.
        admitted: it was to be made before, when its money was there.
        changed: something else is bought than what its plan was made true for.
    """
    try:
        goal = _state(subscription, service, mapping, policy, now, more=more, admitted=admitted)
    except money.Unread as missing:
        return replace(_undecided(service, "unread"), asks=missing.question), []
    problems = _told(goal)
    plan, problem = plan_of(subscription, item, mapping, catalogue)
    if goal.want is Want.ON and problem:
        problems.append(problem)
        if not service.made and plan is None:
            goal = replace(goal, want=Want.NOTHING, rule=problem.reason)
    if goal.want is Want.ON and plan is not None:
        edited = not changed and subscription.status in _PLAN_MAY_CHANGE  # by the operator, who asks for no money
        goal = replace(goal, plan=plan) if edited else _on_plan(goal, subscription, plan, catalogue, now)
    if mapping is not None:
        goal = replace(goal, create_website=mapping.create_website, server_group_id=mapping.server_group_id)
    return goal, problems


def _told(goal: Goal) -> list[Problem]:
    """What of its money only a person can solve."""
    name = goal.key.subscription_id
    if goal.rule == "never_paid":
        detail = f"the first invoice of {name} was voided or written off; release it, or cancel {name} in Stripe"
        return [Problem("never_paid", detail, name)]
    if goal.rule == "only_drafts_left":
        detail = f"every final invoice of {name} is paid, and drafts keep it unpaid; finalize and pay or delete them"
        return [Problem("only_drafts_left", detail, name)]
    return []


def _on_plan(goal: Goal, subscription: Subscription, plan: str, catalogue: Catalogue, now: datetime) -> Goal:
    """The goal with the plan that was bought; while the change to it is not paid, the present one stays."""
    service = goal.service
    if not service.made or plan == service.plan or plan == str(service.panel_plan_id):
        return replace(goal, plan=plan)
    addons = [i.price_id for i in subscription.items if kind_of(i, catalogue) == "addon" and i.quantity > 0]
    try:
        paid = subscription.status in _PLAN_MAY_CHANGE and money.change_paid(
            subscription, [service.price_id, *addons], service.plan_since, now
        )
    except money.Unread as missing:
        return replace(goal, asks=missing.question)
    if paid:
        return replace(goal, plan=plan)
    return replace(goal, service=replace(service, waits_for="change_waits_for_payment"))


def _state(
    subscription: Subscription,
    service: Service,
    mapping: PlanMapping | None,
    policy: Policy,
    now: datetime,
    *,
    more: bool,
    admitted: bool,
) -> Goal:
    """Whether this service should be on: its subscription's status and every cause to hold it, not yet the plan.

    Raises:
        money.Unread: it depends on something that was not read.
    """
    # What has not been let in yet stays so, whatever happens to its subscription meanwhile.
    service = replace(service, waits_for=None if service.made or admitted else service.waits_for, grace_until=None)
    if subscription.status in _OVER:
        return _ended(service, subscription.status, subscription.ended_at, policy, now)
    service = replace(service, ended_at=None, retain_until=None)
    trust = mapping is not None and mapping.activate_on == "processing"
    rule: str
    wake_at: datetime | None
    asks: Question | None = None
    causes: dict[Hold, str] = {}
    match subscription.status:
        case "incomplete":
            if not trust or not money.is_processing(subscription):
                waiting = replace(service, waits_for="first_payment")
                return Goal(waiting, Want.KEEP if service.made else Want.NOTHING, "incomplete")
            rule, wake_at = "processing", None
        case "active" if _is_behind(subscription, service, now):
            causes, rule, wake_at = _written_off(service, mapping, policy, now)
            service = replace(service, grace_until=wake_at)
        case "trialing" | "active":
            service = replace(service, grace_override=None, unpaid_since=None)
            rule, wake_at = subscription.status, _next_date(subscription, now)
        case "past_due" | "unpaid":
            service = _remembering_since_when(subscription, service, now)
            causes, rule, wake_at = _unpaid(subscription, service, mapping, policy, now)
            service = replace(service, grace_until=wake_at)
            asks = Question.INVOICES if subscription.invoices is None else None
        case _:
            causes, rule, wake_at = {Hold.PAUSED: "paused"}, "paused", None
    if subscription.collection_paused and policy.pause_collection == "suspend":
        causes[Hold.PAUSED] = "collection_paused"
    causes |= _disputed(subscription, policy)
    if policy.on_refund == "suspend" and (period_ends := money.refunded(subscription, now)) is not None:
        causes[Hold.REFUND] = "refunded"
        wake_at = min(wake_at or period_ends, period_ends)
    if Hold.ADMIN in service.holds:
        causes[Hold.ADMIN] = "admin_hold"
    service = replace(service, holds=frozenset(causes))
    if causes:
        off = Want.OFF if service.made else Want.NOTHING
        return Goal(service, off, next(iter(causes.values())), wake_at=wake_at, asks=asks)
    if not service.made:
        waits = _waits_for_money(subscription, service, now, trust=trust, more=more, admitted=admitted)
        if waits is not None:
            return Goal(replace(service, waits_for="settlement", grace_until=None), Want.NOTHING, waits)
    return Goal(replace(service, waits_for=None), Want.ON, rule, wake_at=wake_at)


def _is_behind(subscription: Subscription, service: Service, now: datetime) -> bool:
    """Whether what was behind is `active` again only because nobody is expected to pay any more."""
    was = service.unpaid_since is not None or Hold.UNPAID in service.holds
    return service.made and was and not money.paid_again(subscription, service.unpaid_since, now)


def _remembering_since_when(subscription: Subscription, service: Service, now: datetime) -> Service:
    if not service.made or (subscription.status == "unpaid" and subscription.invoices is None):
        return service
    return replace(service, unpaid_since=money.behind_since(subscription, service.unpaid_since, now))


def _waits_for_money(
    subscription: Subscription, service: Service, now: datetime, *, trust: bool, more: bool, admitted: bool
) -> str | None:
    """By which rule what was never made waits for its first money; `None`: that has come.

    Grace keeps on what runs. It is no reason to hand out more of it to somebody who is behind.
    """
    if subscription.status in ("trialing", "incomplete"):
        return None
    if more and not admitted:
        paid = subscription.status == "active" and money.change_paid(subscription, [service.price_id], None, now)
        return None if paid else "money_not_settled"
    if subscription.status == "active" and service.released:
        return None
    found = money.first_money(subscription, trust=trust and subscription.status == "active", paid_once=admitted)
    if found == "paid":
        return None
    return "never_paid" if found == "never" and subscription.status == "active" else "money_not_settled"


def _next_date(subscription: Subscription, now: datetime) -> datetime | None:
    """When Stripe itself is going to change the status; asked again an hour later while it has not."""
    dates = [date for date in (subscription.trial_end, subscription.cancel_at) if date is not None]
    if subscription.status != "trialing":
        dates = [date for date in dates if date != subscription.trial_end]
    return max(min(dates), now + LATE) if dates and min(dates) <= now else min(dates, default=None)


def _disputed(subscription: Subscription, policy: Policy) -> dict[Hold, str]:
    """Holds for money that may go back: disputes."""
    causes: dict[Hold, str] = {}
    if policy.on_dispute == "suspend" and any(status in OPEN_DISPUTE for status in subscription.disputes):
        causes[Hold.DISPUTE] = "dispute_open"
    elif policy.on_dispute_lost == "suspend" and "lost" in subscription.disputes:
        causes[Hold.DISPUTE] = "dispute_lost"
    return causes


def _unpaid(
    subscription: Subscription, service: Service, mapping: PlanMapping | None, policy: Policy, now: datetime
) -> tuple[dict[Hold, str], str, datetime | None]:
    """Grace of a subscription that is behind: (causes to hold it, rule, when the grace ends).

    A one-off date is a promise of an admin, so it also outlives Stripe's step from `past_due` to `unpaid`.
    """
    held = "only_drafts_left" if money.only_drafts_left(subscription) else "unpaid"
    if service.grace_override is not None:
        end, rule = service.grace_override, "in_one_off_grace"
    elif subscription.status == "unpaid":
        return {Hold.UNPAID: held}, held, None
    else:
        start = service.unpaid_since or money.behind_since(subscription, None, now)
        end, rule = start + _grace(mapping, policy), "in_grace"
    if now < end:
        return {}, rule, end
    return {Hold.UNPAID: "grace_over" if subscription.status == "past_due" else held}, rule, None


def _written_off(
    service: Service, mapping: PlanMapping | None, policy: Policy, now: datetime
) -> tuple[dict[Hold, str], str, datetime | None]:
    """As `_unpaid`, once the debt was voided or written off: what is held stays held, a running grace runs out."""
    end = service.grace_override
    if end is None and Hold.UNPAID not in service.holds and service.unpaid_since is not None:
        end = service.unpaid_since + _grace(mapping, policy)
    if end is not None and now < end:
        return {}, "written_off", end
    return {Hold.UNPAID: "written_off"}, "written_off", None


def _grace(mapping: PlanMapping | None, policy: Policy) -> timedelta:
    return timedelta(days=policy.grace_days if mapping is None or mapping.grace_days is None else mapping.grace_days)


def _ended(service: Service, rule: str, ended_at: datetime | None, policy: Policy, now: datetime) -> Goal:
    """Held as ended; soft-deleted once a configured retention is over. What was never made makes nothing."""
    if not service.made:
        return Goal(service, Want.NOTHING, rule)
    ended_at = ended_at or service.ended_at or now
    held = replace(service, holds=(service.holds & {Hold.ADMIN}) | {Hold.ENDED}, ended_at=ended_at)
    if policy.retention_days is None:
        return Goal(held, Want.OFF, rule)
    end = ended_at + timedelta(days=policy.retention_days)
    if now >= end:
        return Goal(held, Want.GONE, "retention_over")
    return Goal(replace(held, retain_until=end), Want.OFF, rule, wake_at=end)


def _surplus(subscription: Subscription, service: Service, policy: Policy, now: datetime) -> Goal:
    service = replace(service, waits_for=None if service.made else service.waits_for, grace_until=None)
    if service.state is ServiceState.TERMINATED:
        return Goal(service, Want.NOTHING, "terminated")
    if subscription.status == "canceled":
        return _ended(service, "canceled", subscription.ended_at, policy, now)
    return _ended(service, "item_gone", None, policy, now)
