"""What we answered for, read back from our marks in the panel after the memory of it was lost. Pure.

A mark is permanent and names subscription and slot, so nothing is guessed from e-mails, names or plans. Which
suspensions were ours is told by Stripe: those that it asks for today. Another one stays the panel's, unless an operator
says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from lib.config import Policy
from lib.model import (
    Catalogue,
    Goal,
    Hold,
    Item,
    Memory,
    PanelSubscription,
    Payer,
    Service,
    ServiceKey,
    ServiceState,
    Subscription,
    Want,
)
from lib.policy.adoption import Holdings, Match, Refusal, Site
from lib.policy.desired import desired
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.items import bought_as, kind_of, plan_of
from lib.policy.naming import marks
from lib.policy.plan_references import on_plan
from lib.structs import replace


class Unexplained(Struct, frozen=True):
    """Hosting that is suspended although nothing that Stripe says asks for it."""

    service: ServiceKey
    panel_subscription_id: int
    suspended_by: str


class Laid(Struct, frozen=True):
    """The hosting of an organisation, laid onto services by its marks."""

    memory: Memory
    """What is remembered, with a service for each mark that nobody answers for."""
    marked: Mapping[ServiceKey, PanelSubscription] = field(default_factory=dict)
    """What carries the mark of each of these services."""
    linked: tuple[ServiceKey, ...] = ()
    """Marked services that are remembered already."""
    refusals: tuple[Refusal, ...] = ()


class Rebuilt(Struct, frozen=True):
    """The services as they are to be remembered again."""

    match: Match
    unexplained: tuple[Unexplained, ...] = ()


def lay_marks(payer: Payer, memory: Memory, catalogue: Catalogue, holdings: Holdings, now: datetime) -> Laid:
    """Give every hosting subscription of the organisation back to the service whose mark it carries."""
    known = {service.key for service in memory.services if service.made}
    marked, refusals = _marked(payer, holdings)
    refusals += [
        Refusal("panel_linked", f"hosting subscription {found.id} is linked to {holdings.taken[found.id]}")
        for key, found in marked.items()
        if found.id in holdings.taken and holdings.taken[found.id] != key
    ]
    if refusals:
        return Laid(memory, refusals=tuple(refusals))
    anew = {key: found for key, found in marked.items() if key not in known}
    seeds = [
        seed
        for subscription in payer.subscriptions
        for seed in _seeds(subscription, anew, holdings.sites, catalogue, now)
    ]
    kept = tuple(service for service in memory.services if service.key not in anew)
    linked = tuple(key for key in marked if key in known)
    return Laid(replace(memory, services=(*kept, *seeds)), anew, linked)


def rebuild(
    payer: Payer,
    laid: Laid,
    catalogue: Catalogue,
    policy: Policy,
    now: datetime,
    *,
    ours: frozenset[str] = frozenset(),
) -> Rebuilt:
    """The marked services as passes would have left them.

    Args:
        payer: with all that deciding asks for.
        ours: ids that the panel shows for suspensions of ours, by an operator's word.
    """
    if laid.refusals:
        return Rebuilt(Match(refusals=laid.refusals))
    goals = {goal.key: goal for goal in desired(payer, laid.memory, catalogue, policy, now).goals}
    seeds = sorted(
        (service for service in laid.memory.services if service.key in laid.marked),
        key=lambda service: (service.key.subscription_id, service.key.slot),
    )
    services = [_remembered(seed, goals[seed.key], laid.marked[seed.key], ours) for seed in seeds]
    unexplained = tuple(
        Unexplained(service.key, laid.marked[service.key].id, laid.marked[service.key].suspended_by or "")
        for service in services
        if service.panel_suspended
    )
    return Rebuilt(Match(tuple(services), laid.linked), unexplained)


def _marked(payer: Payer, holdings: Holdings) -> tuple[dict[ServiceKey, PanelSubscription], list[Refusal]]:
    """What carries the mark of each service: what lives, else what was deleted; two of the same are a doubt."""
    theirs = {subscription.id for subscription in payer.subscriptions}
    of_key: dict[ServiceKey, list[PanelSubscription]] = {}
    for found in sorted(holdings.subscriptions, key=lambda found: found.id):
        for subscription_id, slot in marks(found.friendly_name):
            if subscription_id in theirs:
                of_key.setdefault(ServiceKey(subscription_id, slot), []).append(found)
    refusals = []
    for key, several in of_key.items():
        living = [found for found in several if not found.deleted]
        of_key[key] = living or several[-1:]
        if len(living) > 1:
            ids = ", ".join(str(found.id) for found in living)
            detail = f"hosting subscriptions {ids} all carry the mark of {key}; delete the surplus by hand"
            refusals.append(Refusal("duplicate_in_panel", detail))
    return {key: several[0] for key, several in of_key.items()}, refusals


def _seeds(
    subscription: Subscription,
    marked: dict[ServiceKey, PanelSubscription],
    sites: Sequence[Site],
    catalogue: Catalogue,
    now: datetime,
) -> list[Service]:
    """The services of one subscription, each with the item whose plan it is on, else with the next one."""
    places = [item for item in subscription.items if kind_of(item, catalogue) in ("service", None)]
    free = [item for item in places for _ in range(min(max(item.quantity, 0), len(marked)))]
    own = {key: found for key, found in marked.items() if key.subscription_id == subscription.id}
    chosen: dict[ServiceKey, Item] = {}
    for fits in (True, False):
        for key, found in sorted(own.items(), key=lambda pair: pair[0].slot):
            item = next((i for i in free if not fits or _plan(subscription, i, found, catalogue)), None)
            if key not in chosen and item is not None:
                chosen[key] = item
                free.remove(item)
    spare = next(iter(places or subscription.items), None)
    return [
        replace(
            _seed(subscription, key, found, chosen.get(key, spare), sites, now),
            plan=_plan(subscription, chosen.get(key, spare), found, catalogue) or str(found.plan_id),
        )
        for key, found in own.items()
    ]


def _plan(subscription: Subscription, item: Item | None, found: PanelSubscription, catalogue: Catalogue) -> str | None:
    """The plan that an item buys, as the mapping spells it, if the hosting is on it."""
    if item is None:
        return None
    plan, _ = plan_of(subscription, item, catalogue.mappings.get(item.price_id), catalogue)
    return plan if plan is not None and on_plan(found, plan) else None


def _seed(
    subscription: Subscription,
    key: ServiceKey,
    found: PanelSubscription,
    item: Item | None,
    sites: Sequence[Site],
    now: datetime,
) -> Service:
    site = _site(subscription, [site for site in sites if site.subscription_id == found.id])
    return Service(
        key,
        item.id if item else "",
        item.price_id if item else "",
        state=ServiceState.LIVE,
        panel_subscription_id=found.id,
        panel_plan_id=found.plan_id,
        # What was bought counts as what it was made for: a mapping that was typed anew, and wrongly, is nobody's wish.
        made_for=bought_as(subscription, item) if item else (),
        website_id=site.id if site else None,
        domain=site.domain if site else None,
        domain_sought_at=now,  # what was typed at Checkout long ago makes no website now
    )


def _site(subscription: Subscription, sites: Sequence[Site]) -> Site | None:
    """The website that was made for it: the one of its metadata, else the only or the first one."""
    domains = set()
    for typed in (subscription.domain or "").replace(",", " ").split():
        try:
            domains.add(normalise_domain(typed))
        except InvalidDomain:
            continue
    return next((site for site in sites if site.domain in domains), sites[0] if sites else None)


def _remembered(seed: Service, goal: Goal, found: PanelSubscription, ours: frozenset[str]) -> Service:
    """The service as a pass would have left it."""
    held = goal.service.holds
    service = replace(seed, holds=held)
    if found.deleted:
        # Of what has ended it was us; of what is paid for it was somebody else, and a pass asks what to do.
        over = Hold.ENDED in held or goal.want is Want.GONE
        return replace(service, state=ServiceState.TERMINATED if over else ServiceState.LIVE)
    if found.suspended_by is None:
        return service
    if held or found.suspended_by in ours:
        return replace(service, state=ServiceState.SUSPENDED, suspended_by=found.suspended_by)
    return replace(service, panel_suspended=True)
