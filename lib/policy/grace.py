"""What becomes of a service that is behind with its money: since when, how long it stays on, and when it is held."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.model import Hold, Question, Service, ServiceState, Subscription
from lib.model.reason import Reason, Rule, WaitReason, Why
from lib.policy import invoices
from lib.policy.standing import Place, Standing, Terms
from lib.policy.window import moved
from lib.structs import replace


def is_behind(subscription: Subscription, service: Service, now: datetime) -> bool:
    """Whether what was behind is `active` again only because nobody is expected to pay any more."""
    was = service.unpaid_since is not None or Hold.UNPAID in service.holds
    return service.made and was and not invoices.paid_again(subscription, service.unpaid_since, now)


def behind_from(subscription: Subscription, service: Service, now: datetime) -> Service:
    """The service with since when its subscription is behind, kept while it is."""
    if not service.made:
        return service
    known = service.unpaid_since
    if subscription.status == "unpaid" and subscription.invoices is None:  # held all the same, and asked for
        latest = subscription.latest_invoice
        return replace(service, unpaid_since=known or (latest.owed_since if latest else now))
    since = invoices.behind_since(subscription, known, now)
    if subscription.status == "unpaid" and known is not None:
        since = min(since, known)  # nothing runs whose grace could begin anew; what falls due then, no event tells of
    return replace(service, unpaid_since=since)


def in_arrears(place: Place, terms: Terms) -> Standing:
    """A subscription that is behind: on while its grace runs.

    A one-off date is a promise of an admin, so it also outlives Stripe's step from `past_due` to `unpaid`.
    """
    subscription, service = place.subscription, place.service
    asks = Question.INVOICES if subscription.invoices is None else None
    held: Why = Reason.ONLY_DRAFTS_LEFT if invoices.only_drafts_left(subscription) else Rule.UNPAID
    rule: Why
    if service.grace_override is not None:
        end, rule = service.grace_override, WaitReason.IN_ONE_OFF_GRACE
    elif subscription.status == "unpaid":
        end, rule = terms.at, held
    else:
        start = service.unpaid_since or invoices.behind_since(subscription, None, terms.at)
        end, rule = start + _grace(place, terms), WaitReason.IN_GRACE
    waits = terms.at >= end
    end = held_from(service, end, terms)
    if terms.at < end:
        rule = WaitReason.SUSPEND_WINDOW if waits else rule
        return Standing(replace(service, grace_until=end), rule, wake_at=end, asks=asks)
    held = Rule.GRACE_OVER if subscription.status == "past_due" else held
    return Standing(replace(service, grace_until=None), rule, {Hold.UNPAID: held}, asks=asks)


def written_off(place: Place, terms: Terms) -> Standing:
    """As `in_arrears`, once the debt was voided or written off: what is held stays held, a running grace runs out."""
    service = place.service
    end = service.grace_override
    if end is None and Hold.UNPAID not in service.holds and service.unpaid_since is not None:
        end = service.unpaid_since + _grace(place, terms)
    end = held_from(service, end or terms.at, terms)
    if terms.at < end:
        return Standing(replace(service, grace_until=end), Rule.WRITTEN_OFF, wake_at=end)
    return Standing(replace(service, grace_until=None), Rule.WRITTEN_OFF, {Hold.UNPAID: Rule.WRITTEN_OFF})


def held_from(service: Service, end: datetime, terms: Terms) -> datetime:
    """From when on a debt holds a service: the end of its grace, or what comes first after it of the operator's hours.

    Whatever runs waits for them, also when the end was missed in them; what is suspended for its debt already stays so.
    """
    window = terms.policy.suspend_window
    if window is None or not service.made or service.state is not ServiceState.LIVE:
        return end
    return moved(max(end, terms.at), window)


def _grace(place: Place, terms: Terms) -> timedelta:
    own = place.mapping.grace_days if place.mapping is not None else None
    return timedelta(days=terms.policy.grace_days if own is None else own)
