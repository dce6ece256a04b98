"""What should become of one service: its subscription's status, its money, every cause to hold it, and its plan."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.config import Policy
from lib.model import (
    Catalogue,
    Goal,
    Hold,
    Problem,
    Service,
    ServiceState,
    Subscription,
    Want,
)
from lib.model.reason import Reason, Rule, WaitReason, Why
from lib.policy import invoices
from lib.policy.grace import behind_from, held_from, in_arrears, is_behind, written_off
from lib.policy.items import bought_as, kind_of, plan_of
from lib.policy.paid_items import bills_all, change_is_unpaid, paid_items
from lib.policy.plan_references import put_on
from lib.policy.standing import Place, Standing, Terms
from lib.policy.window import moved
from lib.structs import replace

OPEN_DISPUTE = frozenset({"needs_response", "under_review", "appeal_needs_response", "appeal_under_review"})
"""Dispute statuses in which money has been taken and the case is open. Inquiries (`warning_*`) are not among them."""

LATE = timedelta(hours=1)
"""How long after its announced date Stripe may take to end a trial or a subscription before we look again."""

OVER = ("canceled", "incomplete_expired")
"""Statuses from which no subscription comes back."""

_PLAN_MAY_CHANGE = ("active", "trialing")


def goal_of(place: Place, terms: Terms) -> tuple[Goal, list[Problem]]:
    """What should become of one service, and what of it only a person can solve."""
    try:
        goal = _state(place, terms)
        if goal.want is Want.ON and not place.service.made:
            place, goal = _as_paid(place, goal, terms)
    except invoices.Unread as missing:
        return replace(undecided(place.service, Rule.UNREAD), asks=missing.question), []
    subscription, mapping = place.subscription, place.mapping
    problems = _of_money(goal)
    plan, problem = plan_of(subscription, place.item, mapping, terms.catalogue)
    if goal.want is Want.ON and problem:
        problems.append(problem)
        if not place.service.made and plan is None:
            goal = replace(goal, want=Want.NOTHING, rule=problem.reason)
    if goal.want is Want.ON and plan is not None:
        edited = not place.changed and subscription.status in _PLAN_MAY_CHANGE  # the operator asks for no money
        goal = replace(goal, plan=plan) if edited else _on_plan(goal, subscription, plan, terms)
    if mapping is not None:
        goal = replace(goal, create_website=mapping.create_website, server_group_id=mapping.server_group_id)
    return goal, problems


def undecided(service: Service, rule: Why) -> Goal:
    """Left as it is, but for what an admin holds."""
    held = service.made and service.state is not ServiceState.TERMINATED and Hold.ADMIN in service.holds
    return Goal(service, Want.OFF, Rule.ADMIN_HOLD) if held else Goal(service, Want.KEEP, rule)


def ended(service: Service, rule: Why, ended_at: datetime | None, terms: Terms) -> Goal:
    """Held as ended; soft-deleted once a configured retention is over. What was never made makes nothing."""
    if not service.made:
        return Goal(service, Want.NOTHING, rule)
    ended_at = ended_at or service.ended_at or terms.at
    if rule is Rule.CANCELED and service.unpaid_since is not None and Hold.ENDED not in service.holds:
        # Stripe gave up collecting: nobody chose this end, so it is a suspension for a debt.
        opens = held_from(service, terms.at, terms)
        if terms.at < opens:
            waiting = replace(service, holds=service.holds & {Hold.ADMIN}, ends_at=None, grace_until=opens)
            return replace(undecided(waiting, WaitReason.SUSPEND_WINDOW), wake_at=opens)
    held = replace(service, holds=(service.holds & {Hold.ADMIN}) | {Hold.ENDED}, ends_at=None, ended_at=ended_at)
    held = replace(held, retain_until=None)  # a date of a retention that is no more is none
    if terms.policy.retention_days is None:
        return Goal(held, Want.OFF, rule)
    end = ended_at + timedelta(days=terms.policy.retention_days)
    if service.state is not ServiceState.TERMINATED:
        end = moved(max(end, terms.at), terms.policy.suspend_window)
    if terms.at >= end:
        return Goal(held, Want.GONE, Rule.RETENTION_OVER)
    return Goal(replace(held, retain_until=end), Want.OFF, rule, wake_at=end)


def _of_money(goal: Goal) -> list[Problem]:
    """What of its money only a person can solve."""
    name = goal.key.subscription_id
    if goal.rule == Reason.NEVER_PAID:
        detail = f"the first invoice of {name} was voided or written off; release it, or cancel {name} in Stripe"
        return [Problem(Reason.NEVER_PAID, detail, name)]
    if goal.rule == Reason.ONLY_DRAFTS_LEFT:
        detail = f"every final invoice of {name} is paid, and drafts keep it unpaid; finalize and pay or delete them"
        return [Problem(Reason.ONLY_DRAFTS_LEFT, detail, name)]
    return []


def _on_plan(goal: Goal, subscription: Subscription, plan: str, terms: Terms) -> Goal:
    """The goal with the plan that was bought; while the change to it is not paid, the present one stays."""
    service, catalogue = goal.service, terms.catalogue
    if not service.made or put_on(service, plan):
        return replace(goal, plan=plan)
    prices = _prices(service.price_id, subscription, catalogue)
    try:
        paid = subscription.status in _PLAN_MAY_CHANGE and invoices.change_paid(
            subscription, prices, service.plan_since, terms.at
        )
    except invoices.Unread as missing:
        return replace(goal, asks=missing.question)
    if paid:
        return replace(goal, plan=plan)
    return replace(goal, service=replace(service, wait_reason=WaitReason.CHANGE_WAITS_FOR_PAYMENT))


def _prices(price_id: str, subscription: Subscription, catalogue: Catalogue) -> list[str]:
    """All that must be paid for a plan: the price of its service, and the add-ons beside it."""
    addons = [i.price_id for i in subscription.items if kind_of(i, catalogue) == "addon" and i.quantity > 0]
    return [price_id, *addons]


def _as_paid(place: Place, goal: Goal, terms: Terms) -> tuple[Place, Goal]:
    """What was never made gets what was paid for: of a change whose bill is open it waits for the money, as others do.

    Raises:
        invoices.Unread: whether there is such a change depends on something that was not read.
    """
    subscription, since = place.subscription, None
    if not _is_paid_whole(place, terms):
        paid = paid_items(subscription, place.since, trusted=_is_on_its_way(place))
        found = paid.get(place.item.id)
        mapping = terms.catalogue.mappings.get(found.item.price_id) if found is not None else None
        if found is None or found.item.quantity <= place.before or mapping is None or mapping.kind != "service":
            waiting = replace(goal.service, wait_reason=WaitReason.SETTLEMENT)
            return place, Goal(waiting, Want.NOTHING, Rule.MONEY_NOT_SETTLED)
        items = tuple(paid[item.id].item for item in subscription.items if item.id in paid)
        place = replace(place, subscription=replace(subscription, items=items), item=found.item, mapping=mapping)
        since = found.since
    # What it is made for, and since when that was true: what was billed later is still a change.
    service = replace(goal.service, made_for=bought_as(place.subscription, place.item), plan_since=since)
    return place, replace(goal, service=service)


def _is_paid_whole(place: Place, terms: Terms) -> bool:
    """Whether all that is bought now may be made: nothing of it is ahead of the money."""
    subscription, latest = place.subscription, place.subscription.latest_invoice
    if subscription.status == "incomplete":
        return True
    if not place.more or place.cleared:
        if latest is None or latest.billing_reason == "subscription_create":  # there is none before it, nor a change
            return True
        if bills_all(latest, subscription) or (subscription.status == "active" and place.service.released):
            return True
    if subscription.status == "trialing":
        return not invoices.unpaid_changes(subscription)
    prices = _prices(place.service.price_id, subscription, terms.catalogue)
    if invoices.change_paid(subscription, prices, None, terms.at):
        return True
    return not invoices.unpaid_changes(subscription) and _is_on_its_way(place)


def _is_on_its_way(place: Place) -> bool:
    """Whether the first money is, and that is enough for what is not there yet."""
    fresh = not place.more or place.cleared
    return (
        fresh and place.trusted and place.subscription.status == "active" and invoices.is_processing(place.subscription)
    )


# --- on, off or nothing -----------------------------------------------------------------------------------------------


def _state(place: Place, terms: Terms) -> Goal:
    """Whether this service should be on: its subscription's status and every cause to hold it, not yet the plan.

    Raises:
        invoices.Unread: it depends on something that was not read.
    """
    subscription, service = place.subscription, place.service
    comes_back = service.made and Hold.ENDED in service.holds and service.wait_reason is not Reason.MAPPING_CHANGED
    # What has not been cleared yet stays so, whatever happens to its subscription meanwhile.
    waits = None if service.made or place.cleared else service.wait_reason
    service = replace(service, wait_reason=waits, grace_until=None)
    if subscription.status in OVER:
        return ended(service, Rule(subscription.status), subscription.ended_at, terms)
    ended_at = service.ended_at if comes_back else None
    service = replace(service, ends_at=subscription.cancel_at, ended_at=ended_at, retain_until=None)
    if subscription.status == "incomplete" and not (place.trusted and invoices.is_processing(subscription)):
        waiting = replace(service, wait_reason=WaitReason.FIRST_PAYMENT)
        return Goal(waiting, Want.KEEP if service.made else Want.NOTHING, Rule.INCOMPLETE)
    stands = _with_other_causes(_by_status(replace(place, service=service), terms), subscription, terms)
    if comes_back:
        stands = _coming_back(stands, place, terms)
    service = replace(stands.service, holds=frozenset(stands.causes))
    if stands.causes:
        off = Want.OFF if service.made else Want.NOTHING
        return Goal(service, off, next(iter(stands.causes.values())), wake_at=stands.wake_at, asks=stands.asks)
    if not service.made:
        rule = _waits_for_money(replace(place, service=service))
        if rule is not None:
            waiting = replace(service, wait_reason=WaitReason.SETTLEMENT, grace_until=None)
            return Goal(waiting, Want.NOTHING, rule)
    return Goal(replace(service, wait_reason=None), Want.ON, stands.rule, wake_at=stands.wake_at)


def _by_status(place: Place, terms: Terms) -> Standing:
    """What the status of the subscription says."""
    subscription, service = place.subscription, place.service
    match subscription.status:
        case "incomplete":
            return Standing(service, Rule.PROCESSING)
        case "active" if is_behind(subscription, service, terms.at):
            return written_off(place, terms)
        case "trialing" | "active":
            service = replace(service, grace_override=None, amnesty=False, unpaid_since=None)
            return Standing(service, Rule(subscription.status), wake_at=_next_date(subscription, terms.at))
        case "past_due" | "unpaid":
            service = behind_from(subscription, service, terms.at)
            return in_arrears(replace(place, service=service), terms)
        case _:
            # What was held for a debt is so still: no money can be seen to come for it now, and it may be written off.
            debts: dict[Hold, Why] = {Hold.UNPAID: Rule.UNPAID} if Hold.UNPAID in service.holds else {}
            return Standing(service, Rule.PAUSED, {Hold.PAUSED: Rule.PAUSED, **debts})


def _with_other_causes(stands: Standing, subscription: Subscription, terms: Terms) -> Standing:
    """With every cause to hold it that its status does not tell."""
    causes, wake_at, policy = dict(stands.causes), stands.wake_at, terms.policy
    if subscription.collection_paused and policy.pause_collection == "suspend":
        causes[Hold.PAUSED] = Rule.COLLECTION_PAUSED
    causes |= _disputed(subscription, policy)
    if policy.on_refund == "suspend" and (period_ends := invoices.refunded(subscription, terms.at)) is not None:
        causes[Hold.REFUND] = Rule.REFUNDED
        wake_at = min(wake_at or period_ends, period_ends)
    if Hold.ADMIN in stands.service.holds:
        causes[Hold.ADMIN] = Rule.ADMIN_HOLD
    return replace(stands, causes=causes, wake_at=wake_at)


def _coming_back(stands: Standing, place: Place, terms: Terms) -> Standing:
    """Bought again after it was held as ended: a purchase, which waits for its money as others do.

    Raises:
        invoices.Unread: whether that has come depends on something that was not read.
    """
    service = stands.service
    if _is_bought_again(place, service.ended_at, terms):
        return replace(stands, service=replace(service, ended_at=None))
    waiting = replace(service, wait_reason=WaitReason.CHANGE_WAITS_FOR_PAYMENT)
    return replace(stands, service=waiting, causes={**stands.causes, Hold.ENDED: Rule.MONEY_NOT_SETTLED})


def _is_bought_again(place: Place, since: datetime | None, terms: Terms) -> bool:
    """Whether what was ended then may run again: paid for since, on trial, or billed by nothing."""
    subscription = place.subscription
    if subscription.status == "incomplete":  # its first debit is on its way, and trusted
        return True
    if subscription.status not in _PLAN_MAY_CHANGE:
        return False
    paid = paid_items(subscription, since).get(place.item.id)
    if paid is not None and place.before < paid.item.quantity:
        return True
    if change_is_unpaid(subscription, place.item, paid.since if paid is not None else since):
        return False
    return subscription.status == "trialing" or invoices.change_paid(
        subscription, [place.item.price_id], since, terms.at
    )


def _waits_for_money(place: Place) -> Why | None:
    """By which rule what was never made waits for its first money; `None`: that has come.

    Grace keeps on what runs. It is no reason to hand out more of it to somebody who is behind.
    """
    subscription, service = place.subscription, place.service
    if subscription.status in ("trialing", "incomplete"):
        return None
    active = subscription.status == "active"
    if place.more and not place.cleared:
        return None if active else Rule.MONEY_NOT_SETTLED  # what of it has been paid is told by `_as_paid`
    if active and service.released:
        return None
    found = invoices.first_money(subscription, trust=place.trusted and active, paid_once=place.cleared)
    if found == "paid":
        return None
    return Reason.NEVER_PAID if found == "never" and active else Rule.MONEY_NOT_SETTLED


def _next_date(subscription: Subscription, now: datetime) -> datetime | None:
    """When Stripe itself is going to change the status; asked again an hour later while it has not."""
    dates = [date for date in (subscription.trial_end, subscription.cancel_at) if date is not None]
    if subscription.status != "trialing":
        dates = [date for date in dates if date != subscription.trial_end]
    return max(min(dates), now + LATE) if dates and min(dates) <= now else min(dates, default=None)


def _disputed(subscription: Subscription, policy: Policy) -> dict[Hold, Why]:
    """Holds for money that may go back: disputes."""
    causes: dict[Hold, Why] = {}
    if policy.on_dispute == "suspend" and any(status in OPEN_DISPUTE for status in subscription.disputes):
        causes[Hold.DISPUTE] = Rule.DISPUTE_OPEN
    elif policy.on_dispute_lost == "suspend" and "lost" in subscription.disputes:
        causes[Hold.DISPUTE] = Rule.DISPUTE_LOST
    return causes
