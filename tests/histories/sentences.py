"""The oracle: what must be true of every history, one sentence each.

Written from the decision table of the design alone. It knows the books, when the product looked, and the panel; of the
product's rules and reasons it knows nothing. A verdict that is not settled by any sentence is `EITHER`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from tests.histories.books import ENDED, Subscription
from tests.histories.facts import BEHIND, Facts
from tests.histories.panel import plan_id
from tests.histories.story import World

NOTHING, ON, OFF, EITHER = "nothing", "on", "off", "either"

Says = tuple[str, str] | None
"""(what must be, the sentence); `None` when the sentence says nothing about this case."""

OPEN_DISPUTE = ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review")


def never_paid(facts: Facts, slot: int) -> Says:
    """Who never paid has no hosting."""
    if not facts.paid_for(slot) and not facts.on_trust():
        if slot > 1 and any(i.status == "paid" for i in facts.billing(least=slot)):
            return EITHER, "more was only ever set off against what was given back"
        return NOTHING, "who never paid has no hosting"
    return None


def ended(facts: Facts, _: int) -> Says:
    """What has ended is off."""
    return (OFF, "what has ended is off") if facts.over else None


def surplus(facts: Facts, slot: int) -> Says:
    """What is not bought any more is off."""
    if slot > facts.item.quantity:
        return OFF, "what is not bought any more is off"
    return None


def bought_again(facts: Facts, slot: int) -> Says:
    """What was off because it was not bought any more, and is bought again, is a purchase: it waits for its bill.

    Without a bill of its own it comes back at once, unless something else is open or was never paid.
    """
    raised = facts.bought_again(slot)
    if raised is None or facts.status == "trialing":
        return None
    at, how = raised
    if not facts.was_there_before(slot, at):
        return EITHER, "it was never made, and what was paid before may have been for as many"
    bills = facts.billing(least=slot, since=at)
    if any(i.status == "paid" for i in bills):
        return None
    if how in ("billed", "anew"):
        return OFF, "what is bought again waits for its money"
    if facts.status != "active" or facts.unsettled():
        return EITHER, "bought again, with no bill of its own, and something is not paid"
    return None


def held(facts: Facts, slot: int) -> Says:
    """What a person holds is off, whatever was paid."""
    world = facts.world
    found = world.hosting(facts.sub.id, slot)
    if found is not None and found.id in world.by_hand:
        return OFF, "somebody suspended it in the panel"
    if facts.sub.id in world.held:
        gone = any(hosting.deleted for hosting in world.panel.of(facts.sub.id))
        return (EITHER, "what was held is deleted") if gone else (OFF, "an admin holds it")
    return None


def disputed(facts: Facts, _: int) -> Says:
    """Money that is taken back holds by policy: an open dispute, a lost one, and never an inquiry or a won one."""
    policy = facts.world.setting.policy
    disputes = [d.status for invoice in facts.sub.invoices for p in invoice.payments for d in p.disputes]
    if policy.on_dispute == "suspend" and any(status in OPEN_DISPUTE for status in disputes):
        return OFF, "an open dispute holds"
    if policy.on_dispute_lost == "suspend" and "lost" in disputes:
        return OFF, "a lost dispute holds"
    return None


def refunded(facts: Facts, _: int) -> Says:
    """Who got the money of the running period back in full is held by policy; a refund of anything else is none."""
    if facts.world.setting.policy.on_refund == "ignore":
        return None
    paid = [i for i in facts.running() if i.status == "paid"]
    if paid:
        return (OFF, "the running period's money went back") if paid[-1].back_in_full else None
    if any(i.back_in_full for i in facts.sub.invoices):
        return EITHER, "the period before went back, and of this one nothing is settled"
    return None


def paused(facts: Facts, _: int) -> Says:
    """A paused subscription is off; one whose collection is paused, by policy."""
    if facts.status == "paused":
        return OFF, "what is paused is off"
    if facts.sub.collection is not None and facts.world.setting.policy.pause_collection == "suspend":
        return OFF, "paused collection holds by policy"
    return None


def unpaid(facts: Facts, _: int) -> Says:
    """Whose retries are used up is off."""
    return (OFF, "what is unpaid is off") if facts.status == "unpaid" else None


def behind(facts: Facts, slot: int) -> Says:
    """What was made stays on until grace ends, counted from the oldest that is owed; then it is off.

    Writing off is not paying: it lifts nothing, and a running grace runs to its old end. Whether voiding the last debt
    is forgiving it, no sentence says.
    """
    strictly = _behind(facts, slot, facts.behind_since(kindly=False))
    kindly = _behind(facts, slot, facts.behind_since(kindly=True))
    return strictly if strictly == kindly else (EITHER, "its debt was voided")


def _behind(facts: Facts, slot: int, since: datetime | None) -> Says:
    if since is None:
        return None
    if facts.status not in BEHIND:
        if not facts.was_seen_behind(since):
            return EITHER, "nobody saw that it was behind before it was written off"
        if facts.owes_changes_only(since):
            return EITHER, "the period is paid, and the bill of a change was written off"
        if facts.paid_since(since):
            return EITHER, "money came while it was behind, for something else"
        if any(status == "unpaid" and at >= since for at, status in facts.sub.statuses):
            return OFF, "writing off is not paying"
    owed, certain = facts.owed_from(since), facts.owed_from(since, certain=True)
    if owed is None:
        return EITHER, "behind, and nothing is owed"
    least, most = facts.graces()
    if facts.now >= owed + least:
        if certain is None or facts.now < certain + most:
            return EITHER, "only what was put away is owed so long, and other things were paid, or nobody saw it"
        return OFF, "grace is over"
    there = facts.world.state(facts.sub.id, slot) in ("on", "off")
    if not there and (slot > 1 or not facts.paid_a_period(slot) or not facts.paid_means_something()):
        return (
            EITHER,
            "a trial or a gift that nobody saw, or more of what is behind, or what was paid for means nothing",
        )
    return ON, "grace is not over"


def running(facts: Facts, slot: int) -> Says:
    """Who has paid is on unless somebody holds it."""
    made = facts.world.state(facts.sub.id, slot) in ("on", "off")
    if facts.status == "incomplete":
        return (ON, "a debit on its way is enough here") if facts.on_its_way(slot) else (EITHER, "its debit failed")
    if facts.resumed_unpaid():
        return EITHER, "it goes on after a pause, and nobody paid"
    if not made and not facts.paid_means_something():
        return EITHER, "what was paid for means nothing here, and what is bought instead is not paid"
    if facts.status == "trialing":
        return ON, "a trial is on"
    if not made and facts.given_up_unpaid(slot):
        return EITHER, "what was paid for was given up before it was made, and what is bought instead is not paid"
    first = slot == 1 and not facts.was_deleted()
    if facts.paid_a_period(slot) and (first or facts.nothing_owed()):
        return ON, "who has paid is on"
    if made:
        return ON, "what was made stays on while nothing is owed"
    if facts.on_its_way(slot):
        return ON, "a debit on its way is enough here"
    if facts.sub.free and facts.sub.invoices[-1].status == "paid":
        return ON, "nothing to pay is paid"
    return EITHER, "it is on trust only"


def same_bought_twice(facts: Facts, _: int) -> Says:
    """A second live purchase of the same price is held where the policy says so."""
    if facts.world.setting.policy.on_double_purchase == "hold":
        had = [{price for _, price, _, _ in s.items[0].changes} for s in facts.world.account.subscriptions]
        if sum(facts.item.price in prices for prices in had) > 1:
            return EITHER, "bought twice"
    return None


SENTENCES: tuple[Callable[[Facts, int], Says], ...] = (
    never_paid,
    ended,
    surplus,
    bought_again,
    held,
    disputed,
    refunded,
    paused,
    unpaid,
    same_bought_twice,
    behind,
    running,
)
"""In this order: what nobody paid for comes before every cause to be off, and those before every cause to be on."""


def verdict(facts: Facts, slot: int) -> tuple[str, str]:
    """What must be true of one service now."""
    said = by_stripe(facts, slot)
    if facts.means_something or said[0] == NOTHING or facts.over:
        return said
    key = (facts.sub.id, slot)
    if said[0] == ON and facts.world.kept.get(key) == "on" and facts.sub.id not in facts.world.held:
        if facts.was_seen_as_it_is():
            return ON, "what a mapping says switches nobody off"
    return EITHER, "its price means nothing"


def by_stripe(facts: Facts, slot: int) -> tuple[str, str]:
    """The first sentence that speaks, but OFF outweighs what is not settled."""
    unsettled: tuple[str, str] | None = None
    for sentence in SENTENCES:
        said = sentence(facts, slot)
        if said is None:
            continue
        if said[0] == EITHER:
            unsettled = unsettled or said
        elif said[0] in (OFF, NOTHING) or unsettled is None:
            return said
        else:
            return unsettled
    assert unsettled is not None
    return unsettled


def complaints(world: World) -> Iterator[str]:
    """Everything that the panel has otherwise than the sentences say."""
    yield from _bought_twice_and_nothing_on(world)
    for sub in world.account.subscriptions:
        facts = Facts(world, sub)
        most = max(quantity for _, _, quantity, _ in facts.item.changes)
        for slot in range(1, most + 1):
            must, why = verdict(facts, slot)
            state = world.state(sub.id, slot)
            name = f"{sub.id}/{slot}"
            if must == NOTHING and state is not None:
                yield f"{name} is {state}: {why}"
            elif must == ON and state != "on":
                yield f"{name} is {state or 'not made'}: {why}"
            elif must == OFF and state == "on":
                yield f"{name} is on: {why}"
            yield from _deleted_too_soon(facts, slot, state)
            if state == "on":
                yield from _on_the_wrong_plan(facts, slot)
        yield from _without_its_website(facts)


def _bought_twice_and_nothing_on(world: World) -> Iterator[str]:
    """Of the same price bought twice, at least one is on."""
    if world.setting.policy.on_double_purchase == "provision":
        return
    by_price: dict[str, list[Facts]] = {}
    for sub in world.account.subscriptions:
        by_price.setdefault(sub.items[0].price, []).append(Facts(world, sub))
    for price, bought in by_price.items():
        live = [facts for facts in bought if not facts.over]
        if len(live) < 2 or not all(_would_be_on(facts) for facts in live):
            continue
        if not any(world.state(facts.sub.id, 1) == "on" for facts in live):
            yield f"{price} is bought twice, and neither is on"


def _would_be_on(facts: Facts) -> bool:
    causes = (never_paid, surplus, held, refunded, disputed, paused, unpaid, behind)
    said = running(facts, 1)
    return facts.means_something and said is not None and said[0] == ON and not any(c(facts, 1) for c in causes)


def _deleted_too_soon(facts: Facts, slot: int, state: str | None) -> Iterator[str]:
    """Nothing is deleted unless a retention is configured and over; then it is."""
    days = facts.world.setting.policy.retention_days
    ended_at = facts.sub.ended_at or facts.surplus_since(slot)
    waited_for = any(
        other.domain == facts.sub.domain and other.status not in ENDED for other in facts.world.account.subscriptions
    )
    over = days is not None and ended_at is not None and facts.now >= ended_at + timedelta(days=days)
    if state == "gone" and days is None:
        yield f"{facts.sub.id}/{slot} is deleted: nothing is deleted without a retention"
    sold = facts.item.price not in facts.world.edited and all(n >= slot for _, _, n, _ in facts.item.changes)
    if state == "gone" and not over and ended_at is not None and sold:
        yield f"{facts.sub.id}/{slot} is deleted: its retention is not over"
    if state in ("on", "off") and over and facts.sub.ended_at is not None and not waited_for:
        yield f"{facts.sub.id}/{slot} is still there: its retention is over"


def _without_its_website(facts: Facts) -> Iterator[str]:
    """Who is on has the website that they bought it for, unless another of theirs that still runs has it.

    A website that somebody bought again is never deleted with what has ended.
    """
    world, domain = facts.world, facts.sub.domain
    found = world.hosting(facts.sub.id, 1)
    if domain is None or found is None or found.deleted or found.suspended_by is not None or facts.over:
        return
    if not facts.means_something:
        return
    others = [s for s in world.account.subscriptions if s.domain == domain and s is not facts.sub]
    theirs = {hosting.id for s in others for hosting in world.panel.of(s.id)}
    has_it = world.panel.websites.get(domain)
    if all(s.status in ENDED for s in others) and not _kept_back(world, others) and has_it != found.id:
        where = "that of what ended" if has_it in theirs else "nowhere"
        yield f"{facts.sub.id} is on without {domain}, which is {where}"
    lost, of = world.panel.lost.get(domain, (facts.sub.created, 0))
    always = all(quantity for _, _, quantity, _ in facts.item.changes)
    if of in theirs and always and facts.looked(facts.sub.created, lost):
        yield f"{domain} was deleted, although {facts.sub.id} was bought for it"


def _kept_back(world: World, others: Sequence[Subscription]) -> bool:
    """Whether a person holds one of these: what they hold is not brought to life by buying again."""
    by_hand = {hosting.id for s in others for hosting in world.panel.of(s.id)} & world.by_hand
    return bool(by_hand) or any(s.id in world.held for s in others)


def _on_the_wrong_plan(facts: Facts, slot: int) -> Iterator[str]:
    """A plan is what was paid for."""
    found = facts.world.hosting(facts.sub.id, slot)
    assert found is not None
    allowed, why = plans(facts, slot)
    if allowed and found.plan_id not in allowed:
        yield f"{facts.sub.id}/{slot} is on plan {found.plan_id} instead of {sorted(allowed)}: {why}"


def plans(facts: Facts, slot: int) -> tuple[set[int], str]:
    """The plans that a service which is on may have, and why; none when nothing says so."""
    mapping = facts.world.product.mappings.get(facts.item.price)
    if mapping is None or mapping.plan is None:
        return set(), ""
    new = plan_id(mapping.plan)
    change = facts.changed()
    if change is None:
        return {new}, "what was bought"
    since, how, number = change
    before = facts.world.plans_before[facts.sub.id, number][slot]
    if any(quantity < slot for _, _, quantity, _ in facts.item.changes[number - 1 :]):
        return set(), "another one is bought"
    bills = facts.billing(price=facts.item.price, since=since)
    if before is None:
        if how in ("unbilled", "later") or facts.on_trust() or facts.on_its_way(slot):
            return set(), "made after the change, and nothing bills it"
        if any(i.status == "paid" for i in bills):
            return set(), "made after the change, and it is paid"
        return facts.plans_paid_for(), "made after the change, and that is not paid"
    unsettled = [i for i in facts.sub.invoices if i.reason == "subscription_update" and i.status in ("open", "draft")]
    if facts.status not in ("active", "trialing"):
        return {before, new} if bills or how in ("unbilled", "later") else {before}, "only while all is well"
    put_away = any(i.status in ("void", "uncollectible") and i.reason == "subscription_update" for i in bills)
    if any(i.status == "paid" for i in bills):
        return ({before, new}, "") if unsettled or put_away else ({new}, "the change is paid")
    if how in ("billed", "anew"):
        return {before}, "the change is not paid"
    if unsettled or facts.something_open():
        return {before, new}, "not billed, and something is open"
    if any(i.status != "paid" for i in facts.billing(price=facts.item.price)):
        return {before, new}, "not billed by itself, but what bills it was not paid"
    return {new}, "a change that is not billed counts at once"
