"""Which of a subscription's items is which service, and the panel plan that it buys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from msgspec import Struct

from lib.model import (
    Catalogue,
    Hold,
    Item,
    PlanMapping,
    PlanRule,
    Problem,
    Service,
    ServiceKey,
    ServiceState,
    Subscription,
)
from lib.model.reason import Reason


def kind_of(item: Item, catalogue: Catalogue) -> str | None:
    """What its price is mapped as; `None` without a mapping."""
    mapping = catalogue.mappings.get(item.price_id)
    return mapping.kind if mapping else None


class Layout(Struct, frozen=True):
    """A subscription's items laid onto its services."""

    pairs: tuple[tuple[Item, Service], ...]
    """Each item as often as its quantity says, by the number of the service."""
    surplus: tuple[Service, ...]
    """What no item asks for any more."""
    lost: frozenset[ServiceKey]
    """Whose item is still there, and no mapping says any more that it is hosting."""
    unusual: frozenset[str]
    """Items with a quantity that nobody has let pass; of what is not made for them one stands for all."""


def lay_out(subscription: Subscription, known: Sequence[Service], catalogue: Catalogue, most: int) -> Layout:
    """Pair items, as often as their quantity says, with services: by item id first, then by order, then new ones.

    Within one item those that exist and are not held as ended come first, so that the same ones stay surplus at every
    pass, and none is held for one that would have to be made.

    Args:
        known: the services of this subscription.
        most: the highest quantity that is made without asking, and how many are begun at one time.
    """
    own: dict[str, list[Service]] = {}
    for service in sorted((s for s in known if s.state is not ServiceState.TERMINATED), key=_first_to_stay):
        own.setdefault(service.item_id, []).append(service)
    sold = [item for item in subscription.items if kind_of(item, catalogue) in ("service", None)]
    sold.sort(key=lambda item: kind_of(item, catalogue) is None)  # what has no mapping yet takes no place
    unusual = frozenset(item.id for item in sold if item.quantity > most)
    pairs: list[tuple[Item, Service]] = []
    for item in subscription.items:
        staying = [s for s in own.get(item.id, ()) if _may_stay(item, s, catalogue, unusual)]
        pairs += [(item, service) for service in staying[: max(item.quantity, 0)]]
    taken = {service.key for _, service in pairs}
    # A service whose item still exists with a lower quantity is surplus, not a candidate for another item, unless
    # another item has a place for it: then it is moved there rather than one being made and one held.
    sold_ids = {item.id for item in sold}
    free = [service for services in own.values() for service in services if service.key not in taken]
    free.sort(key=lambda s: (s.item_id in sold_ids, *_first_to_stay(s)))
    first_free = max((s.key.slot for s in known), default=0) + 1
    fresh = (ServiceKey(subscription.id, slot) for slot in count(first_free))
    pairs += _fill(sold, pairs, free, fresh, unusual, most)
    lost = frozenset(service.key for item, service in pairs if _is_lost(item, service, catalogue))
    taken |= {service.key for _, service in pairs}
    over = [s for s in known if s.state is ServiceState.TERMINATED]
    surplus = [s for s in free if s.key not in taken]
    return Layout(tuple(sorted(pairs, key=lambda pair: pair[1].key.slot)), tuple(surplus + over), lost, unusual)


def _first_to_stay(service: Service) -> tuple[bool, bool, int]:
    return not service.made, Hold.ENDED in service.holds, service.key.slot


def _may_stay(item: Item, service: Service, catalogue: Catalogue, unusual: frozenset[str]) -> bool:
    """Whether a service belongs to its own item still."""
    kind = kind_of(item, catalogue)
    if kind in ("service", None):
        return service.made or item.id not in unusual
    # A mapping is no decision of the customer: what is bought as before stays with its item, whatever is written there.
    # Another price that means nothing is one; a lone add-on is more likely a mapping gone wrong.
    return service.made and (item.price_id == service.price_id or kind == "addon")


def _is_lost(item: Item, service: Service, catalogue: Catalogue) -> bool:
    kind = kind_of(item, catalogue)
    if kind is not None:
        return kind != "service"
    return service.made and item.price_id in [price for price, _ in service.made_for[:1]]


def _fill(
    items: Sequence[Item],
    pairs: Sequence[tuple[Item, Service]],
    free: Sequence[Service],
    fresh: Iterator[ServiceKey],
    unusual: frozenset[str],
    most: int,
) -> Iterator[tuple[Item, Service]]:
    """The places that no service of the item's own takes: what is free moves there, then come new ones."""
    filled = Counter(item.id for item, _ in pairs)
    begun = sum(not service.made for _, service in pairs)
    waiting = list(free)
    for item in items:
        asking, room = item.quantity - filled[item.id], most
        if item.id in unusual:
            moving = [service for service in waiting if service.made][:asking]
            room = begun + 1
        else:
            moving = waiting[: max(asking, 0)]
        moved = {service.key for service in moving}
        waiting = [service for service in waiting if service.key not in moved]
        begun += sum(not service.made for service in moving)
        yield from ((item, service) for service in moving)
        for _ in range(min(asking - len(moving), room - begun)):
            yield item, Service(next(fresh), item.id, item.price_id)
            begun += 1


def bought_as(subscription: Subscription, item: Item) -> tuple[tuple[str, int], ...]:
    """All that a plan can follow from, as `Service.made_for` has it: (price, quantity), the item's own price first.

    Whatever a mapping says of them: what it says is not Stripe's change.
    """
    beside = [(other.price_id, other.quantity) for other in subscription.items if other is not item]
    return ((item.price_id, 1), *sorted((price, quantity) for price, quantity in beside if quantity > 0))


def plan_of(
    subscription: Subscription, item: Item, mapping: PlanMapping | None, catalogue: Catalogue
) -> tuple[str | None, Problem | None]:
    """The panel plan that `item` and the add-ons beside it buy."""
    for other in subscription.items:
        if other.price_id not in catalogue.mappings:
            detail = f"price {other.price_id} of {subscription.id} has no row in plan_mappings; add one and it runs"
            return None, Problem(Reason.UNMAPPED_PRICE, detail, other.price_id)
    if mapping is None:  # unreachable unless an item has no price at all; the loop above names every unmapped price
        return None, None
    bases = [i for i in subscription.items if kind_of(i, catalogue) == "service" and i.quantity > 0]
    fitting: dict[str, PlanRule] = {}
    for addon in subscription.items:
        if kind_of(addon, catalogue) != "addon" or addon.quantity < 1:
            continue
        rule = _rule(item, addon, catalogue)
        if rule is not None:
            fitting[addon.price_id] = rule
        elif not any(_rule(base, addon, catalogue) for base in bases):  # another base may be the one that it changes
            detail = f"add-on {addon.price_id} beside {item.price_id} has no row in plan_rules; add one and it runs"
            return None, Problem(Reason.UNMAPPED_PRICE, detail, addon.price_id)
    if not fitting:
        return mapping.plan, None
    most = max(rule.min_quantity for rule in fitting.values())
    equal = {price: rule.plan for price, rule in sorted(fitting.items()) if rule.min_quantity == most}
    plan = next(iter(equal.values()))
    if len(set(equal.values())) == 1:
        return plan, None
    detail = f"add-ons {', '.join(equal)} beside {item.price_id} name different plans; {plan} is delivered meanwhile"
    return plan, Problem(Reason.UNMAPPED_PRICE, f"{detail}; sell them together as one price with a rule", item.price_id)


def _rule(base: Item, addon: Item, catalogue: Catalogue) -> PlanRule | None:
    """The most specific rule for a base and this many of an add-on."""
    pair = (base.price_id, addon.price_id)
    bought = [r for r in catalogue.rules if (r.base_price_id, r.addon_price_id) == pair]
    return max((r for r in bought if r.min_quantity <= addon.quantity), key=lambda r: r.min_quantity, default=None)


def addons_without_base(subscription: Subscription, laid: Layout, catalogue: Catalogue) -> list[Problem]:
    """An add-on changes the service beside it: alone it has been paid for and can't be given."""
    if laid.pairs or subscription.status in ("canceled", "incomplete_expired"):
        return []
    return [
        Problem(
            Reason.UNMAPPED_PRICE,
            f"add-on {item.price_id} of {subscription.id} has no service beside it; map it as a service, or ignore it",
            item.price_id,
        )
        for item in subscription.items
        if kind_of(item, catalogue) == "addon" and item.quantity > 0
    ]
