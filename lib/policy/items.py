"""Which of a subscription's items is which service, and the panel plan that it buys."""

from __future__ import annotations

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


def kind_of(item: Item, catalogue: Catalogue) -> str | None:
    """What its price is mapped as; `None` without a mapping."""
    mapping = catalogue.mappings.get(item.price_id)
    return mapping.kind if mapping else None


def match(
    subscription_id: str, items: list[Item], known: list[Service]
) -> tuple[list[tuple[Item, Service]], list[Service]]:
    """Pair items, as often as their quantity says, with services: by item id first, then by order, then new ones.

    Within one item those that exist and are not held as ended come first, so that the same ones stay surplus at every
    pass, and none is held for one that would have to be made.
    """
    free = sorted(
        (s for s in known if s.state is not ServiceState.TERMINATED),
        key=lambda s: (not s.made, Hold.ENDED in s.holds, s.key.slot),
    )
    pairs: list[tuple[Item, Service]] = []
    open_places: list[Item] = []
    for item in items:
        own = [s for s in free if s.item_id == item.id][: max(item.quantity, 0)]
        pairs += [(item, s) for s in own]
        free = [s for s in free if s not in own]
        open_places += [item] * (max(item.quantity, 0) - len(own))
    kept_items = {item.id for item in items}
    # A service whose item still exists with a lower quantity is surplus, not a candidate for another item, unless
    # another item has a place for it: then it is moved there rather than one being made and one held.
    free.sort(key=lambda s: (s.item_id in kept_items, not s.made, Hold.ENDED in s.holds, s.key.slot))
    next_slot = max((s.key.slot for s in known), default=0) + 1
    for item in open_places:
        if free:
            pairs.append((item, free.pop(0)))
        else:
            pairs.append((item, Service(ServiceKey(subscription_id, next_slot), item.id, item.price_id)))
            next_slot += 1
    over = [s for s in known if s.state is ServiceState.TERMINATED]
    return sorted(pairs, key=lambda pair: pair[1].key.slot), free + over


def plan_of(
    subscription: Subscription, item: Item, mapping: PlanMapping | None, catalogue: Catalogue
) -> tuple[str | None, Problem | None]:
    """The panel plan that `item` and the add-ons beside it buy."""
    for other in subscription.items:
        if other.price_id not in catalogue.mappings:
            detail = f"price {other.price_id} of {subscription.id} has no row in plan_mappings; add one and it runs"
            return None, Problem("unmapped_price", detail, other.price_id)
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
            return None, Problem("unmapped_price", detail, addon.price_id)
    if not fitting:
        return mapping.plan, None
    most = max(rule.min_quantity for rule in fitting.values())
    equal = {price: rule.plan for price, rule in sorted(fitting.items()) if rule.min_quantity == most}
    plan = next(iter(equal.values()))
    if len(set(equal.values())) == 1:
        return plan, None
    detail = f"add-ons {', '.join(equal)} beside {item.price_id} name different plans; {plan} is delivered meanwhile"
    return plan, Problem("unmapped_price", f"{detail}; sell them together as one price with a rule", item.price_id)


def _rule(base: Item, addon: Item, catalogue: Catalogue) -> PlanRule | None:
    """The most specific rule for a base and this many of an add-on."""
    pair = (base.price_id, addon.price_id)
    bought = [r for r in catalogue.rules if (r.base_price_id, r.addon_price_id) == pair]
    return max((r for r in bought if r.min_quantity <= addon.quantity), key=lambda r: r.min_quantity, default=None)


def addons_without_base(subscription: Subscription, bases: list[Item], catalogue: Catalogue) -> list[Problem]:
    """An add-on changes the service beside it: alone it has been paid for and can't be given."""
    if any(item.quantity > 0 for item in bases) or subscription.status in ("canceled", "incomplete_expired"):
        return []
    return [
        Problem(
            "unmapped_price",
            f"add-on {item.price_id} of {subscription.id} has no service beside it; map it as a service, or ignore it",
            item.price_id,
        )
        for item in subscription.items
        if kind_of(item, catalogue) == "addon" and item.quantity > 0
    ]
